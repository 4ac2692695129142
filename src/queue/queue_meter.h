/* queue_meter.h -- what the queues of this process have counted since they were made. Each counts
 * under its own mutex, which its workers hold anyway; whoever wants the numbers copies them.
 *
 * What other processes do (`viche worker`) is counted there.
 */
#ifndef QUEUE_METER_H
#define QUEUE_METER_H

#include <stdint.h>

#include "core/arena.h"
#include "core/list.h"
#include "core/str.h"

struct queue;

enum queue_meter_counter {
    QUEUE_METER_DONE,      // acknowledged
    QUEUE_METER_FAILED,    // runs that ended with an error
    QUEUE_METER_RETRIED,   // of those: to be tried again
    QUEUE_METER_BURIED,    // of those: dead
    QUEUE_METER_DISCARDED, // of those: cancelled by their handlers
    QUEUE_METER_CRASHED,   // runs whose own process died under them
    QUEUE_METER_SNOOZED,   // runs that put their job off
    QUEUE_METER_PUT_OFF,   // of those: retries that there was no budget for
    QUEUE_METER_REFUSED,   // acknowledgements of jobs that were somebody else's by then
    QUEUE_METER_LOST,      // runs whose end the store did not take
    QUEUE_METER_COUNTERS,
};

enum { QUEUE_METER_BUCKETS = 16 };
extern const int64_t queue_meter_bounds_us[QUEUE_METER_BUCKETS - 1]; // the last bucket has none

/* How long something took. */
struct queue_meter_times {
    uint64_t buckets[QUEUE_METER_BUCKETS]; // each alone: up to its bound, above the one before
    uint64_t sum_us;
};
void queue_meter_observe(struct queue_meter_times *h, int64_t us);
/* The time that part (0 to 1) of what was counted between the two states of a histogram took at
 * most; 0: nothing was counted. */
int64_t queue_meter_quantile_us(const struct queue_meter_times *from,
                                const struct queue_meter_times *to, double part);

struct queue_meter {
    uint64_t counts[QUEUE_METER_COUNTERS];
    struct queue_meter_times wait; // from when a job was due to its begin
    struct queue_meter_times run;  // from there to its end, as durable as that is
};

/* Runs that failed or crashed, by the kind of their job. */
struct queue_meter_kind {
    struct str kind; // empty: kinds without a handler
    uint64_t failed;
};

/* A copy of one queue's numbers. */
struct queue_meter_copy {
    struct str queue;
    struct queue_meter meter;
    struct queue_meter_kind *kinds; // those that have some
    size_t kind_count;
};
struct queue_meter_copies {
    struct queue_meter_copy *at;
    size_t count;
};
/* Those of all queues of this process; they live in the arena. Any thread. */
void queue_meter_read(struct arena *a, struct queue_meter_copies *out);

/* The ids of jobs that run in this process though their rows are READY, of all its queues
 * (queue_list_held of one). They live in the arena. */
void queue_meter_list_held(struct arena *a, int64_t **ids_out, size_t *count_out);

/* ---- for queue_worker.c ---- */
/* In the list of this process's queues as long as the queue lives. */
struct queue_meter_entry {
    struct list node;
    struct queue *queue;
};
void queue_meter_enter(struct queue_meter_entry *entry, struct queue *q);
void queue_meter_leave(struct queue_meter_entry *entry);

#endif
