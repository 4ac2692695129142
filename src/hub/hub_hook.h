/* hub_hook.h -- Pusher's webhooks, as far as the hub goes: which events an app wants to be told,
 * gathered into bodies. Whoever posts them takes the bodies from a sink. For one loop.
 *
 *     hub_hook_add --> hub_hold (3 s, 5 s) --> each webhook that wants it --> its batch --> sink
 *
 * channel_vacated and member_removed wait 3 s: who is back by then was never away, and nothing is
 * told. subscription_count of a channel with over 100 is told every 5 s at most, the newest then.
 *
 * A batch is open for one tick of the loop's timer (50 to 100 ms), or until it has
 * HUB_HOOK_MAX_EVENTS or no room. What is in an open batch or held back is only in memory: a crash
 * loses it. An event too large for a body is dropped, and the log says how many were.
 */
#ifndef HUB_HOOK_H
#define HUB_HOOK_H

#include "core/str.h"
#include "hub/hub_app.h"
#include "io/io_loop.h"

enum hub_hook_kind {
    HUB_HOOK_CHANNEL_OCCUPIED,
    HUB_HOOK_CHANNEL_VACATED,
    HUB_HOOK_MEMBER_ADDED,
    HUB_HOOK_MEMBER_REMOVED,
    HUB_HOOK_CLIENT_EVENT,
    HUB_HOOK_CACHE_MISS,
    HUB_HOOK_SUBSCRIPTION_COUNT,
    HUB_HOOK_KINDS
};

/* As the protocol names it: "channel_occupied". */
extern const char *const hub_hook_names[HUB_HOOK_KINDS];

/* One webhook of an app: where, and which events. */
struct hub_webhook {
    struct str url;
    unsigned kinds;                    // bits: 1 << enum hub_hook_kind
    struct str starts_with, ends_with; // of channel names; empty: all
    const struct str *headers;         // "Name: value", sent too
    size_t header_count;
};

/* What happened; the kind says which fields are told. */
struct hub_hook_event {
    enum hub_hook_kind kind;
    struct str channel;
    struct str user_id;                     // of members; of a client event: empty when unknown
    struct str event, data_json, socket_id; // of a client event
    uint64_t count;                         // of subscriptions
};

struct hub_hook;

enum { HUB_HOOK_MAX_EVENTS = 100, HUB_HOOK_MAX_BODY_BYTES = 60 * 1024 };

/* Takes what is to be posted; strings are borrowed for the call. On the loop's thread: must not
 * block. */
struct hub_hook_sink {
    void (*send)(void *ctx, const struct hub_app *app, const struct hub_webhook *webhook,
                 struct str body);
    void *ctx;
};

struct hub_hook *hub_hook_new(struct io_loop *l, const struct hub_hook_sink *sink);
/* What was not flushed is dropped. */
void hub_hook_free(struct hub_hook *h);

/* h may be NULL: nobody takes them. An app without webhooks costs nothing. */
void hub_hook_put(struct hub_hook *h, const struct hub_app *app,
                  const struct hub_hook_event *event);
static inline void hub_hook_add(struct hub_hook *h, const struct hub_app *app,
                                const struct hub_hook_event *event)
{
    if (h && app->webhook_count > 0)
        hub_hook_put(h, app, event);
}

/* At the end: what is held back is told at once, and all batches go to the sink. */
void hub_hook_flush(struct hub_hook *h);

#endif
