#include "queue/queue_admin_batch.h"

#include "queue/queue_internal.h"

enum err queue_admin_batch_get(struct store_tx *tx, int64_t id, struct arena *a,
                               struct queue_admin_batch *out)
{
    struct store_stmt *st;
    enum err err = queue_batch_get(tx, id, &out->batch);
    if (!err)
        err = store_prepare(tx, "SELECT name FROM job_batch WHERE id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    err = store_step(st);
    if (!err)
        out->name = arena_str(a, store_column_text(st, 0));
    store_finish(st);
    return err;
}

enum err queue_admin_batch_list(struct store_tx *tx, int64_t before_id, bool is_unfinished,
                                size_t limit, struct arena *a, struct queue_admin_batches *out)
{
    struct store_stmt *st;
    limit = limit < QUEUE_ADMIN_BATCH_MAX ? limit : QUEUE_ADMIN_BATCH_MAX;
    *out = (struct queue_admin_batches){.at = arena_alloc(a, (limit + 1) * sizeof(*out->at))};
    enum err err = store_prepare(tx,
                                 "SELECT id FROM job_batch WHERE id < $1 AND ($2 = 0 OR "
                                 "finished_at_ms IS NULL) ORDER BY id DESC LIMIT $3",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, before_id > 0 ? before_id : INT64_MAX);
    store_bind_int(st, 2, is_unfinished);
    store_bind_int(st, 3, (int64_t)limit + 1);
    while (!(err = store_step(st)))
        out->at[out->count++].batch.id = store_column_int(st, 0);
    err = err == ERR_NOT_FOUND ? OK : err;
    out->has_more = out->count > limit;
    out->count -= out->has_more;
    for (size_t i = 0; i < out->count && !err; i++)
        err = queue_admin_batch_get(tx, out->at[i].batch.id, a, &out->at[i]);
    return err;
}

const char *queue_admin_batch_state_text(const struct queue_batch *batch)
{
    return batch->is_cancelled  ? "cancelled"
           : batch->is_finished ? "finished"
           : batch->is_closed   ? "running"
                                : "open";
}
