/* api_hub_events.h -- publishing: POST /apps/{id}/events and /batch_events. */
#ifndef API_HUB_EVENTS_H
#define API_HUB_EVENTS_H

#include "http/http.h"

void api_hub_events_post(struct http_exchange *x, void *ctx);
void api_hub_events_post_batch(struct http_exchange *x, void *ctx);

#endif
