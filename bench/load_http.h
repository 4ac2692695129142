/* load_http.h -- one keep-alive HTTP/1.1 connection of a load generator: a request out, its answer
 * in. */
#ifndef LOAD_HTTP_H
#define LOAD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOAD_HTTP_HEAD_MAX = 4096 };

struct load_http {
    int fd;
    bool is_busy;       // a request is out
    int64_t started_ns; // the caller's: when that request was due
    uint64_t tag;       // the caller's
    size_t body_left;   // of the answer being read; used when in_body
    bool in_body;
    int status;
    uint64_t bytes_in; // heads and bodies, since open
    size_t head_len;
    char head[LOAD_HTTP_HEAD_MAX];
};

void load_http_open(struct load_http *h, int port);

/* h is not busy. */
void load_http_send(struct load_http *h, const void *bytes, size_t len);

/* Reads what has come. The status when the answer is complete (h is then free), else 0. Dies when
 * the server closes: keep-alive is what is measured. */
int load_http_read(struct load_http *h);

#endif
