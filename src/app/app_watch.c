#include "app/app_watch.h"

#include <errno.h>
#include <stdatomic.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "queue/queue_census.h"
#include "queue/queue_history.h"
#include "queue/queue_tally.h"

enum { TICK_MS = 1000, UNANSWERED_MS = 30 * 1000 };

struct app_watch {
    struct store *store;
    struct api_queues *queues;
    struct hub_relay *relay;
    const struct hub_app *app;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    bool is_started, is_stopping; // guarded
    atomic_bool has_changed;
    /* The thread's own. */
    int64_t seen_at_ms, unanswered_since_ms, sampled_at_ms;
};

struct app_watch *app_watch_new(struct store *store, struct api_queues *queues,
                                struct hub_relay *relay, const struct hub_app *app)
{
    struct app_watch *w = MEM_NEW(struct app_watch);
    w->store = store;
    w->queues = queues;
    w->relay = relay;
    w->app = app;
    pthread_mutex_init(&w->mutex, NULL);
    thread_cond_init(&w->stop);
    return w;
}

void app_watch_note(struct app_watch *w)
{
    atomic_store_explicit(&w->has_changed, true, memory_order_relaxed);
}

struct reading {
    struct app_watch *watch;
    struct arena arena;
    struct queue_admin_counts counts;
    struct queue_meter_copies meters;
};

static enum err read_fn(struct store_tx *tx, void *arg)
{
    struct reading *r = arg;
    enum err err = queue_census_read_in(r->watch->queues->census, tx, &r->arena, &r->counts, NULL);
    return err ? err : queue_tally_read_all(tx, &r->arena, &r->meters);
}

static void sample(struct app_watch *w)
{
    struct reading r = {.watch = w};
    arena_init(&r.arena);
    enum err err = store_read(w->store, read_fn, &r);
    if (err)
        log_warn("at=app_watch.sample why=\"%s\"", err_text(err));
    else
        queue_history_add(w->queues->history, clock_unix_ms(), &r.counts, &r.meters);
    arena_done(&r.arena);
}

/* Tells the pages, if somebody has one open. */
static void tell(struct app_watch *w, int64_t now_ms)
{
    int64_t seen_at_ms = atomic_load(&w->queues->seen_at_ms);
    if (seen_at_ms != w->seen_at_ms)
        w->unanswered_since_ms = 0;
    w->seen_at_ms = seen_at_ms;
    bool is_unanswered =
        w->unanswered_since_ms > 0 && now_ms - w->unanswered_since_ms > UNANSWERED_MS;
    if (seen_at_ms == 0 || is_unanswered || !atomic_exchange(&w->has_changed, false))
        return;
    hub_relay_publish(w->relay, w->app, STR(API_QUEUES_CHANNEL), STR("queues.changed"), STR("{}"),
                      STR(""));
    if (w->unanswered_since_ms == 0)
        w->unanswered_since_ms = now_ms;
}

static void *run(void *arg)
{
    struct app_watch *w = arg;
    pthread_mutex_lock(&w->mutex);
    while (!w->is_stopping) {
        struct timespec end = thread_deadline(TICK_MS);
        if (pthread_cond_timedwait(&w->stop, &w->mutex, &end) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&w->mutex);
        int64_t now_ms = clock_mono_ms();
        tell(w, now_ms);
        if (w->sampled_at_ms == 0 || now_ms - w->sampled_at_ms >= QUEUE_HISTORY_STEP_MS) {
            w->sampled_at_ms = now_ms;
            sample(w);
        }
        pthread_mutex_lock(&w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

enum err app_watch_start(struct app_watch *w)
{
    enum err err = thread_start(&w->thread, "watch", run, w);
    w->is_started = !err;
    return err;
}

void app_watch_stop(struct app_watch *w)
{
    if (!w || !w->is_started)
        return;
    pthread_mutex_lock(&w->mutex);
    w->is_stopping = true;
    pthread_cond_signal(&w->stop);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    w->is_started = false;
}

void app_watch_free(struct app_watch *w)
{
    if (!w)
        return;
    pthread_cond_destroy(&w->stop);
    pthread_mutex_destroy(&w->mutex);
    mem_free(w);
}
