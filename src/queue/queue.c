/* queue.c -- jobs in the database: claim, acknowledge, fail. queue_enqueue.c makes them,
 * queue_row.c has what most changes share, queue_prune.c forgets them, queue_worker.c runs them,
 * with queue_look.c and queue_keeper.c.
 *
 * Every change of a running job names its epoch and the state RUNNING; a row that is not hit says
 * that the job is somebody else's by now, and the caller's transaction goes back.
 */
#include "queue/queue.h"

#include <stdlib.h>

#include "core/check.h"
#include "core/failpoint.h"
#include "queue/queue_internal.h"

enum { SLICE = 256 }; // rows that one step of a recovery or a timer takes

/* ---- the clock: leases that are over, jobs that are due ---- */

/* Runs a statement whose parameters are integers; changes_out may be NULL. */
static enum err change(struct store_tx *tx, const char *sql, const int64_t *values, int count,
                       int64_t *changes_out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, sql, &st);
    if (err)
        return err;
    for (int i = 0; i < count; i++)
        store_bind_int(st, i + 1, values[i]);
    return store_run(st, changes_out);
}

/* Up to SLICE numbers. sql takes the queue's name, a value and the limit. */
static enum err find_some(struct store_tx *tx, const char *sql, struct str name, int64_t value,
                          int64_t *ids, size_t *count_out)
{
    struct store_stmt *st;
    size_t count = 0;
    enum err err = store_prepare(tx, sql, &st);
    if (err)
        return err;
    store_bind_text(st, 1, name.at ? name : STR(""));
    store_bind_int(st, 2, value);
    store_bind_int(st, 3, SLICE);
    while (!(err = store_step(st)))
        ids[count++] = store_column_int(st, 0);
    *count_out = count;
    return err == ERR_NOT_FOUND ? OK : err;
}

/* How far it was is known of those that tell their progress. */
static enum err describe_death(struct store_tx *tx, const struct queue_row *row, struct arena *a,
                               struct str *out)
{
    struct store_stmt *st;
    *out = STR("the process died while it ran");
    if (!(row->options & QUEUE_HAS_RUN))
        return OK;
    enum err err = store_prepare(
        tx, "SELECT progress_text FROM job_run WHERE job_id = $1 AND progress_text <> ''", &st);
    if (err)
        return err;
    store_bind_int(st, 1, row->id);
    err = store_step(st);
    if (!err)
        *out = arena_printf(a, "%.*s, at %.*s", STR_ARG(*out), STR_ARG(store_column_text(st, 0)));
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err bury_poison(struct store_tx *tx, struct queue_row *row, struct str why)
{
    struct arena a;
    arena_init(&a);
    enum err err = queue_row_bury(tx, row, arena_printf(&a, "poison: %.*s", STR_ARG(why)));
    arena_done(&a);
    return err;
}

static enum err put_back_dead(struct store_tx *tx, struct queue_row *row, struct str why)
{
    int64_t run_at_ms = row->run_at_ms, rank = row->rank;
    row->crash++;
    enum err err = queue_row_note(tx, row, "crash", why);
    if (err)
        return err;
    if (row->crash >= QUEUE_MAX_CRASHES)
        return bury_poison(tx, row, why);
    err = queue_row_put_back(tx, row, run_at_ms);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    row->rank = rank;
    return queue_row_save(tx, row, (struct str){0});
}

static enum err recover(struct store_tx *tx, int64_t id)
{
    struct queue_row row;
    struct arena a;
    struct str why;
    enum err err = queue_row_get(tx, id, &row);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err; // a twin's, dropped by an earlier one
    arena_init(&a);
    err = describe_death(tx, &row, &a, &why);
    if (!err)
        err = put_back_dead(tx, &row, why);
    arena_done(&a);
    return err;
}

/* sql as for find_some. */
static enum err recover_all(struct store_tx *tx, const char *sql, struct str name, int64_t value)
{
    int64_t ids[SLICE];
    size_t count = SLICE;
    while (count == SLICE) {
        enum err err = find_some(tx, sql, name, value, ids, &count);
        for (size_t i = 0; !err && i < count; i++)
            err = FAILPOINT("queue.recover", recover(tx, ids[i]));
        if (err)
            return err;
    }
    return OK;
}

// Of two with one unique key the newest does the work.
enum err queue_recover(struct store_tx *tx, struct str name, int64_t then_ms)
{
    return recover_all(
        tx,
        "SELECT id FROM job WHERE state > 0 AND state = 1 AND ($1 = '' OR queue = $1) "
        "AND at_ms <= $2 ORDER BY id DESC LIMIT $3",
        name, then_ms);
}

enum err queue_recover_claims(struct store_tx *tx, struct str name, int64_t claimer)
{
    return recover_all(tx,
                       "SELECT id FROM job WHERE state > 0 AND state = 1 AND queue = $1 "
                       "AND claimer = $2 ORDER BY id DESC LIMIT $3",
                       name, claimer);
}

enum err queue_list_claimers(struct store_tx *tx, struct str name, int64_t after, int64_t *out,
                             size_t *count_out)
{
    _Static_assert((int)SLICE == (int)QUEUE_CLAIMERS, "as find_some has it");
    return find_some(tx,
                     "SELECT DISTINCT claimer FROM job WHERE state > 0 AND state = 1 AND queue = "
                     "$1 AND claimer > $2 ORDER BY claimer LIMIT $3",
                     name, after, out, count_out);
}

/* The one integer of a query, 0 when it is NULL. name: its $1, or at == NULL: it has none. */
static enum err ask(struct store_tx *tx, const char *sql, struct str name, int64_t *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, sql, &st);
    if (err)
        return err;
    if (name.at)
        store_bind_text(st, 1, name);
    return store_get_int(st, out);
}

static void job_of_row(struct store_stmt *st, struct queue_job *job)
{
    *job = (struct queue_job){
        .id = store_column_int(st, 0),
        .epoch = store_column_int(st, 3),
        .attempt = (int)store_column_int(st, 4),
        .created_at_ms = store_column_int(st, 5),
        .run_at_ms = store_column_int(st, 6),
        .rank = store_column_int(st, 7),
        .options = (int)store_column_int(st, 8),
    };
    arena_init(&job->arena);
    job->kind = arena_str(&job->arena, store_column_text(st, 1));
    job->payload = arena_str(&job->arena, store_column_text(st, 2));
}

static int by_rank(const void *a, const void *b)
{
    const struct queue_job *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Of its row, while it runs; RUNNING also for one that was held (queue_claim_held). */
static int64_t state_of(const struct queue_job *job)
{
    return job->is_held ? QUEUE_READY : QUEUE_RUNNING;
}

static struct str name_of(const struct queue_options *options)
{
    return str_of(options->name ? options->name : QUEUE_DEFAULT);
}

static struct str kinds_of(const struct queue_options *options)
{
    return str_of(options->kinds ? options->kinds : "");
}

/* What a job has besides: its row of job_option. */
static enum err read_option(struct store_tx *tx, struct queue_job *job)
{
    struct store_stmt *st;
    if (!(job->options & QUEUE_HAS_OPTION))
        return OK;
    enum err err = store_prepare(tx,
                                 "SELECT priority, deadline_ms, timeout_ms, max_attempts, keep_ms, "
                                 "trace, turn, key_id, has_slot, seal FROM job_option "
                                 "WHERE job_id = $1",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, job->id);
    err = store_step(st);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    job->priority = (int)store_column_int(st, 0);
    job->deadline_ms = store_column_int(st, 1);
    job->timeout_ms = store_column_int(st, 2);
    job->max_attempts = (int)store_column_int(st, 3);
    job->keep_ms = store_column_int(st, 4);
    if (!store_column_is_null(st, 5))
        job->trace = arena_str(&job->arena, store_column_text(st, 5));
    job->turn = store_column_int(st, 6);
    job->key_id = store_column_int(st, 7);
    job->slot = (int)store_column_int(st, 8);
    if (!store_column_is_null(st, 9))
        job->seal = arena_str(&job->arena, store_column_text(st, 9));
    store_finish(st);
    return OK;
}

static void free_jobs(struct queue_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        arena_done(&jobs[i].arena);
}

/* Those up to last_id are claimed by their rows whatever they are. */
static enum err lease(struct store_tx *tx, const struct queue_options *options, int64_t last_id,
                      struct queue_job *jobs, size_t cap, size_t *count_out)
{
    struct store_stmt *st;
    size_t count = 0;
    enum err err = store_prepare(
        tx,
        "UPDATE job SET state = 1, epoch = epoch + 1, at_ms = $1, claimer = $7 WHERE id IN "
        "(SELECT id FROM job WHERE state = 0 AND queue = $3 "
        "AND (unique_key IS NOT NULL OR id <= $4 OR options >= $5) "
        "AND ($6 = '' OR replace($6, ' ' || kind || ' ', '') <> $6) ORDER BY rank, id LIMIT $2) "
        "RETURNING id, kind, payload, epoch, attempt, created_at_ms, run_at_ms, rank, options, "
        "unique_key",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, store_now_ms(tx) + options->lease_ms);
    store_bind_int(st, 2, (int64_t)cap);
    store_bind_text(st, 3, name_of(options));
    store_bind_int(st, 4, last_id);
    store_bind_int(st, 5, QUEUE_BY_ROW);
    store_bind_text(st, 6, kinds_of(options));
    store_bind_int(st, 7, options->claimer);
    while (!(err = store_step(st))) {
        struct queue_job *job = &jobs[count++];
        job_of_row(st, job);
        if (!store_column_is_null(st, 9))
            job->unique_key = arena_str(&job->arena, store_column_text(st, 9));
    }
    *count_out = count;
    return err == ERR_NOT_FOUND ? OK : err;
}

/* One that was claimed and is not wanted any more: since it began before a crash, or was not begun
 * in time. */
static enum err end_unwanted(struct store_tx *tx, const struct queue_job *job, bool is_late,
                             bool *is_over_out)
{
    const struct str why = STR("not begun by its deadline");
    struct queue_row row;
    bool is_cancelled = false;
    enum err err = queue_row_claimed(tx, job, &row);
    if (!err)
        err = queue_row_is_cancelled(tx, &row, &is_cancelled);
    *is_over_out = !err && (is_cancelled || is_late);
    if (err || !*is_over_out)
        return err;
    if (is_cancelled)
        return queue_row_end(tx, &row, QUEUE_CANCELLED, QUEUE_KEEP_CANCELLED_MS,
                             STR("cancelled by an operator"));
    err = queue_row_note(tx, &row, "deadline", why);
    return err ? err : queue_row_bury(tx, &row, why);
}

/* *is_for_now_out: false: it shall not run. */
static enum err begin(struct store_tx *tx, struct str queue, struct queue_job *job,
                      bool *is_for_now_out)
{
    bool is_over = false;
    enum err err = read_option(tx, job);
    bool is_late = !err && job->deadline_ms > 0 && job->deadline_ms < store_now_ms(tx);
    *is_for_now_out = false;
    if (!err && (is_late || (job->options & QUEUE_HAS_RUN)))
        err = end_unwanted(tx, job, is_late, &is_over);
    if (err || is_over)
        return err;
    if (job->options & QUEUE_HAS_TURN)
        err = queue_turn_serve(tx, queue, job->priority, job->turn);
    *is_for_now_out = true;
    if (!err && (job->options & QUEUE_HAS_TURN))
        err = queue_key_begin(tx, job, is_for_now_out);
    if (!err && *is_for_now_out && job->unique_key.len > 0)
        err = queue_row_free_key_at_start(tx, job->unique_key, job->id);
    return err;
}

static enum err claim_ready(struct store_tx *tx, const struct queue_options *options,
                            struct queue_job *jobs, size_t cap, size_t *count_out,
                            int64_t *more_ms_out)
{
    struct queue_room room;
    size_t count = 0, kept = 0;
    enum err err = queue_limit_ask(tx, name_of(options), cap, &room);
    *count_out = 0;
    // With room for some, only what there is decides: a claim that finds nothing has no next time.
    *more_ms_out = !err && room.cap == 0 ? room.next_ms : 0;
    if (err || room.cap == 0)
        return err;
    // A job that waits in a worker's hand has had its turn: no more than can run.
    bool is_fair = false;
    if (options->workers > 0 && room.cap > (size_t)options->workers)
        err = queue_turn_is_used(tx, name_of(options), &is_fair);
    if (err)
        return err;
    if (is_fair)
        room.cap = (size_t)options->workers;
    bool is_all = !options->is_alone || room.is_limited;
    err = lease(tx, options, is_all ? INT64_MAX : options->last_id, jobs, room.cap, &count);
    if (!err)
        err = queue_limit_take(tx, name_of(options), &room, count);
    // RETURNING promises no order.
    qsort(jobs, count, sizeof(jobs[0]), by_rank);
    for (size_t i = 0; !err && i < count; i++) {
        bool is_for_now = false;
        err = begin(tx, name_of(options), &jobs[i], &is_for_now);
        if (err)
            break;
        if (is_for_now)
            jobs[kept++] = jobs[i];
        else
            arena_done(&jobs[i].arena);
        if (!is_for_now || kept <= i)
            jobs[i].arena = (struct arena){0};
    }
    if (err) {
        free_jobs(jobs, count);
        return err;
    }
    *count_out = kept;
    if (count > 0 && kept == 0) // those that shall not run took the places of others
        *more_ms_out = store_now_ms(tx);
    return OK;
}

/* What is to be done by the clock: when the first job is due, when the first lease ends; 0: never.
 */
struct next {
    int64_t due_ms, lease_end_ms;
};

static enum err ask_next(struct store_tx *tx, const struct queue_options *options, struct next *out)
{
    struct str name = name_of(options);
    enum err err =
        ask(tx, "SELECT min(at_ms) FROM job WHERE state > 0 AND state = 3 AND queue = $1", name,
            &out->due_ms);
    if (!err)
        err = ask(tx, "SELECT min(at_ms) FROM job WHERE state > 0 AND state = 1 AND queue = $1",
                  name, &out->lease_end_ms);
    if (out->lease_end_ms > 0)
        out->lease_end_ms += options->set_forward_ms;
    return err;
}

static int64_t first_of(const struct next *next)
{
    bool is_lease_first =
        next->due_ms == 0 || (next->lease_end_ms > 0 && next->lease_end_ms < next->due_ms);
    return is_lease_first ? next->lease_end_ms : next->due_ms;
}

static bool is_over(const struct store_tx *tx, int64_t at_ms)
{
    return at_ms > 0 && at_ms <= store_now_ms(tx);
}

/* Makes scheduled jobs ready. */
static enum err promote(struct store_tx *tx, struct str name, size_t *count_out)
{
    int64_t ids[SLICE];
    enum err err =
        find_some(tx,
                  "SELECT id FROM job WHERE state > 0 AND state = 3 AND queue = $1 AND at_ms <= $2 "
                  "ORDER BY at_ms LIMIT $3",
                  name, store_now_ms(tx), ids, count_out);
    for (size_t i = 0; !err && i < *count_out; i++) {
        struct queue_row row;
        err = queue_row_get(tx, ids[i], &row);
        if (!err)
            err = queue_row_make_due(tx, &row, row.run_at_ms);
        if (!err)
            err = queue_row_save(tx, &row, (struct str){0});
    }
    return err;
}

/* Returns what the dead had, if the first lease is over. */
static enum err bring_back(struct store_tx *tx, const struct queue_options *options,
                           int64_t lease_end_ms)
{
    int64_t now_ms = options->asked_at_ms > 0 ? options->asked_at_ms : store_now_ms(tx);
    if (lease_end_ms == 0 || lease_end_ms > now_ms)
        return OK;
    enum err err = queue_renew_many(tx, options->hand, options->hand_count, options->lease_ms);
    return err ? err : queue_recover(tx, name_of(options), now_ms - options->set_forward_ms);
}

enum err queue_claim(struct store_tx *tx, const struct queue_options *options,
                     struct queue_job *jobs, size_t cap, size_t *count_out,
                     int64_t *next_run_at_out)
{
    struct next next = {0};
    int64_t more_ms = 0;
    size_t count = 0, promoted = 0;
    enum err err = ask_next(tx, options, &next);
    bool has_over = !err && is_over(tx, first_of(&next));
    if (!err)
        err = bring_back(tx, options, next.lease_end_ms);
    if (!err && is_over(tx, next.due_ms))
        err = FAILPOINT("queue.promote", promote(tx, name_of(options), &promoted));
    if (!err && has_over)
        err = ask_next(tx, options, &next);
    if (!err)
        err = FAILPOINT("queue.claim", claim_ready(tx, options, jobs, cap, &count, &more_ms));
    if (err)
        return err;
    *count_out = count;
    *next_run_at_out = count > 0 ? 0 : first_of(&next);
    if (count == 0 && more_ms != 0 && (first_of(&next) == 0 || more_ms < first_of(&next)))
        *next_run_at_out = more_ms;
    if (options->is_alone && promoted > 0)
        *next_run_at_out = store_now_ms(tx);
    return count > 0 ? OK : ERR_NOT_FOUND;
}

/* ---- claims in memory ---- */

/* The ready rows behind the cursor. */
static enum err find_ready(struct store_tx *tx, const struct queue_options *options,
                           struct queue_cursor after, size_t cap, struct queue_look *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "SELECT id, kind, payload, epoch, attempt, created_at_ms, run_at_ms, rank, options, "
        "unique_key IS NULL AND id > $4 FROM job WHERE state = 0 AND queue = $1 "
        "AND (rank, id) > ($2, $3) AND ($6 = '' OR replace($6, ' ' || kind || ' ', '') <> $6) "
        "ORDER BY rank, id LIMIT $5",
        &st);
    if (err)
        return err;
    store_bind_text(st, 1, name_of(options));
    store_bind_int(st, 2, after.rank);
    store_bind_int(st, 3, after.id);
    store_bind_int(st, 4, options->is_alone ? options->last_id : INT64_MAX);
    store_bind_int(st, 5, (int64_t)cap);
    store_bind_text(st, 6, kinds_of(options));
    while (!(err = store_step(st))) {
        if (store_column_int(st, 9) == 0 || store_column_int(st, 8) >= QUEUE_BY_ROW) {
            out->needs_claim = true;
            if (store_column_int(st, 8) & QUEUE_HAS_TURN) // what is behind it comes after its turn
                break;
            continue;
        }
        struct queue_job *job = &out->jobs[out->count++];
        job_of_row(st, job);
        job->is_held = true;
        err = read_option(tx, job);
        if (err)
            return err;
    }
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err queue_find(struct store_tx *tx, const struct queue_options *options,
                    struct queue_cursor after, size_t cap, struct queue_look *out)
{
    struct queue_room room;
    struct next next = {0};
    enum err err = queue_limit_ask(tx, name_of(options), cap, &room);
    if (err)
        return err;
    out->retry_percent = room.retry_percent;
    if (room.is_limited || room.cap == 0) { // claimed by rows, which count
        out->needs_claim = true;
        return OK;
    }
    if (after.rank > store_now_ms(tx) * QUEUE_RANKS_PER_MS) // the clock was set back
        after = (struct queue_cursor){INT64_MIN, 0};
    err = find_ready(tx, options, after, cap, out);
    if (!err)
        err = ask_next(tx, options, &next);
    out->next_run_at_ms = first_of(&next);
    out->needs_claim |= !err && is_over(tx, out->next_run_at_ms);
    return err;
}

enum err queue_last_id(struct store_tx *tx, int64_t *out)
{
    *out = 0;
    enum err err =
        ask(tx, "SELECT seq FROM sqlite_sequence WHERE name = 'job'", (struct str){0}, out);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* ---- the end of a run ---- */

/* sql takes the job's id, its epoch and the state that its row has while it runs. */
static enum err change_claimed(struct store_tx *tx, const char *sql, const struct queue_job *job)
{
    const int64_t values[] = {job->id, job->epoch, state_of(job)};
    int64_t changes = 0;
    enum err err = change(tx, sql, values, 3, &changes);
    return err ? err : changes > 0 ? OK : ERR_CONFLICT;
}

/* The end of a job that has more than its row, or is kept. */
static enum err ack_whole(struct store_tx *tx, const struct queue_job *job)
{
    struct queue_row row;
    enum err err = queue_row_claimed(tx, job, &row);
    return err ? err : queue_row_end(tx, &row, QUEUE_DONE_STATE, job->keep_ms, (struct str){0});
}

static enum err ack(struct store_tx *tx, const struct queue_job *job)
{
    if (job->options != 0 || job->keep_ms > 0)
        return ack_whole(tx, job);
    enum err err = change_claimed(
        tx, "DELETE FROM job WHERE id = $1 AND epoch = $2 AND state IN ($3, 1) AND options = 0",
        job);
    return err == ERR_CONFLICT ? ack_whole(tx, job) : err; // options that came while it ran
}

enum err queue_ack(struct store_tx *tx, const struct queue_job *job)
{
    return FAILPOINT("queue.ack", ack(tx, job));
}

static enum err fail(struct store_tx *tx, const struct queue_job *job, struct str why,
                     int64_t delay_ms, bool is_dead)
{
    struct queue_row row;
    enum err err = queue_row_claimed(tx, job, &row);
    if (err)
        return err;
    row.attempt++;
    row.epoch++;
    err = queue_row_note(tx, &row, "error", why);
    if (err)
        return err;
    if (is_dead)
        return queue_row_bury(tx, &row, why);
    err = queue_row_put_back(tx, &row, store_now_ms(tx) + delay_ms);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    return queue_row_save(tx, &row, why);
}

enum err queue_fail(struct store_tx *tx, const struct queue_job *job, struct str why,
                    int64_t delay_ms, bool is_dead)
{
    return FAILPOINT("queue.fail", fail(tx, job, why, delay_ms, is_dead));
}

static enum err crash(struct store_tx *tx, const struct queue_job *job, struct str why)
{
    struct queue_row row;
    enum err err = queue_row_claimed(tx, job, &row);
    if (err)
        return err;
    row.crash++;
    row.epoch++;
    err = queue_row_note(tx, &row, "crash", why);
    if (err)
        return err;
    if (row.crash >= QUEUE_MAX_SEEN_CRASHES)
        return bury_poison(tx, &row, why);
    err = queue_row_put_back(tx, &row, store_now_ms(tx));
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    return queue_row_save(tx, &row, why);
}

enum err queue_crash(struct store_tx *tx, const struct queue_job *job, struct str why)
{
    return FAILPOINT("queue.crash", crash(tx, job, why));
}

static enum err discard(struct store_tx *tx, const struct queue_job *job, struct str why)
{
    struct queue_row row;
    enum err err = queue_row_claimed(tx, job, &row);
    if (err)
        return err;
    row.attempt++;
    err = queue_row_note(tx, &row, "discard", why);
    return err ? err : queue_row_end(tx, &row, QUEUE_CANCELLED, QUEUE_KEEP_CANCELLED_MS, why);
}

enum err queue_discard(struct store_tx *tx, const struct queue_job *job, struct str why)
{
    return FAILPOINT("queue.discard", discard(tx, job, why));
}

static enum err release(struct store_tx *tx, const struct queue_job *job, int64_t run_at_ms)
{
    struct queue_row row;
    enum err err = queue_row_claimed(tx, job, &row);
    if (err)
        return err;
    row.epoch++;
    err = queue_row_put_back(tx, &row, run_at_ms);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    return queue_row_save(tx, &row, (struct str){0});
}

enum err queue_release(struct store_tx *tx, const struct queue_job *job, int64_t run_at_ms)
{
    return FAILPOINT("queue.release", release(tx, job, run_at_ms));
}

enum err queue_claim_held(struct store_tx *tx, const struct queue_job *job, int64_t lease_ms,
                          int64_t claimer)
{
    const int64_t values[] = {job->id, job->epoch, store_now_ms(tx) + lease_ms, claimer};
    int64_t changes = 0;
    CHECK(job->is_held);
    enum err err =
        FAILPOINT("queue.claim_held", change(tx,
                                             "UPDATE job SET state = 1, at_ms = $3, claimer = $4 "
                                             "WHERE id = $1 AND epoch = $2 AND state = 0",
                                             values, 4, &changes));
    return err ? err : changes > 0 ? OK : ERR_CONFLICT;
}

enum err queue_renew(struct store_tx *tx, const struct queue_job *job, int64_t lease_ms)
{
    const int64_t values[] = {job->id, job->epoch, store_now_ms(tx) + lease_ms, state_of(job)};
    int64_t changes = 0;
    enum err err = FAILPOINT(
        "queue.renew",
        change(tx, "UPDATE job SET at_ms = $3 WHERE id = $1 AND epoch = $2 AND state IN ($4, 1)",
               values, 4, &changes));
    return err ? err : changes > 0 ? OK : ERR_CONFLICT;
}

enum err queue_renew_many(struct store_tx *tx, const struct queue_job *jobs, size_t count,
                          int64_t lease_ms)
{
    for (size_t i = 0; i < count; i++) {
        enum err err = queue_renew(tx, &jobs[i], lease_ms);
        if (err && err != ERR_CONFLICT)
            return err;
    }
    return OK;
}

/* ---- numbers ---- */

static enum err read_stats(struct store_tx *tx, void *arg)
{
    struct queue_stats *stats = arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "SELECT (SELECT count(*) FROM job WHERE state = 0) + "
                                 "(SELECT count(*) FROM job WHERE state > 0 AND state = 3 AND "
                                 "at_ms <= $1), "
                                 "(SELECT count(*) FROM job WHERE state > 0 AND state = 3 AND "
                                 "at_ms > $1), "
                                 "(SELECT count(*) FROM job WHERE state > 0 AND state = 1), "
                                 "(SELECT count(*) FROM job WHERE state > 0 AND state = 2)",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, store_now_ms(tx));
    err = store_step(st);
    if (!err) {
        stats->ready = store_column_int(st, 0);
        stats->scheduled = store_column_int(st, 1);
        stats->running = store_column_int(st, 2);
        stats->dead = store_column_int(st, 3);
    }
    store_finish(st);
    return err;
}

enum err queue_get_stats(struct queue *q, struct queue_stats *out)
{
    struct queue_stats stats = {0};
    int64_t ids[QUEUE_MAX_HELD];
    queue_worker_count(q, &stats);
    int64_t held = (int64_t)queue_list_held(q, ids, QUEUE_MAX_HELD);
    enum err err = store_read(queue_worker_store(q), read_stats, &stats);
    if (err)
        return err;
    stats.running += held; // their rows are ready
    stats.ready -= held < stats.ready ? held : stats.ready;
    *out = stats;
    return OK;
}

/* ---- the workers ---- */

struct queue *queue_new(struct store *store, const struct queue_options *options,
                        const struct queue_handler *handlers, size_t count)
{
    return queue_worker_new(store, options, handlers, count);
}

enum err queue_start(struct queue *q)
{
    return queue_worker_start(q);
}

void queue_drain(struct queue *q)
{
    queue_worker_drain(q);
}

bool queue_stop(struct queue *q, int64_t drain_ms)
{
    return queue_worker_stop(q, drain_ms);
}

void queue_give_back(struct queue *q)
{
    queue_keeper_give_back(q);
}

void queue_free(struct queue *q)
{
    queue_worker_free(q);
}

void queue_finish(struct queue_job *job, const struct queue_end *end)
{
    queue_worker_finish(job, end);
}

bool queue_is_given_up(const struct queue_job *job)
{
    return queue_watch_is_given_up(job);
}

size_t queue_list_held(struct queue *q, int64_t *ids, size_t cap)
{
    return queue_worker_list_held(q, ids, cap);
}

void queue_wake(struct queue *q)
{
    queue_worker_wake(q);
}
