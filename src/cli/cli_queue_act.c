/* cli_queue_act.c -- changes of single jobs, by their numbers. Each is done or refused by itself.
 */
#include <stdio.h>

#include "cli/cli_queue.h"
#include "queue/queue_admin_act.h"

static const struct conf_option options[] = {CLI_QUEUE_CONFIG, CLI_QUEUE_DATA, CLI_QUEUE_JSON};
const struct conf_table cli_queue_act_options = {options, 3};

struct doing {
    queue_admin_act_fn *fn;
    struct queue_admin_act act;
};

static enum err do_it(struct store_tx *tx, void *arg)
{
    struct doing *d = arg;
    return d->fn(tx, &d->act);
}

static int act(struct cli_queue_call *call, queue_admin_act_fn *fn, const char *word,
               const struct queue_held *held, cJSON *list)
{
    struct doing d = {.fn = fn, .act = {.epoch = -1, .held = held}};
    int status = cli_queue_parse_id(word, &d.act.id);
    if (status != CLI_DONE)
        return status;
    enum err err = store_write_wait(call->store, do_it, &d);
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(list, row);
    cJSON_AddNumberToObject(row, "id", (double)d.act.id);
    cJSON_AddBoolToObject(row, "done", !err);
    if (!err && d.act.is_pending)
        cJSON_AddBoolToObject(row, "pending", true);
    if (!err)
        return CLI_DONE;
    const char *why = d.act.why.at ? d.act.why.at : store_err_text(err); // why is static
    cJSON_AddStringToObject(row, "why", why);
    return cli_fail(CLI_FAILED, "job %lld: %s", (long long)d.act.id, why);
}

static void print_done(const cJSON *list, const char *done)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, list)
    {
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(row, "id");
        bool is_pending = cJSON_HasObjectItem(row, "pending");
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "done")))
            printf("%.0f %s\n", id->valuedouble, is_pending ? "runs, and is told" : done);
    }
}

/* All of them, also when one is refused. */
static int act_all(struct cli_queue_call *call, queue_admin_act_fn *fn, const char *done)
{
    struct queue_held held;
    int status = cli_queue_held(call, &held);
    if (status != CLI_DONE)
        return status;
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "jobs");
    for (size_t i = 0; i < call->words.count; i++) {
        int one = act(call, fn, call->words.at[i], &held, list);
        status = one > status ? one : status;
    }
    if (call->target->is_json)
        (void)cli_queue_print(root); // it has said so
    else
        print_done(list, done);
    cJSON_Delete(root);
    return status;
}

static int retry(struct cli_queue_call *call)
{
    return act_all(call, queue_admin_act_retry, "is ready");
}

static int discard(struct cli_queue_call *call)
{
    return act_all(call, queue_admin_act_discard, "is discarded");
}

static int cancel(struct cli_queue_call *call)
{
    return act_all(call, queue_admin_act_cancel, "is cancelled");
}

int cli_queue_act_retry(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, retry);
}

int cli_queue_act_discard(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, discard);
}

int cli_queue_act_cancel(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, cancel);
}
