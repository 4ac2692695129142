/* queue_history.h -- how the queues of this process did lately, for charts: the last hour by 10
 * seconds and the last day by minutes, in memory of a fixed size (150 KiB). What was before the
 * start is not known.
 */
#ifndef QUEUE_HISTORY_H
#define QUEUE_HISTORY_H

#include "queue/queue_admin.h"
#include "queue/queue_meter.h"

enum queue_history_span { QUEUE_HISTORY_HOUR, QUEUE_HISTORY_DAY, QUEUE_HISTORY_SPANS };
enum { QUEUE_HISTORY_STEP_MS = 10 * 1000, QUEUE_HISTORY_MAX = 1440 };

struct queue_sample {
    int64_t at_ms;                  // unix time of its end
    int64_t span_ms;                // since the one before
    int64_t done, failed;           // in that time; failed: crashed too
    int64_t ready, dead, oldest_ms; // at its end, of all queues
    int64_t wait_us, slow_wait_us;  // half of the runs of that time waited no longer;
    int64_t run_us, slow_run_us;    // 95 of 100; and ran so long. 0: none ended
};

struct queue_history;

struct queue_history *queue_history_new(void);
void queue_history_free(struct queue_history *h);

/* Every QUEUE_HISTORY_STEP_MS. Any thread. */
void queue_history_add(struct queue_history *h, int64_t now_ms,
                       const struct queue_admin_counts *counts,
                       const struct queue_meter_copies *meters);
/* The oldest first; gives how many. out has room for QUEUE_HISTORY_MAX. Any thread. */
size_t queue_history_read(struct queue_history *h, enum queue_history_span span,
                          struct queue_sample *out);

#endif
