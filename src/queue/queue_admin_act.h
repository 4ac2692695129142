/* queue_admin_act.h -- what an operator does to a job: retry, edit, discard, cancel.
 *
 * Whatever changes a job adds 1 to its epoch. So when it was just begun, or is held in memory by a
 * worker (its row then says READY, docs/decisions/0010), that run's acknowledgement is refused and
 * its effects go back: they happen not at all, or once by a later run. A job that is known to run
 * is not changed; it can be cancelled, which its handler is told of.
 */
#ifndef QUEUE_ADMIN_ACT_H
#define QUEUE_ADMIN_ACT_H

#include "queue/queue_admin_list.h"

enum { QUEUE_ADMIN_ACT_SLICE = 500 }; // jobs of a transaction

struct queue_admin_act {
    int64_t id;
    int64_t epoch; // as the operator saw it; below 0: whatever it is
    const struct queue_held *held;
    /* Out. */
    struct str why;  // it was refused; static
    bool is_pending; // it runs, and is told that it is cancelled
};

/* In a write. All give ERR_NOT_FOUND, or ERR_CONFLICT when the job is not in such a state or has
 * changed since; nothing is written then, and why says so. */
typedef enum err queue_admin_act_fn(struct store_tx *tx, struct queue_admin_act *act);

/* A dead, done or cancelled job, or one that waits for its next try, is ready now, with all its
 * attempts; its deadline is dropped when it is over. Refused also: its unique key is another's by
 * now, its batch was cancelled, or a job that it needs was not done. */
queue_admin_act_fn queue_admin_act_retry;
/* What is over is gone with all that belongs to it; what waits is CANCELLED as below. */
queue_admin_act_fn queue_admin_act_discard;
/* What waits is CANCELLED at once, and kept so for a day; what runs is told (queue_report_ask). */
queue_admin_act_fn queue_admin_act_cancel;

/* What a job becomes. */
struct queue_admin_edit {
    struct str payload; // at NULL: as it was
    bool has_time, has_priority;
    int64_t run_at_ms; // of a job that waits; 0: now
    int priority;
};
/* Besides the above: ERR_INVALID, ERR_TOO_LARGE: as queue_check; ERR_DENIED: the payload is sealed.
 * A job that is over keeps its state: retry it. */
MUST_USE enum err queue_admin_act_edit(struct store_tx *tx, struct queue_admin_act *act,
                                       const struct queue_admin_edit *edit);

/* Does it to the jobs of a list of up to QUEUE_ADMIN_ACT_SLICE, in one write; those that have
 * changed since or are refused are counted apart. */
MUST_USE enum err queue_admin_act_slice(struct store_tx *tx, queue_admin_act_fn *fn,
                                        const struct queue_admin_list *list,
                                        const struct queue_held *held, size_t *done_out,
                                        size_t *refused_out);

#endif
