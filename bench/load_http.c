#include "load_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "load.h"

enum { READ_MAX = 1 << 18 };

void load_http_open(struct load_http *h, int port)
{
    *h = (struct load_http){.fd = load_connect(port)};
}

void load_http_send(struct load_http *h, const void *bytes, size_t len)
{
    if (send(h->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        load_die("cannot send a request: %s", strerror(errno));
    h->is_busy = true;
}

static size_t content_length(const char *head, const char *end)
{
    static const char name[] = "\r\ncontent-length:";
    for (const char *p = head; p + sizeof name < end; p++)
        if (*p == '\r' && strncasecmp(p, name, sizeof name - 1) == 0)
            return strtoul(p + sizeof name - 1, NULL, 10);
    load_die("an answer without Content-Length: %.200s", head);
}

/* Appends to the head until it is whole; returns how many of the bytes belong to it. */
static size_t take_head(struct load_http *h, const char *bytes, size_t len)
{
    size_t had = h->head_len, room = LOAD_HTTP_HEAD_MAX - 1 - had;
    size_t take = len < room ? len : room;
    memcpy(h->head + had, bytes, take);
    h->head_len += take;
    h->head[h->head_len] = 0;
    char *end = memmem(h->head, h->head_len, "\r\n\r\n", 4);
    if (!end) {
        if (take == room)
            load_die("the head of an answer is longer than %d bytes", LOAD_HTTP_HEAD_MAX);
        return take;
    }
    h->status = atoi(h->head + 9); // "HTTP/1.1 201 ..."
    h->body_left = content_length(h->head, end + 2);
    h->in_body = true;
    h->head_len = 0;
    return (size_t)(end + 4 - h->head) - had;
}

int load_http_read(struct load_http *h)
{
    static char bytes[READ_MAX];
    ssize_t got = recv(h->fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        load_die("the server closed a connection: %s", got ? strerror(errno) : "end of file");
    h->bytes_in += (uint64_t)got;
    size_t len = (size_t)got, used = 0;
    if (!h->in_body)
        used = take_head(h, bytes, len);
    if (!h->in_body)
        return 0;
    size_t body = len - used;
    if (body > h->body_left)
        load_die("more bytes than the answer announced: %.300s", bytes);
    h->body_left -= body;
    if (h->body_left > 0)
        return 0;
    h->in_body = false;
    h->is_busy = false;
    return h->status;
}
