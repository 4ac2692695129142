/* page_cache.h -- pages of readers without a session, ready to send. One per loop, on its thread.
 *
 *     request -> page_cache_serve -- fresh --------------------------> http_reply_ready
 *                                 '- absent, changed, old -> the page is drawn on the pool
 *     pool:  page_cache_fill_new (compresses) -> io_loop_post -> page_cache keeps it
 *
 * Fresh: the version (page_version.h) is the one it was drawn with, and it is at most
 * PAGE_CACHE_MAX_AGE_MS old, because it says "5 minutes ago". While an old but unchanged page is
 * drawn anew the others still get the old one. Bounded by bytes; the page not used for the longest
 * goes first.
 */
#ifndef PAGE_CACHE_H
#define PAGE_CACHE_H

#include "core/locale.h"
#include "http/http.h"

enum {
    PAGE_CACHE_MAX_AGE_MS = 5000,
    PAGE_CACHE_MAX_STALE_MS = 10000,
    PAGE_CACHE_MAX_TARGET_BYTES = 512
};

struct page_cache;

struct page_cache_key {
    enum locale_lang lang;
    struct str target; // path and query as sent
    uint64_t version;  // page_version_now before the read
};

/* max_bytes: of all pages with their keys. */
struct page_cache *page_cache_new(size_t max_bytes);
void page_cache_free(struct page_cache *c);

/* The fresh page of that key, used just now; NULL: it must be drawn. Lives until the loop's turn
 * ends. */
struct page_cache_page;
struct page_cache_page *page_cache_find(struct page_cache *c, const struct page_cache_key *key);

/* Answers x when the page is fresh, with 304 when the client has it. false: the caller must answer.
 */
bool page_cache_serve(struct page_cache *c, struct http_exchange *x,
                      const struct page_cache_key *key);

/* A drawn page on its way to a cache. Made on any thread: copies html and key, compresses. */
struct page_cache_fill;
struct page_cache_fill *page_cache_fill_new(struct page_cache *c, const struct page_cache_key *key,
                                            struct str html);
/* The compressed page; borrowed until page_cache_fill_post. */
struct str page_cache_fill_gzip(const struct page_cache_fill *f);
/* Hands it over to the cache, which lives on loop l; any thread. */
void page_cache_fill_post(struct page_cache_fill *f, struct io_loop *l);

/* html as gzip, appended to out. ERR_TOO_LARGE. */
MUST_USE enum err page_cache_gzip(struct str html, struct buf *out);

/* Number and bytes of the pages kept. */
size_t page_cache_count(const struct page_cache *c);
size_t page_cache_bytes(const struct page_cache *c);

/* The response fields of every HTML page: policy of content, referrer, caching. */
enum { PAGE_CACHE_FIELDS = 4 };
extern const struct http_field page_cache_fields[PAGE_CACHE_FIELDS];
/* Adds them to the reply, but what is said of caching. */
void page_cache_add_policy(struct http_exchange *x);

#endif
