/* page_queue_batch.h -- /admin/queues/batches: the newest first; and .../{id}/cancel: what a batch
 * still has to do is cancelled, after a question, by admins. */
#ifndef PAGE_QUEUE_BATCH_H
#define PAGE_QUEUE_BATCH_H

#include "page/page_internal.h"
#include "queue/queue_batch.h"

extern const struct api_endpoint page_queue_batch_get_list;
extern const struct api_endpoint page_queue_batch_get_cancel;
extern const struct api_endpoint page_queue_batch_post_cancel;

/* In words. */
struct str page_queue_batch_state(struct api_call *call, const struct queue_batch *b);

#endif
