/* runner.h -- handlers that are not ours to trust with our own process: programs, C code in a
 * process of its own, and other servers.
 *
 *     queue: a job --> runner's thread: its lane --> a process (JSON lines)  --> queue_finish
 *                                                '-> a POST (runner_push.h) --'
 *
 * Each entry of the configuration (struct runner_handler) is a lane: so many jobs of its kinds at
 * once, by processes that are kept for many jobs, or by POSTs. A job has until its timeout; then
 * its process is killed, with its process group. How a process ended is known at once: a signal, or
 * an end without an answer, is a crash, which is no try of the job but counted apart; after
 * QUEUE_MAX_SEEN_CRASHES the job is DEAD as "poison". A process that takes too much memory or CPU
 * time meets its limits; one that talks nonsense is killed. None of it touches the server.
 *
 * The queue renews the leases; a handler knows of none. What it reports while it runs (progress,
 * log lines) is written once a second under the fence: a report of a run that is somebody else's by
 * now is refused, and its process is killed. So it is when an operator cancels the job, after it
 * was asked to give up and had grace_ms for it.
 *
 * Nothing outlives the server: see runner_spawner.h.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include "queue/queue.h"
#include "runner/runner_code.h"

struct runner;

/* Who does the jobs of some kinds. One of program, code, url. */
struct runner_handler {
    const char *const *kinds;
    size_t kind_count;
    const char *queue;  // whose jobs; NULL: QUEUE_DEFAULT
    int concurrency;    // jobs at once; 0: 1
    int64_t timeout_ms; // of a job; 0: 60 s
    int64_t grace_ms;   // from being asked to give up to being killed; 0: 5 s
    int max_attempts;   // as of queue_handler
    int64_t backoff_ms, keep_ms;

    char *const *program;     // argv
    char *const *environment; // all of it: "NAME=value", NULL at the end
    const char *directory;    // NULL: the server's
    runner_code_fn *code;
    int64_t memory_bytes; // of a process; 0: no limit
    int cpu_s;            // of a process in its life; 0: no limit
    int max_jobs;         // after which a process is replaced; 0: 1000

    struct str url;
    const struct str *headers; // "Name: value"
    size_t header_count;
    bool allows_private;
    bool gone_is_dead; // 410: DEAD, else the job is discarded

    /* As of queue_handler, with the result of the job (at NULL: none). NULL: no effects. */
    enum err (*commit)(struct store_tx *tx, const struct queue_job *job, struct str result,
                       void *ctx);
    void *ctx;
};

/* Forks the spawner when there are processes to start: before the process has threads. The handlers
 * are borrowed for the runner's life. NULL: the system refuses (logged). */
struct runner *runner_new(const struct runner_handler *handlers, size_t count);
/* The handlers for a queue of that name, one for each kind; out has room for as many as
 * runner_kind_count says. */
size_t runner_kind_count(const struct runner *r, const char *queue);
void runner_bind(struct runner *r, const char *queue, struct queue_handler *out);
/* What waits for a handler waits here, however slow that is: where the jobs that begin are counted.
 * Before runner_start. */
void runner_keep_lines(struct runner *r);
/* Starts the thread; before queue_start. ERR_IO: the system refuses (logged). */
MUST_USE enum err runner_start(struct runner *r, struct store *store);
/* Before queue_stop: no job begins any more. Those that run have wait_ms, of which the last
 * grace_ms are for giving up; then they are killed. What did not end goes back to the queue, at
 * once. Does not block. */
void runner_stop(struct runner *r, int64_t wait_ms);
/* After queue_stop returned true. */
void runner_free(struct runner *r);

#endif
