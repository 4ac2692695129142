#include "queue/queue_step.h"

#include "core/failpoint.h"
#include "queue/queue_internal.h"

enum err queue_step_find(struct store_tx *tx, int64_t job_id, struct str name, struct arena *a,
                         struct str *result_out)
{
    struct store_stmt *st;
    enum err err =
        store_prepare(tx, "SELECT result FROM job_step WHERE job_id = $1 AND name = $2", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job_id);
    store_bind_text(st, 2, name);
    err = store_step(st);
    if (!err)
        *result_out = arena_str(a, store_column_text(st, 0));
    store_finish(st);
    return err;
}

static enum err mark(struct store_tx *tx, const struct queue_job *job)
{
    struct queue_row row;
    enum err err = queue_row_claimed(tx, job, &row);
    if (err || (row.options & QUEUE_HAS_STEPS))
        return err;
    row.options |= QUEUE_HAS_STEPS;
    return queue_row_save(tx, &row, (struct str){0});
}

enum err queue_step_save(struct store_tx *tx, const struct queue_job *job, struct str name,
                         struct str result)
{
    struct store_stmt *st;
    if (name.len == 0)
        return ERR_INVALID;
    if (name.len > QUEUE_MAX_NAME_BYTES || result.len > QUEUE_STEP_MAX_RESULT_BYTES)
        return ERR_TOO_LARGE;
    enum err err = mark(tx, job);
    if (!err)
        err = store_prepare(tx,
                            "INSERT INTO job_step (job_id, name, at_ms, result) VALUES ($1, $2, "
                            "$3, $4) ON CONFLICT (job_id, name) DO NOTHING",
                            &st);
    if (err)
        return err;
    store_bind_int(st, 1, job->id);
    store_bind_text(st, 2, name);
    store_bind_int(st, 3, store_now_ms(tx));
    store_bind_text(st, 4, result.at ? result : STR(""));
    return FAILPOINT("queue.step", store_run(st, NULL));
}

struct step {
    struct queue_job *job;
    struct str name, result;
    queue_step_fn *fn;
    void *arg;
};

static enum err find(struct store_tx *tx, void *arg)
{
    struct step *step = arg;
    return queue_step_find(tx, step->job->id, step->name, &step->job->arena, &step->result);
}

static enum err run(struct store_tx *tx, void *arg)
{
    struct step *step = arg;
    struct queue_row row;
    step->result = (struct str){0};
    enum err err = queue_row_claimed(tx, step->job, &row); // first: a stale job's effects need not
    if (!err)
        err = step->fn(tx, step->job, step->arg, &step->result);
    return err ? err : queue_step_save(tx, step->job, step->name, step->result);
}

enum err queue_step_do(struct store *store, struct queue_job *job, struct str name,
                       queue_step_fn *fn, void *arg, struct str *result_out)
{
    struct step step = {.job = job, .name = name, .fn = fn, .arg = arg};
    enum err err = store_read(store, find, &step);
    if (err == ERR_NOT_FOUND)
        err = store_write_wait(store, run, &step);
    if (!err && result_out)
        *result_out = step.result;
    return err;
}
