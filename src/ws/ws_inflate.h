/* ws_inflate.h -- a compressed message back into its pieces (permessage-deflate, RFC 7692 §7.2.2).
 *
 * As nothing is taken over from one message to the next, one inflater serves all connections of a
 * loop, one message after the other: a message is inflated when its last byte is there. What comes
 * out is bounded, so that a bomb costs its compressed bytes and not more.
 */
#ifndef WS_INFLATE_H
#define WS_INFLATE_H

#include "core/str.h"
#include "io/io_loop.h"
#include "ws/ws_message.h"

struct ws_inflate;

struct ws_inflate *ws_inflate_new(void);
void ws_inflate_free(struct ws_inflate *i);
/* The loop's own. */
struct ws_inflate *ws_inflate_of(struct io_loop *l);

/* Begins a message of that type; its compressed payload, whole, is borrowed until its last piece
 * came. Ends what was begun before. */
void ws_inflate_start(struct ws_inflate *i, enum ws_opcode type, struct str payload,
                      uint64_t max_bytes);

/* All bytes that ever came out, of all messages. */
uint64_t ws_inflate_total(const struct ws_inflate *i);

/* Gives the next piece of at most out_cap (> 0) bytes, until one is_last. After a failure nothing
 * may be asked any more. ERR_INVALID: that is no DEFLATE stream, or the text is not UTF-8: close
 * 1007. ERR_TOO_LARGE: there is more than max_bytes, 1009. */
MUST_USE enum err ws_inflate_next(struct ws_inflate *i, uint8_t *out, size_t out_cap,
                                  struct ws_piece *piece);

#endif
