/* hub_socket.c -- one client.
 *
 *     on_message -> hub_message_parse -> a row of events -> on_subscribe, on_ping, ...
 *
 * Liveness: a socket that was silent for ping_interval gets a ping; if it stays silent for as long
 * again (30 s at most), it is gone: 4201. One timer a socket, never moved when something comes: it
 * looks at the clock when it is due.
 */
#include "hub/hub_socket.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/check.h"
#include "core/crypto.h"
#include "core/log.h"
#include "core/mem.h"
#include "hub/hub_auth.h"
#include "hub/hub_message.h"

enum {
    ERROR_UNAUTHORIZED = 4009,
    ERROR_SLOW = 4100, // over capacity: pusher-js comes back after a second
    ERROR_BAD_MESSAGE = 4200,
    ERROR_NO_PONG = 4201,
    ERROR_NOT_ENABLED = 4301,
    STATUS_UNAUTHORIZED = 401,
    STATUS_LIMIT = 4009,
    STATUS_NOT_SUPPORTED = 501,
    MAX_PONG_WAIT_MS = 30000,
};

/* ---- sending ---- */

/* One slow phone must not hold the memory of a channel: it is told and let go. What it has not read
 * is lost, which it learns from the code. */
static void cut_off(struct hub_socket *s)
{
    enum { ROOM_FOR_WHY = 512 };
    log_warn("at=hub.slow_reader app=%.*s socket=%s waiting_bytes=%zu", STR_ARG(s->app->id), s->id,
             io_conn_waiting(s->ws.io));
    io_conn_set_max_out(s->ws.io, io_conn_waiting(s->ws.io) + ROOM_FOR_WHY);
    hub_socket_close(s, ERROR_SLOW, STR("Connection reads too slowly"));
}

void hub_socket_send_frames(struct hub_socket *s, const void *frames, size_t len)
{
    if (ws_conn_send_shared(&s->ws, frames, len) != OK)
        cut_off(s);
}

static enum err try_send_text(struct hub_socket *s, struct str text)
{
    struct ws_frame frame = {.opcode = WS_TEXT, .fin = true, .size_bytes = text.len};
    return ws_conn_send(&s->ws, &frame, text.at);
}

static void send_text(struct hub_socket *s, struct str text)
{
    if (try_send_text(s, text) != OK)
        cut_off(s);
}

/* Room for any one protocol message: a text of the client's may come back, escaped. */
static void init_out(const struct hub_socket *s, struct buf *out)
{
    buf_init(out, 1024 + 8 * s->app->max_message_bytes);
}

static void send_and_free(struct hub_socket *s, struct buf *out)
{
    send_text(s, (struct str){(const char *)buf_head(out), buf_len(out)});
    buf_done(out);
}

static void send_error(struct hub_socket *s, int code, struct str why)
{
    struct buf out;
    init_out(s, &out);
    hub_message_error(&out, code, why);
    send_and_free(s, &out);
}

static void send_bad_message(struct hub_socket *s)
{
    send_error(s, ERROR_BAD_MESSAGE, STR("Invalid message format"));
}

void hub_socket_close(struct hub_socket *s, int code, struct str why)
{
    struct buf out;
    init_out(s, &out);
    hub_message_error(&out, code, why);
    // A full queue has no room for the reason; the close code below gets through in any case.
    (void)!try_send_text(s, (struct str){(const char *)buf_head(&out), buf_len(&out)});
    buf_done(&out);
    ws_conn_close(&s->ws, code, why);
}

/* ---- subscriptions ---- */

struct hub_subscription *hub_socket_find_subscription(const struct hub_socket *s,
                                                      const struct hub_channel *c)
{
    struct hub_subscription *sub = s->subscriptions;
    while (sub && sub->channel != c)
        sub = sub->next;
    return sub;
}

static bool is_subscribed(const struct hub_socket *s, struct str name)
{
    const struct hub_channel *c = hub_channel_find(s->hub, s->app, name);
    return c && hub_socket_find_subscription(s, c);
}

static void leave(struct hub_socket *s, struct hub_subscription **link)
{
    struct hub_subscription *sub = *link;
    *link = sub->next;
    s->subscription_count--;
    hub_channel_leave(sub);
    mem_free(sub);
}

static void refuse_subscription(struct hub_socket *s, struct str channel, const char *type,
                                const char *why, int status)
{
    struct buf out;
    init_out(s, &out);
    hub_message_subscription_error(&out, channel, str_of(type), str_of(why), status);
    send_and_free(s, &out);
    log_debug("at=hub.subscribe app=%.*s socket=%s refused=%s", STR_ARG(s->app->id), s->id, type);
}

/* Reverb's clients wait for the error, soketi's and Echo's for the channel's own: they get both. */
static void refuse_unauthorized(struct hub_socket *s, struct str channel)
{
    send_error(s, ERROR_UNAUTHORIZED, STR("Connection is unauthorized"));
    refuse_subscription(s, channel, "AuthError", "The connection is unauthorized.",
                        STATUS_UNAUTHORIZED);
}

/* False when it was refused. Nothing is made before this says yes. */
static bool may_subscribe(struct hub_socket *s, const struct hub_message_subscribe *ask)
{
    if (ask->channel.len > s->app->max_channel_name_bytes) {
        refuse_subscription(s, ask->channel, "LimitReached", "The channel name is too long.",
                            STATUS_LIMIT);
        return false;
    }
    switch (hub_channel_kind_of(ask->channel)) {
    case HUB_CHANNEL_PUBLIC:
        break;
    case HUB_CHANNEL_PRIVATE:
        if (hub_auth_channel_is_valid(s->app, str_of(s->id), ask->channel, ask->channel_data,
                                      ask->auth))
            break;
        refuse_unauthorized(s, ask->channel);
        return false;
    case HUB_CHANNEL_PRESENCE:
        refuse_subscription(s, ask->channel, "NotSupported",
                            "Presence channels are not supported by this server.",
                            STATUS_NOT_SUPPORTED);
        return false;
    case HUB_CHANNEL_USER:
        refuse_unauthorized(s, ask->channel); // nobody is signed in
        return false;
    }
    return true;
}

static void on_subscribe(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    struct hub_message_subscribe ask;
    if (hub_message_parse_subscribe(m, a, &ask) != OK) {
        send_bad_message(s);
        return;
    }
    if (!may_subscribe(s, &ask))
        return;
    if (!is_subscribed(s, ask.channel)) {
        if (s->subscription_count >= s->app->max_channels) {
            refuse_subscription(s, ask.channel, "LimitReached",
                                "The connection has too many channels.", STATUS_LIMIT);
            return;
        }
        struct hub_subscription *sub = hub_channel_join(s->hub, s, ask.channel);
        sub->next = s->subscriptions;
        s->subscriptions = sub;
        s->subscription_count++;
    }
    struct buf out;
    init_out(s, &out);
    hub_message_subscribed(&out, ask.channel);
    send_and_free(s, &out);
}

static void on_unsubscribe(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    struct hub_message_subscribe ask;
    if (hub_message_parse_subscribe(m, a, &ask) != OK) {
        send_bad_message(s);
        return;
    }
    struct hub_channel *c = hub_channel_find(s->hub, s->app, ask.channel);
    for (struct hub_subscription **link = &s->subscriptions; c && *link; link = &(*link)->next) {
        if ((*link)->channel == c) {
            leave(s, link);
            return;
        }
    }
}

/* ---- messages ---- */

static void on_ping(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    (void)m;
    (void)a;
    send_text(s, hub_message_pong);
}

static void on_pong(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    (void)s; // on_message noted that it lives
    (void)m;
    (void)a;
}

static const struct {
    const char *event;
    void (*handle)(struct hub_socket *s, const struct hub_message *m, struct arena *a);
} events[] = {
    {"pusher:subscribe", on_subscribe},
    {"pusher:unsubscribe", on_unsubscribe},
    {"pusher:ping", on_ping},
    {"pusher:pong", on_pong},
};

static void on_protocol_event(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (str_eq(m->event, str_of(events[i].event))) {
            events[i].handle(s, m, a);
            return;
        }
    }
    send_bad_message(s);
}

/* Events of clients for clients. Names that do not start with client- are nobody's and ignored. */
static void on_client_event(struct hub_socket *s, const struct hub_message *m)
{
    bool has_channel = m->channel && m->channel->kind == JSON_STRING;
    bool has_data_or_none = !m->data || m->data->kind == JSON_OBJECT ||
                            m->data->kind == JSON_ARRAY || m->data->kind == JSON_NULL;
    if (!has_channel || !has_data_or_none)
        send_bad_message(s);
    else if (str_starts(m->event, STR("client-")))
        send_error(s, ERROR_NOT_ENABLED, STR("The app does not have client messaging enabled."));
}

static void note_activity(struct hub_socket *s)
{
    s->active_at_ms = io_loop_now_ms(s->hub->loop);
    s->is_pinged = false;
}

static void on_message(struct ws_conn *ws, enum ws_opcode type, struct str text)
{
    struct hub_socket *s = LIST_ENTRY(ws, struct hub_socket, ws);
    struct hub_message m;
    struct arena a;
    (void)type; // a binary is read as if it were a text

    note_activity(s);
    arena_init(&a);
    if (hub_message_parse(text, &a, &m) != OK)
        send_bad_message(s);
    else if (str_starts(m.event, STR("pusher:")))
        on_protocol_event(s, &m, &a);
    else
        on_client_event(s, &m);
    arena_done(&a);
}

static void on_control(struct ws_conn *ws)
{
    struct hub_socket *s = LIST_ENTRY(ws, struct hub_socket, ws);
    note_activity(s);
    s->uses_control_frames = true;
}

/* ---- life ---- */

static void ping(struct hub_socket *s)
{
    s->is_pinged = true;
    if (!s->uses_control_frames)
        send_text(s, hub_message_ping);
    else if (ws_conn_ping(&s->ws) != OK)
        cut_off(s);
}

static void on_timer(struct ws_conn *ws)
{
    struct hub_socket *s = LIST_ENTRY(ws, struct hub_socket, ws);
    int64_t interval_ms = s->app->ping_interval_s * 1000;
    int64_t silent_ms = io_loop_now_ms(s->hub->loop) - s->active_at_ms;
    if (silent_ms < interval_ms) {
        ws_conn_start_timer(ws, interval_ms - silent_ms);
    } else if (s->is_pinged) {
        hub_socket_close(s, ERROR_NO_PONG, STR("Pong reply not received in time"));
    } else {
        ping(s);
        ws_conn_start_timer(ws, interval_ms < MAX_PONG_WAIT_MS ? interval_ms : MAX_PONG_WAIT_MS);
    }
}

static void on_closed(struct ws_conn *ws)
{
    struct hub_socket *s = LIST_ENTRY(ws, struct hub_socket, ws);
    while (s->subscriptions)
        leave(s, &s->subscriptions);
    if (s->is_accepted)
        map_remove(&s->hub->socket_ids, str_of(s->id));
    list_remove(&s->node);
    s->hub->socket_count--;
    mem_free(s);
}

static struct hub_socket *socket_new(struct hub *h, const struct hub_app *app, struct io_conn *io)
{
    static const struct ws_conn_handler handler = {
        .on_message = on_message,
        .on_control = on_control,
        .on_timer = on_timer,
        .on_closed = on_closed,
    };
    struct hub_socket *s = MEM_NEW(struct hub_socket);
    s->hub = h;
    s->app = app;
    list_init(&s->node);
    list_append(&h->sockets, &s->node);
    h->socket_count++;
    ws_conn_init(&s->ws, io, &handler, app->max_message_bytes, app->max_out_bytes);
    note_activity(s);
    return s;
}

/* 1 to 10^9, each equally likely. */
static uint32_t random_part(void)
{
    enum { PARTS = 1000000000, FAIR_PARTS = 4 };
    uint32_t value;
    do
        crypto_random(&value, sizeof(value));
    while (value >= (uint32_t)FAIR_PARTS * PARTS);
    return value % PARTS + 1;
}

static void choose_id(struct hub_socket *s)
{
    do
        snprintf(s->id, sizeof(s->id), "%" PRIu32 ".%" PRIu32, random_part(), random_part());
    while (hub_socket_find(s->hub, str_of(s->id)));
    map_put(&s->hub->socket_ids, str_of(s->id), s);
    s->is_accepted = true;
}

void hub_socket_accept(struct hub *h, const struct hub_app *app, struct io_conn *io,
                       bool is_pusher_js, const struct buf *early)
{
    struct hub_socket *s = socket_new(h, app, io);
    s->uses_control_frames = !is_pusher_js;
    choose_id(s);

    struct buf out;
    init_out(s, &out);
    hub_message_established(&out, str_of(s->id), app->activity_timeout_s);
    send_and_free(s, &out);
    ws_conn_start_timer(&s->ws, app->ping_interval_s * 1000);
    ws_conn_receive(&s->ws, buf_head(early), buf_len(early));
}

void hub_socket_refuse(struct hub *h, struct io_conn *io, int code, struct str why)
{
    hub_socket_close(socket_new(h, &hub_app_defaults, io), code, why);
}

struct hub_socket *hub_socket_find(const struct hub *h, struct str id)
{
    return map_find(&h->socket_ids, id);
}
