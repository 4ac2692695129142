#include "hub/hub_tail.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/mem.h"
#include "hub/hub_relay_internal.h"
#include "hub/hub_socket.h"
#include "hub/hub_tail_internal.h"

enum { MAX_TAP_BYTES = 256 * 1024 };

struct tail;

/* A tail's part in one hub. Each task is under way at most once. */
struct tap {
    struct list node; // in the hub's watch->taps
    struct tail *tail;
    struct hub *hub;
    struct io_task to_hub, flush, detach; // run on the hub's loop
    struct io_task lines, ended;          // run on the home loop
    /* of the hub's loop */
    struct buf out;
    uint64_t dropped; // lines, since it was told
    bool is_busy;     // sending is under way
    bool is_flushing; // flush is
    bool is_detached; // nothing is written any more
    /* of whoever holds it */
    struct buf sending;
    /* of the home loop */
    bool is_owed; // the hub waits to hear that sending left
};

struct tail {
    struct list node; // in home->watch->tails
    struct hub *home;
    struct io_conn *io;            // NULL: gone
    size_t tap_count, ended_count; // taps that left their hubs
    struct hub_tail_filter filter; // read-only
    char bytes[HUB_TAIL_MAX_FILTER_BYTES];
    struct tap taps[];
};

static bool is_closed(const struct tap *t)
{
    return t->hub->relay->is_closed;
}

static void post_to_hub(struct tap *t, void (*run)(struct io_task *task))
{
    t->to_hub.run = run;
    io_loop_post(t->hub->loop, &t->to_hub);
}

/* ---- on the home loop ---- */

static void tail_free(struct tail *tail)
{
    for (size_t i = 0; i < tail->tap_count; i++) {
        list_remove(&tail->taps[i].node); // at the end of all; else it left by itself
        buf_done(&tail->taps[i].out);
        buf_done(&tail->taps[i].sending);
    }
    list_remove(&tail->node);
    mem_free(tail);
}

static void on_ended(struct io_task *task)
{
    struct tail *tail = LIST_ENTRY(task, struct tap, ended)->tail;
    if (++tail->ended_count == tail->tap_count)
        tail_free(tail);
}

static void on_lines(struct io_task *task)
{
    struct tap *t = LIST_ENTRY(task, struct tap, lines);
    struct io_conn *io = t->tail->io;
    if (!io)
        return;
    size_t len = buf_len(&t->sending);
    io_conn_set_max_out(io, io_conn_waiting(io) + len);
    CHECK(io_conn_write(io, buf_head(&t->sending), len) == OK);
    buf_done(&t->sending);
    t->is_owed = true;
}

/* ---- on the hub's loop ---- */

static void on_attach(struct io_task *task)
{
    struct tap *t = LIST_ENTRY(task, struct tap, to_hub);
    list_append(&t->hub->watch->taps, &t->node);
}

static void send_lines(struct tap *t)
{
    if (t->is_busy || buf_len(&t->out) == 0 || is_closed(t))
        return;
    struct buf taken = t->sending;
    t->sending = t->out;
    t->out = taken;
    t->is_busy = true;
    if (t->dropped > 0)
        CHECK(buf_printf(&t->out, "{\"at_ms\":%lld,\"what\":\"dropped\",\"count\":%llu}\n",
                         (long long)clock_unix_ms(), (unsigned long long)t->dropped) == OK);
    t->dropped = 0;
    t->lines.run = on_lines;
    io_loop_post(t->tail->home->loop, &t->lines);
}

static void on_taken(struct io_task *task)
{
    struct tap *t = LIST_ENTRY(task, struct tap, to_hub);
    t->is_busy = false;
    if (!t->is_detached)
        send_lines(t);
}

/* Lines that are still under way to home arrive there before this. */
static void end(struct tap *t)
{
    if (is_closed(t))
        return;
    t->ended.run = on_ended;
    io_loop_post(t->tail->home->loop, &t->ended);
}

static void on_flush(struct io_task *task)
{
    struct tap *t = LIST_ENTRY(task, struct tap, flush);
    t->is_flushing = false;
    if (t->is_detached)
        end(t);
    else
        send_lines(t);
}

/* In the next turn, with what else happens in this one. */
static void flush_soon(struct tap *t)
{
    if (t->is_flushing || t->is_busy || is_closed(t))
        return;
    t->is_flushing = true;
    t->flush.run = on_flush;
    io_loop_post(t->hub->loop, &t->flush);
}

static void on_detach(struct io_task *task)
{
    struct tap *t = LIST_ENTRY(task, struct tap, detach);
    t->is_detached = true;
    list_remove(&t->node);
    if (!t->is_flushing)
        end(t);
}

/* ---- the connection ---- */

static void ignore_bytes(struct io_conn *io, void *owner, const uint8_t *bytes, size_t len)
{
    (void)io, (void)owner, (void)bytes, (void)len;
}

static void on_drained(struct io_conn *io, void *owner)
{
    struct tail *tail = owner;
    (void)io;
    for (size_t i = 0; i < tail->tap_count; i++) {
        struct tap *t = &tail->taps[i];
        if (!t->is_owed)
            continue;
        t->is_owed = false;
        post_to_hub(t, on_taken);
    }
}

static void on_closed(struct io_conn *io, void *owner)
{
    struct tail *tail = owner;
    (void)io;
    tail->io = NULL;
    if (tail->home->relay->is_closed)
        return; // hub_tail_done frees it
    for (size_t i = 0; i < tail->tap_count; i++) {
        tail->taps[i].detach.run = on_detach;
        io_loop_post(tail->taps[i].hub->loop, &tail->taps[i].detach);
    }
}

/* ---- beginning ---- */

static struct tail *tail_new(struct hub *h, const struct hub_tail_filter *filter)
{
    const struct hub_relay *r = h->relay;
    struct tail *tail = mem_zalloc(sizeof(*tail) + r->hub_count * sizeof(tail->taps[0]));
    char *at = tail->bytes;
    tail->home = h;
    tail->filter.app = str_keep(&at, filter->app);
    tail->filter.channel = str_keep(&at, filter->channel);
    tail->filter.socket_id = str_keep(&at, filter->socket_id);
    tail->tap_count = r->hub_count;
    for (size_t i = 0; i < r->hub_count; i++) {
        struct tap *t = &tail->taps[i];
        t->tail = tail;
        t->hub = r->hubs[i];
        list_init(&t->node);
        buf_init(&t->out, MAX_TAP_BYTES);
        buf_init(&t->sending, MAX_TAP_BYTES);
    }
    list_append(&h->watch->tails, &tail->node);
    return tail;
}

static void start(struct tail *tail)
{
    static const struct io_conn_handler handler = {
        .on_bytes = ignore_bytes, .on_drained = on_drained, .on_closed = on_closed};
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                               "Connection: close\r\nCache-Control: no-store\r\n"
                               "X-Content-Type-Options: nosniff\r\n\r\n";
    io_conn_set_handler(tail->io, &handler, tail);
    for (size_t i = 0; i < tail->tap_count; i++)
        post_to_hub(&tail->taps[i], on_attach);
    if (io_conn_write(tail->io, head, sizeof(head) - 1) != OK)
        io_conn_close(tail->io); // pipelined, and never reads
}

static size_t count_tails(const struct hub *h)
{
    size_t count = 0;
    for (const struct list *node = h->watch->tails.next; node != &h->watch->tails;
         node = node->next)
        count++;
    return count;
}

bool hub_tail_serve(struct hub *h, struct http_exchange *x, const struct hub_tail_filter *filter)
{
    struct buf early;
    size_t filter_bytes = filter->app.len + filter->channel.len + filter->socket_id.len;
    if (count_tails(h) >= HUB_TAIL_MAX || filter_bytes > HUB_TAIL_MAX_FILTER_BYTES)
        return false;
    struct tail *tail = tail_new(h, filter); // before x is gone
    tail->io = http_upgrade(x, &early);
    buf_done(&early);
    if (tail->io)
        start(tail);
    else
        tail_free(tail);
    return true;
}

/* ---- lines ---- */

static bool fits(struct str filter, struct str value)
{
    return filter.len == 0 || str_eq(filter, value);
}

static bool is_wanted(const struct hub_tail_filter *f, const struct hub_watch_event *e)
{
    bool is_published = e->kind == HUB_WATCH_PUBLISHED || e->kind == HUB_WATCH_MEMBER_EVENT;
    return fits(f->app, e->app ? e->app->id : STR("")) && fits(f->channel, e->channel) &&
           fits(f->socket_id, e->socket_id) && (f->socket_id.len == 0 || !is_published);
}

static void put_line(struct tap *t, struct str line)
{
    if (t->dropped > 0 || buf_append(&t->out, line.at, line.len) != OK)
        t->dropped++; // those that follow too, so that the gap is one and told where it is
    flush_soon(t);
}

static void write_line(struct tap *t, const struct hub_watch_event *e)
{
    struct buf line;
    buf_init(&line, HUB_WATCH_MAX_LINE_BYTES);
    hub_watch_write(&line, e, clock_unix_ms());
    CHECK(buf_append(&line, "\n", 1) == OK);
    put_line(t, (struct str){(const char *)buf_head(&line), buf_len(&line)});
    buf_done(&line);
}

void hub_tail_tell(struct hub_watch *w, const struct hub_watch_event *e)
{
    for (struct list *node = w->taps.next; node != &w->taps; node = node->next) {
        struct tap *t = LIST_ENTRY(node, struct tap, node);
        if (is_wanted(&t->tail->filter, e))
            write_line(t, e);
    }
}

void hub_tail_tell_delivered(struct hub_watch *w, struct hub_watch_event *e,
                             const struct hub_channel *c, const struct hub_socket *except)
{
    for (struct list *node = w->taps.next; node != &w->taps; node = node->next) {
        struct tap *t = LIST_ENTRY(node, struct tap, node);
        struct str id = t->tail->filter.socket_id;
        const struct hub_socket *s = id.len > 0 ? hub_socket_find(w->hub, id) : NULL;
        const struct hub_subscription *sub =
            s && s != except && s->tenant->app->slot == e->app->slot
                ? hub_socket_find_subscription(s, c)
                : NULL;
        e->socket_id = id;
        if (sub && sub->index != HUB_CHANNEL_PENDING && is_wanted(&t->tail->filter, e))
            write_line(t, e);
    }
}

void hub_tail_done(struct hub_watch *w)
{
    while (list_shift(&w->taps))
        ; // their tails are freed by their homes
    while (!list_is_empty(&w->tails))
        tail_free(LIST_ENTRY(w->tails.next, struct tail, node));
}
