/* hub_internal.h -- what the files of hub share about one hub. */
#ifndef HUB_INTERNAL_H
#define HUB_INTERNAL_H

#include "core/map.h"
#include "hub/hub.h"

struct hub {
    struct io_loop *loop;
    const struct hub_apps *apps;
    struct hub_relay *relay;
    struct map *channels;  // one for each app, by name
    struct map socket_ids; // accepted sockets by id
    struct list sockets;   // all, the refused too, until they are gone
    size_t socket_count;   // in sockets
    struct list turns;     // channels with frames of this turn
    struct io_hook hook;   // sends them

    struct io_timer stop_timer;
    struct list stopping; // sockets that were told to go
    int64_t stop_by_ms;   // all are told until then
    int64_t give_up_ms;   // what is left then is dropped
    void (*on_stopped)(void *ctx);
    void *on_stopped_ctx;
    bool is_stopping;
};

static inline struct map *hub_channels_of(struct hub *h, const struct hub_app *app)
{
    return &h->channels[app - h->apps->at];
}

/* hub_relay.c: before the loops run. */
void hub_relay_join(struct hub_relay *r, struct hub *h);

#endif
