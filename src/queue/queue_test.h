/* queue_test.h -- for the tests of those who write handlers.
 *
 *     queue_test_begin(&t, store, handlers, count);        // the store is migrated, with your
 * tables
 *     ... what you test enqueues ...
 *     CHECK(queue_test_count(&t, &(struct queue_test_like){.kind = "mail"}) == 1);
 *     queue_test_run_until_idle(&t, 100);                  // inline: here, on this thread, in
 * order
 *     ... look at the effects ...
 *     queue_test_end(&t);
 *
 * Inline, jobs run by the code that workers run: claims, retries, dead letters and leases are the
 * real ones; only the threads are missing. The clock stands still between queue_test_begin and the
 * moves of queue_test_advance and queue_test_run_until_idle, so that nothing depends on how fast
 * the machine is. A test that fails prints what is in the queue (queue_test_print).
 *
 * A crash: name a place of the handler (failpoint_pass("mail.sent"), core/failpoint.h) and let a
 * child die there; then run the queue again and see that nothing is lost or done twice:
 *
 *     CHECK(queue_test_crash("mail.sent", 1, play, &world));   // play opens the store itself
 */
#ifndef QUEUE_TEST_H
#define QUEUE_TEST_H

#include "queue/queue.h"

struct queue_test {
    struct store *store; // borrowed
    struct queue *queue; // of QUEUE_DEFAULT; without threads
    int max_runs;        // before the clock moves, about; begin says QUEUE_TEST_MAX_RUNS
};
enum { QUEUE_TEST_MAX_RUNS = 20000 };

/* Stops the clock; gives back what an earlier process had in hand, as each start does. The handlers
 * are borrowed until the end. */
MUST_USE enum err queue_test_begin(struct queue_test *t, struct store *store,
                                   const struct queue_handler *handlers, size_t count);
/* As queue_test_begin, for options of one's own; their workers must be 0. */
MUST_USE enum err queue_test_begin_with(struct queue_test *t, struct store *store,
                                        const struct queue_options *options,
                                        const struct queue_handler *handlers, size_t count);
/* The store stays open, the clock stands. */
void queue_test_end(struct queue_test *t);

/* Runs what is due now, and what that enqueues for now; up to max_runs. Gives when the next job is
 * due (Unix ms; 0: none waits; now: there may be more than it ran; INT64_MAX: the queue is paused
 * until somebody resumes it). Blocks; a handler that is_async may end on any thread. */
int64_t queue_test_run_due(struct queue_test *t);
/* The same, and moves the clock to the next job's time, again and again, until none waits. False:
 * some still do after max_steps moves, or max_runs runs at one time: a job that is tried
 * for ever, or that enqueues itself; or the queue is paused. A job that waits for another queue's
 * is not waited for: look with queue_test_count. */
bool queue_test_run_until_idle(struct queue_test *t, int max_steps);
/* Moves the clock. */
void queue_test_advance(int64_t ms);

/* Which jobs to count; what is NULL or 0 matches all. */
struct queue_test_like {
    const char *kind, *payload; // equal to
    const char *unique_key;
    const char *queue;     // its name
    int64_t run_at_min_ms; // due then or later
};
/* How many jobs that are not done are such: waiting, running or dead. */
int queue_test_count(struct queue_test *t, const struct queue_test_like *like);
/* Writes the jobs to stderr, one a line. */
void queue_test_print(struct queue_test *t);
/* Ends the process with a message and the list of jobs unless there is one that is such. */
void queue_test_assert_enqueued(struct queue_test *t, const struct queue_test_like *like);

/* Runs play(arg) in a forked child that is killed with SIGKILL when it passes the named point for
 * the nth time. True: it was. False: play returned first, and the child ended. Ends the process
 * with a message and the names of what was passed when neither this play nor an earlier one has
 * passed such a point: it is misspelt. Call it while no store is open and no other thread runs:
 * play opens what it needs. */
bool queue_test_crash(const char *point, int nth, void (*play)(void *arg), void *arg);

#endif
