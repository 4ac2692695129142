/* post_loop.h -- a thread that makes posts, all at once (curl's multi interface), and watches
 * descriptors of its owner's beside them.
 *
 *     wake, or its time --> turn --> begin --> ... --> on_posted
 */
#ifndef POST_LOOP_H
#define POST_LOOP_H

#include "post/post.h"

struct post_loop;

struct post_loop_options {
    const char *name; // of the thread
    /* On the thread, before it sleeps: what has come in, what is due. Returns for how long it may
     * sleep, in milliseconds. */
    int64_t (*turn)(void *ctx);
    /* On the thread: its transfer is over; post_loop_end is the owner's to call. */
    void (*on_posted)(void *ctx, struct post *p, CURLcode result);
    void *ctx;
    int max_idle_connections;
};

/* Starts the thread. NULL: the system refuses (logged). */
struct post_loop *post_loop_new(const struct post_loop_options *options);
/* Has the turn called soon. Any thread. */
void post_loop_wake(struct post_loop *l);
/* Ends the thread: no turn comes any more, whatever is under way. */
void post_loop_stop(struct post_loop *l);
/* After the stop. Nothing is begun or watched any more. */
void post_loop_free(struct post_loop *l);

/* ---- on the thread ---- */
MUST_USE enum err post_loop_begin(struct post_loop *l, struct post *p);
void post_loop_end(struct post_loop *l, struct post *p);

/* A descriptor of the owner's, embedded in whatever it belongs to. */
struct post_watch {
    int fd;
    void (*on_ready)(struct post_watch *w); // level-triggered; also at the other side's end
};
/* ERR_IO: the system refuses (logged). */
MUST_USE enum err post_loop_watch(struct post_loop *l, struct post_watch *w, bool for_write);
/* Before the descriptor is closed. */
void post_loop_unwatch(struct post_loop *l, struct post_watch *w);

#endif
