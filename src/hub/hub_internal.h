/* hub_internal.h -- what the files of hub share about one hub. */
#ifndef HUB_INTERNAL_H
#define HUB_INTERNAL_H

#include "core/map.h"
#include "hub/hub.h"
#include "hub/hub_hold.h"
#include "hub/hub_hook.h"
#include "hub/hub_idempotency.h"
#include "hub/hub_meter.h"

/* What one hub holds of one app. */
struct hub_tenant {
    struct hub *hub;
    const struct hub_app *app; // the newest configuration; a reload replaces it
    struct map channels;       // struct hub_channel by name: this hub's subscribers
    struct map rooms;          // struct hub_room by name: the channels that this hub owns
    struct map watches;        // of hub_user.c: the users whose names this hub owns
    struct map people;         // of hub_identity.c: whose sockets this hub has, by user_id
    size_t subscribed;         // sockets with a subscription
    struct hub_meter meter;
    struct list late;       // in hub->late, when something was published to it in this turn
    int64_t oldest_made_ns; // of that

    /* of hub_room.c */
    struct list room_list; // the same rooms, newest first
    struct list walks;     // struct hub_room_walk, through that list
    struct hub_idempotency idempotency;
    struct io_timer idempotency_timer;
    struct list leaving; // members that are held back, first due first
    struct io_timer leave_timer;
    struct list cached; // rooms with a cached event, first due first
    size_t cached_bytes;
    struct io_timer cache_timer;
};

enum { HUB_RANDOM_COUNT = 64 };

struct hub {
    struct io_loop *loop;
    const struct hub_apps *apps;
    struct hub_relay *relay;
    struct hub_hook *webhooks;   // NULL: nobody takes them
    struct hub_hold counts;      // subscription_count events to subscribers, not too often
    bool may_compress;           // agree to permessage-deflate
    size_t index;                // in the relay
    struct hub_tenant **tenants; // by hub_app.slot
    size_t tenant_count;
    struct map socket_ids;             // accepted sockets by id
    uint32_t random[HUB_RANDOM_COUNT]; // for ids to come: the system is asked for many at once
    int random_left;
    struct list sockets;  // all, the refused too, until they are gone
    size_t socket_count;  // in sockets
    struct map sessions;  // of hub_xhr.c: sockets over HTTP, by name
    struct list carriers; // of hub_xhr.c: answers that carry them
    struct list gaps;     // of hub_xhr.c: sessions without one, the longest first
    size_t gap_count;
    struct list turns;    // channels with frames of this turn
    struct io_hook hook;  // sends them
    struct list listings; // of hub_backend.c: lists of all channels that were asked for here
    struct list late;     // tenants of whose publications it is observed then how long they waited
    struct hub_meter meter; // of what belongs to no app
    struct hub_watch *watch;
    struct hub_frames *frames; // the last messages, for the operator

    /* of hub_recovery.c */
    struct stream_log *log; // of the channels that this hub owns; NULL: none
    struct list unwritten;  // publications that wait for the end of the turn
    struct list unsynced;   // publications that wait for the disk
    uint64_t shown;         // stream_log_shown when they were looked at
    struct io_timer log_timer;
    /* of hub_catchup.c */
    struct list catching_up; // subscriptions that are behind, and wait to read more
    struct io_timer catchup_timer;

    struct io_timer stop_timer;
    struct list stopping; // sockets that were told to go
    int64_t stop_by_ms;   // all are told until then
    int64_t give_up_ms;   // what is left then is dropped
    void (*on_stopped)(void *ctx);
    void *on_stopped_ctx;
    bool is_stopping;
};

static inline struct hub_tenant *hub_tenant_of(struct hub *h, const struct hub_app *app)
{
    return h->tenants[app->slot];
}

struct hub_refusal;
/* May a client with that Origin and that ?protocol= connect to the app (NULL: unknown)? Without the
 * counts of hub_admission. */
struct hub_refusal hub_check_app(const struct hub *h, const struct hub_app *app,
                                 struct http_exchange *x);

/* Of a change of apps: first all hubs add what is new, then all use it. */
void hub_add_tenants(struct hub *h, const struct hub_apps *apps);
void hub_use_apps(struct hub *h, const struct hub_apps *apps);

/* hub_relay.c: before the loops run. Sets h->index. */
void hub_relay_join(struct hub_relay *r, struct hub *h);

#endif
