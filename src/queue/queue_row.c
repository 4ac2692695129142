/* queue_row.c -- what happens to the row of a job, and to what it has in other tables, when it goes
 * back or ends.
 *
 * A row is read, changed and written in one transaction. Plain jobs, which are most, do not come
 * here: their acknowledgement is one statement (queue.c).
 */
#include <stdio.h>

#include "core/failpoint.h"
#include "core/utf8.h"
#include "queue/queue_batch.h"
#include "queue/queue_internal.h"

enum { FIRST_ERRORS = 3, LAST_ERRORS = 5, MAX_ERROR_BYTES = 1000 };

enum err queue_row_run(struct store_tx *tx, const char *sql, int64_t value)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, sql, &st);
    if (err)
        return err;
    store_bind_int(st, 1, value);
    return store_run(st, NULL);
}

enum err queue_row_ask(struct store_tx *tx, const char *sql, int64_t value, int64_t *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, sql, &st);
    if (err)
        return err;
    store_bind_int(st, 1, value);
    err = store_get_int(st, out);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* ---- the row ---- */

static void keep_text(struct store_stmt *st, int column, char *out, size_t cap)
{
    struct str text = store_column_text(st, column);
    snprintf(out, cap, "%.*s", STR_ARG(text));
}

enum err queue_row_get(struct store_tx *tx, int64_t id, struct queue_row *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "SELECT epoch, run_at_ms, at_ms, rank, state, attempt, crash, options, queue, "
        "unique_key FROM job WHERE id = $1",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    err = store_step(st);
    if (err)
        return err;
    *out = (struct queue_row){
        .id = id,
        .epoch = store_column_int(st, 0),
        .run_at_ms = store_column_int(st, 1),
        .at_ms = store_column_int(st, 2),
        .rank = store_column_int(st, 3),
        .state = (enum queue_state)store_column_int(st, 4),
        .attempt = (int)store_column_int(st, 5),
        .crash = (int)store_column_int(st, 6),
        .options = (int)store_column_int(st, 7),
    };
    keep_text(st, 8, out->queue, sizeof(out->queue));
    keep_text(st, 9, out->unique_key, sizeof(out->unique_key));
    store_finish(st);
    return OK;
}

enum err queue_row_claimed(struct store_tx *tx, const struct queue_job *job, struct queue_row *out)
{
    enum err err = queue_row_get(tx, job->id, out);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_CONFLICT : err;
    // one that was held may have been claimed by its row since
    bool is_ours = out->state == QUEUE_RUNNING || (job->is_held && out->state == QUEUE_READY);
    return out->epoch == job->epoch && is_ours ? OK : ERR_CONFLICT;
}

enum err queue_row_save(struct store_tx *tx, const struct queue_row *row, struct str why)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "UPDATE job SET epoch = $2, run_at_ms = $3, at_ms = $4, rank = $5, state = $6, attempt = "
        "$7, crash = $8, options = $9, last_error = coalesce($10, last_error) WHERE id = $1",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, row->id);
    store_bind_int(st, 2, row->epoch);
    store_bind_int(st, 3, row->run_at_ms);
    store_bind_int(st, 4, row->at_ms);
    store_bind_int(st, 5, row->rank);
    store_bind_int(st, 6, row->state);
    store_bind_int(st, 7, row->attempt);
    store_bind_int(st, 8, row->crash);
    store_bind_int(st, 9, row->options);
    store_bind_text(st, 10, utf8_cut(why, MAX_ERROR_BYTES));
    err = FAILPOINT("queue.save", store_run(st, NULL));
    return err || row->moved_key == 0 ? err : queue_key_admit(tx, row->moved_key);
}

/* ---- errors ---- */

static enum err ask_last_error(struct store_tx *tx, int64_t job_id, int64_t *out)
{
    return queue_row_ask(tx, "SELECT max(n) FROM job_error WHERE job_id = $1", job_id, out);
}

static enum err drop_errors_between(struct store_tx *tx, int64_t job_id, int64_t last)
{
    struct store_stmt *st;
    enum err err =
        store_prepare(tx, "DELETE FROM job_error WHERE job_id = $1 AND n > $2 AND n <= $3", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job_id);
    store_bind_int(st, 2, FIRST_ERRORS);
    store_bind_int(st, 3, last - LAST_ERRORS);
    return store_run(st, NULL);
}

enum err queue_row_note(struct store_tx *tx, struct queue_row *row, const char *class,
                        struct str text)
{
    struct store_stmt *st;
    int64_t last = 0;
    enum err err = ask_last_error(tx, row->id, &last);
    if (!err)
        err = store_prepare(tx,
                            "INSERT INTO job_error (job_id, n, attempt, at_ms, class, text) "
                            "VALUES ($1, $2, $3, $4, $5, $6)",
                            &st);
    if (err)
        return err;
    store_bind_int(st, 1, row->id);
    store_bind_int(st, 2, last + 1);
    store_bind_int(st, 3, row->attempt);
    store_bind_int(st, 4, store_now_ms(tx));
    store_bind_text(st, 5, str_of(class));
    store_bind_text(st, 6, text.at ? utf8_cut(text, MAX_ERROR_BYTES) : STR(""));
    err = FAILPOINT("queue.note", store_run(st, NULL));
    if (!err)
        err = drop_errors_between(tx, row->id, last + 1);
    row->options |= QUEUE_HAS_ERRORS;
    return err;
}

/* ---- keys ---- */

enum err queue_row_holder(struct store_tx *tx, struct str key, int space, int64_t *job_id_out)
{
    struct store_stmt *st;
    *job_id_out = 0;
    enum err err = store_prepare(tx,
                                 "SELECT job_id FROM job_unique WHERE key = $1 AND space = $2 AND "
                                 "(frees < 2 OR until_ms > $3)",
                                 &st);
    if (err)
        return err;
    store_bind_text(st, 1, key);
    store_bind_int(st, 2, space);
    store_bind_int(st, 3, store_now_ms(tx));
    err = store_get_int(st, job_id_out);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err queue_row_take_key(struct store_tx *tx, struct str key, int space, int64_t job_id,
                            int frees, int64_t until_ms)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "INSERT INTO job_unique (key, space, job_id, frees, until_ms) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (key, space) DO UPDATE SET job_id = excluded.job_id, frees = excluded.frees, "
        "until_ms = excluded.until_ms",
        &st);
    if (err)
        return err;
    store_bind_text(st, 1, key);
    store_bind_int(st, 2, space);
    store_bind_int(st, 3, job_id);
    store_bind_int(st, 4, frees);
    store_bind_int(st, 5, until_ms);
    return FAILPOINT("queue.unique", store_run(st, NULL));
}

/* Of a job that begins or ends: what is still to come of the key's window stays. */
static enum err free_key(struct store_tx *tx, struct str key, int64_t job_id, int frees)
{
    static const char *const sql[] = {
        "UPDATE job_unique SET frees = 2 WHERE key = $1 AND space = 0 AND job_id = $2 AND "
        "frees <= $3 AND until_ms > $4",
        "DELETE FROM job_unique WHERE key = $1 AND space = 0 AND job_id = $2 AND frees <= $3 AND "
        "until_ms <= $4",
    };
    for (int i = 0; i < 2; i++) {
        struct store_stmt *st;
        int64_t changes = 0;
        enum err err = store_prepare(tx, sql[i], &st);
        if (err)
            return err;
        store_bind_text(st, 1, key);
        store_bind_int(st, 2, job_id);
        store_bind_int(st, 3, frees);
        store_bind_int(st, 4, store_now_ms(tx));
        err = FAILPOINT("queue.unique", store_run(st, &changes));
        if (err || changes > 0)
            return err;
    }
    return OK;
}

enum err queue_row_free_key_at_start(struct store_tx *tx, struct str key, int64_t job_id)
{
    return free_key(tx, key, job_id, QUEUE_FREES_AT_START);
}

enum err queue_row_take_key_back(struct store_tx *tx, const struct queue_row *row)
{
    struct str key = str_of(row->unique_key);
    int frees = row->options & QUEUE_HOLDS_KEY ? QUEUE_FREES_AT_END : QUEUE_FREES_AT_START;
    struct store_stmt *st;
    int64_t holder = 0;
    if (key.len == 0)
        return OK;
    enum err err = queue_row_holder(tx, key, QUEUE_SPACE_UNIQUE, &holder);
    if (err)
        return err;
    if (holder == 0)
        return queue_row_take_key(tx, key, QUEUE_SPACE_UNIQUE, row->id, frees, 0);
    if (holder != row->id)
        return ERR_CONFLICT;
    // by its window, which stays as it is
    err = store_prepare(tx, "UPDATE job_unique SET frees = $2 WHERE key = $1 AND space = 0", &st);
    if (err)
        return err;
    store_bind_text(st, 1, key);
    store_bind_int(st, 2, frees);
    return store_run(st, NULL);
}

/* For a job that goes back: its key was freed when it began. ERR_NOT_FOUND: another has it now. */
static enum err take_key_again(struct store_tx *tx, const struct queue_row *row)
{
    if (row->options & QUEUE_HOLDS_KEY)
        return OK;
    enum err err = queue_row_take_key_back(tx, row);
    return err == ERR_CONFLICT ? ERR_NOT_FOUND : err;
}

/* ---- back, or over ---- */

/* What belongs to a job, by the option that says so. */
static enum err drop_rest(struct store_tx *tx, const struct queue_row *row)
{
    static const struct {
        int option;
        const char *sql;
    } tables[] = {
        {QUEUE_HAS_OPTION, "DELETE FROM job_option WHERE job_id = $1"},
        {QUEUE_HAS_TAGS, "DELETE FROM job_tag WHERE job_id = $1"},
        {QUEUE_HAS_ERRORS, "DELETE FROM job_error WHERE job_id = $1"},
        {QUEUE_HAS_RUN, "DELETE FROM job_run WHERE job_id = $1"},
        {QUEUE_HAS_LOG, "DELETE FROM job_log WHERE job_id = $1"},
        {QUEUE_HAS_STEPS, "DELETE FROM job_step WHERE job_id = $1"},
        {QUEUE_IN_FLOW, "DELETE FROM job_need WHERE job_id = $1"},
    };
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (!(row->options & tables[i].option))
            continue;
        enum err err = queue_row_run(tx, tables[i].sql, row->id);
        if (err)
            return err;
    }
    return OK;
}

struct wish {
    int64_t priority, key_id;
    int slot;
    bool waits_for_key;
};

static enum err read_wish(struct store_tx *tx, const struct queue_row *row, struct wish *out)
{
    struct store_stmt *st;
    *out = (struct wish){0};
    if (!(row->options & QUEUE_HAS_OPTION))
        return OK;
    enum err err = store_prepare(tx,
                                 "SELECT priority, key_id, has_slot, waits_for_key FROM "
                                 "job_option WHERE job_id = $1",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, row->id);
    err = store_step(st);
    if (!err)
        *out = (struct wish){store_column_int(st, 0), store_column_int(st, 1),
                             (int)store_column_int(st, 2), store_column_int(st, 3) != 0};
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* The next of its key is admitted when the row is written. */
static enum err leave(struct store_tx *tx, struct queue_row *row, const struct wish *wish)
{
    if (wish->slot == 0 && !wish->waits_for_key)
        return OK;
    row->moved_key = wish->key_id;
    return queue_key_leave(tx, wish->key_id, row->id, wish->slot);
}

static enum err leave_key(struct store_tx *tx, struct queue_row *row)
{
    struct wish wish;
    if (!(row->options & QUEUE_HAS_TURN))
        return OK;
    enum err err = read_wish(tx, row, &wish);
    return err ? err : leave(tx, row, &wish);
}

enum err queue_row_waits_for_key(struct store_tx *tx, const struct queue_row *row, bool *out)
{
    struct wish wish;
    enum err err = read_wish(tx, row, &wish);
    *out = wish.waits_for_key;
    return err;
}

static enum err drop(struct store_tx *tx, const struct queue_row *row)
{
    enum err err = FAILPOINT("queue.drop_rest", drop_rest(tx, row));
    if (!err)
        err = FAILPOINT("queue.drop", queue_row_run(tx, "DELETE FROM job WHERE id = $1", row->id));
    return err || row->moved_key == 0 ? err : queue_key_admit(tx, row->moved_key);
}

static enum err note_end(struct store_tx *tx, struct queue_row *row)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "INSERT INTO job_run (job_id, finished_at_ms) VALUES ($1, $2) ON "
                                 "CONFLICT (job_id) DO UPDATE SET finished_at_ms = "
                                 "excluded.finished_at_ms",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, row->id);
    store_bind_int(st, 2, store_now_ms(tx));
    row->options |= QUEUE_HAS_RUN;
    return FAILPOINT("queue.end", store_run(st, NULL));
}

enum err queue_row_end(struct store_tx *tx, struct queue_row *row, enum queue_state state,
                       int64_t keep_ms, struct str why)
{
    bool moves_others = (row->options & QUEUE_IN_FLOW) && !queue_row_is_over(row);
    enum err err = moves_others ? queue_batch_ended(tx, row, state) : OK;
    return err ? err : queue_row_close(tx, row, state, keep_ms, why);
}

enum err queue_row_bury(struct store_tx *tx, struct queue_row *row, struct str why)
{
    struct queue_limits limits;
    enum err err = queue_get_limits(tx, str_of(row->queue), &limits);
    return err ? err : queue_row_end(tx, row, QUEUE_DEAD, limits.keep_dead_ms, why);
}

enum err queue_row_close(struct store_tx *tx, struct queue_row *row, enum queue_state state,
                         int64_t keep_ms, struct str why)
{
    enum err err = row->unique_key[0]
                       ? free_key(tx, str_of(row->unique_key), row->id, QUEUE_FREES_AT_END)
                       : OK;
    if (!err)
        err = leave_key(tx, row);
    if (err)
        return err;
    if (keep_ms <= 0)
        return drop(tx, row);
    err = note_end(tx, row);
    row->state = state;
    row->epoch++; // whoever still runs it is too late
    row->at_ms = store_now_ms(tx) + keep_ms;
    return err ? err : queue_row_save(tx, row, why);
}

/* Its rank is as of a job without a key, which is its place among those that wait. */
static enum err wait_for_key(struct store_tx *tx, struct queue_row *row, int64_t key_id)
{
    row->state = QUEUE_WAITING;
    row->moved_key = key_id;
    return queue_key_wait(tx, row->id, row->rank);
}

static enum err take_turn(struct store_tx *tx, struct queue_row *row, const struct wish *wish)
{
    struct store_stmt *st;
    int64_t turn;
    enum err err = queue_turn_take(tx, str_of(row->queue), (int)wish->priority, wish->key_id, &turn,
                                   &row->rank);
    if (!err)
        err = store_prepare(tx, "UPDATE job_option SET turn = $2 WHERE job_id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, row->id);
    store_bind_int(st, 2, turn);
    return store_run(st, NULL);
}

enum err queue_row_make_due(struct store_tx *tx, struct queue_row *row, int64_t run_at_ms)
{
    struct wish wish;
    enum err err = read_wish(tx, row, &wish);
    bool is_due = run_at_ms <= store_now_ms(tx);
    row->state = is_due ? QUEUE_READY : QUEUE_SCHEDULED;
    row->run_at_ms = run_at_ms;
    row->at_ms = is_due ? 0 : run_at_ms;
    row->rank = (run_at_ms - wish.priority * QUEUE_PRIORITY_STEP_MS) * QUEUE_RANKS_PER_MS;
    if (err || wish.key_id == 0)
        return err;
    if (!is_due)
        return leave(tx, row, &wish);
    bool is_limited = false;
    if (wish.slot == 0)
        err = queue_key_is_limited(tx, wish.key_id, &is_limited);
    if (err)
        return err;
    return is_limited ? wait_for_key(tx, row, wish.key_id) : take_turn(tx, row, &wish);
}

enum err queue_row_begin_turn(struct store_tx *tx, struct queue_row *row, int64_t due_ms)
{
    struct wish wish;
    row->state = due_ms > 0 ? QUEUE_SCHEDULED : QUEUE_READY;
    row->at_ms = due_ms;
    enum err err = read_wish(tx, row, &wish);
    return err || due_ms > 0 ? err : take_turn(tx, row, &wish);
}

/* ERR_NOT_FOUND: no, another does its work or nobody wants it any more. */
static enum err may_go_back(struct store_tx *tx, const struct queue_row *row)
{
    bool is_cancelled = false;
    enum err err = OK;
    if (row->options & QUEUE_IN_FLOW)
        err = queue_batch_is_cancelled(tx, row->id, &is_cancelled);
    if (err || is_cancelled)
        return err ? err : ERR_NOT_FOUND;
    return take_key_again(tx, row);
}

enum err queue_row_is_cancelled(struct store_tx *tx, const struct queue_row *row, bool *out)
{
    int64_t at_ms = 0;
    enum err err = OK;
    if (row->options & QUEUE_HAS_RUN)
        err = queue_row_ask(tx, "SELECT cancel_at_ms FROM job_run WHERE job_id = $1", row->id,
                            &at_ms);
    *out = at_ms != 0;
    return err;
}

enum err queue_row_put_back(struct store_tx *tx, struct queue_row *row, int64_t run_at_ms)
{
    bool is_unwanted = false;
    enum err err = queue_row_is_cancelled(tx, row, &is_unwanted);
    if (!err && is_unwanted) {
        err = queue_row_end(tx, row, QUEUE_CANCELLED, QUEUE_KEEP_CANCELLED_MS,
                            STR("cancelled by an operator"));
        return err ? err : ERR_NOT_FOUND;
    }
    if (!err)
        err = leave_key(tx, row);
    if (!err)
        err = may_go_back(tx, row);
    if (err == ERR_NOT_FOUND) {
        err = queue_row_end(tx, row, QUEUE_CANCELLED, 0, (struct str){0});
        return err ? err : ERR_NOT_FOUND;
    }
    return err ? err : queue_row_make_due(tx, row, run_at_ms);
}
