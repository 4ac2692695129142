/* hub_transport.h -- how a socket reaches its client: WebSocket (hub_ws), or what stands in for it.
 * For the hub's own files.
 *
 *     bytes -> transport -> hub_socket_receive(text) ... hub_socket_send -> transport -> bytes
 *
 * A transport embeds the struct hub_socket, and ends by hub_socket_done. Whole WebSocket text
 * frames are the common form of what is sent: they are made once for all.
 */
#ifndef HUB_TRANSPORT_H
#define HUB_TRANSPORT_H

#include "core/err.h"
#include "core/str.h"

struct hub_socket;

struct hub_transport {
    const char *name; // for the operator
    /* Sends whole frames, at once when nothing waits. ERR_TOO_LARGE: more would wait for the client
     * than it may; nothing was taken. OK and ignored when it is closing. */
    enum err (*send_frames)(struct hub_socket *s, const void *frames, size_t len);
    /* Frames will be sent soon: brings what that takes into the processor's cache. May be NULL. */
    void (*prefetch)(struct hub_socket *s);
    /* Queues one text; it leaves at the end of the turn. Errors as above. */
    enum err (*send_text)(struct hub_socket *s, struct str text);
    /* A ping that the client's WebSocket code answers by itself. Errors as above. */
    enum err (*ping)(struct hub_socket *s);
    /* Bytes that wait for the client, and how many may. */
    size_t (*waiting)(struct hub_socket *s);
    void (*set_max_waiting)(struct hub_socket *s, size_t bytes);
    /* Closes in order, with code and reason; nothing is received any more. */
    void (*close)(struct hub_socket *s, int code, struct str why);
    /* Drops the connection. */
    void (*abort)(struct hub_socket *s);
    /* Runs hub_socket_on_timer after delay_ms; starting again moves it. Only while open. */
    void (*start_timer)(struct hub_socket *s, int64_t delay_ms);
};

#endif
