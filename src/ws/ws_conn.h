/* ws_conn.h -- one WebSocket connection after its handshake (RFC 6455, sections 5 to 7).
 *
 * Embedded in its owner; it owns the io_conn and, while a message is only partly there, the state
 * of reading and a buffer. An idle one owns neither. With permessage-deflate (RFC 7692) it owns
 * none either: the loop has one deflater and one inflater for all. Everything is for the loop's
 * thread; every callback may send and close.
 */
#ifndef WS_CONN_H
#define WS_CONN_H

#include "core/buf.h"
#include "core/str.h"
#include "io/io_conn.h"
#include "ws/ws_close.h"
#include "ws/ws_message.h"

struct ws_conn;
struct ws_partial;

struct ws_conn_handler {
    /* A whole message, borrowed for the call. A text is valid UTF-8. */
    void (*on_message)(struct ws_conn *c, enum ws_opcode type, struct str message);
    /* Instead of on_message, when not NULL: payload as it comes, never collected. A compressed
     * message comes when its end is there. */
    void (*on_piece)(struct ws_conn *c, const struct ws_piece *piece);
    /* A ping (already answered) or pong came. May be NULL. */
    void (*on_control)(struct ws_conn *c);
    /* ws_conn_start_timer's delay is over and the connection is open. May be NULL. */
    void (*on_timer)(struct ws_conn *c);
    /* The last call, once: c may be freed. */
    void (*on_closed)(struct ws_conn *c);
    /* Reading pauses while more than this waits for the peer. 0: 64 KiB. */
    size_t pause_bytes;
};

enum ws_conn_state { WS_CONN_OPEN, WS_CONN_CLOSING, WS_CONN_ENDED };

struct ws_conn {
    const struct ws_conn_handler *handler;
    struct io_conn *io;
    struct ws_partial *partial; // NULL unless something came in part
    uint32_t max_message_bytes;
    uint8_t state;         // enum ws_conn_state
    uint8_t window_bits;   // of permessage-deflate in what we send; 0: not negotiated, either way
    bool is_paused : 1;    // too much waits for the peer, so we do not read
    bool is_deflating : 1; // the fragments of the message being sent
    bool has_rest : 1;     // what came is too much for one turn; nothing is read meanwhile
};

/* Takes the connection over; nothing is read before the loop's next turn. Messages may have
 * max_message_bytes (1 GiB at most), and max_out_bytes may wait for the peer. */
void ws_conn_init(struct ws_conn *c, struct io_conn *io, const struct ws_conn_handler *handler,
                  size_t max_message_bytes, size_t max_out_bytes);

/* permessage-deflate was negotiated; window_bits (8 to 15) as in ws_offer. Before anything came. */
void ws_conn_use_deflate(struct ws_conn *c, int window_bits);

/* Handles bytes of the peer that somebody else read: those behind the handshake. */
void ws_conn_receive(struct ws_conn *c, const uint8_t *bytes, size_t len);

static inline bool ws_conn_is_open(const struct ws_conn *c)
{
    return c->state == WS_CONN_OPEN;
}

/* Queues one frame; it leaves at the end of the turn. When deflate is in use, it is compressed if
 * that pays. ERR_TOO_LARGE: max_out_bytes would be passed, nothing was queued. OK and ignored when
 * not open. */
MUST_USE enum err ws_conn_send(struct ws_conn *c, const struct ws_frame *frame,
                               const void *payload);
/* Sends whole frames that stand ready, at once and without a copy when nothing waits. Errors as
 * above. */
MUST_USE enum err ws_conn_send_shared(struct ws_conn *c, const void *frames, size_t len);
/* Sends a ping without payload. Errors as above. */
MUST_USE enum err ws_conn_ping(struct ws_conn *c);

/* Runs handler->on_timer after delay_ms; starting again moves it. Only while open. */
void ws_conn_start_timer(struct ws_conn *c, int64_t delay_ms);

/* Starts the close handshake: no message is sent or handed out any more; the TCP connection ends
 * when the peer's close came, after 3 s at the latest. Ignored when not open. */
void ws_conn_close(struct ws_conn *c, int code, struct str reason);

/* Drops the connection at once; what waits is lost. */
void ws_conn_abort(struct ws_conn *c);

#endif
