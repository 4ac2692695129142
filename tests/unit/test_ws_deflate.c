#include <zlib.h>

#include "core/buf.h"
#include "test.h"
#include "ws/ws_deflate.h"

enum { MAX = 70000, STEP = 8 };

/* Text that repeats itself over every distance, so that a window that is too large shows. */
static struct str make_text(size_t len)
{
    static char text[MAX];
    uint32_t seed = 12345;
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245u + 12345u;
        bool is_repeated = i > 300 && (seed >> 8) % 100 < 95;
        size_t back = i > 40000 && (seed >> 28) < 4 ? 32000 : 300;
        text[i] = is_repeated ? text[i - back] : (char)('a' + (seed >> 16) % 26);
    }
    return (struct str){text, len};
}

/* Inflates with a window of just 2^bits bytes: a reference to farther back fails. In small steps,
 * so that nothing but the window is left of what came out. */
static void expect_inflates(const uint8_t *payload, size_t len, int bits, struct str want)
{
    static uint8_t got[MAX + STEP];
    uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};
    z_stream z = {0};
    size_t at = 0;
    EXPECT_EQ(inflateInit2(&z, -bits), Z_OK);
    for (int part = 0; part < 2; part++) {
        z.next_in = part == 0 ? (Bytef *)(uintptr_t)payload : tail;
        z.avail_in = part == 0 ? (uInt)len : sizeof(tail);
        int status;
        do {
            z.next_out = got + at;
            z.avail_out = STEP;
            status = inflate(&z, Z_SYNC_FLUSH);
            ck_assert_msg(status == Z_OK || status == Z_BUF_ERROR, "%d: %s", bits, z.msg);
            at += STEP - z.avail_out;
        } while (at <= MAX && (z.avail_in > 0 || z.avail_out == 0));
    }
    inflateEnd(&z);
    EXPECT_EQ(at, want.len);
    EXPECT(memcmp(got, want.at, want.len) == 0);
}

TEST(ws_deflate_makes_the_examples_of_the_rfc)
{
    struct ws_deflate *d = ws_deflate_new();
    struct buf out;
    buf_init(&out, MAX);
    for (int round = 0; round < 2; round++) { // the second refers to nothing of the first
        EXPECT_EQ(ws_deflate_payload(d, 15, STR("Hello"), true, &out), OK);
        EXPECT_EQ(buf_len(&out), 7);
        EXPECT(memcmp(buf_head(&out), "\xf2\x48\xcd\xc9\xc9\x07\x00", 7) == 0); // 7.2.3.1
        buf_done(&out);
    }
    EXPECT_EQ(ws_deflate_payload(d, 15, STR(""), true, &out), OK);
    EXPECT_EQ(buf_len(&out), 1);
    EXPECT_EQ(*buf_head(&out), 0); // 7.2.3.6
    buf_done(&out);
    ws_deflate_free(d);
}

TEST(ws_deflate_honours_every_window)
{
    static const size_t sizes[] = {1, 255, 256, 257, 513, 4096, 40000, MAX};
    struct ws_deflate *d = ws_deflate_new();
    for (int bits = 8; bits <= 15; bits++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            struct buf out;
            struct str text = make_text(sizes[i]);
            buf_init(&out, 2 * MAX);
            EXPECT_EQ(ws_deflate_payload(d, bits, text, true, &out), OK);
            expect_inflates(buf_head(&out), buf_len(&out), bits, text);
            if (text.len >= 40000 && bits > 8)
                EXPECT(buf_len(&out) < text.len * 9 / 10);
            buf_done(&out);
        }
    }
    ws_deflate_free(d);
}

TEST(ws_deflate_joins_fragments_into_one_stream)
{
    struct ws_deflate *d = ws_deflate_new();
    struct buf out;
    struct str text = make_text(10000);
    buf_init(&out, MAX);
    EXPECT_EQ(ws_deflate_payload(d, 15, (struct str){text.at, 4000}, false, &out), OK);
    EXPECT_EQ(ws_deflate_payload(d, 15, STR(""), false, &out), OK);
    EXPECT_EQ(ws_deflate_payload(d, 15, (struct str){text.at + 4000, 6000}, false, &out), OK);
    EXPECT_EQ(ws_deflate_payload(d, 15, STR(""), true, &out), OK);
    expect_inflates(buf_head(&out), buf_len(&out), 15, text);
    buf_done(&out);
    ws_deflate_free(d);
}

TEST(ws_deflate_leaves_a_message_as_it_is_when_that_is_better)
{
    uint8_t noise[2000];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof(noise); i++) {
        seed = seed * 1664525u + 1013904223u;
        noise[i] = (uint8_t)(seed >> 24);
    }
    struct ws_deflate *d = ws_deflate_new();
    struct buf out;
    buf_init(&out, MAX);
    EXPECT_EQ(buf_append(&out, "before", 6), OK);
    EXPECT(!ws_deflate_message(d, 15, WS_TEXT, make_text(WS_DEFLATE_MIN_BYTES - 1), &out));
    EXPECT(!ws_deflate_message(d, 15, WS_BINARY, (struct str){(char *)noise, sizeof(noise)}, &out));
    EXPECT_STR(((struct str){(const char *)buf_head(&out), buf_len(&out)}), "before");
    buf_done(&out);
    ws_deflate_free(d);
}

TEST(ws_deflate_makes_a_whole_frame_of_a_message)
{
    struct ws_deflate *d = ws_deflate_new();
    struct str text = make_text(5000);
    struct ws_frame f;
    struct buf out;
    size_t header_len;
    buf_init(&out, MAX);
    EXPECT(ws_deflate_message(d, 15, WS_TEXT, text, &out));
    EXPECT_EQ(ws_frame_parse(buf_head(&out), buf_len(&out), &f, &header_len), OK);
    EXPECT(f.opcode == WS_TEXT && f.fin && f.compressed && !f.masked);
    EXPECT_EQ(header_len + f.size_bytes, buf_len(&out));
    expect_inflates(buf_head(&out) + header_len, (size_t)f.size_bytes, 15, text);
    buf_done(&out);
    ws_deflate_free(d);
}
