/* cli_queue.h -- what the commands of the queue share: their options, and the way to the database,
 * which they use beside the server. */
#ifndef CLI_QUEUE_H
#define CLI_QUEUE_H

#include "cli/cli.h"
#include "core/json.h"
#include "queue/queue_admin.h"
#include "queue/queue_redact.h"
#include "store/store.h"

struct cli_queue_target {
    const char *config, *data, *queue, *durability;
    const char *zone, *overlap; // of periodic jobs
    /* Which jobs. */
    const char *state, *kind, *tag, *key, *batch, *where, *after;
    const char *created_after, *created_before, *due_after, *due_before;
    /* What a job gets. */
    const char *at, *deadline, *unique, *unique_until, *idempotency_key, *payload, *priority,
        *trace;
    const char *until, *seal_keys, *redact;
    /* What is set for a queue; empty: stays as it is. */
    const char *running, *rate, *burst, *key_running, *key_rate, *key_burst, *keep_done, *keep_dead,
        *keep_dead_for, *retry_percent;
    int64_t catch_up_ms, timeout_ms, keep_ms, unique_for_ms, idempotency_ms, for_ms, older_than_ms;
    int count, delay_ms, limit, max, weight, max_attempts;
    bool is_json, is_sure, is_sealed, is_unfinished;
};

#define CLI_QUEUE_AT(field) offsetof(struct cli_queue_target, field)

/* Rows of the tables of options. */
#define CLI_QUEUE_CONFIG CLI_OPTION_CONFIG(CLI_QUEUE_AT(config))
#define CLI_QUEUE_DATA CLI_OPTION_DATA(CLI_QUEUE_AT(data))
#define CLI_QUEUE_TEXT(option, field, of, text)                                                    \
    {                                                                                              \
        .name = (option), .kind = CONF_TEXT, .value = "", .meaning = (of), .help = (text),         \
        .at = CLI_QUEUE_AT(field)                                                                  \
    }
#define CLI_QUEUE_TIME(option, field, text)                                                        \
    {                                                                                              \
        .name = (option), .kind = CONF_DURATION, .value = "0", .min = 0, .max = QUEUE_MAX_MS,      \
        .help = (text), .at = CLI_QUEUE_AT(field)                                                  \
    }
#define CLI_QUEUE_SWITCH(option, field, text)                                                      \
    {                                                                                              \
        .name = (option), .kind = CONF_SWITCH, .value = "off", .help = (text),                     \
        .at = CLI_QUEUE_AT(field)                                                                  \
    }
#define CLI_QUEUE_JSON CLI_QUEUE_SWITCH("json", is_json, "print JSON")
#define CLI_QUEUE_REDACT CLI_OPTION_REDACT(CLI_QUEUE_AT(redact))
#define CLI_QUEUE_YES CLI_QUEUE_SWITCH("yes", is_sure, "do it; else it says how many it would be")
/* Which jobs; cli_queue_filter.h reads them. */
#define CLI_QUEUE_FILTER                                                                           \
    CLI_QUEUE_TEXT("queue", queue, "NAME", "of this queue"),                                       \
        CLI_QUEUE_TEXT("state", state, "STATE",                                                    \
                       "ready, running, scheduled, waiting, done, dead or cancelled"),             \
        CLI_QUEUE_TEXT("kind", kind, "KIND", "of this kind"),                                      \
        CLI_QUEUE_TEXT("tag", tag, "TAG", "with this tag"),                                        \
        CLI_QUEUE_TEXT("key", key, "KEY", "with this key, of the --queue"),                        \
        CLI_QUEUE_TEXT("batch", batch, "ID", "of this batch"),                                     \
        CLI_QUEUE_TEXT("where", where, "PATH=VALUE",                                               \
                       "whose payload has this value: user.id=7, to.0.name=Ada"),                  \
        CLI_QUEUE_TEXT("created-after", created_after, "TIME",                                     \
                       "enqueued then or later: 2026-11-26T21:30Z, -2h, now"),                     \
        CLI_QUEUE_TEXT("created-before", created_before, "TIME", "enqueued before"),               \
        CLI_QUEUE_TEXT("due-after", due_after, "TIME", "to run then or later"),                    \
        CLI_QUEUE_TEXT("due-before", due_before, "TIME", "to run before")

struct cli_queue_call {
    const struct cli_queue_target *target;
    struct conf_words words;
    struct store *store;
    struct arena *arena;
    void (*on_commit)(void *ctx); // of cli_queue_watch
    void *on_commit_ctx;
};
/* The JSON text as people may see it, by --redact; in the call's arena. */
struct str cli_queue_hide(const struct cli_queue_call *call, struct str text);
/* Does what the command is for; returns the exit status. */
typedef int cli_queue_fn(struct cli_queue_call *call);

/* Reads the options, opens the database (makes it only when makes_data) and calls fn. */
int cli_queue_run(const struct cli_command *command, int argc, char *const *argv, bool makes_data,
                  cli_queue_fn *fn);

/* The same for one that follows what happens: on_commit as store_on_commit calls it. */
int cli_queue_watch(const struct cli_command *command, int argc, char *const *argv,
                    void (*on_commit)(void *ctx), void *ctx, cli_queue_fn *fn);

/* What the running server holds; nothing when none runs, or when it does not answer in 2 s (told on
 * stderr). Returns the exit status. */
int cli_queue_held(const struct cli_queue_call *call, struct queue_held *out);

/* Prints the document with a line feed. What a terminal would obey is escaped. */
int cli_queue_print(const cJSON *document);
/* The member "paused" of a queue: until when, or true (INT64_MAX); none, when it is not (0). */
void cli_queue_write_pause(cJSON *row, int64_t until_ms);
/* Prints the object as the call asks: as JSON, or for people, line by line, a row of an array on
 * one. Frees it. Returns the exit status. */
int cli_queue_show_print(const struct cli_queue_call *call, cJSON *object);

/* The number of a job. Returns the exit status. */
int cli_queue_parse_id(const char *text, int64_t *out);
/* The time of an option; empty: 0. Returns the exit status. */
int cli_queue_parse_time(const char *option, const char *text, int64_t *ms_out);

#endif
