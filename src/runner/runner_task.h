/* runner_task.h -- a job in the runner's hand, from its run to its queue_finish. For the module's
 * own files.
 *
 *     WAITING -- begin --> RUNNING --> finished
 *                            | timeout, nonsense, cancelled, stopped, lost
 *                            '--> ENDING -- its process is dead --> finished
 */
#ifndef RUNNER_TASK_H
#define RUNNER_TASK_H

#include "runner/runner_internal.h"

/* Why a task ends without an answer of its handler. */
enum runner_fate {
    RUNNER_RUNS,
    RUNNER_TIMED_OUT,
    RUNNER_TALKED_NONSENSE,
    RUNNER_CANCELLED, // by an operator
    RUNNER_STOPPED,   // the server ends: back to the queue
    RUNNER_LOST,      // the fence: it is somebody else's by now
};

/* In the job's arena; but what a handler may send again and again is not. */
struct runner_task {
    struct queue_job *job;
    struct runner_lane *lane;
    struct list node;               // in the inbox, the lane's line or the runner's running
    struct runner_process *process; // that has it
    struct post post;
    int64_t began_ms, deadline_ms; // monotonic
    int64_t timeout_ms;            // the job's own, or its handler's
    int64_t kill_at_ms;            // it was asked to give up; 0: it was not
    enum runner_fate fate;
    struct str why; // of the fate, in the arena
    struct runner_report report;
    struct buf result; // JSON; empty: none
};

/* As queue_handler.run: for a worker's thread. */
struct runner_task *runner_task_new(struct runner_lane *lane, struct queue_job *job);
void runner_task_begin(struct runner_task *t);
/* Gives the job back to the queue; t is gone. */
void runner_task_finish(struct runner_task *t, const struct queue_end *end);
/* Back to the queue, not tried: again after delay_ms. */
void runner_task_send_back(struct runner_task *t, int64_t delay_ms);
/* Has it end, unless it is to end already: asks its process to give it up, and to be killed at
 * kill_at_ms (monotonic); at once when that is of no use. A POST ends at once: t is gone. */
void runner_task_doom(struct runner_task *t, enum runner_fate fate, int64_t kill_at_ms);
/* Ends it as its fate says. */
void runner_task_meet_fate(struct runner_task *t);
/* What the handler says. ERR_INVALID: nonsense, *why_out in the job's arena. *is_over_out: t is
 * gone. */
MUST_USE enum err runner_task_hear(struct runner_task *t, struct str line, bool *is_over_out,
                                   struct str *why_out);
/* ", at 40 % resizing", or nothing: where it stood. In the job's arena. */
struct str runner_task_where(const struct runner_task *t);

#endif
