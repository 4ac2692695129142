/* hub_socket.c -- one client.
 *
 *     transport -> hub_socket_receive -> hub_message_parse -> a row of events -> hub_subscribe, ...
 *
 * Liveness: a socket that was silent for ping_interval gets a ping; if it stays silent for as long
 * again (30 s at most), it is gone: 4201. One timer a socket, never moved when something comes: it
 * looks at the clock when it is due.
 */
#include "hub/hub_socket.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/log.h"
#include "core/mem.h"
#include "hub/hub_catchup.h"
#include "hub/hub_client_event.h"
#include "hub/hub_frames.h"
#include "hub/hub_message.h"
#include "hub/hub_relay_internal.h"
#include "hub/hub_subscribe.h"
#include "hub/hub_user.h"
#include "hub/hub_watch.h"
#include "ws/ws_close.h"

enum { MAX_PONG_WAIT_MS = 30000 };

static const struct hub_app *app_of(const struct hub_socket *s)
{
    return s->tenant ? s->tenant->app : &hub_app_defaults;
}

static struct hub_meter *meter_of(const struct hub_socket *s)
{
    return s->tenant ? &s->tenant->meter : &s->hub->meter;
}

/* ---- sending ---- */

/* One slow phone must not hold the memory of a channel: it is told and let go. What it has not read
 * is lost, which it learns from the code. */
void hub_socket_cut_off(struct hub_socket *s)
{
    enum { ROOM_FOR_WHY = 512 };
    size_t waiting = s->transport->waiting(s);
    log_warn("at=hub.slow_reader app=%.*s socket=%s waiting_bytes=%zu", STR_ARG(app_of(s)->id),
             s->id, waiting);
    hub_meter_add(meter_of(s), HUB_METER_SLOW_READERS, 1);
    s->transport->set_max_waiting(s, waiting + ROOM_FOR_WHY);
    hub_socket_close(s, HUB_ERROR_OVER_CAPACITY, STR("Connection reads too slowly"));
}

void hub_socket_send_frames(struct hub_socket *s, const void *frames, size_t len)
{
    hub_frames_out_raw(s, frames, len);
    if (s->transport->send_frames(s, frames, len) != OK)
        hub_socket_cut_off(s);
}

void hub_socket_send_text(struct hub_socket *s, struct str text)
{
    hub_meter_add_text(meter_of(s), text.len);
    hub_frames_out(s, text);
    if (s->transport->send_text(s, text) != OK)
        hub_socket_cut_off(s);
}

void hub_socket_init_out(const struct hub_socket *s, struct buf *out)
{
    buf_init(out, 1024 + 8 * app_of(s)->max_message_bytes);
}

static struct str text_of(const struct buf *out)
{
    return (struct str){(const char *)buf_head(out), buf_len(out)};
}

void hub_socket_send_out(struct hub_socket *s, struct buf *out)
{
    hub_socket_send_text(s, text_of(out));
    buf_done(out);
}

void hub_socket_send_error(struct hub_socket *s, int code, struct str why)
{
    struct buf out;
    hub_socket_init_out(s, &out);
    hub_message_error(&out, code, why);
    hub_socket_send_out(s, &out);
}

void hub_socket_send_bad_message(struct hub_socket *s)
{
    struct str why = STR("Invalid message format");
    hub_watch_socket(s, (struct hub_watch_event){.kind = HUB_WATCH_REFUSED_MESSAGE,
                                                 .code = HUB_ERROR_RECONNECT,
                                                 .why = why});
    hub_socket_send_error(s, HUB_ERROR_RECONNECT, why);
}

void hub_socket_close(struct hub_socket *s, int code, struct str why)
{
    struct buf out;
    if (s->is_closing)
        return;
    s->is_closing = true;
    if (s->id[0]) // else it was refused, which was told
        hub_watch_socket(
            s, (struct hub_watch_event){.kind = HUB_WATCH_ENDED, .code = code, .why = why});
    hub_socket_init_out(s, &out);
    hub_message_error(&out, code, why);
    hub_meter_add_text(meter_of(s), buf_len(&out));
    hub_frames_out(s, text_of(&out));
    // A full queue has no room for the reason; the close code below gets through in any case.
    (void)!s->transport->send_text(s, text_of(&out));
    buf_done(&out);
    s->transport->close(s, code, why);
}

/* ---- messages ---- */

static void on_ping(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    (void)m;
    (void)a;
    hub_socket_send_text(s, hub_message_pong);
    hub_catchup_tell_socket(s);
}

static void on_pong(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    (void)s; // hub_socket_receive noted that it lives
    (void)m;
    (void)a;
}

static const struct {
    const char *event;
    void (*handle)(struct hub_socket *s, const struct hub_message *m, struct arena *a);
} events[] = {
    {"pusher:subscribe", hub_subscribe},
    {"pusher:unsubscribe", hub_subscribe_cancel},
    {"pusher:ping", on_ping},
    {"pusher:pong", on_pong},
    {"pusher:signin", hub_user_sign_in},
};

static void on_protocol_event(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (str_eq(m->event, str_of(events[i].event))) {
            events[i].handle(s, m, a);
            return;
        }
    }
    hub_socket_send_bad_message(s);
}

static void note_activity(struct hub_socket *s)
{
    s->active_at_ms = io_loop_now_ms(s->hub->loop);
    s->is_pinged = false;
}

struct hub_limits *hub_socket_limits(struct hub_socket *s)
{
    if (!s->limits)
        s->limits = MEM_NEW(struct hub_limits);
    return s->limits;
}

/* False: the message is one too many. */
static bool may_send(struct hub_socket *s)
{
    const struct hub_app *app = app_of(s);
    if (app->rate.max_attempts <= 0 ||
        hub_limit_take(&hub_socket_limits(s)->messages, s->active_at_ms, app->rate.max_attempts,
                       app->rate.decay_s * 1000))
        return true;
    struct str why = STR("Rate limit exceeded");
    hub_meter_add(meter_of(s), HUB_METER_RATE_LIMITED, 1);
    hub_watch_socket(s, (struct hub_watch_event){.kind = HUB_WATCH_REFUSED_MESSAGE,
                                                 .code = HUB_ERROR_CLIENT_EVENT,
                                                 .why = why});
    if (app->rate.terminates)
        hub_socket_close(s, HUB_ERROR_CLIENT_EVENT, why);
    else
        hub_socket_send_error(s, HUB_ERROR_CLIENT_EVENT, why);
    return false;
}

void hub_socket_receive(struct hub_socket *s, struct str text)
{
    struct hub_message m;
    struct arena a;

    note_activity(s);
    hub_meter_add(meter_of(s), HUB_METER_RECEIVED, 1);
    hub_meter_add(meter_of(s), HUB_METER_RECEIVED_BYTES, text.len);
    hub_frames_in(s, text);
    if (text.len > app_of(s)->max_message_bytes) { // the transport's limit is from before a reload
        hub_socket_close(s, WS_CLOSE_TOO_LARGE, STR("Maximum message size exceeded"));
        return;
    }
    if (!may_send(s))
        return;
    arena_init(&a);
    if (hub_message_parse(text, &a, &m) != OK)
        hub_socket_send_bad_message(s);
    else if (str_starts(m.event, STR("pusher:")))
        on_protocol_event(s, &m, &a);
    else
        hub_client_event(s, &m, &a);
    arena_done(&a);
}

void hub_socket_on_control(struct hub_socket *s)
{
    note_activity(s);
    s->uses_control_frames = true;
}

/* ---- life ---- */

static void ping(struct hub_socket *s)
{
    s->is_pinged = true;
    if (!s->uses_control_frames)
        hub_socket_send_text(s, hub_message_ping);
    else if (s->transport->ping(s) != OK)
        hub_socket_cut_off(s);
    hub_catchup_tell_socket(s);
}

/* Milliseconds until it must be looked at again; 0: it is over. */
static int64_t check_alive(struct hub_socket *s, int64_t now_ms)
{
    int64_t interval_ms = app_of(s)->ping_interval_s * 1000;
    int64_t pong_wait_ms = interval_ms < MAX_PONG_WAIT_MS ? interval_ms : MAX_PONG_WAIT_MS;
    int64_t silent_ms = now_ms - s->active_at_ms;
    if (silent_ms < interval_ms)
        return interval_ms - silent_ms;
    if (!s->is_pinged)
        ping(s);
    else if (silent_ms >= interval_ms + pong_wait_ms)
        return 0;
    int64_t left_ms = interval_ms + pong_wait_ms - silent_ms;
    return left_ms > 0 ? left_ms : pong_wait_ms; // the clock jumped: it has its time to answer
}

void hub_socket_on_timer(struct hub_socket *s)
{
    int64_t now_ms = io_loop_now_ms(s->hub->loop);
    bool must_authorize = s->authorize_by_ms > 0 && !s->is_authorized;
    if (must_authorize && now_ms >= s->authorize_by_ms) {
        hub_socket_close(s, HUB_ERROR_UNAUTHORIZED, STR("Connection not authorized in time"));
        return;
    }
    int64_t wait_ms = check_alive(s, now_ms);
    if (wait_ms == 0) {
        hub_subscribe_leave_all(s); // the others need not wait for an answer to the close
        hub_socket_close(s, HUB_ERROR_NO_PONG, STR("Pong reply not received in time"));
        return;
    }
    if (must_authorize && s->authorize_by_ms - now_ms < wait_ms)
        wait_ms = s->authorize_by_ms - now_ms;
    s->transport->start_timer(s, wait_ms);
}

/* A number of 1 to 10^9, each equally likely. */
static uint32_t choose_part(struct hub *h)
{
    const uint32_t count = 1000000000, fair = 4 * count;
    for (;;) {
        if (h->random_left == 0) {
            crypto_random(h->random, sizeof(h->random));
            h->random_left = HUB_RANDOM_COUNT;
        }
        uint32_t number = h->random[--h->random_left];
        if (number < fair)
            return number % count + 1;
    }
}

static void choose_id(struct hub_socket *s)
{
    do {
        uint32_t first = choose_part(s->hub), second = choose_part(s->hub);
        snprintf(s->id, sizeof(s->id), "%" PRIu32 ".%" PRIu32, first, second);
    } while (hub_socket_find(s->hub, str_of(s->id)));
    map_put(&s->hub->socket_ids, str_of(s->id), s);
}

void hub_socket_init(struct hub_socket *s, const struct hub_transport *transport, struct hub *h,
                     struct hub_tenant *tenant)
{
    s->transport = transport;
    s->hub = h;
    s->tenant = tenant;
    list_init(&s->node);
    list_append(&h->sockets, &s->node);
    h->socket_count++;
    note_activity(s);
}

static void keep_address(struct hub_socket *s, const char *address)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    if (!address || inet_pton(AF_INET6, address, s->address) == 1)
        return;
    if (inet_pton(AF_INET, address, s->address + sizeof(mapped)) == 1)
        memcpy(s->address, mapped, sizeof(mapped));
}

const char *hub_socket_address(const struct hub_socket *s,
                               char out[static HUB_ADMISSION_ADDRESS_BYTES])
{
    static const uint8_t unknown[sizeof(s->address)];
    struct in6_addr v6;
    memcpy(&v6, s->address, sizeof(v6));
    bool is_v4 = IN6_IS_ADDR_V4MAPPED(&v6);
    out[0] = '\0';
    if (memcmp(s->address, unknown, sizeof(unknown)) != 0)
        CHECK(inet_ntop(is_v4 ? AF_INET : AF_INET6, s->address + (is_v4 ? 12 : 0), out,
                        HUB_ADMISSION_ADDRESS_BYTES));
    return out;
}

void hub_socket_open(struct hub_socket *s, const struct hub_hello *hello)
{
    const struct hub_app *app = s->tenant->app;
    struct buf out;
    s->uses_control_frames = !hello->is_pusher_js;
    s->is_counted = hello->admitted.is_counted;
    s->counted_address = hello->admitted.address;
    s->opened_at_ms = clock_unix_ms();
    keep_address(s, hello->address);
    choose_id(s);
    hub_meter_add(&s->tenant->meter, HUB_METER_OPENED, 1);
    hub_watch_note(s, HUB_WATCH_OPENED, STR(""));
    hub_socket_init_out(s, &out);
    hub_message_established(&out, str_of(s->id), app->activity_timeout_s);
    hub_socket_send_out(s, &out);
    if (app->requires_authorized)
        s->authorize_by_ms = s->active_at_ms + app->authorized_timeout_s * 1000;
    int64_t first_s = app->requires_authorized && app->authorized_timeout_s < app->ping_interval_s
                          ? app->authorized_timeout_s
                          : app->ping_interval_s;
    s->transport->start_timer(s, first_s * 1000);
}

void hub_socket_done(struct hub_socket *s)
{
    hub_subscribe_leave_all(s);
    hub_user_leave(s);
    if (s->tenant)
        hub_admission_leave(s->hub->relay->admissions, s->tenant->app,
                            &(struct hub_admitted){s->counted_address, s->is_counted});
    if (s->id[0]) {
        CHECK(s->tenant); // it was opened
        hub_meter_add(&s->tenant->meter, HUB_METER_CLOSED, 1);
        hub_watch_note(s, HUB_WATCH_CLOSED, STR(""));
        map_remove(&s->hub->socket_ids, str_of(s->id));
    }
    list_remove(&s->node);
    s->hub->socket_count--;
    mem_free(s->limits);
}

/* ---- finding ---- */

struct hub_socket *hub_socket_find(const struct hub *h, struct str id)
{
    return map_find(&h->socket_ids, id);
}

struct hub_subscription *hub_socket_find_subscription(const struct hub_socket *s,
                                                      const struct hub_channel *c)
{
    struct hub_subscription *sub = s->subscriptions;
    while (sub && sub->channel != c)
        sub = sub->next;
    return sub;
}

struct hub_subscription *hub_socket_find_by_name(const struct hub_socket *s, struct str channel)
{
    const struct hub_channel *c = hub_channel_find(s->tenant, channel);
    return c ? hub_socket_find_subscription(s, c) : NULL;
}
