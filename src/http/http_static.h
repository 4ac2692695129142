/* http_static.h -- the web client's files, embedded in the binary by tools/embed, each as it is and
 * precompressed with gzip and brotli, with a strong ETag from its content (RFC 9110 §8.8.3). */
#ifndef HTTP_STATIC_H
#define HTTP_STATIC_H

#include "http/http.h"

struct http_static_file {
    const char *name;    // "static/app.3f9a1c2b.js", "templates/home.mustache", "locales/uk.json"
    const char *logical; // "static/app.js": name without the hash
    const char *type;    // Content-Type
    const uint8_t *bytes;
    size_t len;
    const uint8_t *gzip; // NULL when not smaller
    size_t gzip_len;
    const uint8_t *brotli;
    size_t brotli_len;
    const char *etag; // quoted hex of SHA-256, 16 digits
    bool is_hashed;   // the name holds the hash: may be cached for ever
};

/* The table made by tools/embed (build/embed.c), sorted by name. */
extern const struct http_static_file http_static_files[];
extern const size_t http_static_count;

/* By name; NULL when absent. Any thread. */
const struct http_static_file *http_static_find(struct str name);
/* By logical name: the file whose URL is "/" + name. NULL when absent. */
const struct http_static_file *http_static_find_logical(struct str logical);

/* Answers a GET of /static/{*} with the file "static/" + x->params[0] (nothing outside static/ is
 * served): negotiation of Content-Encoding with Vary, If-None-Match (304), Cache-Control; 404
 * through http_problem. */
void http_static_serve(struct http_exchange *x, void *ctx);

#endif
