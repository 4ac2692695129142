/* http_parse.h -- a request from bytes as they come: head, framing rules, body. No socket, no
 * clock.
 *
 *     HEAD -- whole, has a body --> BODY -- last byte --> DONE
 *     HEAD -- whole, no body ---------------------------> DONE
 *     HEAD, BODY -- a rule is broken --> FAILED (status says which)
 *
 * The head is kept until it is whole and then parsed at once, so it does not matter where the
 * network cut it. Parsing stops after the head, so that the caller can find the route and its limit
 * for the body.
 */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include "http/http.h"
#include "http/http_chunk.h"

enum http_parse_state { HTTP_PARSE_HEAD, HTTP_PARSE_BODY, HTTP_PARSE_DONE, HTTP_PARSE_FAILED };

/* Heads up to this length stay in the parser, so that a usual GET allocates nothing. */
enum { HTTP_PARSE_SMALL_HEAD_BYTES = 1024 };

struct http_parse {
    enum http_parse_state state;
    int status;          // when FAILED: 400, 413, 414, 417, 431, 501, 505
    bool wants_continue; // "Expect: 100-continue" and a body to come
    struct http_request *req;
    struct arena *arena;

    uint8_t line_end; // private: how much of CRLF CRLF the last bytes were
    bool has_line;    // private: the request line is whole
    struct buf head;  // private: the head so far; empty when it came in one piece
    bool is_chunked;  // private
    size_t body_left; // private
    struct http_chunk chunk;
    struct buf body;                              // private: max is the limit
    char small_head[HTTP_PARSE_SMALL_HEAD_BYTES]; // private
};

/* The request goes into req, its bytes into p and arena: all three live as long as the request.
 * Touches no more of p than it needs. */
void http_parse_init(struct http_parse *p, struct http_request *req, struct arena *arena,
                     const struct http_limits *limits);
/* Frees what is half read; a whole request stays. */
void http_parse_done(struct http_parse *p);

/* Takes bytes until the head is whole, or the request is, or it fails; returns how many it took. */
size_t http_parse_feed(struct http_parse *p, const uint8_t *bytes, size_t len);

/* In BODY, before the next feed: the limit of the route. Fails with 413 when Content-Length passes
 * it. */
void http_parse_limit_body(struct http_parse *p, size_t max_bytes);

#endif
