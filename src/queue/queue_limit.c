/* queue_limit.c -- what the settings of a queue (job_queue) let it claim: pause, number, rate.
 *
 * The rate is a GCRA (ITU-T I.371): tat_us is when the next job is due by the rate alone; so many
 * of a burst may come before. A queue without settings costs one look for its row. Limits of its
 * keys are in queue_key.c.
 */
#include "core/failpoint.h"
#include "queue/queue_internal.h"

enum { CLOCK_STEP_US = 1000 * 1000 }; // a clock may be set back so far, and nothing begins anew

/* ---- rates ---- */

static int64_t step_us(const struct queue_rate *rate)
{
    int64_t step = rate->in_ms * 1000 / rate->jobs;
    return step > 0 ? step : 1;
}

static int64_t burst_of(const struct queue_rate *rate)
{
    return rate->burst > 0 ? rate->burst : 1;
}

/* How long so many take by the rate; so bounded that sums of it are numbers. */
static int64_t span_us(const struct queue_rate *rate, int64_t jobs)
{
    const int64_t max = INT64_MAX / 4;
    int64_t step = step_us(rate);
    return jobs < max / step ? jobs * step : max;
}

/* It is never further ahead than a burst, unless the clock was set back or the rate was another:
 * then it begins anew. */
static int64_t tat_us(const struct queue_rate *rate, int64_t now_ms)
{
    int64_t now_us = now_ms * 1000;
    int64_t last_us = now_us + span_us(rate, burst_of(rate)) + CLOCK_STEP_US;
    return rate->tat_us > now_us && rate->tat_us <= last_us ? rate->tat_us : now_us;
}

int64_t queue_limit_due_ms(const struct queue_rate *rate, int64_t now_ms)
{
    int64_t due_us = tat_us(rate, now_ms) - span_us(rate, burst_of(rate) - 1);
    return (due_us + 999) / 1000; // never too early
}

void queue_limit_note(struct queue_rate *rate, int64_t now_ms, int64_t count)
{
    rate->tat_us = tat_us(rate, now_ms) + span_us(rate, count);
}

/* ---- what may be claimed ---- */

struct settings {
    int64_t paused_until_ms, max_running, retry_percent;
    struct queue_rate rate;
};

static enum err read_settings(struct store_tx *tx, struct str queue, struct settings *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "SELECT paused_until_ms, max_running, rate, rate_ms, burst, "
                                 "tat_us, retry_percent FROM job_queue WHERE name = $1",
                                 &st);
    *out = (struct settings){0};
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    err = store_step(st);
    if (!err)
        *out = (struct settings){
            .paused_until_ms = store_column_int(st, 0),
            .max_running = store_column_int(st, 1),
            .rate = {.jobs = store_column_int(st, 2),
                     .in_ms = store_column_int(st, 3),
                     .burst = store_column_int(st, 4),
                     .tat_us = store_column_int(st, 5)},
            .retry_percent = store_column_int(st, 6),
        };
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err count_running(struct store_tx *tx, struct str queue, int64_t max, int64_t *out)
{
    struct store_stmt *st;
    enum err err =
        store_prepare(tx,
                      "SELECT count(*) FROM (SELECT 1 FROM job WHERE state > 0 AND state "
                      "= 1 AND queue = $1 LIMIT $2) AS part",
                      &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_int(st, 2, max);
    return store_get_int(st, out);
}

static void lower(struct queue_room *room, int64_t cap, int64_t next_ms)
{
    if (cap >= (int64_t)room->cap)
        return;
    room->cap = cap > 0 ? (size_t)cap : 0;
    room->next_ms = next_ms;
}

static void ask_rate(int64_t now_ms, struct queue_room *out)
{
    const struct queue_rate *rate = &out->rate;
    int64_t free_us = now_ms * 1000 + span_us(rate, burst_of(rate)) - tat_us(rate, now_ms);
    lower(out, free_us / step_us(rate), queue_limit_due_ms(rate, now_ms));
}

enum err queue_limit_ask(struct store_tx *tx, struct str queue, size_t cap, struct queue_room *out)
{
    struct settings s;
    int64_t running = 0;
    *out = (struct queue_room){.cap = cap};
    enum err err = read_settings(tx, queue, &s);
    if (err)
        return err;
    out->is_limited = s.max_running > 0 || s.rate.jobs > 0;
    out->rate = s.rate;
    out->retry_percent = (int)s.retry_percent;
    if (s.rate.jobs > 0)
        ask_rate(store_now_ms(tx), out);
    if (s.max_running > 0)
        err = count_running(tx, queue, s.max_running, &running);
    if (!err && s.max_running > 0)
        lower(out, s.max_running - running, QUEUE_WHEN_ONE_ENDS);
    if (s.paused_until_ms > store_now_ms(tx))
        lower(out, 0, s.paused_until_ms);
    return err;
}

enum err queue_limit_take(struct store_tx *tx, struct str queue, const struct queue_room *room,
                          size_t count)
{
    struct store_stmt *st;
    struct queue_rate rate = room->rate;
    if (rate.jobs == 0 || count == 0)
        return OK;
    queue_limit_note(&rate, store_now_ms(tx), (int64_t)count);
    enum err err = store_prepare(tx, "UPDATE job_queue SET tat_us = $2 WHERE name = $1", &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_int(st, 2, rate.tat_us);
    return FAILPOINT("queue.rate", store_run(st, NULL));
}

/* ---- settings ---- */

static bool is_rate(int64_t jobs, int64_t in_ms, int64_t burst)
{
    return jobs >= 0 && burst >= 0 && in_ms >= 0 && in_ms <= QUEUE_MAX_MS;
}

static bool is_kept(const struct queue_limits *limits)
{
    return limits->keep_done >= 0 && limits->keep_done <= QUEUE_MAX_KEEP &&
           limits->keep_dead >= 0 && limits->keep_dead <= QUEUE_MAX_KEEP &&
           limits->keep_dead_ms >= 0 && limits->keep_dead_ms <= QUEUE_MAX_MS;
}

static int64_t or_else(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

enum err queue_set_limits(struct store_tx *tx, struct str name, const struct queue_limits *limits)
{
    struct store_stmt *st;
    if (limits->max_running < 0 || limits->key_max_running < 0 || !is_kept(limits) ||
        !is_rate(limits->rate, limits->rate_ms, limits->burst) ||
        !is_rate(limits->key_rate, limits->key_rate_ms, limits->key_burst) ||
        limits->retry_percent < 0 || limits->retry_percent > 100)
        return ERR_INVALID;
    enum err err = store_prepare(
        tx,
        "INSERT INTO job_queue (name, max_running, rate, rate_ms, burst, key_max_running, "
        "key_rate, key_rate_ms, key_burst, keep_done_count, keep_dead_count, keep_dead_ms, "
        "retry_percent) VALUES "
        "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON "
        "CONFLICT (name) DO UPDATE SET max_running = excluded.max_running, rate = excluded.rate, "
        "rate_ms = excluded.rate_ms, burst = excluded.burst, key_max_running = "
        "excluded.key_max_running, key_rate = excluded.key_rate, key_rate_ms = "
        "excluded.key_rate_ms, key_burst = excluded.key_burst, keep_done_count = "
        "excluded.keep_done_count, keep_dead_count = excluded.keep_dead_count, keep_dead_ms = "
        "excluded.keep_dead_ms, retry_percent = excluded.retry_percent",
        &st);
    if (err)
        return err;
    store_bind_text(st, 1, name);
    store_bind_int(st, 2, limits->max_running);
    store_bind_int(st, 3, limits->rate);
    store_bind_int(st, 4, or_else(limits->rate_ms, QUEUE_RATE_MS));
    store_bind_int(st, 5, or_else(limits->burst, 1));
    store_bind_int(st, 6, limits->key_max_running);
    store_bind_int(st, 7, limits->key_rate);
    store_bind_int(st, 8, or_else(limits->key_rate_ms, QUEUE_RATE_MS));
    store_bind_int(st, 9, or_else(limits->key_burst, 1));
    store_bind_int(st, 10, limits->keep_done);
    store_bind_int(st, 11, limits->keep_dead);
    store_bind_int(st, 12, limits->keep_dead_ms);
    store_bind_int(st, 13, limits->retry_percent);
    err = FAILPOINT("queue.limit", store_run(st, NULL));
    return err ? err : queue_key_apply_limits(tx, name);
}

enum err queue_get_limits(struct store_tx *tx, struct str name, struct queue_limits *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "SELECT max_running, rate, rate_ms, burst, key_max_running, key_rate, key_rate_ms, "
        "key_burst, keep_done_count, keep_dead_count, keep_dead_ms, retry_percent FROM job_queue "
        "WHERE name = $1",
        &st);
    *out = (struct queue_limits){.rate_ms = QUEUE_RATE_MS,
                                 .burst = 1,
                                 .key_rate_ms = QUEUE_RATE_MS,
                                 .key_burst = 1,
                                 .keep_dead_ms = QUEUE_KEEP_DEAD_MS};
    if (err)
        return err;
    store_bind_text(st, 1, name);
    err = store_step(st);
    if (!err)
        *out = (struct queue_limits){
            .max_running = (int)store_column_int(st, 0),
            .rate = (int)store_column_int(st, 1),
            .rate_ms = store_column_int(st, 2),
            .burst = (int)store_column_int(st, 3),
            .key_max_running = (int)store_column_int(st, 4),
            .key_rate = (int)store_column_int(st, 5),
            .key_rate_ms = store_column_int(st, 6),
            .key_burst = (int)store_column_int(st, 7),
            .keep_done = (int)store_column_int(st, 8),
            .keep_dead = (int)store_column_int(st, 9),
            .keep_dead_ms = or_else(store_column_int(st, 10), QUEUE_KEEP_DEAD_MS),
            .retry_percent = (int)store_column_int(st, 11),
        };
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err queue_pause(struct store_tx *tx, struct str name, int64_t until_ms)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "INSERT INTO job_queue (name, paused_until_ms) VALUES ($1, $2) ON "
                                 "CONFLICT (name) DO UPDATE SET paused_until_ms = "
                                 "excluded.paused_until_ms",
                                 &st);
    if (err)
        return err;
    store_bind_text(st, 1, name);
    store_bind_int(st, 2, until_ms);
    return FAILPOINT("queue.pause", store_run(st, NULL));
}
