/* hub_xhr.h -- a socket over HTTP, for networks that break WebSocket: the transports xhr_streaming
 * and xhr of pusher-js, as SockJS has them. For the hub's own files and the routes.
 *
 *     POST /pusher/app/{key}/{n}/{session}/xhr_streaming   an answer that goes on and on
 *     POST /pusher/app/{key}/{n}/{session}/xhr             an answer with what waits, then the next
 *     POST /pusher/app/{key}/{n}/{session}/xhr_send        ["text",...] from the client: 204
 *
 *     lines to the client:  o   open        a["text",...]   messages
 *                           h   heartbeat   c[code,"why"]   closed
 *
 * A session is a hub_socket on the hub that owns its name; the requests that carry it may come to
 * any loop. The loop of a request keeps the answer (struct carrier), and the two talk by posts:
 *
 *     request's loop  -- OPEN, READY, GONE, SEND --> session's hub
 *     request's loop  <- WRITE, DROP, FORGET, SENT -- session's hub
 *
 * The session holds what waits; the carrier is given more only when it has sent all. So memory is
 * bounded by the socket's own limit. Without a carrier the session lives on for HUB_XHR_GAP_MS; of
 * more than HUB_XHR_MAX_GAPS at a time the oldest end sooner, so that who opens and drops them in
 * numbers takes no memory by it. A closed session whose carrier does not take the last is dropped
 * with it.
 */
#ifndef HUB_XHR_H
#define HUB_XHR_H

#include "hub/hub_internal.h"

enum {
    HUB_XHR_GAP_MS = 10000,  // between two answers
    HUB_XHR_POLL_MS = 25000, // an answer that has nothing to say is a heartbeat then
    HUB_XHR_MAX_NAME_BYTES = 64,
    HUB_XHR_MAX_GAPS = 2048, // on one hub
};

/* The requests; the exchange is gone, or answered later. A connection serves one answer, so that we
 * notice when its client goes away. */
void hub_xhr_receive(struct hub *h, struct http_exchange *x, bool is_poll);
void hub_xhr_send(struct hub *h, struct http_exchange *x);
/* OPTIONS, before a browser sends JSON across origins (CORS). */
void hub_xhr_preflight(struct http_exchange *x);

/* Ends the sessions that are left, when the loops have ended. */
void hub_xhr_done(struct hub *h);

#endif
