/* runner_beat.h -- what handlers report while they run, to the store and under the fence; and what
 * the store says of their jobs. For the module's own files.
 *
 * Once a second, one write for all jobs that run: a read of each job's row, and a change only where
 * there is something new. At the end of a job what is left is written before its acknowledgement.
 */
#ifndef RUNNER_BEAT_H
#define RUNNER_BEAT_H

#include "queue/queue.h"
#include "runner/runner_report.h"

struct runner;

/* Writes what is new of the report, before whatever the thread hands to the store next. */
void runner_beat_write_last(struct runner_report *r, struct store *store,
                            const struct queue_job *job);

struct runner_beat {
    int64_t due_ms;                  // monotonic; 0: nothing runs
    struct runner_beat_write *write; // under way, or over
    bool is_done;                    // it is over; guarded by the runner's mutex
};

/* Starts one when it is time and takes the result of the last: tasks that are lost or cancelled are
 * to end. Returns the milliseconds until the next; INT64_MAX: nothing runs. */
int64_t runner_beat_turn(struct runner *r);
/* Waits for the one that is under way. After the thread's end, while the store still works. */
void runner_beat_end(struct runner *r);

#endif
