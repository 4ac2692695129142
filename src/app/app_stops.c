#include "app/app_stops.h"

#include "core/thread.h"

void app_stops_init(struct app_stops *s)
{
    thread_cond_init(&s->changed);
    pthread_mutex_init(&s->lock, NULL);
    s->pending = 0;
}

void app_stops_done(struct app_stops *s)
{
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
}

void app_stops_expect(struct app_stops *s)
{
    pthread_mutex_lock(&s->lock);
    s->pending++;
    pthread_mutex_unlock(&s->lock);
}

void app_stops_happen(void *ctx)
{
    struct app_stops *s = ctx;
    pthread_mutex_lock(&s->lock);
    s->pending--;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

bool app_stops_wait(struct app_stops *s, int64_t wait_ms)
{
    struct timespec until = thread_deadline(wait_ms);
    pthread_mutex_lock(&s->lock);
    int rc = 0;
    while (s->pending > 0 && rc == 0)
        rc = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    bool are_all = s->pending == 0;
    pthread_mutex_unlock(&s->lock);
    return are_all;
}
