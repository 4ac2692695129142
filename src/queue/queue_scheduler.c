#include "queue/queue_scheduler.h"

#include <errno.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "queue/queue_periodic.h"

enum { LOOK_MS = 1000 };

struct queue_scheduler {
    struct store *store;
    pthread_t thread;
    pthread_mutex_t mutex; // guards the two below
    pthread_cond_t stopped;
    bool is_started, is_stopping;
};

struct queue_scheduler *queue_scheduler_new(struct store *store)
{
    struct queue_scheduler *s = MEM_NEW(struct queue_scheduler);
    s->store = store;
    pthread_mutex_init(&s->mutex, NULL);
    thread_cond_init(&s->stopped);
    return s;
}

static enum err ask_fn(struct store_tx *tx, void *arg)
{
    return queue_periodic_ask_next(tx, arg);
}

static enum err run_fn(struct store_tx *tx, void *arg)
{
    return queue_periodic_run_due(tx, arg);
}

/* Serves what is due. Gives how long there is nothing to do. */
static int64_t look(struct queue_scheduler *s)
{
    int64_t next_at_ms = 0;
    enum err err = store_read(s->store, ask_fn, &next_at_ms);
    if (!err && next_at_ms > 0 && next_at_ms <= clock_unix_ms())
        err = store_write_wait(s->store, run_fn, &next_at_ms);
    if (err)
        log_warn("at=queue_scheduler.look why=\"%s\"", err_text(err));
    if (err || next_at_ms == 0)
        return LOOK_MS;
    int64_t left = next_at_ms - clock_unix_ms();
    return left < 0 ? 0 : left < LOOK_MS ? left : LOOK_MS;
}

static void *watch(void *arg)
{
    struct queue_scheduler *s = arg;
    pthread_mutex_lock(&s->mutex);
    while (!s->is_stopping) {
        pthread_mutex_unlock(&s->mutex);
        struct timespec end = thread_deadline(look(s));
        pthread_mutex_lock(&s->mutex);
        int code = 0;
        while (!s->is_stopping && code != ETIMEDOUT)
            code = pthread_cond_timedwait(&s->stopped, &s->mutex, &end);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

enum err queue_scheduler_start(struct queue_scheduler *s)
{
    enum err err = thread_start(&s->thread, "scheduler", watch, s);
    s->is_started = !err;
    return err;
}

void queue_scheduler_stop(struct queue_scheduler *s)
{
    if (!s->is_started)
        return;
    pthread_mutex_lock(&s->mutex);
    s->is_stopping = true;
    pthread_cond_signal(&s->stopped);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    s->is_started = false;
}

void queue_scheduler_free(struct queue_scheduler *s)
{
    if (!s)
        return;
    pthread_cond_destroy(&s->stopped);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}
