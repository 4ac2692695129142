/* cli_queue_edit.c -- changes what a job that does not run is to do, and when. */
#include <stdio.h>

#include "cli/cli_queue.h"
#include "queue/queue_admin_act.h"

static const struct conf_option options[] = {
    CLI_QUEUE_CONFIG,
    CLI_QUEUE_DATA,
    CLI_QUEUE_TEXT("payload", payload, "JSON", "its payload"),
    CLI_QUEUE_TEXT("at", at, "TIME", "when to run: now, +10m, 2026-11-26T21:30Z"),
    CLI_QUEUE_TEXT("priority", priority, "N", "from -100 to 100"),
    CLI_QUEUE_JSON,
};
const struct conf_table cli_queue_edit_options = {options, sizeof(options) / sizeof(options[0])};

struct editing {
    struct queue_admin_act act;
    struct queue_admin_edit edit;
};

static enum err edit_fn(struct store_tx *tx, void *arg)
{
    struct editing *e = arg;
    return queue_admin_act_edit(tx, &e->act, &e->edit);
}

static int read_edit(const struct cli_queue_target *t, struct queue_admin_edit *out)
{
    int64_t priority = 0;
    *out = (struct queue_admin_edit){.has_time = t->at[0] != '\0',
                                     .has_priority = t->priority[0] != '\0'};
    if (t->payload[0])
        out->payload = str_of(t->payload);
    if (!out->payload.at && !out->has_time && !out->has_priority)
        return cli_fail(CLI_USAGE, "say what to change: --payload, --at, --priority");
    if (out->has_priority && (str_parse_int(str_of(t->priority), &priority) ||
                              priority < -QUEUE_MAX_PRIORITY || priority > QUEUE_MAX_PRIORITY))
        return cli_fail(CLI_USAGE, "--priority: '%.100s' is not from -100 to 100", t->priority);
    out->priority = (int)priority;
    return cli_queue_parse_time("at", t->at, &out->run_at_ms);
}

static int edit(struct cli_queue_call *call)
{
    struct editing e = {.act = {.epoch = -1}};
    struct queue_held held;
    int status = cli_queue_parse_id(call->words.at[0], &e.act.id);
    if (status == CLI_DONE)
        status = read_edit(call->target, &e.edit);
    if (status == CLI_DONE)
        status = cli_queue_held(call, &held);
    if (status != CLI_DONE)
        return status;
    e.act.held = &held;
    enum err err = store_write_wait(call->store, edit_fn, &e);
    if (err)
        return cli_fail(err == ERR_INVALID || err == ERR_TOO_LARGE ? CLI_USAGE : CLI_FAILED,
                        "job %lld: %s", (long long)e.act.id,
                        e.act.why.at ? e.act.why.at : store_err_text(err));
    if (call->target->is_json)
        printf("{\"id\":%lld}\n", (long long)e.act.id);
    else
        printf("%lld is changed\n", (long long)e.act.id);
    return CLI_DONE;
}

int cli_queue_edit(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, edit);
}
