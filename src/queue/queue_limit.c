/* queue_limit.c -- what the settings of a queue (job_queue) let it claim: pause, number, rate.
 *
 * The rate is a GCRA (ITU-T I.371): tat_us is when the next job is due by the rate alone; so many
 * of a burst may come before. A queue without settings costs one look for its row.
 */
#include "queue/queue_internal.h"

struct settings {
    int64_t paused_until_ms, max_running, rate, rate_ms, burst, tat_us;
};

static enum err read_settings(struct store_tx *tx, struct str queue, struct settings *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "SELECT paused_until_ms, max_running, rate, rate_ms, burst, "
                                 "tat_us FROM job_queue WHERE name = $1",
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
            .rate = store_column_int(st, 2),
            .rate_ms = store_column_int(st, 3),
            .burst = store_column_int(st, 4),
            .tat_us = store_column_int(st, 5),
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
    err = store_step(st);
    if (!err)
        *out = store_column_int(st, 0);
    store_finish(st);
    return err;
}

static void lower(struct queue_room *room, int64_t cap, int64_t next_ms)
{
    if (cap >= (int64_t)room->cap)
        return;
    room->cap = cap > 0 ? (size_t)cap : 0;
    room->next_ms = next_ms;
}

static void ask_rate(const struct settings *s, int64_t now_ms, struct queue_room *out)
{
    int64_t now_us = now_ms * 1000, step = s->rate_ms * 1000 / s->rate;
    int64_t burst = s->burst > 0 ? s->burst : 1;
    out->has_rate = true;
    out->step_us = step > 0 ? step : 1;
    out->tat_us = s->tat_us > now_us ? s->tat_us : now_us;
    int64_t free_us = now_us + burst * out->step_us - out->tat_us;
    int64_t due_us = out->tat_us - (burst - 1) * out->step_us;
    lower(out, free_us / out->step_us, due_us / 1000 + 1);
}

enum err queue_limit_ask(struct store_tx *tx, struct str queue, size_t cap, struct queue_room *out)
{
    struct settings s;
    int64_t running = 0;
    *out = (struct queue_room){.cap = cap};
    enum err err = read_settings(tx, queue, &s);
    if (err)
        return err;
    out->is_limited = s.max_running > 0 || s.rate > 0;
    if (s.rate > 0)
        ask_rate(&s, store_now_ms(tx), out);
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
    if (!room->has_rate || count == 0)
        return OK;
    enum err err = store_prepare(tx, "UPDATE job_queue SET tat_us = $2 WHERE name = $1", &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_int(st, 2, room->tat_us + (int64_t)count * room->step_us);
    return store_run(st, NULL);
}

/* ---- settings ---- */

enum err queue_set_limits(struct store_tx *tx, struct str name, const struct queue_limits *limits)
{
    struct store_stmt *st;
    if (limits->max_running < 0 || limits->rate < 0 || limits->burst < 0 || limits->rate_ms < 0 ||
        limits->rate_ms > QUEUE_MAX_MS)
        return ERR_INVALID;
    enum err err = store_prepare(
        tx,
        "INSERT INTO job_queue (name, max_running, rate, rate_ms, burst) VALUES ($1, $2, $3, $4, "
        "$5) ON CONFLICT (name) DO UPDATE SET max_running = excluded.max_running, rate = "
        "excluded.rate, rate_ms = excluded.rate_ms, burst = excluded.burst",
        &st);
    if (err)
        return err;
    store_bind_text(st, 1, name);
    store_bind_int(st, 2, limits->max_running);
    store_bind_int(st, 3, limits->rate);
    store_bind_int(st, 4, limits->rate_ms > 0 ? limits->rate_ms : 1000);
    store_bind_int(st, 5, limits->burst > 0 ? limits->burst : 1);
    return store_run(st, NULL);
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
    return store_run(st, NULL);
}
