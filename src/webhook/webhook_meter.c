#include "webhook/webhook_meter.h"

#include <pthread.h>

#include "core/map.h"
#include "core/mem.h"

struct webhook_meter {
    pthread_mutex_t mutex;
    struct map apps; // struct row by app_id: as many as there ever were apps
};

struct row {
    struct webhook_counts counts;
    char app_id[];
};

struct webhook_meter *webhook_meter_new(void)
{
    struct webhook_meter *m = MEM_NEW(struct webhook_meter);
    pthread_mutex_init(&m->mutex, NULL);
    map_init(&m->apps);
    return m;
}

void webhook_meter_free(struct webhook_meter *m)
{
    if (!m)
        return;
    size_t cursor = 0;
    for (struct map_entry *e; (e = map_next(&m->apps, &cursor));)
        mem_free(e->value);
    map_done(&m->apps);
    pthread_mutex_destroy(&m->mutex);
    mem_free(m);
}

static struct row *row_new(struct webhook_meter *m, struct str app_id)
{
    struct row *row = mem_zalloc(sizeof(*row) + app_id.len);
    char *at = row->app_id;
    row->counts.app_id = str_keep(&at, app_id);
    map_put(&m->apps, row->counts.app_id, row);
    return row;
}

static struct row *get_row(struct webhook_meter *m, struct str app_id)
{
    struct row *row = map_find(&m->apps, app_id);
    return row ? row : row_new(m, app_id);
}

void webhook_meter_add(struct webhook_meter *m, struct str app_id, enum webhook_meter_counter what)
{
    pthread_mutex_lock(&m->mutex);
    get_row(m, app_id)->counts.counts[what]++;
    pthread_mutex_unlock(&m->mutex);
}

void webhook_meter_set_waiting(struct webhook_meter *m, const struct webhook_waiting *apps,
                               size_t count)
{
    size_t cursor = 0;
    pthread_mutex_lock(&m->mutex);
    for (const struct map_entry *e; (e = map_next(&m->apps, &cursor));)
        ((struct row *)e->value)->counts.waiting = 0;
    for (size_t i = 0; i < count; i++)
        get_row(m, apps[i].app_id)->counts.waiting = apps[i].count;
    pthread_mutex_unlock(&m->mutex);
}

size_t webhook_meter_read(struct webhook_meter *m, struct webhook_counts **out)
{
    size_t cursor = 0, count = 0;
    pthread_mutex_lock(&m->mutex);
    *out = mem_zalloc((m->apps.count + 1) * sizeof(**out));
    for (const struct map_entry *e; (e = map_next(&m->apps, &cursor));)
        (*out)[count++] = ((const struct row *)e->value)->counts;
    pthread_mutex_unlock(&m->mutex);
    return count;
}
