#include "queue/queue_history.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum {
    EARLY_MS = 500, // whoever adds is not exact
    UNUSED_MS = 24 * 3600 * 1000,
};

/* The samples' times, the same for all. */
struct ring {
    size_t cap, count, next;
    int64_t step_ms;
    int64_t taken_at_ms; // 0: never
};

struct series {
    char queue[QUEUE_MAX_NAME_BYTES + 1];              // empty: all
    int64_t used_at_ms;                                // 0: never
    struct queue_sample *samples[QUEUE_HISTORY_SPANS]; // NULL: not taken yet
    struct queue_meter before[QUEUE_HISTORY_SPANS];
};

struct kind_series {
    char queue[QUEUE_MAX_NAME_BYTES + 1], kind[QUEUE_MAX_NAME_BYTES + 1];
    int64_t used_at_ms;
    uint32_t *failed[QUEUE_HISTORY_SPANS];
    uint64_t before[QUEUE_HISTORY_SPANS];
};

struct queue_history {
    pthread_mutex_t mutex;
    struct ring rings[QUEUE_HISTORY_SPANS];
    struct series series[1 + QUEUE_HISTORY_MAX_QUEUES]; // the first: of all queues
    struct kind_series kinds[QUEUE_HISTORY_MAX_KINDS];
    size_t series_count, kind_count;
    bool has_forgotten; // who comes may have been here before
};

/* What is added. */
struct now {
    int64_t ms;
    const struct queue_admin_counts *counts;
    const struct queue_meter_copies *meters;
};

struct queue_history *queue_history_new(void)
{
    struct queue_history *h = MEM_NEW(struct queue_history);
    pthread_mutex_init(&h->mutex, NULL);
    h->rings[QUEUE_HISTORY_HOUR] = (struct ring){.cap = 360, .step_ms = QUEUE_HISTORY_STEP_MS};
    h->rings[QUEUE_HISTORY_DAY] = (struct ring){.cap = QUEUE_HISTORY_MAX, .step_ms = 60000};
    h->series_count = 1;
    return h;
}

void queue_history_free(struct queue_history *h)
{
    if (!h)
        return;
    for (size_t span = 0; span < QUEUE_HISTORY_SPANS; span++) {
        for (size_t i = 0; i < h->series_count; i++)
            mem_free(h->series[i].samples[span]);
        for (size_t i = 0; i < h->kind_count; i++)
            mem_free(h->kinds[i].failed[span]);
    }
    pthread_mutex_destroy(&h->mutex);
    mem_free(h);
}

/* ---- sums ---- */

static bool is_of(const struct series *s, struct str queue)
{
    return s->queue[0] == '\0' || str_eq(str_of(s->queue), queue);
}

static void sum_times(struct queue_meter_times *to, const struct queue_meter_times *from)
{
    for (size_t i = 0; i < QUEUE_METER_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    to->sum_us += from->sum_us;
}

static struct queue_meter sum_meters(const struct series *s, const struct queue_meter_copies *from)
{
    struct queue_meter sum = {0};
    for (size_t i = 0; i < from->count; i++) {
        const struct queue_meter *m = &from->at[i].meter;
        if (!is_of(s, from->at[i].queue))
            continue;
        for (size_t c = 0; c < QUEUE_METER_COUNTERS; c++)
            sum.counts[c] += m->counts[c];
        sum_times(&sum.wait, &m->wait);
        sum_times(&sum.run, &m->run);
    }
    return sum;
}

static uint64_t failed_of(const struct kind_series *s, const struct queue_meter_copies *from)
{
    for (size_t i = 0; i < from->count; i++)
        for (size_t k = 0; k < from->at[i].kind_count; k++)
            if (str_eq(from->at[i].queue, str_of(s->queue)) &&
                str_eq(from->at[i].kinds[k].kind, str_of(s->kind)))
                return from->at[i].kinds[k].failed;
    return 0;
}

static void sum_counts(const struct series *s, const struct queue_admin_counts *counts,
                       struct queue_sample *out)
{
    for (size_t i = 0; i < counts->count; i++) {
        const struct queue_admin_count *c = &counts->at[i];
        if (!is_of(s, c->name))
            continue;
        out->ready += c->ready;
        out->dead += c->dead;
        out->oldest_ms = c->oldest_ready_ms > out->oldest_ms ? c->oldest_ready_ms : out->oldest_ms;
    }
}

/* ---- who has a series ---- */

static bool may_forget(int64_t used_at_ms, int64_t now_ms)
{
    return now_ms - used_at_ms > UNUSED_MS || now_ms < used_at_ms;
}

/* NULL: there is no room. */
static struct series *new_series(struct queue_history *h, int64_t now_ms)
{
    if (h->series_count <= QUEUE_HISTORY_MAX_QUEUES)
        return &h->series[h->series_count++];
    for (size_t i = 1; i < h->series_count; i++) {
        struct series *s = &h->series[i];
        if (!may_forget(s->used_at_ms, now_ms))
            continue;
        for (size_t span = 0; span < QUEUE_HISTORY_SPANS; span++)
            mem_free(s->samples[span]);
        *s = (struct series){.queue = ""};
        h->has_forgotten = true;
        return s;
    }
    return NULL;
}

static void know_queue(struct queue_history *h, struct str queue, const struct now *now)
{
    if (queue.len == 0 || queue.len > QUEUE_MAX_NAME_BYTES)
        return;
    for (size_t i = 1; i < h->series_count; i++)
        if (str_eq(str_of(h->series[i].queue), queue))
            return;
    struct series *s = new_series(h, now->ms);
    if (!s)
        return;
    snprintf(s->queue, sizeof(s->queue), "%.*s", STR_ARG(queue));
    s->used_at_ms = now->ms;
    for (size_t span = 0; span < QUEUE_HISTORY_SPANS && h->has_forgotten; span++)
        s->before[span] = sum_meters(s, now->meters);
}

static struct kind_series *new_kind(struct queue_history *h, int64_t now_ms)
{
    if (h->kind_count < QUEUE_HISTORY_MAX_KINDS)
        return &h->kinds[h->kind_count++];
    for (size_t i = 0; i < h->kind_count; i++) {
        struct kind_series *s = &h->kinds[i];
        if (!may_forget(s->used_at_ms, now_ms))
            continue;
        for (size_t span = 0; span < QUEUE_HISTORY_SPANS; span++)
            mem_free(s->failed[span]);
        *s = (struct kind_series){.queue = ""};
        h->has_forgotten = true;
        return s;
    }
    return NULL;
}

static void know_kind(struct queue_history *h, struct str queue, struct str kind,
                      const struct now *now)
{
    if (queue.len > QUEUE_MAX_NAME_BYTES || kind.len > QUEUE_MAX_NAME_BYTES)
        return;
    for (size_t i = 0; i < h->kind_count; i++)
        if (str_eq(str_of(h->kinds[i].queue), queue) && str_eq(str_of(h->kinds[i].kind), kind))
            return;
    struct kind_series *s = new_kind(h, now->ms);
    if (!s)
        return;
    snprintf(s->queue, sizeof(s->queue), "%.*s", STR_ARG(queue));
    snprintf(s->kind, sizeof(s->kind), "%.*s", STR_ARG(kind));
    s->used_at_ms = now->ms;
    for (size_t span = 0; span < QUEUE_HISTORY_SPANS && h->has_forgotten; span++)
        s->before[span] = failed_of(s, now->meters);
}

static void know_all(struct queue_history *h, const struct now *now)
{
    for (size_t i = 0; i < now->meters->count; i++) {
        const struct queue_meter_copy *m = &now->meters->at[i];
        know_queue(h, m->queue, now);
        for (size_t k = 0; k < m->kind_count; k++)
            know_kind(h, m->queue, m->kinds[k].kind, now);
    }
    for (size_t i = 0; i < now->counts->count; i++)
        know_queue(h, now->counts->at[i].name, now);
}

/* ---- adding ---- */

static int64_t grown(const struct queue_meter *from, const struct queue_meter *to,
                     enum queue_meter_counter counter)
{
    return (int64_t)(to->counts[counter] - from->counts[counter]);
}

static void take(struct series *s, size_t span, const struct ring *r, const struct now *now)
{
    const struct queue_meter *before = &s->before[span], meter = sum_meters(s, now->meters);
    struct queue_sample sample = {.at_ms = now->ms, .span_ms = now->ms - r->taken_at_ms};
    sum_counts(s, now->counts, &sample);
    sample.done = grown(before, &meter, QUEUE_METER_DONE);
    sample.failed =
        grown(before, &meter, QUEUE_METER_FAILED) + grown(before, &meter, QUEUE_METER_CRASHED);
    sample.wait_us = queue_meter_quantile_us(&before->wait, &meter.wait, 0.5);
    sample.slow_wait_us = queue_meter_quantile_us(&before->wait, &meter.wait, 0.95);
    sample.run_us = queue_meter_quantile_us(&before->run, &meter.run, 0.5);
    sample.slow_run_us = queue_meter_quantile_us(&before->run, &meter.run, 0.95);
    if (sample.ready + sample.dead + sample.done + sample.failed > 0)
        s->used_at_ms = now->ms;
    if (!s->samples[span])
        s->samples[span] = mem_zalloc(r->cap * sizeof(sample));
    s->samples[span][r->next] = sample;
}

static void take_kind(struct kind_series *s, size_t span, const struct ring *r,
                      const struct now *now)
{
    uint32_t failed = (uint32_t)(failed_of(s, now->meters) - s->before[span]);
    if (failed > 0)
        s->used_at_ms = now->ms;
    if (!s->failed[span])
        s->failed[span] = mem_zalloc(r->cap * sizeof(failed));
    s->failed[span][r->next] = failed;
}

static void take_all(struct queue_history *h, size_t span, const struct now *now)
{
    struct ring *r = &h->rings[span];
    for (size_t i = 0; i < h->series_count; i++)
        take(&h->series[i], span, r, now);
    for (size_t i = 0; i < h->kind_count; i++)
        take_kind(&h->kinds[i], span, r, now);
    r->next = (r->next + 1) % r->cap;
    r->count += r->count < r->cap;
}

static void begin_next(struct queue_history *h, size_t span, const struct now *now)
{
    h->rings[span].taken_at_ms = now->ms;
    for (size_t i = 0; i < h->series_count; i++)
        h->series[i].before[span] = sum_meters(&h->series[i], now->meters);
    for (size_t i = 0; i < h->kind_count; i++)
        h->kinds[i].before[span] = failed_of(&h->kinds[i], now->meters);
}

void queue_history_add(struct queue_history *h, int64_t now_ms,
                       const struct queue_admin_counts *counts,
                       const struct queue_meter_copies *meters)
{
    const struct now now = {now_ms, counts, meters};
    pthread_mutex_lock(&h->mutex);
    know_all(h, &now);
    for (size_t span = 0; span < QUEUE_HISTORY_SPANS; span++) {
        const struct ring *r = &h->rings[span];
        bool is_back = now_ms < r->taken_at_ms; // the operator set the clock
        if (!is_back && r->taken_at_ms > 0 && now_ms - r->taken_at_ms < r->step_ms - EARLY_MS)
            continue;
        if (r->taken_at_ms > 0 && !is_back)
            take_all(h, span, &now);
        begin_next(h, span, &now);
    }
    pthread_mutex_unlock(&h->mutex);
}

/* ---- reading ---- */

static const struct series *find_series(const struct queue_history *h, struct str queue)
{
    for (size_t i = 1; i < h->series_count && queue.len > 0; i++)
        if (str_eq(str_of(h->series[i].queue), queue))
            return &h->series[i];
    return queue.len == 0 ? &h->series[0] : NULL;
}

static void read_kind(const struct kind_series *s, size_t span, const struct ring *r,
                      struct arena *a, struct queue_history_kind *out)
{
    *out = (struct queue_history_kind){.failed = arena_alloc(a, (r->count + 1) * sizeof(uint32_t))};
    for (size_t i = 0; i < r->count && s->failed[span]; i++) {
        out->failed[i] = s->failed[span][(r->next + r->cap - r->count + i) % r->cap];
        out->sum += out->failed[i];
    }
    out->queue = arena_str(a, str_of(s->queue));
    out->kind = arena_str(a, str_of(s->kind));
}

static int compare(const void *one, const void *other)
{
    const struct queue_history_kind *a = one, *b = other;
    int by_sum = (a->sum < b->sum) - (a->sum > b->sum);
    int by_queue = strcmp(a->queue.at, b->queue.at);
    return by_sum ? by_sum : by_queue ? by_queue : strcmp(a->kind.at, b->kind.at);
}

void queue_history_read(struct queue_history *h, enum queue_history_span span, struct str queue,
                        struct arena *a, struct queue_history_view *out)
{
    pthread_mutex_lock(&h->mutex);
    const struct ring *r = &h->rings[span];
    const struct series *s = find_series(h, queue);
    *out = (struct queue_history_view){
        .samples = arena_alloc(a, (r->count + 1) * sizeof(*out->samples)),
        .count = r->count,
        .kinds = arena_alloc(a, (h->kind_count + 1) * sizeof(*out->kinds))};
    for (size_t i = 0; i < r->count; i++) {
        size_t at = (r->next + r->cap - r->count + i) % r->cap;
        const struct queue_sample *all = &h->series[0].samples[span][at];
        if (s && s->samples[span])
            out->samples[i] = s->samples[span][at];
        out->samples[i].at_ms = all->at_ms; // of one that came later, too
        out->samples[i].span_ms = all->span_ms;
    }
    for (size_t i = 0; i < h->kind_count; i++) {
        struct queue_history_kind *kind = &out->kinds[out->kind_count];
        if (queue.len > 0 && !str_eq(str_of(h->kinds[i].queue), queue))
            continue;
        read_kind(&h->kinds[i], span, r, a, kind);
        out->kind_count += kind->sum > 0;
    }
    pthread_mutex_unlock(&h->mutex);
    qsort(out->kinds, out->kind_count, sizeof(*out->kinds), compare);
}
