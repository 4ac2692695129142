/* hub_tail.h -- follows what happens in all hubs: JSON lines to an operator, as it happens.
 *
 *     a hub: hub_watch --> tap (bounded) -- end of turn --> home loop: connection
 *                           ^------------- it took them --------'
 *
 * One buffer of lines a hub is under way; what does not fit meanwhile is dropped, and how many is
 * told. So nobody who tails can slow down a hub or take its memory.
 */
#ifndef HUB_TAIL_H
#define HUB_TAIL_H

#include "http/http.h"

struct hub;

/* Empty: any. */
struct hub_tail_filter {
    struct str app;       // its id
    struct str channel;   // a name
    struct str socket_id; // with what is delivered to it, instead of what is published
};

enum { HUB_TAIL_MAX = 8, HUB_TAIL_MAX_FILTER_BYTES = 512 };

/* Answers x with lines until the client goes. False: as many tail as may, or a filter is too long;
 * x is not answered. */
bool hub_tail_serve(struct hub *h, struct http_exchange *x, const struct hub_tail_filter *filter);

#endif
