/* hub_catchup.h -- a subscriber that counts what it gets, on its own loop. For the hub's own files.
 *
 *     ASKED --- answer ---> BEHIND <--- reads too slowly ---+
 *       |                     | a page at a time            |
 *       +----- answer ------> LIVE -------------------------+
 *
 * LIVE: it gets the channel's frames as everybody does, the same bytes. BEHIND: it gets pages of
 * the owner's log, as its queue empties, and what is not counted (members, client events) at once.
 * The page that reaches the head and all that was published later come from the owner in that
 * order, so it goes live between the two. What is gone from the log is never skipped: the socket is
 * closed with 4200, and its client comes back and is told.
 */
#ifndef HUB_CATCHUP_H
#define HUB_CATCHUP_H

#include "hub/hub_post.h"
#include "hub/hub_socket.h"

/* Of one channel on one loop. */
struct hub_counters {
    struct list live;           // struct hub_catchup; all are where the channel is:
    uint64_t stream_id, serial; // its last counted frame
    struct list behind;
};

struct hub_catchup {
    struct list node; // in the channel's counters; in none while it is asked
    struct list more; // in hub->catching_up
    struct hub_socket *socket;
    struct hub_subscription *sub;
    uint64_t stream_id, serial; // where it is, while behind
    bool is_told;               // the position, since it is live,
    uint64_t told_serial;       // which was this one then
};

/* It gets what the channel sends, and counts. */
static inline bool hub_catchup_is_live(const struct hub_subscription *sub)
{
    return sub->catchup && sub->index != HUB_CHANNEL_PENDING && !list_is_empty(&sub->catchup->node);
}
/* The client was told that it is subscribed, and misses something yet. */
static inline bool hub_catchup_is_behind(const struct hub_subscription *sub)
{
    return sub->catchup && sub->index == HUB_CHANNEL_PENDING && !list_is_empty(&sub->catchup->node);
}

/* The subscription counts from now on, and waits for the owner's answer. */
void hub_catchup_ask(struct hub_socket *s, struct hub_subscription *sub);
/* It counts no more. */
void hub_catchup_end(struct hub_subscription *sub);
/* What the owner sent. Its frames are sent already, those of the page are not. */
void hub_catchup_take(struct hub_subscription *sub, const struct hub_page *page);

/* A live one could not take what came after serial. */
void hub_catchup_fall_behind(struct hub_subscription *sub, uint64_t stream_id, uint64_t serial);
/* Everybody live is told where the channel is; all has been sent. */
void hub_catchup_tell_channel(struct hub_channel *c);
/* The socket is told where its channels are, those that moved since it was told. */
void hub_catchup_tell_socket(struct hub_socket *s);
/* A frame that is not counted, for those who are behind. */
void hub_catchup_pass(struct hub_channel *c, struct str frame, const struct hub_socket *except);
/* The frame that stands for an excluded one. */
MUST_USE enum err hub_catchup_skip(struct hub_subscription *sub, uint64_t serial);

void hub_catchup_init_hub(struct hub *h);

#endif
