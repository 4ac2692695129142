#include "app/app_admin.h"

#include <stdio.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "http/http_static.h"
#include "io/io_listener.h"
#include "page/page_hub.h"

enum { PATH_BYTES = 4096 };
enum { SOCKET, ADDRESS, LISTENERS };

struct app_admin {
    char path[PATH_BYTES]; // of the socket; empty: there is none
    int fds[LISTENERS];    // until the loop owns them; -1: none
    struct io_loop *loop;
    struct http_server *server;
    struct io_listener *listeners[LISTENERS];
    struct api_admin ctx;
    struct page_hub page_ctx;
    struct io_task start_task, drain_task;
    int64_t drain_ms;
    struct app_stops *stops;
};

/* ---- on the loop's thread ---- */

static void on_accept(void *ctx, int fd, const char peer[static IO_PEER_BYTES])
{
    struct app_admin *a = ctx;
    http_server_accept(a->server, fd, peer, NULL);
}

static void start_listening(struct io_task *task)
{
    struct app_admin *a = LIST_ENTRY(task, struct app_admin, start_task);
    for (int i = 0; i < LISTENERS; i++) {
        if (a->fds[i] < 0)
            continue;
        a->listeners[i] = io_listener_start(a->loop, a->fds[i], on_accept, a);
        a->fds[i] = -1;
    }
}

static void drain(struct io_task *task)
{
    struct app_admin *a = LIST_ENTRY(task, struct app_admin, drain_task);
    for (int i = 0; i < LISTENERS; i++) {
        io_listener_stop(a->listeners[i]);
        a->listeners[i] = NULL;
    }
    http_server_stop(a->server, a->drain_ms, app_stops_happen, a->stops);
}

/* ---- on the operator's thread ---- */

/* A server whose directory has too long a name for a socket is served all the same. */
static void open_socket(struct app_admin *a, const char *data)
{
    char why[256] = "the path is too long";
    enum err err = ERR_TOO_LARGE;
    if ((size_t)snprintf(a->path, sizeof(a->path), "%s/admin.sock", data) < sizeof(a->path)) {
        (void)unlink(a->path); // of a server that was killed
        err = io_listener_open_unix(a->path, &a->fds[SOCKET], why, sizeof(why));
    }
    if (!err)
        return;
    log_warn("at=app.admin why=\"no admin.sock: %s\"", why);
    a->path[0] = '\0';
}

enum err app_admin_new(const char *listen, const char *data, struct app_admin **out, char *why_out,
                       size_t why_cap)
{
    struct app_admin *a = MEM_NEW(struct app_admin);
    for (int i = 0; i < LISTENERS; i++)
        a->fds[i] = -1;
    if (listen[0]) {
        enum err err = io_listener_open(str_of(listen), &a->fds[ADDRESS], why_out, why_cap);
        if (err) {
            snprintf(why_out, why_cap, "--admin: cannot listen on %s (%s); choose another address",
                     listen, err_text(err));
            mem_free(a);
            return err;
        }
        log_info("at=app.admin port=%d", io_listener_port(a->fds[ADDRESS]));
    }
    open_socket(a, data);
    *out = a;
    return OK;
}

void app_admin_start(struct app_admin *a, struct io_loop *l, const struct api_admin *ctx,
                     const struct page *page)
{
    static const struct http_route files = {
        .method = HTTP_GET, .path = "/static/{*}", .handler = http_static_serve};
    a->loop = l;
    a->ctx = *ctx;
    a->page_ctx = (struct page_hub){.admin = &a->ctx, .page = page};
    a->server = http_server_new(l, &http_default_limits);
    http_server_add(a->server, api_admin_routes, api_admin_route_count, &a->ctx);
    http_server_add(a->server, page_hub_routes, page_hub_route_count, &a->page_ctx);
    http_server_add(a->server, &files, 1, NULL);
    a->start_task.run = start_listening;
    a->drain_task.run = drain;
    io_loop_post(l, &a->start_task);
}

void app_admin_drain(struct app_admin *a, int64_t drain_ms, struct app_stops *stops)
{
    a->drain_ms = drain_ms;
    a->stops = stops;
    app_stops_expect(stops);
    io_loop_post(a->loop, &a->drain_task);
}

void app_admin_free(struct app_admin *a)
{
    if (!a)
        return;
    http_server_free(a->server);
    for (int i = 0; i < LISTENERS; i++)
        if (a->fds[i] >= 0)
            close(a->fds[i]);
    if (a->path[0])
        (void)unlink(a->path);
    mem_free(a);
}
