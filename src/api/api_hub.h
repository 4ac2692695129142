/* api_hub.h -- the hub's HTTP routes: the socket, and the signed REST calls of Pusher's SDKs.
 *
 *     api_hub_call         what all calls have in common: app, signature, refusals
 *     api_hub_bag          what is wrong with fields, in Laravel's shape
 *     api_hub_event        an event as a call describes it
 *     api_hub_events       publishing
 *     api_hub_channels     channels and their members
 *     api_hub_connections  connections and their end
 *
 * Answers are what the SDKs of Pusher and Laravel's broadcaster expect: plain text for what is
 * wrong with the call (400, 401, 403, 404, 405, 413), Laravel's bag of field errors for what is
 * wrong in it (422), and an object for success.
 */
#ifndef API_HUB_H
#define API_HUB_H

#include "http/http.h"
#include "hub/hub.h"

/* Of one loop. */
struct api_hub {
    struct hub *hub;
    struct str prefix;         // "" or "/ws": in front of every path, and no part of what is signed
    struct http_route *routes; // with it
    struct arena arena;        // holds them
};

/* prefix is copied. */
void api_hub_init(struct api_hub *a, struct hub *hub, const char *prefix);
void api_hub_done(struct api_hub *a);

/* has_hub false: only GET /up, which answers in every role. */
void api_hub_add_routes(struct api_hub *a, struct http_server *s, bool has_hub);

/* Answers what no route of the signed calls takes, as Reverb does. False: the path is not below
 * /apps, and the call is not answered. */
bool api_hub_unrouted(const struct api_hub *a, struct http_exchange *x, int status);

#endif
