/* queue_report.h -- what a job that runs says of itself: how far it is, lines for its log; and
 * whether it is wanted any more.
 *
 * All under the fence: a run that is not the job's any more is refused. Jobs that say nothing cost
 * nothing.
 */
#ifndef QUEUE_REPORT_H
#define QUEUE_REPORT_H

#include "queue/queue.h"

enum { QUEUE_REPORT_MAX_LINES = 200 }; // of a job's log: the newest

struct queue_report {
    struct str progress; // at NULL: as it was
    int percent;         // of a progress; -1: not known
    struct str log;      // lines, each with its end
};

/* Writes it. ERR_CONFLICT: stale, and nothing is written. */
MUST_USE enum err queue_report(struct store_tx *tx, const struct queue_job *job,
                               const struct queue_report *report);
/* Does an operator want the job to be given up? ERR_CONFLICT: it is not this run's any more. */
MUST_USE enum err queue_report_ask(struct store_tx *tx, const struct queue_job *job,
                                   bool *is_cancelled_out);
/* Wants a job to be given up that may be running. ERR_NOT_FOUND. */
MUST_USE enum err queue_report_cancel(struct store_tx *tx, int64_t id);
/* Keeps the result of a job that was acknowledged in this transaction and is kept (keep_ms). */
MUST_USE enum err queue_report_result(struct store_tx *tx, int64_t id, struct str result);

#endif
