#include "queue/queue_batch.h"

#include <stdio.h>

#include "core/buf.h"
#include "core/failpoint.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "queue/queue_graph.h"
#include "queue/queue_internal.h"
#include "queue/queue_periodic.h"

enum {
    CANCEL_SLICE = 1000,
    MAX_PLAN_BYTES = 2 * QUEUE_MAX_PAYLOAD_BYTES,
    TOLD_THEN = 1,
    TOLD_CATCH = 2,
    TOLD_FINALLY = 4,
};
static const char cancel_kind[] = "queue.batch.cancel";

/* A row of job_batch, without the plans of what follows. */
struct row {
    int64_t id, total, pending, failed, cancelled, created_at_ms, finished_at_ms, cancelled_at_ms;
    bool is_closed, allows_failures;
    int told;
};

/* ---- rows ---- */

static enum err read_row(struct store_tx *tx, int64_t id, struct row *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "SELECT total, pending, failed, cancelled, created_at_ms, finished_at_ms, cancelled_at_ms, "
        "is_sealed, allows_failures, told FROM job_batch WHERE id = $1",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    err = store_step(st);
    if (err)
        return err;
    *out = (struct row){
        .id = id,
        .total = store_column_int(st, 0),
        .pending = store_column_int(st, 1),
        .failed = store_column_int(st, 2),
        .cancelled = store_column_int(st, 3),
        .created_at_ms = store_column_int(st, 4),
        .finished_at_ms = store_column_int(st, 5),
        .cancelled_at_ms = store_column_int(st, 6),
        .is_closed = store_column_int(st, 7) != 0,
        .allows_failures = store_column_int(st, 8) != 0,
        .told = (int)store_column_int(st, 9),
    };
    store_finish(st);
    return OK;
}

static enum err save_row(struct store_tx *tx, const struct row *row)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "UPDATE job_batch SET total = $2, pending = $3, failed = $4, cancelled = $5, "
        "finished_at_ms = $6, cancelled_at_ms = $7, is_sealed = $8, told = $9 WHERE id = $1",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, row->id);
    store_bind_int(st, 2, row->total);
    store_bind_int(st, 3, row->pending);
    store_bind_int(st, 4, row->failed);
    store_bind_int(st, 5, row->cancelled);
    if (row->finished_at_ms > 0)
        store_bind_int(st, 6, row->finished_at_ms);
    if (row->cancelled_at_ms > 0)
        store_bind_int(st, 7, row->cancelled_at_ms);
    store_bind_int(st, 8, row->is_closed);
    store_bind_int(st, 9, row->told);
    return FAILPOINT("queue.batch", store_run(st, NULL));
}

/* ---- what follows: plans ---- */

static bool is_text(struct str text)
{
    return text.len == 0 || utf8_is_valid(text);
}

/* {"kind":"mail","queue":"slow","priority":0,"payload":P} */
static enum err write_plan(struct buf *out, const struct queue_new *job)
{
    struct str payload = job->payload.len > 0 ? job->payload : STR("null");
    enum err err = queue_check(job, NULL);
    if (!err && payload.len > QUEUE_BATCH_MAX_PAYLOAD_BYTES)
        err = ERR_TOO_LARGE;
    if (!err && (!is_text(job->kind) || !is_text(job->queue) || job->seal))
        err = ERR_INVALID; // the plan of a sealed one would stand there in clear
    if (!err)
        err = json_scan_document(payload);
    if (!err)
        err = buf_printf(out, "{\"kind\":");
    if (!err)
        err = json_write_string(out, job->kind);
    if (!err)
        err = buf_printf(out, ",\"queue\":");
    if (!err)
        err = json_write_string(out, job->queue.len > 0 ? job->queue : STR(QUEUE_DEFAULT));
    return err ? err
               : buf_printf(out, ",\"priority\":%d,\"payload\":%.*s}", job->priority,
                            STR_ARG(payload));
}

static enum err bind_plan(struct store_stmt *st, int index, const struct queue_new *job,
                          struct buf *text)
{
    if (!job)
        return OK;
    enum err err = write_plan(text, job);
    if (!err)
        store_bind_text(st, index, (struct str){(const char *)buf_head(text), buf_len(text)});
    return err;
}

static enum err read_plan(struct str plan, struct arena *a, struct queue_new *out)
{
    struct json_field fields[4];
    size_t count = 0;
    int64_t priority = 0;
    enum err err = json_scan_object(plan, fields, 4, &count);
    if (err || count != 4)
        return ERR_INVALID; // written by write_plan, so somebody changed it
    err = json_unescape(&fields[0].value, a, &out->kind);
    if (!err)
        err = json_unescape(&fields[1].value, a, &out->queue);
    if (!err)
        err = json_slice_int(&fields[2].value, &priority);
    out->priority = (int)priority;
    out->payload = fields[3].value.text;
    return err;
}

static enum err write_payload(struct buf *out, const struct row *row, struct str name,
                              struct str payload)
{
    enum err err = buf_printf(out, "{\"batch\":%lld,\"name\":", (long long)row->id);
    if (!err)
        err = json_write_string(out, name);
    return err ? err
               : buf_printf(out,
                            ",\"total\":%lld,\"failed\":%lld,\"cancelled\":%lld,\"payload\":"
                            "%.*s}",
                            (long long)row->total, (long long)row->failed,
                            (long long)row->cancelled, STR_ARG(payload));
}

/* Enqueues the job of a plan. */
static enum err follow(struct store_tx *tx, const struct row *row, struct str name, struct str plan,
                       struct arena *a)
{
    struct queue_new job = {0};
    struct buf payload;
    enum err err = read_plan(plan, a, &job);
    if (err)
        return err;
    buf_init(&payload, QUEUE_MAX_PAYLOAD_BYTES);
    err = write_payload(&payload, row, name, job.payload);
    job.payload = (struct str){(const char *)buf_head(&payload), buf_len(&payload)};
    if (!err)
        err = queue_enqueue(tx, &job, NULL);
    buf_done(&payload);
    return err;
}

/* The plans of these (TOLD_*), now. */
static enum err tell(struct store_tx *tx, const struct row *row, int what)
{
    static const int order[] = {TOLD_CATCH, TOLD_THEN, TOLD_FINALLY};
    struct store_stmt *st;
    struct arena a;
    struct str name, plans[3] = {{0}};
    enum err err = store_prepare(
        tx, "SELECT name, on_catch, on_then, on_finally FROM job_batch WHERE id = $1", &st);
    if (err)
        return err;
    arena_init(&a);
    store_bind_int(st, 1, row->id);
    err = store_step(st);
    if (!err)
        name = arena_str(&a, store_column_text(st, 0));
    for (int i = 0; !err && i < 3; i++)
        if ((what & order[i]) && !store_column_is_null(st, i + 1))
            plans[i] = arena_str(&a, store_column_text(st, i + 1));
    store_finish(st);
    for (int i = 0; !err && i < 3; i++)
        if (plans[i].at)
            err = follow(tx, row, name, plans[i], &a);
    arena_done(&a);
    return err;
}

/* ---- counters ---- */

/* What is to be told now and was not yet. */
static int news(const struct row *row)
{
    bool is_over = row->is_closed && row->pending == 0;
    bool is_well = row->failed == 0 || row->allows_failures;
    int what = is_over ? TOLD_FINALLY : 0;
    if (row->cancelled_at_ms == 0) {
        what |= row->failed > 0 ? TOLD_CATCH : 0;
        what |= is_over && is_well ? TOLD_THEN : 0;
    }
    return what & ~row->told;
}

/* Saves a row whose counters have moved. */
static enum err settle(struct store_tx *tx, struct row *row)
{
    int what = news(row);
    bool is_over = row->is_closed && row->pending == 0;
    row->told |= what;
    row->finished_at_ms = is_over ? store_now_ms(tx) : 0;
    enum err err = save_row(tx, row);
    return err || !what ? err : FAILPOINT("queue.follow", tell(tx, row, what));
}

enum err queue_batch_of(struct store_tx *tx, int64_t job_id, int64_t *batch_id_out)
{
    *batch_id_out = 0;
    return queue_row_ask(tx, "SELECT batch_id FROM job_option WHERE job_id = $1", job_id,
                         batch_id_out);
}

static enum err find_row(struct store_tx *tx, int64_t job_id, struct row *out)
{
    int64_t batch_id = 0;
    enum err err = queue_batch_of(tx, job_id, &batch_id);
    if (err)
        return err;
    return batch_id > 0 ? read_row(tx, batch_id, out) : ERR_NOT_FOUND;
}

enum err queue_batch_ended(struct store_tx *tx, const struct queue_row *job, enum queue_state state)
{
    struct row row;
    struct queue_graph_moves moves = {0};
    enum err err = queue_periodic_ended(tx, job->id);
    if (err)
        return err;
    err = find_row(tx, job->id, &row);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err; // of none, or of one that was forgotten
    err = queue_graph_ended(tx, job->id, state, &moves);
    if (err)
        return err;
    row.pending -= 1 + moves.cancelled;
    row.failed += state == QUEUE_DEAD;
    row.cancelled += moves.cancelled + (state == QUEUE_CANCELLED);
    return settle(tx, &row);
}

enum err queue_batch_revived(struct store_tx *tx, const struct queue_row *job)
{
    struct row row;
    int64_t revived = 0;
    enum err err = find_row(tx, job->id, &row);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    if (row.cancelled_at_ms == 0)
        err = queue_graph_revived(tx, job->id, &revived);
    if (err)
        return err;
    row.pending += 1 + revived;
    row.failed -= job->state == QUEUE_DEAD;
    row.cancelled -= revived + (job->state == QUEUE_CANCELLED);
    row.finished_at_ms = 0;
    return save_row(tx, &row);
}

enum err queue_batch_is_cancelled(struct store_tx *tx, int64_t job_id, bool *out)
{
    struct row row;
    enum err err = find_row(tx, job_id, &row);
    *out = !err && row.cancelled_at_ms > 0;
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err queue_batch_keep_ms(struct store_tx *tx, int64_t job_id, int64_t *out)
{
    *out = 0;
    return queue_row_ask(tx, "SELECT keep_ms FROM job_option WHERE job_id = $1", job_id, out);
}

/* ---- open, add, close ---- */

static enum err insert(struct store_tx *tx, const struct queue_batch_new *batch, struct buf *plans,
                       int64_t *id_out)
{
    const struct queue_new *const jobs[] = {batch->then, batch->catch, batch->finally};
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "INSERT INTO job_batch (name, allows_failures, created_at_ms, "
                                 "on_then, on_catch, on_finally) VALUES ($1, $2, $3, $4, $5, $6)",
                                 &st);
    for (int i = 0; !err && i < 3; i++)
        err = bind_plan(st, 4 + i, jobs[i], &plans[i]);
    if (err)
        return err;
    store_bind_text(st, 1, batch->name.at ? batch->name : STR(""));
    store_bind_int(st, 2, batch->allows_failures);
    store_bind_int(st, 3, store_now_ms(tx));
    return FAILPOINT("queue.batch", store_insert(st, id_out));
}

enum err queue_batch_open(struct store_tx *tx, const struct queue_batch_new *batch, int64_t *id_out)
{
    struct buf plans[3];
    if (batch->name.len > QUEUE_MAX_NAME_BYTES)
        return ERR_TOO_LARGE;
    if (!is_text(batch->name))
        return ERR_INVALID;
    for (int i = 0; i < 3; i++)
        buf_init(&plans[i], MAX_PLAN_BYTES);
    enum err err = insert(tx, batch, plans, id_out);
    for (int i = 0; i < 3; i++)
        buf_done(&plans[i]);
    return err;
}

static bool takes_jobs(const struct row *row)
{
    return row->cancelled_at_ms == 0 && !(row->is_closed && row->pending == 0);
}

enum err queue_batch_add(struct store_tx *tx, int64_t batch_id, const struct queue_new *jobs,
                         size_t count, int64_t *ids_out)
{
    struct row row;
    enum err err = read_row(tx, batch_id, &row);
    if (!err && !takes_jobs(&row))
        err = ERR_CONFLICT;
    for (size_t i = 0; !err && i < count; i++) {
        struct queue_new job = jobs[i];
        struct queue_receipt receipt = {0};
        job.batch_id = batch_id;
        err = queue_enqueue_many(tx, &job, 1, &receipt);
        row.total += !receipt.is_old;
        row.pending += !receipt.is_old;
        if (ids_out)
            ids_out[i] = receipt.id;
    }
    return err ? err : save_row(tx, &row);
}

enum err queue_batch_add_edges(struct store_tx *tx, int64_t batch_id, int64_t count, int64_t max)
{
    struct store_stmt *st;
    int64_t changes = 0;
    enum err err = store_prepare(
        tx, "UPDATE job_batch SET edges = edges + $2 WHERE id = $1 AND edges + $2 <= $3", &st);
    if (err)
        return err;
    store_bind_int(st, 1, batch_id);
    store_bind_int(st, 2, count);
    store_bind_int(st, 3, max);
    err = store_run(st, &changes);
    return err ? err : changes > 0 ? OK : ERR_TOO_LARGE;
}

enum err queue_batch_close(struct store_tx *tx, int64_t batch_id)
{
    struct row row;
    enum err err = read_row(tx, batch_id, &row);
    if (err || row.is_closed)
        return err;
    row.is_closed = true;
    return settle(tx, &row);
}

enum err queue_batch_get(struct store_tx *tx, int64_t batch_id, struct queue_batch *out)
{
    struct row row;
    enum err err = read_row(tx, batch_id, &row);
    if (err)
        return err;
    *out = (struct queue_batch){
        .id = row.id,
        .total = row.total,
        .pending = row.pending,
        .done = row.total - row.pending - row.failed - row.cancelled,
        .failed = row.failed,
        .cancelled = row.cancelled,
        .is_closed = row.is_closed,
        .is_cancelled = row.cancelled_at_ms > 0,
        .is_finished = row.finished_at_ms > 0,
        .created_at_ms = row.created_at_ms,
        .finished_at_ms = row.finished_at_ms,
    };
    return OK;
}

/* ---- cancel ---- */

/* Up to CANCEL_SLICE jobs that wait in any way; the last first, which mostly need the others. */
static enum err find_waiting(struct store_tx *tx, int64_t batch_id, int64_t *ids, size_t *count_out)
{
    struct store_stmt *st;
    size_t count = 0;
    enum err err = store_prepare(
        tx,
        "SELECT o.job_id FROM job_option AS o JOIN job AS j ON j.id = o.job_id WHERE o.batch_id = "
        "$1 AND j.state IN (0, 3, 4) ORDER BY o.job_id DESC LIMIT $2",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, batch_id);
    store_bind_int(st, 2, CANCEL_SLICE);
    while (!(err = store_step(st)))
        ids[count++] = store_column_int(st, 0);
    *count_out = count;
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err cancel_later(struct store_tx *tx, int64_t batch_id, const char *queue)
{
    char payload[32];
    int len = snprintf(payload, sizeof(payload), "%lld", (long long)batch_id);
    const struct queue_new job = {.kind = str_of(cancel_kind),
                                  .payload = {payload, (size_t)len},
                                  .queue = str_of(queue),
                                  .priority = QUEUE_MAX_PRIORITY}; // before those that it cancels
    return queue_enqueue(tx, &job, NULL);
}

/* Unless the end of another has cancelled it by now. */
static enum err cancel_one(struct store_tx *tx, int64_t id, struct queue_row *row)
{
    int64_t keep_ms = 0;
    enum err err = queue_row_get(tx, id, row);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    if (row->state == QUEUE_CANCELLED)
        return OK;
    err = queue_batch_keep_ms(tx, id, &keep_ms);
    return err ? err : queue_row_end(tx, row, QUEUE_CANCELLED, keep_ms, (struct str){0});
}

static enum err cancel_slice(struct store_tx *tx, int64_t batch_id)
{
    int64_t *ids = mem_zalloc(CANCEL_SLICE * sizeof(int64_t));
    struct queue_row row = {0};
    size_t count = 0;
    enum err err = find_waiting(tx, batch_id, ids, &count);
    for (size_t i = 0; !err && i < count; i++)
        err = cancel_one(tx, ids[i], &row);
    mem_free(ids);
    if (err || count < CANCEL_SLICE)
        return err;
    return cancel_later(tx, batch_id, row.queue);
}

enum err queue_batch_cancel(struct store_tx *tx, int64_t batch_id)
{
    struct row row;
    enum err err = read_row(tx, batch_id, &row);
    if (err || row.cancelled_at_ms > 0)
        return err;
    if (row.finished_at_ms > 0)
        return ERR_CONFLICT;
    row.cancelled_at_ms = store_now_ms(tx);
    row.is_closed = true;
    err = settle(tx, &row);
    return err ? err : cancel_slice(tx, batch_id);
}

static enum err commit_cancel(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    int64_t batch_id = 0;
    if (str_parse_int(job->payload, &batch_id))
        return ERR_INVALID;
    return cancel_slice(tx, batch_id);
}

const struct queue_handler queue_batch_handlers[] = {
    {.kind = cancel_kind, .commit = commit_cancel},
};
const size_t queue_batch_handler_count =
    sizeof(queue_batch_handlers) / sizeof(queue_batch_handlers[0]);

/* ---- forgetting ---- */

enum err queue_batch_prune(struct store_tx *tx, int64_t then_ms, int64_t limit, int64_t *count_out)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "DELETE FROM job_batch WHERE id IN (SELECT id FROM job_batch WHERE finished_at_ms < $1 "
        "ORDER BY finished_at_ms LIMIT $2)",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, then_ms);
    store_bind_int(st, 2, limit);
    return FAILPOINT("queue.prune", store_run(st, count_out));
}
