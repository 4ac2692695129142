#include "queue/queue_admin_act.h"

#include "core/check.h"
#include "core/failpoint.h"
#include "core/json.h"
#include "queue/queue_batch.h"
#include "queue/queue_internal.h"
#include "queue/queue_report.h"

static enum err refuse(struct queue_admin_act *act, enum err err, const char *why)
{
    act->why = str_of(why);
    return err;
}

/* The job as the operator saw it. */
static enum err find(struct store_tx *tx, struct queue_admin_act *act, struct queue_row *out)
{
    act->why = (struct str){0};
    act->is_pending = false;
    enum err err = queue_row_get(tx, act->id, out);
    if (err == ERR_NOT_FOUND)
        return refuse(act, err, "there is no such job");
    if (!err && act->epoch >= 0 && act->epoch != out->epoch)
        return refuse(act, ERR_CONFLICT, "it has changed meanwhile");
    return err;
}

static bool is_running(const struct queue_admin_act *act, const struct queue_row *row)
{
    return row->state == QUEUE_RUNNING ||
           (row->state == QUEUE_READY && queue_admin_list_is_held(act->held, row->id));
}

/* ---- retry ---- */

/* Edges of the job: how many are open, how many can never be met. */
static enum err count_needs(struct store_tx *tx, const struct queue_row *row, int64_t *open_out,
                            int64_t *broken_out)
{
    struct store_stmt *st;
    *open_out = *broken_out = 0;
    if (!(row->options & QUEUE_IN_FLOW))
        return OK;
    enum err err = store_prepare(tx, "SELECT is_met FROM job_need WHERE job_id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, row->id);
    while (!(err = store_step(st))) {
        *open_out += store_column_int(st, 0) == 0;
        *broken_out += store_column_int(st, 0) == 2;
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

/* What the last run left, but for its errors; a done one does its steps again. */
static enum err forget_run(struct store_tx *tx, struct queue_row *row)
{
    enum err err = OK;
    if (row->options & QUEUE_HAS_RUN)
        err = queue_row_run(tx,
                            "UPDATE job_run SET cancel_at_ms = NULL, finished_at_ms = NULL, "
                            "progress = NULL, progress_text = NULL, result = NULL "
                            "WHERE job_id = $1",
                            row->id);
    if (!err && row->state == QUEUE_DONE_STATE && (row->options & QUEUE_HAS_STEPS))
        err = queue_row_run(tx, "DELETE FROM job_step WHERE job_id = $1", row->id);
    return err;
}

static enum err drop_deadline(struct store_tx *tx, const struct queue_row *row)
{
    struct store_stmt *st;
    if (!(row->options & QUEUE_HAS_OPTION))
        return OK;
    enum err err = store_prepare(tx,
                                 "UPDATE job_option SET deadline_ms = NULL WHERE job_id = $1 AND "
                                 "deadline_ms <= $2",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, row->id);
    store_bind_int(st, 2, store_now_ms(tx));
    return store_run(st, NULL);
}

/* Everything that may refuse it comes first. */
static enum err revive(struct store_tx *tx, struct queue_admin_act *act, struct queue_row *row,
                       int64_t *open_out)
{
    int64_t broken = 0;
    enum err err = count_needs(tx, row, open_out, &broken);
    if (!err && broken > 0)
        return refuse(act, ERR_CONFLICT, "a job that it needs was not done; retry that");
    if (err || !queue_row_is_over(row))
        return err;
    bool is_cancelled = false;
    if (row->options & QUEUE_IN_FLOW)
        err = queue_batch_is_cancelled(tx, row->id, &is_cancelled);
    if (!err && is_cancelled)
        return refuse(act, ERR_CONFLICT, "its batch was cancelled");
    if (!err)
        err = queue_row_take_key_back(tx, row);
    if (err == ERR_CONFLICT)
        return refuse(act, err, "another job has its unique key");
    if (!err && (row->options & QUEUE_IN_FLOW))
        err = queue_batch_revived(tx, row);
    return err ? err : forget_run(tx, row);
}

enum err queue_admin_act_retry(struct store_tx *tx, struct queue_admin_act *act)
{
    struct queue_row row;
    int64_t open = 0;
    enum err err = find(tx, act, &row);
    if (err)
        return err;
    if (is_running(act, &row))
        return refuse(act, ERR_CONFLICT, "it runs");
    if (row.state == QUEUE_READY)
        return refuse(act, ERR_CONFLICT, "it is ready");
    if (row.state == QUEUE_WAITING)
        return refuse(act, ERR_CONFLICT, "it waits for other jobs, or for its key");
    err = revive(tx, act, &row, &open);
    if (!err)
        err = drop_deadline(tx, &row);
    if (err)
        return err;
    row.attempt = row.crash = 0;
    row.epoch++;
    row.run_at_ms = store_now_ms(tx);
    row.at_ms = 0;
    row.state = QUEUE_WAITING;
    if (open == 0)
        err = queue_row_make_due(tx, &row, row.run_at_ms);
    return err ? err : queue_row_save(tx, &row, (struct str){0});
}

/* ---- discard, cancel ---- */

static enum err end(struct store_tx *tx, struct queue_row *row, const char *why)
{
    int64_t keep_ms = 0;
    enum err err = queue_batch_keep_ms(tx, row->id, &keep_ms);
    if (!err)
        err = queue_report_cancel(tx, row->id); // it is not revived with others
    row->options |= QUEUE_HAS_RUN;
    if (!err)
        err = queue_row_note(tx, row, "cancel", str_of(why));
    if (keep_ms < QUEUE_KEEP_CANCELLED_MS)
        keep_ms = QUEUE_KEEP_CANCELLED_MS;
    return err ? err : queue_row_end(tx, row, QUEUE_CANCELLED, keep_ms, str_of(why));
}

enum err queue_admin_act_discard(struct store_tx *tx, struct queue_admin_act *act)
{
    struct queue_row row;
    enum err err = find(tx, act, &row);
    if (err)
        return err;
    if (is_running(act, &row))
        return refuse(act, ERR_CONFLICT, "it runs; cancel it");
    if (queue_row_is_over(&row))
        return queue_row_end(tx, &row, row.state, 0, (struct str){0});
    return end(tx, &row, "discarded by an operator");
}

enum err queue_admin_act_cancel(struct store_tx *tx, struct queue_admin_act *act)
{
    struct queue_row row;
    enum err err = find(tx, act, &row);
    if (err)
        return err;
    if (queue_row_is_over(&row))
        return refuse(act, ERR_CONFLICT, "it is over");
    if (!is_running(act, &row))
        return end(tx, &row, "cancelled by an operator");
    act->is_pending = true;
    return queue_report_cancel(tx, row.id);
}

/* ---- edit ---- */

static enum err ask_sealed(struct store_tx *tx, const struct queue_row *row, bool *out)
{
    int64_t is_sealed = 0;
    enum err err = OK;
    if (row->options & QUEUE_HAS_OPTION)
        err = queue_row_ask(tx, "SELECT seal IS NOT NULL FROM job_option WHERE job_id = $1",
                            row->id, &is_sealed);
    *out = is_sealed != 0;
    return err;
}

static enum err check_edit(struct store_tx *tx, struct queue_admin_act *act,
                           const struct queue_row *row, const struct queue_admin_edit *edit)
{
    const struct queue_new as_new = {.kind = STR("edit"),
                                     .payload = edit->payload,
                                     .run_at_ms = edit->has_time ? edit->run_at_ms : 0,
                                     .priority = edit->has_priority ? edit->priority : 0};
    const char *why = NULL;
    bool is_sealed = false;
    enum err err = queue_check(&as_new, &why);
    if (err)
        return refuse(act, err, why);
    if (edit->payload.at && json_scan_document(edit->payload) != OK)
        return refuse(act, ERR_INVALID, "the payload is not JSON");
    if (is_running(act, row))
        return refuse(act, ERR_CONFLICT, "it runs; cancel it");
    if (edit->has_time && queue_row_is_over(row))
        return refuse(act, ERR_CONFLICT, "it is over; retry it");
    if (edit->payload.at)
        err = ask_sealed(tx, row, &is_sealed);
    return is_sealed ? refuse(act, ERR_DENIED, "its payload is sealed") : err;
}

static enum err save_payload(struct store_tx *tx, int64_t id, struct str payload)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "UPDATE job SET payload = $2 WHERE id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_text(st, 2, payload);
    return FAILPOINT("queue.edit", store_run(st, NULL));
}

static enum err save_priority(struct store_tx *tx, struct queue_row *row, int priority)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "INSERT INTO job_option (job_id, priority) VALUES ($1, $2) ON "
                                 "CONFLICT (job_id) DO UPDATE SET priority = excluded.priority",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, row->id);
    store_bind_int(st, 2, priority);
    row->options |= QUEUE_HAS_OPTION;
    return store_run(st, NULL);
}

/* Its place in the queue. */
static enum err move(struct store_tx *tx, struct queue_row *row,
                     const struct queue_admin_edit *edit)
{
    int64_t run_at_ms = edit->has_time ? edit->run_at_ms : row->run_at_ms;
    if (edit->has_time && run_at_ms == 0)
        run_at_ms = store_now_ms(tx);
    bool waits_for_key = false;
    enum err err = queue_row_waits_for_key(tx, row, &waits_for_key);
    if (err)
        return err;
    if (row->state == QUEUE_READY || row->state == QUEUE_SCHEDULED || waits_for_key)
        return queue_row_make_due(tx, row, run_at_ms);
    row->run_at_ms = run_at_ms; // its rank is found when it is ready
    return OK;
}

enum err queue_admin_act_edit(struct store_tx *tx, struct queue_admin_act *act,
                              const struct queue_admin_edit *edit)
{
    struct queue_row row;
    enum err err = find(tx, act, &row);
    if (!err)
        err = check_edit(tx, act, &row, edit);
    if (!err && edit->payload.at)
        err = save_payload(tx, row.id, edit->payload);
    if (!err && edit->has_priority)
        err = save_priority(tx, &row, edit->priority);
    if (!err && (edit->has_priority || edit->has_time))
        err = move(tx, &row, edit);
    row.epoch++;
    return err ? err : queue_row_save(tx, &row, (struct str){0});
}

/* ---- many ---- */

enum err queue_admin_act_slice(struct store_tx *tx, queue_admin_act_fn *fn,
                               const struct queue_admin_list *list, const struct queue_held *held,
                               size_t *done_out, size_t *refused_out)
{
    CHECK(list->count <= QUEUE_ADMIN_ACT_SLICE);
    *done_out = *refused_out = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct queue_admin_job *job = &list->jobs[i];
        struct queue_admin_act act = {.id = job->id, .epoch = job->epoch, .held = held};
        enum err err = fn(tx, &act);
        if (err && !act.why.at) // a failure, no refusal: it may have written
            return err;
        *done_out += !err;
        *refused_out += err != OK;
    }
    return OK;
}
