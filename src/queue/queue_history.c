#include "queue/queue_history.h"

#include <pthread.h>

#include "core/mem.h"

enum { EARLY_MS = 500 }; // whoever adds is not exact

struct ring {
    struct queue_sample *samples;
    size_t cap, count, next;
    int64_t step_ms;
    int64_t taken_at_ms; // 0: never
    struct queue_meter before;
};

struct queue_history {
    pthread_mutex_t mutex;
    struct ring rings[QUEUE_HISTORY_SPANS];
};

struct queue_history *queue_history_new(void)
{
    static const struct {
        size_t cap;
        int64_t step_ms;
    } spans[QUEUE_HISTORY_SPANS] = {
        [QUEUE_HISTORY_HOUR] = {360, QUEUE_HISTORY_STEP_MS},
        [QUEUE_HISTORY_DAY] = {QUEUE_HISTORY_MAX, 60 * 1000},
    };
    struct queue_history *h = MEM_NEW(struct queue_history);
    pthread_mutex_init(&h->mutex, NULL);
    for (size_t i = 0; i < QUEUE_HISTORY_SPANS; i++) {
        h->rings[i].cap = spans[i].cap;
        h->rings[i].step_ms = spans[i].step_ms;
        h->rings[i].samples = mem_zalloc(spans[i].cap * sizeof(struct queue_sample));
    }
    return h;
}

void queue_history_free(struct queue_history *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < QUEUE_HISTORY_SPANS; i++)
        mem_free(h->rings[i].samples);
    pthread_mutex_destroy(&h->mutex);
    mem_free(h);
}

static void sum_times(struct queue_meter_times *to, const struct queue_meter_times *from)
{
    for (size_t i = 0; i < QUEUE_METER_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    to->sum_us += from->sum_us;
}

static struct queue_meter sum_meters(const struct queue_meter_copies *meters)
{
    struct queue_meter sum = {0};
    for (size_t i = 0; i < meters->count; i++) {
        const struct queue_meter *m = &meters->at[i].meter;
        for (size_t c = 0; c < QUEUE_METER_COUNTERS; c++)
            sum.counts[c] += m->counts[c];
        sum_times(&sum.wait, &m->wait);
        sum_times(&sum.run, &m->run);
    }
    return sum;
}

static int64_t grown(const struct queue_meter *from, const struct queue_meter *to,
                     enum queue_meter_counter counter)
{
    return (int64_t)(to->counts[counter] - from->counts[counter]);
}

static void take(struct ring *r, const struct queue_sample *now, const struct queue_meter *meter)
{
    const struct queue_meter *before = &r->before;
    struct queue_sample sample = *now;
    sample.span_ms = now->at_ms - r->taken_at_ms;
    sample.done = grown(before, meter, QUEUE_METER_DONE);
    sample.failed =
        grown(before, meter, QUEUE_METER_FAILED) + grown(before, meter, QUEUE_METER_CRASHED);
    sample.wait_us = queue_meter_quantile_us(&before->wait, &meter->wait, 0.5);
    sample.slow_wait_us = queue_meter_quantile_us(&before->wait, &meter->wait, 0.95);
    sample.run_us = queue_meter_quantile_us(&before->run, &meter->run, 0.5);
    sample.slow_run_us = queue_meter_quantile_us(&before->run, &meter->run, 0.95);
    r->samples[r->next] = sample;
    r->next = (r->next + 1) % r->cap;
    r->count += r->count < r->cap;
}

void queue_history_add(struct queue_history *h, int64_t now_ms,
                       const struct queue_admin_counts *counts,
                       const struct queue_meter_copies *meters)
{
    struct queue_meter meter = sum_meters(meters);
    struct queue_sample now = {.at_ms = now_ms};
    for (size_t i = 0; i < counts->count; i++) {
        const struct queue_admin_count *c = &counts->at[i];
        now.ready += c->ready;
        now.dead += c->dead;
        now.oldest_ms = c->oldest_ready_ms > now.oldest_ms ? c->oldest_ready_ms : now.oldest_ms;
    }
    pthread_mutex_lock(&h->mutex);
    for (size_t i = 0; i < QUEUE_HISTORY_SPANS; i++) {
        struct ring *r = &h->rings[i];
        bool is_back = now_ms < r->taken_at_ms; // the operator set the clock
        if (!is_back && r->taken_at_ms > 0 && now_ms - r->taken_at_ms < r->step_ms - EARLY_MS)
            continue;
        if (r->taken_at_ms > 0 && !is_back)
            take(r, &now, &meter);
        r->taken_at_ms = now_ms;
        r->before = meter;
    }
    pthread_mutex_unlock(&h->mutex);
}

size_t queue_history_read(struct queue_history *h, enum queue_history_span span,
                          struct queue_sample *out)
{
    pthread_mutex_lock(&h->mutex);
    const struct ring *r = &h->rings[span];
    size_t count = r->count;
    for (size_t i = 0; i < count; i++)
        out[i] = r->samples[(r->next + r->cap - count + i) % r->cap];
    pthread_mutex_unlock(&h->mutex);
    return count;
}
