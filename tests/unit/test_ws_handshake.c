#include "core/crypto.h"
#include "test.h"
#include "ws/ws_handshake.h"

static const struct http_field GOOD[] = {
    {{"Host", 4}, {"x", 1}},
    {{"upgrade", 7}, {"WebSocket", 9}},
    {{"Connection", 10}, {"keep-alive, Upgrade", 19}},
    {{"Sec-WebSocket-Version", 21}, {"13", 2}},
    {{"Sec-WebSocket-Key", 17}, {"dGhlIHNhbXBsZSBub25jZQ==", 24}},
    {{"Sec-WebSocket-Extensions", 24}, {"permessage-deflate", 18}},
};

/* A good request with one field changed; value NULL: without it. */
static int check_with(size_t index, const char *value)
{
    static struct http_request req;
    memset(&req, 0, sizeof(req));
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        if (i == index && !value)
            continue;
        req.fields[req.field_count] = GOOD[i];
        if (i == index)
            req.fields[req.field_count].value = str_of(value);
        req.field_count++;
    }
    crypto_init();
    return ws_handshake_check(&req);
}

TEST(ws_handshake_computes_the_accept_value_of_the_rfc)
{
    char accept[WS_HANDSHAKE_ACCEPT_BYTES];
    crypto_init();
    ws_handshake_accept_value(STR("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    EXPECT_STR(str_of(accept), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(ws_handshake_accepts_a_good_request)
{
    EXPECT_EQ(check_with(0, "example.org"), 0);
    EXPECT_EQ(check_with(1, "h2c, websocket"), 0);
    EXPECT_EQ(check_with(2, "UPGRADE"), 0);
    EXPECT_EQ(check_with(5, NULL), 0);
    EXPECT_EQ(check_with(5, "unknown; of=\"any\", kind"), 0);
}

TEST(ws_handshake_refuses_a_bad_one)
{
    EXPECT_EQ(check_with(1, NULL), 426);
    EXPECT_EQ(check_with(1, "websocketx"), 426);
    EXPECT_EQ(check_with(2, NULL), 400);
    EXPECT_EQ(check_with(2, "keep-alive"), 400);
    EXPECT_EQ(check_with(3, NULL), 426);
    EXPECT_EQ(check_with(3, "8"), 426);
    EXPECT_EQ(check_with(4, NULL), 400);
    EXPECT_EQ(check_with(4, "short"), 400);
    EXPECT_EQ(check_with(4, "dGhlIHNhbXBsZSBub25jZXM="), 400);
    EXPECT_EQ(check_with(5, "permessage-deflate;"), 400);
}
