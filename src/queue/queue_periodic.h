/* queue_periodic.h -- jobs that come again by a cron expression.
 *
 * A row of job_period is the declaration and the time of its next tick. Whoever sees that the time
 * has come enqueues the job and moves the row on, in one transaction, and notes the tick under
 * (name, time), which is unique: so every process may look, none leads, and a tick has one job
 * whatever is killed when, also when the clock is set back.
 *
 * When a tick comes and the job of the one before has not ended (it waits, runs, or will be tried
 * again):
 *
 *     allow          both
 *     skip           the tick has no job
 *     buffer-one     its job is enqueued when the other has ended; further ticks have none
 *     cancel-other   the other is cancelled, so that its effects will not happen; then this one
 *
 * A tick that could not be served in time (all processes were down) is served late, up to
 * catch_up_ms; older ones are missed. Ticks while it is paused are missed.
 */
#ifndef QUEUE_PERIODIC_H
#define QUEUE_PERIODIC_H

#include "queue/queue.h"

enum queue_overlap {
    QUEUE_OVERLAP_ALLOW,
    QUEUE_OVERLAP_SKIP,
    QUEUE_OVERLAP_BUFFER_ONE,
    QUEUE_OVERLAP_CANCEL_OTHER,
    QUEUE_OVERLAP_COUNT
};

struct queue_periodic {
    struct str name;                 // 1 to QUEUE_MAX_NAME_BYTES, without spaces
    struct str cron;                 // queue_cron.h
    struct str zone;                 // queue_zone.h; empty: UTC
    struct str kind, payload, queue; // of its jobs, as in struct queue_new
    enum queue_overlap overlap;
    int64_t catch_up_ms; // 0: QUEUE_PERIODIC_CATCH_UP_MS
    struct str source;   // who declares it: queue_periodic_sync
};
enum { QUEUE_PERIODIC_CATCH_UP_MS = 60 * 1000, QUEUE_PERIODIC_MAX = 1000 };

/* Declares it, or changes its declaration. When expression and zone are as they were, the ticks go
 * on, also those that are late; else from now on. ERR_INVALID, ERR_TOO_LARGE: *why_out (static)
 * says what; also more than QUEUE_PERIODIC_MAX. */
MUST_USE enum err queue_periodic_declare(struct store_tx *tx, const struct queue_periodic *periodic,
                                         struct str *why_out);
/* Declares all of the list, with this source, and removes what the source declared before and does
 * not any more. *bad_out: the one that *why_out is about. */
MUST_USE enum err queue_periodic_sync(struct store_tx *tx, struct str source,
                                      const struct queue_periodic *list, size_t count,
                                      struct str *why_out, size_t *bad_out);
/* Its jobs stay. ERR_NOT_FOUND. */
MUST_USE enum err queue_periodic_remove(struct store_tx *tx, struct str name);
/* until_ms: unix time; 0: go on. ERR_NOT_FOUND. */
MUST_USE enum err queue_periodic_pause(struct store_tx *tx, struct str name, int64_t until_ms);
/* Enqueues a job of it now, besides its ticks. ERR_NOT_FOUND. */
MUST_USE enum err queue_periodic_trigger(struct store_tx *tx, struct str name, int64_t *job_id_out);

struct queue_periodic_state {
    struct queue_periodic periodic;
    int64_t next_at_ms, last_at_ms; // ticks; 0: none yet
    int64_t paused_until_ms;        // 0, or past: it is not
    int64_t last_job_id;            // 0: none
    int64_t waiting_at_ms;          // buffered tick; 0: none
    int64_t skipped, missed;        // ticks without a job
};
/* All, by name, in a. */
MUST_USE enum err queue_periodic_list(struct store_tx *tx, struct arena *a,
                                      struct queue_periodic_state **out, size_t *count_out);
/* The tick that the job is of. ERR_NOT_FOUND: of none. */
MUST_USE enum err queue_periodic_tick_of(struct store_tx *tx, int64_t job_id, int64_t *at_ms_out);

/* Enqueues the jobs of the ticks that have come, a bounded number of them. *next_at_ms_out: when to
 * call again (unix time, may be past); 0: nothing is declared. */
MUST_USE enum err queue_periodic_run_due(struct store_tx *tx, int64_t *next_at_ms_out);
/* As *next_at_ms_out of queue_periodic_run_due; a read. */
MUST_USE enum err queue_periodic_ask_next(struct store_tx *tx, int64_t *next_at_ms_out);

/* "skip" and so on. ERR_INVALID. */
MUST_USE enum err queue_periodic_overlap(struct str text, enum queue_overlap *out);
const char *queue_periodic_overlap_text(enum queue_overlap overlap);

/* For queue_batch.c: a job has ended. */
MUST_USE enum err queue_periodic_ended(struct store_tx *tx, int64_t job_id);

#endif
