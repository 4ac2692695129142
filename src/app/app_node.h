/* app_node.h -- one loop with all that lives on it: HTTP server, hub, listener, and its thread. */
#ifndef APP_NODE_H
#define APP_NODE_H

#include <pthread.h>

#include "api/api.h"
#include "api/api_hub.h"
#include "app/app.h"
#include "app/app_listen.h"
#include "app/app_stops.h"
#include "hub/hub.h"
#include "io/io_listener.h"

struct app_node_listener {
    struct app_node *node;
    struct io_listener *listener; // NULL: not started
    int fd;                       // until the listener owns it, else -1
    bool is_tls;
};

struct app_node {
    struct io_loop *loop;
    struct http_server *server;
    struct hub *hub;
    struct api_hub api_hub;
    struct api *api;
    struct app_node_listener listeners[APP_LISTEN_MAX];
    size_t listener_count;
    SSL_CTX *certificate; // for new connections; the loop's
    pthread_t thread;
    bool has_thread, has_web;

    const struct app_options *options;
    struct app_stops *stops;
    struct io_task start_task, drain_task, close_task, flush_task;
    struct http_route echo_route;
};

/* What all nodes share; borrowed for their lives. */
struct app_parts {
    const struct app_options *options;
    const struct hub_apps *apps;
    struct hub_relay *relay;
    struct api *api;
    const struct hub_hook_sink *webhooks;
    struct app_listen *listen; // the nodes take its sockets
    struct app_stops *stops;
    const struct http_proxy *proxy; // that are trusted
    bool has_web, has_hub;          // roles
};

void app_node_init(struct app_node *n, int index, const struct app_parts *parts);
/* Starts the thread. ERR_IO. */
MUST_USE enum err app_node_start(struct app_node *n);
/* From the operator's thread: connections to come get this one. */
void app_node_use_certificate(struct app_node *n, SSL_CTX *certificate);
/* From the operator's thread: no new connections, requests finish within drain_ms, then one of
 * stops. */
void app_node_drain(struct app_node *n);
/* From the operator's thread: sockets close within spread_ms and a little, then one of stops. */
void app_node_close_sockets(struct app_node *n);
/* From the operator's thread, when all nodes' sockets are closed: the hub's last webhooks go to the
 * sink, then one of stops. */
void app_node_flush_webhooks(struct app_node *n);
/* Ends the loop and joins its thread. */
void app_node_stop(struct app_node *n);
void app_node_done(struct app_node *n);

#endif
