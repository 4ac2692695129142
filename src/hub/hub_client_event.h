/* hub_client_event.h -- events of clients for clients ("whispers"). For the hub's own files. */
#ifndef HUB_CLIENT_EVENT_H
#define HUB_CLIENT_EVENT_H

#include "hub/hub_message.h"
#include "hub/hub_socket.h"

/* Any message that is not the protocol's own. Names without client- are nobody's and ignored. */
void hub_client_event(struct hub_socket *s, const struct hub_message *m, struct arena *a);

#endif
