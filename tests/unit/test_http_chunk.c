#include "http/http_chunk.h"
#include "test.h"

static struct http_chunk decode(const char *text, size_t piece, struct buf *out)
{
    struct http_chunk c = {0};
    size_t len = strlen(text);
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        if (http_chunk_feed(&c, (const uint8_t *)text + at, n, out) < n)
            break;
    }
    return c;
}

TEST(http_chunk_joins_the_data_however_it_is_cut)
{
    const char *text = "5\r\nhello\r\n1;name=\"v\"\r\n \r\n00006\r\nworld!\r\n0\r\nSum: 1\r\n\r\n";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct buf out;
        buf_init(&out, 100);
        struct http_chunk c = decode(text, piece, &out);
        EXPECT_EQ(c.state, HTTP_CHUNK_DONE);
        EXPECT_EQ(buf_len(&out), 12);
        EXPECT(memcmp(buf_head(&out), "hello world!", 12) == 0);
        buf_done(&out);
    }
}

TEST(http_chunk_stops_at_the_end_of_the_body)
{
    struct buf out;
    struct http_chunk c = {0};
    buf_init(&out, 100);
    EXPECT_EQ(http_chunk_feed(&c, (const uint8_t *)"0\r\n\r\nGET ", 9, &out), 5);
    EXPECT_EQ(c.state, HTTP_CHUNK_DONE);
    buf_done(&out);
}

TEST(http_chunk_refuses_what_two_servers_could_read_in_two_ways)
{
    static const struct {
        const char *why, *text;
        int status;
    } bad[] = {
        {"no digit", "\r\n", 400},
        {"extension without size", ";a\r\n", 400},
        {"negative", "-1\r\n", 400},
        {"plus sign", "+1\r\n", 400},
        {"0x prefix", "0x5\r\n", 400},
        {"white space before the size", " 5\r\n", 400},
        {"white space after the size", "5 \r\n", 400},
        {"nine digits", "000000005\r\n", 400},
        {"overflow", "ffffffffffffffff1\r\n", 400},
        {"line ends with a bare LF", "5\nhello\r\n", 400},
        {"line ends with a bare CR", "5\rhello\r\n", 400},
        {"data longer than its size", "5\r\nhelloX\n", 400},
        {"data not followed by CR", "5\r\nhello\n", 400},
        {"data not followed by LF", "5\r\nhello\rX", 400},
        {"bare LF in an extension", "5;a\nb\r\n", 400},
        {"control character in an extension", "5;a\x01\r\n", 400},
        {"trailer ends with a bare LF", "0\r\nA: b\n\r\n", 400},
        {"control character in a trailer", "0\r\nA: \x7f\r\n", 400},
        {"trailer without a colon", "0\r\nAb\r\n", 400},
        {"space in a trailer's name", "0\r\nA : b\r\n", 400},
        {"folded trailer", "0\r\nA: b\r\n c\r\n", 400},
        {"end without LF", "0\r\n\rX", 400},
        {"larger than allowed", "65\r\n", 413},
        {"together larger than allowed", "60\r\n", 0},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf out;
        buf_init(&out, 100);
        struct http_chunk c = decode(bad[i].text, 1, &out);
        ck_assert_msg(c.status == bad[i].status, "%s: status %d", bad[i].why, c.status);
        buf_done(&out);
    }
}

TEST(http_chunk_bounds_extensions_and_trailers_together)
{
    struct buf out;
    struct http_chunk c = {0};
    buf_init(&out, 100);
    http_chunk_feed(&c, (const uint8_t *)"1;", 2, &out);
    size_t fed = 0;
    while (c.state != HTTP_CHUNK_FAILED && fed < 200000)
        fed += http_chunk_feed(&c, (const uint8_t *)"x", 1, &out);
    EXPECT_EQ(c.status, 431);
    EXPECT(fed <= HTTP_CHUNK_MAX_EXTRA_BYTES);
    buf_done(&out);
}
