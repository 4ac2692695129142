/* hub_channel.h -- a name and its subscribers. It exists while it has one. For the hub's own files.
 */
#ifndef HUB_CHANNEL_H
#define HUB_CHANNEL_H

#include "hub/hub_internal.h"

struct hub_socket;
struct hub_channel;

/* By the prefixes that Reverb tests; the first that fits. */
enum hub_channel_kind {
    HUB_CHANNEL_PUBLIC,
    HUB_CHANNEL_PRIVATE,  // needs a signature
    HUB_CHANNEL_PRESENCE, // needs a signature and tells who is there
    HUB_CHANNEL_USER,     // "#server-to-user-": for a signed-in user only
};
enum hub_channel_kind hub_channel_kind_of(struct str name);

/* One socket on one channel, in the socket's list. */
struct hub_subscription {
    struct hub_subscription *next;
    struct hub_channel *channel;
    uint32_t index; // in the channel's array
};

/* NULL: nobody is there. */
struct hub_channel *hub_channel_find(struct hub *h, const struct hub_app *app, struct str name);
struct str hub_channel_name(const struct hub_channel *c);
size_t hub_channel_count(const struct hub_channel *c);

/* Adds the socket, which is not on the channel yet, and the channel when it is new. The socket gets
 * what is published from now on. */
struct hub_subscription *hub_channel_join(struct hub *h, struct hub_socket *s, struct str name);
/* Takes the subscription out of its channel, which goes with its last; the caller has unlinked it
 * from the socket's list, and frees it. The socket got what was published before. */
void hub_channel_leave(struct hub_subscription *sub);

/* Queues whole frames for every subscriber but except (may be NULL); they leave at the turn's end.
 */
void hub_channel_publish(struct hub *h, struct hub_channel *c, struct str frames,
                         const struct hub_socket *except);
/* Sends what all channels have queued. */
void hub_channel_flush_all(struct hub *h);

#endif
