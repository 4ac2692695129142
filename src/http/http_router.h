/* http_router.h -- from method and path to a row of a route table: a tree of path segments.
 *
 *     /api/v1/proposals/{id}/comments
 *     "api" - "v1" - "proposals" - {} - "comments": a row for each method
 *
 * A literal segment wins over {param}, which wins over {*}; what does not lead to the method is
 * tried further. Segments are compared as sent, without percent-decoding.
 */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "http/http.h"

struct http_router;

struct http_match {
    const struct http_route *route; // NULL: none
    void *ctx;                      // of the table the route came from
    unsigned allowed;               // bit m set: the path knows method m (also when route is NULL)
    struct str params[HTTP_MAX_PARAMS]; // as sent
    size_t param_count;
};

struct http_router *http_router_new(void);
void http_router_free(struct http_router *r);
/* Rows and their paths are borrowed. Rows that are there already win. */
void http_router_add(struct http_router *r, const struct http_route *routes, size_t count,
                     void *ctx);

/* HEAD finds the row of GET. */
struct http_match http_router_find(const struct http_router *r, enum http_method method,
                                   struct str path);

/* "GET, HEAD, POST, OPTIONS" of a match's allowed, for Allow; out is NUL-terminated. */
enum { HTTP_ROUTER_ALLOW_BYTES = 64 };
struct str http_router_allow(unsigned allowed, char out[static HTTP_ROUTER_ALLOW_BYTES]);

#endif
