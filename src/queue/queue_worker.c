/* queue_worker.c -- the threads that run jobs.
 *
 *     wake, or a job's time --> claim --(store)--> ready --> run --(store: commit + ack)-->
 * finished --> done | error                 | error
 *                                                             '---> fail (store) <----'
 *
 * No worker waits for the store: it hands over the commit and takes the next job, so that the
 * acknowledgements of many jobs share one fsync, with each other and with the answers of the web.
 * What the store has finished comes back on the list `finished`, which one worker at a time
 * empties, in order. An end that the store could not write (a full disk) is written again later,
 * whatever it was: that is no error of the job's.
 *
 * Jobs come from queue_look.c. Every job from claim to end is on `hand`, for the renewer
 * (queue_keeper.c). Locks: the queue's mutex, then (inside store_write_later)
 * the writer's; never the reverse.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/failpoint.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "queue/queue_batch.h"
#include "queue/queue_worker.h"

enum {
    DEFAULT_LEASE_MS = 30 * 1000,
    DEFAULT_BACKOFF_CAP_MS = 3600 * 1000,
    DEFAULT_BACKOFF_MS = 1000,
    DEFAULT_BATCH = 32,
    MAX_NAP_MS = 60 * 1000, // the operator may set the clock while we wait
};

/* Full jitter: a crowd that failed together does not come back together. */
static int64_t backoff_ms(const struct queue *q, const struct queue_run *run)
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

void queue_worker_add_run(struct queue *q, const struct queue_job *job)
{
    struct queue_run *run = MEM_NEW(struct queue_run);
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

void queue_worker_end_run(struct queue *q, struct queue_run *run)
{
    list_remove(&run->in_hand);
    if (--q->hand_count == 0)
        q->emptied_at_ms = clock_mono_ms();
    if (run->job.seal.len > 0)
        arena_wipe(&run->job.arena);
    else
        arena_done(&run->job.arena);
    if (q->is_looking)
        list_append(&q->gone, &run->in_hand);
    else
        mem_free(run);
    if (q->is_stopping)
        pthread_cond_signal(&q->ended);
}

static void finish(struct queue_run *run, enum queue_outcome outcome)
{
    struct queue *q = run->queue;
    pthread_mutex_lock(&q->mutex);
    run->outcome = outcome;
    list_append(&q->finished, &run->place);
    pthread_cond_signal(&q->work);
    pthread_mutex_unlock(&q->mutex);
}

/* What the store could not write is not written again, and what it lost not found again, before it
 * has had time to recover. Called with the mutex held. */
static void pause_claims(struct queue *q)
{
    q->paused_until_ms = clock_mono_ms() + QUEUE_STORE_RETRY_MS;
}

static void submit(struct queue_run *run, store_fn *fn,
                   void (*on_done)(struct store_write *, enum err))
{
    run->write = (struct store_write){.fn = fn, .arg = run, .on_done = on_done};
    // Refused only when the store closes: our own jobs are far fewer than its lane takes.
    if (store_write_later(run->queue->store, &run->write))
        finish(run, QUEUE_RUN_LOST);
}

/* Keeps an end that the database failed to write. False: it did not fail, or nobody will write it
 * again. */
static bool keep_unwritten(struct queue_run *run)
{
    struct queue *q = run->queue;
    if (!run->write.is_broken)
        return false;
    pthread_mutex_lock(&q->mutex);
    bool is_kept = q->options.workers > 0 && !q->is_stopping;
    if (is_kept) {
        list_append(&q->unwritten, &run->place);
        pause_claims(q);
        pthread_cond_signal(&q->work);
    }
    pthread_mutex_unlock(&q->mutex);
    if (is_kept)
        log_warn("at=queue_worker.unwritten job=%lld retry_ms=%d", (long long)run->job.id,
                 QUEUE_STORE_RETRY_MS);
    return is_kept;
}

/* Called with the mutex held, which it lets go of meanwhile. */
static void write_again(struct queue *q)
{
    struct list runs, *node;
    list_init(&runs);
    while ((node = list_shift(&q->unwritten)))
        list_append(&runs, node);
    pthread_mutex_unlock(&q->mutex);
    while ((node = list_shift(&runs))) {
        struct queue_run *run = LIST_ENTRY(node, struct queue_run, place);
        submit(run, run->write.fn, run->write.on_done);
    }
    pthread_mutex_lock(&q->mutex);
}

static enum err fail_fn(struct store_tx *tx, void *arg)
{
    struct queue_run *run = arg;
    enum err err = queue_fail(tx, &run->job, run->why, run->delay_ms, run->is_dead);
    run->is_stale = err == ERR_CONFLICT;
    return err;
}

/* After an end other than the commit. */
static void settle(struct store_write *write, enum err err, enum queue_outcome outcome)
{
    struct queue_run *run = (struct queue_run *)(void *)write;
    if (!err)
        finish(run, outcome);
    else if (run->is_stale)
        finish(run, QUEUE_RUN_STALE);
    else if (!keep_unwritten(run))
        finish(run, QUEUE_RUN_LOST);
}

static void on_failed(struct store_write *write, enum err err)
{
    settle(write, err, QUEUE_RUN_FAILED);
}

/* Records that the run went wrong. why lives in the job's arena or for ever. */
static void fail_run(struct queue_run *run, struct str why)
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
    struct queue_run *run = arg;
    enum err err = queue_discard(tx, &run->job, run->why);
    run->is_stale = err == ERR_CONFLICT;
    return err;
}

static enum err snooze_fn(struct store_tx *tx, void *arg)
{
    struct queue_run *run = arg;
    enum err err = queue_release(tx, &run->job, store_now_ms(tx) + run->delay_ms);
    run->is_stale = err == ERR_CONFLICT;
    return err;
}

static void on_snoozed(struct store_write *write, enum err err)
{
    settle(write, err, QUEUE_RUN_SNOOZED);
}

static enum err crash_fn(struct store_tx *tx, void *arg)
{
    struct queue_run *run = arg;
    enum err err = queue_crash(tx, &run->job, run->why);
    run->is_stale = err == ERR_CONFLICT;
    return err;
}

static void on_crashed(struct store_write *write, enum err err)
{
    settle(write, err, QUEUE_RUN_CRASHED);
}

static enum err commit_fn(struct store_tx *tx, void *arg)
{
    struct queue_run *run = arg;
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
    struct queue_run *run = (struct queue_run *)(void *)write;
    if (!err)
        finish(run, QUEUE_RUN_DONE);
    else if (run->is_stale)
        finish(run, QUEUE_RUN_STALE);
    else if (!run->write.is_broken)
        fail_run(run, str_of(err_text(err)));
    else if (!keep_unwritten(run))
        finish(run, QUEUE_RUN_LOST);
}

/* By the verdict that the handler left in the job, if any. */
static void fail_as_told(struct queue_run *run, struct str why)
{
    struct queue_end *end = &run->job.end;
    if (atomic_load(&run->unwanted) == QUEUE_IS_CANCELLED)
        *end = (struct queue_end){.verdict = QUEUE_DISCARD, .why = STR("cancelled by an operator")};
    if (end->verdict == QUEUE_DONE || end->verdict == QUEUE_RETRY) {
        fail_run(run, why); // which looks whether there may be one more
        return;
    }
    if (end->why.len == 0)
        end->why = why;
    queue_worker_finish(&run->job, end);
}

/* A missing key is not the handler's error: its own number of tries does not count here. */
static void fail_sealed(struct queue_run *run, enum err err)
{
    struct queue_job *job = &run->job;
    bool is_missing = err == ERR_NOT_FOUND;
    run->why = is_missing ? arena_printf(&job->arena,
                                         "sealed with key %.*s, which this process does not have",
                                         STR_ARG(job->seal))
                          : arena_printf(&job->arena, "the payload does not open with key %.*s",
                                         STR_ARG(job->seal));
    run->is_dead = !is_missing || job->attempt + 1 >= QUEUE_DEFAULT_MAX_ATTEMPTS;
    run->delay_ms = run->is_dead ? 0 : backoff_ms(run->queue, run);
    submit(run, fail_fn, on_failed);
}

/* False: it does not open. */
static bool open_payload(struct queue_run *run)
{
    struct queue_job *job = &run->job;
    const struct queue_sealed sealed = {.text = job->payload, .key_id = job->seal};
    enum err err = queue_seal_open(run->queue->options.seal, job->id, job->kind, sealed,
                                   &job->arena, &job->payload);
    if (err)
        fail_sealed(run, err);
    return !err;
}

/* In front of what the handler says, unless that is all it says. */
static struct str tell_time(struct queue_run *run, struct str why)
{
    bool says_more = !str_eq(why, str_of(err_text(ERR_TIMEOUT)));
    return arena_printf(&run->job.arena, "timed out after %lld ms%s%.*s",
                        (long long)run->job.timeout_ms, says_more ? ": " : "",
                        STR_ARG(says_more ? why : STR("")));
}

static void run_job(struct queue_run *run)
{
    const struct queue_handler *handler = run->handler;
    if (!handler) {
        fail_run(run, arena_printf(&run->job.arena, "no handler for jobs of kind %.*s",
                                   STR_ARG(run->job.kind)));
        return;
    }
    if (run->job.seal.len > 0 && !open_payload(run))
        return;
    struct str why = {NULL, 0};
    enum err err =
        handler->run ? FAILPOINT("queue.run", handler->run(&run->job, handler->ctx, &why)) : OK;
    if (err && why.len == 0)
        why = str_of(err_text(err));
    if (err && queue_watch_is_over_time(run))
        why = tell_time(run, why);
    if (err)
        fail_as_told(run, why);
    else if (!handler->is_async) // else it may be gone by now
        submit(run, commit_fn, on_committed);
}

void queue_worker_finish(struct queue_job *job, const struct queue_end *end)
{
    struct queue_run *run = LIST_ENTRY(job, struct queue_run, job);
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
        run->is_discarded = true;
        submit(run, discard_fn, on_failed);
        break;
    }
}

/* The last step, after the store has spoken; without the mutex. */
static void tell(struct queue_run *run)
{
    char kind[LOG_QUOTE_BYTES], why[LOG_QUOTE_BYTES];
    const struct queue_job *job = &run->job;

    switch (run->outcome) {
    case QUEUE_RUN_DONE:
        failpoint_pass("queue.done.before");
        if (run->handler->done)
            run->handler->done(&run->job, run->handler->ctx);
        failpoint_pass("queue.done.after");
        break;
    case QUEUE_RUN_STALE:
        log_warn("at=queue_worker.refused job=%lld epoch=%lld why=stale", (long long)job->id,
                 (long long)job->epoch);
        break;
    case QUEUE_RUN_FAILED:
        log_line(run->is_dead ? LOG_ERROR : LOG_WARN,
                 "at=queue_worker.failed job=%lld kind=%s attempt=%d dead=%d retry_ms=%lld why=%s",
                 (long long)job->id, log_quote(job->kind, kind), job->attempt, run->is_dead,
                 (long long)run->delay_ms, log_quote(run->why, why));
        break;
    case QUEUE_RUN_CRASHED:
        log_error("at=queue_worker.crashed job=%lld kind=%s why=%s", (long long)job->id,
                  log_quote(job->kind, kind), log_quote(run->why, why));
        break;
    case QUEUE_RUN_SNOOZED:
        break;
    case QUEUE_RUN_LOST:
        log_error(
            "at=queue_worker.lost job=%lld why=\"the store failed: it comes back by its lease\"",
            (long long)job->id);
        break;
    }
}

static uint64_t *failures_of(struct queue *q, const struct queue_handler *handler)
{
    size_t count = q->failures_count;
    if (!handler)
        return &q->failures[count - 1];
    for (size_t i = 0; i < q->handlers_count; i++)
        if (&q->handlers[i] == handler)
            return &q->failures[i];
    return &q->failures[q->handlers_count + (size_t)(handler - queue_batch_handlers)];
}

static void meter(struct queue *q, const struct queue_run *run)
{
    static const enum queue_meter_counter counters[] = {
        [QUEUE_RUN_DONE] = QUEUE_METER_DONE,       [QUEUE_RUN_STALE] = QUEUE_METER_REFUSED,
        [QUEUE_RUN_FAILED] = QUEUE_METER_FAILED,   [QUEUE_RUN_SNOOZED] = QUEUE_METER_SNOOZED,
        [QUEUE_RUN_CRASHED] = QUEUE_METER_CRASHED, [QUEUE_RUN_LOST] = QUEUE_METER_LOST,
    };
    q->meter.counts[counters[run->outcome]]++;
    queue_meter_observe(&q->meter.run, (clock_mono_ns() - run->begun_ns) / 1000);
    if (run->outcome == QUEUE_RUN_FAILED)
        q->meter.counts[run->is_discarded ? QUEUE_METER_DISCARDED
                        : run->is_dead    ? QUEUE_METER_BURIED
                                          : QUEUE_METER_RETRIED]++;
    if (run->outcome == QUEUE_RUN_FAILED || run->outcome == QUEUE_RUN_CRASHED)
        ++*failures_of(q, run->handler);
}

static void count(struct queue *q, const struct queue_run *run)
{
    q->may_be_ready |= q->is_full;
    if (run->outcome == QUEUE_RUN_LOST)
        pause_claims(q);
    // Also after QUEUE_RUN_STALE: a held job's row that somebody changed may be ready all the same.
    // The end of a flow's job makes others ready, at the time for which they were enqueued.
    if (run->outcome == QUEUE_RUN_DONE && !(run->job.options & QUEUE_IN_FLOW))
        return;
    q->may_be_ready = true; // the next claim learns when it comes back
    q->looked_all_at_ms = 0;
}

void queue_worker_wake(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->may_be_ready = true;
    queue_look_maybe(q);
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
    queue_look_maybe(q);
}

/* Called with the mutex held, which it lets go of meanwhile. */
static void tell_finished(struct queue *q)
{
    struct list *node;
    q->is_telling = true;
    while ((node = list_shift(&q->finished))) {
        struct queue_run *run = LIST_ENTRY(node, struct queue_run, place);
        pthread_mutex_unlock(&q->mutex);
        tell(run);
        pthread_mutex_lock(&q->mutex);
        meter(q, run);
        count(q, run);
        queue_worker_end_run(q, run);
    }
    q->is_telling = false;
    queue_look_maybe(q);
}

static enum err ask_batch_fn(struct store_tx *tx, void *arg)
{
    struct queue_run *run = arg;
    return queue_batch_is_cancelled(tx, run->job.id, &run->is_late);
}

/* Its batch was cancelled since the claim. */
static bool is_late(struct queue_run *run)
{
    if (!(run->job.options & QUEUE_IN_FLOW))
        return false;
    enum err err = store_read(run->queue->store, ask_batch_fn, run);
    return !err && run->is_late;
}

/* A retry that there is no budget for goes back, not tried; one that is late ends when it does. */
static void run_or_put_off(struct queue_run *run, bool may_run)
{
    if (may_run && !is_late(run))
        run_job(run);
    else
        submit(run, snooze_fn, on_snoozed);
}

static void take_ready(struct queue *q)
{
    struct queue_run *run = LIST_ENTRY(list_shift(&q->ready), struct queue_run, place);
    q->ready_count--;
    q->busy++;
    q->begun++;
    run->is_begun = true;
    run->is_watched = run->handler && !run->handler->is_async;
    run->begun_ns = clock_mono_ns();
    bool may_run = queue_budget_take(&q->budget, run->job.attempt > 0, &run->delay_ms);
    q->meter.counts[QUEUE_METER_PUT_OFF] += !may_run;
    queue_meter_observe(&q->meter.wait, (clock_unix_ms() - run->job.run_at_ms) * 1000);
    queue_look_maybe(q);              // the next batch comes while this one is run
    int64_t begun_ns = run->begun_ns; // the run may be gone when it is asynchronous
    pthread_mutex_unlock(&q->mutex);
    run_or_put_off(run, may_run);
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
    else if (!list_is_empty(&q->unwritten) && clock_mono_ms() >= q->paused_until_ms)
        write_again(q);
    else if (!list_is_empty(&q->ready) && !q->is_stopping && may_begin(q))
        take_ready(q);
    else if (queue_look_is_wanted(q))
        queue_look_once(q);
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

int64_t queue_worker_run_due(struct queue *q, int64_t max_runs)
{
    bool has_run = true;
    CHECK(q->options.workers <= 0);
    pthread_mutex_lock(&q->mutex);
    int64_t last = q->begun + max_runs;
    q->is_started = true;
    for (;;) {
        q->is_sated = q->begun >= last;
        bool is_busy = q->hand_count > 0 || q->is_claiming;
        if (work_once(q))
            has_run |= q->hand_count > 0;
        else if (is_busy)
            pthread_cond_wait(&q->work, &q->mutex);
        else if (!has_run || q->is_sated)
            break;
        else { // what ran may have made more
            has_run = false;
            q->may_be_ready = true;
            q->looked_all_at_ms = 0;
            queue_look_maybe(q);
        }
    }
    int64_t paused_ms = q->paused_until_ms - clock_mono_ms(), now_ms = clock_unix_ms();
    int64_t due_at_ms = q->is_sated ? now_ms : paused_ms > 0 ? now_ms + paused_ms : q->due_at_ms;
    pthread_mutex_unlock(&q->mutex);
    return due_at_ms;
}

/* ---- new, start, stop, free ---- */

static size_t kinds_bytes(const struct queue_handler *handlers, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(handlers[i].kind) + 1;
    return bytes;
}

static void add_kinds(char **at, const struct queue_handler *handlers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        str_keep(at, str_of(handlers[i].kind));
        *(*at)++ = ' ';
    }
}

/* " a b ", with those that every queue has. */
static char *list_kinds(const struct queue_handler *handlers, size_t count)
{
    char *list = mem_zalloc(kinds_bytes(handlers, count) +
                            kinds_bytes(queue_batch_handlers, queue_batch_handler_count) + 2);
    char *at = list;
    *at++ = ' ';
    add_kinds(&at, handlers, count);
    add_kinds(&at, queue_batch_handlers, queue_batch_handler_count);
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
    list_init(&q->unwritten);
    list_init(&q->hand);
    list_init(&q->gone);
    q->kinds = list_kinds(handlers, handlers_count);
    q->failures_count = handlers_count + queue_batch_handler_count + 1;
    q->failures = mem_zalloc(q->failures_count * sizeof(*q->failures));
    pthread_mutex_init(&q->mutex, NULL);
    thread_cond_init(&q->work);
    thread_cond_init(&q->ended);
    thread_cond_init(&q->tick);
    queue_meter_enter(&q->entry, q);
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

enum err queue_worker_start(struct queue *q)
{
    int started = 0;
    enum err err = queue_keeper_open(q);
    if (err || q->options.workers <= 0) {
        if (q->options.workers <= 0 && !q->options.is_alone)
            queue_share_leave(&q->share);
        return err;
    }
    err = thread_start(&q->renewer, "renewer", queue_keeper_run, q);
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
    queue_look_maybe(q);
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
            queue_keeper_release_ready(q);
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
    queue_meter_leave(&q->entry);
    pthread_cond_destroy(&q->work);
    pthread_cond_destroy(&q->ended);
    pthread_cond_destroy(&q->tick);
    pthread_mutex_destroy(&q->mutex);
    queue_share_close(&q->share);
    mem_free(q->kinds);
    mem_free(q->failures);
    mem_free(q->claimed);
    mem_free(q);
}

struct store *queue_worker_store(struct queue *q)
{
    return q->store;
}

void queue_worker_count(struct queue *q, struct queue_stats *out)
{
    pthread_mutex_lock(&q->mutex);
    out->done = (int64_t)q->meter.counts[QUEUE_METER_DONE];
    out->failed = (int64_t)q->meter.counts[QUEUE_METER_FAILED];
    out->refused = (int64_t)q->meter.counts[QUEUE_METER_REFUSED];
    pthread_mutex_unlock(&q->mutex);
}

size_t queue_worker_list_held(struct queue *q, int64_t *ids, size_t cap)
{
    size_t count = 0;
    pthread_mutex_lock(&q->mutex);
    for (struct list *node = q->hand.next; node != &q->hand && count < cap; node = node->next) {
        const struct queue_run *run = LIST_ENTRY(node, struct queue_run, in_hand);
        if (run->is_begun && run->job.is_held)
            ids[count++] = run->job.id;
    }
    pthread_mutex_unlock(&q->mutex);
    return count;
}
