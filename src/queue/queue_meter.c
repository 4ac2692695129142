#include "queue/queue_meter.h"

#include <pthread.h>

#include "queue/queue_batch.h"
#include "queue/queue_worker.h"

const int64_t queue_meter_bounds_us[QUEUE_METER_BUCKETS - 1] = {
    1000,    2500,    5000,     10000,    25000,     100000,     250000,    1000000,
    2500000, 5000000, 15000000, 60000000, 300000000, 1800000000, 7200000000};

void queue_meter_observe(struct queue_meter_times *h, int64_t us)
{
    size_t i = 0;
    while (i < QUEUE_METER_BUCKETS - 1 && us > queue_meter_bounds_us[i])
        i++;
    h->buckets[i]++;
    h->sum_us += us > 0 ? (uint64_t)us : 0;
}

int64_t queue_meter_quantile_us(const struct queue_meter_times *from,
                                const struct queue_meter_times *to, double part)
{
    uint64_t total = 0, below = 0;
    for (size_t i = 0; i < QUEUE_METER_BUCKETS; i++)
        total += to->buckets[i] - from->buckets[i];
    if (total == 0)
        return 0;
    for (size_t i = 0; i < QUEUE_METER_BUCKETS - 1; i++) {
        uint64_t here = to->buckets[i] - from->buckets[i];
        int64_t low = i > 0 ? queue_meter_bounds_us[i - 1] : 0;
        double wanted = part * (double)total - (double)below;
        if (wanted <= (double)here && here > 0)
            return low +
                   (int64_t)((double)(queue_meter_bounds_us[i] - low) * wanted / (double)here);
        below += here;
    }
    return queue_meter_bounds_us[QUEUE_METER_BUCKETS - 2];
}

/* ---- the queues of this process ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // taken before any queue's
static struct list entries = {&entries, &entries};

void queue_meter_enter(struct queue_meter_entry *entry, struct queue *q)
{
    entry->queue = q;
    pthread_mutex_lock(&mutex);
    list_append(&entries, &entry->node);
    pthread_mutex_unlock(&mutex);
}

void queue_meter_leave(struct queue_meter_entry *entry)
{
    pthread_mutex_lock(&mutex);
    list_remove(&entry->node);
    pthread_mutex_unlock(&mutex);
}

static struct queue *queue_at(struct list *node)
{
    return LIST_ENTRY(node, struct queue_meter_entry, node)->queue;
}

static size_t count_entries(void)
{
    size_t count = 0;
    for (struct list *node = entries.next; node != &entries; node = node->next)
        count++;
    return count;
}

/* Those that failures are counted by: the handlers', the queue's own, and the unknown ones. */
static struct str kind_at(const struct queue *q, size_t i)
{
    if (i < q->handlers_count)
        return str_of(q->handlers[i].kind);
    i -= q->handlers_count;
    return i < queue_batch_handler_count ? str_of(queue_batch_handlers[i].kind) : STR("");
}

static void copy(struct queue *q, struct arena *a, struct queue_meter_copy *out)
{
    pthread_mutex_lock(&q->mutex);
    out->queue = arena_str(a, str_of(q->options.name));
    out->meter = q->meter;
    out->kinds = arena_alloc(a, (q->failures_count + 1) * sizeof(*out->kinds));
    for (size_t i = 0; i < q->failures_count; i++)
        if (q->failures[i] > 0)
            out->kinds[out->kind_count++] =
                (struct queue_meter_kind){arena_str(a, kind_at(q, i)), q->failures[i]};
    pthread_mutex_unlock(&q->mutex);
}

void queue_meter_read(struct arena *a, struct queue_meter_copies *out)
{
    pthread_mutex_lock(&mutex);
    *out = (struct queue_meter_copies){
        .at = arena_alloc(a, (count_entries() + 1) * sizeof(struct queue_meter_copy))};
    for (struct list *node = entries.next; node != &entries; node = node->next)
        copy(queue_at(node), a, &out->at[out->count++]);
    pthread_mutex_unlock(&mutex);
}

void queue_meter_list_held(struct arena *a, int64_t **ids_out, size_t *count_out)
{
    size_t count = 0;
    pthread_mutex_lock(&mutex);
    int64_t *ids = arena_alloc(a, (count_entries() + 1) * QUEUE_MAX_HELD * sizeof(*ids));
    for (struct list *node = entries.next; node != &entries; node = node->next)
        count += queue_list_held(queue_at(node), ids + count, QUEUE_MAX_HELD);
    pthread_mutex_unlock(&mutex);
    *ids_out = ids;
    *count_out = count;
}
