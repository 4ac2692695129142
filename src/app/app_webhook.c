#include "app/app_webhook.h"

#include <stdatomic.h>

#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "webhook/webhook.h"

/* For the store, at most: seconds of a busy hub while the disk is slow. */
enum { MAX_WAITING_BYTES = 32 * 1024 * 1024, LEASE_MS = 30000 };

_Static_assert((int)HUB_HOOK_MAX_BODY_BYTES <= (int)WEBHOOK_MAX_BODY_BYTES,
               "what a hub makes can be sent");

struct app_webhook {
    struct store *store;
    _Atomic(const struct hub_apps *) apps;
    struct webhook *webhook;
    struct queue_handler handler;
    struct queue *queue;
    atomic_size_t waiting_bytes;
    struct webhook_meter *meter;
};

/* One body on its way to the store. */
struct parcel {
    struct store_write write; // first: on_done casts back
    struct app_webhook *owner;
    struct webhook_new hook;
    size_t size;
    char bytes[];
};

/* ---- from the hubs to the queue ---- */

static void lose(const struct parcel *p, const char *why)
{
    char app[LOG_QUOTE_BYTES];
    log_error("at=app_webhook.lost app=%s bytes=%zu why=\"%s\"", log_quote(p->hook.app_id, app),
              p->hook.body.len, why);
    webhook_meter_add(p->owner->meter, p->hook.app_id, WEBHOOK_METER_DROPPED);
}

static enum err write_parcel(struct store_tx *tx, void *arg)
{
    const struct parcel *p = arg;
    return webhook_enqueue(tx, &p->hook);
}

static void parcel_free(struct parcel *p)
{
    atomic_fetch_sub(&p->owner->waiting_bytes, p->size);
    mem_free(p);
}

static void on_written(struct store_write *write, enum err err)
{
    struct parcel *p = (struct parcel *)(void *)write;
    if (err)
        lose(p, err_text(err));
    else
        queue_wake(p->owner->queue);
    parcel_free(p);
}

static void send(void *ctx, const struct hub_app *app, const struct hub_webhook *webhook,
                 struct str body)
{
    struct app_webhook *w = ctx;
    size_t size = app->id.len + webhook->url.len + body.len;
    struct parcel *p = mem_zalloc(sizeof(*p) + size);
    char *at = p->bytes;
    p->write = (struct store_write){.fn = write_parcel, .arg = p, .on_done = on_written};
    p->owner = w;
    p->size = size;
    p->hook.app_id = str_keep(&at, app->id);
    p->hook.url = str_keep(&at, webhook->url);
    p->hook.body = str_keep(&at, body);
    bool has_room = atomic_fetch_add(&w->waiting_bytes, size) + size <= MAX_WAITING_BYTES;
    if (has_room && store_write_later(w->store, &p->write) == OK)
        return;
    lose(p, "the store is behind");
    parcel_free(p);
}

struct hub_hook_sink app_webhook_sink(struct app_webhook *w)
{
    return (struct hub_hook_sink){.send = send, .ctx = w};
}

/* ---- from the queue to the sender ---- */

static enum err find_target(void *ctx, struct str app_id, struct str url, struct arena *a,
                            struct webhook_target *out)
{
    struct app_webhook *w = ctx;
    const struct hub_app *app = hub_app_find_by_id(atomic_load(&w->apps), app_id);
    (void)a; // apps live as long as the process
    for (size_t i = 0; app && i < app->webhook_count; i++) {
        const struct hub_webhook *webhook = &app->webhooks[i];
        if (!str_eq(webhook->url, url))
            continue;
        *out = (struct webhook_target){
            .key = app->key,
            .secret = app->secret,
            .headers = webhook->headers,
            .header_count = webhook->header_count,
        };
        return OK;
    }
    return ERR_NOT_FOUND;
}

/* ---- for the operator ---- */

void app_webhook_read(void *ctx, struct api_metrics_webhooks *out)
{
    struct app_webhook *w = ctx;
    struct webhook_counts *all;
    if (webhook_count_waiting(w->store, w->meter, &out->waiting) != OK)
        out->waiting = -1;
    out->count = webhook_meter_read(w->meter, &all);
    out->at = mem_zalloc((out->count + 1) * sizeof(*out->at));
    for (size_t i = 0; i < out->count; i++)
        out->at[i] = (struct api_metrics_webhook){
            .app_id = all[i].app_id,
            .waiting = all[i].waiting,
            .sent = all[i].counts[WEBHOOK_METER_SENT],
            .failed = all[i].counts[WEBHOOK_METER_FAILED],
            .retried = all[i].counts[WEBHOOK_METER_RETRIED],
            .dropped = all[i].counts[WEBHOOK_METER_DROPPED],
        };
    mem_free(all);
}

/* ---- life ---- */

struct app_webhook *app_webhook_new(struct store *store, const struct hub_apps *apps,
                                    const struct app_webhook_options *options)
{
    struct app_webhook *w = MEM_NEW(struct app_webhook);
    w->store = store;
    atomic_init(&w->apps, apps);
    w->meter = webhook_meter_new();
    w->webhook = webhook_new(&(struct webhook_options){
        .find = find_target,
        .find_ctx = w,
        .allows_private = options->allows_private,
        .retry_ms = options->retry_ms,
        .meter = w->meter,
    });
    if (!w->webhook) {
        webhook_meter_free(w->meter);
        mem_free(w);
        return NULL;
    }
    w->handler = webhook_handler(w->webhook);
    const struct queue_options queue = {
        .name = WEBHOOK_QUEUE,
        .workers = 1, // it only hands jobs over; in every role, as no other process can
        .lease_ms = LEASE_MS,
    };
    w->queue = queue_new(store, &queue, &w->handler, 1);
    return w;
}

void app_webhook_use_apps(struct app_webhook *w, const struct hub_apps *apps)
{
    atomic_store(&w->apps, apps);
}

enum err app_webhook_start(struct app_webhook *w)
{
    return queue_start(w->queue);
}

bool app_webhook_stop(struct app_webhook *w, int64_t wait_ms)
{
    enum { TO_WRITE_MS = 2000 };
    if (!w->webhook)
        return true;
    webhook_stop(w->webhook, wait_ms);
    if (!queue_stop(w->queue, wait_ms + TO_WRITE_MS))
        return false;
    // Its thread may still be on its way out of a call of the store, which is closed next.
    webhook_free(w->webhook);
    w->webhook = NULL;
    return true;
}

void app_webhook_free(struct app_webhook *w)
{
    if (!w)
        return;
    queue_free(w->queue);
    webhook_free(w->webhook);
    webhook_meter_free(w->meter);
    mem_free(w);
}
