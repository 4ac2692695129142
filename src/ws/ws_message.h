/* ws_message.h -- frames into messages (RFC 6455, section 5.4): a pure state machine.
 *
 *     header --> payload --> header ...      a control frame may stand between two data frames
 *
 * Bytes go in as they come, pieces of payload come out unmasked, as early as possible: nothing is
 * collected here, so a message of any size takes no memory and bad UTF-8 or a size over the limit
 * is found at its first byte. No socket, no clock, no allocation: the fuzzer drives it as ws_conn
 * does. The payload of a compressed message (RFC 7692) comes out compressed; ws_inflate takes it
 * on.
 */
#ifndef WS_MESSAGE_H
#define WS_MESSAGE_H

#include "core/utf8.h"
#include "ws/ws_frame.h"

struct ws_message {
    uint64_t frame_left; // payload bytes of the current frame still to come
    uint64_t size_bytes; // payload of the open message, the current frame's included
    uint64_t max_bytes;  // a message may not pass this
    uint8_t header[WS_FRAME_MAX_HEADER_BYTES];
    uint8_t header_len; // bytes of an incomplete header
    uint8_t mask[4];
    uint8_t type;       // WS_TEXT or WS_BINARY; 0: no message is open
    uint8_t opcode;     // of the current frame
    bool is_in_payload; // else a header comes next
    bool is_final;      // the current frame ends its message
    bool is_started;    // a piece of the open message was given out
    bool is_compressed; // the open message
    bool may_compress;  // permessage-deflate was negotiated
    struct utf8 utf8;
};

/* A part of a message's or control frame's payload. */
struct ws_piece {
    enum ws_opcode opcode; // WS_TEXT, WS_BINARY, or the control frame's
    bool is_first;         // of its message; never set for a control frame
    bool is_last;          // of its message, or of its control frame
    bool is_compressed;    // see ws_inflate; a text was not looked at
    const uint8_t *bytes;  // in the caller's out
    size_t len;            // may be 0
};

struct ws_input {
    const uint8_t *at;
    size_t len;
};

void ws_message_init(struct ws_message *m, uint64_t max_bytes);

/* Nothing is open: what comes next begins a message or a control frame, as after init. */
static inline bool ws_message_is_idle(const struct ws_message *m)
{
    return !m->is_in_payload && m->header_len == 0 && m->type == 0;
}

/* Compressed bytes that a message of max_bytes may have: what zlib may make of it at its worst
 * (deflateBound), and a little more. */
uint64_t ws_message_max_compressed_bytes(uint64_t max_bytes);

/* Takes bytes from the front of in and gives the next piece of at most out_cap (> 0) bytes. After a
 * failure the connection is lost. ERR_AGAIN: in is used up. ERR_PROTOCOL: close 1002. ERR_INVALID:
 * a text is not UTF-8, 1007. ERR_TOO_LARGE: the frame announces more than may come, 1009. */
MUST_USE enum err ws_message_next(struct ws_message *m, struct ws_input *in, uint8_t *out,
                                  size_t out_cap, struct ws_piece *piece);

#endif
