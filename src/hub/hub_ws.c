#include "hub/hub_ws.h"

#include "core/mem.h"
#include "ws/ws_offer.h"

_Static_assert(sizeof(struct hub_ws) <= 184, "an idle socket is small");

static struct hub_ws *of_socket(struct hub_socket *s)
{
    return LIST_ENTRY(s, struct hub_ws, socket);
}

static struct hub_socket *of_ws(struct ws_conn *ws)
{
    return &LIST_ENTRY(ws, struct hub_ws, ws)->socket;
}

/* ---- to the client ---- */

static enum err send_frames(struct hub_socket *s, const void *frames, size_t len)
{
    return ws_conn_send_shared(&of_socket(s)->ws, frames, len);
}

static void prefetch(struct hub_socket *s)
{
    const struct ws_conn *ws = &of_socket(s)->ws;
    if (ws->io)
        io_conn_prefetch(ws->io);
}

static enum err send_text(struct hub_socket *s, struct str text)
{
    struct ws_frame frame = {.opcode = WS_TEXT, .fin = true, .size_bytes = text.len};
    return ws_conn_send(&of_socket(s)->ws, &frame, text.at);
}

static enum err ping(struct hub_socket *s)
{
    return ws_conn_ping(&of_socket(s)->ws);
}

static size_t waiting(struct hub_socket *s)
{
    return io_conn_waiting(of_socket(s)->ws.io);
}

static void set_max_waiting(struct hub_socket *s, size_t bytes)
{
    io_conn_set_max_out(of_socket(s)->ws.io, bytes);
}

static void close_ws(struct hub_socket *s, int code, struct str why)
{
    ws_conn_close(&of_socket(s)->ws, code, why);
}

static void abort_ws(struct hub_socket *s)
{
    ws_conn_abort(&of_socket(s)->ws);
}

static void start_timer(struct hub_socket *s, int64_t delay_ms)
{
    ws_conn_start_timer(&of_socket(s)->ws, delay_ms);
}

static const struct hub_transport transport = {
    .name = "websocket",
    .send_frames = send_frames,
    .prefetch = prefetch,
    .send_text = send_text,
    .ping = ping,
    .waiting = waiting,
    .set_max_waiting = set_max_waiting,
    .close = close_ws,
    .abort = abort_ws,
    .start_timer = start_timer,
};

/* ---- from the client ---- */

static void on_message(struct ws_conn *ws, enum ws_opcode type, struct str text)
{
    (void)type; // a binary is read as if it were a text
    hub_socket_receive(of_ws(ws), text);
}

static void on_control(struct ws_conn *ws)
{
    hub_socket_on_control(of_ws(ws));
}

static void on_timer(struct ws_conn *ws)
{
    hub_socket_on_timer(of_ws(ws));
}

static void on_closed(struct ws_conn *ws)
{
    struct hub_socket *s = of_ws(ws);
    hub_socket_done(s);
    mem_free(of_socket(s));
}

static struct hub_ws *ws_new(struct hub *h, struct hub_tenant *t, struct io_conn *io,
                             const struct ws_upgrade *up)
{
    static const struct ws_conn_handler handler = {
        .on_message = on_message,
        .on_control = on_control,
        .on_timer = on_timer,
        .on_closed = on_closed,
    };
    const struct hub_app *app = t ? t->app : &hub_app_defaults;
    struct hub_ws *w = MEM_NEW(struct hub_ws);
    ws_conn_init(&w->ws, io, &handler, app->max_message_bytes, app->max_out_bytes);
    hub_socket_init(&w->socket, &transport, h, t);
    if (up->window_bits > 0)
        ws_conn_use_deflate(&w->ws, up->window_bits);
    // With a smaller window, which hardly anybody asks for, what goes to many is sent as it is.
    w->socket.takes_deflated = up->window_bits == WS_OFFER_MAX_WINDOW_BITS;
    return w;
}

struct hub_socket *hub_ws_accept(struct hub_tenant *t, struct io_conn *io,
                                 const struct hub_hello *hello, const struct ws_upgrade *up)
{
    struct hub_ws *w = ws_new(t->hub, t, io, up);
    hub_socket_open(&w->socket, hello);
    ws_conn_receive(&w->ws, buf_head(&up->early), buf_len(&up->early));
    return &w->socket;
}

void hub_ws_refuse(struct hub *h, struct io_conn *io, const struct ws_upgrade *up, int code,
                   struct str why)
{
    hub_socket_close(&ws_new(h, NULL, io, up)->socket, code, why);
}
