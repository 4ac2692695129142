/* hub_hold.h -- holds webhook events back that the next moment may take back or outdate. For the
 * hub's own files, one loop.
 *
 *     vacated, removed     wait LEAVE_MS; occupied, added within it: neither is told
 *     subscription_count   of over MANY: the first at once, then the newest every COUNT_MS
 *
 * Bounded: when it is full, an event is told at once instead.
 */
#ifndef HUB_HOLD_H
#define HUB_HOLD_H

#include "core/map.h"
#include "hub/hub_hook.h"

enum {
    HUB_HOLD_LEAVE_MS = 3000,
    HUB_HOLD_COUNT_MS = 5000,
    HUB_HOLD_MANY = 100,
    HUB_HOLD_MAX = 100000,
};

typedef void hub_hold_tell_fn(void *ctx, const struct hub_app *app,
                              const struct hub_hook_event *event);

struct hub_hold {
    struct io_loop *loop;
    hub_hold_tell_fn *tell;
    void *ctx;
    struct map items;           // struct item, by app, sort, channel and user
    struct list leaves, counts; // struct item, first due first
    struct io_timer timer;
};

void hub_hold_init(struct hub_hold *h, struct io_loop *l, hub_hold_tell_fn *tell, void *ctx);
void hub_hold_done(struct hub_hold *h);
/* Tells it, now or later, or cancels what is held. */
void hub_hold_add(struct hub_hold *h, const struct hub_app *app,
                  const struct hub_hook_event *event);
/* Tells all that is held, now. */
void hub_hold_flush(struct hub_hold *h);

#endif
