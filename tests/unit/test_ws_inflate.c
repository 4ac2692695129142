#include "core/buf.h"
#include "test.h"
#include "ws/ws_deflate.h"
#include "ws/ws_inflate.h"

enum { MAX = 100000 };

#define BYTES(literal) ((struct str){"" literal, sizeof(literal) - 1})

/* Inflates in pieces of out_cap bytes, joined in out. */
static enum err inflate_in(struct ws_inflate *i, enum ws_opcode type, struct str payload,
                           size_t out_cap, struct buf *out)
{
    uint8_t bytes[MAX];
    struct ws_piece p = {0};
    bool is_first = true;
    buf_init(out, MAX);
    ws_inflate_start(i, type, payload, MAX);
    while (!p.is_last) {
        enum err err = ws_inflate_next(i, bytes, out_cap, &p);
        if (err)
            return err;
        EXPECT(p.is_first == is_first && p.opcode == type && p.len <= out_cap);
        is_first = false;
        EXPECT_EQ(buf_append(out, p.bytes, p.len), OK);
    }
    return OK;
}

static void expect_text(struct str payload, const char *want)
{
    struct ws_inflate *i = ws_inflate_new();
    for (size_t cap = 1; cap < 20; cap++) {
        struct buf out;
        EXPECT_EQ(inflate_in(i, WS_TEXT, payload, cap, &out), OK);
        EXPECT(str_eq((struct str){(const char *)buf_head(&out), buf_len(&out)}, str_of(want)));
        buf_done(&out);
    }
    ws_inflate_free(i);
}

/* The verdict must not depend on how much is asked for at once. */
static enum err verdict(enum ws_opcode type, struct str payload)
{
    struct ws_inflate *i = ws_inflate_new();
    struct buf out;
    enum err whole = inflate_in(i, type, payload, MAX, &out);
    buf_done(&out);
    for (size_t cap = 1; cap < 5; cap++) {
        EXPECT_EQ(inflate_in(i, type, payload, cap, &out), whole);
        buf_done(&out);
    }
    ws_inflate_free(i);
    return whole;
}

TEST(ws_inflate_reads_the_examples_of_the_rfc)
{
    expect_text(BYTES("\xf2\x48\xcd\xc9\xc9\x07\x00"), "Hello");                         // 7.2.3.1
    expect_text(BYTES("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), "Hello");         // 7.2.3.3
    expect_text(BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), "Hello");                     // 7.2.3.4
    expect_text(BYTES("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), "Hello"); // 7.2.3.5
    expect_text(BYTES("\x00"), "");                                                      // 7.2.3.6
}

TEST(ws_inflate_takes_nothing_as_nothing_and_a_final_block_as_the_end)
{
    expect_text(BYTES(""), "");
    expect_text(BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00"), "Hello"); // BFINAL, no block after it
    expect_text(BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00"), "HelloHello");
}

TEST(ws_inflate_adds_the_tail_even_where_it_is_data)
{
    EXPECT_EQ(verdict(WS_BINARY, BYTES("\x00\x05\x00\xfa\xffH")), OK); // H, 00 00 ff ff
}

TEST(ws_inflate_keeps_nothing_from_the_message_before)
{
    struct ws_inflate *i = ws_inflate_new();
    struct buf out;
    EXPECT_EQ(inflate_in(i, WS_TEXT, BYTES("\xf2\x48\xcd\xc9\xc9\x07\x00"), MAX, &out), OK);
    buf_done(&out);
    // 7.2.3.2: the same message again, referring to the first one
    EXPECT_EQ(inflate_in(i, WS_TEXT, BYTES("\xf2\x00\x11\x00\x00"), MAX, &out), ERR_INVALID);
    buf_done(&out);
    EXPECT_EQ(inflate_in(i, WS_TEXT, BYTES("\x00"), MAX, &out), OK);
    EXPECT_EQ(buf_len(&out), 0);
    buf_done(&out);
    ws_inflate_free(i);
}

TEST(ws_inflate_refuses_what_is_no_deflate_stream)
{
    EXPECT_EQ(verdict(WS_BINARY, BYTES("\x06")), ERR_INVALID); // reserved block type
    EXPECT_EQ(verdict(WS_BINARY, BYTES("\xff\xff\xff")), ERR_INVALID);
    EXPECT_EQ(verdict(WS_BINARY, BYTES("\x00\x05\x00\xfa\xfeHello")), ERR_INVALID);
    EXPECT_EQ(verdict(WS_BINARY, BYTES("\x00\x20\x00\xdf\xffHello")), ERR_INVALID); // cut off
    for (size_t len = 1; len < 5; len++)
        EXPECT_EQ(verdict(WS_BINARY, (struct str){"\xf2\x48\xcd\xc9\xc9", len}), ERR_INVALID);
}

TEST(ws_inflate_checks_utf8_of_texts)
{
    struct ws_deflate *d = ws_deflate_new();
    struct buf payload;
    buf_init(&payload, MAX);
    EXPECT_EQ(ws_deflate_payload(d, 15, STR("\xd0\x96\xd0"), true, &payload), OK);
    struct str bytes = {(const char *)buf_head(&payload), buf_len(&payload)};
    EXPECT_EQ(verdict(WS_TEXT, bytes), ERR_INVALID); // cut off at the end
    EXPECT_EQ(verdict(WS_BINARY, bytes), OK);
    buf_done(&payload);
    ws_deflate_free(d);
}

TEST(ws_inflate_stops_at_the_limit)
{
    static char zeros[MAX];
    struct ws_deflate *d = ws_deflate_new();
    struct ws_inflate *i = ws_inflate_new();
    struct buf bomb;
    buf_init(&bomb, MAX);
    EXPECT_EQ(ws_deflate_payload(d, 15, (struct str){zeros, MAX}, true, &bomb), OK);
    EXPECT(buf_len(&bomb) < MAX / 100);
    struct str payload = {(const char *)buf_head(&bomb), buf_len(&bomb)};

    for (uint64_t max = 0; max <= MAX; max += MAX / 4) {
        for (uint64_t off = 0; off < 2; off++) {
            uint8_t bytes[1000];
            struct ws_piece p = {0};
            enum err err = OK;
            uint64_t got = 0;
            ws_inflate_start(i, WS_TEXT, payload, max - (max > 0 && off));
            while (!err && !p.is_last) {
                err = ws_inflate_next(i, bytes, sizeof(bytes), &p);
                got += err ? 0 : p.len;
            }
            EXPECT_EQ(err, max == MAX && !off ? OK : ERR_TOO_LARGE);
            EXPECT(got <= max);
        }
    }
    buf_done(&bomb);
    ws_inflate_free(i);
    ws_deflate_free(d);
}
