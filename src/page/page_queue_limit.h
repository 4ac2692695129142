/* page_queue_limit.h -- /admin/queues/limits?queue=NAME: how many jobs of a queue, and of each of
 * its keys, run at once and begin in a time. What `viche queue limit` sets, for those who may see
 * the queues; set and cleared by admins. */
#ifndef PAGE_QUEUE_LIMIT_H
#define PAGE_QUEUE_LIMIT_H

#include "page/page_internal.h"

extern const struct api_endpoint page_queue_limit_get;
extern const struct api_endpoint page_queue_limit_post;

/* The address of the page, in the call's arena. */
struct str page_queue_limit_path(struct api_call *call, struct str queue);

#endif
