/* queue_share.h -- which processes run the jobs of a queue, by a lock of the store with its name.
 *
 *     JOINING -- nobody is alone --> SHARED <-- a while without others / somebody wishes to join
 * --> ALONE
 *
 * A claim in memory tells other processes nothing, so it needs that there are none: who is alone
 * holds the lock exclusively, everybody else shares it. So no two processes can both believe to be
 * alone, whichever dies when: the kernel keeps the locks. Who wants to join shares a second lock,
 * the wish; who is alone sees it, claims by row what it has in hand, and shares. Who has wished in
 * vain for a lease claims by rows without the lock: the other hangs, and what it has in hand is
 * refused.
 *
 * Each has a number, by which rows say who claimed them, and holds the lock with that number for
 * life: whoever gets hold of it knows that its claims are a dead one's.
 */
#ifndef QUEUE_SHARE_H
#define QUEUE_SHARE_H

#include <stdbool.h>

#include "store/store.h"

enum queue_share_mode { QUEUE_SHARE_JOINING, QUEUE_SHARE_SHARED, QUEUE_SHARE_ALONE };

struct queue_share {
    struct store_lock *lock, *wish, *life;
    int64_t id; // above 0; no living one's but ours
    enum queue_share_mode mode;
};

/* JOINING at first. ERR_IO. */
MUST_USE enum err queue_share_open(struct queue_share *s, struct store *store, struct str name);
void queue_share_close(struct queue_share *s);
/* True: ALONE now. */
bool queue_share_take(struct queue_share *s);
/* From ALONE: SHARED now. */
void queue_share_give(struct queue_share *s);
/* From JOINING: true: SHARED now; false: somebody is alone, and knows the wish. */
bool queue_share_join(struct queue_share *s);
/* From any mode to JOINING, without a wish: this process runs no jobs. */
void queue_share_leave(struct queue_share *s);
/* Somebody wishes to join. */
bool queue_share_is_wished(struct queue_share *s);
/* Others run jobs of the queue, too. */
bool queue_share_has_others(struct queue_share *s);
/* Nobody who is open has this number. */
bool queue_share_is_dead(struct store *store, int64_t id);

#endif
