/* hub_relay.h -- joins the hubs of this process: what is published on any thread reaches every
 * loop.
 *
 *     publisher (any thread) -- encode the frame once --> the channel's owner --> every hub
 *
 * Each channel is owned by one hub, through which all its events pass, so that all subscribers, on
 * whichever loop, get them in one order. The bytes are shared by all loops and freed by the last. A
 * hub on another machine will be one more receiver behind the same call.
 *
 * Events of different channels have no common order, but for who waits with hub_relay_settle or
 * hub_relay_send_in_order: what was sent before comes before what is sent after it, wherever both
 * arrive.
 */
#ifndef HUB_RELAY_H
#define HUB_RELAY_H

#include "core/str.h"
#include "hub/hub_app.h"

struct hub;
struct hub_relay;

struct hub_relay *hub_relay_new(void);
/* When all loops and publishers have ended, before any loop is freed: what still closes then tells
 * nobody. */
void hub_relay_close(struct hub_relay *r);
/* After the hubs are freed. */
void hub_relay_free(struct hub_relay *r);

/* Sends an event to every subscriber of the channel but except_socket_id (empty: all). event and
 * data are plain text in UTF-8; data is usually JSON text. Any thread; never blocks. */
void hub_relay_publish(struct hub_relay *r, const struct hub_app *app, struct str channel,
                       struct str event, struct str data, struct str except_socket_id);

/* An event whose texts stand as JSON already, to be forwarded byte for byte. */
struct hub_relay_event {
    struct str channel;               // plain
    struct str event_json, data_json; // values with their quotes, checked
    struct str except_socket_id;
    struct str idempotency_key; // the same key on the same channel is delivered once; empty: always
};
/* On from's loop. */
void hub_relay_send(struct hub *from, const struct hub_app *app,
                    const struct hub_relay_event *event);

/* From now on these are the apps; they and those before live as long as the hubs. Sockets of an app
 * that is there no more are closed with 4001, those of a disabled one with 4003; all others stay,
 * and are under the new limits. Any thread, while the loops run. */
void hub_relay_use_apps(struct hub_relay *r, const struct hub_apps *apps);

/* Asks all hubs: visit runs on every hub's loop, with a zeroed part of part_bytes of its own; then
 * on_done on the asking hub's loop, with the parts in the order of the hubs, which it must empty of
 * what they own. visits of one question may run at the same time: ctx is read-only for them. The
 * question takes what the hubs hold at the moment each is asked. It is always answered: when the
 * relay is closed, at once, with the parts of those that were asked and zeroed ones. A visit that
 * returns true has more to do, and runs again after the loop did other work. */
typedef bool hub_relay_visit_fn(struct hub *h, void *part, const void *ctx);
typedef void hub_relay_done_fn(void *const *parts, size_t count, void *ctx);
void hub_relay_ask(struct hub *asking, size_t part_bytes, hub_relay_visit_fn *visit,
                   hub_relay_done_fn *on_done, void *ctx);

/* on_done, with no parts, when the owners of the channels have passed on what from's loop sent
 * there before: at once when from is their only owner, else later, on from's loop. */
void hub_relay_settle(struct hub *from, const struct hub_app *app, const struct str *channels,
                      size_t count, hub_relay_done_fn *on_done, void *ctx);
/* Sends the events so that who gets several of them gets them in their order, and settles. They
 * stand until on_done. On from's loop. */
void hub_relay_send_in_order(struct hub *from, const struct hub_app *app,
                             const struct hub_relay_event *events, size_t count,
                             hub_relay_done_fn *on_done, void *ctx);

#endif
