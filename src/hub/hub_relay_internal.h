/* hub_relay_internal.h -- the hubs of a process. For the hub's own files. */
#ifndef HUB_RELAY_INTERNAL_H
#define HUB_RELAY_INTERNAL_H

#include "hub/hub_relay.h"

enum { HUB_RELAY_MAX_HUBS = 256 };

/* Read-only once the loops run. */
struct hub_relay {
    struct hub *hubs[HUB_RELAY_MAX_HUBS];
    size_t hub_count;
    bool is_closed; // the loops have stopped: nothing is posted any more
    struct hub_admissions *admissions;
};

#endif
