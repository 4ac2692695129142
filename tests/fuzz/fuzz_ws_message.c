/* Whatever the bytes, and however they are cut, the pieces and the verdict are the same; a message
 * is never longer than its limit, and a text that was given out whole is UTF-8, unless it is
 * compressed. With and without permessage-deflate. */
#include "core/check.h"
#include "ws/ws_message.h"

enum { MAX_MESSAGE = 4096, MAX_INPUT = 16 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct trace {
    uint64_t hash;
    enum err err;
};

static void mix(struct trace *t, uint64_t value)
{
    t->hash = (t->hash ^ value) * 1099511628211u;
}

static void mix_piece(struct trace *t, const struct ws_piece *p)
{
    for (size_t i = 0; i < p->len; i++)
        mix(t, p->bytes[i]);
    if (p->is_last)
        mix(t, 256u + p->opcode);
}

static struct trace run(const uint8_t *bytes, size_t len, size_t step, size_t out_cap,
                        bool may_compress)
{
    static uint8_t text[2 * MAX_MESSAGE];
    struct trace t = {.hash = 14695981039346656037u, .err = ERR_AGAIN};
    struct ws_message m;
    size_t text_len = 0;

    ws_message_init(&m, MAX_MESSAGE);
    m.may_compress = may_compress;
    for (size_t at = 0; at < len && t.err == ERR_AGAIN; at += step) {
        struct ws_input in = {bytes + at, len - at < step ? len - at : step};
        uint8_t out[MAX_MESSAGE];
        struct ws_piece p;
        while ((t.err = ws_message_next(&m, &in, out, out_cap, &p)) == OK) {
            CHECK(p.len <= out_cap);
            mix_piece(&t, &p);
            if (ws_opcode_is_control(p.opcode))
                continue;
            text_len = p.is_first ? 0 : text_len;
            CHECK(text_len + p.len <=
                  (p.is_compressed ? ws_message_max_compressed_bytes(MAX_MESSAGE) : MAX_MESSAGE));
            CHECK(may_compress || !p.is_compressed);
            memcpy(text + text_len, p.bytes, p.len);
            text_len += p.len;
            if (p.is_last && p.opcode == WS_TEXT && !p.is_compressed)
                CHECK(utf8_is_valid((struct str){(const char *)text, text_len}));
        }
    }
    return t;
}

static void compare(const uint8_t *bytes, size_t len, bool may_compress)
{
    struct trace whole = run(bytes, len, len + 1, MAX_MESSAGE, may_compress);
    struct trace single = run(bytes, len, 1, 1, may_compress);
    CHECK(whole.err == single.err);
    // Before a failure the pieces may be cut elsewhere, so only a good stream must give the same.
    if (whole.err == ERR_AGAIN)
        CHECK(whole.hash == single.hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len > MAX_INPUT)
        return 0;
    compare(bytes, len, false);
    compare(bytes, len, true);
    return 0;
}
