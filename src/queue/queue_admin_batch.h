/* queue_admin_batch.h -- batches, for an operator to find and see. */
#ifndef QUEUE_ADMIN_BATCH_H
#define QUEUE_ADMIN_BATCH_H

#include "queue/queue_batch.h"

enum { QUEUE_ADMIN_BATCH_MAX = 1000 };

struct queue_admin_batch {
    struct queue_batch batch;
    struct str name;
};
struct queue_admin_batches {
    struct queue_admin_batch *at; // the newest first
    size_t count;
    bool has_more;
};

/* Reads; what they give lives in the arena. */
/* ERR_NOT_FOUND: never there, or forgotten. */
MUST_USE enum err queue_admin_batch_get(struct store_tx *tx, int64_t id, struct arena *a,
                                        struct queue_admin_batch *out);
/* Up to limit (QUEUE_ADMIN_BATCH_MAX) with an id below before_id (0: all); is_unfinished: only
 * those that are not finished. */
MUST_USE enum err queue_admin_batch_list(struct store_tx *tx, int64_t before_id, bool is_unfinished,
                                         size_t limit, struct arena *a,
                                         struct queue_admin_batches *out);

/* "open" (jobs may be added), "running", "cancelled" or "finished". */
const char *queue_admin_batch_state_text(const struct queue_batch *batch);

#endif
