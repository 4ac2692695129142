/* load_pool.h -- many subscribers that are opened, read and dropped together. */
#ifndef LOAD_POOL_H
#define LOAD_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load.h"
#include "load_ws.h"

enum { LOAD_POOL_NAME_BYTES = 64, LOAD_POOL_SPARE_FDS = 100 };

struct load_pool {
    struct load_ws_target target;
    struct load_ws *sockets;
    char (*names)[LOAD_POOL_NAME_BYTES]; // of their channels; NULL: all are on the target's
    size_t ready;
    int epoll;
    load_ws_event_fn *on_event;
    void *ctx;
};

/* --port, --key, --channel; --own-channels 1 gives each a channel of its own, "CHANNEL-NUMBER";
 * --secret signs their subscriptions when --signed is 1. --tls-port: there, under TLS, and --port
 * is for others; --deflate 1 offers permessage-deflate. Room for most subscribers. Events are
 * ignored until the caller sets on_event. */
void load_pool_init(struct load_pool *p, const struct load_args *args, size_t most);
/* Opens so many, a few at a time, until all have subscribed. None is open. */
void load_pool_open(struct load_pool *p, size_t count);
/* Reads what has come; how many sockets had something. */
int load_pool_read(struct load_pool *p, int wait_ms);
/* Drops the first count: each TCP connection ends with a reset, as when its client lost power and
 * came back. */
void load_pool_drop(struct load_pool *p, size_t count);

#endif
