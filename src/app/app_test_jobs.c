#include "app/app_test_jobs.h"

#include <signal.h>
#include <time.h>

#include "core/clock.h"
#include "core/json.h"

/* Quick, so that tests need not wait: 20 tries end within two seconds or so. */
enum { BACKOFF_MS = 20, BACKOFF_CAP_MS = 200, MAX_SLEEP_MS = 24 * 3600 * 1000, NAP_MS = 100 };

/* ---- payloads ---- */

/* What a job's payload says, in its arena. */
struct order {
    struct json_slice id; // text.at == NULL: none
    struct json_slice signal;
    int64_t sleep_ms, times;
};

static enum err read_int(const struct json_field *fields, size_t count, struct str name,
                         int64_t max, int64_t *out)
{
    const struct json_slice *value = json_field_find(fields, count, name);
    if (!value)
        return OK;
    enum err err = json_slice_int(value, out);
    return !err && (*out < 0 || *out > max) ? ERR_INVALID : err;
}

static enum err read_order(struct str payload, struct order *out, struct str *why_out)
{
    struct json_field fields[JSON_MAX_FIELDS];
    size_t count = 0;
    *out = (struct order){0};
    enum err err = json_scan_object(payload, fields, JSON_MAX_FIELDS, &count);
    if (!err)
        err = read_int(fields, count, STR("sleep_ms"), MAX_SLEEP_MS, &out->sleep_ms);
    if (!err)
        err = read_int(fields, count, STR("ms"), MAX_SLEEP_MS, &out->sleep_ms);
    if (!err)
        err = read_int(fields, count, STR("times"), INT64_MAX, &out->times);
    if (err) {
        *why_out = STR("the payload is not as this kind wants it");
        return err;
    }
    const struct json_slice *id = json_field_find(fields, count, STR("id"));
    const struct json_slice *signal = json_field_find(fields, count, STR("signal"));
    if (id)
        out->id = *id;
    if (signal)
        out->signal = *signal;
    return OK;
}

/* ERR_TIMEOUT: nobody wants it any more. */
static enum err sleep_for(const struct queue_job *job, int64_t ms)
{
    int64_t end_ms = clock_mono_ms() + ms;
    for (int64_t left; (left = end_ms - clock_mono_ms()) > 0;) {
        if (queue_is_given_up(job))
            return ERR_TIMEOUT;
        int64_t nap_ms = left < NAP_MS ? left : NAP_MS;
        const struct timespec nap = {0, nap_ms * 1000000};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
    }
    return OK;
}

/* ---- test.effect ---- */

static enum err run_effect(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct order *order = ARENA_NEW(&job->arena, struct order);
    (void)ctx;
    enum err err = read_order(job->payload, order, why_out);
    if (err)
        return err;
    if (order->id.kind != JSON_STRING && order->id.kind != JSON_NUMBER) {
        *why_out = STR("the payload has no id");
        return ERR_INVALID;
    }
    job->user = order;
    return sleep_for(job, order->sleep_ms);
}

static enum err commit_effect(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    const struct order *order = job->user;
    struct store_stmt *st;
    struct str text = {0};
    int64_t number = 0;
    (void)ctx;
    enum err err =
        store_prepare(tx, "INSERT INTO test_effect (job_id, id, at) VALUES ($1, $2, $3)", &st);
    if (!err && order->id.kind == JSON_STRING)
        err = json_unescape(&order->id, &job->arena, &text);
    if (err)
        return err;
    store_bind_int(st, 1, job->id);
    if (order->id.kind == JSON_STRING)
        store_bind_text(st, 2, text);
    else if (json_slice_int(&order->id, &number) == OK)
        store_bind_int(st, 2, number);
    else
        store_bind_text(st, 2, order->id.text);
    store_bind_int(st, 3, store_now_ms(tx));
    return store_run(st, NULL);
}

/* ---- test.fail, test.sleep ---- */

static enum err run_fail(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct order order;
    (void)ctx;
    enum err err = read_order(job->payload, &order, why_out);
    if (err || job->attempt >= order.times)
        return err;
    *why_out =
        arena_printf(&job->arena, "failure %d of %lld", job->attempt + 1, (long long)order.times);
    return ERR_IO;
}

static enum err run_sleep(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct order order;
    (void)ctx;
    enum err err = read_order(job->payload, &order, why_out);
    return err ? err : sleep_for(job, order.sleep_ms);
}

/* ---- test.crash ---- */

/* 9, "9", "KILL", "SIGKILL"; none: SIGKILL. 0: there is no such signal. */
static int signal_of(const struct json_slice *slice, struct arena *a)
{
    struct str name = slice->text;
    int64_t number = 0;
    if (!name.at)
        return SIGKILL;
    if (slice->kind == JSON_STRING && json_unescape(slice, a, &name) != OK)
        return 0;
    if (str_parse_int(name, &number) == OK)
        return number > 0 && number < NSIG ? (int)number : 0;
    if (str_starts(name, STR("SIG")))
        name = (struct str){name.at + 3, name.len - 3};
    for (int i = 1; i < NSIG; i++) {
        const char *abbreviation = sigabbrev_np(i);
        if (abbreviation && str_eq(str_of(abbreviation), name))
            return i;
    }
    return 0;
}

static enum err run_crash(struct runner_call *call, struct str *why_out)
{
    struct order order;
    enum err err = read_order(call->payload, &order, why_out);
    int number = err ? 0 : signal_of(&order.signal, &call->arena);
    if (number == 0) {
        *why_out = STR("there is no such signal");
        return ERR_INVALID;
    }
    runner_code_progress(call, 50, STR("about to crash"));
    (void)raise(number);
    *why_out = STR("the signal ends no process");
    return ERR_INVALID;
}

/* ---- the table ---- */

const struct queue_handler app_test_jobs[] = {
    {.kind = "test.effect", .run = run_effect, .commit = commit_effect},
    {.kind = "test.fail",
     .run = run_fail,
     .backoff_ms = BACKOFF_MS,
     .backoff_cap_ms = BACKOFF_CAP_MS},
    {.kind = "test.sleep", .run = run_sleep},
};
const size_t app_test_jobs_count = sizeof(app_test_jobs) / sizeof(app_test_jobs[0]);

static const char *const crash_kinds[] = {"test.crash"};
const struct runner_handler app_test_jobs_crash = {
    .kinds = crash_kinds, .kind_count = 1, .code = run_crash};

static enum err make_table(struct store_tx *tx, void *arg)
{
    struct store_stmt *st;
    (void)arg;
    // id without a type: a text or a number, as the payload has it
    enum err err = store_prepare(tx,
                                 "CREATE TABLE IF NOT EXISTS test_effect "
                                 "(job_id INTEGER NOT NULL, id NOT NULL, at INTEGER NOT NULL)",
                                 &st);
    return err ? err : store_run(st, NULL);
}

enum err app_test_jobs_start(struct store *store)
{
    return store_write_wait(store, make_table, NULL);
}

static enum err find_table(struct store_tx *tx, void *arg)
{
    bool *is_there = arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx, "SELECT 1 FROM sqlite_master WHERE name = 'test_effect'", &st);
    if (err)
        return err;
    err = store_step(st);
    *is_there = !err;
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err app_test_jobs_find(struct store *store, bool *out)
{
    return store_read(store, find_table, out);
}
