/* hub_tail_internal.h -- how hub_watch tells those who tail. */
#ifndef HUB_TAIL_INTERNAL_H
#define HUB_TAIL_INTERNAL_H

#include "hub/hub_tail.h"
#include "hub/hub_watch.h"

void hub_tail_tell(struct hub_watch *w, const struct hub_watch_event *e);
/* To those who follow a socket that gets it. */
void hub_tail_tell_delivered(struct hub_watch *w, struct hub_watch_event *e,
                             const struct hub_channel *c, const struct hub_socket *except);
/* After all loops were freed: nothing of a tail is under way. */
void hub_tail_done(struct hub_watch *w);

#endif
