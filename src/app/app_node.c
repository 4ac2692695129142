#include "app/app_node.h"

#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "page/page.h"
#include "ws/ws_echo.h"

static const struct http_route static_routes[] = {
    {.method = HTTP_GET, .path = "/static/{*}", .handler = page_serve_file},
};

/* ---- on the loop's thread ---- */

static void on_accept(void *ctx, int fd, const char peer[static IO_PEER_BYTES])
{
    struct app_node_listener *li = ctx;
    http_server_accept(li->node->server, fd, peer, li->is_tls ? li->node->certificate : NULL);
}

static void on_unrouted(struct http_exchange *x, int status, void *ctx)
{
    struct app_node *n = ctx;
    if (api_hub_unrouted(&n->api_hub, x, status))
        return;
    if (n->has_web)
        page_unrouted(x, status, n->api);
    else
        api_unrouted(x, status, n->api); // no page of ours leads here
}

static void start_listening(struct io_task *task)
{
    struct app_node *n = LIST_ENTRY(task, struct app_node, start_task);
    for (size_t i = 0; i < n->listener_count; i++) {
        struct app_node_listener *li = &n->listeners[i];
        li->listener = io_listener_start(n->loop, li->fd, on_accept, li);
        li->fd = -1;
    }
}

struct change {
    struct io_task task;
    struct app_node *node;
    SSL_CTX *certificate;
};

static void change_certificate(struct io_task *task)
{
    struct change *change = LIST_ENTRY(task, struct change, task);
    io_tls_unref(change->node->certificate);
    change->node->certificate = change->certificate;
    mem_free(change);
}

static void drain(struct io_task *task)
{
    struct app_node *n = LIST_ENTRY(task, struct app_node, drain_task);
    for (size_t i = 0; i < n->listener_count; i++) {
        io_listener_stop(n->listeners[i].listener);
        n->listeners[i].listener = NULL;
    }
    http_server_stop(n->server, n->options->drain_ms, app_stops_happen, n->stops);
}

static void close_sockets(struct io_task *task)
{
    struct app_node *n = LIST_ENTRY(task, struct app_node, close_task);
    hub_stop(n->hub, n->options->spread_ms, app_stops_happen, n->stops);
}

static void flush_webhooks(struct io_task *task)
{
    struct app_node *n = LIST_ENTRY(task, struct app_node, flush_task);
    hub_flush_webhooks(n->hub);
    app_stops_happen(n->stops);
}

static void *run(void *arg)
{
    struct app_node *n = arg;
    pthread_setname_np(pthread_self(), "loop");
    io_loop_run(n->loop);
    return NULL;
}

/* ---- on the operator's thread ---- */

static void add_routes(struct app_node *n, const struct app_parts *parts)
{
    if (n->options->ws_echo[0]) {
        n->echo_route = (struct http_route){
            .method = HTTP_GET, .path = n->options->ws_echo, .handler = ws_echo_handle};
        http_server_add(n->server, &n->echo_route, 1, NULL);
    }
    api_hub_add_routes(&n->api_hub, n->server, parts->has_hub);
    n->has_web = parts->has_web;
    if (parts->has_web) {
        http_server_add(n->server, api_routes_table, api_routes_count, parts->api);
        http_server_add(n->server, static_routes, 1, parts->api);
        http_server_add(n->server, page_routes_table, page_routes_count, parts->api);
    }
    http_server_on_unrouted(n->server, on_unrouted, n);
}

static void take_sockets(struct app_node *n, int index, struct app_listen *listen)
{
    for (size_t i = 0; i < listen->count; i++) {
        n->listeners[i] = (struct app_node_listener){
            .node = n, .fd = listen->at[i].fds[index], .is_tls = listen->at[i].is_tls};
        listen->at[i].fds[index] = -1;
    }
    n->listener_count = listen->count;
    if (listen->certificate)
        n->certificate = io_tls_ref(listen->certificate);
}

void app_node_init(struct app_node *n, int index, const struct app_parts *parts)
{
    *n = (struct app_node){.options = parts->options, .stops = parts->stops, .api = parts->api};
    take_sockets(n, index, parts->listen);
    n->start_task.run = start_listening;
    n->drain_task.run = drain;
    n->close_task.run = close_sockets;
    n->flush_task.run = flush_webhooks;
    n->loop = io_loop_new(index);
    n->hub = hub_new(n->loop, parts->apps, parts->relay, n->options->is_compressed);
    hub_send_webhooks(n->hub, parts->webhooks);
    api_hub_init(&n->api_hub, n->hub, parts->options->path);
    n->server = http_server_new(n->loop, &http_default_limits);
    http_server_trust(n->server, parts->proxy);
    add_routes(n, parts);
}

enum err app_node_start(struct app_node *n)
{
    int rc = pthread_create(&n->thread, NULL, run, n);
    if (rc != 0) {
        log_error("at=app_node.start errno=%d why=\"%s\"", rc, strerror(rc));
        return ERR_IO;
    }
    n->has_thread = true;
    io_loop_post(n->loop, &n->start_task);
    return OK;
}

void app_node_use_certificate(struct app_node *n, SSL_CTX *certificate)
{
    struct change *change = MEM_NEW(struct change);
    change->task.run = change_certificate;
    change->node = n;
    change->certificate = io_tls_ref(certificate);
    io_loop_post(n->loop, &change->task);
}

void app_node_drain(struct app_node *n)
{
    if (!n->has_thread)
        return;
    app_stops_expect(n->stops);
    io_loop_post(n->loop, &n->drain_task);
}

void app_node_close_sockets(struct app_node *n)
{
    if (!n->has_thread)
        return;
    app_stops_expect(n->stops);
    io_loop_post(n->loop, &n->close_task);
}

void app_node_flush_webhooks(struct app_node *n)
{
    if (!n->has_thread)
        return;
    app_stops_expect(n->stops);
    io_loop_post(n->loop, &n->flush_task);
}

void app_node_stop(struct app_node *n)
{
    if (!n->has_thread)
        return;
    io_loop_stop(n->loop);
    pthread_join(n->thread, NULL);
    n->has_thread = false;
}

void app_node_done(struct app_node *n)
{
    for (size_t i = 0; i < n->listener_count; i++)
        if (n->listeners[i].fd >= 0)
            close(n->listeners[i].fd);
    io_loop_free(n->loop); // closes what is still open: its callbacks need server and hub
    http_server_free(n->server);
    io_tls_unref(n->certificate);
    api_hub_done(&n->api_hub);
}
