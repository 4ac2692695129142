/* Whatever our strict reader of chunks takes, the http_parser library takes too, with the same body
 * and the same end: two opinions on where a body ends are what request smuggling is made of. And it
 * does not matter where the bytes are cut: the first byte of the input says where. */
#include <http_parser.h>
#include <stdbool.h>
#include <string.h>

#include "core/check.h"
#include "http/http_chunk.h"

enum { MAX_BODY_BYTES = 300 };

struct peer {
    struct buf body;
    bool is_done;
};

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct peer *peer = parser->data;
    return buf_append(&peer->body, at, len) != OK;
}

static int on_done(http_parser *parser)
{
    struct peer *peer = parser->data;
    peer->is_done = true;
    http_parser_pause(parser, 1);
    return 0;
}

static void check_peer(const uint8_t *bytes, size_t len, const struct buf *body)
{
    static const http_parser_settings settings = {.on_body = on_body,
                                                  .on_message_complete = on_done};
    static const char head[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    http_parser parser;
    struct peer peer = {.is_done = false};

    buf_init(&peer.body, MAX_BODY_BYTES);
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &peer;
    CHECK(http_parser_execute(&parser, &settings, head, sizeof(head) - 1) == sizeof(head) - 1);
    size_t n = http_parser_execute(&parser, &settings, (const char *)bytes, len);
    // It stops before the last LF or behind it, depending on its version.
    CHECK(peer.is_done && (n == len || n + 1 == len));
    CHECK(buf_len(&peer.body) == buf_len(body));
    CHECK(buf_len(body) == 0 || memcmp(buf_head(&peer.body), buf_head(body), buf_len(body)) == 0);
    buf_done(&peer.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_chunk whole = {0}, cut = {0};
    struct buf body, cut_body;
    if (size < 1)
        return 0;
    const uint8_t *bytes = data + 1;
    size_t len = size - 1, at = data[0] < len ? data[0] : len;

    buf_init(&body, MAX_BODY_BYTES);
    buf_init(&cut_body, MAX_BODY_BYTES);
    size_t taken = http_chunk_feed(&whole, bytes, len, &body);
    size_t cut_taken = http_chunk_feed(&cut, bytes, at, &cut_body);
    if (cut_taken == at)
        cut_taken += http_chunk_feed(&cut, bytes + at, len - at, &cut_body);
    CHECK(whole.state == cut.state && whole.status == cut.status && taken == cut_taken);
    CHECK(buf_len(&body) <= MAX_BODY_BYTES && buf_len(&body) == buf_len(&cut_body));
    if (whole.state == HTTP_CHUNK_DONE)
        check_peer(bytes, taken, &body);
    buf_done(&body);
    buf_done(&cut_body);
    return 0;
}
