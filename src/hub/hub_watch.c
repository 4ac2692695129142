#include "hub/hub_watch.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "hub/hub_post.h"
#include "hub/hub_socket.h"
#include "hub/hub_tail_internal.h"
#include "ws/ws_frame.h"

enum { MAX_LOGGED_A_SECOND = 10 };

/* What is done with each kind. */
static const struct {
    const char *name; // in the log, the JSON
    enum hub_meter_coded coded;
    bool is_coded; // counted as coded
    bool is_kept;  // among the last refusals
} kinds[HUB_WATCH_KINDS] = {
    [HUB_WATCH_OPENED] = {.name = "opened"},
    [HUB_WATCH_ENDED] = {.name = "ended", .is_coded = true, .coded = HUB_METER_ENDED},
    [HUB_WATCH_CLOSED] = {.name = "closed"},
    [HUB_WATCH_SUBSCRIBED] = {.name = "subscribed"},
    [HUB_WATCH_UNSUBSCRIBED] = {.name = "unsubscribed"},
    [HUB_WATCH_PUBLISHED] = {.name = "published"},
    [HUB_WATCH_CLIENT_EVENT] = {.name = "client_event"},
    [HUB_WATCH_MEMBER_EVENT] = {.name = "member_event"},
    [HUB_WATCH_DELIVERED] = {.name = "delivered"},
    [HUB_WATCH_REFUSED] = {"refused_connection", HUB_METER_REFUSED_CONNECTION, true, true},
    [HUB_WATCH_REFUSED_SUBSCRIPTION] = {"refused_subscription", HUB_METER_REFUSED_SUBSCRIPTION,
                                        true, true},
    [HUB_WATCH_REFUSED_CLIENT_EVENT] = {"refused_client_event", HUB_METER_REFUSED_CLIENT_EVENT,
                                        true, true},
    [HUB_WATCH_REFUSED_SIGNIN] = {"refused_signin", HUB_METER_REFUSED_SIGNIN, true, true},
    [HUB_WATCH_REFUSED_MESSAGE] = {"refused_message", HUB_METER_REFUSED_MESSAGE, true, true},
};

struct hub_watch *hub_watch_new(struct hub *h)
{
    struct hub_watch *w = MEM_NEW(struct hub_watch);
    w->hub = h;
    list_init(&w->taps);
    list_init(&w->tails);
    return w;
}

void hub_watch_free(struct hub_watch *w)
{
    hub_tail_done(w);
    for (size_t i = 0; i < HUB_WATCH_KEPT; i++)
        mem_free(w->kept[i]);
    mem_free(w);
}

/* ---- as JSON ---- */

struct str hub_watch_shorten(struct str s)
{
    return utf8_cut(s, HUB_WATCH_SHOWN_BYTES);
}

static void put_text(struct buf *out, const char *name, struct str value)
{
    if (value.len == 0)
        return;
    CHECK(buf_printf(out, ",\"%s\":", name) == OK);
    CHECK(json_write_string(out, hub_watch_shorten(value)) == OK);
}

static void put_event(struct buf *out, struct str event_json)
{
    if (event_json.len > 0 && event_json.len <= HUB_WATCH_SHOWN_BYTES)
        CHECK(buf_printf(out, ",\"event\":%.*s", STR_ARG(event_json)) == OK);
}

void hub_watch_write(struct buf *out, const struct hub_watch_event *e, int64_t at_ms)
{
    CHECK(buf_printf(out, "{\"at_ms\":%lld,\"what\":\"%s\"", (long long)at_ms,
                     kinds[e->kind].name) == OK);
    put_text(out, "app", e->app ? e->app->id : STR(""));
    put_text(out, "key", e->key);
    put_text(out, "socket_id", e->socket_id);
    put_text(out, "address", e->address ? str_of(e->address) : STR(""));
    put_text(out, "channel", e->channel);
    put_event(out, e->event_json);
    if (e->bytes > 0)
        CHECK(buf_printf(out, ",\"bytes\":%zu", e->bytes) == OK);
    if (e->subscribers > 0 || e->kind == HUB_WATCH_PUBLISHED)
        CHECK(buf_printf(out, ",\"subscribers\":%zu", e->subscribers) == OK);
    if (e->code != 0)
        CHECK(buf_printf(out, ",\"code\":%d", e->code) == OK);
    put_text(out, "why", e->why);
    CHECK(buf_append(out, "}", 1) == OK);
}

/* ---- keeping and logging ---- */

static void keep(struct hub_watch *w, const struct hub_watch_event *e)
{
    struct buf text;
    int64_t at_ms = clock_unix_ms();
    buf_init(&text, HUB_WATCH_MAX_LINE_BYTES);
    hub_watch_write(&text, e, at_ms);
    struct str channel = hub_watch_shorten(e->channel);
    struct hub_watch_row *row =
        mem_zalloc(sizeof(*row) + buf_len(&text) + e->socket_id.len + channel.len);
    row->at_ms = at_ms;
    row->app = e->app;
    row->len = buf_len(&text);
    memcpy(row->text, buf_head(&text), row->len);
    char *at = row->text + row->len;
    row->socket_id = str_keep(&at, e->socket_id);
    row->channel = str_keep(&at, channel);
    buf_done(&text);
    struct hub_watch_row **slot = &w->kept[w->kept_count++ % HUB_WATCH_KEPT];
    mem_free(*slot);
    *slot = row;
}

/* Whom a limit or a rule of the app kept out is of interest to its operator; how many lines come of
 * it is not up to clients. */
static bool may_log(struct hub_watch *w)
{
    int64_t second = io_loop_now_ms(w->hub->loop) / 1000;
    if (second != w->log_second) {
        if (w->suppressed > 0)
            log_info("at=hub.refused_connection suppressed=%u", w->suppressed);
        w->log_second = second;
        w->logged = w->suppressed = 0;
    }
    if (w->logged < MAX_LOGGED_A_SECOND) {
        w->logged++;
        return true;
    }
    w->suppressed++;
    return false;
}

static void log_event(struct hub_watch *w, const struct hub_watch_event *e)
{
    char key[LOG_QUOTE_BYTES], channel[LOG_QUOTE_BYTES];
    bool is_limit = e->kind == HUB_WATCH_REFUSED &&
                    (e->code == HUB_ERROR_QUOTA || e->code == HUB_ERROR_UNAUTHORIZED ||
                     e->code == HUB_ERROR_OVER_CAPACITY);
    enum log_level level = is_limit && may_log(w) ? LOG_INFO : LOG_DEBUG;
    log_line(level,
             "at=hub.%s app=%.*s key=%s socket=%.*s address=%s channel=%s code=%d why=\"%.*s\"",
             kinds[e->kind].name, e->app ? (int)e->app->id.len : 0, e->app ? e->app->id.at : "",
             log_quote(e->key, key), STR_ARG(e->socket_id), e->address ? e->address : "",
             log_quote(e->channel, channel), e->code, STR_ARG(e->why));
}

void hub_watch(struct hub *h, const struct hub_watch_event *e)
{
    struct hub_meter *m = e->app ? &hub_tenant_of(h, e->app)->meter : &h->meter;
    if (kinds[e->kind].is_coded) {
        hub_meter_add_code(m, kinds[e->kind].coded, e->code);
        log_event(h->watch, e);
    }
    if (kinds[e->kind].is_kept)
        keep(h->watch, e);
    if (hub_watch_is_tapped(h))
        hub_tail_tell(h->watch, e);
}

void hub_watch_socket(const struct hub_socket *s, struct hub_watch_event e)
{
    char address[HUB_ADMISSION_ADDRESS_BYTES];
    e.app = s->tenant ? s->tenant->app : NULL;
    e.socket_id = str_of(s->id);
    e.address = hub_socket_address(s, address);
    hub_watch(s->hub, &e);
}

void hub_watch_note(const struct hub_socket *s, enum hub_watch_kind kind, struct str channel)
{
    if (hub_watch_is_tapped(s->hub))
        hub_watch_socket(s, (struct hub_watch_event){.kind = kind, .channel = channel});
}

/* ---- publications, when tapped ---- */

/* The name with its quotes, borrowed from the frame. */
static struct str event_of(struct str text)
{
    struct json_field fields[JSON_MAX_FIELDS];
    size_t count = 0;
    if (json_scan_object(text, fields, JSON_MAX_FIELDS, &count) != OK)
        return STR("");
    const struct json_slice *event = json_field_find(fields, count, STR("event"));
    return event ? event->text : STR("");
}

static struct hub_watch_event event_from(const struct hub_publication *p)
{
    static const enum hub_watch_kind kind_of[] = {
        [HUB_EVENT] = HUB_WATCH_PUBLISHED,
        [HUB_CLIENT_EVENT] = HUB_WATCH_CLIENT_EVENT,
        [HUB_MEMBER_EVENT] = HUB_WATCH_MEMBER_EVENT,
    };
    struct ws_frame frame;
    size_t header;
    CHECK(ws_frame_parse((const uint8_t *)p->frame.at, p->frame.len, &frame, &header) == OK);
    struct str text = {p->frame.at + header, (size_t)frame.size_bytes};
    return (struct hub_watch_event){
        .kind = kind_of[p->kind],
        .app = p->app,
        .channel = p->channel,
        .event_json = event_of(text),
        .bytes = text.len,
    };
}

void hub_watch_published(struct hub *h, const struct hub_publication *p, size_t subscribers)
{
    struct hub_watch_event e = event_from(p);
    e.socket_id = p->except_socket_id;
    e.subscribers = subscribers;
    hub_tail_tell(h->watch, &e);
}

void hub_watch_delivered(struct hub *h, const struct hub_publication *p,
                         const struct hub_channel *c, const struct hub_socket *except)
{
    struct hub_watch_event e = event_from(p);
    e.kind = HUB_WATCH_DELIVERED;
    hub_tail_tell_delivered(h->watch, &e, c, except);
}
