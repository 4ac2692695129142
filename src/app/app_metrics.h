/* app_metrics.h -- GET /metrics of a process that serves nothing else, on a loop and a thread of
 * its own. */
#ifndef APP_METRICS_H
#define APP_METRICS_H

#include <stddef.h>

#include "core/err.h"

struct app_metrics;

/* Opens the address, or the port of 127.0.0.1; empty: *out is NULL, which the others take. After
 * the last fork. Errors as io_listener_open. */
MUST_USE enum err app_metrics_new(const char *listen, struct app_metrics **out, char *why_out,
                                  size_t why_cap);
MUST_USE enum err app_metrics_start(struct app_metrics *m);
/* Ends the thread; connections are dropped. Before the queues are freed. */
void app_metrics_free(struct app_metrics *m);

#endif
