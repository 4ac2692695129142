/* queue.h -- background jobs as rows beside the domain's data.
 *
 *     READY -- claim --> RUNNING -- commit + ack (one transaction) --> gone
 *       ^                  |  error: attempt + 1, run_at = now + random(0, min(cap, base *
 * 2^attempt))
 *       '------------------'  lease over (process died): back to READY, epoch + 1
 *                          |  attempts used up, no such handler, QUEUE_MAX_CRASHES --> DEAD, with
 * the error
 *
 * Promises. A job exists if and only if the transaction that enqueued it committed. It runs at
 * least once. Its effects in our database happen exactly once: they are written in the transaction
 * that acknowledges it, which is refused when the job's epoch is not the claimer's (someone else
 * claimed it since). Not promised: that outside effects (announcements, mail) happen only once;
 * they come after the commit. A process that dies under a job is no error of the job: it is counted
 * apart (QUEUE_MAX_CRASHES), so that a job that kills its process does not do it for ever.
 *
 * A claim is not synced (store_write.is_soft): a loss of power gives the job back. Where no other
 * process runs jobs (queue_options.is_alone) most claims are not even written.
 *
 * A handler has three parts: run (slow work and reads, no write), commit (its database effects, on
 * the writer, with the acknowledgement), done (after the commit is durable: announce).
 *
 * A job is in one queue, by name. Each struct queue serves one name with workers of its own: what
 * may be slow (calls to others' servers) gets a queue of its own and holds up nothing else.
 *
 * Order: jobs of a queue are claimed by run_at_ms, then id, and the done parts are called one at a
 * time in the order of their commits. With one worker that is the order of the jobs; with more,
 * only nearly.
 *
 *     queue_wake --> claim (a read; or a store write) --> ready list --> worker: run --> commit +
 * ack (store write, not waited for) --> finished list --> worker: done
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"
#include "store/store.h"

struct queue;

enum queue_state { QUEUE_READY, QUEUE_RUNNING, QUEUE_DEAD };

struct queue_job {
    int64_t id;
    struct str kind, payload; // JSON; in the arena
    int64_t epoch;
    int attempt; // 0 at the first run
    int64_t created_at_ms, run_at_ms;
    bool is_held;       // claimed in memory alone: its row is READY as before
    struct arena arena; // the handler's memory for this run
    void *user;         // from run to commit to done
};

struct queue_handler {
    const char *kind;
    /* On a worker thread; may block, may read with store_read. Not OK: retry; put a reason into
     * *why_out (static or in the job's arena). NULL: nothing to do before the commit. */
    enum err (*run)(struct queue_job *job, void *ctx, struct str *why_out);
    /* On the writer thread, in the acknowledging transaction. NULL: no effects. Not OK: its effects
     * are undone and the job is tried again later. */
    enum err (*commit)(struct store_tx *tx, struct queue_job *job, void *ctx);
    /* On a worker thread, one at a time, after the commit is durable. NULL: nothing. Not called
     * when the commit was refused. */
    void (*done)(struct queue_job *job, void *ctx);
    void *ctx;
    int max_attempts; // 0: 20
    /* run only begins the work when it returns OK; the end is told by queue_finish. */
    bool is_async;
    int64_t backoff_ms;     // base; 0: 1000
    int64_t backoff_cap_ms; // 0: the queue's
};

struct queue_new {
    struct str kind, payload; // payload <= QUEUE_MAX_PAYLOAD_BYTES
    struct str unique_key;    // not empty: skipped while a READY job with this key exists
    int64_t run_at_ms;        // 0: now
    struct str queue;         // its name; empty: QUEUE_DEFAULT
};
#define QUEUE_DEFAULT "default"
enum { QUEUE_MAX_PAYLOAD_BYTES = 64 * 1024 };

struct queue_options {
    const char *name;       // whose jobs; NULL: QUEUE_DEFAULT
    int workers;            // threads; 0: none run here
    int64_t lease_ms;       // 30 s
    int64_t backoff_cap_ms; // 1 h
    int batch;              // jobs claimed at once by a worker; 0: 32
    /* No other process runs jobs of this name: a claim is then a note in memory, and the row waits
     * as it is for its acknowledgement (docs/decisions/0010). */
    bool is_alone;
    int64_t last_id; // alone: jobs up to this id are an earlier process's; queue_start finds it
};

/* handlers are borrowed for the queue's life. */
struct queue *queue_new(struct store *store, const struct queue_options *options,
                        const struct queue_handler *handlers, size_t count);
/* Returns the queue's jobs of dead processes to READY (all RUNNING ones: the store is ours alone),
 * then starts the workers. */
MUST_USE enum err queue_start(struct queue *q);
/* Claims nothing more, gives back what no worker has begun, waits up to drain_ms for running jobs,
 * joins. False: a handler still runs. The threads and the queue then live on (queue_free leaves
 * them): call it again, or end the process without store_close; the job goes back at the next
 * start. */
bool queue_stop(struct queue *q, int64_t drain_ms);
void queue_free(struct queue *q);

/* In the caller's transaction. id_out may be NULL; 0: skipped by unique_key. Workers wake when it
 * commits (the store's on_commit leads to queue_wake). ERR_INVALID: no kind. ERR_TOO_LARGE: the
 * payload. A payload without bytes is kept as an empty text. */
MUST_USE enum err queue_enqueue(struct store_tx *tx, const struct queue_new *job, int64_t *id_out);

/* How the work ended that the run of an async handler had begun. */
enum queue_verdict {
    QUEUE_DONE,   // as a run that returned OK
    QUEUE_RETRY,  // an error: one attempt more, ready again after delay_ms
    QUEUE_BURY,   // an error, and no more tries: DEAD
    QUEUE_SNOOZE, // not tried at all: ready again after delay_ms, and no attempt is counted
};
struct queue_end {
    enum queue_verdict verdict;
    int64_t delay_ms;
    struct str why; // of an error; static or in the job's arena
};
/* Once for every job whose async run returned OK. The job is gone afterwards. Any thread. */
void queue_finish(struct queue_job *job, const struct queue_end *end);

/* Tells the workers that something may be ready. Cheap; any thread. */
void queue_wake(struct queue *q);

struct queue_stats {
    int64_t ready, scheduled, running, dead; // now
    int64_t done, failed, refused; // since start: acknowledged, errors, stale acknowledgements
};
MUST_USE enum err queue_get_stats(struct queue *q, struct queue_stats *out);

/* The ids of up to cap jobs that run here though their rows are READY (is_held); how many. */
enum { QUEUE_MAX_HELD = 1024 };
size_t queue_list_held(struct queue *q, int64_t *ids, size_t cap);

/* ---- the pieces that workers use; public for tests ---- */
/* How often the process may die under a job before the job is DEAD. High, because a process that
 * dies takes along jobs that are not to blame. */
enum { QUEUE_MAX_CRASHES = 10 };

/* Returns jobs whose lease is over, then leases up to cap ready jobs of the options' queue for the
 * options' time, oldest first, each with an arena that the caller frees; but none that is
 * queue_find's. ERR_NOT_FOUND:
 * none is due; *next_run_at_out: when one will be (by its time or the end of another's lease), or
 * 0. Commit the transaction also then. */
MUST_USE enum err queue_claim(struct store_tx *tx, const struct queue_options *options,
                              struct queue_job *jobs, size_t cap, size_t *count_out,
                              int64_t *next_run_at_out);

/* Where a look begins: behind this job in the order of the queue; zeros: with the first. */
struct queue_cursor {
    int64_t run_at_ms, id;
};
/* What a look found. */
struct queue_look {
    struct queue_job *jobs; // is_held, each with an arena that the caller frees
    size_t count;
    bool needs_claim;       // others are due, or a lease is over: queue_claim
    int64_t next_run_at_ms; // when nothing is due: when something will be; 0: never
};
/* Claims in memory: finds up to cap due jobs of the options' queue, oldest first, that have no
 * unique key (a key is free for the next job while one runs, which the row must say) and an id
 * above last_id (crashes of an earlier process's are counted in their rows). A read; the
 * caller leaves out those that it has in hand. */
MUST_USE enum err queue_find(struct store_tx *tx, const struct queue_options *options,
                             struct queue_cursor after, size_t cap, struct queue_look *out);
/* The highest id that any job has had. */
MUST_USE enum err queue_last_id(struct store_tx *tx, int64_t *out);

/* Removes the job. ERR_CONFLICT: the epoch is stale; the caller's transaction must roll back. */
MUST_USE enum err queue_ack(struct store_tx *tx, const struct queue_job *job);
/* Puts the job back for a later try, or to DEAD. When a READY job has its unique_key, that one will
 * do the work: the failed one is dropped. ERR_CONFLICT: stale. */
MUST_USE enum err queue_fail(struct store_tx *tx, const struct queue_job *job, struct str why,
                             int64_t delay_ms, bool is_dead);
/* Lets the lease end lease_ms from now. ERR_CONFLICT: stale. */
MUST_USE enum err queue_renew(struct store_tx *tx, const struct queue_job *job, int64_t lease_ms);
/* Puts a job back that was claimed and not begun, for run_at_ms: neither an attempt nor a crash.
 * ERR_CONFLICT: stale. */
MUST_USE enum err queue_release(struct store_tx *tx, const struct queue_job *job,
                                int64_t run_at_ms);
/* Returns the jobs whose lease ends by then_ms to READY (INT64_MAX: every running one); name: of
 * this queue, empty: of all. */
MUST_USE enum err queue_recover(struct store_tx *tx, struct str name, int64_t then_ms);

#endif
