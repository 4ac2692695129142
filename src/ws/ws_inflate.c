/* ws_inflate.c -- the payload, then the tail that its sender left out:
 *
 *     IN_PAYLOAD --> IN_TAIL --> DONE     at DONE the last block must be over
 *     IN_PAYLOAD ---------------> DONE    after a final block (BFINAL), or when there is no payload
 */
#include "ws/ws_inflate.h"

#define ZLIB_CONST
#include <zlib.h>

#include "core/check.h"
#include "core/mem.h"

enum stage { IN_PAYLOAD, IN_TAIL, DONE };

struct ws_inflate {
    z_stream z;
    struct utf8 utf8;
    uint64_t left; // bytes that may still come out
    uint64_t total;
    enum ws_opcode type;
    enum stage stage;
    bool is_started;        // a piece was given out
    bool is_between_blocks; // what was fed so far ends with a whole block and a whole byte
};

struct ws_inflate *ws_inflate_new(void)
{
    struct ws_inflate *i = MEM_NEW(struct ws_inflate);
    CHECK(inflateInit2(&i->z, -MAX_WBITS) == Z_OK);
    i->stage = DONE;
    return i;
}

void ws_inflate_free(struct ws_inflate *i)
{
    if (i)
        inflateEnd(&i->z);
    mem_free(i);
}

static void *make_local(void)
{
    return ws_inflate_new();
}

static void free_local(void *local)
{
    ws_inflate_free(local);
}

struct ws_inflate *ws_inflate_of(struct io_loop *l)
{
    static const struct io_loop_local kind = {make_local, free_local};
    return io_loop_get_local(l, &kind);
}

static void feed(struct ws_inflate *i, const void *bytes, size_t len)
{
    CHECK(len <= UINT32_MAX);
    i->z.next_in = (const Bytef *)bytes;
    i->z.avail_in = (uInt)len;
}

void ws_inflate_start(struct ws_inflate *i, enum ws_opcode type, struct str payload,
                      uint64_t max_bytes)
{
    CHECK(inflateReset(&i->z) == Z_OK);
    i->utf8 = (struct utf8){0};
    i->left = max_bytes;
    i->type = type;
    i->stage = payload.len > 0 ? IN_PAYLOAD : DONE;
    i->is_started = false;
    feed(i, payload.at, payload.len);
}

/* All that was fed is used up. */
static enum err next_stage(struct ws_inflate *i)
{
    static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};
    if (i->stage == IN_PAYLOAD) {
        i->stage = IN_TAIL;
        feed(i, tail, sizeof(tail));
        return OK;
    }
    if (!i->is_between_blocks)
        return ERR_INVALID; // cut off within a block
    i->stage = DONE;
    return OK;
}

static enum err step(struct ws_inflate *i)
{
    enum { BLOCK_ENDED = 128 }; // in data_type; what zlib adds for bits left over is not there

    int status = inflate(&i->z, Z_SYNC_FLUSH);
    CHECK(status != Z_MEM_ERROR && status != Z_STREAM_ERROR);
    if (status == Z_DATA_ERROR || status == Z_NEED_DICT)
        return ERR_INVALID;
    if (status == Z_STREAM_END) {
        CHECK(inflateReset(&i->z) == Z_OK); // other blocks may follow a final one
        if (i->z.avail_in == 0)
            i->stage = DONE;
        return OK;
    }
    if (status == Z_OK) // else nothing moved, and zlib has forgotten where it was
        i->is_between_blocks = i->z.data_type == BLOCK_ENDED;
    bool is_used_up = i->z.avail_in == 0 && i->z.avail_out > 0;
    return is_used_up ? next_stage(i) : OK;
}

static enum err check(struct ws_inflate *i, const struct ws_piece *piece)
{
    if (piece->len > i->left)
        return ERR_TOO_LARGE;
    i->left -= piece->len;
    if (i->type != WS_TEXT)
        return OK;
    if (!utf8_feed(&i->utf8, piece->bytes, piece->len))
        return ERR_INVALID;
    return piece->is_last && !utf8_is_whole(&i->utf8) ? ERR_INVALID : OK;
}

uint64_t ws_inflate_total(const struct ws_inflate *i)
{
    return i->total;
}

enum err ws_inflate_next(struct ws_inflate *i, uint8_t *out, size_t out_cap, struct ws_piece *piece)
{
    CHECK(out_cap > 0 && out_cap <= UINT32_MAX);
    i->z.next_out = out;
    i->z.avail_out = (uInt)out_cap;
    while (i->stage != DONE && i->z.avail_out > 0) {
        enum err err = step(i);
        if (err)
            return err;
    }
    *piece = (struct ws_piece){
        .opcode = i->type,
        .is_first = !i->is_started,
        .is_last = i->stage == DONE,
        .bytes = out,
        .len = out_cap - i->z.avail_out,
    };
    i->is_started = true;
    i->total += piece->len;
    return check(i, piece);
}
