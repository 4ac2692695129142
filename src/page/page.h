/* page.h -- the HTML pages: the API's JSON, dressed in a language, printed by a template.
 *
 *     GET   loop:  no session and in the cache? -> answered at once (page_cache)
 *                  else api_handle -> decode: what is asked for (struct page_ask)
 *           pool:  read: the rows as JSON -> finish: dress, draw, keep for the cache
 *     POST  loop:  decode the form -> pool: work -> writer: write -> pool: finish:
 *                  303 to the page, or the same page again with what was typed and why it was
 * refused
 *
 * Pages call the same civic functions as the API's endpoints and are rows of the same kind
 * (api_endpoint), so rules, sessions and durability are the same. Everything works without
 * JavaScript; the script only makes it live.
 *
 * One struct page a process: templates (read-only), versions (atomics), a cache for each loop.
 */
#ifndef PAGE_H
#define PAGE_H

#include "api/api.h"
#include "page/page_version.h"

struct page;

/* Parses the embedded templates and sets api->page and api->on_change, before the loops start.
 * loops: their number; a loop's index is below it. ERR_INVALID: a template is wrong or a file is
 * missing, why_out says which. */
MUST_USE enum err page_init(struct api *api, int loops, char *why_out, size_t why_cap);
/* After the loops and the pool ended. */
void page_done(struct api *api);

/* Everything that pages show may have changed, otherwise than by a call of the API or of a page
 * (those tell it themselves, api.on_change). Any thread; ctx is the struct page. */
void page_touch_all(void *ctx);

/* The rows of the pages, for http_server_add with ctx = struct api. */
extern const struct http_route page_routes_table[];
extern const size_t page_routes_count;

/* "/static/{*}": a file; where there is none, a page says so to a browser that shall show one. ctx
 * is the struct api. */
void page_serve_file(struct http_exchange *x, void *ctx);

/* 404 and 405: drawn for browsers, problem+json below /api/. ctx is the struct api. */
void page_unrouted(struct http_exchange *x, int status, void *ctx);

#endif
