/* queue_history.h -- how the queues did lately, for charts: the last hour by 10 seconds and the
 * last day by minutes, of all and of each of up to 32, with failures by kind; in memory of a fixed
 * size (160 KiB a queue, 7 KiB a kind that fails). What was before the start is not known.
 */
#ifndef QUEUE_HISTORY_H
#define QUEUE_HISTORY_H

#include "queue/queue_admin.h"
#include "queue/queue_meter.h"

enum queue_history_span { QUEUE_HISTORY_HOUR, QUEUE_HISTORY_DAY, QUEUE_HISTORY_SPANS };
enum {
    QUEUE_HISTORY_STEP_MS = 10 * 1000,
    QUEUE_HISTORY_MAX = 1440,
    /* More share those of who has done nothing for a day; else they are in the sums alone. */
    QUEUE_HISTORY_MAX_QUEUES = 32,
    QUEUE_HISTORY_MAX_KINDS = 128,
};

struct queue_sample {
    int64_t at_ms;                  // unix time of its end
    int64_t span_ms;                // since the one before
    int64_t done, failed;           // in that time; failed: crashed too
    int64_t ready, dead, oldest_ms; // at its end
    int64_t wait_us, slow_wait_us;  // half of the runs of that time waited no longer;
    int64_t run_us, slow_run_us;    // 95 of 100; and ran so long. 0: none ended
};

struct queue_history_kind {
    struct str queue, kind; // kind as in queue_meter_kind
    uint32_t *failed;       // in the time of each sample
    uint64_t sum;           // of them
};

struct queue_history_view {
    struct queue_sample *samples; // the oldest first
    size_t count;
    struct queue_history_kind *kinds; // those with failures in this time, most first
    size_t kind_count;
};

struct queue_history;

struct queue_history *queue_history_new(void);
void queue_history_free(struct queue_history *h);

/* Every QUEUE_HISTORY_STEP_MS, with counts that only grow. Any thread. */
void queue_history_add(struct queue_history *h, int64_t now_ms,
                       const struct queue_admin_counts *counts,
                       const struct queue_meter_copies *meters);
/* Of one queue; empty: of all. Of one that is not known all are zero. It lives in the arena. Any
 * thread. */
void queue_history_read(struct queue_history *h, enum queue_history_span span, struct str queue,
                        struct arena *a, struct queue_history_view *out);

#endif
