#include "hub/hub_hook.h"

#include "core/buf.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"
#include "hub/hub_hold.h"

const char *const hub_hook_names[HUB_HOOK_KINDS] = {
    [HUB_HOOK_CHANNEL_OCCUPIED] = "channel_occupied",
    [HUB_HOOK_CHANNEL_VACATED] = "channel_vacated",
    [HUB_HOOK_MEMBER_ADDED] = "member_added",
    [HUB_HOOK_MEMBER_REMOVED] = "member_removed",
    [HUB_HOOK_CLIENT_EVENT] = "client_event",
    [HUB_HOOK_CACHE_MISS] = "cache_miss",
    [HUB_HOOK_SUBSCRIPTION_COUNT] = "subscription_count",
};

/* The open body of one webhook. */
struct batch {
    struct list node; // in hook->open
    const struct hub_app *app;
    const struct hub_webhook *webhook;
    uintptr_t key; // its address
    struct buf body;
    size_t count;
};

struct hub_hook {
    struct io_loop *loop;
    struct hub_hook_sink sink;
    struct hub_hold hold;
    struct map batches; // by webhook
    struct list open;   // oldest first
    struct io_timer timer;
    uint64_t dropped; // since the last flush
};

/* ---- batches ---- */

static struct str key_of(const uintptr_t *address)
{
    return (struct str){(const char *)address, sizeof(*address)};
}

static struct batch *batch_find(const struct hub_hook *h, const struct hub_webhook *webhook)
{
    uintptr_t address = (uintptr_t)webhook;
    return map_find(&h->batches, key_of(&address));
}

static void put(struct buf *out, struct str text)
{
    CHECK(buf_append(out, text.at, text.len) == OK);
}

static struct batch *batch_open(struct hub_hook *h, const struct hub_app *app,
                                const struct hub_webhook *webhook)
{
    struct batch *b = MEM_NEW(struct batch);
    b->app = app;
    b->webhook = webhook;
    b->key = (uintptr_t)webhook;
    buf_init(&b->body, HUB_HOOK_MAX_BODY_BYTES);
    CHECK(buf_printf(&b->body, "{\"time_ms\":%lld,\"events\":[", (long long)clock_unix_ms()) == OK);
    map_put(&h->batches, key_of(&b->key), b);
    if (list_is_empty(&h->open))
        io_timer_start(h->loop, &h->timer, 0);
    list_append(&h->open, &b->node);
    return b;
}

static void batch_free(struct hub_hook *h, struct batch *b)
{
    map_remove(&h->batches, key_of(&b->key));
    list_remove(&b->node);
    buf_done(&b->body);
    mem_free(b);
}

static void batch_send(struct hub_hook *h, struct batch *b)
{
    put(&b->body, STR("]}"));
    h->sink.send(h->sink.ctx, b->app, b->webhook,
                 (struct str){(const char *)buf_head(&b->body), buf_len(&b->body)});
    batch_free(h, b);
}

static void send_all(struct hub_hook *h)
{
    while (!list_is_empty(&h->open))
        batch_send(h, LIST_ENTRY(h->open.next, struct batch, node));
    if (h->dropped > 0)
        log_warn("at=hub.webhook dropped=%llu why=\"too large for a body\"",
                 (unsigned long long)h->dropped);
    h->dropped = 0;
}

static void on_timer(struct io_timer *timer)
{
    send_all(LIST_ENTRY(timer, struct hub_hook, timer));
}

/* Room for one more event, the comma before it and the end of the body. */
static bool has_room(const struct batch *b, size_t event_bytes)
{
    return b->count < HUB_HOOK_MAX_EVENTS &&
           buf_len(&b->body) + event_bytes + 3 <= HUB_HOOK_MAX_BODY_BYTES;
}

static void gather(struct hub_hook *h, const struct hub_app *app, const struct hub_webhook *webhook,
                   struct str event)
{
    struct batch *b = batch_find(h, webhook);
    if (b && !has_room(b, event.len)) {
        batch_send(h, b);
        b = NULL;
    }
    if (!b)
        b = batch_open(h, app, webhook);
    if (!has_room(b, event.len)) {
        h->dropped++;
        batch_free(h, b);
        return;
    }
    if (b->count++ > 0)
        put(&b->body, STR(","));
    put(&b->body, event);
}

/* ---- events ---- */

static void put_field(struct buf *out, const char *name, struct str value)
{
    CHECK(buf_printf(out, ",\"%s\":", name) == OK);
    CHECK(json_write_string(out, value) == OK);
}

/* Data is told as a string that holds JSON, as Pusher does. */
static void put_data(struct buf *out, struct str data_json)
{
    bool is_string = data_json.len > 0 && data_json.at[0] == '"';
    if (!is_string) {
        put_field(out, "data", data_json);
        return;
    }
    put(out, STR(",\"data\":"));
    put(out, data_json);
}

static void write_event(struct buf *out, const struct hub_hook_event *e)
{
    // An escape takes up to six bytes.
    buf_init(out, 256 + 6 * (e->channel.len + e->user_id.len + e->event.len + e->data_json.len +
                             e->socket_id.len));
    CHECK(buf_printf(out, "{\"name\":\"%s\"", hub_hook_names[e->kind]) == OK);
    put_field(out, "channel", e->channel);
    if (e->kind == HUB_HOOK_CLIENT_EVENT) {
        put_field(out, "event", e->event);
        put_data(out, e->data_json);
        put_field(out, "socket_id", e->socket_id);
    }
    if (e->user_id.len > 0)
        put_field(out, "user_id", e->user_id);
    if (e->kind == HUB_HOOK_SUBSCRIPTION_COUNT)
        CHECK(buf_printf(out, ",\"subscription_count\":%llu", (unsigned long long)e->count) == OK);
    put(out, STR("}"));
}

static bool ends_with(struct str s, struct str end)
{
    return s.len >= end.len &&
           (end.len == 0 || memcmp(s.at + s.len - end.len, end.at, end.len) == 0);
}

static bool is_wanted(const struct hub_webhook *webhook, const struct hub_hook_event *e)
{
    return (webhook->kinds & (1u << e->kind)) != 0 &&
           (webhook->starts_with.len == 0 || str_starts(e->channel, webhook->starts_with)) &&
           ends_with(e->channel, webhook->ends_with);
}

static void tell(void *ctx, const struct hub_app *app, const struct hub_hook_event *e)
{
    struct hub_hook *h = ctx;
    struct buf text;
    bool is_written = false;
    for (size_t i = 0; i < app->webhook_count; i++) {
        if (!is_wanted(&app->webhooks[i], e))
            continue;
        if (!is_written)
            write_event(&text, e);
        is_written = true;
        gather(h, app, &app->webhooks[i],
               (struct str){(const char *)buf_head(&text), buf_len(&text)});
    }
    if (is_written)
        buf_done(&text);
}

/* Also who wants only the first of a pair must not be told of one that was never away. */
static unsigned with_partners(unsigned kinds)
{
    static const unsigned pairs[] = {
        1u << HUB_HOOK_CHANNEL_OCCUPIED | 1u << HUB_HOOK_CHANNEL_VACATED,
        1u << HUB_HOOK_MEMBER_ADDED | 1u << HUB_HOOK_MEMBER_REMOVED,
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (kinds & pairs[i])
            kinds |= pairs[i];
    return kinds;
}

void hub_hook_put(struct hub_hook *h, const struct hub_app *app, const struct hub_hook_event *event)
{
    for (size_t i = 0; i < app->webhook_count; i++) {
        struct hub_webhook wide = app->webhooks[i];
        wide.kinds = with_partners(wide.kinds);
        if (is_wanted(&wide, event)) {
            hub_hold_add(&h->hold, app, event);
            return;
        }
    }
}

/* ---- life ---- */

void hub_hook_flush(struct hub_hook *h)
{
    if (!h)
        return;
    hub_hold_flush(&h->hold);
    io_timer_stop(&h->timer);
    send_all(h);
}

struct hub_hook *hub_hook_new(struct io_loop *l, const struct hub_hook_sink *sink)
{
    struct hub_hook *h = MEM_NEW(struct hub_hook);
    h->loop = l;
    h->sink = *sink;
    hub_hold_init(&h->hold, l, tell, h);
    map_init(&h->batches);
    list_init(&h->open);
    io_timer_init(&h->timer, on_timer);
    return h;
}

void hub_hook_free(struct hub_hook *h)
{
    if (!h)
        return;
    io_timer_stop(&h->timer);
    hub_hold_done(&h->hold);
    while (!list_is_empty(&h->open))
        batch_free(h, LIST_ENTRY(h->open.next, struct batch, node));
    map_done(&h->batches);
    mem_free(h);
}
