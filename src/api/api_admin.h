/* api_admin.h -- for whoever runs the server: metrics, what the hubs hold, what they refuse, what
 * happens in them. Its routes are never on the public address: there is no login. */
#ifndef API_ADMIN_H
#define API_ADMIN_H

#include "http/http.h"

struct hub;
struct io_pool;
struct queue;

/* The ctx of the routes; borrowed. */
struct api_admin {
    struct hub *hub;      // of the loop that serves them
    struct io_pool *pool; // reads the store
    struct queue *queue;
    int loops;
};

extern const struct http_route api_admin_routes[];
extern const size_t api_admin_route_count;

#endif
