/* queue_worker.h -- what the files of the workers share: a queue at work, and its jobs on their
 * way.
 *
 *     queue_look.c    finds jobs and claims them, on a worker
 *     queue_worker.c  runs them
 *     queue_keeper.c  the renewer's thread: leases, pruning, other processes
 *     queue_watch.c   on it, too: runs that shall be given up
 */
#ifndef QUEUE_WORKER_H
#define QUEUE_WORKER_H

#include <pthread.h>

#include "core/list.h"
#include "queue/queue_budget.h"
#include "queue/queue_internal.h"
#include "queue/queue_meter.h"
#include "queue/queue_share.h"

enum { QUEUE_STORE_RETRY_MS = 1000 }; // after the store refused or failed a claim or an end

/* How it ended. */
enum queue_outcome {
    QUEUE_RUN_DONE,
    QUEUE_RUN_STALE,
    QUEUE_RUN_FAILED,
    QUEUE_RUN_SNOOZED,
    QUEUE_RUN_CRASHED,
    QUEUE_RUN_LOST
};

/* Why a run shall be given up, beside its time. */
enum queue_unwanted { QUEUE_IS_WANTED, QUEUE_IS_CANCELLED, QUEUE_IS_LOST };

/* One claimed job on its way. */
struct queue_run {
    struct store_write write; // first: on_done casts back
    struct queue_job job;
    struct queue *queue;
    const struct queue_handler *handler; // NULL: unknown kind
    struct list place;                   // in ready or finished, or in none
    struct list in_hand;
    enum queue_outcome outcome;
    bool is_begun;   // a worker has it, or had it
    bool is_watched; // its handler's run does the work
    bool is_told_late;
    bool is_late;         // nobody wants it any more
    _Atomic int unwanted; // enum queue_unwanted; for run, without the mutex
    bool is_claimed;      // held at first, and by its row since
    bool is_stale;        // set in the transaction: the fence refused it
    struct str why;
    int64_t delay_ms;
    bool is_dead, is_discarded;
    int64_t begun_ns; // monotonic
};

/* Jobs in hand whose rows say that they run, copied so that they may end meanwhile. */
struct queue_hand {
    struct queue_job *jobs; // only id, epoch and run_at_ms
    size_t count;
    int64_t lease_ms, claimer;
};

/* How far the wall clock was set forward lately (queue_keeper_set_forward_ms). */
struct queue_clock {
    int64_t base_ms, seen_ms; // wall clock less monotonic: as leases were written by it; now
    int64_t set_at_ms;        // when it was set forward, monotonic
};

struct queue {
    struct store *store;
    struct queue_options options;
    const struct queue_handler *handlers;
    size_t handlers_count;
    pthread_t *threads, renewer;

    pthread_mutex_t mutex; // guards what follows, up to the blank line
    pthread_cond_t work;   // for workers
    pthread_cond_t ended;  // for stop: a job ended, a claim came back
    pthread_cond_t tick;   // for the renewer
    struct list ready, finished, hand;
    struct list unwritten; // ended, but the store failed to write it: once more after the pause
    struct queue_share share;
    struct queue_clock clock;
    int64_t joining_at_ms;      // when it began to wish to join, monotonic
    bool is_impatient;          // who is alone has not answered for a lease: claims all the same
    bool is_switching;          // from alone to shared or back: claims nothing meanwhile
    bool is_crowded;            // shared with others, who could run what it claims ahead
    int busy;                   // workers that run a job
    int64_t run_ns;             // of a job's run, lately
    int64_t watched_at_ms;      // monotonic
    struct list gone;           // ended while a look was under way, which may have seen their rows
    struct queue_budget budget; // of retries
    bool is_looking;
    bool is_pruning; // more may have been kept long enough
    bool is_full;    // the queue runs as many as it may: the end of one lets the next go
    bool is_fair;    // its keys take turns: none is claimed before a worker is free for it
    bool is_sated;   // inline: as many have run as may, it looks for no more
    int64_t begun;   // runs, ever
    int64_t late_at_ms, late_begun; // the last look for jobs that wait in hand; begun at that time
    int ready_count, hand_count;
    int64_t emptied_at_ms; // the hand, monotonic
    bool is_started, is_stopping, is_over, is_claiming, may_be_ready, is_telling;
    struct queue_cursor cursor; // what was found so far
    int64_t looked_all_at_ms;   // from the beginning, monotonic
    int64_t due_at_ms;          // when to claim again; unix time, 0: not known
    int64_t paused_until_ms;    // the store failed: nothing is taken before; monotonic
    struct queue_meter meter;
    uint64_t *failures; // by kind: of the handlers, of queue_batch_handlers, of none
    size_t failures_count;

    struct queue_meter_entry entry;
    char *kinds;
    struct queue_options look_options; // of the look or claim under way
    struct store_write claim;          // the one claim: these belong to it while is_claiming
    struct queue_job *claimed;
    size_t claimed_count;
    int64_t claimed_next_ms;
    struct queue_hand claim_hand; // look_options.hand
};

/* All with the mutex held. */

/* ---- queue_worker.c ---- */
/* Takes a claimed job over. */
void queue_worker_add_run(struct queue *q, const struct queue_job *job);
/* The job is over for us: the run is gone. */
void queue_worker_end_run(struct queue *q, struct queue_run *run);

/* ---- queue_look.c ---- */
/* Is there room for more jobs, and may there be some? */
bool queue_look_is_wanted(const struct queue *q);
/* Wakes a worker to look, if so. */
void queue_look_maybe(struct queue *q);
/* Finds jobs and takes them, or begins a claim. Lets go of the mutex meanwhile. */
void queue_look_once(struct queue *q);
/* The next look is one from the beginning. */
void queue_look_anew(struct queue *q);

/* ---- queue_watch.c ---- */
enum { QUEUE_WATCH_MS = 1000 };
/* On the renewer: asks whether the jobs that run are wanted still. Lets go of the mutex meanwhile.
 */
void queue_watch_hand(struct queue *q);
/* Without the mutex, on the worker that runs it. */
bool queue_watch_is_over_time(const struct queue_run *run);

/* ---- queue_keeper.c ---- */
/* Without the mutex, before the threads: takes or joins the lock that says who runs jobs. */
MUST_USE enum err queue_keeper_open(struct queue *q);
/* The thread, without the mutex; arg: the queue. */
void *queue_keeper_run(void *arg);
/* Gives back what was claimed and not begun. Lets go of the mutex meanwhile. */
void queue_keeper_release_ready(struct queue *q);
/* Those in hand whose rows say that they run; the caller frees jobs. */
void queue_keeper_list_claimed(const struct queue *q, struct queue_hand *out);
/* How much too early the leases of others seem to be over, since the wall clock was set forward (or
 * the machine slept) less than a lease ago: they have not all renewed them since. */
int64_t queue_keeper_set_forward_ms(struct queue *q);

#endif
