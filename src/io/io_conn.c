/* io_conn.c -- see io_conn.h for the states.
 *
 * In:   io_conn_run_events -> on_events -> read_some [-> read_records] -> handler->on_bytes
 * Out:  io_conn_write -> c->out, c on l->dirty -> end of turn: io_conn_flush_dirty -> send_waiting
 *           -> send_plain [-> send_as_records] -> send_some
 *
 * Interest in readability is dropped lazily: io_conn_pause only sets a flag, and polling stops when
 * the socket turns readable meanwhile. Most clients wait for their answer, so a request costs no
 * epoll_ctl. Interest in writability exists only while output waits. libuv's own streams are not
 * used, because they own buffers and a queue of write requests per connection; for its uv_poll_t
 * see io_loop.c.
 */
#include "io/io_conn.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "io/io_listener.h"
#include "io/io_loop_internal.h"

enum state { OPEN, ENDING, CLOSED };

enum {
    FIN_WAIT_MS = 2000,    // for the peer's FIN after ours
    FLUSH_WAIT_MS = 10000, // for any progress of the last bytes of an ending connection
};

struct io_conn {
    struct io_loop *loop;
    const struct io_conn_handler *handler;
    void *owner;
    struct list node;      // of the loop's conns, its dirty or its closed
    struct io_timer timer; // the owner's while OPEN
    struct buf out;        // from here on: what a write takes (io_conn_prefetch)
    struct io_tls *tls;    // NULL: in clear
    int fd;
    uint8_t state;
    uint8_t polled; // EPOLLIN, EPOLLOUT: what is asked for
    bool is_paused;
    bool is_read_done; // the peer sent FIN (close_notify)
    bool is_fin_sent;
    bool is_full; // the socket did not take all that we had for it
};

_Static_assert(sizeof(struct io_conn) <= 120, "an idle connection is small");
_Static_assert((int)IO_TLS_PLAIN_BYTES <= (int)IO_LOOP_READ_BYTES, "plain bytes have room");

static bool is_peer_end_due(const struct io_conn *c);
static void on_peer_end(struct io_conn *c);

static void control(struct io_conn *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    CHECK(epoll_ctl(c->loop->epoll_fd, operation, c->fd, &event) == 0);
}

/* Asks for what the state needs. Each change costs a system call. */
static void update_poll(struct io_conn *c)
{
    uint8_t want = 0;
    if (!c->is_read_done && !(c->state == OPEN && c->is_paused))
        want |= EPOLLIN;
    if (c->is_full)
        want |= EPOLLOUT;
    if (want == c->polled)
        return;
    c->polled = want;
    control(c, EPOLL_CTL_MOD, want);
}

static void enter(struct io_conn *c, enum state next)
{
    CHECK(next > c->state); // states only move forward
    c->state = (uint8_t)next;
    switch (next) {
    case OPEN:
        break;
    case ENDING:
        io_timer_start(c->loop, &c->timer, FLUSH_WAIT_MS);
        break;
    case CLOSED:
        io_timer_stop(&c->timer);
        list_remove(&c->node);
        list_append(&c->loop->closed, &c->node);
        control(c, EPOLL_CTL_DEL, 0); // close alone would not do while a child has the descriptor
        close(c->fd);
        break;
    }
}

/* Nothing is cut off, so the peer may know that this is the end; if the socket takes it, well. */
static void try_close_notify(struct io_conn *c)
{
    if (!c->tls || c->state != OPEN || io_conn_waiting(c) > 0)
        return;
    io_tls_end(c->tls);
    const struct buf *records = io_tls_out(c->tls);
    if (buf_len(records) > 0 && send(c->fd, buf_head(records), buf_len(records), MSG_NOSIGNAL) < 0)
        log_debug("at=io_conn.close errno=%d", errno);
}

void io_conn_close(struct io_conn *c)
{
    if (c->state == CLOSED)
        return;
    try_close_notify(c);
    enter(c, CLOSED);
}

static void on_due(struct io_timer *t)
{
    struct io_conn *c = LIST_ENTRY(t, struct io_conn, timer);
    if (c->state != OPEN)
        io_conn_close(c);
    else if (c->handler->on_timer)
        c->handler->on_timer(c, c->owner);
}

void io_conn_start_timer(struct io_conn *c, int64_t delay_ms)
{
    if (c->state == OPEN)
        io_timer_start(c->loop, &c->timer, delay_ms);
}

void io_conn_stop_timer(struct io_conn *c)
{
    if (c->state == OPEN)
        io_timer_stop(&c->timer);
}

/* ---- out ---- */

/* What the socket takes now; 0: nothing, or the connection was lost and is closed. */
static size_t send_some(struct io_conn *c, const void *bytes, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        ssize_t n = send(c->fd, (const uint8_t *)bytes + sent, len - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            io_conn_close(c);
            return 0;
        }
    }
    return sent;
}

/* The records that wait. True when none is left; false also when the connection was lost. */
static bool send_records(struct io_conn *c)
{
    struct buf *records = io_tls_out(c->tls);
    if (buf_len(records) == 0)
        return true;
    size_t sent = send_some(c, buf_head(records), buf_len(records));
    if (c->state == CLOSED)
        return false;
    buf_consume(records, sent);
    if (buf_len(records) > 0)
        return false;
    buf_done(records);
    return true;
}

/* Makes records only while the socket takes them; none before the handshake is done. */
static size_t send_as_records(struct io_conn *c, const uint8_t *bytes, size_t len)
{
    size_t done = 0, taken = 1;
    while (send_records(c) && done < len && taken > 0) {
        if (io_tls_write(c->tls, bytes + done, len - done, &taken)) {
            io_conn_close(c);
            return 0;
        }
        done += taken;
    }
    return c->state == CLOSED ? 0 : done;
}

/* How many of the bytes need not wait any more; 0 also when the connection was lost. */
static size_t send_plain(struct io_conn *c, const void *bytes, size_t len)
{
    return c->tls ? send_as_records(c, bytes, len) : send_some(c, bytes, len);
}

static bool is_socket_full(const struct io_conn *c)
{
    return (c->tls ? buf_len(io_tls_out(c->tls)) : buf_len(&c->out)) > 0;
}

/* close_notify goes first. False: it has to wait, or the connection was lost. */
static bool send_close_notify(struct io_conn *c)
{
    if (!c->tls)
        return true;
    io_tls_end(c->tls);
    if (send_records(c))
        return true;
    if (c->state != CLOSED) {
        c->is_full = true;
        update_poll(c);
    }
    return false;
}

static void send_fin(struct io_conn *c)
{
    if (c->is_fin_sent || !send_close_notify(c))
        return;
    c->is_fin_sent = true;
    if (c->is_read_done || shutdown(c->fd, SHUT_WR) != 0) {
        io_conn_close(c);
        return;
    }
    io_timer_start(c->loop, &c->timer, FIN_WAIT_MS);
    update_poll(c);
}

/* Sends what waits as far as it goes and sees to what follows from that. */
static void send_waiting(struct io_conn *c)
{
    size_t before = io_conn_waiting(c);
    bool had_output = buf_len(&c->out) > 0 || c->is_full; // not what TLS alone had to say

    if (before > 0) {
        size_t sent = send_plain(c, buf_head(&c->out), buf_len(&c->out));
        if (c->state == CLOSED)
            return;
        buf_consume(&c->out, sent);
        if (io_conn_waiting(c) != before && c->state == ENDING)
            io_timer_start(c->loop, &c->timer, FLUSH_WAIT_MS);
    }
    c->is_full = is_socket_full(c);
    if (io_conn_waiting(c) > 0) { // for the socket, or for the handshake
        update_poll(c);
        return;
    }
    buf_done(&c->out);
    if (c->polled & EPOLLOUT)
        update_poll(c);
    if (c->state == ENDING) {
        send_fin(c);
    } else if (had_output && c->handler->on_drained) {
        c->loop->hooks_again = true;
        c->handler->on_drained(c, c->owner);
    }
}

static void leave_dirty(struct io_conn *c)
{
    list_remove(&c->node);
    list_append(&c->loop->conns, &c->node);
}

static void mark_dirty(struct io_conn *c)
{
    list_remove(&c->node);
    list_append(&c->loop->dirty, &c->node);
}

void io_conn_flush_dirty(struct io_loop *l)
{
    struct list *node;
    while ((node = list_shift(&l->dirty))) {
        struct io_conn *c = LIST_ENTRY(node, struct io_conn, node);
        list_append(&l->conns, node);
        send_waiting(c);
        if (is_peer_end_due(c)) {
            l->hooks_again = true;
            on_peer_end(c);
        }
    }
}

void io_conn_flush(struct io_conn *c)
{
    if (c->state == CLOSED)
        return;
    leave_dirty(c);
    send_waiting(c);
}

static enum err queue(struct io_conn *c, const void *bytes, size_t len)
{
    if (len > c->out.max || io_conn_waiting(c) > c->out.max - len)
        return ERR_TOO_LARGE;
    return buf_append(&c->out, bytes, len);
}

enum err io_conn_write(struct io_conn *c, const void *bytes, size_t len)
{
    if (c->state != OPEN || len == 0)
        return OK;
    bool was_empty = io_conn_waiting(c) == 0;
    enum err err = queue(c, bytes, len);
    // When output waits already, the connection is dirty or waits to become writable.
    if (!err && was_empty)
        mark_dirty(c);
    return err;
}

enum err io_conn_write_shared(struct io_conn *c, const void *bytes, size_t len)
{
    if (c->state != OPEN || io_conn_waiting(c) > 0)
        return io_conn_write(c, bytes, len);

    size_t sent = send_plain(c, bytes, len);
    if (c->state == CLOSED || (sent == len && io_conn_waiting(c) == 0))
        return OK;
    enum err err = queue(c, (const uint8_t *)bytes + sent, len - sent);
    c->is_full = !err && is_socket_full(c);
    if (!err)
        update_poll(c);
    return err;
}

void io_conn_prefetch(const struct io_conn *c)
{
    __builtin_prefetch(&c->out);
    __builtin_prefetch(&c->is_full);
}

size_t io_conn_waiting(const struct io_conn *c)
{
    return buf_len(&c->out) + (c->tls ? buf_len(io_tls_out(c->tls)) : 0);
}

/* ---- in ---- */

static void on_peer_end(struct io_conn *c)
{
    c->is_read_done = true;
    if (c->state == ENDING) {
        if (c->is_fin_sent)
            io_conn_close(c);
        else
            update_poll(c);
        return;
    }
    update_poll(c);
    if (c->handler->on_end)
        c->handler->on_end(c, c->owner);
    else
        io_conn_end(c);
}

/* The peer hears why (an alert), and no more is read. */
static void fail_tls(struct io_conn *c)
{
    char peer[IO_PEER_BYTES];
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    if (getpeername(c->fd, (struct sockaddr *)&address, &len) != 0)
        address.ss_family = AF_UNSPEC; // the peer is gone already
    io_listener_write_peer(&address, peer);
    log_debug("at=io_conn.tls peer=%s why=\"%s\"", peer, io_tls_why(c->tls));
    buf_done(&c->out); // cannot be sent any more
    enter(c, ENDING);
    io_conn_flush(c);
}

/* close_notify came with the last bytes. An owner that paused hears of it when it goes on, as of a
 * FIN, which would not have been read. */
static bool is_peer_end_due(const struct io_conn *c)
{
    return c->tls && io_tls_is_read_done(c->tls) && c->state == OPEN && !c->is_paused &&
           !c->is_read_done;
}

static void read_records(struct io_conn *c, const uint8_t *records, size_t records_len)
{
    uint8_t *bytes = io_loop_read_buffer(c->loop);
    size_t len = 0;
    enum err err = io_tls_read(c->tls, records, records_len, bytes, &len);

    if (len > 0)
        c->handler->on_bytes(c, c->owner, bytes, len);
    if (err && c->state == OPEN)
        fail_tls(c);
    // What TLS itself has to say, and what waited for the end of the handshake.
    else if (!c->is_full && io_conn_waiting(c) > 0)
        io_conn_flush(c);
    if (is_peer_end_due(c))
        on_peer_end(c);
}

static void read_some(struct io_conn *c)
{
    if (is_peer_end_due(c)) { // nothing that follows counts
        on_peer_end(c);
        return;
    }
    uint8_t *bytes = c->tls ? c->loop->records : io_loop_read_buffer(c->loop);
    ssize_t n = recv(c->fd, bytes, c->tls ? IO_TLS_READ_BYTES : IO_LOOP_READ_BYTES, 0);

    if (n > 0) {
        if (c->state == OPEN && c->tls)
            read_records(c, bytes, (size_t)n);
        else if (c->state == OPEN)
            c->handler->on_bytes(c, c->owner, bytes, (size_t)n);
    } else if (n == 0) {
        on_peer_end(c);
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        io_conn_close(c);
    }
}

static void on_events(struct io_conn *c, uint32_t events)
{
    // Both come unasked. The peer reset it; or nothing is asked for that would say more.
    if ((events & EPOLLERR) || ((events & EPOLLHUP) && !c->polled)) {
        io_conn_close(c);
        return;
    }
    if (events & EPOLLHUP)
        events |= c->polled;
    events &= c->polled; // which an earlier event of this turn may have changed
    if (events & EPOLLOUT)
        io_conn_flush(c);
    if (c->state == CLOSED || !(events & EPOLLIN))
        return;
    if (c->state == OPEN && c->is_paused)
        update_poll(c);
    else
        read_some(c);
}

enum { MAX_EVENTS = 256 };

void io_conn_run_events(struct io_loop *l)
{
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(l->epoll_fd, events, MAX_EVENTS, 0);
    for (int i = 0; i < count; i++) {
        struct io_conn *c = events[i].data.ptr;
        if (c->state != CLOSED) // by an earlier one
            on_events(c, events[i].events);
    }
}

void io_conn_pause(struct io_conn *c)
{
    c->is_paused = true;
}

void io_conn_resume(struct io_conn *c)
{
    c->is_paused = false;
    if (c->state == CLOSED)
        return;
    update_poll(c);
    if (is_peer_end_due(c))
        mark_dirty(c); // this call is no place for a callback
}

/* ---- life ---- */

struct io_conn *io_conn_new(struct io_loop *l, int fd, const struct io_conn_handler *handler,
                            void *owner, size_t max_out_bytes)
{
    struct io_conn *c = MEM_NEW(struct io_conn);
    c->loop = l;
    c->fd = fd;
    c->handler = handler;
    c->owner = owner;
    buf_init(&c->out, max_out_bytes);
    io_timer_init(&c->timer, on_due);
    list_append(&l->conns, &c->node);
    c->polled = EPOLLIN;
    control(c, EPOLL_CTL_ADD, EPOLLIN);
    return c;
}

void io_conn_start_tls(struct io_conn *c, SSL_CTX *certificate, struct str plain_answer)
{
    CHECK(!c->tls && c->state == OPEN && buf_len(&c->out) == 0);
    c->tls = io_tls_new(certificate, plain_answer);
}

bool io_conn_is_tls(const struct io_conn *c)
{
    return c->tls != NULL;
}

void io_conn_set_handler(struct io_conn *c, const struct io_conn_handler *handler, void *owner)
{
    c->handler = handler;
    c->owner = owner;
}

void io_conn_set_max_out(struct io_conn *c, size_t max_out_bytes)
{
    size_t waiting = io_conn_waiting(c);
    buf_set_max(&c->out, max_out_bytes > waiting ? max_out_bytes : waiting);
}

void io_conn_end(struct io_conn *c)
{
    if (c->state != OPEN)
        return;
    enter(c, ENDING);
    if (io_conn_waiting(c) == 0)
        send_fin(c);
    // Else the FIN follows the last byte: see send_waiting.
}

void io_conn_close_all(struct io_loop *l)
{
    struct list *lists[] = {&l->conns, &l->dirty};
    for (size_t i = 0; i < 2; i++)
        while (!list_is_empty(lists[i]))
            io_conn_close(LIST_ENTRY(lists[i]->next, struct io_conn, node));
}

bool io_conn_reap(struct io_loop *l)
{
    struct list *node = list_shift(&l->closed);
    if (!node)
        return false;
    for (; node; node = list_shift(&l->closed)) {
        struct io_conn *c = LIST_ENTRY(node, struct io_conn, node);
        c->handler->on_closed(c, c->owner);
        buf_done(&c->out);
        io_tls_free(c->tls);
        mem_free(c);
    }
    return true;
}

struct io_loop *io_conn_loop(const struct io_conn *c)
{
    return c->loop;
}

bool io_conn_is_open(const struct io_conn *c)
{
    return c->state == OPEN;
}
