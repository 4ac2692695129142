/* queue_turn.c -- turns of keys: start-time fair queueing (Goyal, Vin, Cheng 1996).
 *
 * A job of a key gets a turn: the end of the key's last one, but not before the turn that is served
 * now; the key's next begins a step later, a step being 1 / weight. So a key that has waited gets
 * the very next turn, and one with a million jobs has its turns far ahead. Where nothing waits the
 * turns go on from the clock, also when they or a clock that was wrong had run ahead of it, so that
 * they keep company with the ranks of jobs without a key; what a key had before is forgotten.
 *
 * job_turn has a row for each key in a queue and a priority, and one (key_id 0) whose turn is
 * behind the last that was served there and whose last is behind the last that was given.
 */
#include "core/failpoint.h"
#include "queue/queue_internal.h"

enum err queue_turn_find_key(struct store_tx *tx, struct str queue, struct str key, int64_t *id_out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "SELECT id FROM job_key WHERE queue = $1 AND name = $2", &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_text(st, 2, key);
    return store_get_int(st, id_out);
}

static enum err add_key(struct store_tx *tx, struct str queue, struct str key, int64_t *id_out)
{
    struct store_stmt *st;
    enum err err =
        store_prepare(tx, "INSERT INTO job_key (queue, name, used_at_ms) VALUES ($1, $2, $3)", &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_text(st, 2, key);
    store_bind_int(st, 3, store_now_ms(tx));
    return FAILPOINT("queue.key", store_insert(st, id_out));
}

enum err queue_turn_key(struct store_tx *tx, struct str queue, struct str key, int weight,
                        int64_t *key_id_out)
{
    struct store_stmt *st;
    enum err err = queue_turn_find_key(tx, queue, key, key_id_out);
    if (err == ERR_NOT_FOUND)
        err = add_key(tx, queue, key, key_id_out);
    if (err || weight == 0)
        return err;
    err = store_prepare(tx, "UPDATE job_key SET weight = $2 WHERE id = $1 AND weight <> $2", &st);
    if (err)
        return err;
    store_bind_int(st, 1, *key_id_out);
    store_bind_int(st, 2, weight);
    return store_run(st, NULL);
}

/* A row that is not there is all zeros. */
static enum err read_turn(struct store_tx *tx, struct str queue, int priority, int64_t key_id,
                          int64_t *turn_out, int64_t *last_out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "SELECT turn, last FROM job_turn WHERE queue = $1 AND priority = "
                                 "$2 AND key_id = $3",
                                 &st);
    *turn_out = *last_out = 0;
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_int(st, 2, priority);
    store_bind_int(st, 3, key_id);
    err = store_step(st);
    if (!err) {
        *turn_out = store_column_int(st, 0);
        *last_out = store_column_int(st, 1);
    }
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err write_turn(struct store_tx *tx, struct str queue, int priority, int64_t key_id,
                           int64_t turn, int64_t last)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "INSERT INTO job_turn (queue, priority, key_id, turn, last) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (queue, priority, key_id) DO UPDATE SET turn = excluded.turn, last = "
        "excluded.last",
        &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_int(st, 2, priority);
    store_bind_int(st, 3, key_id);
    store_bind_int(st, 4, turn);
    store_bind_int(st, 5, last);
    return FAILPOINT("queue.turn", store_run(st, NULL));
}

static enum err ask_weight(struct store_tx *tx, int64_t key_id, int64_t *out)
{
    *out = 1;
    return queue_row_ask(tx, "SELECT weight FROM job_key WHERE id = $1", key_id, out);
}

enum err queue_turn_take(struct store_tx *tx, struct str queue, int priority, int64_t key_id,
                         int64_t *turn_out, int64_t *rank_out)
{
    int64_t served, last, next, unused, weight, now = store_now_ms(tx) * QUEUE_RANKS_PER_MS;
    enum err err = read_turn(tx, queue, priority, 0, &served, &last);
    if (!err)
        err = read_turn(tx, queue, priority, key_id, &next, &unused);
    if (!err)
        err = ask_weight(tx, key_id, &weight);
    if (err)
        return err;
    if (served >= last) // nothing waits
        served = last = now;
    bool is_owed = next < last + QUEUE_MAX_WEIGHT; // else it is of a time before nothing waited
    int64_t turn = is_owed && next > served ? next : served;
    err = write_turn(tx, queue, priority, key_id, turn + QUEUE_MAX_WEIGHT / weight, 0);
    if (!err)
        err = write_turn(tx, queue, priority, 0, served, turn >= last ? turn + 1 : last);
    *turn_out = turn;
    *rank_out = turn - (int64_t)priority * QUEUE_PRIORITY_STEP_MS * QUEUE_RANKS_PER_MS;
    return err;
}

enum err queue_turn_is_used(struct store_tx *tx, struct str queue, bool *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "SELECT 1 FROM job_turn WHERE queue = $1 LIMIT 1", &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    err = store_step(st);
    *out = err == OK;
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err queue_turn_serve(struct store_tx *tx, struct str queue, int priority, int64_t turn)
{
    struct store_stmt *st;
    enum err err =
        store_prepare(tx,
                      "UPDATE job_turn SET turn = $3 + 1 WHERE queue = $1 AND priority = $2 "
                      "AND key_id = 0 AND turn <= $3",
                      &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_int(st, 2, priority);
    store_bind_int(st, 3, turn);
    return FAILPOINT("queue.turn", store_run(st, NULL));
}
