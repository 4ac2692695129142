/* hub_watch.h -- what an operator sees of a hub: refusals and closes in the log, the last refusals,
 * and all that happens for whoever tails (hub_tail). For the hub's own files.
 *
 *     hub_watch(event) --> counts by code, log, ring of the last refusals --> taps
 *
 * When nobody tails, what is published costs one branch here.
 */
#ifndef HUB_WATCH_H
#define HUB_WATCH_H

#include "hub/hub_internal.h"

struct hub_channel;
struct hub_publication;
struct hub_socket;

enum hub_watch_kind {
    HUB_WATCH_OPENED,
    HUB_WATCH_ENDED, // by us, with a code
    HUB_WATCH_CLOSED,
    HUB_WATCH_SUBSCRIBED,
    HUB_WATCH_UNSUBSCRIBED,
    HUB_WATCH_PUBLISHED, // at the channel's owner
    HUB_WATCH_CLIENT_EVENT,
    HUB_WATCH_MEMBER_EVENT,
    HUB_WATCH_DELIVERED, // to one socket
    HUB_WATCH_REFUSED,   // a connection
    HUB_WATCH_REFUSED_SUBSCRIPTION,
    HUB_WATCH_REFUSED_CLIENT_EVENT,
    HUB_WATCH_REFUSED_SIGNIN,
    HUB_WATCH_REFUSED_MESSAGE, // one too many, or rubbish
    HUB_WATCH_KINDS,
};

/* What happened; what does not apply is empty. */
struct hub_watch_event {
    enum hub_watch_kind kind;
    const struct hub_app *app; // NULL: it does not exist
    struct str key;            // that it was asked for by then
    struct str socket_id, channel;
    struct str event_json; // its name with quotes
    const char *address;   // of the client; NULL: not told
    int code;              // of the protocol; 0: none
    struct str why;
    size_t bytes;
    size_t subscribers;
};

enum { HUB_WATCH_KEPT = 100, HUB_WATCH_SHOWN_BYTES = 200, HUB_WATCH_MAX_LINE_BYTES = 8 * 1024 };

/* A refusal that is kept, as one JSON object. */
struct hub_watch_row {
    int64_t at_ms;                 // of clock_unix_ms
    const struct hub_app *app;     // NULL: it does not exist
    struct str socket_id, channel; // behind the text
    size_t len;
    char text[];
};

struct hub_watch {
    struct hub *hub;
    struct list taps, tails;                    // of hub_tail.c
    struct hub_watch_row *kept[HUB_WATCH_KEPT]; // the oldest is overwritten
    size_t kept_count;                          // since the start
    int64_t log_second;                         // lines of info are bounded in each
    unsigned logged, suppressed;
};

struct hub_watch *hub_watch_new(struct hub *h);
/* After all loops were freed. */
void hub_watch_free(struct hub_watch *w);

static inline bool hub_watch_is_tapped(const struct hub *h)
{
    return !list_is_empty(&h->watch->taps);
}

/* Counts, logs, keeps and tells, as the kind says. */
void hub_watch(struct hub *h, const struct hub_watch_event *e);
/* The same of a socket; fields of the event that concern it are filled in. */
void hub_watch_socket(const struct hub_socket *s, struct hub_watch_event e);
/* Only for taps. */
void hub_watch_note(const struct hub_socket *s, enum hub_watch_kind kind, struct str channel);

/* Only when tapped: an event for a channel, at its owner; and on its way to sockets here. */
void hub_watch_published(struct hub *h, const struct hub_publication *p, size_t subscribers);
void hub_watch_delivered(struct hub *h, const struct hub_publication *p,
                         const struct hub_channel *c, const struct hub_socket *except);

/* At most HUB_WATCH_SHOWN_BYTES of the text, ending at a character: what clients say may be long.
 */
struct str hub_watch_shorten(struct str s);
/* Appends the event as a JSON object. out has room for HUB_WATCH_MAX_LINE_BYTES. */
void hub_watch_write(struct buf *out, const struct hub_watch_event *e, int64_t at_ms);

#endif
