/* http_chunk.h -- the chunked coding (RFC 9112 §7.1), decoded as the bytes come. Pure.
 *
 *     SIZE [;ext] CRLF data CRLF ... 0 [;ext] CRLF trailers CRLF
 *
 * Strict: the size is 1 to 8 hex digits and nothing else; lines end with CRLF; extensions and
 * trailers are read over, and bounded together.
 */
#ifndef HTTP_CHUNK_H
#define HTTP_CHUNK_H

#include "core/buf.h"

enum { HTTP_CHUNK_MAX_EXTRA_BYTES = 4096 };

enum http_chunk_state {
    HTTP_CHUNK_SIZE, // at its first digit
    HTTP_CHUNK_MORE_SIZE,
    HTTP_CHUNK_EXTENSION,
    HTTP_CHUNK_SIZE_LF,
    HTTP_CHUNK_DATA,
    HTTP_CHUNK_DATA_CR,
    HTTP_CHUNK_DATA_LF,
    HTTP_CHUNK_TRAILER, // at the start of a line
    HTTP_CHUNK_TRAILER_NAME,
    HTTP_CHUNK_IN_TRAILER,
    HTTP_CHUNK_TRAILER_LF,
    HTTP_CHUNK_LAST_LF,
    HTTP_CHUNK_DONE,
    HTTP_CHUNK_FAILED,
};

struct http_chunk {
    enum http_chunk_state state;
    int status;   // when FAILED: 400, 413 (over out->max), 431 (extensions, trailers)
    int digits;   // of the size, so far
    size_t left;  // size so far, then data bytes to come
    size_t extra; // bytes of extensions and trailers
};

/* Takes bytes up to the end of the body, appends the data to out. Returns how many it took: all of
 * them unless DONE or FAILED. */
size_t http_chunk_feed(struct http_chunk *c, const uint8_t *bytes, size_t len, struct buf *out);

#endif
