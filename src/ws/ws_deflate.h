/* ws_deflate.h -- compresses messages (permessage-deflate, RFC 7692 §7.2.1), without context
 * takeover: nothing is kept between two of them.
 *
 * So one deflater, a quarter of a megabyte, serves all connections of a loop, and a message can be
 * compressed once for all its readers. A reader with a smaller window than zlib's 32 KiB gets the
 * payload in blocks of that size, none of which refers to one before it. That honours every window
 * exactly, also the one of 8 bits, which zlib itself does not have.
 */
#ifndef WS_DEFLATE_H
#define WS_DEFLATE_H

#include "core/buf.h"
#include "core/str.h"
#include "io/io_loop.h"
#include "ws/ws_frame.h"

/* Shorter messages are not worth it: see docs/decisions/0007. */
enum { WS_DEFLATE_MIN_BYTES = 512 };

struct ws_deflate;

struct ws_deflate *ws_deflate_new(void);
void ws_deflate_free(struct ws_deflate *d);
/* The loop's own. */
struct ws_deflate *ws_deflate_of(struct io_loop *l);

/* Appends the payload of one frame, compressed, for a reader with a window of 2^window_bits bytes
 * (8 to 15). is_last: it ends its message. ERR_TOO_LARGE: out would pass its maximum; it is as it
 * was. */
MUST_USE enum err ws_deflate_payload(struct ws_deflate *d, int window_bits, struct str payload,
                                     bool is_last, struct buf *out);

/* Appends a whole message as one compressed frame. False: it is better sent as it is, because it is
 * short or would not get smaller; out is as it was. out must have room for it uncompressed. */
bool ws_deflate_message(struct ws_deflate *d, int window_bits, enum ws_opcode type,
                        struct str message, struct buf *out);

/* As ws_deflate_message for each of several whole messages of the server, one a frame; those that
 * are better sent as they are are copied. out must have room for frames. */
void ws_deflate_frames(struct ws_deflate *d, int window_bits, struct str frames, struct buf *out);

#endif
