/* page_internal.h -- what the files of this module share. */
#ifndef PAGE_INTERNAL_H
#define PAGE_INTERNAL_H

#include "civic/civic.h"
#include "core/map.h"
#include "core/mustache.h"
#include "page/page.h"
#include "page/page_cache.h"
#include "page/page_dress.h"
#include "page/page_json.h"

enum {
    PAGE_MAX_LOOPS = 64,
    PAGE_MAX_BYTES = 8 << 20,    // of one page
    PAGE_CACHE_BYTES = 32 << 20, // of the cached pages of a loop
    PAGE_COMMENTS = 50,          // on a page
    PAGE_PROPOSALS = 20,
    PAGE_NOTIFICATIONS = 30,
};

struct page {
    struct map templates; // name without ".mustache" -> struct mustache
    struct page_version version;
    struct page_cache *caches[PAGE_MAX_LOOPS];
    int cache_count;
    const char *css, *js, *hub_css, *hub_js, *admin_css, *admin_js, *font_latin,
        *font_cyrillic; // names, addresses without the first slash
};

/* A page: how its view is made. */
struct page_kind {
    const char *template;
    /* Adds the rows to ask->view; in a snapshot or transaction. NULL: the page has none. */
    enum err (*load)(struct store_tx *tx, struct api_call *call);
    /* Dresses what load added and says title and description. Runs for refused forms too. */
    void (*dress)(struct api_call *call);
    bool is_admin;   // has the script and the style sheet of the operators' pages
    const char *nav; // which entry of the menu is current: a key of the view's "nav"; NULL: none
};

/* What is asked for; api_call.data of every page. In the arena, but view and form. */
struct page_ask {
    const struct page_kind *kind; // what is drawn
    int64_t id;                   // {id} of the path
    int64_t comment_id;           // that the page shall show, or that is voted on; 0: none
    bool is_comment_found;        // and it exists
    int sort;
    struct str cursor, next_cursor; // at == NULL: none
    struct str path;     // of the page, without query: canonical; for a form: the page it stands on
    struct str back;     // address to come back to after a log-in or a change of language
    struct str location; // where a form leads; empty: to path
    void *input;         // the form's, checked, for work and write
    cJSON *view;         // the root of the view; made by page_draw_ask, freed by finish
    cJSON *form;         // in view: what was typed, and "errors"
    cJSON *data;         // for the script
    struct page_cache_key cache_key; // target.len 0: not for the cache
    struct page_cache *cache;
};

/* What is answered where no route leads. */
extern const struct api_endpoint page_routes_not_found, page_routes_not_allowed,
    page_routes_too_large;

/* Template by name; NULL when absent. */
const struct mustache *page_template(const struct page *page, struct str name);

#endif
