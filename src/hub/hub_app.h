/* hub_app.h -- the applications of the Pusher protocol: keys, limits, switches. Read-only once they
 * are handed to a hub, and shared by all loops. A reload makes a new set beside the old one, whose
 * memory stays until the end: reloads are rare, and nobody must count who still reads it. */
#ifndef HUB_APP_H
#define HUB_APP_H

#include "core/str.h"
#include "stream/stream.h"

/* Slots: as many different apps as a process sees in its life. */
enum { HUB_APP_MAX_KEY_BYTES = 128, HUB_APP_MAX_SLOTS = 4096 };

/* Who may send client events. The words are Reverb's: "all", "members"; anything else: nobody. */
enum hub_client_events { HUB_CLIENT_EVENTS_MEMBERS, HUB_CLIENT_EVENTS_ALL, HUB_CLIENT_EVENTS_NONE };

struct hub_webhook;

struct hub_app {
    struct str id;     // of the REST paths
    struct str key;    // public; at most HUB_APP_MAX_KEY_BYTES
    struct str secret; // signs; never logged
    size_t slot;       // the app's place in every hub; a reload gives an id its old one again
    bool is_disabled;  // 4003
    bool is_strict;    // Pusher's rules for names and numbers instead of Reverb's permissive ones

    /* liveness */
    int64_t activity_timeout_s; // told to clients: ping us after so long without a message
    int64_t ping_interval_s;    // we ping a socket that was silent for so long

    /* admission */
    const struct str *allowed_origins; // patterns of hosts, '*' matches anything
    size_t allowed_origin_count;       // 0: any origin
    int64_t max_connections;           // 0: no limit
    int64_t max_connections_per_address;
    bool requires_authorized; // a socket must sign in, or subscribe where that needs a signature,
    int64_t authorized_timeout_s; // within so long

    /* messages of a client; 0: no limit */
    size_t max_message_bytes;
    struct {
        int64_t max_attempts; // 0: no limit
        int64_t decay_s;
        bool terminates; // ends the connection
    } rate;              // Reverb's rate_limiting: all messages
    enum hub_client_events client_events;
    int64_t max_client_events_per_s;
    size_t max_client_event_name_bytes, max_client_event_payload_bytes;

    /* channels; 0: no limit */
    size_t max_channels; // per socket
    size_t max_channel_name_bytes;
    int64_t max_presence_members;
    size_t max_presence_member_bytes;
    int64_t presence_leave_delay_ms; // a member who is back within it was never away
    int64_t cache_ttl_s;
    bool has_subscription_count; // pusher_internal:subscription_count to subscribers

    /* signed REST calls; 0: no limit */
    int64_t max_timestamp_skew_s; // 0: the time is not checked
    size_t max_request_bytes;     // of the body
    size_t max_event_name_bytes, max_event_payload_bytes;
    int64_t max_event_channels, max_batch_items;

    /* recovery of what a client missed */
    struct {
        bool is_off;
        struct stream_limits limits; // of each channel
        const struct str *channels;  // kept before anybody asks; a '*' at the end fits any rest
        size_t channel_count;
    } recovery;

    const struct hub_webhook *webhooks;
    size_t webhook_count;

    size_t max_out_bytes; // waiting for one socket; a slower reader is cut off
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
