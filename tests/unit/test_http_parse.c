#include "http/http_parse.h"

#include <stdio.h>

#include "test.h"

#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define HOST "Host: a\r\n"
#define END "\r\n"

struct parsed {
    struct http_request req;
    struct arena arena;
    struct http_parse p;
    size_t taken;
};

/* Feeds the text in pieces; goes on after the head with a limit of 100 bytes for the body. */
static void parse(struct parsed *d, const char *text, size_t len, size_t piece)
{
    *d = (struct parsed){0};
    arena_init(&d->arena);
    http_parse_init(&d->p, &d->req, &d->arena, &http_default_limits);
    while (d->taken < len && d->p.state != HTTP_PARSE_DONE && d->p.state != HTTP_PARSE_FAILED) {
        size_t left = len - d->taken;
        bool was_head = d->p.state == HTTP_PARSE_HEAD;
        d->taken +=
            http_parse_feed(&d->p, (const uint8_t *)text + d->taken, left < piece ? left : piece);
        if (was_head && d->p.state == HTTP_PARSE_BODY)
            http_parse_limit_body(&d->p, 100);
    }
}

static void done(struct parsed *d)
{
    http_parse_done(&d->p);
    arena_done(&d->arena);
}

TEST(http_parse_reads_a_request_however_it_is_cut)
{
    const char *text = "\r\nPOST /a%20b/c?x=1&y HTTP/1.1\r\nHost: viche.example:8080\r\n"
                       "Content-Length: 11\r\nX-Empty:\r\nX-Pad: \t v w \t\r\n\r\nhello\nworldGET";
    size_t whole = strlen(text) - 3;
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct parsed d;
        parse(&d, text, strlen(text), piece);
        EXPECT_EQ(d.p.state, HTTP_PARSE_DONE);
        EXPECT_EQ(d.taken, whole);
        EXPECT_EQ(d.req.method, HTTP_POST);
        EXPECT_STR(d.req.target, "/a%20b/c?x=1&y");
        EXPECT_STR(d.req.path, "/a%20b/c");
        EXPECT_STR(d.req.query, "x=1&y");
        EXPECT_EQ(d.req.field_count, 4);
        EXPECT_STR(http_field_get(&d.req, STR("x-empty")), "");
        EXPECT_STR(http_field_get(&d.req, STR("x-pad")), "v w");
        EXPECT_STR(d.req.body, "hello\nworld");
        EXPECT(d.req.keep_alive && !d.req.is_http_10);
        done(&d);
    }
}

TEST(http_parse_joins_chunks_however_they_are_cut)
{
    const char *text =
        POST "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct parsed d;
        parse(&d, text, strlen(text), piece);
        EXPECT_EQ(d.p.state, HTTP_PARSE_DONE);
        EXPECT_EQ(d.taken, strlen(text) - 3);
        EXPECT_STR(d.req.body, "hello world");
        done(&d);
    }
}

TEST(http_parse_refuses_what_smuggling_needs)
{
    static const struct {
        const char *why, *text;
        int status;
    } bad[] = {
        // framing
        {"length and chunked", POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END, 400},
        {"chunked and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" END, 400},
        {"two lengths", POST "Content-Length: 5\r\nContent-Length: 6\r\n" END, 400},
        {"the same length twice", POST "Content-Length: 5\r\nContent-Length: 5\r\n" END, 400},
        {"list of lengths", POST "Content-Length: 5, 5\r\n" END, 400},
        {"negative length", POST "Content-Length: -1\r\n" END, 400},
        {"length with plus", POST "Content-Length: +5\r\n" END, 400},
        {"length in hex", POST "Content-Length: 0x5\r\n" END, 400},
        {"length with a space inside", POST "Content-Length: 5 5\r\n" END, 400},
        {"empty length", POST "Content-Length:\r\n" END, 400},
        {"length over 2^64", POST "Content-Length: 18446744073709551621\r\n" END, 400},
        {"length of words", POST "Content-Length: five\r\n" END, 400},
        {"unknown coding", POST "Transfer-Encoding: gzip\r\n" END, 400},
        {"two codings", POST "Transfer-Encoding: gzip, chunked\r\n" END, 400},
        {"identity", POST "Transfer-Encoding: identity\r\n" END, 400},
        {"chunked twice", POST "Transfer-Encoding: chunked, chunked\r\n" END, 400},
        {"two coding fields",
         POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END, 400},
        {"quoted coding", POST "Transfer-Encoding: \"chunked\"\r\n" END, 400},
        {"coding with a control character",
         POST "Transfer-Encoding: \x0b"
              "chunked\r\n" END,
         400},
        {"empty coding", POST "Transfer-Encoding:\r\n" END, 400},
        {"coding of HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END, 400},
        {"bad chunk", POST "Transfer-Encoding: chunked\r\n" END "xyz\r\n", 400},
        // lines
        {"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n" END, 400},
        {"bare LF after a field", GET "Host: a\nX: y\r\n" END, 400},
        {"bare LF at the end", GET HOST "\n", 400},
        {"bare CR in a value", GET HOST "X: a\rb\r\n" END, 400},
        {"bare CR before the colon", GET HOST "X\r: a\r\n" END, 400},
        {"CR CR LF", GET HOST "X: a\r\r\n" END, 400},
        {"folded line", GET HOST "X: a\r\n b\r\n" END, 400},
        {"folded line with a tab", GET HOST "X: a\r\n\tb\r\n" END, 400},
        {"first field folded", "GET / HTTP/1.1\r\n Host: a\r\n" END, 400},
        {"space before the colon", GET HOST "X : a\r\n" END, 400},
        {"tab before the colon", GET HOST "X\t: a\r\n" END, 400},
        {"space in a name", GET HOST "X Y: a\r\n" END, 400},
        {"no name", GET HOST ": a\r\n" END, 400},
        {"no colon", GET HOST "X\r\n" END, 400},
        {"bracket in a name", GET HOST "X[]: a\r\n" END, 400},
        {"byte over 127 in a name", GET HOST "X\xc3\xa9: a\r\n" END, 400},
        {"control character in a value", GET HOST "X: a\x01\r\n" END, 400},
        {"DEL in a value", GET HOST "X: a\x7f\r\n" END, 400},
        {"two empty lines before", "\r\n\r\n" GET HOST END, 400},
        // request line
        {"two spaces before the target", "GET  / HTTP/1.1\r\n" HOST END, 400},
        {"two spaces after the target", "GET /  HTTP/1.1\r\n" HOST END, 400},
        {"space at the end", "GET / HTTP/1.1 \r\n" HOST END, 400},
        {"tab for space", "GET\t/ HTTP/1.1\r\n" HOST END, 400},
        {"space before the method", " GET / HTTP/1.1\r\n" HOST END, 400},
        {"no version", "GET /\r\n" HOST END, 400},
        {"only a method", "GET\r\n" HOST END, 400},
        {"no target", "GET HTTP/1.1\r\n" HOST END, 400},
        {"lower case version", "GET / http/1.1\r\n" HOST END, 400},
        {"other protocol", "GET / RTSP/1.0\r\n" HOST END, 400},
        {"three digit version", "GET / HTTP/1.10\r\n" HOST END, 400},
        {"fragment in the target", "GET /#a HTTP/1.1\r\n" HOST END, 400},
        {"byte over 127 in the target", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST END, 400},
        {"target without slash", "GET a HTTP/1.1\r\n" HOST END, 400},
        {"other scheme", "GET ftp://a/ HTTP/1.1\r\n" HOST END, 400},
        {"target of another host", "GET http://b/ HTTP/1.1\r\n" HOST END, 400},
        {"target with a user", "GET http://x@a/ HTTP/1.1\r\n" HOST END, 400},
        {"star without OPTIONS", "GET * HTTP/1.1\r\n" HOST END, 400},
        {"unknown method", "BREW / HTTP/1.1\r\n" HOST END, 501},
        {"lower case method", "get / HTTP/1.1\r\n" HOST END, 501},
        {"CONNECT", "CONNECT a:1 HTTP/1.1\r\n" HOST END, 501},
        {"TRACE", "TRACE / HTTP/1.1\r\n" HOST END, 501},
        {"HTTP/1.2", "GET / HTTP/1.2\r\n" HOST END, 505},
        {"HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"HTTP/0.9 version", "GET / HTTP/0.9\r\n" HOST END, 505},
        // Host
        {"no host", GET END, 400},
        {"two hosts", GET HOST "Host: b\r\n" END, 400},
        {"the same host twice", GET HOST HOST END, 400},
        {"empty host", GET "Host:\r\n" END, 400},
        {"host with a path", GET "Host: a/b\r\n" END, 400},
        {"host with a user", GET "Host: x@a\r\n" END, 400},
        {"host with a space", GET "Host: a b\r\n" END, 400},
        // sizes and expectations
        {"body over the limit", POST "Content-Length: 101\r\n" END, 413},
        {"chunks over the limit", POST "Transfer-Encoding: chunked\r\n" END "65\r\n", 413},
        {"unknown expectation", POST "Expect: more\r\nContent-Length: 1\r\n" END, 417},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t piece = 1; piece < 4096; piece *= 5) {
            struct parsed d;
            parse(&d, bad[i].text, strlen(bad[i].text), piece);
            ck_assert_msg(d.p.state == HTTP_PARSE_FAILED && d.p.status == bad[i].status,
                          "%s: state %d status %d", bad[i].why, d.p.state, d.p.status);
            done(&d);
        }
    }
}

TEST(http_parse_refuses_a_nul_byte_as_soon_as_it_comes)
{
    struct parsed d;
    parse(&d, "GET / \0", 7, 7);
    EXPECT_EQ(d.p.status, 400);
    done(&d);
}

/* What comes of the head with this byte for one of its tildes. */
static enum http_parse_state state_with(const char *head, size_t at, int byte)
{
    char text[256];
    struct parsed d;
    size_t len = (size_t)snprintf(text, sizeof(text), "%s", head);
    char *place = strstr(text, "~~~~");
    place[at] = (char)byte;
    parse(&d, text, len, len);
    enum http_parse_state state = d.p.state;
    done(&d);
    return state;
}

/* A head is scanned by words of eight bytes: no place in one is different. */
TEST(http_parse_knows_each_byte_at_each_place)
{
    const char *in_value = "GET / HTTP/1.1\r\nHost: a\r\nX: ~~~~~~~~~~~~~~~~~~\r\n\r\n";
    const char *in_query = "GET /a?~~~~~~~~~~~~~~~~~~ HTTP/1.1\r\nHost: a\r\n\r\n";
    for (size_t at = 0; at < 18; at++) {
        for (int byte = 0; byte < 256; byte++) {
            bool is_text = (byte >= ' ' && byte != 0x7f) || byte == '\t';
            bool is_visible = byte > ' ' && byte < 0x7f && byte != '#';
            EXPECT_EQ(state_with(in_value, at, byte) == HTTP_PARSE_DONE, is_text);
            EXPECT_EQ(state_with(in_query, at, byte) == HTTP_PARSE_DONE, is_visible);
        }
    }
}

TEST(http_parse_accepts_the_forms_of_the_rfc)
{
    static const struct {
        const char *why, *text, *path;
        bool keep_alive;
    } good[] = {
        {"absolute form", "GET http://a/x?y HTTP/1.1\r\n" HOST END, "/x", true},
        {"absolute form without a path", "GET http://A HTTP/1.1\r\n" HOST END, "/", true},
        {"absolute form with a query only", "GET http://a?y HTTP/1.1\r\n" HOST END, "/", true},
        {"leading slashes", "GET ///x//y HTTP/1.1\r\n" HOST END, "/x//y", true},
        {"slashes alone", "GET // HTTP/1.1\r\n" HOST END, "/", true},
        {"star", "OPTIONS * HTTP/1.1\r\n" HOST END, "*", true},
        {"HTTP/1.0 without host", "GET / HTTP/1.0\r\n" END, "/", false},
        {"HTTP/1.0 kept", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n" END, "/", true},
        {"close", GET HOST "Connection: foo, close\r\n" END, "/", false},
        {"length zero", POST "Content-Length: 0\r\n" END, "/", true},
        {"leading zeros", POST "Content-Length: 0000\r\n" END, "/", true},
        {"IPv6 host", GET "Host: [::1]:80\r\n" END, "/", true},
        {"bytes over 127 in a value", GET HOST "X: \xd1\x8f\r\n" END, "/", true},
        {"every tchar", GET HOST "!#$%&'*+-.^_`|~09azAZ: a\r\n" END, "/", true},
        {"upgrade", GET HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n" END, "/", true},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct parsed d;
        parse(&d, good[i].text, strlen(good[i].text), 1000);
        ck_assert_msg(d.p.state == HTTP_PARSE_DONE, "%s: status %d", good[i].why, d.p.status);
        EXPECT_STR(d.req.path, good[i].path);
        EXPECT_EQ(d.req.keep_alive, good[i].keep_alive);
        EXPECT_EQ(d.taken, strlen(good[i].text));
        done(&d);
    }
}

TEST(http_parse_bounds_the_head)
{
    struct parsed d;
    char text[40000];
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    parse(&d, text, sizeof(text), 1000);
    EXPECT_EQ(d.p.status, 414); // no end of the request line in sight
    EXPECT(d.taken <= http_default_limits.max_head_bytes);
    done(&d);

    memcpy(text, GET "X: ", strlen(GET "X: "));
    parse(&d, text, sizeof(text), 1000);
    EXPECT_EQ(d.p.status, 431);
    done(&d);
}

TEST(http_parse_bounds_the_number_of_fields)
{
    for (int count = HTTP_MAX_FIELDS; count <= HTTP_MAX_FIELDS + 1; count++) {
        struct parsed d;
        char text[4096] = GET HOST;
        for (int i = 1; i < count; i++)
            strcat(text, "X: y\r\n");
        strcat(text, END);
        parse(&d, text, strlen(text), 4096);
        EXPECT_EQ(d.p.status, count > HTTP_MAX_FIELDS ? 431 : 0);
        done(&d);
    }
}

TEST(http_parse_notes_who_waits_for_100_continue)
{
    struct parsed d;
    const char *text = POST "Expect: 100-Continue\r\nContent-Length: 1\r\n" END;
    parse(&d, text, strlen(text), 1000);
    EXPECT_EQ(d.p.state, HTTP_PARSE_BODY);
    EXPECT(d.p.wants_continue);
    done(&d);

    text = POST "Expect: 100-continue\r\n" END;
    parse(&d, text, strlen(text), 1000);
    EXPECT_EQ(d.p.state, HTTP_PARSE_DONE);
    EXPECT(!d.p.wants_continue);
    done(&d);
}
