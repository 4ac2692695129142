/* ws_echo.c -- bounded memory for messages of any size: payload is collected up to CHUNK_BYTES,
 * then leaves as a fragment; ws_conn stops reading while too much waits for the peer. One whole
 * message may wait, because many a client reads only after it has sent all. */
#include "ws/ws_echo.h"

#include "core/check.h"
#include "core/mem.h"
#include "ws/ws_conn.h"
#include "ws/ws_handshake.h"

enum {
    CHUNK_BYTES = 64 * 1024,
    PAUSE_AT_BYTES = WS_ECHO_MAX_MESSAGE_BYTES + 1024 * 1024, // a message and its frame headers
    MAX_OUT_BYTES = PAUSE_AT_BYTES + 1024 * 1024,
};

struct ws_echo {
    struct ws_conn ws;
    struct buf chunk;
    bool is_started; // a fragment of the open message has left
};

static void send_chunk(struct ws_echo *e, const struct ws_piece *piece)
{
    struct ws_frame frame = {
        .opcode = e->is_started ? WS_CONTINUATION : piece->opcode,
        .fin = piece->is_last,
        .size_bytes = buf_len(&e->chunk),
    };
    e->is_started = !piece->is_last;
    if (ws_conn_send(&e->ws, &frame, buf_head(&e->chunk)) != OK)
        ws_conn_abort(&e->ws); // reading pauses long before, so this peer cheats
    buf_done(&e->chunk);
}

static void on_piece(struct ws_conn *ws, const struct ws_piece *piece)
{
    struct ws_echo *e = LIST_ENTRY(ws, struct ws_echo, ws);
    if (buf_len(&e->chunk) + piece->len > CHUNK_BYTES)
        send_chunk(e, &(struct ws_piece){.opcode = piece->opcode});
    CHECK(buf_append(&e->chunk, piece->bytes, piece->len) == OK); // a piece is smaller than a chunk
    if (piece->is_last)
        send_chunk(e, piece);
}

static void on_closed(struct ws_conn *ws)
{
    struct ws_echo *e = LIST_ENTRY(ws, struct ws_echo, ws);
    buf_done(&e->chunk);
    mem_free(e);
}

void ws_echo_handle(struct http_exchange *x, void *ctx)
{
    static const struct ws_conn_handler handler = {
        .on_piece = on_piece, .on_closed = on_closed, .pause_bytes = PAUSE_AT_BYTES};
    struct ws_upgrade up;
    (void)ctx;

    struct io_conn *io = ws_handshake_upgrade(x, "", true, &up);
    if (!io)
        return;
    struct ws_echo *e = MEM_NEW(struct ws_echo);
    buf_init(&e->chunk, CHUNK_BYTES);
    ws_conn_init(&e->ws, io, &handler, WS_ECHO_MAX_MESSAGE_BYTES, MAX_OUT_BYTES);
    if (up.window_bits > 0)
        ws_conn_use_deflate(&e->ws, up.window_bits);
    ws_conn_receive(&e->ws, buf_head(&up.early), buf_len(&up.early));
    buf_done(&up.early);
}
