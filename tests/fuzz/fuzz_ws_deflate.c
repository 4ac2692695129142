/* What a peer may send of permessage-deflate: offers and compressed payload.
 *
 * The first byte chooses. Offers: the verdict is one of three, and a window that we agree to is one
 * that the RFC knows. Inflating: however the output is cut, bytes and verdict are the same, never
 * more than the limit, and a text is UTF-8. Deflating: what comes out, in any window and cut into
 * any two fragments, inflates to what went in. */
#include <string.h>

#include "core/check.h"
#include "core/mem.h"
#include "ws/ws_deflate.h"
#include "ws/ws_inflate.h"
#include "ws/ws_offer.h"

enum { MAX_MESSAGE = 64 * 1024, MAX_INPUT = 16 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct ws_deflate *deflate;
static struct ws_inflate *inflate;

static void fuzz_offer(struct str fields)
{
    static struct http_request req;
    struct ws_offer o;
    req.fields[0] = (struct http_field){STR("Sec-WebSocket-Extensions"), fields};
    req.field_count = 1;
    enum err err = ws_offer_choose(&req, &o);
    CHECK(err == OK || err == ERR_NOT_FOUND || err == ERR_INVALID);
    if (err)
        return;
    char line[WS_OFFER_ANSWER_BYTES];
    CHECK(o.window_bits >= WS_OFFER_MIN_WINDOW_BITS && o.window_bits <= WS_OFFER_MAX_WINDOW_BITS);
    CHECK(o.is_window_asked || o.window_bits == WS_OFFER_MAX_WINDOW_BITS);
    ws_offer_answer(&o, line);
}

/* Inflates in pieces of out_cap bytes into out. */
static enum err inflate_in(enum ws_opcode type, struct str payload, size_t out_cap, uint8_t *out,
                           size_t *out_len)
{
    struct ws_piece p = {0};
    *out_len = 0;
    ws_inflate_start(inflate, type, payload, MAX_MESSAGE);
    while (!p.is_last) {
        uint8_t *piece = mem_zalloc(out_cap); // so that ASan sees its end
        enum err err = ws_inflate_next(inflate, piece, out_cap, &p);
        if (!err) {
            CHECK(p.len <= out_cap && *out_len + p.len <= MAX_MESSAGE);
            memcpy(out + *out_len, piece, p.len);
            *out_len += p.len;
        }
        mem_free(piece);
        if (err)
            return err;
    }
    return OK;
}

static void fuzz_inflate(enum ws_opcode type, struct str payload, size_t out_cap)
{
    static uint8_t whole[MAX_MESSAGE], cut[MAX_MESSAGE];
    size_t whole_len, cut_len;
    enum err err = inflate_in(type, payload, MAX_MESSAGE, whole, &whole_len);
    CHECK(err == OK || err == ERR_INVALID || err == ERR_TOO_LARGE);
    enum err cut_err = inflate_in(type, payload, out_cap, cut, &cut_len);
    // What is wrong in two ways may be refused for either, as the cut has it.
    CHECK(cut_err == err || (err != OK && cut_err != OK));
    if (err)
        return;
    CHECK(cut_len == whole_len && memcmp(cut, whole, cut_len) == 0);
    if (type == WS_TEXT)
        CHECK(utf8_is_valid((struct str){(const char *)whole, whole_len}));
}

static void fuzz_deflate(int window_bits, struct str message, size_t cut_at)
{
    static uint8_t back[MAX_MESSAGE];
    size_t back_len, first = cut_at < message.len ? cut_at : message.len;
    struct buf out;
    buf_init(&out, 2 * MAX_MESSAGE);
    CHECK(ws_deflate_payload(deflate, window_bits, (struct str){message.at, first}, false, &out) ==
          OK);
    CHECK(ws_deflate_payload(deflate, window_bits,
                             (struct str){message.at + first, message.len - first}, true,
                             &out) == OK);
    struct str payload = {(const char *)buf_head(&out), buf_len(&out)};
    CHECK(inflate_in(WS_BINARY, payload, MAX_MESSAGE, back, &back_len) == OK);
    CHECK(back_len == message.len && memcmp(back, message.at, back_len) == 0);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2 || len > MAX_INPUT)
        return 0;
    if (!deflate) {
        deflate = ws_deflate_new();
        inflate = ws_inflate_new();
    }
    uint8_t choice = bytes[0], size = bytes[1];
    struct str rest = {(const char *)bytes + 2, len - 2};
    switch (choice % 4) {
    case 0:
        fuzz_offer(rest);
        break;
    case 1:
        fuzz_inflate(WS_TEXT, rest, size + 1u);
        break;
    case 2:
        fuzz_inflate(WS_BINARY, rest, size + 1u);
        break;
    case 3:
        fuzz_deflate(8 + size % 8, rest, (size_t)choice * 64);
        break;
    }
    return 0;
}
