/* queue.c -- jobs in the database: enqueue, claim, ack, fail. queue_worker.c runs them.
 *
 * Every change of a running job names its epoch and the state RUNNING; a row that is not hit says
 * that the job is somebody else's by now, and the caller's transaction goes back.
 */
#include "queue/queue.h"

#include <stdlib.h>

#include "core/failpoint.h"
#include "queue/queue_internal.h"

enum { MAX_ERROR_BYTES = 1000 };

/* ---- enqueue ---- */

enum err queue_enqueue(struct store_tx *tx, const struct queue_new *job, int64_t *id_out)
{
    struct store_stmt *st;
    if (job->kind.len == 0)
        return ERR_INVALID;
    if (job->payload.len > QUEUE_MAX_PAYLOAD_BYTES)
        return ERR_TOO_LARGE;
    enum err err =
        store_prepare(tx,
                      "INSERT INTO job (kind, payload, unique_key, run_at_ms, created_at_ms, "
                      "queue) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                      &st);
    if (err)
        return err;
    store_bind_text(st, 1, job->kind);
    store_bind_text(st, 2, job->payload.at ? job->payload : STR(""));
    if (job->unique_key.len > 0)
        store_bind_text(st, 3, job->unique_key);
    store_bind_int(st, 4, job->run_at_ms > 0 ? job->run_at_ms : store_now_ms(tx));
    store_bind_int(st, 5, store_now_ms(tx));
    store_bind_text(st, 6, job->queue.len > 0 ? job->queue : STR(QUEUE_DEFAULT));
    int64_t id = 0;
    err = FAILPOINT("queue.enqueue", store_insert(st, &id));
    if (err && err != ERR_NOT_FOUND)
        return err;
    if (id_out)
        *id_out = id;
    return OK;
}

/* ---- claim ---- */

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

enum err queue_recover(struct store_tx *tx, struct str name, int64_t then_ms)
{
    // $1: leases that ended by then; $2: the queue's name, '' for all; $3: too many crashes
    static const struct {
        const char *sql;
        bool has_max;
    } steps[] = {
        {"UPDATE job SET state = 2, crash = crash + 1, last_error = 'the process died while it "
         "ran' "
         "WHERE state = 1 AND lease_until_ms <= $1 AND ($2 = '' OR queue = $2) AND crash + 1 >= $3",
         true},
        // Two of one key may have run side by side: of those that come back the newest does the
        // work.
        {"DELETE FROM job WHERE state = 1 AND lease_until_ms <= $1 AND ($2 = '' OR queue = $2) "
         "AND unique_key IS NOT NULL "
         "AND (EXISTS (SELECT 1 FROM job AS other WHERE other.unique_key = job.unique_key "
         "AND other.state = 0) OR EXISTS (SELECT 1 FROM job AS other WHERE other.state = 1 "
         "AND other.lease_until_ms <= $1 AND other.unique_key = job.unique_key AND other.id > "
         "job.id))",
         false},
        {"UPDATE job SET state = 0, crash = crash + 1 WHERE state = 1 AND lease_until_ms <= $1 "
         "AND ($2 = '' OR queue = $2)",
         false},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct store_stmt *st;
        enum err err = store_prepare(tx, steps[i].sql, &st);
        if (err)
            return err;
        store_bind_int(st, 1, then_ms);
        store_bind_text(st, 2, name.at ? name : STR(""));
        if (steps[i].has_max)
            store_bind_int(st, 3, QUEUE_MAX_CRASHES);
        err = FAILPOINT("queue.recover", store_run(st, NULL));
        if (err)
            return err;
    }
    return OK;
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
    err = store_step(st);
    if (!err)
        *out = store_column_int(st, 0);
    store_finish(st);
    return err;
}

static void job_of_row(struct store_stmt *st, struct queue_job *job)
{
    *job = (struct queue_job){
        .id = store_column_int(st, 0),
        .epoch = store_column_int(st, 3),
        .attempt = (int)store_column_int(st, 4),
        .created_at_ms = store_column_int(st, 5),
        .run_at_ms = store_column_int(st, 6),
    };
    arena_init(&job->arena);
    job->kind = arena_str(&job->arena, store_column_text(st, 1));
    job->payload = arena_str(&job->arena, store_column_text(st, 2));
}

static int by_age(const void *a, const void *b)
{
    const struct queue_job *x = a, *y = b;
    if (x->run_at_ms != y->run_at_ms)
        return x->run_at_ms < y->run_at_ms ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Of its row, while it runs. */
static int64_t state_of(const struct queue_job *job)
{
    return job->is_held ? QUEUE_READY : QUEUE_RUNNING;
}

static struct str name_of(const struct queue_options *options)
{
    return str_of(options->name ? options->name : QUEUE_DEFAULT);
}

static enum err claim_due(struct store_tx *tx, const struct queue_options *options,
                          struct queue_job *jobs, size_t cap, size_t *count_out)
{
    struct store_stmt *st;
    size_t count = 0;
    enum err err = store_prepare(
        tx,
        "UPDATE job SET state = 1, epoch = epoch + 1, lease_until_ms = $2 WHERE id IN "
        "(SELECT id FROM job WHERE state = 0 AND queue = $4 AND run_at_ms <= $1 "
        "AND (unique_key IS NOT NULL OR id <= $5) ORDER BY run_at_ms, id LIMIT $3) "
        "RETURNING id, kind, payload, epoch, attempt, created_at_ms, run_at_ms",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, store_now_ms(tx));
    store_bind_int(st, 2, store_now_ms(tx) + options->lease_ms);
    store_bind_int(st, 3, (int64_t)cap);
    store_bind_text(st, 4, name_of(options));
    store_bind_int(st, 5, options->is_alone ? options->last_id : INT64_MAX);
    while (!(err = store_step(st)))
        job_of_row(st, &jobs[count++]);
    if (err != ERR_NOT_FOUND) {
        for (size_t i = 0; i < count; i++)
            arena_done(&jobs[i].arena);
        return err;
    }
    // RETURNING promises no order.
    qsort(jobs, count, sizeof(jobs[0]), by_age);
    *count_out = count;
    return OK;
}

/* When the next lease of any queue ends: whoever claims looks after all. */
static enum err ask_lease_end(struct store_tx *tx, int64_t *out)
{
    return ask(tx, "SELECT min(lease_until_ms) FROM job WHERE state = 1", (struct str){0}, out);
}

enum err queue_claim(struct store_tx *tx, const struct queue_options *options,
                     struct queue_job *jobs, size_t cap, size_t *count_out,
                     int64_t *next_run_at_out)
{
    int64_t lease_end = 0, run_at = 0;
    size_t count = 0;
    enum err err = ask_lease_end(tx, &lease_end);
    if (!err && lease_end > 0 && lease_end <= store_now_ms(tx)) {
        err = queue_recover(tx, STR(""), store_now_ms(tx));
        if (!err)
            err = ask_lease_end(tx, &lease_end);
    }
    if (!err)
        err = FAILPOINT("queue.claim", claim_due(tx, options, jobs, cap, &count));
    if (err)
        return err;
    *count_out = count;
    *next_run_at_out = 0;
    if (count > 0)
        return OK;
    err = ask(tx, "SELECT min(run_at_ms) FROM job WHERE state = 0 AND queue = $1", name_of(options),
              &run_at);
    if (err)
        return err;
    bool is_lease_first = run_at == 0 || (lease_end > 0 && lease_end < run_at);
    *next_run_at_out = is_lease_first ? lease_end : run_at;
    return ERR_NOT_FOUND;
}

/* ---- claims in memory ---- */

/* The due rows behind the cursor. */
static enum err find_due(struct store_tx *tx, const struct queue_options *options,
                         struct queue_cursor after, size_t cap, struct queue_look *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "SELECT id, kind, payload, epoch, attempt, created_at_ms, run_at_ms, "
        "unique_key IS NULL AND id > $5 FROM job WHERE state = 0 AND queue = $1 "
        "AND run_at_ms <= $2 AND (run_at_ms, id) > ($3, $4) ORDER BY run_at_ms, id LIMIT $6",
        &st);
    if (err)
        return err;
    store_bind_text(st, 1, name_of(options));
    store_bind_int(st, 2, store_now_ms(tx));
    store_bind_int(st, 3, after.run_at_ms);
    store_bind_int(st, 4, after.id);
    store_bind_int(st, 5, options->last_id);
    store_bind_int(st, 6, (int64_t)cap);
    while (!(err = store_step(st))) {
        if (store_column_int(st, 7) == 0) {
            out->needs_claim = true;
            continue;
        }
        struct queue_job *job = &out->jobs[out->count++];
        job_of_row(st, job);
        job->is_held = true;
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err ask_next(struct store_tx *tx, const struct queue_options *options, int64_t *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "SELECT min(run_at_ms) FROM job WHERE state = 0 AND queue = $1 AND run_at_ms > $2",
        &st);
    if (err)
        return err;
    store_bind_text(st, 1, name_of(options));
    store_bind_int(st, 2, store_now_ms(tx));
    err = store_step(st);
    if (!err)
        *out = store_column_int(st, 0);
    store_finish(st);
    return err;
}

enum err queue_find(struct store_tx *tx, const struct queue_options *options,
                    struct queue_cursor after, size_t cap, struct queue_look *out)
{
    int64_t lease_end = 0, run_at = 0;
    if (after.run_at_ms > store_now_ms(tx)) // the clock was set back
        after = (struct queue_cursor){0};
    enum err err = find_due(tx, options, after, cap, out);
    if (!err)
        err = ask_lease_end(tx, &lease_end);
    if (!err)
        err = ask_next(tx, options, &run_at);
    if (err)
        return err;
    if (lease_end > 0 && lease_end <= store_now_ms(tx))
        out->needs_claim = true;
    bool is_lease_first = run_at == 0 || (lease_end > 0 && lease_end < run_at);
    out->next_run_at_ms = is_lease_first ? lease_end : run_at;
    return OK;
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

enum err queue_ack(struct store_tx *tx, const struct queue_job *job)
{
    return FAILPOINT(
        "queue.ack",
        change_claimed(tx, "DELETE FROM job WHERE id = $1 AND epoch = $2 AND state = $3", job));
}

/* OK: it is gone, because a ready one has its key. ERR_CONFLICT: it must go back itself. */
static enum err drop_twin(struct store_tx *tx, const struct queue_job *job)
{
    return FAILPOINT(
        "queue.drop_twin",
        change_claimed(tx,
                       "DELETE FROM job WHERE id = $1 AND epoch = $2 AND state = $3 AND EXISTS "
                       "(SELECT 1 FROM job AS other WHERE other.unique_key = job.unique_key "
                       "AND other.state = 0)",
                       job));
}

static struct str shorten(struct str text)
{
    if (text.len <= MAX_ERROR_BYTES)
        return text;
    size_t len = MAX_ERROR_BYTES;
    while (len > 0 && ((unsigned char)text.at[len] & 0xc0) == 0x80) // not inside a character
        len--;
    return (struct str){text.at, len};
}

enum err queue_fail(struct store_tx *tx, const struct queue_job *job, struct str why,
                    int64_t delay_ms, bool is_dead)
{
    struct store_stmt *st;
    int64_t changes = 0;
    if (!is_dead) {
        enum err err = drop_twin(tx, job);
        if (err != ERR_CONFLICT)
            return err;
    }
    enum err err = store_prepare(
        tx,
        "UPDATE job SET state = $3, epoch = epoch + 1, attempt = attempt + 1, run_at_ms = $4, "
        "last_error = $5 "
        "WHERE id = $1 AND epoch = $2 AND state = $6",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, job->id);
    store_bind_int(st, 2, job->epoch);
    store_bind_int(st, 3, is_dead ? QUEUE_DEAD : QUEUE_READY);
    store_bind_int(st, 4, store_now_ms(tx) + delay_ms);
    store_bind_text(st, 5, shorten(why));
    store_bind_int(st, 6, state_of(job));
    err = FAILPOINT("queue.fail", store_run(st, &changes));
    return err ? err : changes > 0 ? OK : ERR_CONFLICT;
}

/* sql takes the job's id and epoch, then the time, then the state that its row has. */
static enum err move_claimed(struct store_tx *tx, const char *sql, const struct queue_job *job,
                             int64_t time_ms)
{
    const int64_t values[] = {job->id, job->epoch, time_ms, state_of(job)};
    int64_t changes = 0;
    enum err err = change(tx, sql, values, 4, &changes);
    return err ? err : changes > 0 ? OK : ERR_CONFLICT;
}

enum err queue_release(struct store_tx *tx, const struct queue_job *job, int64_t run_at_ms)
{
    enum err err = drop_twin(tx, job);
    if (err != ERR_CONFLICT)
        return err;
    return FAILPOINT("queue.release",
                     move_claimed(tx,
                                  "UPDATE job SET state = 0, epoch = epoch + 1, run_at_ms = $3 "
                                  "WHERE id = $1 AND epoch = $2 AND state = $4",
                                  job, run_at_ms));
}

enum err queue_renew(struct store_tx *tx, const struct queue_job *job, int64_t lease_ms)
{
    return FAILPOINT(
        "queue.renew",
        move_claimed(
            tx, "UPDATE job SET lease_until_ms = $3 WHERE id = $1 AND epoch = $2 AND state = $4",
            job, store_now_ms(tx) + lease_ms));
}

/* ---- numbers ---- */

static enum err read_stats(struct store_tx *tx, void *arg)
{
    struct queue_stats *stats = arg;
    struct store_stmt *st;
    enum err err =
        store_prepare(tx,
                      "SELECT (SELECT count(*) FROM job WHERE state = 0 AND run_at_ms <= $1), "
                      "(SELECT count(*) FROM job WHERE state = 0 AND run_at_ms > $1), "
                      "(SELECT count(*) FROM job WHERE state = 1), "
                      "(SELECT count(*) FROM job WHERE state = 2)",
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

static enum err recover_all(struct store_tx *tx, void *arg)
{
    int64_t last_id = 0;
    enum err err = queue_recover(tx, queue_worker_name(arg), INT64_MAX);
    if (!err)
        err = queue_last_id(tx, &last_id);
    if (!err)
        queue_worker_set_last_id(arg, last_id);
    return err;
}

enum err queue_start(struct queue *q)
{
    enum err err = store_write_wait(queue_worker_store(q), recover_all, q);
    return err ? err : queue_worker_start(q);
}

bool queue_stop(struct queue *q, int64_t drain_ms)
{
    return queue_worker_stop(q, drain_ms);
}

void queue_free(struct queue *q)
{
    queue_worker_free(q);
}

void queue_finish(struct queue_job *job, const struct queue_end *end)
{
    queue_worker_finish(job, end);
}

size_t queue_list_held(struct queue *q, int64_t *ids, size_t cap)
{
    return queue_worker_list_held(q, ids, cap);
}

void queue_wake(struct queue *q)
{
    queue_worker_wake(q);
}
