#include "hub/hub_xhr.h"

#include "core/check.h"
#include "core/json.h"
#include "core/mem.h"
#include "hub/hub_admission.h"
#include "hub/hub_post.h"
#include "hub/hub_relay_internal.h"
#include "hub/hub_socket.h"
#include "hub/hub_watch.h"
#include "ws/ws_frame.h"

enum {
    LINE_BYTES = 2,      // of a line beside its content: its letter and its end
    LAST_WAIT_MS = 5000, // for a carrier to take the last, as long as WebSocket's close has
};

/* ---- both sides ---- */

struct session;
struct carrier;

enum what { OPEN, READY, GONE, SEND, WRITE, DROP, FORGET, SENT };

/* From a request's loop to the session's hub, or back. */
struct word {
    struct io_task task;
    enum what what;
    struct hub *from, *to;
    struct carrier *carrier;
    struct http_exchange *x; // of SEND and SENT
    int status;              // of SENT
    bool is_last;            // of WRITE: nothing follows
    bool is_poll;            // of OPEN
    const struct hub_app *app;
    struct hub_refusal refusal;                // of OPEN: known before it is tried
    char address[HUB_ADMISSION_ADDRESS_BYTES]; // of OPEN
    size_t name_len, bytes_len;
    char name[]; // the session's, then the bytes of SEND and WRITE
};

static struct word *word_new(enum what what, struct hub *from, struct hub *to, struct str name,
                             struct str bytes)
{
    struct word *w = mem_zalloc(sizeof(*w) + name.len + bytes.len + 1);
    w->what = what;
    w->from = from;
    w->to = to;
    w->name_len = name.len;
    w->bytes_len = bytes.len;
    memcpy(w->name, name.at, name.len);
    if (bytes.len > 0)
        memcpy(w->name + name.len, bytes.at, bytes.len);
    return w;
}

static struct str name_of(const struct word *w)
{
    return (struct str){w->name, w->name_len};
}

static struct str bytes_of(const struct word *w)
{
    return (struct str){w->name + w->name_len, w->bytes_len};
}

static void on_word(struct io_task *task);

static void post(struct word *w)
{
    if (w->from->relay->is_closed) {
        mem_free(w);
        return;
    }
    w->task.run = on_word;
    io_loop_post(w->to->loop, &w->task);
}

/* ---- the carrier: an answer that is being given, on its request's loop ---- */

struct carrier {
    struct list node; // in hub->carriers
    struct hub *hub, *owner;
    struct io_conn *io; // NULL: gone
    bool is_sending;    // READY is owed
    size_t name_len;
    char name[];
};

static struct str carrier_name(const struct carrier *c)
{
    return (struct str){c->name, c->name_len};
}

static void tell_owner(struct carrier *c, enum what what)
{
    struct word *w = word_new(what, c->hub, c->owner, carrier_name(c), STR(""));
    w->carrier = c;
    post(w);
}

static void carrier_free(struct carrier *c)
{
    list_remove(&c->node);
    mem_free(c);
}

static void on_drained(struct io_conn *io, void *owner)
{
    struct carrier *c = owner;
    (void)io;
    if (!c->is_sending)
        return;
    c->is_sending = false;
    tell_owner(c, READY);
}

static void on_closed(struct io_conn *io, void *owner)
{
    struct carrier *c = owner;
    (void)io;
    c->io = NULL;
    tell_owner(c, GONE);
    if (c->hub->relay->is_closed)
        carrier_free(c); // no FORGET will come
}

static void ignore_bytes(struct io_conn *io, void *owner, const uint8_t *bytes, size_t len)
{
    (void)io, (void)owner, (void)bytes, (void)len;
}

static void take_write(struct carrier *c, const struct word *w)
{
    struct str bytes = bytes_of(w);
    if (!c->io)
        return;
    c->is_sending = true;
    io_conn_set_max_out(c->io, io_conn_waiting(c->io) + bytes.len);
    CHECK(io_conn_write(c->io, bytes.at, bytes.len) == OK);
    if (w->is_last)
        io_conn_end(c->io);
}

static void take_drop(const struct carrier *c)
{
    if (c->io)
        io_conn_close(c->io);
}

/* ---- the session: a socket of the hub ---- */

struct session {
    struct hub_socket socket;
    struct list gap_node;    // in hub->gaps
    bool is_in_gap;          // in that list
    struct carrier *carrier; // gets what waits; belongs to carrier_hub's loop
    struct hub *carrier_hub;
    bool is_polled;              // it ends with its first bytes
    bool is_busy;                // it has not sent the last yet
    bool is_open;                // or it was closed: what waits is the last
    bool is_ended;               // left the hub; freed when nothing holds it
    struct buf out;              // whole lines
    struct io_timer gap_timer;   // of the carrier
    struct io_timer alive_timer; // of the socket
    struct io_task flush_task;
    bool is_flushing; // flush_task is posted
    size_t name_len;
    char name[];
};

static struct session *of_socket(struct hub_socket *s)
{
    return LIST_ENTRY(s, struct session, socket);
}

static struct str session_name(const struct session *s)
{
    return (struct str){s->name, s->name_len};
}

static void end_gap(struct session *s)
{
    if (s->is_in_gap)
        s->socket.hub->gap_count--;
    s->is_in_gap = false;
    list_remove(&s->gap_node);
}

static void session_free(struct session *s)
{
    end_gap(s);
    io_timer_stop(&s->gap_timer);
    io_timer_stop(&s->alive_timer);
    map_remove(&s->socket.hub->sessions, session_name(s));
    hub_socket_done(&s->socket);
    buf_done(&s->out);
    mem_free(s);
}

/* It is over: nothing is sent or taken any more. */
static void session_end(struct session *s)
{
    s->is_open = false;
    s->is_ended = true;
    if (!s->is_flushing)
        session_free(s);
}

/* Its carrier is gone. */
static void begin_gap(struct session *s)
{
    struct hub *h = s->socket.hub;
    if (s->is_in_gap)
        return;
    if (h->gap_count == HUB_XHR_MAX_GAPS) {
        struct session *oldest = LIST_ENTRY(h->gaps.next, struct session, gap_node);
        end_gap(oldest); // it may be freed only later
        session_end(oldest);
    }
    s->is_in_gap = true;
    h->gap_count++;
    list_append(&h->gaps, &s->gap_node);
    io_timer_start(h->loop, &s->gap_timer, HUB_XHR_GAP_MS);
}

/* Gives the carrier what waits, when it is ready for it. */
static void flush(struct session *s)
{
    if (!s->carrier || s->is_busy || buf_len(&s->out) == 0)
        return;
    struct word *w = word_new(WRITE, s->socket.hub, s->carrier_hub, STR(""),
                              (struct str){(const char *)buf_head(&s->out), buf_len(&s->out)});
    w->carrier = s->carrier;
    w->is_last = s->is_polled || !s->is_open;
    s->is_busy = true;
    buf_consume(&s->out, buf_len(&s->out));
    post(w);
    if (!s->is_open)
        session_end(s);
}

static void on_flush(struct io_task *task)
{
    struct session *s = LIST_ENTRY(task, struct session, flush_task);
    s->is_flushing = false;
    if (s->is_ended)
        session_free(s);
    else
        flush(s);
}

/* At the end of this turn, so that what belongs together leaves together. */
static void flush_soon(struct session *s)
{
    if (s->is_flushing || s->socket.hub->relay->is_closed)
        return;
    s->is_flushing = true;
    s->flush_task.run = on_flush;
    io_loop_post(s->socket.hub->loop, &s->flush_task);
}

static void put(struct buf *out, struct str s)
{
    CHECK(buf_append(out, s.at, s.len) == OK);
}

static enum err send_text(struct hub_socket *socket, struct str text)
{
    struct session *s = of_socket(socket);
    struct buf line;
    if (!s->is_open)
        return OK;
    buf_init(&line, LINE_BYTES + 4 + 6 * text.len);
    put(&line, STR("a["));
    CHECK(json_write_string(&line, text) == OK);
    put(&line, STR("]\n"));
    enum err err = buf_append(&s->out, buf_head(&line), buf_len(&line));
    buf_done(&line);
    if (!err)
        flush_soon(s);
    return err;
}

/* The common form of what is sent are frames; here their texts are wanted. */
static enum err send_frames(struct hub_socket *socket, const void *frames, size_t len)
{
    const uint8_t *at = frames;
    enum err err = OK;
    while (len > 0 && !err) {
        struct ws_frame frame;
        size_t header;
        CHECK(ws_frame_parse(at, len, &frame, &header) == OK);
        at += header;
        err = send_text(socket, (struct str){(const char *)at, (size_t)frame.size_bytes});
        at += frame.size_bytes;
        len -= header + (size_t)frame.size_bytes;
    }
    return err;
}

static enum err ping(struct hub_socket *socket)
{
    struct session *s = of_socket(socket);
    enum err err = s->is_open ? buf_append(&s->out, "h\n", 2) : OK;
    flush_soon(s);
    return err;
}

static size_t waiting(struct hub_socket *socket)
{
    return buf_len(&of_socket(socket)->out);
}

static void set_max_waiting(struct hub_socket *socket, size_t bytes)
{
    buf_set_max(&of_socket(socket)->out, bytes);
}

static void close_session(struct hub_socket *socket, int code, struct str why)
{
    struct session *s = of_socket(socket);
    struct buf line;
    if (!s->is_open)
        return;
    buf_init(&line, 64 + 6 * why.len);
    CHECK(buf_printf(&line, "c[%d,", code) == OK);
    CHECK(json_write_string(&line, why) == OK);
    put(&line, STR("]\n"));
    buf_set_max(&s->out, buf_len(&s->out) + buf_len(&line));
    put(&s->out, (struct str){(const char *)buf_head(&line), buf_len(&line)});
    buf_done(&line);
    s->is_open = false;
    if (s->carrier)
        io_timer_start(socket->hub->loop, &s->gap_timer, LAST_WAIT_MS);
    flush_soon(s);
}

static void abort_session(struct hub_socket *socket)
{
    struct session *s = of_socket(socket);
    buf_consume(&s->out, buf_len(&s->out));
    s->is_open = false;
    s->is_ended = true;
    flush_soon(s); // not here: who aborts goes through the list of sockets
}

static void start_timer(struct hub_socket *socket, int64_t delay_ms)
{
    struct session *s = of_socket(socket);
    if (s->is_open)
        io_timer_start(socket->hub->loop, &s->alive_timer, delay_ms);
}

static const struct hub_transport transport = {
    .name = "http",
    .send_frames = send_frames,
    .send_text = send_text,
    .ping = ping,
    .waiting = waiting,
    .set_max_waiting = set_max_waiting,
    .close = close_session,
    .abort = abort_session,
    .start_timer = start_timer,
};

static void on_alive_timer(struct io_timer *timer)
{
    struct session *s = LIST_ENTRY(timer, struct session, alive_timer);
    if (s->is_open)
        hub_socket_on_timer(&s->socket);
}

/* Its client does not read: what waits for it is not kept. */
static void drop_carrier(struct session *s)
{
    struct word *w = word_new(DROP, s->socket.hub, s->carrier_hub, STR(""), STR(""));
    w->carrier = s->carrier;
    s->carrier = NULL;
    post(w);
}

/* No carrier came in time, or one has nothing to carry, or does not carry the last. */
static void on_gap_timer(struct io_timer *timer)
{
    struct session *s = LIST_ENTRY(timer, struct session, gap_timer);
    if (s->carrier && s->is_open) {
        (void)!ping(&s->socket); // what is full is not idle
        return;
    }
    if (s->carrier)
        drop_carrier(s);
    session_end(s);
}

/* ---- words to the session ---- */

/* That it was asked for by: the name begins with it. */
static struct str key_of(const struct word *w)
{
    struct str rest;
    return str_cut(name_of(w), '/', &rest);
}

static struct session *session_new(const struct word *w)
{
    struct session *s = mem_zalloc(sizeof(*s) + w->name_len);
    struct hub_tenant *t = w->app ? hub_tenant_of(w->to, w->app) : NULL;
    s->name_len = w->name_len;
    memcpy(s->name, w->name, w->name_len);
    map_put(&w->to->sessions, session_name(s), s);
    list_init(&s->gap_node);
    buf_init(&s->out, t ? t->app->max_out_bytes : hub_app_defaults.max_out_bytes);
    io_timer_init(&s->gap_timer, on_gap_timer);
    io_timer_init(&s->alive_timer, on_alive_timer);
    s->is_open = true;
    hub_socket_init(&s->socket, &transport, w->to, t);
    put(&s->out, STR("o\n"));
    struct hub_hello hello = {.is_pusher_js = true};
    struct hub_refusal refusal = w->refusal;
    if (!refusal.code)
        refusal =
            hub_admission_enter(w->to->relay->admissions, w->app, w->address, &hello.admitted);
    if (refusal.code) {
        hub_watch(w->to, &(struct hub_watch_event){.kind = HUB_WATCH_REFUSED,
                                                   .app = w->app,
                                                   .key = key_of(w),
                                                   .address = w->address,
                                                   .code = refusal.code,
                                                   .why = refusal.why});
        hub_socket_close(&s->socket, refusal.code, refusal.why);
    } else {
        hello.address = w->address;
        hub_socket_open(&s->socket, &hello);
    }
    return s;
}

/* With nothing more to say; its client asks again. */
static void end_carrier(struct hub *h, struct hub *carrier_hub, struct carrier *c)
{
    struct word *w = word_new(WRITE, h, carrier_hub, STR(""), STR("h\n"));
    w->carrier = c;
    w->is_last = true;
    post(w);
}

static void replace_carrier(struct session *s)
{
    if (s->carrier)
        end_carrier(s->socket.hub, s->carrier_hub, s->carrier);
    s->carrier = NULL;
}

static void take_open(const struct word *w)
{
    struct session *s = map_find(&w->to->sessions, name_of(w));
    if (s && s->is_ended) { // its last words are on their way
        end_carrier(w->to, w->from, w->carrier);
        return;
    }
    if (!s)
        s = session_new(w);
    replace_carrier(s);
    end_gap(s);
    s->carrier = w->carrier;
    s->carrier_hub = w->from;
    s->is_polled = w->is_poll;
    s->is_busy = false;
    if (s->is_open)
        hub_socket_on_control(&s->socket); // whoever asks for more is alive
    io_timer_start(w->to->loop, &s->gap_timer, HUB_XHR_POLL_MS);
    flush_soon(s);
}

static void take_ready(const struct word *w)
{
    struct session *s = map_find(&w->to->sessions, name_of(w));
    if (!s || s->carrier != w->carrier)
        return;
    s->is_busy = false;
    flush(s);
}

static void take_gone(const struct word *w)
{
    struct session *s = map_find(&w->to->sessions, name_of(w));
    if (s && s->carrier == w->carrier) {
        s->carrier = NULL;
        if (!s->is_ended)
            begin_gap(s);
    }
    struct word *forget = word_new(FORGET, w->to, w->from, STR(""), STR(""));
    forget->carrier = w->carrier;
    post(forget);
}

/* The status for the client. */
static int receive_all(struct session *s, struct str body)
{
    enum { MAX_TEXTS = 256, NO_CONTENT = 204, BAD_REQUEST = 400 };
    struct json_slice *texts = mem_zalloc(MAX_TEXTS * sizeof(*texts));
    size_t count = 0;
    struct arena a;
    arena_init(&a);
    enum err err = json_scan_array(body, texts, MAX_TEXTS, &count);
    if (!err && count == 0)
        hub_socket_on_control(&s->socket); // a heartbeat
    for (size_t i = 0; !err && i < count && s->is_open; i++) {
        struct str text;
        err = json_unescape(&texts[i], &a, &text);
        if (!err)
            hub_socket_receive(&s->socket, text);
    }
    arena_done(&a);
    mem_free(texts);
    return err ? BAD_REQUEST : NO_CONTENT;
}

static void take_send(const struct word *w)
{
    struct session *s = map_find(&w->to->sessions, name_of(w));
    struct word *sent = word_new(SENT, w->to, w->from, STR(""), STR(""));
    sent->x = w->x;
    sent->status = s && s->is_open ? receive_all(s, bytes_of(w)) : 404;
    post(sent);
}

static void on_word(struct io_task *task)
{
    struct word *w = LIST_ENTRY(task, struct word, task);
    switch (w->what) {
    case OPEN:
        take_open(w);
        break;
    case READY:
        take_ready(w);
        break;
    case GONE:
        take_gone(w);
        break;
    case SEND:
        take_send(w);
        break;
    case WRITE:
        take_write(w->carrier, w);
        break;
    case DROP:
        take_drop(w->carrier);
        break;
    case FORGET:
        carrier_free(w->carrier);
        break;
    case SENT:
        http_reply(w->x, w->status, w->status == 204 ? NULL : "text/plain; charset=utf-8", STR(""));
        break;
    }
    mem_free(w);
}

/* ---- requests ---- */

/* Any page may ask: who it is is said by what it signs, as over WebSocket. */
static void allow_origins(struct http_exchange *x)
{
    struct str origin = http_field_get(&x->req, STR("Origin"));
    http_reply_field(x, STR("Cache-Control"), STR("no-store, no-transform"));
    if (!origin.at)
        return;
    http_reply_field(x, STR("Access-Control-Allow-Origin"), origin);
    http_reply_field(x, STR("Vary"), STR("Origin"));
}

/* "key/n/session", in the exchange's arena; false when it was refused. */
static bool read_name(struct http_exchange *x, struct str *out)
{
    for (size_t i = 1; i < 3; i++) {
        if (x->params[i].len <= HUB_XHR_MAX_NAME_BYTES)
            continue;
        http_reply(x, 404, NULL, STR(""));
        return false;
    }
    *out = arena_printf(&x->arena, "%.*s/%.*s/%.*s", STR_ARG(x->params[0]), STR_ARG(x->params[1]),
                        STR_ARG(x->params[2]));
    return true;
}

/* Sessions of an app that does not exist are one hub's, to be told so. */
static struct hub *owner_of(struct hub *h, const struct hub_app *app, struct str name)
{
    return hub_post_owner(h->relay, app ? app : &hub_app_defaults, name);
}

static struct carrier *carrier_new(struct hub *h, struct hub *owner, struct str name)
{
    struct carrier *c = mem_zalloc(sizeof(*c) + name.len);
    c->hub = h;
    c->owner = owner;
    c->name_len = name.len;
    memcpy(c->name, name.at, name.len);
    list_append(&h->carriers, &c->node);
    return c;
}

/* The word that opens or carries on the session; what it needs of x is copied. */
static struct word *open_word(struct hub *h, struct http_exchange *x, struct str name,
                              struct carrier **carrier_out)
{
    const struct hub_app *app = hub_app_find_by_key(h->apps, x->params[0]);
    struct hub *owner = owner_of(h, app, name);
    struct word *w = word_new(OPEN, h, owner, name, STR(""));
    w->app = app;
    w->refusal = hub_check_app(h, app, x);
    hub_admission_address(x->peer, w->address);
    w->carrier = *carrier_out = carrier_new(h, owner, name);
    return w;
}

/* The answer's head; its body ends with the connection (RFC 9112, section 6.3). A stream begins
 * with two kilobytes that nobody reads but proxies that hold back a beginning. */
static void start_answer(struct carrier *c, struct str origin, bool is_poll)
{
    enum { PRELUDE_BYTES = 2048 };
    static const struct io_conn_handler handler = {
        .on_bytes = ignore_bytes, .on_drained = on_drained, .on_closed = on_closed};
    struct buf out;
    buf_init(&out, PRELUDE_BYTES + 1024 + origin.len);
    CHECK(buf_printf(&out,
                     "HTTP/1.1 200 OK\r\nContent-Type: application/javascript; charset=UTF-8\r\n"
                     "Connection: close\r\nCache-Control: no-store, no-transform\r\n"
                     "X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\n") == OK);
    if (origin.len > 0)
        CHECK(buf_printf(&out, "Access-Control-Allow-Origin: %.*s\r\nVary: Origin\r\n",
                         STR_ARG(origin)) == OK);
    put(&out, STR("\r\n"));
    if (!is_poll) {
        char prelude[PRELUDE_BYTES];
        memset(prelude, 'h', sizeof(prelude));
        prelude[PRELUDE_BYTES - 1] = '\n';
        put(&out, (struct str){prelude, PRELUDE_BYTES});
    }
    io_conn_set_handler(c->io, &handler, c);
    if (io_conn_write(c->io, buf_head(&out), buf_len(&out)) != OK)
        io_conn_close(c->io); // pipelined, and never reads
    buf_done(&out);
}

void hub_xhr_receive(struct hub *h, struct http_exchange *x, bool is_poll)
{
    struct str name;
    struct carrier *c;
    struct buf early;
    struct arena a;
    if (!read_name(x, &name))
        return;
    struct word *w = open_word(h, x, name, &c);
    w->is_poll = is_poll;
    arena_init(&a);
    struct str origin = arena_str(&a, http_field_get(&x->req, STR("Origin")));
    c->io = http_upgrade(x, &early); // x is gone
    buf_done(&early);
    if (c->io) {
        start_answer(c, origin, is_poll);
        post(w);
    } else {
        carrier_free(c);
        mem_free(w);
    }
    arena_done(&a);
}

void hub_xhr_send(struct hub *h, struct http_exchange *x)
{
    struct str name;
    allow_origins(x);
    if (!read_name(x, &name))
        return;
    const struct hub_app *app = hub_app_find_by_key(h->apps, x->params[0]);
    struct word *w = word_new(SEND, h, owner_of(h, app, name), name, x->req.body);
    w->x = x;
    post(w);
}

void hub_xhr_preflight(struct http_exchange *x)
{
    allow_origins(x);
    http_reply_field(x, STR("Access-Control-Allow-Methods"), STR("POST"));
    http_reply_field(x, STR("Access-Control-Allow-Headers"), STR("Content-Type"));
    http_reply_field(x, STR("Access-Control-Max-Age"), STR("86400"));
    http_reply(x, 204, NULL, STR(""));
}

/* ---- the end ---- */

void hub_xhr_done(struct hub *h)
{
    for (;;) {
        size_t cursor = 0;
        const struct map_entry *e = map_next(&h->sessions, &cursor);
        if (!e)
            break;
        session_free(e->value);
    }
    map_done(&h->sessions);
    while (!list_is_empty(&h->carriers))
        carrier_free(LIST_ENTRY(h->carriers.next, struct carrier, node));
}
