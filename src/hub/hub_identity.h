/* hub_identity.h -- whose sockets this hub has, by user_id. For the hub's own files.
 *
 * A socket is a user's by what was signed for it: the channel_data of a subscription, or a sign-in.
 * Each such reason is an identity; a socket may have several, of several users.
 */
#ifndef HUB_IDENTITY_H
#define HUB_IDENTITY_H

#include "hub/hub_internal.h"

struct hub_socket;
struct hub_person;

struct hub_identity {
    struct list node; // in the person's
    struct hub_person *person;
    struct hub_socket *socket;
};

/* The identity is the caller's, and stays where it is until hub_identity_remove. key: user_id as
 * text.
 */
void hub_identity_add(struct hub_identity *identity, struct hub_socket *s, struct str key);
void hub_identity_remove(struct hub_identity *identity);

/* Closes every socket of that user here. */
void hub_identity_close(struct hub_tenant *t, struct str key, int code, struct str why);

#endif
