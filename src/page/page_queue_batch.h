/* page_queue_batch.h -- /admin/queues/batches/{id}/cancel: what a batch still has to do is
 * cancelled, after a question. For admins. */
#ifndef PAGE_QUEUE_BATCH_H
#define PAGE_QUEUE_BATCH_H

#include "page/page_internal.h"

extern const struct api_endpoint page_queue_batch_get_cancel;
extern const struct api_endpoint page_queue_batch_post_cancel;

#endif
