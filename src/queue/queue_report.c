#include "queue/queue_report.h"

#include "core/failpoint.h"
#include "queue/queue_internal.h"

/* What names the run of a job: $1 and $2 of these statements. A held job may be claimed by its row
 * while it runs, with the epoch that it has: either state will do. */
static enum err prepare(struct store_tx *tx, const char *sql, const struct queue_job *job,
                        struct store_stmt **out)
{
    enum err err = store_prepare(tx, sql, out);
    if (err)
        return err;
    store_bind_int(*out, 1, job->id);
    store_bind_int(*out, 2, job->epoch);
    return OK;
}

/* Whether the row is hit is the fence. has: what the job has from now on. */
static enum err note(struct store_tx *tx, const struct queue_job *job, int has)
{
    struct store_stmt *st;
    int64_t changes = 0;
    enum err err = prepare(tx,
                           "UPDATE job SET options = options | $3 "
                           "WHERE id = $1 AND epoch = $2 AND state IN (0, 1)",
                           job, &st);
    if (err)
        return err;
    store_bind_int(st, 3, has);
    err = FAILPOINT("queue.report", store_run(st, &changes));
    return err ? err : changes > 0 ? OK : ERR_CONFLICT;
}

static enum err write_progress(struct store_tx *tx, int64_t id, const struct queue_report *report)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "INSERT INTO job_run (job_id, progress, progress_text) VALUES ($1, $2, $3) ON CONFLICT "
        "(job_id) DO UPDATE SET progress = excluded.progress, "
        "progress_text = excluded.progress_text",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    if (report->percent >= 0)
        store_bind_int(st, 2, report->percent);
    store_bind_text(st, 3, report->progress);
    return FAILPOINT("queue.report", store_run(st, NULL));
}

static enum err last_line(struct store_tx *tx, int64_t id, int64_t *out)
{
    return queue_row_ask(tx, "SELECT coalesce(max(n), 0) FROM job_log WHERE job_id = $1", id, out);
}

static enum err add_line(struct store_tx *tx, int64_t id, int64_t n, struct str text)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "INSERT INTO job_log (job_id, n, at_ms, text) VALUES ($1, $2, $3, $4)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, n);
    store_bind_int(st, 3, store_now_ms(tx));
    store_bind_text(st, 4, text);
    return FAILPOINT("queue.report", store_run(st, NULL));
}

/* Those up to n. */
static enum err drop_lines(struct store_tx *tx, int64_t id, int64_t n)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "DELETE FROM job_log WHERE job_id = $1 AND n <= $2", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, n);
    return store_run(st, NULL);
}

static enum err write_log(struct store_tx *tx, int64_t id, struct str log)
{
    int64_t n = 0;
    enum err err = last_line(tx, id, &n);
    while (!err && log.len > 0)
        err = add_line(tx, id, ++n, str_cut(log, '\n', &log));
    return err || n <= QUEUE_REPORT_MAX_LINES ? err
                                              : drop_lines(tx, id, n - QUEUE_REPORT_MAX_LINES);
}

enum err queue_report(struct store_tx *tx, const struct queue_job *job,
                      const struct queue_report *report)
{
    int has = (report->progress.at ? QUEUE_HAS_RUN : 0) | (report->log.len > 0 ? QUEUE_HAS_LOG : 0);
    enum err err = note(tx, job, has);
    if (!err && report->progress.at)
        err = write_progress(tx, job->id, report);
    if (!err && report->log.len > 0)
        err = write_log(tx, job->id, report->log);
    return err;
}

enum err queue_report_ask(struct store_tx *tx, const struct queue_job *job, bool *is_cancelled_out)
{
    struct store_stmt *st = NULL;
    enum err err = prepare(tx,
                           "SELECT (SELECT cancel_at_ms FROM job_run WHERE job_id = $1) FROM job "
                           "WHERE id = $1 AND epoch = $2 AND state IN (0, 1)",
                           job, &st);
    if (!err)
        err = store_step(st);
    if (!err)
        *is_cancelled_out = !store_column_is_null(st, 0);
    store_finish(st);
    return err == ERR_NOT_FOUND ? ERR_CONFLICT : err;
}

enum err queue_report_cancel(struct store_tx *tx, int64_t id)
{
    struct queue_row row;
    struct store_stmt *st;
    enum err err = queue_row_get(tx, id, &row);
    if (err)
        return err;
    row.options |= QUEUE_HAS_RUN;
    err = queue_row_save(tx, &row, (struct str){0});
    if (!err)
        err = store_prepare(tx,
                            "INSERT INTO job_run (job_id, cancel_at_ms) VALUES ($1, $2) ON "
                            "CONFLICT (job_id) DO UPDATE SET cancel_at_ms = excluded.cancel_at_ms",
                            &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, store_now_ms(tx));
    return FAILPOINT("queue.cancel", store_run(st, NULL));
}

enum err queue_report_result(struct store_tx *tx, int64_t id, struct str result)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "UPDATE job_run SET result = $2 WHERE job_id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_text(st, 2, result);
    return FAILPOINT("queue.report", store_run(st, NULL));
}
