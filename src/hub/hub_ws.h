/* hub_ws.h -- a socket over WebSocket. For the hub's own files. */
#ifndef HUB_WS_H
#define HUB_WS_H

#include "hub/hub_socket.h"
#include "ws/ws_conn.h"
#include "ws/ws_handshake.h"

struct hub_ws {
    struct ws_conn ws; // beside the socket's first fields, which a delivery takes too
    struct hub_socket socket;
};

/* Serves the upgraded connection, greets it, and handles the early bytes, which stay the caller's.
 */
struct hub_socket *hub_ws_accept(struct hub_tenant *t, struct io_conn *io,
                                 const struct hub_hello *hello, const struct ws_upgrade *up);
/* Tells the connection why not, and closes it with the code. */
void hub_ws_refuse(struct hub *h, struct io_conn *io, const struct ws_upgrade *up, int code,
                   struct str why);

#endif
