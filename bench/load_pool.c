#include "load_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { MAX_EVENTS = 1024, OPENING_AT_ONCE = 128, MAX_PATH = 200 };

static void ignore_event(void *ctx, struct load_ws *ws, const char *text, size_t len)
{
    (void)ctx, (void)ws, (void)text, (void)len;
}

static char (*own_channels(const char *channel, size_t count))[LOAD_POOL_NAME_BYTES]
{
    char(*names)[LOAD_POOL_NAME_BYTES] = calloc(count, sizeof *names);
    if (!names)
        load_die("no memory");
    for (size_t i = 0; i < count; i++)
        if (snprintf(names[i], sizeof names[i], "%s-%zu", channel, i) >= (int)sizeof names[i])
            load_die("the channel's name is too long");
    return names;
}

void load_pool_init(struct load_pool *p, const struct load_args *args, size_t most)
{
    char *path = malloc(MAX_PATH);
    const char *key = load_arg(args, "key", NULL), *channel = load_arg(args, "channel", "bench");
    bool is_signed = load_arg_int(args, "signed", "0") != 0;
    *p = (struct load_pool){.on_event = ignore_event, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    p->sockets = calloc(most, sizeof *p->sockets);
    if (!path || !p->sockets || p->epoll < 0)
        load_die("no memory");
    snprintf(path, MAX_PATH, "/app/%s?protocol=7&client=bench&version=1", key);
    p->target = (struct load_ws_target){.port = (int)load_arg_int(args, "port", NULL),
                                        .path = path,
                                        .channel = channel,
                                        .key = key,
                                        .secret = is_signed ? load_arg(args, "secret", NULL) : NULL,
                                        .offers_deflate = load_arg_int(args, "deflate", "0") != 0};
    if (load_arg_int(args, "tls-port", "0") != 0) {
        p->target.port = (int)load_arg_int(args, "tls-port", NULL);
        p->target.tls = SSL_CTX_new(TLS_client_method()); // whose certificate it is does not matter
        if (!p->target.tls)
            load_die("no memory");
    }
    if (load_arg_int(args, "own-channels", "0") != 0)
        p->names = own_channels(channel, most);
    load_need_fds(most + LOAD_POOL_SPARE_FDS);
}

static void open_one(struct load_pool *p, size_t index)
{
    struct load_ws *ws = &p->sockets[index];
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = ws};
    load_ws_open(ws, &p->target);
    ws->channel = p->names ? p->names[index] : p->target.channel;
    epoll_ctl(p->epoll, EPOLL_CTL_ADD, ws->fd, &e);
}

void load_pool_open(struct load_pool *p, size_t count)
{
    int64_t deadline = load_now_ns() + INT64_C(60000000000);
    for (size_t opened = 0; p->ready < count;) {
        while (opened < count && opened - p->ready < OPENING_AT_ONCE)
            open_one(p, opened++);
        load_pool_read(p, 100);
        if (load_now_ns() > deadline)
            load_die("only %zu of %zu sockets subscribed within 60 s", p->ready, count);
    }
}

int load_pool_read(struct load_pool *p, int wait_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(p->epoll, events, MAX_EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        struct load_ws *ws = events[i].data.ptr;
        enum load_ws_state before = ws->state;
        load_ws_read(ws, &p->target, p->on_event, p->ctx);
        if (before != LOAD_WS_READY && ws->state == LOAD_WS_READY)
            p->ready++;
    }
    return n;
}

void load_pool_drop(struct load_pool *p, size_t count)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (size_t i = 0; i < count; i++) {
        setsockopt(p->sockets[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        load_ws_close(&p->sockets[i]);
    }
    p->ready -= count;
}
