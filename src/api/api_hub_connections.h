/* api_hub_connections.h -- GET /apps/{id}/connections and
 * POST /apps/{id}/users/{user_id}/terminate_connections. */
#ifndef API_HUB_CONNECTIONS_H
#define API_HUB_CONNECTIONS_H

#include "http/http.h"

void api_hub_connections_get(struct http_exchange *x, void *ctx);
void api_hub_connections_terminate(struct http_exchange *x, void *ctx);

#endif
