/* hub_channel.h -- a name and its subscribers. It exists while it has one. For the hub's own files.
 */
#ifndef HUB_CHANNEL_H
#define HUB_CHANNEL_H

#include "hub/hub_identity.h"
#include "hub/hub_internal.h"

struct hub_catchup;
struct hub_counters;
struct hub_publication;
struct hub_socket;
struct hub_channel;

/* What a channel's name makes of it. */
struct hub_channel_type {
    bool is_guarded;  // needs a signature
    bool is_presence; // tells who is there
    bool is_cache;    // keeps its last event
    bool is_user;     // "#server-to-user-": for a signed-in user only
};
/* Reverb tests prefixes without their dash, so "cachefoo" is a cache channel; strict, with Pusher's
 * dash, it is an ordinary one. */
struct hub_channel_type hub_channel_type_of(struct str name, bool is_strict);

/* Who subscribed, by the channel_data that was signed. */
struct hub_subscriber {
    struct hub_identity identity;
    bool is_member;          // of a presence channel: its owner counts it
    struct str key, id_json; // as hub_message_user
    char bytes[];
};

/* One socket on one channel, in the socket's list. */
struct hub_subscription {
    struct hub_subscription *next;
    struct hub_channel *channel;
    struct hub_subscriber *subscriber; // NULL: nobody in particular
    struct hub_catchup *catchup;       // NULL: it does not count what it gets
    uint32_t index;                    // in the channel's array; HUB_CHANNEL_PENDING
    uint32_t ticket;                   // the socket's number for it
    bool is_waiting;                   // for the owner's answer
    uint32_t since;                    // serial of hub_frames.h: it gets what came later
};
/* The owner has not answered yet, or it is behind: nothing is sent to it. */
#define HUB_CHANNEL_PENDING UINT32_MAX

/* NULL: nobody is there. */
struct hub_channel *hub_channel_find(const struct hub_tenant *t, struct str name);
struct str hub_channel_name(const struct hub_channel *c);
size_t hub_channel_count(const struct hub_channel *c);

/* Adds the socket, which is not on the channel yet, and the channel when it is new. The
 * subscription is pending: it gets nothing until hub_channel_activate. */
struct hub_subscription *hub_channel_join(struct hub_socket *s, struct str name);
/* The socket gets what is published from now on; if it did already, it got all that was published
 * before. */
void hub_channel_activate(struct hub_socket *s, struct hub_subscription *sub);
/* Nothing more is sent to it until it is activated again. */
void hub_channel_deactivate(struct hub_subscription *sub);
/* Takes the socket's subscription out of its channel, which goes with its last; the caller has
 * unlinked it from the socket's list, and frees it. The socket got what was published before. */
void hub_channel_leave(struct hub_socket *s, struct hub_subscription *sub);

/* Queues the publication's frame for every subscriber but except (may be NULL); it leaves at the
 * turn's end. */
void hub_channel_publish(struct hub *h, struct hub_channel *c, const struct hub_publication *p,
                         const struct hub_socket *except);
/* Sends what the channel has queued. */
void hub_channel_flush(struct hub_channel *c);
/* Those on the channel that count; NULL: nobody does. */
struct hub_counters *hub_channel_counters(const struct hub_channel *c);
/* The same, made when there is none. */
struct hub_counters *hub_channel_get_counters(struct hub_channel *c);
/* Sends what all channels have queued. */
void hub_channel_flush_all(struct hub *h);

#endif
