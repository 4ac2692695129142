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
    CLI_QUEUE_TEXT("at", at, "TIME", "not before: 2026-11-26T21:30Z, +10m"),
    CLI_QUEUE_TEXT("priority", priority, "N",
                   "from -100 to 100; each step is a minute's head start"),
    CLI_QUEUE_TEXT("key", key, "KEY", "whose turn it takes: a tenant, for example"),
    {.name = "weight",
     .kind = CONF_INT,
     .value = "0",
     .min = 0,
     .max = QUEUE_MAX_WEIGHT,
     .help = "turns of the key in a round, from now on; 0: as before",
     .at = CLI_QUEUE_AT(weight)},
    CLI_QUEUE_TEXT("unique", unique, "KEY", "no second job while one has this key: its id instead"),
    {.name = "unique-until",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "start|end",
     .help = "the key is taken until the job begins (the default), or until it has ended",
     .at = CLI_QUEUE_AT(unique_until)},
    CLI_QUEUE_TIME("unique-for", unique_for_ms, "the key is taken at least so long"),
    CLI_QUEUE_TEXT("idempotency-key", idempotency_key, "KEY",
                   "no second job within --idempotency-for, whatever became of the first"),
    CLI_QUEUE_TIME("idempotency-for", idempotency_ms, "0: a day"),
    CLI_QUEUE_TEXT("tag", tag, "TAG,...", "to find it by"),
    CLI_QUEUE_TEXT("deadline", deadline, "TIME", "dead when it has not begun by then"),
    CLI_QUEUE_TIME("timeout", timeout_ms, "of one run; 0: as its handler says"),
    {.name = "max-attempts",
     .kind = CONF_INT,
     .value = "0",
     .min = 0,
     .max = QUEUE_MAX_TRIES,
     .help = "0: as its handler says",
     .at = CLI_QUEUE_AT(max_attempts)},
    CLI_QUEUE_TIME("keep", keep_ms, "how long it is kept when it is done"),
    CLI_QUEUE_TEXT("trace", trace, "TRACEPARENT", "of W3C Trace Context"),
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
    struct str tags[QUEUE_MAX_TAGS];
    int count; // of this batch
    int64_t ids[BATCH];
};

static enum err push_batch(struct store_tx *tx, void *arg)
{
    struct push *push = arg;
    for (int i = 0; i < push->count; i++) {
        enum err err = queue_enqueue(tx, &push->job, &push->ids[i]);
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
                            store_err_text(err));
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

/* ---- options ---- */

static bool read_durability(const char *text, enum queue_durability *out)
{
    *out = strcmp(text, "normal") == 0 ? QUEUE_NORMAL : QUEUE_FULL;
    return *out == QUEUE_NORMAL || strcmp(text, "full") == 0;
}

static int read_tags(struct push *push, const char *text)
{
    struct str rest = str_of(text);
    while (rest.len > 0) {
        struct str tag = str_cut(rest, ',', &rest);
        if (push->job.tag_count == QUEUE_MAX_TAGS)
            return cli_fail(CLI_USAGE, "--tag: more than %d tags", QUEUE_MAX_TAGS);
        push->tags[push->job.tag_count++] = tag;
    }
    push->job.tags = push->tags;
    return CLI_DONE;
}

static int read_numbers(struct push *push, const struct cli_queue_target *t)
{
    int64_t priority = 0;
    if (t->priority[0] && (str_parse_int(str_of(t->priority), &priority) ||
                           priority < -QUEUE_MAX_PRIORITY || priority > QUEUE_MAX_PRIORITY))
        return cli_fail(CLI_USAGE, "--priority: '%.100s' is not from -100 to 100", t->priority);
    push->job.priority = (int)priority;
    struct str until = str_of(t->unique_until);
    bool until_end = str_eq(until, STR("end"));
    if (!until_end && until.len > 0 && !str_eq(until, STR("start")))
        return cli_fail(CLI_USAGE, "--unique-until: '%.100s' is not start or end", t->unique_until);
    push->job.unique_until = until_end ? QUEUE_UNTIL_END : QUEUE_UNTIL_START;
    return CLI_DONE;
}

/* What is said of a key that is not there would be lost. */
static int check_keys(const struct cli_queue_target *t)
{
    const struct {
        const char *option, *of;
        bool is_given, has_key;
    } rows[] = {
        {"weight", "key", t->weight > 0, t->key[0]},
        {"unique-until", "unique", t->unique_until[0], t->unique[0]},
        {"unique-for", "unique", t->unique_for_ms > 0, t->unique[0]},
        {"idempotency-for", "idempotency-key", t->idempotency_ms > 0, t->idempotency_key[0]},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].is_given && !rows[i].has_key)
            return cli_fail(CLI_USAGE, "--%s is of a key: say which with --%s", rows[i].option,
                            rows[i].of);
    return CLI_DONE;
}

static int read_job(struct push *push, const struct cli_queue_target *t,
                    const struct conf_words *words)
{
    push->job = (struct queue_new){
        .kind = str_of(words->at[0]),
        .payload = str_of(words->at[1]),
        .queue = str_of(t->queue),
        .delay_ms = t->delay_ms,
        .key = str_of(t->key),
        .weight = t->weight,
        .unique_key = str_of(t->unique),
        .unique_ms = t->unique_for_ms,
        .idempotency_key = str_of(t->idempotency_key),
        .idempotency_ms = t->idempotency_ms,
        .timeout_ms = t->timeout_ms,
        .max_attempts = t->max_attempts,
        .keep_ms = t->keep_ms,
        .trace = str_of(t->trace),
    };
    int status = cli_queue_parse_time("at", t->at, &push->job.run_at_ms);
    if (status == CLI_DONE)
        status = cli_queue_parse_time("deadline", t->deadline, &push->job.deadline_ms);
    if (status == CLI_DONE)
        status = read_tags(push, t->tag);
    if (status == CLI_DONE)
        status = read_numbers(push, t);
    return status == CLI_DONE ? check_keys(t) : status;
}

/* What shall not be seen by `ps` nor stay in a shell's history. */
static int read_stdin(struct arena *a, struct str *payload)
{
    char *text = arena_alloc(a, QUEUE_MAX_PAYLOAD_BYTES + 2); // a line feed more
    size_t len = fread(text, 1, QUEUE_MAX_PAYLOAD_BYTES + 2, stdin);
    if (ferror(stdin))
        return cli_fail(CLI_FAILED, "cannot read the payload from the standard input");
    *payload = str_trim((struct str){text, len});
    return CLI_DONE;
}

static int push(struct cli_queue_call *call)
{
    const struct cli_queue_target *t = call->target;
    struct push *push = ARENA_NEW(call->arena, struct push);
    const char *why = NULL;
    int status = read_job(push, t, &call->words);
    if (status != CLI_DONE)
        return status;
    if (!read_durability(t->durability, &push->job.durability))
        return cli_fail(CLI_USAGE, "--durability is full or normal");
    if (str_eq(push->job.payload, STR("-")))
        status = read_stdin(call->arena, &push->job.payload);
    if (status != CLI_DONE)
        return status;
    if (push->job.kind.len == 0)
        return cli_fail(CLI_USAGE, "the kind is empty");
    if (push->job.payload.len > QUEUE_MAX_PAYLOAD_BYTES)
        return cli_fail(CLI_USAGE, "the payload has more than %d bytes", QUEUE_MAX_PAYLOAD_BYTES);
    if (json_scan_document(push->job.payload) != OK)
        return cli_fail(CLI_USAGE, "the payload is not JSON"); // it may be a secret
    if (queue_check(&push->job, &why) != OK)
        return cli_fail(CLI_USAGE, "%s", why);
    if (!t->is_sealed)
        return push_all(call->store, push, t->count, t->is_json);
    return push_sealed(call, push);
}

int cli_queue_push(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, true, push);
}
