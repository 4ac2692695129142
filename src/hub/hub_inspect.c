#include "hub/hub_inspect.h"

#include <stdlib.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "hub/hub_frames.h"
#include "hub/hub_room.h"
#include "hub/hub_socket.h"
#include "hub/hub_user.h"
#include "hub/hub_watch.h"

enum { MAX_ANSWER_BYTES = 64 * 1024 * 1024 };

/* A line of the answer: what it is ordered by, the greatest first, and its text. */
struct row {
    int64_t order;
    size_t start, len; // in the part's text
};

/* What one hub has. */
struct part {
    size_t total, count; // all that fit, and those in rows
    struct row *rows;
    struct buf text;
};

struct inspection {
    struct hub_inspect_query query;
    hub_inspect_done_fn *on_done;
    void *ctx;
};

/* ---- writing ---- */

static void put(struct buf *out, const char *name, struct str value)
{
    CHECK(buf_printf(out, "\"%s\":", name) == OK);
    CHECK(json_write_string(out, value) == OK);
}

/* Takes what was written to text since start as a row. */
static void add_row(struct part *p, int64_t order, size_t start)
{
    p->rows[p->count++] = (struct row){order, start, buf_len(&p->text) - start};
}

static bool fits_app(const struct hub_inspect_query *q, const struct hub_tenant *t)
{
    return q->app.len == 0 || (t && str_eq(q->app, t->app->id));
}

/* ---- channels ---- */

static int by_subscribers(const void *a, const void *b)
{
    const struct hub_room *x = *(struct hub_room *const *)a, *y = *(struct hub_room *const *)b;
    return (x->subscribers < y->subscribers) - (x->subscribers > y->subscribers);
}

static void write_channel(struct part *p, const struct hub_room *r)
{
    size_t start = buf_len(&p->text);
    CHECK(buf_append(&p->text, "{", 1) == OK);
    put(&p->text, "channel", hub_room_name(r));
    CHECK(buf_append(&p->text, ",", 1) == OK);
    put(&p->text, "app", r->tenant->app->id);
    CHECK(buf_printf(&p->text, ",\"subscribers\":%u,\"users\":%zu,\"cached_bytes\":%zu}",
                     r->subscribers, hub_room_users(r), hub_room_cached(r).len) == OK);
    add_row(p, r->subscribers, start);
}

static size_t count_rooms(const struct hub *h)
{
    size_t count = 0;
    for (size_t i = 0; i < h->tenant_count; i++)
        count += h->tenants[i] ? h->tenants[i]->rooms.count : 0;
    return count;
}

static void take_rooms(const struct hub_tenant *t, const struct hub_inspect_query *q,
                       struct hub_room **rooms, size_t *count)
{
    size_t cursor = 0;
    const struct map_entry *e;
    while (fits_app(q, t) && (e = map_next(&t->rooms, &cursor)))
        if (str_starts(map_key(e), q->channel))
            rooms[(*count)++] = e->value;
}

static void visit_channels(struct hub *h, struct part *p, const struct hub_inspect_query *q)
{
    struct hub_room **rooms = mem_zalloc((count_rooms(h) + 1) * sizeof(struct hub_room *));
    for (size_t i = 0; i < h->tenant_count; i++)
        if (h->tenants[i])
            take_rooms(h->tenants[i], q, rooms, &p->total);
    qsort(rooms, p->total, sizeof(struct hub_room *), by_subscribers);
    for (size_t i = 0; i < p->total && i < q->limit; i++)
        write_channel(p, rooms[i]);
    mem_free(rooms);
}

/* ---- connections ---- */

/* What it waits for, or "open". */
static const char *state_of(const struct hub_socket *s)
{
    if (s->authorize_by_ms > 0 && !s->is_authorized)
        return "unauthorized";
    return s->is_pinged ? "pinged" : "open";
}

/* Without the closing brace. */
static void write_socket(struct buf *out, struct hub_socket *s)
{
    char address[HUB_ADMISSION_ADDRESS_BYTES];
    CHECK(buf_append(out, "{", 1) == OK);
    put(out, "socket_id", str_of(s->id));
    CHECK(buf_append(out, ",", 1) == OK);
    put(out, "app", s->tenant->app->id);
    CHECK(buf_append(out, ",", 1) == OK);
    put(out, "address", str_of(hub_socket_address(s, address)));
    CHECK(buf_printf(
              out,
              ",\"state\":\"%s\",\"transport\":\"%s\",\"opened_at_ms\":%lld,\"silent_ms\":%lld,"
              "\"subscriptions\":%u,\"waiting_bytes\":%zu,\"max_waiting_bytes\":%zu",
              state_of(s), s->transport->name, (long long)s->opened_at_ms,
              (long long)(io_loop_now_ms(s->hub->loop) - s->active_at_ms), s->subscription_count,
              s->transport->waiting(s), s->tenant->app->max_out_bytes) == OK);
    if (s->user) {
        CHECK(buf_append(out, ",", 1) == OK);
        put(out, "user", hub_watch_shorten(s->user->id));
    }
}

static bool is_asked_for(const struct hub_socket *s, const struct hub_inspect_query *q)
{
    return s->id[0] && fits_app(q, s->tenant) &&
           (q->channel.len == 0 || hub_socket_find_by_name(s, q->channel));
}

static void visit_connections(struct hub *h, struct part *p, const struct hub_inspect_query *q)
{
    for (struct list *node = h->sockets.prev; node != &h->sockets; node = node->prev) {
        struct hub_socket *s = LIST_ENTRY(node, struct hub_socket, node);
        if (!is_asked_for(s, q) || p->total++ >= q->limit)
            continue;
        size_t start = buf_len(&p->text);
        write_socket(&p->text, s);
        CHECK(buf_append(&p->text, "}", 1) == OK);
        add_row(p, s->opened_at_ms, start);
    }
}

static void write_subscription(struct buf *out, const struct hub_subscription *sub)
{
    CHECK(buf_append(out, "{", 1) == OK);
    put(out, "channel", hub_channel_name(sub->channel));
    CHECK(buf_printf(out, ",\"is_pending\":%s",
                     sub->index == HUB_CHANNEL_PENDING ? "true" : "false") == OK);
    if (sub->subscriber) {
        CHECK(buf_append(out, ",", 1) == OK);
        put(out, "user", hub_watch_shorten(sub->subscriber->key));
    }
    CHECK(buf_append(out, "}", 1) == OK);
}

static void visit_connection(struct hub *h, struct part *p, const struct hub_inspect_query *q)
{
    struct hub_socket *s = hub_socket_find(h, q->socket_id);
    if (!s)
        return;
    write_socket(&p->text, s);
    CHECK(buf_printf(&p->text, ",\"channels\":[") == OK);
    size_t written = 0;
    for (const struct hub_subscription *sub = s->subscriptions; sub && written < q->limit;
         sub = sub->next) {
        if (written++ > 0)
            CHECK(buf_append(&p->text, ",", 1) == OK);
        write_subscription(&p->text, sub);
    }
    CHECK(buf_append(&p->text, "]}", 2) == OK);
    add_row(p, 0, 0);
}

/* ---- refusals ---- */

static bool fits(struct str asked, struct str has)
{
    return asked.len == 0 || str_eq(asked, has);
}

static bool is_refusal_asked_for(const struct hub_watch_row *kept,
                                 const struct hub_inspect_query *q)
{
    return fits(q->app, kept->app ? kept->app->id : STR("")) && fits(q->channel, kept->channel) &&
           fits(q->socket_id, kept->socket_id);
}

static void visit_refusals(struct hub *h, struct part *p, const struct hub_inspect_query *q)
{
    const struct hub_watch *w = h->watch;
    size_t held = w->kept_count < HUB_WATCH_KEPT ? w->kept_count : HUB_WATCH_KEPT;
    for (size_t i = 1; i <= held; i++) {
        const struct hub_watch_row *kept = w->kept[(w->kept_count - i) % HUB_WATCH_KEPT];
        if (!is_refusal_asked_for(kept, q) || p->total++ >= q->limit)
            continue;
        size_t start = buf_len(&p->text);
        CHECK(buf_append(&p->text, kept->text, kept->len) == OK);
        add_row(p, kept->at_ms, start);
    }
}

/* ---- messages ---- */

/* Publications count from when it got them. */
static bool was_published_to(const struct hub_socket *s, const struct hub_frame *f)
{
    for (const struct hub_subscription *sub = s ? s->subscriptions : NULL; sub; sub = sub->next)
        if (hub_frames_is_of(f, s->tenant->app, hub_channel_name(sub->channel)))
            return sub->index != HUB_CHANNEL_PENDING && (int32_t)(f->serial - sub->since) >= 0;
    return false;
}

/* A client may send anything. */
static bool is_text(struct str s)
{
    return utf8_is_valid(s) && str_index(s, '\0') == s.len;
}

static struct str frame_id(const struct hub_frame *f)
{
    return (struct str){f->socket_id, f->id_len};
}

static bool is_frame_asked_for(const struct hub_frame *f, const struct hub_socket *s,
                               const struct hub_inspect_query *q)
{
    if (f->way == HUB_FRAMES_PUBLISHED)
        return was_published_to(s, f);
    return str_eq(frame_id(f), q->socket_id);
}

static void write_frame(struct buf *out, const struct hub_frame *f, int64_t at_ms,
                        struct str asked_id)
{
    struct str text = {f->text, f->shown};
    bool is_excluded = f->way == HUB_FRAMES_PUBLISHED && str_eq(frame_id(f), asked_id);
    CHECK(buf_printf(out,
                     "{\"at_ms\":%lld,\"way\":\"%s\",\"bytes\":%u,\"is_published\":%s,"
                     "\"is_excluded\":%s,",
                     (long long)at_ms, f->way == HUB_FRAMES_IN ? "in" : "out", f->bytes,
                     f->way == HUB_FRAMES_PUBLISHED ? "true" : "false",
                     is_excluded ? "true" : "false") == OK);
    put(out, "text", is_text(text) ? text : STR(""));
    CHECK(buf_append(out, "}", 1) == OK);
}

static void visit_frames(struct hub *h, struct part *p, const struct hub_inspect_query *q)
{
    const struct hub_socket *s = hub_socket_find(h, q->socket_id);
    int64_t ago_ms = clock_unix_ms() - io_loop_now_ms(h->loop);
    struct hub_frames_walk walk = {0};
    const struct hub_frame *f;
    while ((f = hub_frames_next(h->frames, &walk))) {
        if (!is_frame_asked_for(f, s, q) || p->total++ >= q->limit)
            continue;
        size_t start = buf_len(&p->text);
        write_frame(&p->text, f, ago_ms + f->at_ms, q->socket_id);
        add_row(p, f->at_ms, start);
    }
}

/* ---- asking ---- */

static void (*const visits[])(struct hub *h, struct part *p, const struct hub_inspect_query *q) = {
    [HUB_INSPECT_CHANNELS] = visit_channels, [HUB_INSPECT_CONNECTIONS] = visit_connections,
    [HUB_INSPECT_REFUSALS] = visit_refusals, [HUB_INSPECT_CONNECTION] = visit_connection,
    [HUB_INSPECT_FRAMES] = visit_frames,
};

static bool visit(struct hub *h, void *part, const void *ctx)
{
    const struct inspection *in = ctx;
    struct part *p = part;
    buf_init(&p->text, MAX_ANSWER_BYTES);
    p->rows = mem_zalloc((in->query.limit + 1) * sizeof(struct row));
    visits[in->query.what](h, p, &in->query);
    return false;
}

/* The next row in order over all parts, whose rows are each in order; taken counts those gone. */
static bool take_next(void *const *parts, size_t count, size_t *taken, struct str *out)
{
    const struct row *best = NULL;
    size_t from = 0;
    for (size_t i = 0; i < count; i++) {
        const struct part *p = parts[i];
        if (taken[i] < p->count && (!best || p->rows[taken[i]].order > best->order)) {
            best = &p->rows[taken[i]];
            from = i;
        }
    }
    if (!best)
        return false;
    const struct part *p = parts[from];
    taken[from]++;
    *out = (struct str){(const char *)buf_head(&p->text) + best->start, best->len};
    return true;
}

static void write_answer(const struct inspection *in, void *const *parts, size_t count,
                         struct buf *out)
{
    size_t *taken = mem_zalloc(count * sizeof(size_t));
    size_t total = 0;
    struct str text;
    for (size_t i = 0; i < count; i++)
        total += ((const struct part *)parts[i])->total;
    if (in->query.what == HUB_INSPECT_CONNECTION) {
        if (take_next(parts, count, taken, &text))
            CHECK(buf_append(out, text.at, text.len) == OK);
        mem_free(taken);
        return;
    }
    CHECK(buf_printf(out, "{\"total\":%zu,\"rows\":[", total) == OK);
    for (size_t i = 0; i < in->query.limit && take_next(parts, count, taken, &text); i++) {
        if (i > 0)
            CHECK(buf_append(out, ",\n", 2) == OK);
        CHECK(buf_append(out, text.at, text.len) == OK);
    }
    CHECK(buf_append(out, "]}\n", 3) == OK);
    mem_free(taken);
}

static void on_done(void *const *parts, size_t count, void *ctx)
{
    struct inspection *in = ctx;
    struct buf out;
    buf_init(&out, MAX_ANSWER_BYTES);
    write_answer(in, parts, count, &out);
    in->on_done(in->ctx, (struct str){(const char *)buf_head(&out), buf_len(&out)});
    buf_done(&out);
    for (size_t i = 0; i < count; i++) {
        struct part *p = parts[i];
        buf_done(&p->text);
        mem_free(p->rows);
    }
    mem_free(in);
}

void hub_inspect(struct hub *asking, const struct hub_inspect_query *query,
                 hub_inspect_done_fn *on_done_fn, void *ctx)
{
    struct inspection *in = MEM_NEW(struct inspection);
    *in = (struct inspection){*query, on_done_fn, ctx};
    CHECK(query->limit <= HUB_INSPECT_MAX_ROWS); // their texts fit the answer
    hub_relay_ask(asking, sizeof(struct part), visit, on_done, in);
}
