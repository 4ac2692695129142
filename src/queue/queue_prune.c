/* queue_prune.c -- forgets what was kept long enough: jobs that are over, keys, finished batches.
 *
 * Every step takes a bounded slice, by an index. Jobs go when their time is over (job.at_ms), or
 * earlier where the queue keeps only so many; keys that nothing is left of are looked at in turn,
 * each once an hour, so that using one writes nothing.
 */
#include "core/failpoint.h"
#include "queue/queue_batch.h"
#include "queue/queue_internal.h"

enum {
    SLICE = 256,
    KEY_REST_MS = 3600 * 1000, // a key is looked at so often
    KEEP_BATCH_DAYS = 90,      // after its end; as long as its dead jobs
};
static const int64_t keep_batch_ms = (int64_t)KEEP_BATCH_DAYS * 24 * 3600 * 1000;

/* ---- jobs ---- */

/* Those of a queue and a state up to the last one that goes, in the order of their ends. */
struct over {
    struct str queue;
    int state;
    int64_t at_ms, id; // of the last one
};

static enum err find_over(struct store_tx *tx, const struct over *over, int64_t *ids, size_t cap,
                          size_t *count_out)
{
    struct store_stmt *st;
    size_t count = 0;
    enum err err = store_prepare(tx,
                                 "SELECT id FROM job WHERE state > 0 AND state = $1 AND queue = $2 "
                                 "AND (at_ms, id) <= ($3, $4) ORDER BY at_ms, id LIMIT $5",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, over->state);
    store_bind_text(st, 2, over->queue);
    store_bind_int(st, 3, over->at_ms);
    store_bind_int(st, 4, over->id);
    store_bind_int(st, 5, (int64_t)cap);
    while (!(err = store_step(st)))
        ids[count++] = store_column_int(st, 0);
    *count_out = count;
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err prune_jobs(struct store_tx *tx, const struct over *over, size_t limit,
                           int64_t *count_out)
{
    int64_t ids[SLICE];
    size_t count = 0;
    enum err err = find_over(tx, over, ids, limit < SLICE ? limit : SLICE, &count);
    for (size_t i = 0; !err && i < count; i++) {
        struct queue_row row;
        err = queue_row_get(tx, ids[i], &row);
        if (!err)
            err = FAILPOINT("queue.prune",
                            queue_row_end(tx, &row, QUEUE_CANCELLED, 0, (struct str){0}));
    }
    *count_out += (int64_t)count;
    return err;
}

/* Where those above the number begin. An index is walked so far as the number says. ERR_NOT_FOUND:
 * there are no more. */
static enum err find_cut(struct store_tx *tx, int64_t keep, struct over *over)
{
    struct store_stmt *st;
    enum err err =
        store_prepare(tx,
                      "SELECT at_ms, id FROM job WHERE state > 0 AND state = $1 AND queue = $2 "
                      "ORDER BY at_ms DESC, id DESC LIMIT 1 OFFSET $3",
                      &st);
    if (err)
        return err;
    store_bind_int(st, 1, over->state);
    store_bind_text(st, 2, over->queue);
    store_bind_int(st, 3, keep);
    err = store_step(st);
    if (!err) {
        over->at_ms = store_column_int(st, 0);
        over->id = store_column_int(st, 1);
    }
    store_finish(st);
    return err;
}

static enum err prune_state(struct store_tx *tx, struct str queue, int state, int64_t keep,
                            size_t limit, int64_t *count_out)
{
    struct over over = {queue, state, store_now_ms(tx), INT64_MAX};
    enum err err = prune_jobs(tx, &over, limit, count_out);
    if (err || keep == 0)
        return err;
    err = find_cut(tx, keep, &over);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    return prune_jobs(tx, &over, limit, count_out);
}

/* ---- keys ---- */

static enum err prune_unique(struct store_tx *tx, int limit, int64_t *count_out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "DELETE FROM job_unique WHERE (key, space) IN (SELECT key, space "
                                 "FROM job_unique WHERE frees = 2 AND until_ms <= $1 LIMIT $2)",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, store_now_ms(tx));
    store_bind_int(st, 2, limit);
    return FAILPOINT("queue.prune", store_run(st, count_out));
}

static enum err find_rested(struct store_tx *tx, int64_t *ids, size_t cap, size_t *count_out)
{
    struct store_stmt *st;
    size_t count = 0;
    enum err err = store_prepare(
        tx, "SELECT id FROM job_key WHERE used_at_ms <= $1 ORDER BY used_at_ms LIMIT $2", &st);
    if (err)
        return err;
    store_bind_int(st, 1, store_now_ms(tx) - KEY_REST_MS);
    store_bind_int(st, 2, (int64_t)cap);
    while (!(err = store_step(st)))
        ids[count++] = store_column_int(st, 0);
    *count_out = count;
    return err == ERR_NOT_FOUND ? OK : err;
}

/* It has no jobs and no settings of its own, owes nothing to its rate, and has had no turn lately.
 */
static enum err is_unused(struct store_tx *tx, int64_t id, bool *out)
{
    struct store_stmt *st;
    int64_t now_ms = store_now_ms(tx);
    enum err err = store_prepare(
        tx,
        "SELECT max_running IS NULL AND rate IS NULL AND running = 0 AND next_id = 0 AND tat_us <= "
        "$2 AND NOT EXISTS (SELECT 1 FROM job_option WHERE key_id = $1) AND coalesce((SELECT "
        "max(turn) FROM job_turn WHERE key_id = $1), 0) <= $3 FROM job_key WHERE id = $1",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, now_ms * 1000);
    store_bind_int(st, 3, (now_ms - KEY_REST_MS) * QUEUE_RANKS_PER_MS);
    err = store_step(st);
    *out = !err && store_column_int(st, 0) != 0;
    store_finish(st);
    return err;
}

static enum err look_at_key(struct store_tx *tx, int64_t id)
{
    struct store_stmt *st;
    bool is_over = false;
    enum err err = is_unused(tx, id, &is_over);
    if (!err && is_over)
        err = queue_row_run(tx, "DELETE FROM job_turn WHERE key_id = $1", id);
    if (!err && is_over)
        return queue_row_run(tx, "DELETE FROM job_key WHERE id = $1", id);
    if (!err)
        err = store_prepare(tx, "UPDATE job_key SET used_at_ms = $2 WHERE id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, store_now_ms(tx));
    return store_run(st, NULL);
}

static enum err prune_keys(struct store_tx *tx, size_t limit, int64_t *count_out)
{
    int64_t ids[SLICE];
    size_t count = 0;
    enum err err = find_rested(tx, ids, limit < SLICE ? limit : SLICE, &count);
    for (size_t i = 0; !err && i < count; i++)
        err = look_at_key(tx, ids[i]);
    *count_out = (int64_t)count;
    return err;
}

/* ---- all ---- */

static void raise(int64_t *max, int64_t count)
{
    if (count > *max)
        *max = count;
}

enum err queue_prune(struct store_tx *tx, struct str name, int limit, int64_t *count_out)
{
    struct queue_limits limits;
    int64_t jobs[3] = {0}, unique = 0, keys = 0, batches = 0;
    size_t cap = (size_t)limit;
    *count_out = 0;
    enum err err = queue_get_limits(tx, name, &limits);
    if (!err)
        err = prune_state(tx, name, QUEUE_DEAD, limits.keep_dead, cap, &jobs[0]);
    if (!err)
        err = prune_state(tx, name, QUEUE_DONE_STATE, limits.keep_done, cap, &jobs[1]);
    if (!err)
        err = prune_state(tx, name, QUEUE_CANCELLED, 0, cap, &jobs[2]);
    if (!err)
        err = prune_unique(tx, limit, &unique);
    if (!err)
        err = prune_keys(tx, cap, &keys);
    if (!err)
        err = queue_batch_prune(tx, store_now_ms(tx) - keep_batch_ms, limit, &batches);
    for (int i = 0; i < 3; i++)
        raise(count_out, jobs[i]);
    raise(count_out, unique);
    raise(count_out, keys);
    raise(count_out, batches);
    return err;
}
