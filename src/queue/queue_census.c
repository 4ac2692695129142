#include "queue/queue_census.h"

#include <pthread.h>

#include "core/clock.h"
#include "core/mem.h"
#include "queue/queue_meter.h"

enum { REST = 20 }; // times as long as a count took

struct queue_census {
    struct store *store;
    pthread_mutex_t mutex;  // guards all that follows
    pthread_cond_t counted; // for those who found nothing
    bool is_counting, has_counts;
    struct arena arena; // of counts
    struct queue_admin_counts counts;
    int64_t counted_at_ns, until_ns; // monotonic
};

struct queue_census *queue_census_new(struct store *store)
{
    struct queue_census *c = MEM_NEW(struct queue_census);
    c->store = store;
    arena_init(&c->arena);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->counted, NULL);
    return c;
}

void queue_census_free(struct queue_census *c)
{
    if (!c)
        return;
    arena_done(&c->arena);
    pthread_cond_destroy(&c->counted);
    pthread_mutex_destroy(&c->mutex);
    mem_free(c);
}

/* Called with the mutex held, which it lets go of meanwhile. */
static enum err count(struct queue_census *c, struct store_tx *tx)
{
    struct arena arena;
    struct queue_held held = {0};
    struct queue_admin_counts counts;
    int64_t *ids;
    c->is_counting = true;
    pthread_mutex_unlock(&c->mutex);
    arena_init(&arena);
    int64_t begun_ns = clock_cpu_ns();
    queue_meter_list_held(&arena, &ids, &held.count);
    held.ids = ids;
    enum err err = queue_admin_count(tx, &held, &arena, &counts);
    int64_t taken_ns = clock_cpu_ns() - begun_ns;
    pthread_mutex_lock(&c->mutex);
    c->is_counting = false;
    pthread_cond_broadcast(&c->counted);
    if (err) {
        arena_done(&arena);
        return err;
    }
    arena_done(&c->arena);
    c->arena = arena;
    c->counts = counts;
    c->has_counts = true;
    c->counted_at_ns = clock_mono_ns();
    c->until_ns = c->counted_at_ns + REST * taken_ns;
    return OK;
}

static void copy(const struct queue_census *c, int64_t age_ms, struct arena *a,
                 struct queue_admin_counts *out)
{
    out->count = c->counts.count;
    out->at = arena_alloc(a, (out->count + 1) * sizeof(*out->at));
    for (size_t i = 0; i < out->count; i++) {
        struct queue_admin_count *count = &out->at[i];
        *count = c->counts.at[i];
        count->name = arena_str(a, count->name);
        if (count->oldest_ready_ms > 0)
            count->oldest_ready_ms += age_ms;
    }
}

enum err queue_census_read_in(struct queue_census *c, struct store_tx *tx, struct arena *a,
                              struct queue_admin_counts *out, int64_t *age_ms_out)
{
    enum err err = OK;
    pthread_mutex_lock(&c->mutex);
    while (c->is_counting && !c->has_counts)
        pthread_cond_wait(&c->counted, &c->mutex);
    if (!c->is_counting && (!c->has_counts || clock_mono_ns() >= c->until_ns))
        err = count(c, tx);
    if (!err) {
        int64_t age_ms = (clock_mono_ns() - c->counted_at_ns) / 1000000;
        copy(c, age_ms, a, out);
        if (age_ms_out)
            *age_ms_out = age_ms;
    }
    pthread_mutex_unlock(&c->mutex);
    return err;
}

struct reading {
    struct queue_census *census;
    struct arena *arena;
    struct queue_admin_counts *out;
    int64_t *age_ms_out;
};

static enum err read_fn(struct store_tx *tx, void *arg)
{
    struct reading *r = arg;
    return queue_census_read_in(r->census, tx, r->arena, r->out, r->age_ms_out);
}

enum err queue_census_read(struct queue_census *c, struct arena *a, struct queue_admin_counts *out,
                           // NOLINTNEXTLINE(readability-non-const-parameter): read_fn writes there
                           int64_t *age_ms_out)
{
    struct reading reading = {c, a, out, age_ms_out};
    return store_read(c->store, read_fn, &reading);
}
