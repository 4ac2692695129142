/* ws_conn.c -- one WebSocket connection after its handshake.
 *
 *     OPEN ---- we close -----------------> CLOSING -- peer's close ----------> ENDED
 *     OPEN ---- peer's close, or its error -----------------------------------> ENDED
 *     CLOSING - 3 s -----------------------------------------------------------> ENDED
 *
 * In ENDED all that is left is to send what waits, our FIN first (io_conn_end), and to hear from io
 * that the connection is gone.
 *
 * In:   io_conn -> on_bytes -> ws_message_next -> on_data_piece / on_control -> handler
 *                                             \-> on_compressed_piece -> ws_inflate_next -/
 * Out:  ws_conn_send (-> ws_deflate) -> io_conn_write
 *
 * Backpressure: when more than PAUSE_BYTES (or the handler's number) wait for the peer after we
 * handled its bytes, we stop reading until they are gone. A peer that sends pings and never reads
 * thus stops itself.
 *
 * A read of 64 KiB may hold thousands of compressed messages that are long: what they inflate to in
 * one turn is bounded, and the rest of the bytes waits for the next, unread ones behind it.
 *
 * Bytes are unmasked into a scratch buffer on the stack. A message that came whole is handed out
 * from there; only one that came in parts is collected.
 */
#include "ws/ws_conn.h"

#include "core/check.h"
#include "core/mem.h"
#include "ws/ws_deflate.h"
#include "ws/ws_inflate.h"

enum {
    CLOSE_WAIT_MS = 3000,
    PAUSE_BYTES = 64 * 1024,
    SCRATCH_BYTES = 16 * 1024, // more than the default of max_message_size
    MAX_MESSAGE_BYTES = 1 << 30,
    TURN_INFLATED_BYTES = 256 * 1024, // or one message
};

struct ws_partial {
    struct ws_message in; // while nobody reads; then it is ws_conn_receive's
    struct buf message;
    uint8_t control[WS_FRAME_MAX_CONTROL_BYTES];
    size_t control_len;
};

static struct ws_partial *get_partial(struct ws_conn *c)
{
    if (!c->partial) {
        c->partial = MEM_NEW(struct ws_partial);
        buf_init(&c->partial->message,
                 (size_t)ws_message_max_compressed_bytes(c->max_message_bytes));
    }
    return c->partial;
}

static void drop_partial(struct ws_conn *c)
{
    if (c->partial)
        buf_done(&c->partial->message);
    mem_free(c->partial);
    c->partial = NULL;
}

static void drop_partial_when_empty(struct ws_conn *c)
{
    if (c->partial && c->partial->control_len == 0 && buf_len(&c->partial->message) == 0)
        drop_partial(c);
}

static void enter(struct ws_conn *c, enum ws_conn_state next)
{
    CHECK(next > c->state); // states only move forward
    c->state = (uint8_t)next;
    drop_partial(c);
    switch (next) {
    case WS_CONN_OPEN:
        break;
    case WS_CONN_CLOSING:
        // The rest of the turn's output goes first; the peer must be read to see its close.
        io_conn_start_timer(c->io, CLOSE_WAIT_MS);
        if (c->is_paused && !c->has_rest)
            io_conn_resume(c->io);
        io_conn_flush(c->io);
        break;
    case WS_CONN_ENDED:
        io_conn_end(c->io);
        break;
    }
}

static enum err write_frame(struct ws_conn *c, const struct ws_frame *frame, const void *payload)
{
    // Header and payload go into the same write, so that neither is queued without the other.
    uint8_t small[WS_FRAME_MAX_HEADER_BYTES + 512];
    size_t header_len = ws_frame_write(frame, small), len = (size_t)frame->size_bytes;
    if (len <= sizeof(small) - header_len) {
        if (len > 0)
            memcpy(small + header_len, payload, len);
        return io_conn_write(c->io, small, header_len + len);
    }
    struct buf whole;
    buf_init(&whole, header_len + len);
    enum err err = buf_append(&whole, small, header_len);
    if (!err)
        err = buf_append(&whole, payload, len);
    if (!err)
        err = io_conn_write_shared(c->io, buf_head(&whole), buf_len(&whole));
    buf_done(&whole);
    return err;
}

/* A message in one frame. */
static enum err send_message(struct ws_conn *c, const struct ws_frame *frame, struct str message)
{
    struct buf out;
    buf_init(&out, WS_FRAME_MAX_HEADER_BYTES + message.len);
    struct ws_deflate *deflate = ws_deflate_of(io_conn_loop(c->io));
    bool is_smaller = ws_deflate_message(deflate, c->window_bits, frame->opcode, message, &out);
    enum err err = is_smaller ? io_conn_write(c->io, buf_head(&out), buf_len(&out))
                              : write_frame(c, frame, message.at);
    buf_done(&out);
    return err;
}

/* A part of a message. The first decides whether all are compressed. */
static enum err send_fragment(struct ws_conn *c, const struct ws_frame *frame, struct str part)
{
    bool is_first = frame->opcode != WS_CONTINUATION;
    if (is_first)
        c->is_deflating = part.len >= WS_DEFLATE_MIN_BYTES;
    if (!c->is_deflating)
        return write_frame(c, frame, part.at);

    struct buf out;
    struct ws_deflate *deflate = ws_deflate_of(io_conn_loop(c->io));
    buf_init(&out, (size_t)ws_message_max_compressed_bytes(part.len));
    CHECK(ws_deflate_payload(deflate, c->window_bits, part, frame->fin, &out) == OK);
    struct ws_frame compressed = {.opcode = frame->opcode,
                                  .fin = frame->fin,
                                  .compressed = is_first,
                                  .size_bytes = buf_len(&out)};
    enum err err = write_frame(c, &compressed, buf_head(&out));
    buf_done(&out);
    return err;
}

enum err ws_conn_send(struct ws_conn *c, const struct ws_frame *frame, const void *payload)
{
    if (!ws_conn_is_open(c))
        return OK;
    if (c->window_bits == 0 || ws_opcode_is_control(frame->opcode))
        return write_frame(c, frame, payload);
    struct str bytes = {payload, (size_t)frame->size_bytes};
    bool is_whole = frame->fin && frame->opcode != WS_CONTINUATION;
    return is_whole ? send_message(c, frame, bytes) : send_fragment(c, frame, bytes);
}

enum err ws_conn_send_shared(struct ws_conn *c, const void *frames, size_t len)
{
    return ws_conn_is_open(c) ? io_conn_write_shared(c->io, frames, len) : OK;
}

enum err ws_conn_ping(struct ws_conn *c)
{
    return ws_conn_send(c, &(struct ws_frame){.opcode = WS_PING, .fin = true}, NULL);
}

/* A close frame must leave even when the queue is full: it is the last thing that is queued. */
static void write_close(struct ws_conn *c, const struct ws_close *close)
{
    uint8_t payload[WS_FRAME_MAX_CONTROL_BYTES];
    size_t len = ws_close_write(close, payload);
    struct ws_frame frame = {.opcode = WS_CLOSE, .fin = true, .size_bytes = len};
    io_conn_set_max_out(c->io,
                        io_conn_waiting(c->io) + WS_FRAME_MAX_HEADER_BYTES + sizeof(payload));
    CHECK(write_frame(c, &frame, payload) == OK);
}

void ws_conn_close(struct ws_conn *c, int code, struct str reason)
{
    if (!ws_conn_is_open(c))
        return;
    write_close(c, &(struct ws_close){code, reason});
    enter(c, WS_CONN_CLOSING);
}

void ws_conn_abort(struct ws_conn *c)
{
    io_conn_close(c->io);
}

void ws_conn_start_timer(struct ws_conn *c, int64_t delay_ms)
{
    if (ws_conn_is_open(c))
        io_conn_start_timer(c->io, delay_ms);
}

static void on_timer(struct io_conn *io, void *owner)
{
    struct ws_conn *c = owner;
    if (c->state == WS_CONN_CLOSING)
        io_conn_close(io); // it had its time to answer
    else if (ws_conn_is_open(c) && c->handler->on_timer)
        c->handler->on_timer(c);
}

/* The peer broke the rules: say so and end (RFC 6455 §7.1.7). */
static void fail(struct ws_conn *c, enum err err)
{
    static const struct ws_close why[ERR_COUNT] = {
        [ERR_PROTOCOL] = {WS_CLOSE_PROTOCOL, {"Protocol error", 14}},
        [ERR_INVALID] = {WS_CLOSE_INVALID, {"Invalid payload data", 20}},
        [ERR_TOO_LARGE] = {WS_CLOSE_TOO_LARGE, {"Maximum message size exceeded", 29}},
    };
    CHECK(why[err].code != 0);
    if (ws_conn_is_open(c))
        write_close(c, &why[err]);
    enter(c, WS_CONN_ENDED);
}

static void on_close_frame(struct ws_conn *c, struct str payload)
{
    struct ws_close close;
    enum err err = ws_close_parse(payload, &close);
    if (err) {
        fail(c, err);
        return;
    }
    if (close.code == WS_CLOSE_NO_CODE)
        close.code = WS_CLOSE_NORMAL;
    if (ws_conn_is_open(c))
        write_close(c, &close); // the echo
    enter(c, WS_CONN_ENDED);
}

static void on_control(struct ws_conn *c, enum ws_opcode opcode, struct str payload)
{
    if (opcode == WS_CLOSE) {
        on_close_frame(c, payload);
        return;
    }
    if (!ws_conn_is_open(c))
        return;
    struct ws_frame pong = {.opcode = WS_PONG, .fin = true, .size_bytes = payload.len};
    if (opcode == WS_PING && write_frame(c, &pong, payload.at) != OK) {
        ws_conn_abort(c); // its queue is full of what it does not read
        return;
    }
    if (c->handler->on_control)
        c->handler->on_control(c);
}

static void on_control_piece(struct ws_conn *c, const struct ws_piece *piece)
{
    bool is_part = c->partial && c->partial->control_len > 0;
    if (piece->is_last && !is_part) {
        on_control(c, piece->opcode, (struct str){(const char *)piece->bytes, piece->len});
        return;
    }
    struct ws_partial *partial = get_partial(c);
    memcpy(partial->control + partial->control_len, piece->bytes, piece->len);
    partial->control_len += piece->len;
    if (!piece->is_last)
        return;

    uint8_t control[WS_FRAME_MAX_CONTROL_BYTES];
    size_t len = partial->control_len;
    memcpy(control, partial->control, len);
    partial->control_len = 0;
    drop_partial_when_empty(c);
    on_control(c, piece->opcode, (struct str){(const char *)control, len});
}

static void collect(struct ws_conn *c, const struct ws_piece *piece)
{
    if (piece->len > 0) // ws_message or ws_inflate counted: it fits
        CHECK(buf_append(&get_partial(c)->message, piece->bytes, piece->len) == OK);
}

/* What was collected; the caller frees it. */
static struct buf take_partial_message(struct ws_conn *c)
{
    struct buf message = {0};
    if (c->partial) {
        message = c->partial->message;
        buf_init(&c->partial->message, message.max);
        drop_partial_when_empty(c);
    }
    return message;
}

static void on_data_piece(struct ws_conn *c, const struct ws_piece *piece)
{
    if (!ws_conn_is_open(c))
        return;
    if (c->handler->on_piece) {
        c->handler->on_piece(c, piece);
        return;
    }
    if (piece->is_first && piece->is_last) {
        c->handler->on_message(c, piece->opcode,
                               (struct str){(const char *)piece->bytes, piece->len});
        return;
    }
    collect(c, piece);
    if (!piece->is_last)
        return;

    struct buf message = take_partial_message(c);
    c->handler->on_message(c, piece->opcode,
                           (struct str){(const char *)buf_head(&message), buf_len(&message)});
    buf_done(&message);
}

static void inflate_message(struct ws_conn *c, enum ws_opcode type, struct str payload)
{
    uint8_t scratch[SCRATCH_BYTES] __attribute__((uninitialized));
    struct ws_inflate *inflate = ws_inflate_of(io_conn_loop(c->io));
    struct ws_piece piece = {0};
    ws_inflate_start(inflate, type, payload, c->max_message_bytes);
    while (ws_conn_is_open(c) && io_conn_is_open(c->io) && !piece.is_last) {
        enum err err = ws_inflate_next(inflate, scratch, sizeof(scratch), &piece);
        if (err) {
            fail(c, err);
            return;
        }
        on_data_piece(c, &piece);
    }
}

static void on_compressed_piece(struct ws_conn *c, const struct ws_piece *piece)
{
    if (!ws_conn_is_open(c))
        return;
    if (piece->is_first && piece->is_last) {
        inflate_message(c, piece->opcode, (struct str){(const char *)piece->bytes, piece->len});
        return;
    }
    collect(c, piece);
    if (!piece->is_last)
        return;

    struct buf payload = take_partial_message(c);
    inflate_message(c, piece->opcode,
                    (struct str){(const char *)buf_head(&payload), buf_len(&payload)});
    buf_done(&payload);
}

/* False when the input is used up or the connection is over. */
static bool take_piece(struct ws_conn *c, struct ws_message *m, struct ws_input *in,
                       uint8_t *scratch)
{
    struct ws_piece piece;
    enum err err = ws_message_next(m, in, scratch, SCRATCH_BYTES, &piece);
    if (err == ERR_AGAIN)
        return false;
    if (err) {
        fail(c, err);
        return false;
    }
    if (ws_opcode_is_control(piece.opcode))
        on_control_piece(c, &piece);
    else if (piece.is_compressed)
        on_compressed_piece(c, &piece);
    else
        on_data_piece(c, &piece);
    return true;
}

static void pause_when_too_much_waits(struct ws_conn *c)
{
    size_t max = c->handler->pause_bytes > 0 ? c->handler->pause_bytes : PAUSE_BYTES;
    if (!ws_conn_is_open(c) || c->is_paused || io_conn_waiting(c->io) <= max)
        return;
    io_conn_flush(c->io);
    if (io_conn_waiting(c->io) <= max || !io_conn_is_open(c->io))
        return;
    c->is_paused = true;
    io_conn_pause(c->io);
}

static struct ws_message take_message(struct ws_conn *c)
{
    if (c->partial)
        return c->partial->in;
    struct ws_message m;
    ws_message_init(&m, c->max_message_bytes);
    m.may_compress = c->window_bits > 0;
    return m;
}

static void keep_message(struct ws_conn *c, const struct ws_message *m)
{
    if (ws_message_is_idle(m) || c->state == WS_CONN_ENDED)
        drop_partial(c);
    else
        get_partial(c)->in = *m;
}

/* ---- what is left for the next turn ---- */

/* Few connections have one, and none for long: they are the loop's, not a field of each. */
struct ws_rest {
    struct list node; // in rests_of
    struct io_task task;
    struct ws_conn *conn; // NULL: it is gone
    struct buf bytes;
};

static void *make_rests(void)
{
    struct list *rests = MEM_NEW(struct list);
    list_init(rests);
    return rests;
}

static struct list *rests_of(struct io_loop *l)
{
    static const struct io_loop_local kind = {make_rests, mem_free};
    return io_loop_get_local(l, &kind);
}

/* Its task frees it. */
static void forget_rest(const struct ws_conn *c, struct io_loop *l)
{
    const struct list *rests = rests_of(l);
    for (struct list *node = rests->next; node != rests; node = node->next) {
        struct ws_rest *rest = LIST_ENTRY(node, struct ws_rest, node);
        if (rest->conn == c)
            rest->conn = NULL;
    }
}

static uint64_t inflated_so_far(const struct ws_conn *c)
{
    return c->window_bits > 0 ? ws_inflate_total(ws_inflate_of(io_conn_loop(c->io))) : 0;
}

static bool may_go_on(const struct ws_conn *c)
{
    return c->state != WS_CONN_ENDED && io_conn_is_open(c->io);
}

static void on_next_turn(struct io_task *task)
{
    struct ws_rest *rest = LIST_ENTRY(task, struct ws_rest, task);
    struct ws_conn *c = rest->conn;
    list_remove(&rest->node);
    if (c) {
        c->has_rest = false;
        ws_conn_receive(c, buf_head(&rest->bytes), buf_len(&rest->bytes));
        bool may_read = !c->is_paused || c->state == WS_CONN_CLOSING;
        if (!c->has_rest && may_read && may_go_on(c))
            io_conn_resume(c->io);
    }
    buf_done(&rest->bytes);
    mem_free(rest);
}

static void keep_rest(struct ws_conn *c, const struct ws_input *in)
{
    struct io_loop *l = io_conn_loop(c->io);
    struct ws_rest *rest = MEM_NEW(struct ws_rest);
    rest->task.run = on_next_turn;
    rest->conn = c;
    list_append(rests_of(l), &rest->node);
    buf_init(&rest->bytes, in->len);
    CHECK(buf_append(&rest->bytes, in->at, in->len) == OK);
    c->has_rest = true;
    io_conn_pause(c->io);
    io_loop_post(l, &rest->task);
}

void ws_conn_receive(struct ws_conn *c, const uint8_t *bytes, size_t len)
{
    uint8_t scratch[SCRATCH_BYTES] __attribute__((uninitialized));
    struct ws_input in = {bytes, len};
    struct ws_message m = take_message(c);
    uint64_t before = inflated_so_far(c);
    while (may_go_on(c) && take_piece(c, &m, &in, scratch)) {
        if (in.len == 0 || inflated_so_far(c) - before < TURN_INFLATED_BYTES || !may_go_on(c))
            continue;
        keep_rest(c, &in);
        break;
    }
    keep_message(c, &m);
    pause_when_too_much_waits(c);
}

static void on_bytes(struct io_conn *io, void *owner, const uint8_t *bytes, size_t len)
{
    (void)io;
    ws_conn_receive(owner, bytes, len);
}

static void on_drained(struct io_conn *io, void *owner)
{
    struct ws_conn *c = owner;
    if (!c->is_paused)
        return;
    c->is_paused = false;
    if (!c->has_rest)
        io_conn_resume(io);
}

static void on_closed(struct io_conn *io, void *owner)
{
    struct ws_conn *c = owner;
    drop_partial(c);
    if (c->has_rest)
        forget_rest(c, io_conn_loop(io));
    c->state = WS_CONN_ENDED;
    c->io = NULL;
    c->handler->on_closed(c);
}

void ws_conn_init(struct ws_conn *c, struct io_conn *io, const struct ws_conn_handler *handler,
                  size_t max_message_bytes, size_t max_out_bytes)
{
    // on_end stays empty: a FIN without a close frame just ends the connection.
    static const struct io_conn_handler io_handler = {
        .on_bytes = on_bytes,
        .on_drained = on_drained,
        .on_timer = on_timer,
        .on_closed = on_closed,
    };

    *c = (struct ws_conn){.handler = handler, .io = io};
    c->max_message_bytes =
        max_message_bytes < MAX_MESSAGE_BYTES ? (uint32_t)max_message_bytes : MAX_MESSAGE_BYTES;
    io_conn_set_max_out(io, max_out_bytes);
    io_conn_set_handler(io, &io_handler, c);
}

void ws_conn_use_deflate(struct ws_conn *c, int window_bits)
{
    c->window_bits = (uint8_t)window_bits;
}
