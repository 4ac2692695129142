/* page_draw.h -- from what was asked for to HTML: the stages that all pages share. */
#ifndef PAGE_DRAW_H
#define PAGE_DRAW_H

#include "civic/civic_rate.h"
#include "page/page_internal.h"

/* The struct page_ask of a call, made by page_draw_ask in decode. */
struct page_ask *page_draw_asked(const struct api_call *call);

/* Begins a page (decode, on the loop): the id of the path, the fields of the response, what is
 * done when the pool is full: a redirection all the same, else 503 and a page that says so. Refuses
 * with 404 "not-found" when the path's {id} is no id. */
MUST_USE enum err page_draw_ask(struct api_call *call, const struct page_kind *kind);

/* Keeps the page for the cache when nobody is logged in; after page_draw_ask. */
void page_draw_cacheable(struct api_call *call, enum page_subject subject, int64_t id);

/* The read stage of a GET: kind->load. */
enum err page_draw_read(struct store_tx *tx, struct api_call *call);
/* The finish stage of a GET: the page, or the page of the problem, or the way to the log-in. */
enum err page_draw_finish(struct api_call *call);
/* The finish stage of a form: 303 to ask->location, or the page again with the problem. */
enum err page_draw_finish_form(struct api_call *call);

/* Counts one use by the person who asks, in a write stage. Refuses with 429 "rate-limited". */
MUST_USE enum err page_draw_limit(struct api_call *call, enum civic_rate_kind kind);

/* For kind->dress. */
struct page_dress page_draw_dress(const struct api_call *call);
/* "TITLE — Viche"; an empty title: the site's own. */
void page_draw_title(struct api_call *call, struct str title, struct str description);
/* The JSON for the script: adds tree under name to viche-data; tree is then the view's. */
void page_draw_data(struct api_call *call, const char *name, cJSON *tree);

/* Remembers what was typed, for when the form is shown again. */
void page_draw_typed(struct api_call *call, const char *name, struct str value);

/* Is a session's cookie absent? Only such readers get pages from the cache. */
bool page_draw_is_anonymous(const struct http_request *req);
enum locale_lang page_draw_lang(const struct http_request *req);

#endif
