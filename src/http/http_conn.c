/* http_conn.c -- one HTTP/1.1 connection.
 *
 *     IDLE -- first byte --> READING -- request is whole --> ANSWERING -- replied --> IDLE
 *     READING -- broken, late or too large: error reply ---> ENDED
 *     ANSWERING -- replied, not keep-alive ----------------> ENDED
 *     IDLE -- idle_ms, peer's FIN, server stops -----------> ENDED
 *     ANSWERING -- http_upgrade ---------------------------> HANDED_OVER
 *
 * In:   io_conn -> on_bytes -> take_input -> http_parse_feed -> on_head: route -> dispatch: handler
 * Out:  http_reply -> io_conn_write -> http_conn_answered -> take_input of what waits
 *
 * What a request needs (struct turn: exchange, parser) exists from its first byte to its answer; an
 * idle connection has neither. While a request is being answered the connection is paused; bytes of
 * pipelined requests that were read along wait in pending, which one read buffer bounds.
 */
#include <stdio.h>

#include "core/check.h"
#include "core/mem.h"
#include "http/http_internal.h"
#include "http/http_proxy.h"

enum state { IDLE, READING, ANSWERING, ENDED, HANDED_OVER };

/* More output than this waiting for the peer stops the reading of further pipelined requests. */
enum { HIGH_WATER_BYTES = 256 * 1024 };

struct turn {
    struct http_exchange x; // first: a turn is found from its exchange
    struct http_parse parse;
    struct http_match match;
    bool has_head;
};

struct http_conn {
    struct io_conn *io;
    struct http_server *server;
    struct list node;  // of server->conns
    struct turn *turn; // NULL when idle
    struct str input;  // what take_input works on
    struct buf pending;
    size_t waiting_before; // output, when the idle timer looked last
    char peer[46];
    uint8_t state;
    bool is_running;  // take_input is on the stack
    bool is_blocked;  // too much output waits
    bool is_detached; // left the server while take_input was on the stack: free it there
};

/* ---- exchanges ---- */

static struct turn *turn_of(struct http_exchange *x)
{
    return (struct turn *)(void *)x;
}

static void clear_turn(struct turn *t)
{
    http_parse_done(&t->parse);
    buf_done(&t->x.out_fields);
    arena_done(&t->x.arena);
}

static void free_turn(struct turn *t)
{
    if (!t)
        return;
    clear_turn(t);
    mem_free(t);
}

void http_conn_free_exchange(struct http_exchange *x)
{
    free_turn(turn_of(x));
}

/* One turn is kept for the next request: 4 KiB to and from the allocator would be its largest cost.
 */
static void recycle_turn(struct http_server *s, struct turn *t)
{
    clear_turn(t);
    if (s->spare_turn)
        mem_free(t);
    else
        s->spare_turn = t;
}

static struct turn *new_turn(struct http_server *s)
{
    struct turn *t = s->spare_turn;
    if (!t)
        return MEM_NEW(struct turn);
    s->spare_turn = NULL;
    // The parser is cleared by its init, the fields by their count.
    struct http_exchange *x = &t->x;
    memset(x, 0, offsetof(struct http_exchange, req.fields));
    memset(&x->req.field_count, 0, sizeof(*x) - offsetof(struct http_exchange, req.field_count));
    memset(&t->match, 0, sizeof(*t) - offsetof(struct turn, match));
    return t;
}

void http_conn_free_spare(struct http_server *s)
{
    mem_free(s->spare_turn);
    s->spare_turn = NULL;
}

static void begin_turn(struct http_conn *c)
{
    struct http_server *s = c->server;
    struct turn *t = new_turn(s);
    t->x.loop = s->loop;
    t->x.conn = c;
    memcpy(t->x.peer, c->peer, sizeof(c->peer));
    t->x.is_https = io_conn_is_tls(c->io);
    arena_init(&t->x.arena);
    buf_init(&t->x.out_fields, s->limits.max_head_bytes);
    http_parse_init(&t->parse, &t->x.req, &t->x.arena, &s->limits);
    c->turn = t;
    c->state = READING;
    io_conn_start_timer(c->io, s->limits.head_ms);
}

/* ---- ends ---- */

static void free_conn(struct http_conn *c)
{
    buf_done(&c->pending);
    mem_free(c);
}

/* Leaves the server. An exchange that is being answered lives on without a connection. */
static void detach(struct http_conn *c, enum state next)
{
    io_conn_stop_timer(c->io);
    list_remove(&c->node);
    if (c->turn && c->state == ANSWERING && next == ENDED)
        c->turn->x.conn = NULL;
    else
        free_turn(c->turn);
    c->turn = NULL;
    c->state = (uint8_t)next;
    http_server_conn_gone(c->server);
    c->is_detached = true;
    if (!c->is_running)
        free_conn(c);
}

static void on_io_closed(struct io_conn *io, void *owner)
{
    (void)io;
    detach(owner, ENDED);
}

/* For a connection whose http_conn is gone already, until it is closed or has its next owner. */
static void drop_bytes(struct io_conn *io, void *owner, const uint8_t *bytes, size_t len)
{
    (void)io, (void)owner, (void)bytes, (void)len;
}

static void ignore_closed(struct io_conn *io, void *owner)
{
    (void)io, (void)owner;
}

static const struct io_conn_handler nobody = {.on_bytes = drop_bytes, .on_closed = ignore_closed};

void http_conn_abort(struct http_conn *c)
{
    io_conn_set_handler(c->io, &nobody, NULL);
    io_conn_close(c->io);
    detach(c, ENDED);
}

/* Sends what waits, then FIN; on_io_closed comes later. */
static void end(struct http_conn *c)
{
    c->state = ENDED;
    io_conn_stop_timer(c->io);
    io_conn_resume(c->io); // or the peer's FIN would not be seen
    io_conn_end(c->io);
}

void http_conn_drain(struct http_conn *c)
{
    if (c->state == IDLE && io_conn_waiting(c->io) == 0)
        http_conn_abort(c);
    else if (c->state == IDLE)
        end(c);
}

/* ---- a request ---- */

/* Answers a request that cannot be read further, then ends the connection. */
static void refuse(struct http_conn *c, int status)
{
    c->turn->x.req.keep_alive = false;
    c->state = ANSWERING;
    io_conn_stop_timer(c->io);
    if (c->turn->has_head && c->server->on_unrouted)
        c->server->on_unrouted(&c->turn->x, status, c->server->unrouted_ctx);
    else
        http_problem_plain(&c->turn->x, status);
}

/* The head is whole: who will answer, and how long may the body be? */
static void on_head(struct http_conn *c)
{
    struct turn *t = c->turn;
    struct http_server *s = c->server;
    struct http_parse *p = &t->parse;

    t->has_head = true;
    if (s->proxy)
        http_proxy_look_behind(s->proxy, &t->x);
    t->match = http_router_find(s->router, t->x.req.method, t->x.req.path);
    t->x.route = t->match.route;
    for (size_t i = 0; i < t->match.param_count && t->x.route; i++) {
        if (http_decode(t->match.params[i], &t->x.arena, &t->x.params[i]))
            t->x.route = NULL; // nothing has such a name
    }
    if (!t->x.route && t->match.route)
        t->match.allowed = 0;
    if (p->state != HTTP_PARSE_BODY)
        return;
    io_conn_start_timer(c->io, s->limits.body_ms);
    size_t max = t->x.route ? t->x.route->max_body_bytes : 0;
    http_parse_limit_body(p, max > 0 ? max : s->limits.max_body_bytes);
}

static void answer_unrouted(struct http_conn *c)
{
    struct turn *t = c->turn;
    struct http_exchange *x = &t->x;
    char allow[HTTP_ROUTER_ALLOW_BYTES];
    bool is_known = t->match.allowed != 0 || str_eq(x->req.path, STR("*"));

    if (is_known)
        http_reply_field(x, STR("Allow"), http_router_allow(t->match.allowed, allow));
    if (is_known && x->req.method == HTTP_OPTIONS) {
        http_reply(x, 204, NULL, STR(""));
        return;
    }
    int status = is_known ? 405 : 404;
    if (c->server->on_unrouted)
        c->server->on_unrouted(x, status, c->server->unrouted_ctx);
    else
        http_problem_plain(x, status);
}

static void dispatch(struct http_conn *c)
{
    struct turn *t = c->turn;

    c->state = ANSWERING;
    io_conn_stop_timer(c->io);
    if (t->x.route)
        t->x.route->handler(&t->x, t->match.ctx);
    else
        answer_unrouted(c);
}

/* RFC 9110 §10.1.1. Without a route the final status comes first, and the body is never read. */
static void on_expect(struct http_conn *c)
{
    if (!c->turn->x.route) {
        c->turn->x.req.keep_alive = false;
        dispatch(c);
        return;
    }
    c->turn->parse.wants_continue = false;
    struct str go_on = STR("HTTP/1.1 100 Continue\r\n\r\n");
    if (io_conn_write(c->io, go_on.at, go_on.len))
        io_conn_close(c->io);
}

static void feed(struct http_conn *c)
{
    struct turn *t = c->turn;
    size_t n = http_parse_feed(&t->parse, (const uint8_t *)c->input.at, c->input.len);

    c->input = (struct str){c->input.at + n, c->input.len - n};
    if (!t->has_head && (t->parse.state == HTTP_PARSE_BODY || t->parse.state == HTTP_PARSE_DONE))
        on_head(c);
    switch (t->parse.state) {
    case HTTP_PARSE_HEAD:
        break;
    case HTTP_PARSE_BODY:
        if (t->parse.wants_continue && c->input.len == 0)
            on_expect(c);
        break;
    case HTTP_PARSE_DONE:
        dispatch(c);
        break;
    case HTTP_PARSE_FAILED:
        refuse(c, t->parse.status);
        break;
    }
}

static bool may_read(const struct http_conn *c)
{
    return (c->state == IDLE || c->state == READING) && !c->is_blocked;
}

/* Works through c->input until it is used up or a request has to wait for its answer. Replies that
 * are given at once only change the state, so pipelined requests do not recurse. */
static void take_input(struct http_conn *c)
{
    c->is_running = true;
    while (c->input.len > 0 && may_read(c)) {
        if (c->state == IDLE)
            begin_turn(c);
        feed(c);
    }
    c->is_running = false;
}

/* ---- io_conn's callbacks ---- */

/* After take_input: reads on only when nothing waits. */
static void settle(struct http_conn *c)
{
    if (c->is_detached) {
        free_conn(c);
        return;
    }
    // All that was pipelined is answered by one send; its memory serves the next connection.
    if (io_conn_waiting(c->io) > 0)
        io_conn_flush(c->io);
    if (buf_len(&c->pending) == 0)
        buf_done(&c->pending);
    if (may_read(c) && buf_len(&c->pending) == 0)
        io_conn_resume(c->io);
    else if (c->state != ENDED)
        io_conn_pause(c->io);
}

static void on_bytes(struct io_conn *io, void *owner, const uint8_t *bytes, size_t len)
{
    struct http_conn *c = owner;
    (void)io;

    c->input = (struct str){(const char *)bytes, len};
    take_input(c);
    if (c->input.len > 0 && c->state != ENDED && !c->is_detached) {
        enum err err = buf_append(&c->pending, c->input.at, c->input.len);
        CHECK(!err); // settle pauses, so one read buffer at most comes here
    }
    settle(c);
}

/* Goes on with what was read along with the last request, then with the socket. */
static void go_on(struct http_conn *c)
{
    if (c->is_running)
        return;
    size_t before = buf_len(&c->pending);
    if (before > 0) {
        c->input = (struct str){(const char *)buf_head(&c->pending), before};
        take_input(c);
        buf_consume(&c->pending, before - c->input.len);
    }
    settle(c);
}

static void on_drained(struct io_conn *io, void *owner)
{
    struct http_conn *c = owner;
    (void)io;
    c->waiting_before = 0;
    if (!c->is_blocked)
        return;
    c->is_blocked = false;
    go_on(c);
}

static void on_peer_end(struct io_conn *io, void *owner)
{
    struct http_conn *c = owner;
    (void)io;
    end(c); // paused while a request is answered, so none is lost here but half ones
}

static void on_timer(struct io_conn *io, void *owner)
{
    struct http_conn *c = owner;
    (void)io;

    if (c->state == READING) {
        refuse(c, 408);
        return;
    }
    // A slow reader of a large answer is not idle as long as it takes something.
    size_t waiting = io_conn_waiting(c->io);
    if (waiting > 0 && waiting != c->waiting_before) {
        c->waiting_before = waiting;
        io_conn_start_timer(c->io, c->server->limits.idle_ms);
        return;
    }
    io_conn_close(c->io);
}

static const struct io_conn_handler io_handler = {.on_bytes = on_bytes,
                                                  .on_end = on_peer_end,
                                                  .on_drained = on_drained,
                                                  .on_timer = on_timer,
                                                  .on_closed = on_io_closed};

/* ---- for http_reply and http_server ---- */

/* Too much waits: sends it now, and if the peer does not take it, reads no further requests. */
static void slow_down(struct http_conn *c)
{
    if (io_conn_waiting(c->io) <= HIGH_WATER_BYTES)
        return;
    io_conn_flush(c->io);
    c->is_blocked = io_conn_waiting(c->io) > 0;
}

void http_conn_answered(struct http_conn *c, struct http_exchange *x)
{
    CHECK(c->state == ANSWERING && &c->turn->x == x);
    bool keep_alive = x->req.keep_alive && !c->server->is_stopping;
    bool is_lost = !io_conn_is_open(c->io);

    recycle_turn(c->server, c->turn);
    c->turn = NULL;
    if (is_lost) {
        c->state = ENDED;
        return;
    }
    if (!keep_alive) {
        end(c);
        return;
    }
    c->state = IDLE;
    io_conn_start_timer(c->io, c->server->limits.idle_ms);
    slow_down(c);
    go_on(c);
}

struct io_conn *http_conn_upgrade(struct http_conn *c, struct http_exchange *x, struct buf *early)
{
    CHECK(c->state == ANSWERING && &c->turn->x == x);
    struct io_conn *io = c->io;
    if (!io_conn_is_open(io)) { // lost in this turn; on_io_closed comes
        free_turn(c->turn);
        c->turn = NULL;
        c->state = ENDED;
        return NULL;
    }
    struct str rest = c->is_running ? c->input : STR("");
    enum err err = buf_append(early, rest.at, rest.len);

    if (!err && !c->is_running && buf_len(&c->pending) > 0)
        err = buf_append(early, buf_head(&c->pending), buf_len(&c->pending));
    CHECK(!err); // one read buffer at most
    c->input = STR("");
    io_conn_set_handler(io, &nobody, NULL);
    io_conn_resume(io);
    detach(c, HANDED_OVER);
    return io;
}

struct io_conn *http_conn_io(struct http_conn *c)
{
    return c->io;
}

struct http_server *http_conn_server(struct http_conn *c)
{
    return c->server;
}

struct http_conn *http_conn_of_node(struct list *node)
{
    return LIST_ENTRY(node, struct http_conn, node);
}

/* For one who speaks HTTP in clear where TLS is spoken. */
#define SPEAK_HTTPS                                                                                \
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 56\r\n"               \
    "Connection: close\r\n\r\n"                                                                    \
    "This port speaks HTTPS: begin the address with https://\n"

void http_conn_new(struct http_server *s, int fd, const char *peer, SSL_CTX *certificate)
{
    struct http_conn *c = MEM_NEW(struct http_conn);
    c->server = s;
    buf_init(&c->pending, IO_LOOP_READ_BYTES);
    list_append(&s->conns, &c->node);
    s->conn_count++;
    c->io = io_conn_new(s->loop, fd, &io_handler, c, s->limits.max_out_bytes);
    snprintf(c->peer, sizeof(c->peer), "%s", peer);
    if (certificate)
        io_conn_start_tls(c->io, certificate, STR(SPEAK_HTTPS));
    // A client that connects and says nothing gets no more time than one that dribbles.
    io_conn_start_timer(c->io, s->limits.head_ms);
}
