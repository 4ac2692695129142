/* app_bridge.h -- carries what civic announces to the hubs, and holds counters back.
 *
 * civic knows no hub and the hub knows no civic; they meet here. Events pass at once, in order.
 * Counters (signature counts, votes, tallies) of one channel pass at most once in
 * APP_BRIDGE_WINDOW_MS: the first at once, then the newest of each event in turn (items with a key
 * joined into one), so that the last value always arrives and a storm of votes costs two frames a
 * second per reader.
 *
 *     worker: event   -> relay (every loop's hub)
 *     worker: counter -> post -> first loop: channel waits? keep the newest : relay, start the
 * window
 */
#ifndef APP_BRIDGE_H
#define APP_BRIDGE_H

#include "civic/civic_announce.h"
#include "hub/hub_relay.h"
#include "io/io_loop.h"

/* A little over half a second: never three frames of a channel within a second, whatever the timer
 * does. */
enum { APP_BRIDGE_WINDOW_MS = 520 };

struct app_bridge;

/* The loop holds the counters back; relay and app are borrowed. */
struct app_bridge *app_bridge_new(struct io_loop *loop, struct hub_relay *relay,
                                  const struct hub_app *app);
/* After the loop ended. What waits is dropped: its sockets are gone. */
void app_bridge_free(struct app_bridge *b);

/* What civic calls, from any thread; valid as long as the bridge. */
const struct civic_announcer *app_bridge_announcer(const struct app_bridge *b);

#endif
