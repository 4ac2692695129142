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

    /* Publishes the newest value, at most twice a second and channel; the last value always goes
     * out. data_json replaces what waits under the same event and key. key empty: the event is one
     * value. key not empty (comment.voted: a comment's id): the event lists values, of which
     * data_json holds one; what waits in a channel may go out together, by civic_announce_join. */
    void (*counter)(void *ctx, struct str channel, struct str event, struct str key,
                    struct str data_json);

    void *ctx;
};

/* Makes one comment.voted of several of the same proposal: appends {"proposal_id":7,"items":[...]}
 * with the items of all. ERR_INVALID: not such data; ERR_TOO_LARGE: out is full. */
MUST_USE enum err civic_announce_join(const struct str *datas, size_t count, struct buf *out);

#endif
