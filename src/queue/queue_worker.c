/* queue_worker.c -- the threads that run jobs.
 *
 *     wake, or a job's time --> claim --(store)--> ready --> run --(store: commit + ack)-->
 * finished --> done | error                 | error
 *                                                             '---> fail (store) <----'
 *
 * No worker waits for the store: it hands over the commit and takes the next job, so that the
 * acknowledgements of many jobs share one fsync, with each other and with the answers of the web.
 * What the store has finished comes back on the list `finished`, which one worker at a time
 * empties, in order.
 *
 * A worker looks by reading whether something is due. Alone (queue_share.h) it then holds the jobs
 * in memory; those with a unique key, or of an earlier process, and all when other processes run
 * jobs of the queue, are claimed as follows.
 *
 * The claim is one store_write of the queue, never two at once. It fetches a batch for all workers
 * while they still have half a batch to do. A flag, may_be_ready, says that a claim could find
 * something: set by queue_wake, by a full batch and by the clock; so an idle queue does nothing at
 * all.
 *
 * Every job from claim to end is on `hand`; the renewer extends their leases at a third of the
 * lease, and lets other processes join. Locks: the queue's mutex, then (inside store_write_later)
 * the writer's; never the reverse.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/failpoint.h"
#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "queue/queue_batch.h"
#include "queue/queue_internal.h"
#include "queue/queue_share.h"

enum {
    DEFAULT_LEASE_MS = 30 * 1000,
    DEFAULT_BACKOFF_CAP_MS = 3600 * 1000,
    DEFAULT_BACKOFF_MS = 1000,
    DEFAULT_BATCH = 32,
    HAND_BATCHES = 4,       // at most so many batches from claim to end
    STORE_RETRY_MS = 1000,  // the store refused or failed a claim
    MAX_NAP_MS = 60 * 1000, // the operator may set the clock while we wait
    RENEW_PART = 3,
    PRUNE_MAX = 1000, // each time that leases are renewed
    LOOK_ALL_MS = 1000,
    SHARE_MS = 1000, // how often it looks for other processes
    JOIN_MS = 10,    // while it waits for one
    AHEAD_NS = 5000000,
};

static const struct queue_cursor FROM_THE_FIRST = {INT64_MIN, 0};

enum outcome { DONE, STALE, FAILED, SNOOZED, CRASHED, LOST };

/* One claimed job on its way. */
struct run {
    struct store_write write; // first: on_done casts back
    struct queue_job job;
    struct queue *queue;
    const struct queue_handler *handler; // NULL: unknown kind
    struct list place;                   // in ready or finished, or in none
    struct list in_hand;
    enum outcome outcome;
    bool is_begun;   // a worker has it, or had it
    bool is_claimed; // held at first, and by its row since
    bool is_stale;   // set in the transaction: the fence refused it
    struct str why;
    int64_t delay_ms;
    bool is_dead;
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
    struct queue_share share;
    bool is_switching; // from alone to shared or back: claims nothing meanwhile
    bool is_crowded;   // shared with others, who could run what it claims ahead
    int busy;          // workers that run a job
    int64_t run_ns;    // of a job's run, lately
    struct list gone;  // ended while a look was under way, which may have seen their rows
    bool is_looking;
    bool is_full; // the queue runs as many as it may: the end of one lets the next go
    bool is_fair; // its keys take turns: none is claimed before a worker is free for it
    int ready_count, hand_count;
    bool is_started, is_stopping, is_over, is_claiming, may_be_ready, is_telling;
    struct queue_cursor cursor; // what was found so far
    int64_t looked_all_at_ms;   // from the beginning, monotonic
    int64_t due_at_ms;          // when to claim again; unix time, 0: not known
    int64_t paused_until_ms;    // the store failed: nothing is taken before; monotonic
    int64_t done, failed, refused;

    char *kinds;
    struct queue_options look_options; // of the look or claim under way
    struct store_write claim;          // the one claim: these belong to it while is_claiming
    struct queue_job *claimed;
    size_t claimed_count;
    int64_t claimed_next_ms;
};

static void maybe_claim(struct queue *q);

/* Full jitter: a crowd that failed together does not come back together. */
static int64_t backoff_ms(const struct queue *q, const struct run *run)
{
    const struct queue_handler *handler = run->handler;
    int64_t base = handler->backoff_ms > 0 ? handler->backoff_ms : DEFAULT_BACKOFF_MS;
    int64_t cap = handler->backoff_cap_ms > 0 ? handler->backoff_cap_ms : q->options.backoff_cap_ms;
    uint64_t random;

    for (int i = 0; i < run->job.attempt && base < cap; i++)
        base *= 2;
    crypto_random(&random, sizeof(random));
    return (int64_t)(random % (uint64_t)((base < cap ? base : cap) + 1));
}

/* ---- the life of a run ---- */

static const struct queue_handler *find_handler(const struct queue *q, struct str kind)
{
    for (size_t i = 0; i < q->handlers_count; i++)
        if (str_eq(str_of(q->handlers[i].kind), kind))
            return &q->handlers[i];
    for (size_t i = 0; i < queue_batch_handler_count; i++)
        if (str_eq(str_of(queue_batch_handlers[i].kind), kind))
            return &queue_batch_handlers[i];
    return NULL;
}

/* Takes a claimed job over. Called with the mutex held. */
static void add_run(struct queue *q, const struct queue_job *job)
{
    struct run *run = MEM_NEW(struct run);
    run->queue = q;
    run->job = *job;
    run->handler = find_handler(q, job->kind);
    q->is_fair |= (job->options & QUEUE_HAS_TURN) && q->options.workers > 0;
    if (run->job.keep_ms == 0 && run->handler)
        run->job.keep_ms = run->handler->keep_ms;
    list_append(&q->ready, &run->place);
    list_append(&q->hand, &run->in_hand);
    q->ready_count++;
    q->hand_count++;
}

/* Called with the mutex held. */
static void end_run(struct queue *q, struct run *run)
{
    list_remove(&run->in_hand);
    q->hand_count--;
    arena_done(&run->job.arena);
    if (q->is_looking)
        list_append(&q->gone, &run->in_hand);
    else
        mem_free(run);
    if (q->is_stopping)
        pthread_cond_signal(&q->ended);
}

static void finish(struct run *run, enum outcome outcome)
{
    struct queue *q = run->queue;
    pthread_mutex_lock(&q->mutex);
    run->outcome = outcome;
    list_append(&q->finished, &run->place);
    pthread_cond_signal(&q->work);
    pthread_mutex_unlock(&q->mutex);
}

static void submit(struct run *run, store_fn *fn, void (*on_done)(struct store_write *, enum err))
{
    run->write = (struct store_write){.fn = fn, .arg = run, .on_done = on_done};
    // Refused only when the store closes: our own jobs are far fewer than its lane takes.
    if (store_write_later(run->queue->store, &run->write))
        finish(run, LOST);
}

static enum err fail_fn(struct store_tx *tx, void *arg)
{
    struct run *run = arg;
    enum err err = queue_fail(tx, &run->job, run->why, run->delay_ms, run->is_dead);
    run->is_stale = err == ERR_CONFLICT;
    return err;
}

static void on_failed(struct store_write *write, enum err err)
{
    struct run *run = (struct run *)(void *)write;
    finish(run, !err ? FAILED : run->is_stale ? STALE : LOST);
}

/* Records that the run went wrong. why lives in the job's arena or for ever. */
static void fail_run(struct run *run, struct str why)
{
    const struct queue_handler *handler = run->handler;
    int max =
        handler && handler->max_attempts > 0 ? handler->max_attempts : QUEUE_DEFAULT_MAX_ATTEMPTS;
    if (run->job.max_attempts > 0)
        max = run->job.max_attempts;

    run->why = why;
    run->is_dead = !handler || run->job.attempt + 1 >= max;
    run->delay_ms = run->is_dead                          ? 0
                    : run->job.end.verdict == QUEUE_RETRY ? run->job.end.delay_ms
                                                          : backoff_ms(run->queue, run);
    if (run->job.deadline_ms > 0 && clock_unix_ms() + run->delay_ms > run->job.deadline_ms)
        run->is_dead = true; // it could not begin in time
    submit(run, fail_fn, on_failed);
}

static enum err discard_fn(struct store_tx *tx, void *arg)
{
    struct run *run = arg;
    enum err err = queue_discard(tx, &run->job, run->why);
    run->is_stale = err == ERR_CONFLICT;
    return err;
}

static enum err snooze_fn(struct store_tx *tx, void *arg)
{
    struct run *run = arg;
    enum err err = queue_release(tx, &run->job, store_now_ms(tx) + run->delay_ms);
    run->is_stale = err == ERR_CONFLICT;
    return err;
}

static void on_snoozed(struct store_write *write, enum err err)
{
    struct run *run = (struct run *)(void *)write;
    finish(run, !err ? SNOOZED : run->is_stale ? STALE : LOST);
}

static enum err crash_fn(struct store_tx *tx, void *arg)
{
    struct run *run = arg;
    enum err err = queue_crash(tx, &run->job, run->why);
    run->is_stale = err == ERR_CONFLICT;
    return err;
}

static void on_crashed(struct store_write *write, enum err err)
{
    struct run *run = (struct run *)(void *)write;
    finish(run, !err ? CRASHED : run->is_stale ? STALE : LOST);
}

static enum err commit_fn(struct store_tx *tx, void *arg)
{
    struct run *run = arg;
    struct queue_row row;
    // First, since a stale job's effects need not be tried; but the end of a flow's job moves
    // others, which its commit may still add.
    bool ends_last = (run->job.options & QUEUE_IN_FLOW) != 0;
    enum err err = ends_last ? queue_row_claimed(tx, &run->job, &row) : queue_ack(tx, &run->job);
    run->is_stale = err == ERR_CONFLICT;
    if (!err && run->handler->commit)
        err = FAILPOINT("queue.commit", run->handler->commit(tx, &run->job, run->handler->ctx));
    return err || !ends_last ? err : queue_ack(tx, &run->job);
}

static void on_committed(struct store_write *write, enum err err)
{
    struct run *run = (struct run *)(void *)write;
    if (!err)
        finish(run, DONE);
    else if (run->is_stale)
        finish(run, STALE);
    else
        fail_run(run, str_of(err_text(err)));
}

/* By the verdict that the handler left in the job, if any. */
static void fail_as_told(struct run *run, struct str why)
{
    struct queue_end *end = &run->job.end;
    if (end->verdict == QUEUE_DONE || end->verdict == QUEUE_RETRY) {
        fail_run(run, why); // which looks whether there may be one more
        return;
    }
    if (end->why.len == 0)
        end->why = why;
    queue_worker_finish(&run->job, end);
}

static void run_job(struct run *run)
{
    const struct queue_handler *handler = run->handler;
    if (!handler) {
        fail_run(run, arena_printf(&run->job.arena, "no handler for jobs of kind %.*s",
                                   STR_ARG(run->job.kind)));
        return;
    }
    struct str why = {NULL, 0};
    enum err err =
        handler->run ? FAILPOINT("queue.run", handler->run(&run->job, handler->ctx, &why)) : OK;
    if (err)
        fail_as_told(run, why.len > 0 ? why : str_of(err_text(err)));
    else if (!handler->is_async) // else it may be gone by now
        submit(run, commit_fn, on_committed);
}

void queue_worker_finish(struct queue_job *job, const struct queue_end *end)
{
    struct run *run = LIST_ENTRY(job, struct run, job);
    run->why = end->why;
    run->delay_ms = end->delay_ms;
    run->is_dead = end->verdict == QUEUE_BURY;
    switch (end->verdict) {
    case QUEUE_DONE:
        submit(run, commit_fn, on_committed);
        break;
    case QUEUE_RETRY:
        if (end->delay_ms == QUEUE_BACKOFF)
            fail_run(run, end->why);
        else
            submit(run, fail_fn, on_failed);
        break;
    case QUEUE_BURY:
        submit(run, fail_fn, on_failed);
        break;
    case QUEUE_CRASHED:
        submit(run, crash_fn, on_crashed);
        break;
    case QUEUE_SNOOZE:
        submit(run, snooze_fn, on_snoozed);
        break;
    case QUEUE_DISCARD:
        submit(run, discard_fn, on_failed);
        break;
    }
}

/* The last step, after the store has spoken; without the mutex. */
static void tell(struct run *run)
{
    char kind[LOG_QUOTE_BYTES], why[LOG_QUOTE_BYTES];
    const struct queue_job *job = &run->job;

    switch (run->outcome) {
    case DONE:
        failpoint_pass("queue.done.before");
        if (run->handler->done)
            run->handler->done(&run->job, run->handler->ctx);
        failpoint_pass("queue.done.after");
        break;
    case STALE:
        log_warn("at=queue_worker.refused job=%lld epoch=%lld why=stale", (long long)job->id,
                 (long long)job->epoch);
        break;
    case FAILED:
        log_line(run->is_dead ? LOG_ERROR : LOG_WARN,
                 "at=queue_worker.failed job=%lld kind=%s attempt=%d dead=%d retry_ms=%lld why=%s",
                 (long long)job->id, log_quote(job->kind, kind), job->attempt, run->is_dead,
                 (long long)run->delay_ms, log_quote(run->why, why));
        break;
    case CRASHED:
        log_error("at=queue_worker.crashed job=%lld kind=%s why=%s", (long long)job->id,
                  log_quote(job->kind, kind), log_quote(run->why, why));
        break;
    case SNOOZED:
        break;
    case LOST:
        log_error(
            "at=queue_worker.lost job=%lld why=\"the store failed: it comes back by its lease\"",
            (long long)job->id);
        break;
    }
}

/* A job that the store can neither acknowledge nor fail is found again as it was: not before the
 * store has had time to recover, or it would be run without end. */
static void pause_claims(struct queue *q)
{
    q->paused_until_ms = clock_mono_ms() + STORE_RETRY_MS;
}

static void count(struct queue *q, enum outcome outcome)
{
    q->done += outcome == DONE;
    q->refused += outcome == STALE;
    q->failed += outcome == FAILED;
    q->may_be_ready |= q->is_full;
    if (outcome == LOST)
        pause_claims(q);
    // Also after STALE: a held job's row that somebody changed may be ready all the same.
    if (outcome == DONE)
        return;
    q->may_be_ready = true; // the next claim learns when it comes back
    q->looked_all_at_ms = 0;
}

/* ---- claiming ---- */

static enum err claim_fn(struct store_tx *tx, void *arg)
{
    struct queue *q = arg;
    for (size_t i = 0; i < q->claimed_count; i++) // of an earlier try
        arena_done(&q->claimed[i].arena);
    q->claimed_count = 0;
    enum err err = queue_claim(tx, &q->look_options, q->claimed, (size_t)q->look_options.batch,
                               &q->claimed_count, &q->claimed_next_ms);
    return err == ERR_NOT_FOUND ? OK : err; // what it recovered stays
}

/* Called with the mutex held. */
static void claim_later(struct queue *q)
{
    q->due_at_ms = clock_unix_ms() + STORE_RETRY_MS;
}

static void on_claimed(struct store_write *write, enum err err)
{
    struct queue *q = write->arg;
    pthread_mutex_lock(&q->mutex);
    size_t got = q->claimed_count;
    q->is_full = !err && got == 0 && q->claimed_next_ms == QUEUE_WHEN_ONE_ENDS;
    q->is_claiming = false;
    q->claimed_count = 0;
    for (size_t i = 0; i < got; i++) {
        if (err)
            arena_done(&q->claimed[i].arena);
        else
            add_run(q, &q->claimed[i]);
    }
    if (!err && q->claimed_next_ms > 0 && q->claimed_next_ms <= clock_unix_ms())
        q->looked_all_at_ms = 0; // what became ready may be before the cursor
    if (err)
        claim_later(q); // the store has logged it
    else if (got == 0 && q->claimed_next_ms == QUEUE_WHEN_ONE_ENDS)
        q->due_at_ms = clock_unix_ms() + LOOK_ALL_MS; // another process's, which does not tell
    else if (got == 0)
        q->due_at_ms = q->claimed_next_ms;
    else
        q->may_be_ready = true; // more, or the time of the next one
    maybe_claim(q);
    pthread_cond_broadcast(&q->work);
    pthread_cond_signal(&q->ended);
    pthread_mutex_unlock(&q->mutex);
}

/* How many jobs to have at hand that no worker has begun: where others could run them meanwhile, no
 * more than the workers here begin at once; where keys take turns, which a claim is, no more than
 * workers are free. */
static int reserve_of(const struct queue *q)
{
    int batch = q->options.batch, workers = q->options.workers;
    if (!q->is_crowded && !q->is_fair)
        return batch;
    int64_t ahead = q->run_ns > 0 && !q->is_fair ? (int64_t)workers * AHEAD_NS / q->run_ns : 0;
    int64_t reserve = workers - q->busy + ahead;
    return reserve < batch ? (int)reserve : batch;
}

/* Inline (without workers) it claims by row, as if it shared. */
static bool is_joining(const struct queue *q)
{
    return q->share.mode == QUEUE_SHARE_JOINING && q->options.workers > 0;
}

static bool is_spent(const struct queue *q)
{
    return q->options.left && atomic_load(q->options.left) <= 0;
}

/* Called with the mutex held. */
static bool wants_more(const struct queue *q)
{
    int reserve = reserve_of(q);
    return q->is_started && !q->is_stopping && !q->is_claiming && q->may_be_ready &&
           clock_mono_ms() >= q->paused_until_ms && !q->is_switching && !is_joining(q) &&
           !is_spent(q) && reserve > 0 && q->ready_count <= reserve / 2 &&
           q->hand_count <= (HAND_BATCHES - 1) * q->options.batch;
}

/* Called with the mutex held. */
static void claim(struct queue *q)
{
    if (q->is_crowded || q->is_fair)
        q->look_options.batch = reserve_of(q) - q->ready_count;
    if (q->look_options.batch < 1) // taken by a look meanwhile
        q->look_options.batch = 1;
    // A claim that a loss of power takes back was nobody's: soft, so that a job waits for no sync.
    q->claim =
        (struct store_write){.fn = claim_fn, .arg = q, .on_done = on_claimed, .is_soft = true};
    q->may_be_ready = false;
    q->is_claiming = true;
    if (store_write_later(q->store, &q->claim)) {
        q->is_claiming = false;
        claim_later(q);
    }
}

/* Called with the mutex held. */
static void maybe_claim(struct queue *q)
{
    if (wants_more(q))
        pthread_cond_signal(&q->work); // a worker looks
}

/* ---- claims in memory ---- */

struct look {
    struct queue *queue;
    struct queue_cursor after;
    size_t cap;
    struct queue_look found;
};

static void forget_found(struct queue_look *found)
{
    for (size_t i = 0; i < found->count; i++)
        arena_done(&found->jobs[i].arena);
    found->count = 0;
}

static enum err look_fn(struct store_tx *tx, void *arg)
{
    struct look *look = arg;
    return queue_find(tx, &look->queue->look_options, look->after, look->cap, &look->found);
}

static bool has_job(const struct list *runs, int64_t id)
{
    for (struct list *node = runs->next; node != runs; node = node->next)
        if (LIST_ENTRY(node, struct run, in_hand)->job.id == id)
            return true;
    return false;
}

static void end_look(struct queue *q)
{
    struct list *node;
    q->is_looking = false;
    while ((node = list_shift(&q->gone)))
        mem_free(LIST_ENTRY(node, struct run, in_hand));
}

static bool is_behind(struct queue_cursor cursor, const struct queue_job *job)
{
    return job->rank > cursor.rank || (job->rank == cursor.rank && job->id > cursor.id);
}

/* Called with the mutex held. The rows of jobs in hand are found again, and those of jobs that
 * ended since the look began; they are left out. */
static void take_found(struct queue *q, const struct look *look, bool is_all)
{
    const struct queue_look *found = &look->found;
    size_t taken = 0, left = 0, max = (size_t)q->options.batch;
    for (size_t i = 0; i < found->count; i++) {
        struct queue_job *job = &found->jobs[i];
        bool is_known = has_job(&q->hand, job->id) || has_job(&q->gone, job->id);
        if (is_known || taken == max) {
            left += !is_known;
            arena_done(&job->arena);
            continue;
        }
        add_run(q, job);
        taken++;
        if (is_behind(q->cursor, job)) // it never goes back
            q->cursor = (struct queue_cursor){job->rank, job->id};
    }
    if (left > 0 || found->count == look->cap)
        q->may_be_ready = true;
    else
        q->due_at_ms = found->next_run_at_ms;
    int64_t all_at_ms = clock_unix_ms() + LOOK_ALL_MS;
    if (!is_all && (q->due_at_ms == 0 || q->due_at_ms > all_at_ms))
        q->due_at_ms = all_at_ms;
}

/* Finds jobs and takes them. Behind the last one that was found, mostly; but what came back (a
 * retry, a clock that was set) is before it, so once a second, and before it rests, from the
 * beginning. Called with the mutex held, which it lets go of meanwhile. */
static void look(struct queue *q)
{
    int64_t now_ms = clock_mono_ms();
    bool is_alone = q->options.is_alone && q->share.mode == QUEUE_SHARE_ALONE;
    bool is_all =
        !is_alone || now_ms - q->looked_all_at_ms >= LOOK_ALL_MS || q->looked_all_at_ms == 0;
    struct look look = {.queue = q, .after = is_all ? FROM_THE_FIRST : q->cursor};
    if (is_alone)
        look.cap = (size_t)q->options.batch + (is_all ? (size_t)q->hand_count : 0);
    else
        look.cap = 1; // to know whether to claim
    q->look_options = q->options;
    q->look_options.is_alone = is_alone;
    q->look_options.kinds = q->options.leaves_unknown || q->is_crowded ? q->kinds : NULL;
    q->is_claiming = q->is_looking = true;
    q->may_be_ready = false;
    if (is_all)
        q->looked_all_at_ms = now_ms;
    pthread_mutex_unlock(&q->mutex);
    look.found.jobs = mem_zalloc(look.cap * sizeof(struct queue_job));
    enum err err = FAILPOINT("queue.look", store_read(q->store, look_fn, &look));
    pthread_mutex_lock(&q->mutex);
    q->is_claiming = false;
    if (err) {
        forget_found(&look.found);
        log_warn("at=queue_worker.look why=\"%s\"", err_text(err));
        claim_later(q);
    } else {
        take_found(q, &look, is_all);
        if (look.found.needs_claim && !q->is_stopping)
            claim(q);
    }
    end_look(q);
    mem_free(look.found.jobs);
    pthread_cond_broadcast(&q->work);
    pthread_cond_signal(&q->ended);
}

void queue_worker_wake(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->may_be_ready = true;
    maybe_claim(q);
    pthread_mutex_unlock(&q->mutex);
}

/* ---- threads ---- */

/* Waits for something to do or for the time of the next claim. Called with the mutex held. */
static void wait_for_work(struct queue *q)
{
    int64_t left = q->paused_until_ms - clock_mono_ms();
    if (left <= 0 && (q->due_at_ms == 0 || q->may_be_ready || q->is_claiming)) {
        pthread_cond_wait(&q->work, &q->mutex);
        return;
    }
    if (left <= 0)
        left = q->due_at_ms - clock_unix_ms();
    if (left > 0) {
        struct timespec end = thread_deadline(left < MAX_NAP_MS ? left : MAX_NAP_MS);
        if (pthread_cond_timedwait(&q->work, &q->mutex, &end) != ETIMEDOUT)
            return;
    }
    q->due_at_ms = 0;
    q->may_be_ready = true;
    maybe_claim(q);
}

/* Called with the mutex held, which it lets go of meanwhile. */
static void tell_finished(struct queue *q)
{
    struct list *node;
    q->is_telling = true;
    while ((node = list_shift(&q->finished))) {
        struct run *run = LIST_ENTRY(node, struct run, place);
        pthread_mutex_unlock(&q->mutex);
        tell(run);
        pthread_mutex_lock(&q->mutex);
        count(q, run->outcome);
        end_run(q, run);
    }
    q->is_telling = false;
    maybe_claim(q);
}

static void take_ready(struct queue *q)
{
    struct run *run = LIST_ENTRY(list_shift(&q->ready), struct run, place);
    q->ready_count--;
    q->busy++;
    run->is_begun = true;
    maybe_claim(q); // the next batch comes while this one is run
    pthread_mutex_unlock(&q->mutex);
    int64_t begun_ns = clock_mono_ns();
    run_job(run);
    int64_t run_ns = clock_mono_ns() - begun_ns;
    pthread_mutex_lock(&q->mutex);
    q->run_ns += (run_ns - q->run_ns) / 4 + 1;
    q->busy--;
}

/* False: as many have begun as may. */
static bool may_begin(struct queue *q)
{
    _Atomic int64_t *left = q->options.left;
    int64_t now = left ? atomic_load(left) : 0;
    while (left && now > 0 && !atomic_compare_exchange_weak(left, &now, now - 1))
        ;
    return !left || now > 0;
}

/* Does one piece of what there is to do. False: there is nothing. Called with the mutex held, which
 * it lets go of meanwhile. */
static bool work_once(struct queue *q)
{
    if (!list_is_empty(&q->finished) && !q->is_telling)
        tell_finished(q);
    else if (!list_is_empty(&q->ready) && !q->is_stopping && may_begin(q))
        take_ready(q);
    else if (wants_more(q))
        look(q);
    else
        return false;
    return true;
}

static void *work(void *arg)
{
    struct queue *q = arg;
    pthread_mutex_lock(&q->mutex);
    while (!q->is_over)
        if (!work_once(q))
            wait_for_work(q);
    pthread_mutex_unlock(&q->mutex);
    return NULL;
}

int64_t queue_worker_run_due(struct queue *q)
{
    bool has_run = true;
    CHECK(q->options.workers <= 0);
    pthread_mutex_lock(&q->mutex);
    q->is_started = true;
    for (;;) {
        bool is_busy = q->hand_count > 0 || q->is_claiming;
        if (work_once(q))
            has_run |= q->hand_count > 0;
        else if (is_busy)
            pthread_cond_wait(&q->work, &q->mutex);
        else if (!has_run)
            break;
        else { // what ran may have made more
            has_run = false;
            q->may_be_ready = true;
            q->looked_all_at_ms = 0;
            maybe_claim(q);
        }
    }
    int64_t paused_ms = q->paused_until_ms - clock_mono_ms();
    int64_t due_at_ms = paused_ms > 0 ? clock_unix_ms() + paused_ms : q->due_at_ms;
    pthread_mutex_unlock(&q->mutex);
    return due_at_ms;
}

/* The jobs in hand, copied so that they may end meanwhile. */
struct renewal {
    struct queue_job *jobs; // only id, epoch and run_at_ms
    size_t count;
    int64_t lease_ms;
};

static enum err renew_fn(struct store_tx *tx, void *arg)
{
    struct renewal *r = arg;
    for (size_t i = 0; i < r->count; i++) {
        enum err err = queue_renew(tx, &r->jobs[i], r->lease_ms);
        if (err && err != ERR_CONFLICT) // ended, or lost: its commit will be refused
            return err;
    }
    return OK;
}

/* Those whose rows say that they run. Called with the mutex held. */
static void list_claimed(const struct queue *q, struct renewal *r)
{
    r->jobs = mem_zalloc((size_t)(q->hand_count + 1) * sizeof(struct queue_job));
    for (struct list *node = q->hand.next; node != &q->hand; node = node->next) {
        const struct run *run = LIST_ENTRY(node, struct run, in_hand);
        if (!run->job.is_held || run->is_claimed)
            r->jobs[r->count++] = (struct queue_job){
                .id = run->job.id, .epoch = run->job.epoch, .run_at_ms = run->job.run_at_ms};
    }
}

static void renew_hand(struct queue *q)
{
    struct renewal r = {.lease_ms = q->options.lease_ms};
    list_claimed(q, &r);
    pthread_mutex_unlock(&q->mutex);
    if (r.count > 0 && store_write_wait(q->store, renew_fn, &r))
        log_warn("at=queue_worker.renew why=\"the store failed\"");
    mem_free(r.jobs);
    pthread_mutex_lock(&q->mutex);
}

static enum err prune_fn(struct store_tx *tx, void *arg)
{
    struct queue *q = arg;
    int64_t count;
    return queue_prune(tx, str_of(q->options.name), PRUNE_MAX, &count);
}

/* A slice of what was kept long enough. Called with the mutex held, which it lets go of meanwhile.
 */
static void prune(struct queue *q)
{
    pthread_mutex_unlock(&q->mutex);
    if (store_write_wait(q->store, prune_fn, q))
        log_warn("at=queue_worker.prune why=\"the store failed\"");
    pthread_mutex_lock(&q->mutex);
}

/* ---- other processes ---- */

static enum err recover_fn(struct store_tx *tx, void *arg)
{
    struct queue *q = arg;
    enum err err = queue_recover(tx, str_of(q->options.name), INT64_MAX);
    return err ? err : queue_last_id(tx, &q->options.last_id);
}

static enum err release_fn(struct store_tx *tx, void *arg)
{
    const struct list *ready = arg;
    for (struct list *node = ready->next; node != ready; node = node->next) {
        const struct queue_job *job = &LIST_ENTRY(node, struct run, place)->job;
        if (job->is_held)
            continue;
        enum err err = queue_release(tx, job, job->run_at_ms);
        if (err && err != ERR_CONFLICT)
            return err;
    }
    return OK;
}

/* Gives back what was claimed and not begun. Called with the mutex held, which it lets go of
 * meanwhile. */
static void release_ready(struct queue *q)
{
    struct list unbegun, *node;
    list_init(&unbegun);
    while ((node = list_shift(&q->ready)))
        list_append(&unbegun, node);
    q->ready_count = 0;
    pthread_mutex_unlock(&q->mutex);
    if (store_write_wait(q->store, release_fn, &unbegun))
        log_warn(
            "at=queue_worker.release why=\"the store failed: they come back at the next start\"");
    pthread_mutex_lock(&q->mutex);
    while ((node = list_shift(&unbegun)))
        end_run(q, LIST_ENTRY(node, struct run, place));
}

static enum err claim_held_fn(struct store_tx *tx, void *arg)
{
    const struct renewal *r = arg;
    for (size_t i = 0; i < r->count; i++) {
        enum err err = queue_claim_held(tx, &r->jobs[i], r->lease_ms);
        if (err && err != ERR_CONFLICT) // it ended
            return err;
    }
    return OK;
}

/* Called with the mutex held, which it lets go of meanwhile. */
static enum err claim_held(struct queue *q)
{
    struct renewal r = {.lease_ms = q->options.lease_ms};
    r.jobs = mem_zalloc((size_t)(q->hand_count + 1) * sizeof(struct queue_job));
    for (struct list *node = q->hand.next; node != &q->hand; node = node->next) {
        struct run *run = LIST_ENTRY(node, struct run, in_hand);
        if (!run->job.is_held || run->is_claimed)
            continue;
        run->is_claimed = true; // at the latest before it counts
        r.jobs[r.count++] =
            (struct queue_job){.id = run->job.id, .epoch = run->job.epoch, .is_held = true};
    }
    pthread_mutex_unlock(&q->mutex);
    enum err err = r.count > 0 ? store_write_wait(q->store, claim_held_fn, &r) : OK;
    mem_free(r.jobs);
    pthread_mutex_lock(&q->mutex);
    return err;
}

/* Ends what nobody has begun, claims by row what runs, and lets others in. */
static void give_way(struct queue *q)
{
    q->is_switching = true;
    if (q->is_claiming) // what it finds comes first; called again soon
        return;
    release_ready(q);
    if (claim_held(q)) {
        log_warn("at=queue_worker.give_way why=\"the store failed\"");
        for (struct list *node = q->hand.next; node != &q->hand; node = node->next)
            LIST_ENTRY(node, struct run, in_hand)->is_claimed = false;
        return;
    }
    queue_share_give(&q->share);
    q->is_switching = false;
    q->is_crowded = true;
    log_info("at=queue_worker.share queue=%s", q->options.name);
}

struct heritage {
    struct renewal mine;
    struct str name;
    int64_t last_id;
};

/* Returns the running jobs of the dead: ours are lifted above what their leases can be. */
static enum err inherit_fn(struct store_tx *tx, void *arg)
{
    struct heritage *h = arg;
    int64_t lease_ms = h->mine.lease_ms;
    h->mine.lease_ms = 2 * lease_ms;
    enum err err = renew_fn(tx, &h->mine);
    h->mine.lease_ms = lease_ms;
    if (!err)
        err = queue_recover(tx, h->name, store_now_ms(tx) + lease_ms);
    return err ? err : queue_last_id(tx, &h->last_id);
}

/* Nobody else is there any more. */
static void be_alone(struct queue *q)
{
    struct heritage h = {.mine.lease_ms = q->options.lease_ms, .name = str_of(q->options.name)};
    q->is_switching = true;
    list_claimed(q, &h.mine);
    pthread_mutex_unlock(&q->mutex);
    enum err err = store_write_wait(q->store, inherit_fn, &h);
    mem_free(h.mine.jobs);
    pthread_mutex_lock(&q->mutex);
    q->is_switching = false;
    if (err || !q->options.is_alone)
        queue_share_give(&q->share); // claims by row, as before
    if (err)
        return;
    q->options.last_id = h.last_id;
    q->cursor = FROM_THE_FIRST;
    q->looked_all_at_ms = 0;
    log_info("at=queue_worker.alone queue=%s", q->options.name);
}

/* Looks after the lock that says who runs jobs. Called with the mutex held, which it lets go of
 * meanwhile. */
static void share(struct queue *q)
{
    bool was_crowded = q->is_crowded;
    switch (q->share.mode) {
    case QUEUE_SHARE_JOINING:
        if (!queue_share_join(&q->share))
            return;
        break;
    case QUEUE_SHARE_ALONE:
        if (!q->is_switching && !queue_share_is_wished(&q->share))
            return;
        give_way(q);
        break;
    case QUEUE_SHARE_SHARED:
        q->is_crowded = queue_share_has_others(&q->share);
        if (q->is_crowded && !was_crowded)
            release_ready(q); // they may begin it sooner
        if ((q->options.is_alone || was_crowded) && !q->is_crowded && !q->is_claiming &&
            queue_share_take(&q->share))
            be_alone(q);
        else if (q->is_crowded == was_crowded)
            return;
        break;
    }
    q->may_be_ready = true;
    maybe_claim(q);
}

static int64_t share_pause_ms(const struct queue *q)
{
    bool is_waiting = q->share.mode == QUEUE_SHARE_JOINING || q->is_switching;
    return is_waiting ? JOIN_MS : SHARE_MS;
}

static void *renew(void *arg)
{
    struct queue *q = arg;
    int64_t period_ms = q->options.lease_ms / RENEW_PART, renewed_at_ms = clock_mono_ms();
    pthread_mutex_lock(&q->mutex);
    while (!q->is_over) {
        int64_t pause_ms = share_pause_ms(q);
        struct timespec end = thread_deadline(pause_ms < period_ms ? pause_ms : period_ms);
        int code = 0;
        while (!q->is_over && code != ETIMEDOUT)
            code = pthread_cond_timedwait(&q->tick, &q->mutex, &end);
        if (!q->is_over && clock_mono_ms() - renewed_at_ms >= period_ms) {
            renewed_at_ms = clock_mono_ms();
            renew_hand(q);
            if (!q->is_over)
                prune(q);
        }
        if (!q->is_over)
            share(q);
    }
    pthread_mutex_unlock(&q->mutex);
    return NULL;
}

/* ---- new, start, stop, free ---- */

/* ",a,b," */
static char *list_kinds(const struct queue_handler *handlers, size_t count)
{
    size_t size = 2;
    for (size_t i = 0; i < count; i++)
        size += strlen(handlers[i].kind) + 1;
    char *list = mem_zalloc(size), *at = list;
    *at++ = ',';
    for (size_t i = 0; i < count; i++) {
        str_keep(&at, str_of(handlers[i].kind));
        *at++ = ',';
    }
    return list;
}

static void set_default(int64_t *value, int64_t otherwise)
{
    if (*value <= 0)
        *value = otherwise;
}

struct queue *queue_worker_new(struct store *store, const struct queue_options *options,
                               const struct queue_handler *handlers, size_t handlers_count)
{
    struct queue *q = MEM_NEW(struct queue);

    q->store = store;
    q->options = *options;
    q->handlers = handlers;
    q->handlers_count = handlers_count;
    if (!q->options.name)
        q->options.name = QUEUE_DEFAULT;
    set_default(&q->options.lease_ms, DEFAULT_LEASE_MS);
    set_default(&q->options.backoff_cap_ms, DEFAULT_BACKOFF_CAP_MS);
    if (q->options.batch <= 0)
        q->options.batch = DEFAULT_BATCH;
    q->claimed = mem_zalloc((size_t)q->options.batch * sizeof(struct queue_job));
    list_init(&q->ready);
    list_init(&q->finished);
    list_init(&q->hand);
    list_init(&q->gone);
    q->kinds = list_kinds(handlers, handlers_count);
    pthread_mutex_init(&q->mutex, NULL);
    thread_cond_init(&q->work);
    thread_cond_init(&q->ended);
    thread_cond_init(&q->tick);
    return q;
}

static void join_all(struct queue *q, int workers)
{
    for (int i = 0; i < workers; i++)
        pthread_join(q->threads[i], NULL);
    pthread_join(q->renewer, NULL);
    mem_free(q->threads);
    q->threads = NULL;
}

/* Before the threads. */
static enum err start_share(struct queue *q)
{
    enum err err = queue_share_open(&q->share, q->store, str_of(q->options.name));
    if (err)
        return err;
    if (queue_share_take(&q->share)) {
        err = store_write_wait(q->store, recover_fn, q);
        if (!err && !q->options.is_alone)
            queue_share_give(&q->share);
    } else {
        (void)queue_share_join(&q->share);
        q->is_crowded = true;
        log_info("at=queue_worker.join queue=%s shared=%d", q->options.name,
                 q->share.mode == QUEUE_SHARE_SHARED);
    }
    return err;
}

enum err queue_worker_start(struct queue *q)
{
    int started = 0;
    enum err err = start_share(q);
    if (err || q->options.workers <= 0) {
        if (q->options.workers <= 0 && !q->options.is_alone)
            queue_share_leave(&q->share);
        return err;
    }
    err = thread_start(&q->renewer, "renewer", renew, q);
    if (err)
        return err;
    q->threads = mem_zalloc((size_t)q->options.workers * sizeof(pthread_t));
    while (!err && started < q->options.workers) {
        err = thread_start(&q->threads[started], "worker", work, q);
        started += !err;
    }
    pthread_mutex_lock(&q->mutex);
    q->is_over = err != OK;
    q->is_started = !err;
    q->may_be_ready = true;
    maybe_claim(q);
    pthread_cond_broadcast(&q->work);
    pthread_cond_broadcast(&q->tick);
    pthread_mutex_unlock(&q->mutex);
    if (err)
        join_all(q, started);
    return err;
}

void queue_worker_drain(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->is_stopping = true;
    pthread_mutex_unlock(&q->mutex);
}

bool queue_worker_stop(struct queue *q, int64_t drain_ms)
{
    struct timespec end = thread_deadline(drain_ms);
    int code = 0;
    if (!q->threads)
        return true;
    pthread_mutex_lock(&q->mutex);
    q->is_stopping = true;
    while ((q->hand_count > 0 || q->is_claiming) && code != ETIMEDOUT) {
        if (!list_is_empty(&q->ready))
            release_ready(q);
        else
            code = pthread_cond_timedwait(&q->ended, &q->mutex, &end);
    }
    int left = q->hand_count;
    q->is_over = left == 0 && !q->is_claiming; // else the threads go on, for the jobs in hand
    bool is_over = q->is_over;
    pthread_cond_broadcast(&q->work);
    pthread_cond_broadcast(&q->tick);
    pthread_mutex_unlock(&q->mutex);
    if (is_over) {
        join_all(q, q->options.workers);
        queue_share_leave(&q->share);
    } else if (drain_ms > 0)
        log_warn("at=queue_worker.stop running=%d why=\"not done in time\"", left);
    return is_over;
}

void queue_worker_free(struct queue *q)
{
    if (!q || q->threads) // threads that did not end still use it
        return;
    pthread_cond_destroy(&q->work);
    pthread_cond_destroy(&q->ended);
    pthread_cond_destroy(&q->tick);
    pthread_mutex_destroy(&q->mutex);
    queue_share_close(&q->share);
    mem_free(q->kinds);
    mem_free(q->claimed);
    mem_free(q);
}

static enum err give_back_fn(struct store_tx *tx, void *arg)
{
    const struct renewal *r = arg;
    for (size_t i = 0; i < r->count; i++) {
        enum err err = queue_release(tx, &r->jobs[i], r->jobs[i].run_at_ms);
        if (err && err != ERR_CONFLICT) // it ended
            return err;
    }
    return OK;
}

void queue_worker_give_back(struct queue *q)
{
    struct renewal r = {0};
    pthread_mutex_lock(&q->mutex);
    list_claimed(q, &r);
    pthread_mutex_unlock(&q->mutex);
    if (r.count > 0 && store_write_wait(q->store, give_back_fn, &r))
        log_warn(
            "at=queue_worker.give_back why=\"the store failed: they come back by their lease\"");
    mem_free(r.jobs);
}

struct store *queue_worker_store(struct queue *q)
{
    return q->store;
}

void queue_worker_count(struct queue *q, struct queue_stats *out)
{
    pthread_mutex_lock(&q->mutex);
    out->done = q->done;
    out->failed = q->failed;
    out->refused = q->refused;
    pthread_mutex_unlock(&q->mutex);
}

size_t queue_worker_list_held(struct queue *q, int64_t *ids, size_t cap)
{
    size_t count = 0;
    pthread_mutex_lock(&q->mutex);
    for (struct list *node = q->hand.next; node != &q->hand && count < cap; node = node->next) {
        const struct run *run = LIST_ENTRY(node, struct run, in_hand);
        if (run->is_begun && run->job.is_held)
            ids[count++] = run->job.id;
    }
    pthread_mutex_unlock(&q->mutex);
    return count;
}
