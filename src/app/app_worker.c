#include "app/app_worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "api/api_metrics.h"
#include "app/app_data.h"
#include "app/app_metrics.h"
#include "app/app_periodic.h"
#include "app/app_runner.h"
#include "app/app_seal.h"
#include "app/app_signals.h"
#include "app/app_test_jobs.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"
#include "queue/queue.h"
#include "queue/queue_scheduler.h"
#include "queue/queue_tally.h"

enum { LIMIT_TICK_MS = 100, TELL_MS = 1000 };

/* Handlers that do not end in time are killed so long before the queue has waited enough. */
enum { HAND_BACK_MS = 1000 };

struct served {
    char name[QUEUE_MAX_NAME_BYTES + 1];
    struct queue_handler *handlers;
    struct queue *queue;
};

struct worker {
    const struct app_worker_options *options;
    struct store *store;
    struct app_runner *runner;
    struct queue_seal *seal;
    struct queue_scheduler *scheduler;
    struct queue_tally *tally;
    struct app_metrics *metrics;
    struct served queues[APP_WORKER_MAX_QUEUES];
    size_t count;
    _Atomic int64_t left; // jobs that may yet begin
    char *why;
    size_t why_cap;
};

/* ---- building ---- */

static bool has_name(const struct worker *w, struct str name)
{
    for (size_t i = 0; i < w->count; i++)
        if (str_eq(str_of(w->queues[i].name), name))
            return true;
    return false;
}

/* Whether a job could ever be in a queue of that name. */
static bool is_queue(struct str name)
{
    return queue_check(&(struct queue_new){.kind = STR("worker"), .queue = name}, NULL) == OK;
}

static enum err read_names(struct worker *w)
{
    struct str rest = str_of(w->options->queues);
    while (rest.len > 0) {
        struct str name = str_trim(str_cut(rest, ',', &rest));
        if (name.len == 0 || has_name(w, name))
            continue;
        if (w->count == APP_WORKER_MAX_QUEUES || !is_queue(name)) {
            snprintf(w->why, w->why_cap,
                     "--queues: more than %d, or a name with spaces or of over %d bytes",
                     APP_WORKER_MAX_QUEUES, QUEUE_MAX_NAME_BYTES);
            return ERR_INVALID;
        }
        snprintf(w->queues[w->count++].name, sizeof(w->queues[0].name), "%.*s", STR_ARG(name));
    }
    if (w->count > 0)
        return OK;
    snprintf(w->why, w->why_cap, "--queues is empty; say which, with commas");
    return ERR_INVALID;
}

static enum err open_data(struct worker *w)
{
    enum err err = app_data_open_watching(w->options->data, w->options->concurrency, &w->store,
                                          w->why, w->why_cap);
    return err ? err : app_data_migrate(w->store, NULL, w->why, w->why_cap);
}

static void on_commit(void *ctx)
{
    struct worker *w = ctx;
    for (size_t i = 0; i < w->count; i++)
        queue_wake(w->queues[i].queue);
}

/* It forks: before there are threads or a database. */
static enum err new_runner(struct worker *w)
{
    const char *names[APP_WORKER_MAX_QUEUES];
    for (size_t i = 0; i < w->count; i++)
        names[i] = w->queues[i].name;
    const struct app_runner_tests tests = {names, w->options->has_test_jobs ? w->count : 0};
    enum err err = app_runner_new(w->options->handlers, &tests, &w->runner, w->why, w->why_cap);
    if (!err && w->options->max_jobs > 0)
        app_runner_keep_lines(w->runner);
    return err;
}

static void build_queue(struct worker *w, struct served *s, bool has_test_jobs)
{
    const struct queue_options options = {
        .name = s->name,
        .workers = w->options->concurrency,
        .lease_ms = w->options->lease_ms,
        .leaves_unknown = true,
        .seal = w->seal,
        .left = w->options->max_jobs > 0 ? &w->left : NULL,
    };
    size_t tests = has_test_jobs ? app_test_jobs_count : 0;
    size_t count = tests + app_runner_kind_count(w->runner, s->name);
    s->handlers = mem_zalloc(count * sizeof(*s->handlers) + 1);
    for (size_t i = 0; i < tests; i++)
        s->handlers[i] = app_test_jobs[i];
    app_runner_bind(w->runner, s->name, s->handlers + tests);
    s->queue = queue_new(w->store, &options, s->handlers, count);
}

static enum err build(struct worker *w)
{
    bool has_test_jobs = w->options->has_test_jobs;
    enum err err = has_test_jobs ? app_test_jobs_start(w->store)
                                 : app_test_jobs_find(w->store, &has_test_jobs);
    for (size_t i = 0; i < w->count; i++)
        build_queue(w, &w->queues[i], has_test_jobs);
    w->scheduler = queue_scheduler_new(w->store);
    w->tally = queue_tally_new(w->store);
    store_on_commit(w->store, on_commit, w);
    return err;
}

static enum err start(struct worker *w)
{
    enum err err = build(w);
    if (!err)
        err = app_periodic_declare(w->store, w->options->periodic, w->why, w->why_cap);
    if (!err)
        err = app_runner_start(w->runner, w->store);
    for (size_t i = 0; i < w->count && !err; i++)
        err = queue_start(w->queues[i].queue);
    if (!err)
        err = queue_scheduler_start(w->scheduler);
    if (!err)
        err = app_metrics_start(w->metrics);
    if (err && !w->why[0])
        snprintf(w->why, w->why_cap, "cannot start: %s", store_err_text(err));
    return err;
}

/* ---- running ---- */

static bool is_at_limit(struct worker *w)
{
    const struct app_worker_options *o = w->options;
    struct api_metrics now = {0};
    if (o->max_jobs > 0 && atomic_load(&w->left) <= 0) {
        log_info("at=app_worker.limit what=jobs");
        return true;
    }
    if (o->max_memory_mib == 0)
        return false;
    api_metrics_read_process(&now);
    if (now.resident_bytes <= (int64_t)o->max_memory_mib << 20)
        return false;
    log_info("at=app_worker.limit what=memory bytes=%lld", (long long)now.resident_bytes);
    return true;
}

/* What fails is told the next time; the store has logged it. */
static void tell(struct worker *w)
{
    (void)!queue_tally_tell(w->tally);
}

static enum app_worker_end wait_for_end(struct worker *w, const sigset_t *signals)
{
    bool has_limits = w->options->max_jobs > 0 || w->options->max_memory_mib > 0;
    int tick_ms = has_limits ? LIMIT_TICK_MS : TELL_MS;
    const struct timespec tick = {tick_ms / 1000, tick_ms % 1000 * 1000000L};
    int64_t told_at_ms = 0;
    for (;;) {
        int number = sigtimedwait(signals, NULL, &tick);
        if (number > 0) {
            log_info("at=app_worker.stop signal=%d", number);
            return number == SIGHUP ? APP_WORKER_RESTART : APP_WORKER_STOP;
        }
        if (has_limits && is_at_limit(w))
            return APP_WORKER_LIMIT;
        if (clock_mono_ms() - told_at_ms < TELL_MS)
            continue;
        told_at_ms = clock_mono_ms();
        tell(w);
    }
}

/* False: jobs are left. */
static bool stop_all(struct worker *w, int64_t wait_ms)
{
    int64_t end_ms = clock_mono_ms() + wait_ms;
    bool is_idle = true;
    for (size_t i = 0; i < w->count; i++) {
        int64_t left_ms = end_ms - clock_mono_ms();
        is_idle = queue_stop(w->queues[i].queue, left_ms > 0 ? left_ms : 0) && is_idle;
    }
    return is_idle;
}

/* What does not end in time is somebody else's. At a limit, what waits for a program has begun and
 * is done too; when we are told to stop it goes back at once. */
static void drain(struct worker *w, enum app_worker_end end)
{
    int64_t wait_ms = w->options->drain_ms;
    bool is_limit = end == APP_WORKER_LIMIT;
    queue_scheduler_stop(w->scheduler);
    for (size_t i = 0; i < w->count; i++)
        queue_drain(w->queues[i].queue);
    (void)stop_all(w, is_limit ? wait_ms : 0);
    app_runner_stop(w->runner, is_limit ? 0 : wait_ms - HAND_BACK_MS);
    bool is_idle = stop_all(w, is_limit ? HAND_BACK_MS : wait_ms) && app_runner_end(w->runner);
    tell(w);
    if (is_idle)
        return;
    for (size_t i = 0; i < w->count; i++)
        queue_give_back(w->queues[i].queue);
    log_warn("at=app_worker.stop why=\"a job did not finish in time; it is back in its queue\"");
    _exit(1); // it still uses what we would free
}

static void tear_down(struct worker *w)
{
    app_metrics_free(w->metrics);
    if (w->store)
        store_close(w->store);
    queue_scheduler_free(w->scheduler);
    for (size_t i = 0; i < w->count; i++) {
        queue_free(w->queues[i].queue);
        mem_free(w->queues[i].handlers);
    }
    queue_tally_free(w->tally);
    app_runner_free(w->runner);
    queue_seal_free(w->seal);
}

enum err app_worker_run(const struct app_worker_options *options, enum app_worker_end *end_out,
                        char *why_out, size_t why_cap)
{
    struct worker w = {
        .options = options, .left = options->max_jobs, .why = why_out, .why_cap = why_cap};
    char quoted[LOG_QUOTE_BYTES];
    sigset_t signals;
    app_signals_block(&signals);
    enum err err = read_names(&w);
    if (!err)
        err = new_runner(&w);
    if (!err)
        err = app_metrics_new(options->metrics, &w.metrics, why_out, why_cap);
    if (!err)
        err = app_seal_read(options->seal_keys, &w.seal, why_out, why_cap);
    if (!err)
        err = open_data(&w);
    if (!err) {
        err = start(&w);
        if (!err) {
            log_info("at=app_worker.ready queues=%s concurrency=%d data=%s",
                     log_quote(str_of(options->queues), quoted), options->concurrency,
                     options->data);
            *end_out = wait_for_end(&w, &signals);
            app_signals_end_on_next(&signals);
        }
        drain(&w, *end_out);
    }
    tear_down(&w);
    return err;
}
