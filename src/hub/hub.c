#include "hub/hub.h"

#include "core/check.h"
#include "core/mem.h"
#include "hub/hub_backend.h"
#include "hub/hub_catchup.h"
#include "hub/hub_channel.h"
#include "hub/hub_frames.h"
#include "hub/hub_post.h"
#include "hub/hub_recovery.h"
#include "hub/hub_relay_internal.h"
#include "hub/hub_room.h"
#include "hub/hub_socket.h"
#include "hub/hub_user.h"
#include "hub/hub_watch.h"
#include "hub/hub_ws.h"
#include "hub/hub_xhr.h"
#include "ws/ws_handshake.h"

enum { STOP_GRACE_MS = 5000, MIN_PROTOCOL = 5, MAX_PROTOCOL = 7 };

static void on_turn_end(struct io_hook *hook)
{
    struct hub *h = LIST_ENTRY(hook, struct hub, hook);
    hub_recovery_flush(h);
    hub_channel_flush_all(h);
    hub_post_observe_turn(h);
}

static void on_stop_timer(struct io_timer *timer);

static struct hub_tenant *tenant_new(struct hub *h, const struct hub_app *app)
{
    struct hub_tenant *t = MEM_NEW(struct hub_tenant);
    t->hub = h;
    t->app = app;
    map_init(&t->channels);
    map_init(&t->watches);
    map_init(&t->people);
    list_init(&t->late);
    hub_room_init_tenant(t);
    return t;
}

static void tenant_free(struct hub_tenant *t)
{
    hub_user_done_tenant(t);
    hub_room_done_tenant(t);
    map_done(&t->channels);
    map_done(&t->people);
    mem_free(t);
}

void hub_add_tenants(struct hub *h, const struct hub_apps *apps)
{
    size_t count = h->tenant_count;
    for (size_t i = 0; i < apps->count; i++)
        if (apps->at[i].slot >= count)
            count = apps->at[i].slot + 1;
    h->tenants = mem_realloc(h->tenants, (count + 1) * sizeof(struct hub_tenant *));
    for (; h->tenant_count < count; h->tenant_count++)
        h->tenants[h->tenant_count] = NULL;
    for (size_t i = 0; i < apps->count; i++) {
        const struct hub_app *app = &apps->at[i];
        if (!h->tenants[app->slot])
            h->tenants[app->slot] = tenant_new(h, app);
    }
}

/* Closing is a request: the socket stays in the list for this turn. */
static void close_unserved(struct hub *h)
{
    for (struct list *node = h->sockets.next; node != &h->sockets; node = node->next) {
        struct hub_socket *s = LIST_ENTRY(node, struct hub_socket, node);
        if (!s->tenant)
            continue;
        if (!hub_app_find_by_id(h->apps, s->tenant->app->id))
            hub_socket_close(s, HUB_ERROR_NO_APP, STR("Application does not exist"));
        else if (s->tenant->app->is_disabled)
            hub_socket_close(s, HUB_ERROR_DISABLED, STR("Application is disabled"));
    }
}

void hub_use_apps(struct hub *h, const struct hub_apps *apps)
{
    h->apps = apps;
    for (size_t i = 0; i < apps->count; i++) {
        struct hub_tenant *t = hub_tenant_of(h, &apps->at[i]);
        t->app = &apps->at[i];
        hub_room_use_app(t);
    }
    close_unserved(h);
}

struct hub *hub_new(struct io_loop *l, const struct hub_apps *apps, struct hub_relay *relay,
                    bool may_compress)
{
    struct hub *h = MEM_NEW(struct hub);
    h->loop = l;
    h->apps = apps;
    h->relay = relay;
    h->may_compress = may_compress;
    hub_add_tenants(h, apps);
    map_init(&h->socket_ids);
    list_init(&h->sockets);
    list_init(&h->stopping);
    map_init(&h->sessions);
    list_init(&h->carriers);
    list_init(&h->gaps);
    list_init(&h->turns);
    hub_hold_init(&h->counts, l, hub_room_tell_count, h);
    list_init(&h->listings);
    hub_recovery_init_hub(h);
    hub_catchup_init_hub(h);
    list_init(&h->late);
    h->watch = hub_watch_new(h);
    h->frames = hub_frames_new();
    io_timer_init(&h->stop_timer, on_stop_timer);
    h->hook.run = on_turn_end;
    io_loop_add_hook(l, &h->hook);
    hub_relay_join(relay, h);
    return h;
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    hub_xhr_done(h);
    hub_hold_done(&h->counts);
    CHECK(h->socket_count == 0);
    hub_backend_give_up(h);
    hub_recovery_done_hub(h);
    for (size_t i = 0; i < h->tenant_count; i++)
        if (h->tenants[i])
            tenant_free(h->tenants[i]);
    mem_free(h->tenants);
    hub_hook_free(h->webhooks);
    hub_watch_free(h->watch);
    hub_frames_free(h->frames);
    map_done(&h->socket_ids);
    mem_free(h);
}

void hub_send_webhooks(struct hub *h, const struct hub_hook_sink *sink)
{
    CHECK(!h->webhooks);
    h->webhooks = hub_hook_new(h->loop, sink);
}

void hub_flush_webhooks(struct hub *h)
{
    hub_room_end_leaves(h);
    hub_hook_flush(h->webhooks);
}

const struct hub_apps *hub_apps_of(const struct hub *h)
{
    return h->apps;
}

struct hub_relay *hub_relay_of(const struct hub *h)
{
    return h->relay;
}

bool hub_is_over(const struct hub *h)
{
    return h->relay->is_closed;
}

size_t hub_socket_count(const struct hub *h)
{
    return h->socket_count;
}

/* Java, Swift and Flutter clients answer control frames only, and say who they are. */
static bool is_pusher_js(struct http_exchange *x)
{
    struct str client;
    return http_form_get(x->req.query, STR("client"), &x->arena, &client) != OK ||
           client.len == 0 || str_eq(client, STR("js"));
}

/* What Pusher says of ?protocol=; Reverb does not look. */
static struct hub_refusal check_protocol(struct http_exchange *x)
{
    struct str version;
    int64_t number;
    if (http_form_get(x->req.query, STR("protocol"), &x->arena, &version) != OK || version.len == 0)
        return (struct hub_refusal){HUB_ERROR_NO_PROTOCOL, STR("No protocol version supplied")};
    if (str_parse_int(version, &number) != OK)
        return (struct hub_refusal){HUB_ERROR_BAD_PROTOCOL, STR("Invalid version string format")};
    if (number < MIN_PROTOCOL || number > MAX_PROTOCOL)
        return (struct hub_refusal){HUB_ERROR_OTHER_PROTOCOL, STR("Unsupported protocol version")};
    return (struct hub_refusal){0};
}

struct hub_refusal hub_check_app(const struct hub *h, const struct hub_app *app,
                                 struct http_exchange *x)
{
    if (h->is_stopping)
        return (struct hub_refusal){HUB_ERROR_RECONNECT, STR("Server is shutting down")};
    if (!app)
        return (struct hub_refusal){HUB_ERROR_NO_APP, STR("Application does not exist")};
    if (app->is_disabled)
        return (struct hub_refusal){HUB_ERROR_DISABLED, STR("Application is disabled")};
    if (!hub_admission_allows_origin(app, http_field_get(&x->req, STR("Origin"))))
        return (struct hub_refusal){HUB_ERROR_UNAUTHORIZED, STR("Origin not allowed")};
    return app->is_strict ? check_protocol(x) : (struct hub_refusal){0};
}

void hub_accept(struct hub *h, struct http_exchange *x, struct str key)
{
    const struct hub_app *app = hub_app_find_by_key(h->apps, key);
    struct hub_hello hello = {.is_pusher_js = is_pusher_js(x)};
    struct hub_refusal refusal = hub_check_app(h, app, x);
    char address[HUB_ADMISSION_ADDRESS_BYTES], key_bytes[HUB_WATCH_SHOWN_BYTES];
    hub_admission_address(x->peer, address);
    key = hub_watch_shorten(key); // x takes its bytes along
    memcpy(key_bytes, key.at, key.len);
    key.at = key_bytes;

    struct ws_upgrade up;
    // Tools that watch a Reverb server look for this field.
    struct io_conn *io =
        ws_handshake_upgrade(x, "X-Powered-By: Laravel Reverb\r\n", h->may_compress, &up);
    if (!io)
        return;
    if (!refusal.code)
        refusal = hub_admission_enter(h->relay->admissions, app, address, &hello.admitted);
    if (refusal.code) {
        hub_watch(h, &(struct hub_watch_event){.kind = HUB_WATCH_REFUSED,
                                               .app = app,
                                               .key = key,
                                               .address = address,
                                               .code = refusal.code,
                                               .why = refusal.why});
        hub_ws_refuse(h, io, &up, refusal.code, refusal.why);
    } else {
        hello.address = address;
        hub_ws_accept(hub_tenant_of(h, app), io, &hello, &up);
    }
    buf_done(&up.early);
}

/* ---- stopping ---- */

static size_t list_length(const struct list *l)
{
    size_t length = 0;
    for (const struct list *node = l->next; node != l; node = node->next)
        length++;
    return length;
}

/* How many of the sockets still to be told are due now, so that they end evenly. */
static size_t count_due(const struct hub *h, int64_t now_ms)
{
    size_t left = list_length(&h->sockets);
    int64_t ticks_left = (h->stop_by_ms - now_ms) / IO_TIMER_TICK_MS;
    return ticks_left > 0 ? (left + (size_t)ticks_left - 1) / (size_t)ticks_left : left;
}

static void abort_all(struct list *sockets)
{
    for (struct list *node = sockets->next; node != sockets; node = node->next) {
        struct hub_socket *s = LIST_ENTRY(node, struct hub_socket, node);
        s->transport->abort(s);
    }
}

static void on_stop_timer(struct io_timer *timer)
{
    struct hub *h = LIST_ENTRY(timer, struct hub, stop_timer);
    int64_t now_ms = io_loop_now_ms(h->loop);
    if (h->socket_count == 0) {
        h->on_stopped(h->on_stopped_ctx);
        return;
    }
    for (size_t due = count_due(h, now_ms); due > 0; due--) {
        struct list *node = list_shift(&h->sockets);
        list_append(&h->stopping, node);
        hub_socket_close(LIST_ENTRY(node, struct hub_socket, node), HUB_ERROR_RECONNECT,
                         STR("Server is shutting down"));
    }
    if (now_ms >= h->give_up_ms)
        abort_all(&h->stopping);
    io_timer_start(h->loop, &h->stop_timer, IO_TIMER_TICK_MS);
}

void hub_stop(struct hub *h, int64_t spread_ms, void (*on_stopped)(void *ctx), void *ctx)
{
    CHECK(!h->is_stopping);
    h->is_stopping = true;
    h->on_stopped = on_stopped;
    h->on_stopped_ctx = ctx;
    h->stop_by_ms = io_loop_now_ms(h->loop) + spread_ms;
    h->give_up_ms = h->stop_by_ms + STOP_GRACE_MS;
    io_timer_start(h->loop, &h->stop_timer, 0);
}
