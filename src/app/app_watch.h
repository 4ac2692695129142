/* app_watch.h -- the thread that watches the queues for the operators' pages: a sample for the
 * charts every 10 seconds, and word on API_QUEUES_CHANNEL, at most once a second, that something
 * was committed.
 *
 * Pages answer the word by asking anew. When nobody has for half a minute, nobody is there to be
 * told, until a page is drawn again.
 */
#ifndef APP_WATCH_H
#define APP_WATCH_H

#include "api/api.h"
#include "hub/hub_relay.h"

struct app_watch;

/* All borrowed. */
struct app_watch *app_watch_new(struct store *store, struct api_queues *queues,
                                struct hub_relay *relay, const struct hub_app *app);
MUST_USE enum err app_watch_start(struct app_watch *w);
/* Something was committed. Any thread; cheap. */
void app_watch_note(struct app_watch *w);
/* Before the store closes and the relay is freed. Again is harmless. Takes NULL. */
void app_watch_stop(struct app_watch *w);
void app_watch_free(struct app_watch *w);

#endif
