/* page_hub.h -- GET /hub: what the hubs think of their connections, for the operator who asks why
 * nothing arrives. Drawn from the answers of hub_inspect, as `viche hub` and the JSON beside it.
 *
 * It names people, addresses and messages, and a process with the role hub alone knows no people
 * who could log in. So it is only on the operator's addresses (app_admin.h), where whoever gets in
 * may see all of it.
 */
#ifndef PAGE_HUB_H
#define PAGE_HUB_H

#include "api/api_admin.h"

struct page;

/* The ctx of the routes; borrowed. */
struct page_hub {
    const struct api_admin *admin;
    const struct page *page;
};

extern const struct http_route page_hub_routes[];
extern const size_t page_hub_route_count;

#endif
