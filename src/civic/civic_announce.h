/* civic_announce.h -- how the product tells the world: implemented over the hub by the one who
 * wires.
 *
 * Called on worker threads after the commit, perhaps by several at once.
 */
#ifndef CIVIC_ANNOUNCE_H
#define CIVIC_ANNOUNCE_H

#include "core/buf.h"
#include "core/str.h"

struct civic_announcer {
    /* Publishes at once. data_json: the event's data. */
    void (*event)(void *ctx, struct str channel, struct str event, struct str data_json);

    /* Publishes the newest value, at most twice a second and channel; the last value always
     * goes out. key empty: data_json is the event's data, and replaces what waits. key not empty
     * (comment.voted: a comment's id): data_json is one item, replaces the waiting item of that
     * key, and the waiting items of channel and event go out together in one event, whose data
     * civic_announce_join makes. */
    void (*counter)(void *ctx, struct str channel, struct str event, struct str key,
                    struct str data_json);

    void *ctx;
};

/* Appends {"proposal_id":7,"items":[item,...]}; the id is the number at the end of the channel's
 * name. ERR_TOO_LARGE: out is full. */
MUST_USE enum err civic_announce_join(struct str channel, const struct str *items, size_t count,
                                      struct buf *out);

#endif
