/* api_hub_event.h -- one event as a call describes it: its fields, the app's limits, its way out.
 */
#ifndef API_HUB_EVENT_H
#define API_HUB_EVENT_H

#include "api/api_hub_bag.h"
#include "hub/hub_relay.h"

enum { API_HUB_EVENT_MAX_ITEMS = 1000 }; // channels of an event, events of a batch

struct api_hub_event {
    struct str prefix;               // "" or "batch.1.", of its fields in messages
    struct str name_json, data_json; // with quotes
    struct str socket_id, info, idempotency_key;
    struct str *channels; // each once
    size_t channel_count;
};

/* Laravel's idea of a field that is not there. v may be NULL. */
bool api_hub_event_is_missing(const struct json_slice *v);

/* Reads an event, or an item of a batch, which has one channel. What is wrong goes into the bag. */
void api_hub_event_read(const struct json_field *fields, size_t count, bool is_item,
                        struct api_hub_bag *bag, struct api_hub_event *e);

/* The app's limits, and Pusher's rules when it is strict; false when the call was refused, and is
 * answered. */
bool api_hub_event_check(const struct api_hub_call *call, const struct api_hub_event *e);

/* As it is published on one of its channels. */
struct hub_relay_event api_hub_event_on(const struct api_hub_event *e, size_t channel);

#endif
