/* hub_user.h -- signing in (pusher:signin), and what follows from it: events to one user, and
 * watchlists. For the hub's own files.
 *
 *     pusher:signin -> signature -> the socket has a user -> it may subscribe #server-to-user-ID
 *                                      |
 *                                      +-> the user's watch (at its owner): online, offline
 *
 * A user is watched at the hub that owns its name, over all loops: the first socket that signs in
 * makes it online, the last that goes makes it offline, and every watcher is told.
 */
#ifndef HUB_USER_H
#define HUB_USER_H

#include "hub/hub_identity.h"
#include "hub/hub_message.h"
#include "hub/hub_socket.h"

enum { HUB_USER_MAX_WATCHED = 100 };

/* Who a socket signed in as. */
struct hub_user {
    struct hub_identity identity;
    struct str id;
    struct str channel_data; // what it is on a presence channel that was not told otherwise
    size_t watched_count;
    struct str *watched; // ids; all in the same piece of memory
};

/* pusher:signin. */
void hub_user_sign_in(struct hub_socket *s, const struct hub_message *m, struct arena *a);
/* The socket goes. */
void hub_user_leave(struct hub_socket *s);
/* Is it signed in as the user of this "#server-to-user-ID"? */
bool hub_user_owns_channel(const struct hub_socket *s, struct str channel);

/* The channel_data of a signed-in user, for a presence channel whose signature brought none; empty
 * when it is not signed in. */
struct str hub_user_channel_data(const struct hub_socket *s);

/* Of a tenant's end: frees its watches. */
void hub_user_done_tenant(struct hub_tenant *t);

#endif
