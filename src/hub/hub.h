/* hub.h -- the Pusher protocol: apps, sockets, channels. Start reading here.
 *
 * One hub belongs to one loop and its thread; the hubs of a process are joined by a relay. A
 * browser's page, running stock pusher-js, opens GET /app/{key}, subscribes to channels, and gets
 * what backends publish there, through the signed REST calls (api_hub) or from inside
 * (hub_relay_publish).
 *
 *     hub_app       keys and limits of an application (read-only)
 *     hub_socket    one client: its id, subscriptions, liveness; over a hub_transport (hub_ws)
 *     hub_subscribe its way onto a channel and off it
 *     hub_channel   a name and its subscribers on this loop; exists while it has one
 *     hub_room      a channel as a whole, at its owner: counts, members, the cached event
 *     hub_identity  whose sockets there are
 *     hub_recovery  at the owner: the log of what was published, and what a client missed of it
 *     hub_catchup   a subscriber that counts: behind, then live
 *     hub_post      what hubs tell each other
 *     hub_auth      signatures of subscriptions and REST calls
 *     hub_message   protocol events to and from JSON
 *     hub_relay     publishing and asking, from outside
 *     hub_hook      what apps are told by webhooks
 *     hub_backend   what REST calls ask: channels, members, connections
 *
 * The way of an event: it is encoded once, as a whole WebSocket frame, by whoever publishes; it
 * goes to the channel's owner, and from there the counted bytes to every loop; each hub appends
 * them to the channel's bytes of this turn, and at the end of the turn every subscriber gets all of
 * them with one send. The cost of fan-out is the kernel's, per TCP segment, so a busy channel is
 * many times cheaper gathered than frame by frame; a single event waits for nothing but the end of
 * the turn.
 *
 * Order: all subscribers of a channel get its frames in one order, that of its owner. Whoever
 * subscribes gets what is published afterwards; whoever unsubscribes got what was published before.
 *
 * Trust: a client is bounded in message size, waiting bytes, channels and their names; a refused
 * subscription leaves nothing behind; rubbish costs an error frame, a broken frame costs that
 * connection.
 */
#ifndef HUB_H
#define HUB_H

#include "http/http.h"
#include "hub/hub_app.h"
#include "hub/hub_hook.h"
#include "hub/hub_relay.h"
#include "io/io_loop.h"
#include "io/io_pool.h"
#include "stream/stream_log.h"

struct hub;

/* A hub on l, joined to the relay; apps and relay are borrowed. Before the loops run. */
struct hub *hub_new(struct io_loop *l, const struct hub_apps *apps, struct hub_relay *relay,
                    bool may_compress);
/* Channels that this hub owns are logged there (stream_store_log of the same index), so that
 * clients can recover what they missed. pool: for syncs, or NULL. Before the loops run. */
void hub_use_log(struct hub *h, struct stream_log *log, struct io_pool *pool);
/* After the loops ended, before that pool is freed. */
void hub_end_log(struct hub *h);
/* Which log has a channel: stream_store_options.log_of. Any thread. */
size_t hub_log_of(struct str app_id, struct str channel, size_t log_count);

/* After its loop was freed, which closes what sockets are left. */
void hub_free(struct hub *h);

/* Bodies of webhooks go there, from the hub's loop; without it there are none. Before the loops
 * run. */
void hub_send_webhooks(struct hub *h, const struct hub_hook_sink *sink);
/* After all hubs have stopped: what is gathered or held back goes to the sink now. */
void hub_flush_webhooks(struct hub *h);

const struct hub_apps *hub_apps_of(const struct hub *h);
struct hub_relay *hub_relay_of(const struct hub *h);
/* Have the loops ended? What is asked of the hubs then is answered without them. */
bool hub_is_over(const struct hub *h);

/* Answers GET /app/{key} and serves the socket from then on. The exchange is gone afterwards. An
 * unknown key gets the error 4001 and is closed. */
void hub_accept(struct hub *h, struct http_exchange *x, struct str key);

/* Pusher's rule for names of channels: letters, digits and _ - = @ , . ; */
bool hub_is_plain_channel(struct str name);

/* Open sockets. */
size_t hub_socket_count(const struct hub *h);

/* Refuses new sockets and closes the open ones with 4200 (clients come back at once, elsewhere),
 * spread evenly over spread_ms; on_stopped runs when all are gone, 5 s after that at the latest.
 * Once. */
void hub_stop(struct hub *h, int64_t spread_ms, void (*on_stopped)(void *ctx), void *ctx);

#endif
