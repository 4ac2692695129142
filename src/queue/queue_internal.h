/* queue_internal.h -- what queue.c needs of queue_worker.c; the contracts are those of queue.h. */
#ifndef QUEUE_INTERNAL_H
#define QUEUE_INTERNAL_H

#include "queue/queue.h"

struct queue *queue_worker_new(struct store *store, const struct queue_options *options,
                               const struct queue_handler *handlers, size_t count);
MUST_USE enum err queue_worker_start(struct queue *q);
bool queue_worker_stop(struct queue *q, int64_t drain_ms);
void queue_worker_free(struct queue *q);
void queue_worker_wake(struct queue *q);
/* Without workers: the calling thread runs what is due, and what that makes due at once. Gives when
 * the next job is due; 0: none waits, or that is not known. */
int64_t queue_worker_run_due(struct queue *q);
void queue_worker_finish(struct queue_job *job, const struct queue_end *end);

struct store *queue_worker_store(struct queue *q);
struct str queue_worker_name(struct queue *q);
/* queue_options.last_id. Before the start. */
void queue_worker_set_last_id(struct queue *q, int64_t last_id);
/* Fills in done, failed and refused. */
void queue_worker_count(struct queue *q, struct queue_stats *out);
size_t queue_worker_list_held(struct queue *q, int64_t *ids, size_t cap);

#endif
