/* cli_queue_pause.c -- holds a queue: what runs goes on, nothing more begins. */
#include <stdio.h>

#include "cli/cli_queue.h"
#include "core/clock.h"

static const struct conf_option options[] = {
    CLI_QUEUE_CONFIG,
    CLI_QUEUE_DATA,
    CLI_QUEUE_TIME("for", for_ms, "it goes on by itself after so long; 0: when it is resumed"),
    CLI_QUEUE_TEXT("until", until, "TIME", "it goes on by itself then"),
    CLI_QUEUE_JSON,
};
const struct conf_table cli_queue_pause_options = {options, sizeof(options) / sizeof(options[0])};

struct pausing {
    struct str name;
    int64_t until_ms;
};

static enum err pause_fn(struct store_tx *tx, void *arg)
{
    const struct pausing *p = arg;
    return queue_pause(tx, p->name, p->until_ms);
}

static int print_pause(const struct pausing *p)
{
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "name", p->name.at);
    cli_queue_write_pause(row, p->until_ms);
    if (p->until_ms == 0)
        cJSON_AddFalseToObject(row, "paused");
    int status = cli_queue_print(row);
    cJSON_Delete(row);
    return status;
}

static int write_pause(const struct cli_queue_call *call, int64_t until_ms)
{
    struct pausing p = {str_of(call->words.at[0]), until_ms};
    const struct queue_new as_new = {.kind = STR("pause"), .queue = p.name};
    const char *why = NULL;
    if (p.name.len == 0 || queue_check(&as_new, &why) != OK)
        return cli_fail(CLI_USAGE, "%s", why ? why : "the name is empty");
    enum err err = store_write_wait(call->store, pause_fn, &p);
    if (err)
        return cli_fail(CLI_FAILED, "cannot write: %s", store_err_text(err));
    return call->target->is_json ? print_pause(&p) : CLI_DONE;
}

static int pause_queue(struct cli_queue_call *call)
{
    const struct cli_queue_target *t = call->target;
    int64_t until_ms = 0;
    int status = cli_queue_parse_time("until", t->until, &until_ms);
    if (status != CLI_DONE)
        return status;
    if (t->until[0] && t->for_ms > 0)
        return cli_fail(CLI_USAGE, "--for and --until exclude each other");
    if (t->for_ms > 0)
        until_ms = clock_unix_ms() + t->for_ms;
    return write_pause(call, until_ms > 0 ? until_ms : INT64_MAX);
}

static int resume(struct cli_queue_call *call)
{
    return write_pause(call, 0);
}

int cli_queue_pause_set(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, pause_queue);
}

int cli_queue_pause_end(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, resume);
}
