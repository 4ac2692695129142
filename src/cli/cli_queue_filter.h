/* cli_queue_filter.h -- which jobs: the options of CLI_QUEUE_FILTER. */
#ifndef CLI_QUEUE_FILTER_H
#define CLI_QUEUE_FILTER_H

#include "cli/cli_queue.h"
#include "queue/queue_admin_list.h"

/* The texts are the target's. Returns the exit status. */
int cli_queue_filter_read(const struct cli_queue_target *target,
                          struct queue_admin_list_filter *out);

/* A page, in the call's snapshot. The caller frees the arena, which is the page's own. Returns the
 * exit status. */
struct cli_queue_filter_page {
    const struct queue_admin_list_filter *filter;
    const struct queue_held *held;
    struct queue_admin_list_cursor after;
    size_t limit;
    struct arena arena;
    struct queue_admin_list list;
};
int cli_queue_filter_page(const struct cli_queue_call *call, struct cli_queue_filter_page *page);

#endif
