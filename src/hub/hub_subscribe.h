/* hub_subscribe.h -- a socket's way onto a channel and off it. For the hub's own files.
 *
 *     pusher:subscribe -> may it? -> pending -> note to the owner -> answer -> active
 *
 * An ordinary channel needs no word of its owner: the socket is active at once, and the owner
 * counts it. Where there is something to tell (who is present, what is cached), the owner's answer
 * says it, and the socket is active from the moment of that answer: it gets each later event and
 * none twice.
 */
#ifndef HUB_SUBSCRIBE_H
#define HUB_SUBSCRIBE_H

#include "hub/hub_message.h"
#include "hub/hub_post.h"
#include "hub/hub_socket.h"

/* pusher:subscribe and pusher:unsubscribe. */
void hub_subscribe(struct hub_socket *s, const struct hub_message *m, struct arena *a);
void hub_subscribe_cancel(struct hub_socket *s, const struct hub_message *m, struct arena *a);
void hub_subscribe_leave_all(struct hub_socket *s);

/* The owner's answer came; the socket may be gone, or on the channel anew. */
void hub_subscribe_answered(struct hub *h, const struct hub_answer *answer);

#endif
