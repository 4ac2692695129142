/* cli_queue.h -- what the commands of the queue share: their options, and the way to the database,
 * which they use beside the server. */
#ifndef CLI_QUEUE_H
#define CLI_QUEUE_H

#include "cli/cli.h"
#include "core/json.h"
#include "queue/queue_admin.h"
#include "store/store.h"

struct cli_queue_target {
    const char *config, *data, *queue, *durability;
    const char *zone, *overlap; // of periodic jobs
    const char *seal_keys;
    int64_t catch_up_ms;
    int count, delay_ms;
    bool is_json, is_sealed;
};

#define CLI_QUEUE_AT(field) offsetof(struct cli_queue_target, field)

/* Rows of the tables of options. */
#define CLI_QUEUE_CONFIG CLI_OPTION_CONFIG(CLI_QUEUE_AT(config))
#define CLI_QUEUE_DATA CLI_OPTION_DATA(CLI_QUEUE_AT(data))
#define CLI_QUEUE_JSON                                                                             \
    {                                                                                              \
        .name = "json", .kind = CONF_SWITCH, .value = "off", .help = "print JSON",                 \
        .at = CLI_QUEUE_AT(is_json)                                                                \
    }

struct cli_queue_call {
    const struct cli_queue_target *target;
    struct conf_words words;
    struct store *store;
    struct arena *arena;
};
/* Does what the command is for; returns the exit status. */
typedef int cli_queue_fn(struct cli_queue_call *call);

/* Reads the options, opens the database (makes it only when makes_data) and calls fn. */
int cli_queue_run(const struct cli_command *command, int argc, char *const *argv, bool makes_data,
                  cli_queue_fn *fn);

/* What the running server holds; nothing when none runs. Returns the exit status. */
int cli_queue_held(const struct cli_queue_call *call, struct queue_held *out);

/* Prints the document with a line feed. */
int cli_queue_print(const cJSON *document);

#endif
