/* queue.h -- background jobs as rows beside the domain's data.
 *
 *     WAITING (other jobs, its key)   SCHEDULED (not yet due)
 *          |                              |  ^
 *          '-----------> READY <----------'  | an error: attempt + 1, later: random(0, min(cap,
 *                          | claim           |                              base * 2^attempt))
 *                          '--> RUNNING -----'
 *                                  |--- commit + ack (one transaction) --> gone, or DONE and kept
 *                                  |--- lease over (process died) --> READY: crash + 1, epoch + 1
 *                                  '--- attempts, crashes or time used up, no such handler --> DEAD
 *     any but RUNNING, by an operator --> CANCELLED, gone, or READY again
 *
 * Promises.
 * G1 No loss: a job exists if and only if the transaction that enqueued it committed. It is then in
 *    one of the states above until its end, whatever process is killed when; after a loss of power
 *    too.
 * G2 No phantom: a job of a transaction that rolled back never runs.
 * G3 At least one run, exactly one effect: its effects in our database are written in the
 *    transaction that acknowledges it, which is refused when the job's epoch is not the claimer's
 *    (someone else claimed it since). Not promised: that outside effects (announcements, mail)
 *    happen only once; they come after the commit.
 * G4 Bounded recovery: what a dead process held is ready again within about a second where others
 *    run the queue, else at the next start; what one that hangs holds, when its lease is over.
 * G5 A crash is no try: a process that dies under a job is counted apart (QUEUE_MAX_CRASHES), so
 *    that a job that kills its process does not do it for ever. Nor is it one when our store cannot
 *    write a job's end (a full disk): the end stays as it was, and is written again every second.
 * G6 Fair: jobs with a key (a tenant) are served by turns of keys and their weights: one with a
 *    million jobs delays the single job of another by about one job.
 * G7 Order: by time, then id, within a queue, a priority and a key, at the claim; a key that may
 *    run one job at once is served strictly one after the other.
 * G8 No doubles: two enqueues with the same unique key, while it is taken, or with the same
 *    idempotency key, within its time, give the same id.
 *
 * A claim is not synced (store_write.is_soft): a loss of power gives the job back. While no other
 * process runs jobs of the queue (queue_options.is_alone) most claims are not even written.
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
#include "queue/queue_seal.h"
#include "store/store.h"

struct queue;

/* How the work of a run ended. */
enum queue_verdict {
    QUEUE_DONE,    // as a run that returned OK
    QUEUE_RETRY,   // an error: one attempt more, ready again after delay_ms
    QUEUE_BURY,    // an error, and no more tries: DEAD
    QUEUE_SNOOZE,  // not tried at all: ready again after delay_ms, and no attempt is counted
    QUEUE_DISCARD, // an error that nobody needs to see: CANCELLED
    /* The handler's own process died under it, as whoever watched it saw: no attempt, but a crash;
     * ready again at once, or DEAD as "poison" after QUEUE_MAX_SEEN_CRASHES. */
    QUEUE_CRASHED,
};
/* As delay_ms of QUEUE_RETRY, for queue_finish: as a run that failed; by the back-off, and DEAD
 * when the attempts are used up. */
#define QUEUE_BACKOFF INT64_C(-1)
struct queue_end {
    enum queue_verdict verdict;
    int64_t delay_ms;
    struct str why; // of an error; static or in the job's arena
};

enum queue_state {
    QUEUE_READY,
    QUEUE_RUNNING,
    QUEUE_DEAD,
    QUEUE_SCHEDULED,
    QUEUE_WAITING,
    QUEUE_DONE_STATE,
    QUEUE_CANCELLED,
};

/* job.options: which tables beside `job` have rows of it, and how it is treated. 0: a plain job. */
enum queue_option {
    QUEUE_HAS_OPTION = 1, // job_option
    QUEUE_HAS_TAGS = 2,
    QUEUE_HAS_ERRORS = 4,
    QUEUE_HAS_RUN = 8,
    QUEUE_HAS_LOG = 16,
    QUEUE_HAS_STEPS = 32,
    QUEUE_IN_FLOW = 64,    // its end moves others: of a batch, or needed by them
    QUEUE_HOLDS_KEY = 128, // its unique key is taken until it ends
    QUEUE_BY_ROW = 256,    // not claimed in memory; the highest bits: options >= QUEUE_BY_ROW
    QUEUE_HAS_TURN = 512,  // has a key: with QUEUE_BY_ROW
};

struct queue_job {
    int64_t id;
    struct str kind, payload; // JSON; in the arena
    int64_t epoch;
    int attempt; // 0 at the first run
    int64_t created_at_ms, run_at_ms;
    int64_t rank; // the order of ready jobs
    int64_t turn; // of its key
    int64_t key_id;
    int slot;     // job_option.has_slot
    int options;  // enum queue_option
    int priority; // these as they were enqueued, 0: not given
    int max_attempts;
    int64_t deadline_ms, timeout_ms;
    int64_t keep_ms; // how long it is kept when it is done; 0: not at all
    struct str trace, unique_key;
    struct str seal; // id of the key that the payload in its row is sealed with; empty: none
    /* How it shall go on when its run does not return OK; QUEUE_DONE, as it is: tried again after
     * the back-off of its handler. */
    struct queue_end end;
    bool is_held;       // claimed in memory alone: its row is READY as before
    struct arena arena; // the handler's memory for this run
    void *user;         // from run to commit to done
};

struct queue_handler {
    const char *kind;
    /* On a worker thread; may block, may read with store_read. Not OK: retry; put a reason into
     * *why_out (static or in the job's arena). NULL: nothing to do before the commit. */
    enum err (*run)(struct queue_job *job, void *ctx, struct str *why_out);
    /* On the writer thread, in the acknowledging transaction; perhaps more than once, as every
     * store_fn. NULL: no effects. Not OK: its effects are undone and the job is tried again later;
     * but where the store has failed, the commit alone is. */
    enum err (*commit)(struct store_tx *tx, struct queue_job *job, void *ctx);
    /* On a worker thread, one at a time, after the commit is durable. NULL: nothing. Not called
     * when the commit was refused. */
    void (*done)(struct queue_job *job, void *ctx);
    void *ctx;
    int max_attempts; // 0: QUEUE_DEFAULT_MAX_ATTEMPTS
    /* run only begins the work when it returns OK; the end is told by queue_finish. */
    bool is_async;
    int64_t backoff_ms;     // base; 0: 1000
    int64_t backoff_cap_ms; // 0: the queue's
    int64_t keep_ms;        // how long its jobs are kept when they are done; 0: not at all
};

enum { QUEUE_DEFAULT_MAX_ATTEMPTS = 20 };

/* Until when a unique key is taken. */
enum queue_until {
    QUEUE_UNTIL_START, // its job begins: what came after that is work for the next one
    QUEUE_UNTIL_END,   // it is done, dead, cancelled or gone
};

/* When an enqueue counts. */
enum queue_durability {
    QUEUE_FULL,   // when it is on the disk: no loss of power takes it back
    QUEUE_NORMAL, // when it is the kernel's: kill -9 loses nothing, a loss of power the last ones
};

/* All but kind may be left out. */
struct queue_new {
    struct str kind, payload; // payload <= max_payload_bytes
    /* Not empty: while a job has this key no other is made, and its id is given instead. */
    struct str unique_key;
    int64_t run_at_ms; // unix time; 0: now
    struct str queue;  // its name; empty: QUEUE_DEFAULT
    int64_t delay_ms;  // or so long from now

    enum queue_until unique_until;
    int64_t unique_ms; // the key is taken at least so long from now
    /* Not empty: within idempotency_ms (0: QUEUE_IDEMPOTENCY_MS) only the first enqueue makes a
     * job, whatever became of it; the others get its id. */
    struct str idempotency_key;
    int64_t idempotency_ms;

    /* Each step is a head start of QUEUE_PRIORITY_STEP_MS before the jobs of the step below, so
     * that those which wait longer come nevertheless. */
    int priority;
    int64_t deadline_ms; // unix time; not begun after it, but DEAD
    int64_t timeout_ms;  // of one run, instead of the handler's; on a thread: queue_is_given_up
    int max_attempts;    // 0: as its handler says
    int64_t keep_ms;     // how long it is kept as DONE; 0: as its handler says
    const struct str *tags;
    size_t tag_count;
    /* Its turn is that of its key (a tenant): the keys of a queue and a priority are served one
     * after the other, whatever each has waiting. weight: turns in a round; 0: as before, or 1. */
    struct str key;
    int weight;
    struct str trace; // W3C traceparent
    /* Not NULL: the payload is sealed with its first key (queue_seal.h). Borrowed for the call. */
    struct queue_seal *seal;
    /* Of the write that enqueues it, if that does nothing else: queue_may_be_soft. */
    enum queue_durability durability;
    size_t max_payload_bytes; // 0: QUEUE_MAX_PAYLOAD_BYTES; up to QUEUE_MOST_PAYLOAD_BYTES
    /* Private: of queue_batch.c, queue_graph.c, queue_periodic.c, which fill them in. */
    int64_t batch_id;
    int needs; // jobs that it waits for
    bool is_tick;
};
#define QUEUE_DEFAULT "default"
enum {
    QUEUE_MAX_PAYLOAD_BYTES = 64 * 1024,
    QUEUE_MOST_PAYLOAD_BYTES = 16 * 1024 * 1024,
    QUEUE_MAX_NAME_BYTES = 100, // of a kind, a queue, a tag
    QUEUE_MAX_KEY_BYTES = 255,
    QUEUE_MAX_TAGS = 16,
    QUEUE_TRACE_BYTES = 55,
    QUEUE_MAX_PRIORITY = 100, // and as many below 0
    QUEUE_PRIORITY_STEP_MS = 60 * 1000,
    QUEUE_MAX_TRIES = 1000,
    QUEUE_MAX_WEIGHT = 64,
    QUEUE_IDEMPOTENCY_MS = 24 * 3600 * 1000,
};
/* The longest time that may be given: 10 years. */
#define QUEUE_MAX_MS (INT64_C(10) * 366 * 24 * 3600 * 1000)

struct queue_options {
    const char *name;       // whose jobs; NULL: QUEUE_DEFAULT
    int workers;            // threads; 0: none run here
    int64_t lease_ms;       // 30 s
    int64_t backoff_cap_ms; // 1 h
    int batch;              // jobs claimed at once by a worker; 0: 32
    /* While no other process runs jobs of this name a claim is a note in memory, and the row waits
     * as it is for its acknowledgement (docs/decisions/0010). queue_find, queue_claim: it is so. */
    bool is_alone;
    int64_t last_id;   // alone: jobs up to this id are an earlier process's; queue_start finds it
    const char *kinds; // " a b ": queue_find and queue_claim take only these; NULL: all
    /* Private, of queue_look.c: jobs in hand (id, epoch), whose leases are renewed before those
     * that are over are taken for dead processes'; by how much those of others seem to be over too
     * early. */
    const struct queue_job *hand;
    size_t hand_count;
    int64_t set_forward_ms, asked_at_ms; // the second: when that was so; 0: now
    bool leaves_unknown; // jobs of kinds without a handler here are other processes', also when
                         // none runs; else they are buried unless one does
    /* What opens sealed payloads; NULL: nothing. A job whose key is not there is an error, tried
     * again by the back-off, so that a process which has the key finds it; one whose payload does
     * not open is DEAD. */
    struct queue_seal *seal;
    _Atomic int64_t *left; // jobs that may yet begin, in all queues that share it; NULL: no end
    int64_t claimer;       // stands in the rows that are claimed; queue_start picks it
};

/* handlers are borrowed for the queue's life. */
struct queue *queue_new(struct store *store, const struct queue_options *options,
                        const struct queue_handler *handlers, size_t count);
/* Starts the workers. Where no other process runs jobs of the queue, first returns all its RUNNING
 * jobs, which are dead processes', to READY; where one does, the workers claim as soon as it shares
 * (queue_share.h), within about a second. Jobs of one that dies come back as soon, those of one
 * that hangs when their leases end. */
MUST_USE enum err queue_start(struct queue *q);
/* Claims and begins nothing more from now on: the first step of a stop. Does not block. */
void queue_drain(struct queue *q);
/* Claims nothing more, gives back what no worker has begun, waits up to drain_ms for running jobs,
 * joins. False: a handler still runs. The threads and the queue then live on (queue_free leaves
 * them): call it again, or end the process without store_close; the job goes back at the next
 * start. */
bool queue_stop(struct queue *q, int64_t drain_ms);
void queue_free(struct queue *q);
/* When queue_stop gave up and the process ends at once: what still runs is somebody else's now, and
 * counts neither as a try nor as a crash; its acknowledgement would be refused. */
void queue_give_back(struct queue *q);

/* Whether the job keeps within the limits above. Not OK, ERR_INVALID or ERR_TOO_LARGE: *why_out
 * (static; may be NULL) says which one not. */
MUST_USE enum err queue_check(const struct queue_new *job, const char **why_out);
/* In the caller's transaction. Workers wake when it commits (the store's on_commit leads to
 * queue_wake). id_out may be NULL; the id of an earlier job when that has its unique or idempotency
 * key. Errors as queue_check. A payload without bytes is kept as an empty text. */
MUST_USE enum err queue_enqueue(struct store_tx *tx, const struct queue_new *job, int64_t *id_out);
/* What became of one of many. */
struct queue_receipt {
    int64_t id;
    bool is_old; // an earlier job's
};
/* All of them or, with the error of the first bad one, none that counts: roll back. */
MUST_USE enum err queue_enqueue_many(struct store_tx *tx, const struct queue_new *jobs,
                                     size_t count, struct queue_receipt *out);

/* Whether a write that does nothing but enqueue these may be soft (store_write.is_soft): all are
 * QUEUE_NORMAL. Such a write is durable before any that comes after it, and is never lost alone:
 * the runs of its jobs are lost with it. In a transaction with anything else a job is as durable as
 * that. */
bool queue_may_be_soft(const struct queue_new *jobs, size_t count);

/* Once for every job whose async run returned OK. The job is gone afterwards. Any thread. */
void queue_finish(struct queue_job *job, const struct queue_end *end);

/* Inside run, whose thread nobody can stop: shall it give up? Its time (timeout_ms) is over, an
 * operator has cancelled the job, or it is somebody else's by now (these two are seen within about
 * two seconds). It returns an error then; until it does, its lease goes on. Cheap. */
bool queue_is_given_up(const struct queue_job *job);

/* Tells the workers that something may be ready. Cheap; any thread. */
void queue_wake(struct queue *q);

struct queue_stats {
    int64_t ready, scheduled, running, dead; // now, of all queues
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
/* How often a handler's process of its own may die under a job, which is then to blame. */
enum { QUEUE_MAX_SEEN_CRASHES = 3 };

/* Makes the scheduled jobs of the options' queue ready that are due, and those whose lease is over;
 * then leases up to cap ready ones for the options' time, in order, each with an arena that the
 * caller frees; but none that is queue_find's. ERR_NOT_FOUND: there is none; *next_run_at_out: when
 * one will be (by its time or the end of another's lease), or 0; now: those that it took shall not
 * run, and others may be behind them; now, also with OK: queue_find has some that became ready.
 * Commit the transaction also then. */
enum { QUEUE_WHEN_ONE_ENDS = -1 }; // *next_run_at_out: the queue runs as many as it may
MUST_USE enum err queue_claim(struct store_tx *tx, const struct queue_options *options,
                              struct queue_job *jobs, size_t cap, size_t *count_out,
                              int64_t *next_run_at_out);

/* Where a look begins: behind this job in the order of the queue; INT64_MIN: with the first. */
struct queue_cursor {
    int64_t rank, id;
};
/* What a look found. */
struct queue_look {
    struct queue_job *jobs; // is_held, each with an arena that the caller frees
    size_t count;
    bool needs_claim;       // others are due, or a lease is over: queue_claim
    int64_t next_run_at_ms; // when nothing is due: when something will be; 0: never
    int retry_percent;      // of the queue's limits
};
/* Claims in memory: finds up to cap ready jobs of the options' queue, in order, that have no
 * unique key (a key is free for the next job while one runs, which the row must say), no other
 * option that needs the row (QUEUE_BY_ROW) and an id above last_id (crashes of an earlier process's
 * are counted in their rows); none behind one with a key, whose turn comes first. A read; the
 * caller leaves out those that it has in hand. */
MUST_USE enum err queue_find(struct store_tx *tx, const struct queue_options *options,
                             struct queue_cursor after, size_t cap, struct queue_look *out);
/* The highest id that any job has had. */
MUST_USE enum err queue_last_id(struct store_tx *tx, int64_t *out);

/* Removes the job, or keeps it as DONE for its keep_ms. ERR_CONFLICT: the epoch is stale; the
 * caller's transaction must roll back. */
MUST_USE enum err queue_ack(struct store_tx *tx, const struct queue_job *job);
/* Puts the job back for a later try, or to DEAD, and notes the error. When another has its
 * unique_key by now, that one will do the work: the failed one is dropped. ERR_CONFLICT: stale. */
MUST_USE enum err queue_fail(struct store_tx *tx, const struct queue_job *job, struct str why,
                             int64_t delay_ms, bool is_dead);
/* Claims by its row a job that is_held, with the epoch that it has: its holder's acknowledgement
 * counts as before. ERR_CONFLICT: it ended. */
MUST_USE enum err queue_claim_held(struct store_tx *tx, const struct queue_job *job,
                                   int64_t lease_ms, int64_t claimer);
/* Counts a crash and puts the job back, or to DEAD as "poison: why". ERR_CONFLICT: stale. */
MUST_USE enum err queue_crash(struct store_tx *tx, const struct queue_job *job, struct str why);
/* The end of a job that shall not be tried again and that nobody needs to see: CANCELLED, and kept
 * for a day. ERR_CONFLICT: stale. */
MUST_USE enum err queue_discard(struct store_tx *tx, const struct queue_job *job, struct str why);
/* Forgets what was kept long enough, up to limit (256) of each: the queue's jobs that are over, and
 * of all queues keys that are free or nothing is left of, and finished batches. *count_out: of the
 * kind that had most; the limit: there may be more. */
MUST_USE enum err queue_prune(struct store_tx *tx, struct str name, int limit, int64_t *count_out);
/* The settings of a queue, for all processes. */
struct queue_limits {
    int max_running; // at once; 0: no limit
    int rate;        // begun in rate_ms, evenly; 0: no limit
    int64_t rate_ms; // 0: a second
    int burst;       // so many may come at once after a pause; 0: 1
    /* The same for the jobs of each of its keys. With key_max_running 1 they run strictly one after
     * the other. A rate holds for the beginnings, however late they are. */
    int key_max_running, key_rate;
    int64_t key_rate_ms;
    int key_burst;
    /* So many DONE and DEAD jobs are kept at most, up to QUEUE_MAX_KEEP; 0: no limit but their
     * time. What goes first is what would go first by its time. */
    int keep_done, keep_dead;
    int64_t keep_dead_ms; // of those that die from now on; 0: QUEUE_KEEP_DEAD_MS
    /* Up to 100: so many retries may begin for 100 first runs, and always some; those over it are
     * put off, as not tried (queue_budget.h). 0: all may. */
    int retry_percent;
};
enum { QUEUE_MAX_KEEP = 100000 };
#define QUEUE_KEEP_DEAD_MS (INT64_C(90) * 24 * 3600 * 1000)
/* They hold for jobs that begin from now on; those that run are not counted by limits of keys that
 * are new. ERR_INVALID: a number below 0 or above what is said, or a time above QUEUE_MAX_MS. */
MUST_USE enum err queue_set_limits(struct store_tx *tx, struct str name,
                                   const struct queue_limits *limits);
/* As they are; times as they hold. */
MUST_USE enum err queue_get_limits(struct store_tx *tx, struct str name, struct queue_limits *out);
/* A key's own limits, instead of its queue's. */
struct queue_key_limits {
    int max_running, rate; // 0: no limit; -1: as its queue says
    int64_t rate_ms;       // 0: a second
    int burst;             // 0: 1
};
/* The key need not have had a job. ERR_INVALID as above, or a key without a name. */
MUST_USE enum err queue_set_key_limits(struct store_tx *tx, struct str queue, struct str key,
                                       const struct queue_key_limits *limits);
/* Claims nothing before until_ms (INT64_MAX: until it is resumed; 0: goes on at once). What runs
 * goes on. */
MUST_USE enum err queue_pause(struct store_tx *tx, struct str name, int64_t until_ms);
/* Lets the lease end lease_ms from now. ERR_CONFLICT: stale. */
MUST_USE enum err queue_renew(struct store_tx *tx, const struct queue_job *job, int64_t lease_ms);
/* The same of many; what is stale is left out. */
MUST_USE enum err queue_renew_many(struct store_tx *tx, const struct queue_job *jobs, size_t count,
                                   int64_t lease_ms);
/* Puts a job back that was claimed and not begun, for run_at_ms: neither an attempt nor a crash.
 * ERR_CONFLICT: stale. */
MUST_USE enum err queue_release(struct store_tx *tx, const struct queue_job *job,
                                int64_t run_at_ms);
/* Returns the jobs whose lease ends by then_ms to READY (INT64_MAX: every running one); name: of
 * this queue, empty: of all. */
MUST_USE enum err queue_recover(struct store_tx *tx, struct str name, int64_t then_ms);
/* The same for the running jobs of the queue that this claimer has claimed, who is dead. */
MUST_USE enum err queue_recover_claims(struct store_tx *tx, struct str name, int64_t claimer);
/* Who has claimed running jobs of the queue, in order, behind that number; out: QUEUE_CLAIMERS of
 * them, and if so many there may be more. */
enum { QUEUE_CLAIMERS = 256 };
MUST_USE enum err queue_list_claimers(struct store_tx *tx, struct str name, int64_t after,
                                      int64_t *out, size_t *count_out);

#endif
