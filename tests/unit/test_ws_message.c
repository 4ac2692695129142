#include "core/buf.h"
#include "test.h"
#include "ws/ws_message.h"

enum { MAX = 1000 };

/* Builds masked frames. */
static void add(struct buf *out, uint8_t first, const char *payload, size_t len)
{
    uint8_t header[WS_FRAME_MAX_HEADER_BYTES], masked[2 * MAX];
    struct ws_frame f = {.masked = true, .mask = {1, 2, 3, 4}, .size_bytes = len};
    size_t header_len = ws_frame_write(&f, header);
    header[0] = first;
    ws_frame_mask(f.mask, (const uint8_t *)payload, len, masked);
    EXPECT_EQ(buf_append(out, header, header_len), OK);
    EXPECT_EQ(buf_append(out, masked, len), OK);
}

/* What came out: data payloads joined, "|" ("~" when compressed) behind each message, controls in
 * brackets. */
struct result {
    char text[4 * MAX];
    size_t len;
    enum err err;
};

static void note(struct result *r, const char *bytes, size_t len)
{
    memcpy(r->text + r->len, bytes, len);
    r->len += len;
}

static bool may_compress;

static struct result run(const struct buf *in, size_t step, size_t out_cap)
{
    struct ws_message m;
    struct result r = {.err = OK};
    ws_message_init(&m, MAX);
    m.may_compress = may_compress;
    for (size_t at = 0; at < buf_len(in) && r.err != ERR_PROTOCOL; at += step) {
        size_t len = buf_len(in) - at < step ? buf_len(in) - at : step;
        struct ws_input input = {buf_head(in) + at, len};
        uint8_t out[2 * MAX];
        struct ws_piece p;
        while ((r.err = ws_message_next(&m, &input, out, out_cap, &p)) == OK) {
            if (ws_opcode_is_control(p.opcode))
                note(&r, "[", 1);
            note(&r, (const char *)p.bytes, p.len);
            if (ws_opcode_is_control(p.opcode))
                note(&r, "]", 1);
            else if (p.is_last)
                note(&r, p.is_compressed ? "~" : "|", 1);
        }
        if (r.err != ERR_AGAIN)
            break;
    }
    return r;
}

static void expect_text(const struct buf *in, size_t step, const char *want)
{
    struct result r = run(in, step, MAX);
    EXPECT_EQ(r.err, ERR_AGAIN);
    EXPECT_STR(((struct str){r.text, r.len}), want);
}

static enum err verdict(const struct buf *in)
{
    return run(in, 1, MAX).err;
}

TEST(ws_message_joins_fragments_with_a_ping_between)
{
    struct buf in;
    buf_init(&in, 10 * MAX);
    add(&in, 0x01, "ab", 2);
    add(&in, 0x89, "p", 1);
    add(&in, 0x00, "", 0);
    add(&in, 0x80, "cd", 2);
    add(&in, 0x82, "", 0);
    for (size_t step = 1; step < buf_len(&in); step++)
        expect_text(&in, step, "ab[p]cd||");
    buf_done(&in);
}

TEST(ws_message_gives_pieces_no_larger_than_asked)
{
    struct buf in;
    buf_init(&in, 10 * MAX);
    add(&in, 0x82, "0123456789", 10);
    struct result r = run(&in, 100, 3);
    EXPECT_STR(((struct str){r.text, r.len}), "0123456789|");
    buf_done(&in);
}

TEST(ws_message_refuses_a_bad_sequence)
{
    static const struct {
        const char *why;
        uint8_t first, second;
    } bad[] = {
        {"continuation first", 0x80, 0},
        {"text inside a fragmented message", 0x01, 0x81},
        {"continuation after the end", 0x81, 0x80},
        {"compressed without the extension", 0xc1, 0},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf in;
        buf_init(&in, MAX);
        add(&in, bad[i].first, "x", 1);
        if (bad[i].second)
            add(&in, bad[i].second, "y", 1);
        ck_assert_msg(verdict(&in) == ERR_PROTOCOL, "%s", bad[i].why);
        buf_done(&in);
    }
}

TEST(ws_message_refuses_an_unmasked_frame)
{
    struct buf in;
    buf_init(&in, MAX);
    EXPECT_EQ(buf_append(&in, "\x81\x01x", 3), OK);
    EXPECT_EQ(verdict(&in), ERR_PROTOCOL);
    buf_done(&in);
}

TEST(ws_message_checks_utf8_as_it_comes)
{
    struct buf in;
    buf_init(&in, 10 * MAX);
    add(&in, 0x01, "\xd0", 1); // a character cut by the frames is whole again
    add(&in, 0x80, "\x96", 1);
    expect_text(&in, 1, "\xd0\x96|");
    add(&in, 0x01, "\xd0\xd0", 2); // bad before the message ends
    EXPECT_EQ(verdict(&in), ERR_INVALID);
    buf_done(&in);

    add(&in, 0x81, "\xd0", 1); // cut by the end
    EXPECT_EQ(verdict(&in), ERR_INVALID);
    buf_done(&in);
}

TEST(ws_message_refuses_by_the_announced_size)
{
    char payload[MAX + 1] = {0};
    struct buf in;
    buf_init(&in, 10 * MAX);
    add(&in, 0x82, payload, MAX);
    EXPECT_EQ(verdict(&in), ERR_AGAIN);
    buf_done(&in);

    EXPECT_EQ(buf_append(&in, "\x82\xfe\x03\xe9mask", 8), OK); // 1001 announced, none sent
    EXPECT_EQ(verdict(&in), ERR_TOO_LARGE);
    buf_done(&in);

    add(&in, 0x02, payload, MAX);
    add(&in, 0x89, payload, 125); // a ping does not count
    add(&in, 0x80, payload, 1);
    EXPECT_EQ(verdict(&in), ERR_TOO_LARGE);
    buf_done(&in);
}

TEST(ws_message_marks_compressed_messages_and_leaves_their_utf8_alone)
{
    struct buf in;
    buf_init(&in, 10 * MAX);
    may_compress = true;
    add(&in, 0x41, "\xff", 1);
    add(&in, 0x89, "p", 1);
    add(&in, 0x80, "\xfe", 1);
    add(&in, 0x81, "plain", 5);
    add(&in, 0xc2, "x", 1);
    for (size_t step = 1; step < buf_len(&in); step++)
        expect_text(&in, step, "\xff[p]\xfe~plain|x~");
    buf_done(&in);
}

TEST(ws_message_refuses_the_mark_of_compression_elsewhere_than_in_front)
{
    struct buf in;
    buf_init(&in, MAX);
    may_compress = true;
    add(&in, 0x41, "a", 1);
    add(&in, 0xc0, "b", 1);
    EXPECT_EQ(verdict(&in), ERR_PROTOCOL);
    buf_done(&in);
    add(&in, 0xc9, "ping", 4);
    EXPECT_EQ(verdict(&in), ERR_PROTOCOL);
    buf_done(&in);
}

TEST(ws_message_bounds_compressed_messages)
{
    static char payload[2 * MAX];
    size_t max = (size_t)ws_message_max_compressed_bytes(MAX);
    struct buf in;
    buf_init(&in, 10 * MAX);
    may_compress = true;
    add(&in, 0xc2, payload, max);
    EXPECT_EQ(verdict(&in), ERR_AGAIN);
    add(&in, 0x42, payload, max);
    add(&in, 0x80, payload, 1);
    EXPECT_EQ(verdict(&in), ERR_TOO_LARGE);
    buf_done(&in);
}
