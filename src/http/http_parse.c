#include "http/http_parse.h"

#include "core/check.h"
#include "http/http_head.h"

/* ---- the end of the head ---- */

enum { IN_LINE, CR, CRLF, CRLF_CR, HEAD_END };

static void fail(struct http_parse *p, int status)
{
    p->state = HTTP_PARSE_FAILED;
    p->status = status;
}

static bool is_text(uint8_t b)
{
    return (b >= ' ' && b != 0x7f) || b == '\t';
}

/* CR and LF in pairs only, no other control characters. False: broken. */
static bool scan_byte(struct http_parse *p, uint8_t b)
{
    if (is_text(b)) {
        bool is_bare_cr = p->line_end == CR || p->line_end == CRLF_CR;
        p->line_end = IN_LINE;
        return !is_bare_cr;
    }
    if (b == '\r' && (p->line_end == IN_LINE || p->line_end == CRLF)) {
        p->line_end++;
        return true;
    }
    if (b == '\n' && (p->line_end == CR || p->line_end == CRLF_CR)) {
        p->line_end++;
        p->has_line = true;
        return true;
    }
    return false;
}

/* How many of the bytes are text of a line, eight at a time; it may be more than it says. */
static size_t skip_text(const uint8_t *bytes, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    size_t n = 0;
    for (uint64_t eight; len - n >= sizeof(eight); n += sizeof(eight)) {
        memcpy(&eight, bytes + n, sizeof(eight));
        uint64_t is_control = (eight - ones * ' ') & ~eight & highs; // a byte below a space
        uint64_t is_delete = ((eight ^ ones * 0x7f) - ones) & ~(eight ^ ones * 0x7f) & highs;
        if (is_control | is_delete)
            break;
    }
    return n;
}

/* How many of the bytes belong to the head; stops at its end. */
static size_t scan_head(struct http_parse *p, const uint8_t *bytes, size_t len)
{
    size_t room = p->head.max - buf_len(&p->head);
    size_t n = 0;

    while (n < len && p->line_end != HEAD_END) {
        if (p->line_end == IN_LINE)
            n += skip_text(bytes + n, (len < room ? len : room) - n);
        if (n == len)
            break;
        if (n == room) {
            fail(p, p->has_line ? 431 : 414);
            return n;
        }
        if (!scan_byte(p, bytes[n])) {
            fail(p, 400);
            return n;
        }
        n++;
    }
    return n;
}

/* ---- what the head means ---- */

static const struct str method_names[HTTP_METHOD_COUNT] = {
    [HTTP_GET] = {"GET", 3},         [HTTP_HEAD] = {"HEAD", 4},   [HTTP_POST] = {"POST", 4},
    [HTTP_PUT] = {"PUT", 3},         [HTTP_PATCH] = {"PATCH", 5}, [HTTP_DELETE] = {"DELETE", 6},
    [HTTP_OPTIONS] = {"OPTIONS", 7},
};

static int read_method(struct str name, enum http_method *out)
{
    for (int m = 0; m < HTTP_METHOD_COUNT; m++) {
        if (str_eq(name, method_names[m])) {
            *out = (enum http_method)m;
            return 0;
        }
    }
    return 501;
}

/* The characters of uri-host and port (RFC 3986 §3.2); no userinfo. */
static bool is_host(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        bool is_alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_alnum && !strchr("-._~%!$&'()*+,;=:[]", c))
            return false;
    }
    return s.len > 0;
}

/* What the framing fields of one request say. at == NULL: absent. */
struct framing {
    struct str host, content_length, transfer_encoding, expect;
    bool says_close, says_keep_alive;
};

static void read_connection(struct str value, struct framing *f)
{
    while (value.len > 0) {
        struct str option = str_trim(str_cut(value, ',', &value));
        if (str_eq_nocase(option, STR("close")))
            f->says_close = true;
        else if (str_eq_nocase(option, STR("keep-alive")))
            f->says_keep_alive = true;
    }
}

/* Fields that may come once only. False: repeated, which two servers may read in two ways. */
static bool read_once(struct str *slot, struct str value)
{
    if (slot->at)
        return false;
    *slot = value;
    return true;
}

static int read_fields(const struct http_request *req, struct framing *f)
{
    bool is_once = true;
    for (size_t i = 0; i < req->field_count && is_once; i++) {
        const struct http_field *field = &req->fields[i];
        if (str_eq_nocase(field->name, STR("Host")))
            is_once = read_once(&f->host, field->value);
        else if (str_eq_nocase(field->name, STR("Content-Length")))
            is_once = read_once(&f->content_length, field->value);
        else if (str_eq_nocase(field->name, STR("Transfer-Encoding")))
            is_once = read_once(&f->transfer_encoding, field->value);
        else if (str_eq_nocase(field->name, STR("Expect")))
            is_once = read_once(&f->expect, field->value);
        else if (str_eq_nocase(field->name, STR("Connection")))
            read_connection(field->value, f);
    }
    return is_once ? 0 : 400;
}

/* origin-form, absolute-form (its authority must be the Host's), or "*" with OPTIONS (RFC 9112
 * §3.2). */
static int read_target(struct http_request *req, struct str host)
{
    struct str rest = req->target;

    if (str_eq(rest, STR("*"))) {
        req->path = rest;
        return req->method == HTTP_OPTIONS ? 0 : 400;
    }
    if (rest.at[0] != '/') {
        struct str scheme = {rest.at, str_index(rest, ':')};
        if (!str_eq_nocase(scheme, STR("http")) && !str_eq_nocase(scheme, STR("https")))
            return 400;
        rest = (struct str){rest.at + scheme.len, rest.len - scheme.len};
        if (!str_starts(rest, STR("://")))
            return 400;
        rest = (struct str){rest.at + 3, rest.len - 3};
        size_t n = 0;
        while (n < rest.len && rest.at[n] != '/' && rest.at[n] != '?')
            n++;
        if (!str_eq_nocase((struct str){rest.at, n}, host))
            return 400;
        rest = (struct str){rest.at + n, rest.len - n};
    }
    // Clients that join addresses from "/" and "/app" are understood, as Reverb does it.
    while (rest.len > 1 && rest.at[0] == '/' && rest.at[1] == '/')
        rest = (struct str){rest.at + 1, rest.len - 1};
    req->path = str_cut(rest, '?', &req->query);
    if (req->path.len == 0)
        req->path = STR("/");
    return 0;
}

/* 1*DIGIT, nothing else (RFC 9112 §6.2). */
static int read_length(struct str value, size_t *out)
{
    if (value.len == 0 || value.len > 18)
        return 400;
    size_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return 400;
        length = length * 10 + (size_t)(value.at[i] - '0');
    }
    *out = length;
    return 0;
}

/* RFC 9112 §6: who could be led to see another end of the body is refused. */
static int read_framing(struct http_parse *p, const struct framing *f)
{
    if (f->transfer_encoding.at) {
        if (f->content_length.at || p->req->is_http_10)
            return 400;
        p->is_chunked = str_eq_nocase(f->transfer_encoding, STR("chunked"));
        return p->is_chunked ? 0 : 400;
    }
    return f->content_length.at ? read_length(f->content_length, &p->body_left) : 0;
}

static int read_expect(struct http_parse *p, struct str expect)
{
    if (!expect.at || p->req->is_http_10)
        return 0;
    if (!str_eq_nocase(expect, STR("100-continue")))
        return 417;
    p->wants_continue = p->is_chunked || p->body_left > 0;
    return 0;
}

static int read_head(struct http_parse *p, struct str text)
{
    struct http_request *req = p->req;
    struct http_head head = {.fields = req->fields};
    struct framing framing = {0};

    int status = http_head_parse(text, &head);
    if (status)
        return status;
    req->field_count = head.field_count;
    req->target = head.target;
    req->is_http_10 = head.is_http_10;
    if ((status = read_fields(req, &framing)) || (status = read_method(head.method, &req->method)))
        return status;
    if (framing.host.at ? !is_host(framing.host) : !req->is_http_10)
        return 400;
    req->keep_alive = !framing.says_close && (!req->is_http_10 || framing.says_keep_alive);
    if ((status = read_target(req, framing.host)) || (status = read_framing(p, &framing)))
        return status;
    return read_expect(p, framing.expect);
}

/* ---- the states ---- */

static struct str view(const struct buf *b)
{
    if (buf_len(b) == 0)
        return STR("");
    return (struct str){(const char *)buf_head(b), buf_len(b)};
}

/* The text of the head for as long as the request lives. */
static struct str keep_head(struct http_parse *p, struct str text)
{
    if (text.len > sizeof(p->small_head))
        return arena_str(p->arena, text);
    memcpy(p->small_head, text.at, text.len);
    return (struct str){p->small_head, text.len};
}

static size_t feed_head(struct http_parse *p, const uint8_t *bytes, size_t len)
{
    size_t n = scan_head(p, bytes, len);
    if (p->state == HTTP_PARSE_FAILED)
        return n;
    bool is_whole = p->line_end == HEAD_END;
    struct str piece = {(const char *)bytes, n};
    if (!is_whole || buf_len(&p->head) > 0) {
        enum err err = buf_append(&p->head, bytes, n);
        CHECK(!err); // scan_head stayed within the room
        piece = view(&p->head);
    }
    if (!is_whole)
        return n;

    int status = read_head(p, keep_head(p, piece));
    buf_done(&p->head);
    if (status)
        fail(p, status);
    else
        p->state = p->is_chunked || p->body_left > 0 ? HTTP_PARSE_BODY : HTTP_PARSE_DONE;
    return n;
}

static void finish_body(struct http_parse *p, struct str body)
{
    p->req->body = arena_str(p->arena, body);
    buf_done(&p->body);
    p->state = HTTP_PARSE_DONE;
}

static size_t feed_body(struct http_parse *p, const uint8_t *bytes, size_t len)
{
    size_t n = len < p->body_left ? len : p->body_left;

    if (n == p->body_left && buf_len(&p->body) == 0) { // the usual case: whole, in one piece
        finish_body(p, (struct str){(const char *)bytes, n});
        return n;
    }
    if (buf_append(&p->body, bytes, n)) {
        fail(p, 413);
        return 0;
    }
    p->body_left -= n;
    if (p->body_left == 0)
        finish_body(p, view(&p->body));
    return n;
}

static size_t feed_chunks(struct http_parse *p, const uint8_t *bytes, size_t len)
{
    size_t n = http_chunk_feed(&p->chunk, bytes, len, &p->body);
    if (p->chunk.state == HTTP_CHUNK_FAILED)
        fail(p, p->chunk.status);
    else if (p->chunk.state == HTTP_CHUNK_DONE)
        finish_body(p, view(&p->body));
    return n;
}

size_t http_parse_feed(struct http_parse *p, const uint8_t *bytes, size_t len)
{
    switch (p->state) {
    case HTTP_PARSE_HEAD:
        return feed_head(p, bytes, len);
    case HTTP_PARSE_BODY:
        return p->is_chunked ? feed_chunks(p, bytes, len) : feed_body(p, bytes, len);
    case HTTP_PARSE_DONE:
    case HTTP_PARSE_FAILED:
        break;
    }
    return 0;
}

void http_parse_limit_body(struct http_parse *p, size_t max_bytes)
{
    buf_set_max(&p->body, max_bytes);
    if (p->body_left > max_bytes)
        fail(p, 413);
}

void http_parse_init(struct http_parse *p, struct http_request *req, struct arena *arena,
                     const struct http_limits *limits)
{
    memset(p, 0, offsetof(struct http_parse, small_head));
    p->req = req;
    p->arena = arena;
    buf_init(&p->head, limits->max_head_bytes);
    buf_init(&p->body, limits->max_body_bytes);
}

void http_parse_done(struct http_parse *p)
{
    buf_done(&p->head);
    buf_done(&p->body);
}
