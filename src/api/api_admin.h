/* api_admin.h -- for whoever runs the server: metrics, what the hubs hold, what they refuse, what
 * happens in them. Its routes are never on the public address: there is no login. */
#ifndef API_ADMIN_H
#define API_ADMIN_H

#include "api/api_metrics.h"
#include "http/http.h"

struct hub;
struct io_pool;
struct queue_census;
struct store;

/* The ctx of the routes; borrowed. */
struct api_admin {
    struct hub *hub;      // of the loop that serves them
    struct io_pool *pool; // reads the store
    struct store *store;
    struct queue_census *census;
    int loops;
    /* On a pool thread: of a module that we do not know. */
    void (*read_webhooks)(void *ctx, struct api_metrics_webhooks *out);
    void *webhooks;
};

/* For other routes on the same addresses. False: it was refused, x is answered. */
bool api_admin_begin(struct http_exchange *x);
/* A parameter of the query; an absent one is empty. */
bool api_admin_param(struct http_exchange *x, const char *name, struct str *out);
/* The parameter "limit", for hub_inspect. */
bool api_admin_limit(struct http_exchange *x, size_t *out);

extern const struct http_route api_admin_routes[];
extern const size_t api_admin_route_count;

#endif
