#include "queue/queue_admin_show.h"

#include "queue/queue_internal.h"
#include "queue/queue_redact.h"

enum { MAX_ERRORS = 16, MAX = QUEUE_ADMIN_SHOW_MAX };

/* Prepares a statement with the job's id. */
static enum err ask(struct store_tx *tx, const char *sql, int64_t id, struct store_stmt **out)
{
    enum err err = store_prepare(tx, sql, out);
    if (!err)
        store_bind_int(*out, 1, id);
    return err;
}

static struct str keep(struct arena *a, struct store_stmt *st, int column)
{
    return store_column_is_null(st, column) ? (struct str){0}
                                            : arena_str(a, store_column_text(st, column));
}

static enum err read_job(struct store_tx *tx, int64_t id, const struct queue_held *held,
                         struct arena *a, struct queue_admin_show *out)
{
    struct store_stmt *st;
    enum err err =
        ask(tx, "SELECT " QUEUE_ADMIN_LIST_COLUMNS " FROM job AS j WHERE j.id = $1", id, &st);
    if (!err)
        err = store_step(st);
    if (err)
        return err;
    out->job = queue_admin_list_read(tx, st, held);
    queue_admin_list_keep(&out->job, SIZE_MAX, a);
    store_finish(st);
    return OK;
}

static enum err read_options(struct store_tx *tx, struct arena *a, struct queue_admin_show *out)
{
    struct store_stmt *st;
    enum err err =
        ask(tx,
            "SELECT o.priority, k.weight, o.max_attempts, k.name, o.trace, o.seal, o.deadline_ms, "
            "o.timeout_ms, o.keep_ms, o.batch_id, o.parent_id FROM job_option AS o LEFT JOIN "
            "job_key AS k ON k.id = o.key_id WHERE o.job_id = $1",
            out->job.id, &st);
    if (!err)
        err = store_step(st);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    out->priority = (int)store_column_int(st, 0);
    out->weight = (int)store_column_int(st, 1);
    out->max_attempts = (int)store_column_int(st, 2);
    out->key = keep(a, st, 3);
    out->trace = keep(a, st, 4);
    out->seal = keep(a, st, 5);
    if (out->seal.len > 0)
        out->job.payload = queue_redact_sealed(out->seal, a);
    out->deadline_ms = store_column_int(st, 6);
    out->timeout_ms = store_column_int(st, 7);
    out->keep_ms = store_column_int(st, 8);
    out->batch_id = store_column_int(st, 9);
    out->parent_id = store_column_int(st, 10);
    store_finish(st);
    return OK;
}

static enum err read_tags(struct store_tx *tx, struct arena *a, struct queue_admin_show *out)
{
    struct store_stmt *st;
    out->tags = arena_alloc(a, QUEUE_MAX_TAGS * sizeof(*out->tags));
    enum err err =
        ask(tx, "SELECT tag FROM job_tag WHERE job_id = $1 ORDER BY tag", out->job.id, &st);
    if (err)
        return err;
    while (out->tag_count < QUEUE_MAX_TAGS && !(err = store_step(st)))
        out->tags[out->tag_count++] = keep(a, st, 0);
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err read_errors(struct store_tx *tx, struct arena *a, struct queue_admin_show *out)
{
    struct store_stmt *st;
    out->errors = arena_alloc(a, MAX_ERRORS * sizeof(*out->errors));
    enum err err = ask(tx,
                       "SELECT n, at_ms, attempt, class, text FROM job_error WHERE job_id = $1 "
                       "ORDER BY n",
                       out->job.id, &st);
    if (err)
        return err;
    while (out->error_count < MAX_ERRORS && !(err = store_step(st)))
        out->errors[out->error_count++] = (struct queue_admin_error){
            .n = store_column_int(st, 0),
            .at_ms = store_column_int(st, 1),
            .attempt = (int)store_column_int(st, 2),
            .class = keep(a, st, 3),
            .text = keep(a, st, 4),
        };
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err read_run(struct store_tx *tx, struct arena *a, struct queue_admin_show *out)
{
    struct store_stmt *st;
    out->percent = -1;
    enum err err = ask(tx,
                       "SELECT started_at_ms, finished_at_ms, cancel_at_ms, worker, "
                       "progress_text, result, progress FROM job_run WHERE job_id = $1",
                       out->job.id, &st);
    if (!err)
        err = store_step(st);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    out->started_at_ms = store_column_int(st, 0);
    out->finished_at_ms = store_column_int(st, 1);
    out->cancel_at_ms = store_column_int(st, 2);
    out->worker = keep(a, st, 3);
    out->progress = keep(a, st, 4);
    out->result = keep(a, st, 5);
    if (!store_column_is_null(st, 6))
        out->percent = (int)store_column_int(st, 6);
    store_finish(st);
    return OK;
}

/* The newest, in their order. */
static enum err read_log(struct store_tx *tx, struct arena *a, struct queue_admin_show *out)
{
    struct store_stmt *st;
    out->log = arena_alloc(a, MAX * sizeof(*out->log));
    enum err err = ask(tx,
                       "SELECT at_ms, text FROM (SELECT n, at_ms, text FROM job_log WHERE job_id = "
                       "$1 ORDER BY n DESC LIMIT $2) AS newest ORDER BY n",
                       out->job.id, &st);
    if (err)
        return err;
    store_bind_int(st, 2, MAX);
    while (!(err = store_step(st)))
        out->log[out->log_count++] =
            (struct queue_admin_line){.at_ms = store_column_int(st, 0), .text = keep(a, st, 1)};
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err read_steps(struct store_tx *tx, struct arena *a, struct queue_admin_show *out)
{
    struct store_stmt *st;
    out->steps = arena_alloc(a, MAX * sizeof(*out->steps));
    enum err err = ask(tx,
                       "SELECT name, at_ms, result FROM job_step WHERE job_id = $1 ORDER BY at_ms, "
                       "name",
                       out->job.id, &st);
    if (err)
        return err;
    while (!(err = store_step(st))) {
        out->has_more_steps = out->step_count == MAX;
        if (out->has_more_steps)
            break;
        out->steps[out->step_count++] = (struct queue_admin_step){
            .name = keep(a, st, 0), .at_ms = store_column_int(st, 1), .result = keep(a, st, 2)};
    }
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* ---- neighbours ---- */

static enum err read_edges(struct store_tx *tx, const char *sql, int64_t id, struct arena *a,
                           struct queue_admin_neighbours *out)
{
    struct store_stmt *st;
    enum err err = ask(tx, sql, id, &st);
    if (!out->at)
        out->at = arena_alloc(a, MAX * sizeof(*out->at));
    if (err)
        return err;
    while (!(err = store_step(st))) {
        out->has_more |= out->count == MAX;
        if (out->has_more)
            break;
        out->at[out->count++] = (struct queue_admin_neighbour){
            .id = store_column_int(st, 0),
            .when = (enum queue_when)store_column_int(st, 1),
            .is_met = store_column_int(st, 2) == 1,
            .is_broken = store_column_int(st, 2) == 2,
            .is_gone = store_column_is_null(st, 3),
            .state = (enum queue_state)store_column_int(st, 3),
            .kind = keep(a, st, 4),
        };
    }
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Those that the job needs; those that need it, by the indices of the edges that are not met. */
static enum err read_neighbours(struct store_tx *tx, struct arena *a, struct queue_admin_show *out)
{
    enum err err = read_edges(tx,
                              "SELECT n.needs_id, n.policy, n.is_met, j.state, j.kind FROM "
                              "job_need AS n LEFT JOIN job AS j ON j.id = n.needs_id WHERE "
                              "n.job_id = $1 ORDER BY n.needs_id",
                              out->job.id, a, &out->needs);
    if (!err)
        err = read_edges(tx,
                         "SELECT n.job_id, n.policy, n.is_met, j.state, j.kind FROM job_need AS n "
                         "LEFT JOIN job AS j ON j.id = n.job_id WHERE n.needs_id = $1 AND n.is_met "
                         "= 0",
                         out->job.id, a, &out->needed_by);
    if (!err)
        err = read_edges(tx,
                         "SELECT n.job_id, n.policy, n.is_met, j.state, j.kind FROM job_need AS n "
                         "LEFT JOIN job AS j ON j.id = n.job_id WHERE n.needs_id = $1 AND n.is_met "
                         "= 2",
                         out->job.id, a, &out->needed_by);
    return err;
}

static enum err read_batch(struct store_tx *tx, struct arena *a, struct queue_admin_show *out)
{
    struct store_stmt *st;
    if (out->batch_id == 0)
        return OK;
    enum err err = queue_batch_get(tx, out->batch_id, &out->batch);
    if (!err)
        err = ask(tx, "SELECT name FROM job_batch WHERE id = $1", out->batch_id, &st);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err; // it is forgotten
    err = store_step(st);
    if (!err)
        out->batch_name = keep(a, st, 0);
    store_finish(st);
    return err;
}

static enum err read_key(struct store_tx *tx, struct queue_admin_show *out)
{
    int64_t holder = 0;
    if (out->job.unique_key.len == 0)
        return OK;
    enum err err = queue_row_holder(tx, out->job.unique_key, QUEUE_SPACE_UNIQUE, &holder);
    out->holds_key = holder == out->job.id;
    return err;
}

static enum err read_idempotency(struct store_tx *tx, struct arena *a, struct queue_admin_show *out)
{
    enum { MAX_KEYS = QUEUE_ADMIN_SHOW_MAX_KEYS };
    struct store_stmt *st;
    out->idempotency = arena_alloc(a, MAX_KEYS * sizeof(*out->idempotency));
    enum err err = ask(tx,
                       "SELECT key, until_ms FROM job_unique WHERE job_id = $1 AND space = 1 AND "
                       "until_ms > $2 ORDER BY until_ms DESC LIMIT $3",
                       out->job.id, &st);
    if (err)
        return err;
    store_bind_int(st, 2, store_now_ms(tx));
    store_bind_int(st, 3, MAX_KEYS);
    while (!(err = store_step(st)))
        out->idempotency[out->idempotency_count++] =
            (struct queue_admin_key){keep(a, st, 0), store_column_int(st, 1)};
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err queue_admin_show(struct store_tx *tx, int64_t id, const struct queue_held *held,
                          struct arena *a, struct queue_admin_show *out)
{
    typedef enum err part_fn(struct store_tx * tx, struct arena * a, struct queue_admin_show * out);
    static part_fn *const parts[] = {read_options, read_tags,       read_errors,
                                     read_run,     read_log,        read_steps,
                                     read_batch,   read_neighbours, read_idempotency};
    *out = (struct queue_admin_show){0};
    enum err err = read_job(tx, id, held, a, out);
    for (size_t i = 0; !err && i < sizeof(parts) / sizeof(parts[0]); i++)
        err = parts[i](tx, a, out);
    return err ? err : read_key(tx, out);
}
