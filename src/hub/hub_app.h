/* hub_app.h -- the applications of the Pusher protocol: keys and limits. Read-only after start,
 * shared by all loops. */
#ifndef HUB_APP_H
#define HUB_APP_H

#include "core/str.h"

enum { HUB_APP_MAX_KEY_BYTES = 128 };

struct hub_app {
    struct str id;                // of the REST paths
    struct str key;               // public; at most HUB_APP_MAX_KEY_BYTES
    struct str secret;            // signs; never logged
    int64_t activity_timeout_s;   // told to clients: ping us after so long without a message
    int64_t ping_interval_s;      // we ping a socket that was silent for so long
    int64_t max_timestamp_skew_s; // of signed REST calls; 0: the time is not checked
    size_t max_message_bytes;     // from a client
    size_t max_request_bytes;     // body of a signed REST call
    size_t max_out_bytes;         // waiting for one socket; a slower reader is cut off
    size_t max_channels;          // per socket
    size_t max_channel_name_bytes;
};

/* Reverb's defaults, and ours where it has none; no id, key and secret. */
extern const struct hub_app hub_app_defaults;

struct hub_apps {
    const struct hub_app *at;
    size_t count;
};

/* NULL: no such app. */
const struct hub_app *hub_app_find_by_key(const struct hub_apps *apps, struct str key);
const struct hub_app *hub_app_find_by_id(const struct hub_apps *apps, struct str id);

#endif
