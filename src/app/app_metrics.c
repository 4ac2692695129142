#include "app/app_metrics.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/api_metrics.h"
#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "http/http.h"
#include "io/io_listener.h"

enum { MAX_BYTES = 16 * 1024 * 1024 };

struct app_metrics {
    int fd; // until the loop owns it; -1: it does
    struct io_loop *loop;
    struct http_server *server;
    struct io_listener *listener;
    struct io_task start_task;
    pthread_t thread;
    bool has_thread;
};

/* ---- on the loop's thread ---- */

/* What it reads is in memory and in /proc, and nobody else is served here: no pool. */
static void get_metrics(struct http_exchange *x, void *ctx)
{
    struct api_metrics now = {.loops = -1};
    struct buf out;
    (void)ctx;
    queue_meter_read(&x->arena, &now.meters);
    api_metrics_read_process(&now);
    buf_init(&out, MAX_BYTES);
    CHECK(api_metrics_write_worker(&out, &now) == OK); // its queues and kinds are few
    http_reply(x, 200, API_METRICS_TYPE, (struct str){(const char *)buf_head(&out), buf_len(&out)});
    buf_done(&out);
}

static const struct http_route routes[] = {
    {.method = HTTP_GET, .path = "/metrics", .handler = get_metrics},
};

static void on_accept(void *ctx, int fd, const char peer[static IO_PEER_BYTES])
{
    struct app_metrics *m = ctx;
    http_server_accept(m->server, fd, peer, NULL);
}

static void start_listening(struct io_task *task)
{
    struct app_metrics *m = LIST_ENTRY(task, struct app_metrics, start_task);
    m->listener = io_listener_start(m->loop, m->fd, on_accept, m);
    m->fd = -1;
}

static void *run(void *arg)
{
    struct app_metrics *m = arg;
    io_loop_run(m->loop);
    return NULL;
}

/* ---- on the operator's thread ---- */

enum err app_metrics_new(const char *listen, struct app_metrics **out, char *why_out,
                         size_t why_cap)
{
    int fd = -1;
    *out = NULL;
    if (!listen[0])
        return OK;
    char local[64];
    bool is_port = listen[strspn(listen, "0123456789")] == '\0';
    snprintf(local, sizeof(local), "127.0.0.1:%.32s", listen);
    enum err err = io_listener_open(str_of(is_port ? local : listen), &fd, why_out, why_cap);
    if (err) {
        snprintf(why_out, why_cap,
                 "--metrics: cannot listen on %s (%s); write it as 9091 or 127.0.0.1:9091", listen,
                 err_text(err));
        return err;
    }
    log_info("at=app.metrics port=%d", io_listener_port(fd));
    struct app_metrics *m = MEM_NEW(struct app_metrics);
    m->fd = fd;
    m->loop = io_loop_new(0);
    m->server = http_server_new(m->loop, &http_default_limits);
    http_server_add(m->server, routes, sizeof(routes) / sizeof(routes[0]), NULL);
    m->start_task.run = start_listening;
    *out = m;
    return OK;
}

enum err app_metrics_start(struct app_metrics *m)
{
    if (!m)
        return OK;
    enum err err = thread_start(&m->thread, "metrics", run, m);
    m->has_thread = !err;
    if (!err)
        io_loop_post(m->loop, &m->start_task);
    return err;
}

void app_metrics_free(struct app_metrics *m)
{
    if (!m)
        return;
    if (m->has_thread) {
        io_loop_stop(m->loop);
        pthread_join(m->thread, NULL);
    }
    io_loop_free(m->loop);
    http_server_free(m->server);
    if (m->fd >= 0)
        close(m->fd);
    mem_free(m);
}
