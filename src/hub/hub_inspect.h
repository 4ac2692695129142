/* hub_inspect.h -- what all hubs hold right now, as JSON for an operator: channels, connections,
 * the last refusals. */
#ifndef HUB_INSPECT_H
#define HUB_INSPECT_H

#include "core/str.h"

struct hub;

enum hub_inspect_what {
    HUB_INSPECT_CHANNELS,    // the fullest first
    HUB_INSPECT_CONNECTIONS, // the newest first
    HUB_INSPECT_REFUSALS,    // the newest first; of the last HUB_WATCH_KEPT of each hub
    HUB_INSPECT_CONNECTION,  // the one of socket_id, with its channels
    HUB_INSPECT_FRAMES,      // the last messages to and from socket_id, the newest first
};

enum { HUB_INSPECT_MAX_ROWS = 1000 };

struct hub_inspect_query {
    enum hub_inspect_what what;
    struct str app;       // its id; empty: all
    struct str channel;   // empty: all; of channels: what the name begins with, else who is on it
    struct str socket_id; // of one connection, frames; of refusals: empty for all
    size_t limit;         // rows; at most HUB_INSPECT_MAX_ROWS
};

/* on_done runs on the asking hub's loop, later, with {"total":N,"rows":[...]}, where N counts the
 * rows past the limit too; of HUB_INSPECT_CONNECTION with the row, or empty when there is no such
 * connection. The strings of query are borrowed until then. Each hub's loop stands still while it
 * goes through all its connections or channels in one turn. */
typedef void hub_inspect_done_fn(void *ctx, struct str json);
void hub_inspect(struct hub *asking, const struct hub_inspect_query *query,
                 hub_inspect_done_fn *on_done, void *ctx);

#endif
