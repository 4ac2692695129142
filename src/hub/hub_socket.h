/* hub_socket.h -- one client of the hub. For the hub's own files. */
#ifndef HUB_SOCKET_H
#define HUB_SOCKET_H

#include "hub/hub_channel.h"
#include "hub/hub_internal.h"
#include "ws/ws_conn.h"

enum { HUB_SOCKET_ID_BYTES = 22 }; // two numbers up to 10^9, a dot and a NUL

struct hub_socket {
    struct ws_conn ws;
    struct list node; // in hub->sockets or hub->stopping
    struct hub *hub;
    const struct hub_app *app;
    struct hub_subscription *subscriptions; // newest first
    uint32_t subscription_count;
    bool is_accepted;         // has an id
    bool is_pinged;           // and silent since
    bool uses_control_frames; // so it is pinged by one: clients that know no pusher:ping do
    char id[HUB_SOCKET_ID_BYTES];
    int64_t active_at_ms; // when it last said something
};

/* Serves the upgraded connection, greets it, and handles the early bytes. is_pusher_js: it
 * understands pusher:ping. */
void hub_socket_accept(struct hub *h, const struct hub_app *app, struct io_conn *io,
                       bool is_pusher_js, const struct buf *early);
/* Tells the connection why not, and closes it with the code. */
void hub_socket_refuse(struct hub *h, struct io_conn *io, int code, struct str why);

/* NULL: no such socket on this hub. */
struct hub_socket *hub_socket_find(const struct hub *h, struct str id);
/* NULL: it is not on the channel. */
struct hub_subscription *hub_socket_find_subscription(const struct hub_socket *s,
                                                      const struct hub_channel *c);

/* Sends whole frames. A socket that reads too slowly for them is cut off. */
void hub_socket_send_frames(struct hub_socket *s, const void *frames, size_t len);

/* Sends pusher:error with the code, then closes with it. */
void hub_socket_close(struct hub_socket *s, int code, struct str why);

#endif
