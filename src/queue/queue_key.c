/* queue_key.c -- limits of a key: how many of its jobs run at once, and how many begin in a time.
 *
 *     enqueued, due --> WAITING --(admitted)--> READY --> RUNNING --> end, or back
 *                          ^          '--------> SCHEDULED, by the rate      |
 *                          '------------------ the next is admitted <--------'
 *
 * A job over the limit is WAITING, where no claim sees it. Whatever makes room admits the next by
 * time, in its transaction: the end of one, or (by the rate) its beginning. So nothing polls or
 * skips, and a key that may run one job at once is strictly serial. Admitted jobs have a slot
 * (job_option.has_slot), which goes with them through every crash.
 *
 * While jobs wait one is admitted: it makes room one day. A key without limits has no slots, and
 * costs a look for its row; where a limit comes later its jobs that are ready are caught when they
 * are claimed.
 */
#include "core/failpoint.h"
#include "queue/queue_internal.h"

enum {
    SLOT_COUNTED = 1, // in job_key.running
    SLOT_NEXT = 2,    // job_key.next_id: not begun yet
    ADMIT_MAX = 100,  // of a key at once, when its limit was lifted
    BUSY_MAX = 1000,  // keys that new limits of a queue are applied to at once
};

struct key {
    int64_t id, running, max_running, next_id;
    struct queue_rate rate;
};

static enum err read_key(struct store_tx *tx, int64_t id, struct key *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "SELECT running, coalesce(job_key.max_running, key_max_running, 0), next_id, "
        "coalesce(job_key.rate, key_rate, 0), CASE WHEN job_key.rate IS NULL THEN key_rate_ms ELSE "
        "job_key.rate_ms END, CASE WHEN job_key.rate IS NULL THEN key_burst ELSE job_key.burst "
        "END, job_key.tat_us FROM job_key LEFT JOIN job_queue ON job_queue.name = job_key.queue "
        "WHERE id = $1",
        &st);
    *out = (struct key){.id = id};
    if (err)
        return err;
    store_bind_int(st, 1, id);
    err = store_step(st);
    if (!err)
        *out = (struct key){
            .id = id,
            .running = store_column_int(st, 0),
            .max_running = store_column_int(st, 1),
            .next_id = store_column_int(st, 2),
            .rate = {.jobs = store_column_int(st, 3),
                     .in_ms = store_column_int(st, 4),
                     .burst = store_column_int(st, 5),
                     .tat_us = store_column_int(st, 6)},
        };
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err write_key(struct store_tx *tx, const struct key *key)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "UPDATE job_key SET running = $2, next_id = $3, tat_us = $4 WHERE id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, key->id);
    store_bind_int(st, 2, key->running);
    store_bind_int(st, 3, key->next_id);
    store_bind_int(st, 4, key->rate.tat_us);
    return FAILPOINT("queue.key", store_run(st, NULL));
}

static enum err write_slot(struct store_tx *tx, int64_t job_id, int slot)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "UPDATE job_option SET has_slot = $2, waits_for_key = 0 WHERE job_id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job_id);
    store_bind_int(st, 2, slot);
    return FAILPOINT("queue.slot", store_run(st, NULL));
}

static bool is_limited(const struct key *key)
{
    return key->max_running > 0 || key->rate.jobs > 0;
}

static bool has_room(const struct key *key)
{
    return (key->max_running == 0 || key->running < key->max_running) &&
           (key->rate.jobs == 0 || key->next_id == 0);
}

enum err queue_key_is_limited(struct store_tx *tx, int64_t key_id, bool *out)
{
    struct key key;
    enum err err = read_key(tx, key_id, &key);
    *out = is_limited(&key);
    return err;
}

/* ---- who waits ---- */

enum err queue_key_wait(struct store_tx *tx, int64_t job_id, int64_t rank)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "UPDATE job_option SET waits_for_key = 1, turn = $2 WHERE job_id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job_id);
    store_bind_int(st, 2, rank);
    return FAILPOINT("queue.slot", store_run(st, NULL));
}

/* 0: nobody. */
static enum err find_first(struct store_tx *tx, int64_t key_id, int64_t *job_id_out)
{
    *job_id_out = 0;
    return queue_row_ask(tx,
                         "SELECT job_id FROM job_option WHERE key_id = $1 AND waits_for_key = 1 "
                         "ORDER BY turn, job_id LIMIT 1",
                         key_id, job_id_out);
}

/* When the rate lets the next begin; 0: now. */
static int64_t due_by_rate(const struct store_tx *tx, const struct key *key)
{
    int64_t now_ms = store_now_ms(tx);
    int64_t due_ms = key->rate.jobs > 0 ? queue_limit_due_ms(&key->rate, now_ms) : 0;
    return due_ms > now_ms ? due_ms : 0;
}

/* One that waited where there is no limit any more is counted all the same: its end admits others.
 */
static int take_slot(struct key *key, int64_t job_id)
{
    int slot = 0;
    if (key->rate.jobs > 0) {
        slot |= SLOT_NEXT;
        key->next_id = job_id;
    }
    if (key->max_running > 0 || slot == 0) {
        slot |= SLOT_COUNTED;
        key->running++;
    }
    return slot;
}

static enum err admit(struct store_tx *tx, struct key *key, int64_t job_id)
{
    struct queue_row row;
    enum err err = queue_row_get(tx, job_id, &row);
    if (!err)
        err = write_slot(tx, job_id, take_slot(key, job_id));
    if (!err)
        err = queue_row_begin_turn(tx, &row, due_by_rate(tx, key));
    return err ? err : queue_row_save(tx, &row, (struct str){0});
}

static enum err admit_all(struct store_tx *tx, struct key *key)
{
    bool has_changed = false;
    for (int i = 0; i < ADMIT_MAX && has_room(key); i++) {
        int64_t job_id = 0;
        enum err err = find_first(tx, key->id, &job_id);
        if (!err && job_id == 0)
            break;
        if (!err)
            err = admit(tx, key, job_id);
        if (err)
            return err;
        has_changed = true;
    }
    return has_changed ? write_key(tx, key) : OK;
}

enum err queue_key_admit(struct store_tx *tx, int64_t key_id)
{
    struct key key;
    enum err err = read_key(tx, key_id, &key);
    return err ? err : admit_all(tx, &key);
}

/* ---- who has a slot ---- */

enum err queue_key_leave(struct store_tx *tx, int64_t key_id, int64_t job_id, int slot)
{
    struct store_stmt *st;
    enum err err = write_slot(tx, job_id, 0);
    if (!err && slot != 0)
        err = store_prepare(tx,
                            "UPDATE job_key SET running = running - $2, next_id = CASE WHEN "
                            "next_id = $3 THEN 0 ELSE next_id END WHERE id = $1",
                            &st);
    if (err || slot == 0)
        return err;
    store_bind_int(st, 1, key_id);
    store_bind_int(st, 2, slot & SLOT_COUNTED);
    store_bind_int(st, 3, job_id);
    return FAILPOINT("queue.key", store_run(st, NULL));
}

static enum err begin_now(struct store_tx *tx, struct key *key, struct queue_job *job)
{
    if (job->slot & SLOT_NEXT)
        key->next_id = 0;
    else if (key->max_running > 0) {
        job->slot = SLOT_COUNTED;
        key->running++;
    }
    job->slot &= ~SLOT_NEXT;
    if (key->rate.jobs > 0)
        queue_limit_note(&key->rate, store_now_ms(tx), 1);
    enum err err = write_slot(tx, job->id, job->slot);
    if (!err)
        err = write_key(tx, key);
    return err ? err : admit_all(tx, key);
}

/* It was ready before there was a limit. */
static enum err wait_instead(struct store_tx *tx, const struct queue_job *job)
{
    struct queue_row row;
    enum err err = queue_row_claimed(tx, job, &row);
    if (!err)
        err = queue_row_make_due(tx, &row, row.run_at_ms);
    return err ? err : queue_row_save(tx, &row, (struct str){0});
}

enum err queue_key_begin(struct store_tx *tx, struct queue_job *job, bool *may_out)
{
    struct key key;
    *may_out = true;
    if (job->slot == SLOT_COUNTED)
        return OK;
    enum err err = read_key(tx, job->key_id, &key);
    if (err || (job->slot == 0 && !is_limited(&key)))
        return err;
    *may_out = job->slot != 0 || (has_room(&key) && due_by_rate(tx, &key) == 0);
    return *may_out ? begin_now(tx, &key, job) : wait_instead(tx, job);
}

/* ---- settings ---- */

/* The next one's time is by the rate as it was. */
static enum err call_next_back(struct store_tx *tx, struct key *key)
{
    struct queue_row row;
    if (key->next_id == 0)
        return OK;
    enum err err = queue_row_get(tx, key->next_id, &row);
    if (err || row.state != QUEUE_SCHEDULED)
        return err;
    err = queue_row_begin_turn(tx, &row, due_by_rate(tx, key));
    return err ? err : queue_row_save(tx, &row, (struct str){0});
}

static enum err apply(struct store_tx *tx, int64_t key_id)
{
    struct key key;
    enum err err = read_key(tx, key_id, &key);
    if (!err)
        err = call_next_back(tx, &key);
    return err ? err : admit_all(tx, &key);
}

enum err queue_key_apply_limits(struct store_tx *tx, struct str queue)
{
    struct store_stmt *st;
    int64_t ids[BUSY_MAX];
    size_t count = 0;
    enum err err = store_prepare(tx,
                                 "SELECT id FROM job_key WHERE queue = $1 AND "
                                 "(running > 0 OR next_id > 0) LIMIT $2",
                                 &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_int(st, 2, BUSY_MAX);
    while (!(err = store_step(st)))
        ids[count++] = store_column_int(st, 0);
    err = err == ERR_NOT_FOUND ? OK : err;
    for (size_t i = 0; i < count && !err; i++)
        err = apply(tx, ids[i]);
    return err;
}

static void bind_limit(struct store_stmt *st, int index, int64_t value)
{
    if (value < 0)
        store_bind_null(st, index);
    else
        store_bind_int(st, index, value);
}

enum err queue_set_key_limits(struct store_tx *tx, struct str queue, struct str name,
                              const struct queue_key_limits *limits)
{
    struct store_stmt *st;
    int64_t id = 0;
    if (name.len == 0 || limits->max_running < -1 || limits->rate < -1 || limits->burst < 0 ||
        limits->rate_ms < 0 || limits->rate_ms > QUEUE_MAX_MS)
        return ERR_INVALID;
    enum err err = queue_turn_key(tx, queue, name, 0, &id);
    if (!err)
        err = store_prepare(tx,
                            "UPDATE job_key SET max_running = $2, rate = $3, rate_ms = $4, "
                            "burst = $5 WHERE id = $1",
                            &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    bind_limit(st, 2, limits->max_running);
    bind_limit(st, 3, limits->rate);
    store_bind_int(st, 4, limits->rate_ms > 0 ? limits->rate_ms : QUEUE_RATE_MS);
    store_bind_int(st, 5, limits->burst > 0 ? limits->burst : 1);
    err = store_run(st, NULL);
    return err ? err : apply(tx, id);
}
