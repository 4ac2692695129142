/* http.h -- an HTTP/1.1 server (RFC 9110, RFC 9112): requests, replies, routes.
 *
 *     io_conn -> http_conn -> http_parse -> struct http_exchange -> router's handler
 *     handler -> http_reply_* (now, or later from any stage, but on the loop's thread) -> io_conn
 *
 * One exchange of a connection is open at a time: reading stops until it is answered, so pipelining
 * costs no memory, and replies leave in order. An exchange lives until it was answered; when the
 * client goes away first, the answer is dropped quietly.
 *
 * Limits (struct http_limits): head bytes, fields, body bytes, seconds for the head, for the body
 * and between requests. Smuggling rules (RFC 9112 §6, §11.2): Content-Length with
 * Transfer-Encoding, repeated or odd Content-Length, any coding but exactly "chunked", bare CR or
 * LF in the head, obs-fold, white space before the colon, missing or repeated Host, absolute-form
 * mismatch, bytes NUL or controls in values: 400 and close. Bodies over the limit: 413 and close,
 * before they are read. Expect: 100-continue is answered.
 */
#ifndef HTTP_H
#define HTTP_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/str.h"
#include "http/http_field.h"
#include "io/io_conn.h"
#include "io/io_loop.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHOD_COUNT
};

enum { HTTP_MAX_PARAMS = 4 };

struct http_request {
    enum http_method method;
    struct str target; // as sent, for signatures and logs
    struct str path;   // of the target, percent-encoded as sent, up to '?'
    struct str query;  // after '?', as sent, without it
    struct http_field fields[HTTP_MAX_FIELDS];
    size_t field_count;
    struct str body;
    bool keep_alive;
    bool is_http_10;
};

struct http_conn;
struct http_proxy;
struct http_server;

struct http_exchange {
    struct http_request req;            // its strs live in the arena, as long as the exchange
    struct str params[HTTP_MAX_PARAMS]; // the {x} of the route's path, percent-decoded
    struct arena arena;
    struct io_loop *loop;
    char peer[46]; // the client's address: behind trusted proxies, if there are any
    bool is_https; // came under TLS of ours, or of a trusted proxy, if it says which
    void *user;    // the handler's own
    const struct http_route *route; // NULL when none matched
    struct http_conn *conn;         // private; NULL once the client is gone
    struct buf out_fields;          // private: fields added before the reply
};

/* The first field of that name (case ignored); an empty str with at == NULL when absent. */
struct str http_field_get(const struct http_request *req, struct str name);
/* The value of a cookie; at == NULL when absent. */
struct str http_cookie_get(const struct http_request *req, struct str name);
/* A parameter of the query or of a form body (application/x-www-form-urlencoded), percent-decoded
 * into the arena,
 * '+' as space; at == NULL when absent. ERR_INVALID: bad escape, or not UTF-8. */
MUST_USE enum err http_form_get(struct str encoded, struct str name, struct arena *a,
                                struct str *out);
/* Decodes %XX (not '+'). ERR_INVALID: bad escape, %00, or the result is not UTF-8. */
MUST_USE enum err http_decode(struct str text, struct arena *a, struct str *out);
/* Does Accept-Encoding list coding with q > 0? */
bool http_accepts_coding(const struct http_request *req, struct str coding);
/* Does If-None-Match name this tag, quotes included? Weak comparison (RFC 9110 §13.1.2). */
bool http_has_etag(const struct http_request *req, struct str etag);

/* ---- replies: exactly one per exchange; the exchange is gone afterwards ---- */
/* Adds a response field before the reply. name and value hold no CR, LF or NUL (CHECKed for name,
 * replaced by space in value). */
void http_reply_field(struct http_exchange *x, struct str name, struct str value);

/* Answers with a whole body (copied). type: Content-Type or NULL when there is no body. Writes
 * Date, Content-Length, X-Content-Type-Options: nosniff, Connection when needed; HEAD gets no body,
 * 204 and 304 no body and no length. */
void http_reply(struct http_exchange *x, int status, const char *type, struct str body);

/* As http_reply, but status line, fields and body stand ready (for caches and static files). head:
 * the status line and the field lines, each with its CRLF, without the final empty line and without
 * Date, Connection and X-Content-Type-Options, which are inserted (with the fields of
 * http_reply_field) after the first line. Both are borrowed for the call. HEAD gets no body. */
void http_reply_ready(struct http_exchange *x, struct str head, struct str body);

const char *http_reason(int status);

/* problem+json (RFC 9457). code: "voting-closed"; detail: a sentence in the reader's language.
 * errors: a JSON array text ([{"pointer","code","detail"}]) or an empty str. */
void http_problem(struct http_exchange *x, int status, struct str code, struct str title,
                  struct str detail, struct str errors);

/* The status for a failure: INVALID 422, DENIED 403, NOT_FOUND 404, CONFLICT 409, TOO_LARGE 413,
 * TIMEOUT 504, AGAIN 503, PROTOCOL 400, IO 500 (one table). */
int http_status_of(enum err err);

/* ---- upgrade ---- */
/* Hands the io_conn over: the http_conn and the exchange are gone when it returns, so what is
 * needed of the request is copied before. The caller sets its own handler at once and then writes
 * its 101 with io_conn_write. Bytes that came behind the request are in *early, initialised here;
 * the caller frees them with buf_done. NULL: the client is gone (early is empty, the exchange is
 * freed too). */
struct io_conn *http_upgrade(struct http_exchange *x, struct buf *early);

/* ---- routes ---- */
typedef void http_handler_fn(struct http_exchange *x, void *ctx);

struct http_route {
    enum http_method method;
    const char *path; // "/api/v1/proposals/{id}/comments"; a last "{*}" takes the rest, slashes too
    http_handler_fn *handler;
    const void *extra;     // the row of a higher layer, or NULL
    size_t max_body_bytes; // 0: the server's default
};

struct http_limits {
    size_t max_head_bytes;    // 16 KiB: 431
    size_t max_body_bytes;    // 64 KiB default per route: 413
    int64_t head_ms, body_ms; // 10 s, 30 s: 408 and close
    int64_t idle_ms;          // 60 s between requests: close
    size_t max_out_bytes;     // 8 MiB waiting for the client
};
extern const struct http_limits http_default_limits;

/* One per loop. GET routes answer HEAD too. An unknown path gets 404, a known path with another
 * method 405 with Allow; a body that is broken, late or too large 400, 408 or 413. All through
 * on_unrouted, so that they can be told in the reader's language: status given; x->route NULL but
 * for a body of a known path; no body. A head that is refused (400, 414, 417, 431, 501, 505) is
 * answered in English: what it says of the reader is not there or not to be trusted. OPTIONS of a
 * known path gets 204 with Allow, unless a row says otherwise. */
struct http_server *http_server_new(struct io_loop *l, const struct http_limits *limits);
/* Drops all connections. Before or after the loop is freed; not between http_server_stop and
 * on_stopped. */
void http_server_free(struct http_server *s);
/* The table is borrowed and lives as long as the server. ctx goes to its handlers. Earlier tables
 * win. */
void http_server_add(struct http_server *s, const struct http_route *routes, size_t count,
                     void *ctx);
void http_server_on_unrouted(struct http_server *s,
                             void (*fn)(struct http_exchange *x, int status, void *ctx), void *ctx);
/* Proxies whose word on the client is taken (http_proxy.h); borrowed. */
void http_server_trust(struct http_server *s, const struct http_proxy *proxy);
/* Serves an accepted descriptor; peer as io_accept_fn gets it; under TLS with that certificate
 * (io_tls_load) unless it is NULL. A handshake has as long as a head. */
void http_server_accept(struct http_server *s, int fd, const char *peer, SSL_CTX *certificate);
size_t http_server_conns(const struct http_server *s);
/* Graceful stop: idle connections close now; busy ones finish their exchange (bounded by drain_ms),
 * with Connection: close; then on_stopped runs. Upgraded connections are not ours any more. */
void http_server_stop(struct http_server *s, int64_t drain_ms, void (*on_stopped)(void *ctx),
                      void *ctx);

#endif
