/* queue_graph.h -- jobs that wait for other jobs: chains and graphs, in a batch.
 *
 * A job with needs is WAITING until each of them is met; the transaction that ends the last job it
 * needs makes it ready. An edge says when it is met:
 *
 *     QUEUE_ON_SUCCESS   the other was done
 *     QUEUE_ON_FINISH    it has ended, whichever way
 *     QUEUE_ON_FAILURE   it has failed for good
 *
 * When it has ended the other way, the edge can never be met: the job that has it is cancelled, and
 * so on from there. A branch for failures is cancelled likewise when nothing failed; that is no
 * failure of the batch. A dead job that is retried takes those back that were cancelled because of
 * it, unless they need another that was not done either, an operator has cancelled them, or another
 * job has their unique key by now.
 *
 * Jobs of a graph are kept for QUEUE_GRAPH_KEEP_MS when they have no keep_ms of their own, so that
 * later ones can need them and people can see the graph.
 */
#ifndef QUEUE_GRAPH_H
#define QUEUE_GRAPH_H

#include "queue/queue_batch.h"

enum queue_when { QUEUE_ON_SUCCESS, QUEUE_ON_FINISH, QUEUE_ON_FAILURE };

struct queue_edge {
    size_t node;    // of the same call, by its place, in any order
    int64_t job_id; // or, not 0: a job that is in the batch already
    enum queue_when when;
};

struct queue_node {
    struct queue_new job;
    const struct queue_edge *needs;
    size_t needs_count;
};

enum {
    QUEUE_GRAPH_MAX_NODES = 10000, // of one call
    QUEUE_GRAPH_MAX_EDGES = 10000, // of a batch: what one transaction may have to follow
    QUEUE_GRAPH_KEEP_MS = 7 * 24 * 3600 * 1000,
};

/* Adds nodes to a batch that is not finished; all or, with an error, none that counts: roll back.
 * ids_out (may be NULL) has room for count. ERR_INVALID: the needs go in a circle, a node needs
 * itself, one twice, or one that there is not; or as queue_check. ERR_NOT_FOUND: no such batch, or
 * a job_id that is not in it (any more). ERR_CONFLICT: the batch is finished or cancelled; or a
 * unique or idempotency key is taken. ERR_TOO_LARGE: the limits above. */
MUST_USE enum err queue_graph_add(struct store_tx *tx, int64_t batch_id,
                                  const struct queue_node *nodes, size_t count, int64_t *ids_out);

/* A closed batch of jobs of which each needs the success of the one before. Errors as
 * queue_batch_open and queue_graph_add. */
MUST_USE enum err queue_graph_chain(struct store_tx *tx, const struct queue_batch_new *batch,
                                    const struct queue_new *jobs, size_t count,
                                    int64_t *batch_id_out);

/* ---- for queue_batch.c ---- */
struct queue_row;
/* What a job's end led to. */
struct queue_graph_moves {
    int64_t cancelled; // jobs that can never run now, all of them in the same batch
};
MUST_USE enum err queue_graph_ended(struct store_tx *tx, int64_t job_id, enum queue_state state,
                                    struct queue_graph_moves *out);
/* The reverse, for a job that is put back: revived are waiting again. */
MUST_USE enum err queue_graph_revived(struct store_tx *tx, int64_t job_id, int64_t *revived_out);

#endif
