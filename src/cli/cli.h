/* cli.h -- the commands. Exit status: 0 done; 1 failed (one line on stderr says what and what to
 * do); 2 wrong usage. */
#ifndef CLI_H
#define CLI_H

#include "core/conf.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli_command {
    /* "user add": words joined by one space; then its operands in capitals, "queue push KIND JSON";
     * "ID...": one or more. */
    const char *name;
    const char *help;
    const struct conf_table *options; // without --help, which all have
    /* argv: what follows the name. Returns the exit status. */
    int (*run)(const struct cli_command *command, int argc, char *const *argv);
};

/* Runs the command that argv names. */
int cli_main(int argc, char **argv);

/* conf_read, with what is wrong on stderr. *status_out: CLI_USAGE, or CLI_FAILED for the config
 * file. */
MUST_USE enum err cli_read_options(const struct cli_command *command, int argc, char *const *argv,
                                   struct arena *texts, void *target, int *status_out);

/* The same for a command with operands, as many as its row says. Returns the exit status. */
int cli_read_words(const struct cli_command *command, int argc, char *const *argv,
                   struct arena *texts, void *target, struct conf_words *words_out);

/* Prints "viche: ..." as one line on stderr and returns status. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Rows that the tables of options share; offset: of the const char * in the command's target. */
#define CLI_OPTION_CONFIG(offset)                                                                  \
    {                                                                                              \
        .name = "config", .kind = CONF_TEXT, .value = "", .meaning = "FILE",                       \
        .help = "read options from a file of lines 'name = value'", .at = (offset)                 \
    }
#define CLI_OPTION_DATA(offset)                                                                    \
    {                                                                                              \
        .name = "data", .kind = CONF_TEXT, .value = "data", .meaning = "DIR",                      \
        .help = "where the database is", .at = (offset)                                            \
    }
#define CLI_OPTION_SEAL_KEYS(offset)                                                               \
    {                                                                                              \
        .name = "seal-keys", .kind = CONF_TEXT, .value = "", .meaning = "FILE",                    \
        .help =                                                                                    \
            "keys of sealed payloads, lines id=hex: the first seals, all open (docs/queue.md)",    \
        .at = (offset)                                                                             \
    }
#define CLI_OPTION_REDACT(offset)                                                                  \
    {                                                                                              \
        .name = "redact", .kind = CONF_TEXT, .value = QUEUE_REDACT_DEFAULT, .meaning = "FIELDS",   \
        .help = "fields of payloads that nobody is shown: names or paths, with commas",            \
        .at = (offset)                                                                             \
    }

extern const struct conf_table cli_serve_options;

int cli_serve_run(const struct cli_command *command, int argc, char *const *argv);
int cli_data_migrate(const struct cli_command *command, int argc, char *const *argv);
int cli_data_check(const struct cli_command *command, int argc, char *const *argv);
int cli_data_seed(const struct cli_command *command, int argc, char *const *argv);
int cli_user_add(const struct cli_command *command, int argc, char *const *argv);
int cli_hub_channels(const struct cli_command *command, int argc, char *const *argv);
int cli_hub_connections(const struct cli_command *command, int argc, char *const *argv);
int cli_hub_refusals(const struct cli_command *command, int argc, char *const *argv);
int cli_hub_frames(const struct cli_command *command, int argc, char *const *argv);
int cli_hub_tail(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_push(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_periodic_list(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_periodic_add(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_periodic_remove(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_periodic_pause(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_periodic_resume(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_periodic_run(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_periodic_next(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_stats(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_list(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_show(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_edit(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_act_retry(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_act_discard(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_act_cancel(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_many_retry(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_many_discard(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_many_prune(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_pause_set(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_pause_end(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_limit_list(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_limit_show(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_limit_set(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_limit_clear(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_batch_list(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_batch_show(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_batch_cancel(const struct cli_command *command, int argc, char *const *argv);
int cli_queue_tail(const struct cli_command *command, int argc, char *const *argv);
int cli_worker_run(const struct cli_command *command, int argc, char *const *argv);
extern const struct conf_table cli_worker_options;
extern const struct conf_table cli_queue_push_options, cli_queue_stats_options,
    cli_queue_list_options, cli_queue_show_options, cli_queue_edit_options, cli_queue_act_options,
    cli_queue_many_options, cli_queue_prune_options, cli_queue_pause_options,
    cli_queue_tail_options;
extern const struct conf_table cli_queue_limit_list_options, cli_queue_limit_options,
    cli_queue_limit_set_options, cli_queue_batch_list_options;
extern const struct conf_table cli_queue_periodic_options, cli_queue_periodic_list_options,
    cli_queue_periodic_add_options, cli_queue_periodic_next_options;
extern const struct conf_table cli_data_options, cli_data_seed_options, cli_user_options,
    cli_hub_options;

#endif
