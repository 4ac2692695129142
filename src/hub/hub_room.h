/* hub_room.h -- what a channel is as a whole, kept by the hub that owns it: how many subscribe on
 * all loops, who is present, which event is cached. For the hub's own files.
 *
 *     note  (join, leave)  ---> hub_room_take ----> counts, roster ---> answer, member events
 *     publication          ---> hub_room_publish -> cache ------------> every hub
 *
 * A room exists while somebody subscribes, a member's leave is held back, or an event is cached.
 * Everything happens on the owner's loop, one thing after the other: that is the channel's order.
 * Places for more: a log of events goes where the cache is, webhooks go where counts and roster
 * change.
 */
#ifndef HUB_ROOM_H
#define HUB_ROOM_H

#include "hub/hub_post.h"
#include "hub/hub_roster.h"

struct hub_room {
    struct list node; // in tenant->room_list
    struct hub_tenant *tenant;
    struct hub_roster *roster; // NULL: not asked for yet
    struct hub_cached *cached; // NULL: nothing
    struct stream *stream;     // held while somebody counts; NULL: none, or none could be had
    uint32_t subscribers;      // over all hubs
    uint32_t recoverable;      // of them, those that count what they get
    uint32_t name_len;
    char name[];
};

/* NULL: there is none, or the hub does not own it. */
struct hub_room *hub_room_find(struct hub_tenant *t, struct str channel);
struct str hub_room_name(const struct hub_room *r);
static inline uint32_t hub_room_subscribers(const struct hub_room *r)
{
    return r->subscribers;
}
/* Members of a presence channel, those who are held back included. */
size_t hub_room_users(const struct hub_room *r);
/* Does anybody subscribe, or is held back? A room may exist for its cached event alone. */
bool hub_room_is_occupied(const struct hub_room *r);
/* The cached event as a whole frame, or empty. */
struct str hub_room_cached(const struct hub_room *r);
/* For how long the event is kept yet. */
int64_t hub_room_cached_ms(const struct hub_room *r);

/* A walk through all rooms, which may come and go meanwhile: rooms that are newer than the walk are
 * left out. Ends at NULL, or by hub_room_walk_end. */
struct hub_room_walk {
    struct list node; // in tenant->walks
    struct hub_tenant *tenant;
    struct list *next; // the room's node to come
};
void hub_room_walk_start(struct hub_room_walk *w, struct hub_tenant *t);
struct hub_room *hub_room_walk_next(struct hub_room_walk *w);
void hub_room_walk_end(struct hub_room_walk *w);

/* Somebody joins or leaves. */
void hub_room_take(struct hub *owner, const struct hub_note *note);
/* The tenant's app is another: what is held back or cached goes no later than it says. So the lists
 * stay in the order in which they are due. */
void hub_room_use_app(struct hub_tenant *t);
/* What is held back happens now: the server stops. */
void hub_room_end_leaves(struct hub *h);
/* An event for the channel. Takes p. */
void hub_room_publish(struct hub *owner, struct hub_publication *p);
/* Sends it to those who are on the channel now. Takes p. */
void hub_room_send(struct hub *owner, struct hub_publication *p);

/* A count of subscribers is due: they get pusher_internal:subscription_count. ctx: the hub. */
void hub_room_tell_count(void *ctx, const struct hub_app *app, const struct hub_hook_event *event);

/* Of hub_tenant's timers and at the end. */
void hub_room_init_tenant(struct hub_tenant *t);
void hub_room_done_tenant(struct hub_tenant *t);

#endif
