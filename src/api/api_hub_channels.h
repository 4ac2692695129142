/* api_hub_channels.h -- reading: GET /apps/{id}/channels, /channels/{name} and
 * /channels/{name}/users. */
#ifndef API_HUB_CHANNELS_H
#define API_HUB_CHANNELS_H

#include "http/http.h"

void api_hub_channels_get_all(struct http_exchange *x, void *ctx);
void api_hub_channels_get_one(struct http_exchange *x, void *ctx);
void api_hub_channels_get_users(struct http_exchange *x, void *ctx);

#endif
