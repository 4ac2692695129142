/* cli_queue_push.c -- enqueues from the shell, also while a server runs. What is printed is
 * durable, as far as was asked for.
 */
#include <stdio.h>
#include <string.h>

#include "app/app_data.h"
#include "app/app_seal.h"
#include "cli/cli_queue.h"
#include "core/json.h"

enum { BATCH = 500 }; // jobs of a transaction: the server's writer waits for no more

static const struct conf_option options[] = {
    CLI_QUEUE_CONFIG,
    CLI_QUEUE_DATA,
    {.name = "queue",
     .kind = CONF_TEXT,
     .value = QUEUE_DEFAULT,
     .meaning = "NAME",
     .help = "the queue",
     .at = CLI_QUEUE_AT(queue)},
    {.name = "count",
     .kind = CONF_INT,
     .value = "1",
     .min = 1,
     .max = 10000000,
     .help = "how many such jobs",
     .at = CLI_QUEUE_AT(count)},
    {.name = "delay-ms",
     .kind = CONF_INT,
     .value = "0",
     .min = 0,
     .max = INT32_MAX,
     .meaning = "MS",
     .help = "not before so many milliseconds from now",
     .at = CLI_QUEUE_AT(delay_ms)},
    {.name = "seal",
     .kind = CONF_SWITCH,
     .value = "off",
     .help = "seal the payload with the first of --seal-keys",
     .at = CLI_QUEUE_AT(is_sealed)},
    CLI_OPTION_SEAL_KEYS(CLI_QUEUE_AT(seal_keys)),
    {.name = "durability",
     .kind = CONF_TEXT,
     .value = "full",
     .meaning = "full|normal",
     .help = "full: an id is printed when its job is on the disk; normal: sooner, and a loss of "
             "power may take it",
     .at = CLI_QUEUE_AT(durability)},
    CLI_QUEUE_JSON,
};
const struct conf_table cli_queue_push_options = {options, sizeof(options) / sizeof(options[0])};

struct push {
    struct queue_new job;
    int64_t delay_ms;
    int count; // of this batch
    int64_t ids[BATCH];
};

static enum err push_batch(struct store_tx *tx, void *arg)
{
    struct push *push = arg;
    struct queue_new job = push->job;
    job.run_at_ms = store_now_ms(tx) + push->delay_ms;
    for (int i = 0; i < push->count; i++) {
        enum err err = queue_enqueue(tx, &job, &push->ids[i]);
        if (err)
            return err;
    }
    return OK;
}

static void print_ids(const struct push *push, bool is_json, bool is_first)
{
    for (int i = 0; i < push->count; i++)
        if (is_json)
            printf("%s%lld", is_first && i == 0 ? "" : ",", (long long)push->ids[i]);
        else
            printf("%lld\n", (long long)push->ids[i]);
    fflush(stdout);
}

static int push_all(struct store *store, struct push *push, int count, bool is_json)
{
    if (is_json)
        printf("{\"jobs\":[");
    for (int done = 0; done < count; done += push->count) {
        push->count = count - done < BATCH ? count - done : BATCH;
        enum err err = queue_may_be_soft(&push->job, 1)
                           ? store_write_soft_wait(store, push_batch, push)
                           : store_write_wait(store, push_batch, push);
        if (err)
            return cli_fail(CLI_FAILED, "%d of %d jobs are enqueued, then: %s", done, count,
                            err_text(err));
        print_ids(push, is_json, done == 0);
    }
    if (is_json)
        printf("]}\n");
    return CLI_DONE;
}

static int push_sealed(struct cli_queue_call *call, struct push *push)
{
    const struct cli_queue_target *t = call->target;
    char why[APP_DATA_WHY_BYTES] = "no --seal-keys FILE";
    struct queue_seal *seal = NULL;
    enum err err = app_seal_read(t->seal_keys, &seal, why, sizeof(why));
    push->job.seal = seal;
    int status = err || !seal ? cli_fail(CLI_USAGE, "%s", why)
                              : push_all(call->store, push, t->count, t->is_json);
    queue_seal_free(seal);
    return status;
}

static bool read_durability(const char *text, enum queue_durability *out)
{
    *out = strcmp(text, "normal") == 0 ? QUEUE_NORMAL : QUEUE_FULL;
    return *out == QUEUE_NORMAL || strcmp(text, "full") == 0;
}

static int push(struct cli_queue_call *call)
{
    const struct cli_queue_target *t = call->target;
    struct push *push = ARENA_NEW(call->arena, struct push);
    push->delay_ms = t->delay_ms;
    push->job = (struct queue_new){
        .kind = str_of(call->words.at[0]),
        .payload = str_of(call->words.at[1]),
        .queue = str_of(t->queue),
    };
    if (!read_durability(t->durability, &push->job.durability))
        return cli_fail(CLI_USAGE, "--durability is full or normal");
    if (push->job.kind.len == 0)
        return cli_fail(CLI_USAGE, "the kind is empty");
    if (push->job.payload.len > QUEUE_MAX_PAYLOAD_BYTES)
        return cli_fail(CLI_USAGE, "the payload has more than %d bytes", QUEUE_MAX_PAYLOAD_BYTES);
    if (json_scan_document(push->job.payload) != OK)
        return cli_fail(CLI_USAGE, "the payload is not JSON: %.100s", push->job.payload.at);
    if (!t->is_sealed)
        return push_all(call->store, push, t->count, t->is_json);
    return push_sealed(call, push);
}

int cli_queue_push(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, true, push);
}
