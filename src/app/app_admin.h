/* app_admin.h -- the operator's addresses, apart from the public one: DATA/admin.sock, which only
 * the server's own user may open, and, when asked for, a TCP address without login. Served by the
 * first loop. */
#ifndef APP_ADMIN_H
#define APP_ADMIN_H

#include "api/api_admin.h"
#include "app/app_stops.h"
#include "io/io_loop.h"

struct app_admin;
struct page;

/* Opens them: listen may be empty. The caller owns the data directory (its store is open), so a
 * socket that is there is one of a dead server's and is replaced. Errors as io_listener_open. */
MUST_USE enum err app_admin_new(const char *listen, const char *data, struct app_admin **out,
                                char *why_out, size_t why_cap);
/* Serves on the loop, before its thread runs. */
void app_admin_start(struct app_admin *a, struct io_loop *l, const struct api_admin *ctx,
                     const struct page *page);
/* From the operator's thread, when app_admin_start was called and the loop runs: requests finish
 * within drain_ms, then one of stops. */
void app_admin_drain(struct app_admin *a, int64_t drain_ms, struct app_stops *stops);
/* After the loop was freed. Takes NULL. */
void app_admin_free(struct app_admin *a);

#endif
