/* queue_step.h -- steps of a long job, whose results are kept: a later run does not do them again.
 *
 *     enum err run(struct queue_job *job, void *ctx, struct str *why_out)
 *     {
 *         err = queue_step_do(store, job, STR("reserve"), reserve, &order, &reservation);
 *         if (!err)
 *             err = queue_step_do(store, job, STR("label"), print_label, &order, &label);
 *         ...
 *
 * A step is a transaction: its effects and its result are written together, under (job, name), or
 * not at all, and only while the job is the caller's. Work outside of the database (a payment)
 * cannot be in a transaction: give the other side the idempotency key "JOB:STEP", then save.
 * Results go with the job.
 */
#ifndef QUEUE_STEP_H
#define QUEUE_STEP_H

#include "queue/queue.h"

enum { QUEUE_STEP_MAX_RESULT_BYTES = 64 * 1024 };

/* In the step's transaction, as every store_fn. The result may be left empty; else in the job's
 * arena or longer-lived. */
typedef enum err queue_step_fn(struct store_tx *tx, struct queue_job *job, void *arg,
                               struct str *result_out);

/* From a handler's run: gives the kept result, in the job's arena, or does the step. result_out may
 * be NULL. Blocks. ERR_CONFLICT: the job is not the caller's any more: leave. ERR_INVALID,
 * ERR_TOO_LARGE: the name (1 to QUEUE_MAX_NAME_BYTES) or the result. Errors of fn and of the store;
 * nothing is kept then. */
MUST_USE enum err queue_step_do(struct store *store, struct queue_job *job, struct str name,
                                queue_step_fn *fn, void *arg, struct str *result_out);

/* The pieces, for transactions of one's own. */
/* ERR_NOT_FOUND: it was not done. The result is in a. */
MUST_USE enum err queue_step_find(struct store_tx *tx, int64_t job_id, struct str name,
                                  struct arena *a, struct str *result_out);
/* The result of one that was kept stays. Errors as queue_step_do. */
MUST_USE enum err queue_step_save(struct store_tx *tx, const struct queue_job *job, struct str name,
                                  struct str result);

#endif
