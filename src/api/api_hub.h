/* api_hub.h -- the hub's HTTP routes: the socket, and the signed REST calls of Pusher's SDKs. */
#ifndef API_HUB_H
#define API_HUB_H

#include "http/http.h"

/* For http_server_add, with ctx = the struct hub of that loop. */
extern const struct http_route api_hub_routes[];
extern const size_t api_hub_route_count;

#endif
