/* queue_admin.h -- what operators ask of the queues: numbers, in any process that has the database.
 *
 * A job that is claimed in memory (docs/decisions/0010) has a row that says READY. Only the process
 * that holds it knows; its list (queue_held) makes the answers exact.
 */
#ifndef QUEUE_ADMIN_H
#define QUEUE_ADMIN_H

#include "queue/queue.h"

/* Ids of jobs that run, though their rows are READY. */
struct queue_held {
    const int64_t *ids;
    size_t count;
};

struct queue_admin_count {
    struct str name;                         // of the queue
    int64_t ready, scheduled, running, dead; // jobs now
    int64_t waiting;                         // for other jobs, or for their key
    int64_t done, cancelled;                 // those that are kept
    /* Since the oldest of the ready jobs that are next was due; 0: there is none. */
    int64_t oldest_ready_ms;
    int64_t paused_until_ms; // unix time; 0: it is not; only by queue_admin_find_pauses
};
struct queue_admin_counts {
    struct queue_admin_count *at; // by name
    size_t count;
};

/* Counts the jobs of every queue that has some, and of the default one. A read, which looks at
 * every job's entry in an index: a tenth of a second for a million jobs (queue_census.h bounds
 * that). What it gives lives in the arena. */
MUST_USE enum err queue_admin_count(struct store_tx *tx, const struct queue_held *held,
                                    struct arena *a, struct queue_admin_counts *out);

/* Fills in which of the queues are paused. A read. */
MUST_USE enum err queue_admin_find_pauses(struct store_tx *tx, struct queue_admin_counts *counts);

#endif
