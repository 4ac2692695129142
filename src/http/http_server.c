#include <stdio.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/mem.h"
#include "http/http_internal.h"
#include "http/http_proxy.h"

static void on_drain_due(struct io_timer *t)
{
    struct http_server *s = LIST_ENTRY(t, struct http_server, drain_timer);
    for (struct list *node = s->conns.next, *next; node != &s->conns; node = next) {
        next = node->next;
        http_conn_abort(http_conn_of_node(node));
    }
}

struct http_server *http_server_new(struct io_loop *l, const struct http_limits *limits)
{
    struct http_server *s = MEM_NEW(struct http_server);
    s->loop = l;
    s->limits = *limits;
    s->router = http_router_new();
    list_init(&s->conns);
    io_timer_init(&s->drain_timer, on_drain_due);
    return s;
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    s->on_stopped = NULL;
    on_drain_due(&s->drain_timer);
    CHECK(s->conn_count == 0);
    io_timer_stop(&s->drain_timer);
    http_conn_free_spare(s);
    http_router_free(s->router);
    mem_free(s);
}

void http_server_add(struct http_server *s, const struct http_route *routes, size_t count,
                     void *ctx)
{
    http_router_add(s->router, routes, count, ctx);
}

void http_server_on_unrouted(struct http_server *s,
                             void (*fn)(struct http_exchange *x, int status, void *ctx), void *ctx)
{
    s->on_unrouted = fn;
    s->unrouted_ctx = ctx;
}

void http_server_trust(struct http_server *s, const struct http_proxy *proxy)
{
    s->proxy = proxy->count ? proxy : NULL;
}

void http_server_accept(struct http_server *s, int fd, const char *peer, SSL_CTX *certificate)
{
    http_conn_new(s, fd, peer, certificate);
}

size_t http_server_conns(const struct http_server *s)
{
    return s->conn_count;
}

/* ---- stopping ---- */

static void tell_stopped(struct io_task *task)
{
    struct http_server *s = LIST_ENTRY(task, struct http_server, stopped_task);
    s->on_stopped(s->stopped_ctx);
}

/* Told by a task, so that nothing of ours is on the stack when the owner frees the server. */
static void post_if_stopped(struct http_server *s)
{
    if (!s->is_stopping || s->conn_count > 0)
        return;
    io_timer_stop(&s->drain_timer);
    if (!s->on_stopped || s->stopped_task.run)
        return;
    s->stopped_task.run = tell_stopped;
    io_loop_post(s->loop, &s->stopped_task);
}

void http_server_conn_gone(struct http_server *s)
{
    s->conn_count--;
    post_if_stopped(s);
}

void http_server_stop(struct http_server *s, int64_t drain_ms, void (*on_stopped)(void *ctx),
                      void *ctx)
{
    CHECK(!s->is_stopping);
    s->is_stopping = true;
    s->on_stopped = on_stopped;
    s->stopped_ctx = ctx;
    for (struct list *node = s->conns.next, *next; node != &s->conns; node = next) {
        next = node->next;
        http_conn_drain(http_conn_of_node(node));
    }
    io_timer_start(s->loop, &s->drain_timer, drain_ms);
    post_if_stopped(s);
}

/* ---- Date ---- */

struct str http_server_stamp(struct http_server *s)
{
    int64_t now_ms = clock_unix_ms();
    if (now_ms / 1000 != s->date_s || s->stamp_len == 0) {
        char date[30];
        clock_http_date(now_ms, date);
        int len = snprintf(s->stamp, sizeof(s->stamp),
                           "Date: %s\r\nX-Content-Type-Options: nosniff\r\n", date);
        s->stamp_len = (size_t)len;
        s->date_s = now_ms / 1000;
    }
    return (struct str){s->stamp, s->stamp_len};
}
