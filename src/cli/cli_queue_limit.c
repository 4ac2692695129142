/* cli_queue_limit.c -- how many jobs of a queue, or of one key of it, run at once and begin in a
 * time; and how many that are over are kept. */
#include <stdio.h>

#include "cli/cli_queue.h"
#include "cli/cli_table.h"
#include "queue/queue_admin_json.h"
#include "queue/queue_admin_limit.h"

#define KEY CLI_QUEUE_TEXT("key", key, "KEY", "of the jobs with this key, instead of the queue's")

static const struct conf_option list_options[] = {CLI_QUEUE_CONFIG, CLI_QUEUE_DATA, CLI_QUEUE_JSON};
const struct conf_table cli_queue_limit_list_options = {list_options, 3};

static const struct conf_option options[] = {CLI_QUEUE_CONFIG, CLI_QUEUE_DATA, KEY, CLI_QUEUE_JSON};
const struct conf_table cli_queue_limit_options = {options, 4};

static const struct conf_option set_options[] = {
    CLI_QUEUE_CONFIG,
    CLI_QUEUE_DATA,
    KEY,
    CLI_QUEUE_TEXT("running", running, "N", "so many run at once, in all processes; 0: no limit"),
    CLI_QUEUE_TEXT("rate", rate, "N/TIME", "so many begin in a time: 10/s, 100/5m; 0: no limit"),
    CLI_QUEUE_TEXT("burst", burst, "N", "so many of the rate may come at once after a pause"),
    CLI_QUEUE_TEXT("key-running", key_running, "N", "as --running, of each key of the queue"),
    CLI_QUEUE_TEXT("key-rate", key_rate, "N/TIME", "as --rate, of each key of the queue"),
    CLI_QUEUE_TEXT("key-burst", key_burst, "N", "as --burst, of each key of the queue"),
    CLI_QUEUE_TEXT("keep-done", keep_done, "N", "so many done jobs are kept; 0: by time alone"),
    CLI_QUEUE_TEXT("keep-dead", keep_dead, "N", "so many dead jobs are kept; 0: by time alone"),
    CLI_QUEUE_TEXT("keep-dead-for", keep_dead_for, "TIME", "those that die from now on; 0: 90d"),
    CLI_QUEUE_TEXT("retry-percent", retry_percent, "N",
                   "so many retries for 100 first runs; 0: all"),
    CLI_QUEUE_JSON,
};
const struct conf_table cli_queue_limit_set_options = {set_options, sizeof(set_options) /
                                                                        sizeof(set_options[0])};

/* ---- showing ---- */

/* Below 0: null, as its queue says. */
static void add_limit(cJSON *row, const char *name, int64_t value)
{
    if (value < 0)
        cJSON_AddNullToObject(row, name);
    else
        cJSON_AddNumberToObject(row, name, (double)value);
}

static cJSON *write_key(const struct queue_admin_limit_key *key)
{
    cJSON *row = cJSON_CreateObject();
    bool has_rate = key->limits.rate >= 0;
    queue_admin_json_add(row, "key", key->name);
    add_limit(row, "max_running", key->limits.max_running);
    add_limit(row, "rate", key->limits.rate);
    add_limit(row, "rate_ms", has_rate ? key->limits.rate_ms : -1);
    add_limit(row, "burst", has_rate ? key->limits.burst : -1);
    add_limit(row, "running", key->running);
    add_limit(row, "waiting", key->waiting);
    return row;
}

static cJSON *write_limit(const struct queue_admin_limit *limit)
{
    const struct queue_limits *l = &limit->limits;
    cJSON *row = cJSON_CreateObject();
    queue_admin_json_add(row, "name", limit->queue);
    add_limit(row, "max_running", l->max_running);
    add_limit(row, "rate", l->rate);
    add_limit(row, "rate_ms", l->rate_ms);
    add_limit(row, "burst", l->burst);
    add_limit(row, "key_max_running", l->key_max_running);
    add_limit(row, "key_rate", l->key_rate);
    add_limit(row, "key_rate_ms", l->key_rate_ms);
    add_limit(row, "key_burst", l->key_burst);
    add_limit(row, "keep_done", l->keep_done);
    add_limit(row, "keep_dead", l->keep_dead);
    add_limit(row, "keep_dead_ms", l->keep_dead_ms);
    add_limit(row, "retry_percent", l->retry_percent);
    cJSON *keys = cJSON_AddArrayToObject(row, "keys");
    for (size_t i = 0; i < limit->key_count; i++)
        cJSON_AddItemToArray(keys, write_key(&limit->keys[i]));
    if (limit->has_more)
        cJSON_AddBoolToObject(row, "has_more", true);
    return row;
}

struct asking {
    struct arena *arena;
    struct str queue, key; // key empty: the queue's
    struct queue_admin_limit limit;
    struct queue_admin_limit_key own;
    struct queue_admin_limits all;
};

static enum err read_fn(struct store_tx *tx, void *arg)
{
    struct asking *a = arg;
    return a->key.len > 0 ? queue_admin_limit_get_key(tx, a->queue, a->key, a->arena, &a->own)
                          : queue_admin_limit_get(tx, a->queue, a->arena, &a->limit);
}

static enum err list_fn(struct store_tx *tx, void *arg)
{
    struct asking *a = arg;
    return queue_admin_limit_list(tx, a->arena, &a->all);
}

/* CLI_USAGE: no names of a queue and a key. */
static int read_names(const struct cli_queue_call *call, struct asking *out)
{
    const char *why = NULL;
    *out = (struct asking){
        .arena = call->arena, .queue = str_of(call->words.at[0]), .key = str_of(call->target->key)};
    const struct queue_new as_new = {.kind = STR("limit"), .queue = out->queue, .key = out->key};
    if (out->queue.len == 0)
        return cli_fail(CLI_USAGE, "the name is empty");
    return queue_check(&as_new, &why) == OK ? CLI_DONE : cli_fail(CLI_USAGE, "%s", why);
}

static int read_now(const struct cli_queue_call *call, struct asking *a)
{
    enum err err = store_read(call->store, read_fn, a);
    if (err == ERR_NOT_FOUND)
        return cli_fail(CLI_FAILED, "the key '%.*s' of the queue '%.*s' has no limits of its own",
                        STR_ARG(a->key), STR_ARG(a->queue));
    return err ? cli_fail(CLI_FAILED, "cannot read: %s", store_err_text(err)) : CLI_DONE;
}

static int print_now(const struct cli_queue_call *call, struct asking *a)
{
    int status = read_now(call, a);
    return status == CLI_DONE ? cli_queue_show_print(call, a->key.len > 0 ? write_key(&a->own)
                                                                          : write_limit(&a->limit))
                              : status;
}

static int show(struct cli_queue_call *call)
{
    struct asking a;
    int status = read_names(call, &a);
    return status == CLI_DONE ? print_now(call, &a) : status;
}

static int list(struct cli_queue_call *call)
{
    static const char *const names[] = {
        "name",     "max_running", "rate",      "rate_ms",  "burst",         "key_max_running",
        "key_rate", "keep_done",   "keep_dead", "own_keys", "retry_percent", NULL};
    struct asking a = {.arena = call->arena};
    enum err err = store_read(call->store, list_fn, &a);
    if (err)
        return cli_fail(CLI_FAILED, "cannot read: %s", store_err_text(err));
    cJSON *root = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(root, "queues");
    for (size_t i = 0; i < a.all.count; i++) {
        cJSON *row = write_limit(&a.all.at[i]);
        if (!call->target->is_json)
            cJSON_AddNumberToObject(row, "own_keys", (double)a.all.at[i].key_count);
        cJSON_AddItemToArray(rows, row);
    }
    if (a.all.has_more)
        cJSON_AddBoolToObject(root, "has_more", true);
    int status = CLI_DONE;
    if (call->target->is_json)
        status = cli_queue_print(root);
    else
        cli_table_print(rows, names);
    cJSON_Delete(root);
    return status;
}

/* ---- setting ---- */

/* What was named: below 0: nothing was. */
struct numbers {
    int64_t running, rate, rate_ms, burst, key_running, key_rate, key_rate_ms, key_burst;
    int64_t keep_done, keep_dead, keep_dead_ms, retry_percent;
};

static int read_number(const char *option, const char *text, int64_t max, int64_t *out)
{
    *out = -1;
    if (!text[0] || (str_parse_int(str_of(text), out) == OK && *out >= 0 && *out <= max))
        return CLI_DONE;
    return cli_fail(CLI_USAGE, "--%s: '%.100s' is not a number from 0 to %lld", option, text,
                    (long long)max);
}

static int read_rate(const char *option, const char *text, int64_t *jobs_out, int64_t *ms_out)
{
    *jobs_out = *ms_out = -1;
    if (!text[0] || queue_admin_limit_parse_rate(str_of(text), jobs_out, ms_out) == OK)
        return CLI_DONE;
    return cli_fail(CLI_USAGE, "--%s: '%.100s' is not a rate like 10/s or 100/5m", option, text);
}

static int read_keep(const char *text, int64_t *ms_out)
{
    *ms_out = -1;
    if (!text[0] || (conf_parse_duration(str_of(text), ms_out) == OK && *ms_out <= QUEUE_MAX_MS))
        return CLI_DONE;
    return cli_fail(CLI_USAGE, "--keep-dead-for: '%.100s' is not a time like 30d", text);
}

static int read_numbers(const struct cli_queue_target *t, struct numbers *out)
{
    const struct {
        const char *option, *text;
        int64_t max, *at;
    } rows[] = {
        {"running", t->running, INT32_MAX, &out->running},
        {"burst", t->burst, INT32_MAX, &out->burst},
        {"key-running", t->key_running, INT32_MAX, &out->key_running},
        {"key-burst", t->key_burst, INT32_MAX, &out->key_burst},
        {"keep-done", t->keep_done, QUEUE_MAX_KEEP, &out->keep_done},
        {"keep-dead", t->keep_dead, QUEUE_MAX_KEEP, &out->keep_dead},
        {"retry-percent", t->retry_percent, 100, &out->retry_percent},
    };
    int status = read_rate("rate", t->rate, &out->rate, &out->rate_ms);
    if (status == CLI_DONE)
        status = read_rate("key-rate", t->key_rate, &out->key_rate, &out->key_rate_ms);
    if (status == CLI_DONE)
        status = read_keep(t->keep_dead_for, &out->keep_dead_ms);
    bool has_any = out->rate >= 0 || out->key_rate >= 0 || out->keep_dead_ms >= 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && status == CLI_DONE; i++) {
        status = read_number(rows[i].option, rows[i].text, rows[i].max, rows[i].at);
        has_any = has_any || *rows[i].at >= 0;
    }
    if (status == CLI_DONE && !has_any)
        return cli_fail(CLI_USAGE, "say what to set: --running, --rate, ... (--help)");
    return status;
}

static void set(int *limit, int64_t number)
{
    if (number >= 0)
        *limit = (int)number;
}

static void set_ms(int64_t *limit, int64_t number)
{
    if (number >= 0)
        *limit = number;
}

struct setting {
    struct asking asking;
    struct numbers numbers;
    bool is_clearing;
    const char *lacks_rate; // the option of a burst that has no rate
};

/* A burst of no rate would say nothing. */
static enum err check_burst(struct setting *s, const char *option, int64_t burst, int rate)
{
    if (burst <= 0 || rate > 0)
        return OK;
    s->lacks_rate = option;
    return ERR_INVALID;
}

static enum err set_queue(struct store_tx *tx, struct setting *s)
{
    const struct numbers *n = &s->numbers;
    struct queue_limits l = {0};
    enum err err = s->is_clearing ? OK : queue_admin_limit_get_set(tx, s->asking.queue, &l);
    if (err)
        return err;
    if (!s->is_clearing) {
        set(&l.max_running, n->running);
        set(&l.rate, n->rate);
        set_ms(&l.rate_ms, n->rate_ms);
        set(&l.burst, n->burst);
        set(&l.key_max_running, n->key_running);
        set(&l.key_rate, n->key_rate);
        set_ms(&l.key_rate_ms, n->key_rate_ms);
        set(&l.key_burst, n->key_burst);
        set(&l.keep_done, n->keep_done);
        set(&l.keep_dead, n->keep_dead);
        set_ms(&l.keep_dead_ms, n->keep_dead_ms);
        set(&l.retry_percent, n->retry_percent);
        err = check_burst(s, "burst", n->burst, l.rate);
        if (!err)
            err = check_burst(s, "key-burst", n->key_burst, l.key_rate);
    }
    return err ? err : queue_set_limits(tx, s->asking.queue, &l);
}

static enum err set_key(struct store_tx *tx, struct setting *s)
{
    const struct asking *a = &s->asking;
    struct queue_admin_limit_key own = {.limits = {.max_running = -1, .rate = -1}};
    enum err err =
        s->is_clearing ? OK : queue_admin_limit_get_key(tx, a->queue, a->key, a->arena, &own);
    if (err && err != ERR_NOT_FOUND)
        return err;
    err = OK;
    if (!s->is_clearing) {
        set(&own.limits.max_running, s->numbers.running);
        set(&own.limits.rate, s->numbers.rate);
        set_ms(&own.limits.rate_ms, s->numbers.rate_ms);
        set(&own.limits.burst, s->numbers.burst);
        err = check_burst(s, "burst", s->numbers.burst, own.limits.rate);
    }
    return err ? err : queue_set_key_limits(tx, a->queue, a->key, &own.limits);
}

static enum err set_fn(struct store_tx *tx, void *arg)
{
    struct setting *s = arg;
    s->lacks_rate = NULL;
    return s->asking.key.len > 0 ? set_key(tx, s) : set_queue(tx, s);
}

static int write(const struct cli_queue_call *call, struct setting *s)
{
    enum err err = store_write_wait(call->store, set_fn, s);
    if (s->lacks_rate)
        return cli_fail(CLI_USAGE, "--%s is of a rate, and there is none: say which with --%s",
                        s->lacks_rate, s->lacks_rate[0] == 'k' ? "key-rate" : "rate");
    return err ? cli_fail(CLI_FAILED, "cannot write: %s", store_err_text(err)) : CLI_DONE;
}

static int set_limits(struct cli_queue_call *call)
{
    struct setting s = {.is_clearing = false};
    const struct numbers *n = &s.numbers;
    int status = read_names(call, &s.asking);
    if (status == CLI_DONE)
        status = read_numbers(call->target, &s.numbers);
    if (status != CLI_DONE)
        return status;
    bool is_of_queue = n->key_running >= 0 || n->key_rate >= 0 || n->key_burst >= 0 ||
                       n->keep_done >= 0 || n->keep_dead >= 0 || n->keep_dead_ms >= 0 ||
                       n->retry_percent >= 0;
    if (s.asking.key.len > 0 && is_of_queue)
        return cli_fail(CLI_USAGE, "a key has --running, --rate and --burst alone");
    status = write(call, &s);
    return status == CLI_DONE ? print_now(call, &s.asking) : status;
}

static int clear(struct cli_queue_call *call)
{
    struct setting s = {.is_clearing = true};
    int status = read_names(call, &s.asking);
    if (status == CLI_DONE) // of a key that is not there it would make one
        status = read_now(call, &s.asking);
    if (status == CLI_DONE)
        status = write(call, &s);
    if (status != CLI_DONE)
        return status;
    if (call->target->is_json)
        printf("{\"cleared\":true}\n");
    return CLI_DONE;
}

int cli_queue_limit_list(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, list);
}

int cli_queue_limit_show(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, show);
}

int cli_queue_limit_set(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, set_limits);
}

int cli_queue_limit_clear(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, clear);
}
