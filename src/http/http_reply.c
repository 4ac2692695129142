/* http_reply.c -- the bytes of a response, gathered in the io_conn and sent once per turn:
 *
 *     HTTP/1.1 201 Created        from the table of statuses
 *     Date: ...                   the server's stamp, made once a second, with nosniff
 *     Connection: close           only when it differs from what the client expects
 *     fields of http_reply_field
 *     Content-Type, Content-Length
 */
#include "core/check.h"
#include "http/http_internal.h"

/* Bodies from here on are sent without a copy. */
enum { SHARED_BODY_BYTES = 16 * 1024 };

struct out {
    struct io_conn *io;
    bool is_full; // more waits than the client may let wait
};

static void put(struct out *o, struct str s)
{
    if (s.len > 0 && io_conn_write(o->io, s.at, s.len))
        o->is_full = true;
}

static void put_body(struct out *o, struct str body)
{
    if (body.len < SHARED_BODY_BYTES) {
        put(o, body);
        return;
    }
    io_conn_flush(o->io);
    if (io_conn_write_shared(o->io, body.at, body.len))
        o->is_full = true;
}

void http_reply_field(struct http_exchange *x, struct str name, struct str value)
{
    CHECK(name.len > 0 && !memchr(name.at, '\r', name.len) && !memchr(name.at, '\n', name.len) &&
          !memchr(name.at, '\0', name.len));
    enum err err = buf_append(&x->out_fields, name.at, name.len);
    err = err ? err : buf_append(&x->out_fields, ": ", 2);
    // Nothing that came from a client may end the line (response splitting).
    while (!err && value.len > 0) {
        size_t n = 0;
        while (n < value.len && value.at[n] != '\r' && value.at[n] != '\n' && value.at[n] != '\0')
            n++;
        err = buf_append(&x->out_fields, value.at, n);
        if (!err && n < value.len)
            err = buf_append(&x->out_fields, " ", 1);
        n += n < value.len;
        value = (struct str){value.at + n, value.len - n};
    }
    err = err ? err : buf_append(&x->out_fields, "\r\n", 2);
    CHECK(!err); // the program's own fields are far smaller than a head may be
}

static void put_connection(struct out *o, const struct http_exchange *x)
{
    if (!x->req.keep_alive || http_conn_server(x->conn)->is_stopping)
        put(o, STR("Connection: close\r\n"));
    else if (x->req.is_http_10)
        put(o, STR("Connection: keep-alive\r\n"));
}

static void put_common_fields(struct out *o, struct http_exchange *x)
{
    put(o, http_server_stamp(http_conn_server(x->conn)));
    put_connection(o, x);
    if (buf_len(&x->out_fields) > 0)
        put(o, (struct str){(const char *)buf_head(&x->out_fields), buf_len(&x->out_fields)});
}

static void put_number(struct out *o, size_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    put(o, (struct str){digits + at, sizeof(digits) - at});
}

static void put_status_line(struct out *o, int status)
{
    put(o, STR("HTTP/1.1 "));
    put_number(o, (size_t)status);
    put(o, STR(" "));
    put(o, str_of(http_reason(status)));
    put(o, STR("\r\n"));
}

static void put_length(struct out *o, size_t len)
{
    put(o, STR("Content-Length: "));
    put_number(o, len);
    put(o, STR("\r\n"));
}

static void finish(struct out *o, struct http_exchange *x)
{
    if (o->is_full) // the client does not read what it asks for
        io_conn_close(o->io);
    http_conn_answered(x->conn, x);
}

void http_reply(struct http_exchange *x, int status, const char *type, struct str body)
{
    if (!x->conn) {
        http_conn_free_exchange(x);
        return;
    }
    struct out o = {.io = http_conn_io(x->conn)};
    bool has_body = status >= 200 && status != 204 && status != 304;

    put_status_line(&o, status);
    put_common_fields(&o, x);
    if (type && has_body) {
        put(&o, STR("Content-Type: "));
        put(&o, str_of(type));
        put(&o, STR("\r\n"));
    }
    if (has_body)
        put_length(&o, body.len);
    put(&o, STR("\r\n"));
    if (has_body && x->req.method != HTTP_HEAD)
        put_body(&o, body);
    finish(&o, x);
}

void http_reply_ready(struct http_exchange *x, struct str head, struct str body)
{
    if (!x->conn) {
        http_conn_free_exchange(x);
        return;
    }
    struct out o = {.io = http_conn_io(x->conn)};
    size_t line_len = str_index(head, '\n') + 1;

    CHECK(line_len <= head.len);
    put(&o, (struct str){head.at, line_len});
    put_common_fields(&o, x);
    put(&o, (struct str){head.at + line_len, head.len - line_len});
    put(&o, STR("\r\n"));
    if (x->req.method != HTTP_HEAD)
        put_body(&o, body);
    finish(&o, x);
}
