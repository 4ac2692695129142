/* runner.c -- the lanes: what waits, what begins, what has had its time. */
#include "runner/runner.h"

#include <signal.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "queue/queue_report.h"
#include "runner/runner_process.h"
#include "runner/runner_push.h"
#include "runner/runner_recall.h"

enum {
    DEFAULT_TIMEOUT_MS = 60 * 1000,
    DEFAULT_GRACE_MS = 5 * 1000,
    DEFAULT_MAX_JOBS = 1000,
    REST_MS = 1000,
    MAX_IDLE_CONNECTIONS = 32,
};

/* ---- lanes ---- */

static void send_back(struct runner_task *t)
{
    struct runner_lane *lane = t->lane;
    int64_t delay_ms =
        queue_turns_send(&lane->turns, t->job, lane->rest_until_ms, runner_recall_pace_ms(lane));
    runner_task_send_back(t, delay_ms);
}

static void accept_task(struct runner_task *t)
{
    struct runner_lane *lane = t->lane;
    runner_recall_note(lane);
    if (lane->waiting >= runner_recall_line(lane) || clock_mono_ms() < lane->rest_until_ms ||
        queue_turns_are_before(&lane->turns, t->job)) {
        send_back(t);
        return;
    }
    list_append(&lane->line, &t->node);
    lane->waiting++;
}

/* Those who came when jobs seemed to be quicker. */
static void shorten_line(struct runner_lane *lane)
{
    int place = 0, line = runner_recall_line(lane);
    for (struct list *node = lane->line.next, *next; node != &lane->line; node = next) {
        next = node->next;
        if (place++ < line)
            continue;
        list_remove(node);
        lane->waiting--;
        send_back(LIST_ENTRY(node, struct runner_task, node));
    }
}

static void measure_lanes(struct runner *r)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < r->count; i++)
        r->lanes[i].running_ms = 0;
    for (struct list *node = r->running.next; node != &r->running; node = node->next) {
        const struct runner_task *t = LIST_ENTRY(node, struct runner_task, node);
        if (t->lane->running_ms < now_ms - t->began_ms)
            t->lane->running_ms = now_ms - t->began_ms;
    }
}

static struct runner_task *take_first(struct runner_lane *lane)
{
    lane->waiting--;
    struct runner_task *t = LIST_ENTRY(list_shift(&lane->line), struct runner_task, node);
    runner_task_begin(t);
    return t;
}

static void on_spawner(struct post_watch *w);

/* From when the first process is started. */
static bool watch_spawner(struct runner *r)
{
    if (r->spawner_watch.on_ready)
        return r->spawner_watch.fd >= 0;
    r->spawner_watch = (struct post_watch){runner_spawner_fd(r->spawner), on_spawner};
    if (post_loop_watch(r->loop, &r->spawner_watch, false) == OK)
        return true;
    r->spawner_watch.on_ready = NULL;
    return false;
}

/* One that can take a job now; NULL: none. */
static struct runner_process *get_process(struct runner_lane *lane)
{
    struct runner_process *p = runner_process_find_idle(lane);
    if (p || lane->process_count >= lane->handler->concurrency)
        return p;
    if (watch_spawner(lane->runner))
        p = runner_process_new(lane);
    if (!p)
        lane->rest_until_ms = clock_mono_ms() + REST_MS;
    return p;
}

static void fill(struct runner_lane *lane)
{
    while (lane->waiting > 0 && lane->running < lane->handler->concurrency &&
           clock_mono_ms() >= lane->rest_until_ms) {
        if (lane->handler->url.len > 0) {
            runner_push_begin(take_first(lane));
            continue;
        }
        struct runner_process *p = get_process(lane);
        if (!p)
            return;
        runner_process_take(p, take_first(lane));
    }
}

/* Returns the milliseconds until it has more to do. */
static int64_t serve(struct runner_lane *lane)
{
    fill(lane);
    shorten_line(lane);
    return runner_recall_some(lane);
}

/* ---- tasks that do not end by themselves ---- */

/* False: t is gone. */
static bool doom_late(struct runner_task *t, int64_t now_ms)
{
    if (t->fate != RUNNER_RUNS || now_ms < t->deadline_ms)
        return true;
    // We may be the late ones, on a machine that is busy or stood still.
    if (!runner_process_hear(t->process))
        return false;
    if (t->fate != RUNNER_RUNS)
        return true;
    struct str where = runner_task_where(t);
    t->why = arena_printf(&t->job->arena, "timed out after %lld ms%.*s", (long long)t->timeout_ms,
                          STR_ARG(where));
    runner_task_doom(t, RUNNER_TIMED_OUT, now_ms);
    return true;
}

/* The milliseconds until the next of them has had its time. */
static int64_t watch_tasks(struct runner *r)
{
    int64_t now_ms = clock_mono_ms(), next_ms = INT64_MAX;
    for (struct list *node = r->running.next, *next; node != &r->running; node = next) {
        struct runner_task *t = LIST_ENTRY(node, struct runner_task, node);
        next = node->next;
        if (!t->process || !doom_late(t, now_ms))
            continue;
        if (t->kill_at_ms > 0 && now_ms >= t->kill_at_ms) {
            runner_process_kill(t->process);
            continue;
        }
        int64_t due_ms = t->kill_at_ms > 0 ? t->kill_at_ms : t->deadline_ms;
        if (due_ms - now_ms < next_ms)
            next_ms = due_ms - now_ms;
    }
    return next_ms;
}

/* ---- processes that ended ---- */

/* It should never happen; but without the spawner nothing can be started any more, and from here it
 * cannot be forked anew. The process ends as if it were told to, and its supervisor starts it. */
static void lose_spawner(struct runner *r)
{
    post_loop_unwatch(r->loop, &r->spawner_watch);
    r->spawner_watch.fd = -1;
    for (size_t i = 0; i < r->count; i++) {
        struct runner_lane *lane = &r->lanes[i];
        lane->rest_until_ms = lane->handler->url.len > 0 ? lane->rest_until_ms : INT64_MAX / 2;
        runner_process_free_all(lane);
    }
    log_error("at=runner.stop why=\"the spawner is gone: the process ends\"");
    kill(getpid(), SIGTERM);
}

static void on_spawner(struct post_watch *w)
{
    struct runner *r = LIST_ENTRY(w, struct runner, spawner_watch);
    struct runner_end end;
    enum err err;
    while (!(err = runner_spawner_read(r->spawner, &end)))
        if (!runner_process_on_end(r, &end))
            log_debug("at=runner.end why=\"nobody's process\"");
    if (err != ERR_AGAIN)
        lose_spawner(r);
}

/* ---- a turn ---- */

static bool take_inbox(struct runner *r, struct list *taken, int64_t *stop_by_ms)
{
    struct list *node;
    pthread_mutex_lock(&r->mutex);
    while ((node = list_shift(&r->inbox)))
        list_append(taken, node);
    bool is_stopping = r->is_stopping;
    *stop_by_ms = r->stop_by_ms;
    pthread_mutex_unlock(&r->mutex);
    return is_stopping;
}

static void stop_lane(struct runner_lane *lane)
{
    struct list *node;
    while ((node = list_shift(&lane->line)))
        runner_task_send_back(LIST_ENTRY(node, struct runner_task, node), 0);
    lane->waiting = 0;
    struct runner_process *p;
    while ((p = runner_process_find_idle(lane)))
        runner_process_retire(p);
}

/* Returns the milliseconds until it has more to do. */
static int64_t stop_all(struct runner *r, struct list *taken, int64_t stop_by_ms)
{
    int64_t now_ms = clock_mono_ms(), next_ms = INT64_MAX;
    struct list *node;
    while ((node = list_shift(taken)))
        runner_task_send_back(LIST_ENTRY(node, struct runner_task, node), 0);
    for (size_t i = 0; i < r->count; i++)
        stop_lane(&r->lanes[i]);
    for (struct list *next, *at = r->running.next; at != &r->running; at = next) {
        struct runner_task *t = LIST_ENTRY(at, struct runner_task, node);
        next = at->next;
        int64_t ask_at_ms = stop_by_ms - (t->process ? t->lane->handler->grace_ms : 0);
        if (t->kill_at_ms > stop_by_ms)
            t->kill_at_ms = stop_by_ms;
        if (now_ms >= ask_at_ms)
            runner_task_doom(t, RUNNER_STOPPED, stop_by_ms);
        else if (ask_at_ms - now_ms < next_ms)
            next_ms = ask_at_ms - now_ms;
    }
    return next_ms;
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t turn(void *ctx)
{
    struct runner *r = ctx;
    struct list taken, *node;
    int64_t stop_by_ms = 0, nap_ms = INT64_MAX;
    list_init(&taken);
    measure_lanes(r);
    if (take_inbox(r, &taken, &stop_by_ms))
        nap_ms = stop_all(r, &taken, stop_by_ms);
    while ((node = list_shift(&taken)))
        accept_task(LIST_ENTRY(node, struct runner_task, node));
    for (size_t i = 0; i < r->count; i++) {
        struct runner_lane *lane = &r->lanes[i];
        nap_ms = min_of(nap_ms, serve(lane));
        nap_ms = min_of(nap_ms, runner_process_sweep(lane));
        if (lane->waiting > 0 && lane->rest_until_ms > clock_mono_ms())
            nap_ms = min_of(nap_ms, lane->rest_until_ms - clock_mono_ms());
    }
    nap_ms = min_of(nap_ms, runner_beat_turn(r)); // it looks at what has begun just now
    return min_of(nap_ms, watch_tasks(r));
}

static void on_posted(void *ctx, struct post *post, CURLcode result)
{
    struct runner_task *t = LIST_ENTRY(post, struct runner_task, post);
    struct runner_lane *lane = t->lane;
    (void)ctx;
    runner_push_end(t, result);
    (void)serve(lane); // the turn that follows looks again
}

/* ---- for the queue ---- */

static enum err run(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct runner_lane *lane = ctx;
    struct runner *r = lane->runner;
    (void)why_out;
    struct runner_task *t = runner_task_new(lane, job);
    pthread_mutex_lock(&r->mutex);
    list_append(&r->inbox, &t->node);
    pthread_mutex_unlock(&r->mutex);
    post_loop_wake(r->loop);
    return OK;
}

static enum err commit(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    const struct runner_lane *lane = ctx;
    const struct str *result = job->user;
    enum err err = result ? queue_report_result(tx, job->id, *result) : OK;
    if (err || !lane->handler->commit)
        return err;
    return lane->handler->commit(tx, job, result ? *result : (struct str){0}, lane->handler->ctx);
}

static bool is_of(const struct runner_handler *h, const char *queue)
{
    return strcmp(h->queue, queue) == 0;
}

size_t runner_kind_count(const struct runner *r, const char *queue)
{
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++)
        if (is_of(&r->handlers[i], queue))
            count += r->handlers[i].kind_count;
    return count;
}

void runner_bind(struct runner *r, const char *queue, struct queue_handler *out)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct runner_handler *h = &r->handlers[i];
        for (size_t k = 0; k < h->kind_count && is_of(h, queue); k++)
            *out++ = (struct queue_handler){
                .kind = h->kinds[k],
                .run = run,
                .commit = commit,
                .ctx = &r->lanes[i],
                .max_attempts = h->max_attempts,
                .is_async = true,
                .backoff_ms = h->backoff_ms,
                .keep_ms = h->keep_ms,
            };
    }
}

/* ---- new, start, stop, free ---- */

static void set_defaults(struct runner_handler *h)
{
    if (!h->queue)
        h->queue = QUEUE_DEFAULT;
    if (h->concurrency <= 0)
        h->concurrency = 1;
    if (h->timeout_ms <= 0)
        h->timeout_ms = DEFAULT_TIMEOUT_MS;
    if (h->grace_ms <= 0)
        h->grace_ms = DEFAULT_GRACE_MS;
    if (h->max_jobs <= 0)
        h->max_jobs = DEFAULT_MAX_JOBS;
    if (h->max_attempts <= 0)
        h->max_attempts = QUEUE_DEFAULT_MAX_ATTEMPTS;
}

static void set_spawn(struct runner_handler *h, struct runner_spawn *out)
{
    *out = (struct runner_spawn){
        .argv = h->program,
        .environment = h->environment,
        .directory = h->directory,
        .memory_bytes = h->memory_bytes,
        .cpu_s = h->cpu_s,
        .code = h->code ? runner_code_serve : NULL,
        .ctx = &h->code,
    };
}

static void init_lane(struct runner *r, size_t i)
{
    struct runner_lane *lane = &r->lanes[i];
    lane->runner = r;
    lane->handler = &r->handlers[i];
    lane->what = i;
    list_init(&lane->line);
    list_init(&lane->processes);
}

struct runner *runner_new(const struct runner_handler *handlers, size_t count)
{
    struct runner *r = MEM_NEW(struct runner);
    int processes = 0;
    r->count = count;
    r->handlers = mem_zalloc(count * sizeof(*r->handlers) + 1);
    r->lanes = mem_zalloc(count * sizeof(*r->lanes) + 1);
    r->spawns = mem_zalloc(count * sizeof(*r->spawns) + 1);
    list_init(&r->running);
    list_init(&r->inbox);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->beat_done, NULL);
    for (size_t i = 0; i < count; i++) {
        r->handlers[i] = handlers[i];
        set_defaults(&r->handlers[i]);
        set_spawn(&r->handlers[i], &r->spawns[i]);
        init_lane(r, i);
        processes += handlers[i].url.len > 0 ? 0 : r->handlers[i].concurrency;
    }
    CHECK(processes <= RUNNER_SPAWNER_MAX_CHILDREN);
    if (processes == 0)
        return r;
    r->spawner = runner_spawner_new(r->spawns, count);
    if (r->spawner)
        return r;
    runner_free(r);
    return NULL;
}

void runner_keep_lines(struct runner *r)
{
    r->keeps_lines = true;
}

enum err runner_start(struct runner *r, struct store *store)
{
    r->store = store;
    r->loop = post_loop_new(&(struct post_loop_options){
        .name = "runner",
        .turn = turn,
        .on_posted = on_posted,
        .ctx = r,
        .max_idle_connections = MAX_IDLE_CONNECTIONS,
    });
    return r->loop ? OK : ERR_IO;
}

void runner_stop(struct runner *r, int64_t wait_ms)
{
    if (!r->loop)
        return;
    pthread_mutex_lock(&r->mutex);
    r->is_stopping = true;
    r->stop_by_ms = clock_mono_ms() + wait_ms;
    pthread_mutex_unlock(&r->mutex);
    post_loop_wake(r->loop);
}

static void end_thread(struct runner *r)
{
    post_loop_stop(r->loop);
    runner_beat_end(r);
    runner_recall_end(r);
    CHECK(list_is_empty(&r->inbox) && list_is_empty(&r->running));
    for (size_t i = 0; i < r->count; i++)
        runner_process_free_all(&r->lanes[i]);
    if (r->spawner_watch.on_ready && r->spawner_watch.fd >= 0)
        post_loop_unwatch(r->loop, &r->spawner_watch);
    post_loop_free(r->loop);
}

void runner_free(struct runner *r)
{
    if (!r)
        return;
    if (r->loop)
        end_thread(r);
    runner_spawner_free(r->spawner);
    pthread_cond_destroy(&r->beat_done);
    pthread_mutex_destroy(&r->mutex);
    for (size_t i = 0; i < r->count; i++)
        queue_turns_done(&r->lanes[i].turns);
    mem_free(r->spawns);
    mem_free(r->lanes);
    mem_free(r->handlers);
    mem_free(r);
}
