/* hub_relay_internal.h -- the hubs of a process. For the hub's own files. */
#ifndef HUB_RELAY_INTERNAL_H
#define HUB_RELAY_INTERNAL_H

#include <stdatomic.h>

#include "hub/hub_relay.h"

enum { HUB_RELAY_MAX_HUBS = 256 };

/* Read-only once the loops run, but for what is atomic. */
struct hub_relay {
    struct hub *hubs[HUB_RELAY_MAX_HUBS];
    size_t hub_count;
    bool is_closed; // the loops have stopped: nothing is posted any more
    struct hub_admissions *admissions;
    /* Of publications that wait for a sync of the disk, over all hubs; by the app's slot. */
    atomic_size_t unsynced_bytes[HUB_APP_MAX_SLOTS];
};

#endif
