/* queue_batch.h -- jobs that are counted together, and jobs that follow when they have ended.
 *
 *     queue_batch_open -- queue_batch_add, as often as needed -- queue_batch_close
 *                             |                                        |
 *                             '--> each job ends --(counters)--> all ended and closed: finished
 *
 * The counters move, and what follows is enqueued, in the transaction that ends a job: whatever is
 * killed when, each follows exactly once. It follows
 *
 *     catch    when the first job has failed for good (DEAD), while others still run
 *     then     when all have ended and none failed, or failures are allowed
 *     finally  when all have ended, always
 *
 * as a job with the payload
 * {"batch":7,"name":"import","total":9,"failed":1,"cancelled":0,"payload":P}, where P is the one
 * that was given. A cancelled batch has its finally alone.
 *
 * A job of an open batch, or one that runs, may add more: in its commit, in a transaction of its
 * run, or from anywhere else. A dead job that an operator retries counts as not ended again, and
 * `then` may still follow when it succeeds. Jobs outside of batches pay nothing for all this.
 */
#ifndef QUEUE_BATCH_H
#define QUEUE_BATCH_H

#include "queue/queue.h"

struct queue_batch_new {
    struct str name;                                // for people; up to QUEUE_MAX_NAME_BYTES
    const struct queue_new *then, *catch, *finally; // NULL: nothing follows
    bool allows_failures;                           // `then` follows nevertheless
};
/* Of what follows: its payload is one JSON value, or empty for null. */
enum { QUEUE_BATCH_MAX_PAYLOAD_BYTES = QUEUE_MAX_PAYLOAD_BYTES - 1024 };

/* An open batch. Of what follows kind, payload, queue and priority count; their queue must be one
 * that somebody serves. ERR_INVALID, ERR_TOO_LARGE: as queue_check, a payload that is no JSON,
 * or one to be sealed. */
MUST_USE enum err queue_batch_open(struct store_tx *tx, const struct queue_batch_new *batch,
                                   int64_t *id_out);
/* Adds jobs. One whose unique or idempotency key is taken is no member: its id is the earlier
 * job's, and it is not counted. ids_out may be NULL. ERR_NOT_FOUND: no such batch. ERR_CONFLICT: it
 * is finished or cancelled. Errors as queue_enqueue; roll back. */
MUST_USE enum err queue_batch_add(struct store_tx *tx, int64_t batch_id,
                                  const struct queue_new *jobs, size_t count, int64_t *ids_out);
/* Lets it finish when its jobs have ended: at once when they have, or there are none. Again is
 * harmless. ERR_NOT_FOUND. */
MUST_USE enum err queue_batch_close(struct store_tx *tx, int64_t batch_id);
/* Closes it and cancels its jobs that do not run, the first thousands now and the rest by a job of
 * the queue's own; those that a worker has claimed and not begun when it comes to them. Those that
 * run end as they do, but are not tried again (queue_batch_is_cancelled tells them). Again is
 * harmless. ERR_NOT_FOUND. ERR_CONFLICT: it is finished. */
MUST_USE enum err queue_batch_cancel(struct store_tx *tx, int64_t batch_id);

struct queue_batch {
    int64_t id, total, pending, done, failed, cancelled; // jobs; total is the sum of the others
    bool is_closed, is_cancelled, is_finished;
    int64_t created_at_ms, finished_at_ms;
};
/* ERR_NOT_FOUND: never there, or forgotten. */
MUST_USE enum err queue_batch_get(struct store_tx *tx, int64_t batch_id, struct queue_batch *out);
/* Of a running job: its batch; 0: none. */
MUST_USE enum err queue_batch_of(struct store_tx *tx, int64_t job_id, int64_t *batch_id_out);

/* Forgets up to limit batches that finished before then_ms. */
MUST_USE enum err queue_batch_prune(struct store_tx *tx, int64_t then_ms, int64_t limit,
                                    int64_t *count_out);

/* ---- for the other files of the queue ---- */
struct queue_row;
/* A job of a flow has come to this state (DONE, DEAD, CANCELLED), whose row is about to be written
 * or removed: moves the jobs that need it, the counters, what follows, the periodic job's next. */
MUST_USE enum err queue_batch_ended(struct store_tx *tx, const struct queue_row *row,
                                    enum queue_state state);
/* A dead or cancelled one is about to be put back: counts it as not ended. */
MUST_USE enum err queue_batch_revived(struct store_tx *tx, const struct queue_row *row);
/* Its batch was cancelled: it is not to be tried again. */
MUST_USE enum err queue_batch_is_cancelled(struct store_tx *tx, int64_t job_id, bool *out);
/* How long a cancelled one is kept: as it was enqueued, 0: not at all. */
MUST_USE enum err queue_batch_keep_ms(struct store_tx *tx, int64_t job_id, int64_t *out);
/* Counts edges of a graph. ERR_TOO_LARGE: more than QUEUE_GRAPH_MAX_EDGES in the batch. */
MUST_USE enum err queue_batch_add_edges(struct store_tx *tx, int64_t batch_id, int64_t count,
                                        int64_t max);
/* Handlers that every queue has. */
extern const struct queue_handler queue_batch_handlers[];
extern const size_t queue_batch_handler_count;

#endif
