/* hub_meter.h -- what a hub counts of an app: plain numbers that only its own loop touches. Whoever
 * wants the sums asks all hubs (hub_meter_read).
 *
 * Fan-out is counted once a publication, not once a subscriber. Bytes are those of WebSocket frames
 * before compression, whatever carries them.
 */
#ifndef HUB_METER_H
#define HUB_METER_H

#include <stdint.h>

#include "core/str.h"
#include "hub/hub_app.h"

struct hub;

enum hub_meter_counter {
    HUB_METER_OPENED,
    HUB_METER_CLOSED,
    HUB_METER_RECEIVED, // messages of clients
    HUB_METER_RECEIVED_BYTES,
    HUB_METER_SENT, // a publication to ten subscribers is ten
    HUB_METER_SENT_BYTES,
    HUB_METER_PUBLISHED,     // events of backends
    HUB_METER_REFUSED_CALLS, // of backends, that would publish: the disk is behind
    HUB_METER_CLIENT_EVENTS, // that were forwarded
    HUB_METER_SUBSCRIBED,    // those that the channel's owner refused then included
    HUB_METER_UNSUBSCRIBED,
    HUB_METER_SLOW_READERS,
    HUB_METER_RATE_LIMITED,
    HUB_METER_RECOVERY_ASKED, // with a position
    HUB_METER_RECOVERED,
    HUB_METER_REPLAYED, // messages that they missed
    HUB_METER_RECOVERY_RESET,
    HUB_METER_RECOVERY_EXPIRED,
    HUB_METER_RECOVERY_AHEAD,
    HUB_METER_RECOVERY_UNAVAILABLE,
    HUB_METER_COUNTERS,
};

/* Counted by the protocol's code. */
enum hub_meter_coded {
    HUB_METER_REFUSED_CONNECTION,
    HUB_METER_REFUSED_SUBSCRIPTION,
    HUB_METER_REFUSED_CLIENT_EVENT,
    HUB_METER_REFUSED_SIGNIN,
    HUB_METER_REFUSED_MESSAGE,
    HUB_METER_ENDED, // connections that we closed
    HUB_METER_CODED,
};
enum { HUB_METER_CODES = 15 };
extern const int hub_meter_codes[HUB_METER_CODES]; // the last, 0, stands for all others

enum { HUB_METER_BUCKETS = 14 };
extern const int64_t hub_meter_bounds_us[HUB_METER_BUCKETS - 1]; // the last bucket has none

/* How long something took. */
struct hub_histogram {
    uint64_t buckets[HUB_METER_BUCKETS]; // each alone: up to its bound, above the one before
    uint64_t sum_us;
};

struct hub_meter {
    uint64_t counts[HUB_METER_COUNTERS];
    uint64_t coded[HUB_METER_CODED][HUB_METER_CODES];
    /* From publishing to the end of the loop's turn in which the last subscriber there was sent it;
     * of each turn the event that waited longest. */
    struct hub_histogram delivery;
};

static inline void hub_meter_add(struct hub_meter *m, enum hub_meter_counter what, uint64_t n)
{
    m->counts[what] += n;
}
void hub_meter_add_code(struct hub_meter *m, enum hub_meter_coded what, int code);
/* A text that is sent to one client. */
void hub_meter_add_text(struct hub_meter *m, size_t text_bytes);
/* Whole frames that are sent to one client. */
void hub_meter_add_frames(struct hub_meter *m, struct str frames);
void hub_meter_observe(struct hub_histogram *h, int64_t us);
/* Adds all of from to to. */
void hub_meter_sum(struct hub_meter *to, const struct hub_meter *from);

/* What all hubs counted since the start, and what they hold. */
struct hub_meter_app {
    const struct hub_app *app; // NULL: connections of apps that do not exist
    struct hub_meter meter;
    uint64_t channels; // that somebody is on, or that keep an event
    uint64_t cached_bytes;
    uint64_t log_bytes;      // of recovery
    uint64_t unsynced_bytes; // of publications that wait for a sync
};
/* on_read runs on the asking hub's loop, later; apps are borrowed for the call. */
typedef void hub_meter_read_fn(void *ctx, const struct hub_meter_app *apps, size_t count);
void hub_meter_read(struct hub *asking, hub_meter_read_fn *on_read, void *ctx);

#endif
