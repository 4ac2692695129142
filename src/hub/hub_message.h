/* hub_message.h -- protocol events to and from JSON. */
#ifndef HUB_MESSAGE_H
#define HUB_MESSAGE_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/json.h"
#include "core/str.h"

/* ---- from a client ---- */
struct hub_message {
    struct str event;
    const struct json_slice *channel; // NULL: absent
    const struct json_slice *data;    // NULL: absent; a string that holds JSON was opened
    struct json_slice opened;         // private: what data points to then
    struct json_field fields[JSON_MAX_FIELDS];
    size_t field_count;
};

/* Splits a client's message; slices are borrowed from text and a. ERR_INVALID: not a JSON object
 * with a string "event". */
MUST_USE enum err hub_message_parse(struct str text, struct arena *a, struct hub_message *out);

/* What a pusher:subscribe or pusher:unsubscribe says. */
struct hub_message_subscribe {
    /* Of a client that recovers what it missed (docs/recovery.md). */
    bool has_recover;           // it wants to count what it gets
    bool has_position;          // and what came after this position
    uint64_t stream_id, serial; // the position
    struct str old_socket_id;   // who it was then; may be empty
    struct str channel;
    struct str auth;         // empty when absent
    struct str channel_data; // empty when absent
};
/* Reads the data of such a message. ERR_INVALID: no channel, or a field of the wrong type. */
MUST_USE enum err hub_message_parse_subscribe(const struct hub_message *m, struct arena *a,
                                              struct hub_message_subscribe *out);

/* Who a channel_data says the subscriber is. */
struct hub_message_user {
    struct str key;       // user_id as text; empty: it has none
    struct str id_json;   // as it stands: 7 or "7"
    struct str info_json; // "{}" when there is none
};
/* ERR_INVALID: user_id is neither string nor number, or is empty. */
MUST_USE enum err hub_message_parse_user(struct str channel_data, struct arena *a,
                                         struct hub_message_user *out);

/* ---- to a client: the JSON text, appended; never fails, as out must hold what it is given ---- */
void hub_message_established(struct buf *out, struct str socket_id, int64_t activity_timeout_s);
void hub_message_error(struct buf *out, int code, struct str message);
void hub_message_subscribed(struct buf *out, struct str channel);
void hub_message_subscription_error(struct buf *out, struct str channel, struct str type,
                                    struct str error, int status);
/* user_data_json: the JSON string as the client sent it. */
void hub_message_signed_in(struct buf *out, struct str user_data_json);
/* A user of the watchlist is "online" or "offline" now. */
void hub_message_watchlist(struct buf *out, const char *what, struct str user_id);
extern const struct str hub_message_ping, hub_message_pong;

/* ---- the same as whole WebSocket text frames ---- */
/* Room for one or two frames that hold so many bytes of content, all of which may be escaped. */
void hub_message_init(struct buf *out, size_t content_bytes);

/* An event for subscribers. event_json and data_json are JSON values and go in byte for byte. */
void hub_message_event_frame(struct buf *out, struct str event_json, struct str data_json,
                             struct str channel);
/* The same for an event of a client; user_id_json may be empty. */
void hub_message_client_event_frame(struct buf *out, struct str event_json, struct str data_json,
                                    struct str channel, struct str user_id_json);
/* An event of the protocol's own, whose data is sent as a string. */
void hub_message_internal_frame(struct buf *out, const char *event, struct str data,
                                struct str channel);
/* To one who counts: a message that it is excluded from; where the channel is. */
void hub_message_skip_frame(struct buf *out, struct str channel, uint64_t serial);
void hub_message_position_frame(struct buf *out, struct str channel, uint64_t stream_id,
                                uint64_t serial);
void hub_message_cache_miss_frame(struct buf *out, struct str channel);
void hub_message_subscription_error_frame(struct buf *out, struct str channel, struct str type,
                                          struct str error, int status);

#endif
