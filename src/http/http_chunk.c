#include "http/http_chunk.h"

#include "http/http_head.h"

enum { MAX_SIZE_DIGITS = 8 };

static void fail(struct http_chunk *c, int status)
{
    c->state = HTTP_CHUNK_FAILED;
    c->status = status;
}

static int hex_value(uint8_t b)
{
    if (b >= '0' && b <= '9')
        return b - '0';
    b |= 0x20;
    return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

static void expect(struct http_chunk *c, uint8_t got, uint8_t want, enum http_chunk_state next)
{
    if (got == want)
        c->state = next;
    else
        fail(c, 400);
}

static void take_digit(struct http_chunk *c, uint8_t b)
{
    int value = hex_value(b);
    if (value < 0 || c->digits == MAX_SIZE_DIGITS) {
        fail(c, 400);
        return;
    }
    c->digits++;
    c->left = c->left * 16 + (size_t)value;
    c->state = HTTP_CHUNK_MORE_SIZE;
}

/* A byte of an extension or a trailer, which only counts. */
static void take_extra(struct http_chunk *c, uint8_t b, enum http_chunk_state next)
{
    if ((b < ' ' && b != '\t') || b == 0x7f)
        fail(c, 400);
    else if (++c->extra > HTTP_CHUNK_MAX_EXTRA_BYTES)
        fail(c, 431);
    else
        c->state = next;
}

static void take_name(struct http_chunk *c, uint8_t b)
{
    if (http_head_is_token_char(b))
        take_extra(c, b, HTTP_CHUNK_TRAILER_NAME);
    else
        fail(c, 400);
}

static void begin_data(struct http_chunk *c, const struct buf *out)
{
    c->digits = 0;
    if (c->left == 0)
        c->state = HTTP_CHUNK_TRAILER;
    else if (c->left > out->max - buf_len(out))
        fail(c, 413); // before it is read
    else
        c->state = HTTP_CHUNK_DATA;
}

/* Every state but DATA takes its bytes one by one. */
static void take_byte(struct http_chunk *c, uint8_t b, const struct buf *out)
{
    switch (c->state) {
    case HTTP_CHUNK_SIZE:
        take_digit(c, b);
        break;
    case HTTP_CHUNK_MORE_SIZE:
        if (b == '\r')
            c->state = HTTP_CHUNK_SIZE_LF;
        else if (b == ';')
            take_extra(c, b, HTTP_CHUNK_EXTENSION);
        else
            take_digit(c, b);
        break;
    case HTTP_CHUNK_EXTENSION:
        if (b == '\r')
            c->state = HTTP_CHUNK_SIZE_LF;
        else
            take_extra(c, b, HTTP_CHUNK_EXTENSION);
        break;
    case HTTP_CHUNK_SIZE_LF:
        expect(c, b, '\n', HTTP_CHUNK_DATA);
        if (c->state == HTTP_CHUNK_DATA)
            begin_data(c, out);
        break;
    case HTTP_CHUNK_DATA_CR:
        expect(c, b, '\r', HTTP_CHUNK_DATA_LF);
        break;
    case HTTP_CHUNK_DATA_LF:
        expect(c, b, '\n', HTTP_CHUNK_SIZE);
        break;
    case HTTP_CHUNK_TRAILER:
        if (b == '\r')
            c->state = HTTP_CHUNK_LAST_LF;
        else
            take_name(c, b);
        break;
    case HTTP_CHUNK_TRAILER_NAME:
        if (b == ':')
            take_extra(c, b, HTTP_CHUNK_IN_TRAILER);
        else
            take_name(c, b);
        break;
    case HTTP_CHUNK_IN_TRAILER:
        if (b == '\r')
            c->state = HTTP_CHUNK_TRAILER_LF;
        else
            take_extra(c, b, HTTP_CHUNK_IN_TRAILER);
        break;
    case HTTP_CHUNK_TRAILER_LF:
        expect(c, b, '\n', HTTP_CHUNK_TRAILER);
        break;
    case HTTP_CHUNK_LAST_LF:
        expect(c, b, '\n', HTTP_CHUNK_DONE);
        break;
    case HTTP_CHUNK_DATA:
    case HTTP_CHUNK_DONE:
    case HTTP_CHUNK_FAILED:
        break;
    }
}

static size_t take_data(struct http_chunk *c, const uint8_t *bytes, size_t len, struct buf *out)
{
    size_t n = len < c->left ? len : c->left;
    if (buf_append(out, bytes, n)) {
        fail(c, 413);
        return 0;
    }
    c->left -= n;
    if (c->left == 0)
        c->state = HTTP_CHUNK_DATA_CR;
    return n;
}

size_t http_chunk_feed(struct http_chunk *c, const uint8_t *bytes, size_t len, struct buf *out)
{
    size_t taken = 0;
    while (taken < len && c->state != HTTP_CHUNK_DONE && c->state != HTTP_CHUNK_FAILED) {
        if (c->state == HTTP_CHUNK_DATA)
            taken += take_data(c, bytes + taken, len - taken, out);
        else
            take_byte(c, bytes[taken++], out);
    }
    return taken;
}
