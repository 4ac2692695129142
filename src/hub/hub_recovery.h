/* hub_recovery.h -- the log of what was published on the channels that a hub owns, and what a
 * client missed of it. For the hub's own files.
 *
 *     publication --> hub_recovery_publish --> stream: numbered, kept --+
 *                                                                       | on the disk, where wanted
 *     turn's end  --> hub_recovery_flush <-----------------------------+--> every hub
 *
 * A channel has a stream while somebody on it counts, and for its ttl afterwards; or always when
 * the app's configuration names it. A joiner's base is what may be seen of the stream; what waits
 * for the disk it gets with everybody else. See docs/recovery.md for what clients see of it.
 */
#ifndef HUB_RECOVERY_H
#define HUB_RECOVERY_H

#include "hub/hub_room.h"

/* Numbers the publication when its channel has a stream. True: p is taken, and goes out when the
 * disk has it; false: it may go out now. */
bool hub_recovery_publish(struct hub *owner, struct hub_publication *p);
/* Of the app's publications that wait for a sync, over all hubs. Any thread. */
size_t hub_recovery_unsynced_bytes(const struct hub_relay *r, const struct hub_app *app);
/* Sends what the disk has by now: at the end of every turn, before channels are flushed. */
void hub_recovery_flush(struct hub *owner);

/* Somebody joins the room, or leaves it; the note says whether it counts, or did. */
void hub_recovery_join(struct hub_room *r, const struct hub_note *note);
void hub_recovery_leave(struct hub_room *r, const struct hub_note *note);

/* What a joiner that counts is told, and what it missed. After hub_recovery_join. */
struct hub_recovered {
    bool is_whole;   // nothing is missing from its position on
    struct buf json; // for "recovery" in its answer
    struct hub_page page;
    struct buf frames; // of the page
};
void hub_recovery_answer(struct hub_room *r, const struct hub_note *note,
                         struct hub_recovered *out);
void hub_recovery_answer_done(struct hub_recovered *out);
/* The next page for somebody who is behind. */
void hub_recovery_more(struct hub *owner, const struct hub_note *note);

void hub_recovery_init_hub(struct hub *h);
void hub_recovery_done_hub(struct hub *h);

#endif
