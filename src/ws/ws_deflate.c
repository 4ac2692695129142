#include "ws/ws_deflate.h"

#define ZLIB_CONST
#include <zlib.h>

#include "core/check.h"
#include "core/mem.h"

enum {
    LEVEL = 3, // 4 to 6 take up to half as long again for the last percent
    MEM_LEVEL = 8,
    CHUNK_BYTES = 4096,
    TAIL_BYTES = 4, // 00 00 ff ff, which every flush ends with and a message leaves out
};

struct ws_deflate {
    z_stream z;
};

struct ws_deflate *ws_deflate_new(void)
{
    struct ws_deflate *d = MEM_NEW(struct ws_deflate);
    CHECK(deflateInit2(&d->z, LEVEL, Z_DEFLATED, -MAX_WBITS, MEM_LEVEL, Z_DEFAULT_STRATEGY) ==
          Z_OK);
    return d;
}

void ws_deflate_free(struct ws_deflate *d)
{
    if (d)
        deflateEnd(&d->z);
    mem_free(d);
}

static void *make_local(void)
{
    return ws_deflate_new();
}

static void free_local(void *local)
{
    ws_deflate_free(local);
}

struct ws_deflate *ws_deflate_of(struct io_loop *l)
{
    static const struct io_loop_local kind = {make_local, free_local};
    return io_loop_get_local(l, &kind);
}

static enum err compress_block(z_stream *z, struct str block, int flush, struct buf *out)
{
    uint8_t chunk[CHUNK_BYTES] __attribute__((uninitialized));
    CHECK(block.len <= UINT32_MAX);
    z->next_in = (const Bytef *)block.at;
    z->avail_in = (uInt)block.len;
    do {
        z->next_out = chunk;
        z->avail_out = sizeof(chunk);
        CHECK(deflate(z, flush) != Z_STREAM_ERROR);
        enum err err = buf_append(out, chunk, sizeof(chunk) - z->avail_out);
        if (err)
            return err;
    } while (z->avail_out == 0);
    return OK;
}

enum err ws_deflate_payload(struct ws_deflate *d, int window_bits, struct str payload, bool is_last,
                            struct buf *out)
{
    size_t before = buf_len(out);
    size_t block_bytes = window_bits < MAX_WBITS ? (size_t)1 << window_bits : payload.len;
    bool is_end;

    CHECK(deflateReset(&d->z) == Z_OK);
    do {
        is_end = payload.len <= block_bytes;
        struct str block = {payload.at, is_end ? payload.len : block_bytes};
        payload.at += block.len;
        payload.len -= block.len;
        // A full flush forgets what came before it.
        enum err err = compress_block(&d->z, block, is_end ? Z_SYNC_FLUSH : Z_FULL_FLUSH, out);
        if (err) {
            buf_trim(out, buf_len(out) - before);
            return err;
        }
    } while (!is_end);
    if (is_last)
        buf_trim(out, TAIL_BYTES);
    return OK;
}

bool ws_deflate_message(struct ws_deflate *d, int window_bits, enum ws_opcode type,
                        struct str message, struct buf *out)
{
    if (message.len < WS_DEFLATE_MIN_BYTES)
        return false;
    struct buf payload;
    buf_init(&payload, message.len - 1);
    bool is_smaller = ws_deflate_payload(d, window_bits, message, true, &payload) == OK;
    if (is_smaller) {
        struct ws_frame frame = {
            .opcode = type, .fin = true, .compressed = true, .size_bytes = buf_len(&payload)};
        uint8_t header[WS_FRAME_MAX_HEADER_BYTES];
        size_t header_len = ws_frame_write(&frame, header);
        CHECK(buf_append(out, header, header_len) == OK);
        CHECK(buf_append(out, buf_head(&payload), buf_len(&payload)) == OK);
    }
    buf_done(&payload);
    return is_smaller;
}

void ws_deflate_frames(struct ws_deflate *d, int window_bits, struct str frames, struct buf *out)
{
    while (frames.len > 0) {
        struct ws_frame f;
        size_t header_len;
        CHECK(ws_frame_parse((const uint8_t *)frames.at, frames.len, &f, &header_len) == OK);
        CHECK(f.fin && !f.masked && f.size_bytes <= frames.len - header_len);
        struct str payload = {frames.at + header_len, (size_t)f.size_bytes};
        size_t frame_len = header_len + payload.len;
        if (f.compressed || ws_opcode_is_control(f.opcode) ||
            !ws_deflate_message(d, window_bits, f.opcode, payload, out))
            CHECK(buf_append(out, frames.at, frame_len) == OK);
        frames.at += frame_len;
        frames.len -= frame_len;
    }
}
