/* page_cache.c -- a map from language and target to ready responses, in order of last use. */
#include "page/page_cache.h"

#include <stdio.h>
#include <zlib.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/list.h"
#include "core/map.h"
#include "core/mem.h"

enum { GZIP_LEVEL = 5, GZIP_WINDOW = 15 + 16, HEAD_BYTES = 1280, MAX_PAGE_BYTES = 8 << 20 };

// X-Content-Type-Options is on every response of the server.
#define FIELD(n, v)                                                                                \
    {                                                                                              \
        {n, sizeof(n) - 1},                                                                        \
        {                                                                                          \
            v, sizeof(v) - 1                                                                       \
        }                                                                                          \
    }
// clang-format off
const struct http_field page_cache_fields[PAGE_CACHE_FIELDS] = {
    FIELD("Content-Security-Policy",
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
          "connect-src 'self' ws: wss:; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; "
          "base-uri 'none'"),
    FIELD("Referrer-Policy", "same-origin"),
    FIELD("Cache-Control", "private, no-cache"),
    FIELD("Vary", "Cookie, Accept-Language, Accept-Encoding"),
};
// clang-format on

void page_cache_add_policy(struct http_exchange *x)
{
    for (size_t i = 0; i < PAGE_CACHE_FIELDS; i++)
        if (!str_eq(page_cache_fields[i].name, STR("Cache-Control")))
            http_reply_field(x, page_cache_fields[i].name, page_cache_fields[i].value);
}

enum coding { IDENTITY, GZIP, CODING_COUNT };

struct response {
    char *head;
    size_t head_len;
    uint8_t *body;
    size_t body_len;
};

struct page_cache_page {
    struct list use; // oldest use first
    struct str key;  // owned
    uint64_t version;
    int64_t made_at_ms;    // when it was drawn
    int64_t drawing_at_ms; // when somebody was last sent to draw it anew
    size_t bytes;
    char etag[2 * 8 + 1]; // hex, without quotes
    struct response responses[CODING_COUNT];
    struct response not_modified[CODING_COUNT]; // heads only
};

struct page_cache {
    struct map entries;
    struct list uses;
    size_t bytes, max_bytes;
};

struct page_cache_fill {
    struct io_task task;
    struct page_cache *cache;
    struct page_cache_page *page;
};

static void response_done(struct response *r)
{
    mem_free(r->head);
    mem_free(r->body);
}

static void entry_free(struct page_cache_page *e)
{
    for (int i = 0; i < CODING_COUNT; i++) {
        response_done(&e->responses[i]);
        response_done(&e->not_modified[i]);
    }
    char *key;
    memcpy(&key, &e->key.at, sizeof key);
    mem_free(key);
    mem_free(e);
}

struct page_cache *page_cache_new(size_t max_bytes)
{
    struct page_cache *c = MEM_NEW(struct page_cache);
    map_init(&c->entries);
    list_init(&c->uses);
    c->max_bytes = max_bytes;
    return c;
}

static void drop(struct page_cache *c, struct page_cache_page *e)
{
    map_remove(&c->entries, e->key);
    list_remove(&e->use);
    c->bytes -= e->bytes;
    entry_free(e);
}

void page_cache_free(struct page_cache *c)
{
    if (!c)
        return;
    while (!list_is_empty(&c->uses))
        drop(c, LIST_ENTRY(c->uses.next, struct page_cache_page, use));
    map_done(&c->entries);
    mem_free(c);
}

/* "0/proposals/7?sort=new": the language's number, then the target. NULL when it is too long. */
static struct str write_key(const struct page_cache_key *key,
                            char out[static PAGE_CACHE_MAX_TARGET_BYTES + 1])
{
    if (key->target.len > PAGE_CACHE_MAX_TARGET_BYTES)
        return (struct str){0};
    out[0] = (char)('0' + key->lang);
    if (key->target.len)
        memcpy(out + 1, key->target.at, key->target.len);
    return (struct str){out, key->target.len + 1};
}

/* The page may be sent: unchanged, and young, or somebody is drawing it anew. Says so once for
 * each age, so that one request goes to draw it. */
static bool is_fresh(struct page_cache_page *e, uint64_t version)
{
    int64_t now_ms = clock_mono_ms(), age_ms = now_ms - e->made_at_ms;
    if (e->version != version || age_ms > PAGE_CACHE_MAX_STALE_MS)
        return false;
    if (age_ms <= PAGE_CACHE_MAX_AGE_MS || e->drawing_at_ms)
        return true;
    e->drawing_at_ms = now_ms;
    return false;
}

static bool has_etag(const struct http_request *req, const char *etag)
{
    struct str sent = http_field_get(req, STR("If-None-Match"));
    return sent.len && memmem(sent.at, sent.len, etag, strlen(etag)) != NULL;
}

struct page_cache_page *page_cache_find(struct page_cache *c, const struct page_cache_key *key)
{
    char bytes[PAGE_CACHE_MAX_TARGET_BYTES + 1];
    struct str name = write_key(key, bytes);
    struct page_cache_page *e = name.len ? map_find(&c->entries, name) : NULL;
    if (!e || !is_fresh(e, key->version))
        return NULL;
    list_remove(&e->use);
    list_append(&c->uses, &e->use);
    return e;
}

bool page_cache_serve(struct page_cache *c, struct http_exchange *x,
                      const struct page_cache_key *key)
{
    const struct page_cache_page *e = page_cache_find(c, key);
    if (!e)
        return false;
    enum coding coding = http_accepts_coding(&x->req, STR("gzip")) ? GZIP : IDENTITY;
    const struct response *r =
        has_etag(&x->req, e->etag) ? &e->not_modified[coding] : &e->responses[coding];
    http_reply_ready(x, (struct str){r->head, r->head_len},
                     (struct str){(const char *)r->body, r->body_len});
    return true;
}

static void append(struct response *r, struct str s)
{
    CHECK(r->head_len + s.len <= HEAD_BYTES);
    memcpy(r->head + r->head_len, s.at, s.len);
    r->head_len += s.len;
}

static void append_field(struct response *r, struct str name, struct str value)
{
    append(r, name);
    append(r, STR(": "));
    append(r, value);
    append(r, STR("\r\n"));
}

static void write_head(struct response *r, int status, const struct page_cache_page *e,
                       enum coding coding)
{
    char text[64];
    r->head = mem_zalloc(HEAD_BYTES);
    snprintf(text, sizeof text, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    append(r, str_of(text));
    if (status == 200) {
        snprintf(text, sizeof text, "%zu", r->body_len);
        append_field(r, STR("Content-Type"), STR("text/html; charset=utf-8"));
        append_field(r, STR("Content-Length"), str_of(text));
        if (coding == GZIP)
            append_field(r, STR("Content-Encoding"), STR("gzip"));
    }
    snprintf(text, sizeof text, "\"%s%s\"", e->etag, coding == GZIP ? "-gz" : "");
    append_field(r, STR("ETag"), str_of(text));
    for (size_t i = 0; i < PAGE_CACHE_FIELDS; i++)
        append_field(r, page_cache_fields[i].name, page_cache_fields[i].value);
}

static void write_identity(struct response *r, struct str html)
{
    r->body = mem_zalloc(html.len + 1);
    memcpy(r->body, html.at, html.len);
    r->body_len = html.len;
}

static void write_gzip(struct response *r, struct str html)
{
    z_stream z = {0};
    CHECK(deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    size_t cap = deflateBound(&z, html.len);
    r->body = mem_zalloc(cap);
    memcpy(&z.next_in, &html.at, sizeof html.at); // zlib's pointer is not const, but only read
    z.avail_in = (uInt)html.len;
    z.next_out = r->body;
    z.avail_out = (uInt)cap;
    CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    r->body_len = z.total_out;
    deflateEnd(&z);
    r->body = mem_realloc(r->body, r->body_len);
}

static void write_etag(struct page_cache_page *e, struct str html)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_sha256(html, digest);
    crypto_hex(digest, sizeof e->etag / 2, e->etag);
}

struct page_cache_fill *page_cache_fill_new(struct page_cache *c, const struct page_cache_key *key,
                                            struct str html)
{
    char bytes[PAGE_CACHE_MAX_TARGET_BYTES + 1];
    struct str name = write_key(key, bytes);
    if (!name.len || html.len > MAX_PAGE_BYTES)
        return NULL;
    struct page_cache_page *e = MEM_NEW(struct page_cache_page);
    list_init(&e->use);
    e->key = (struct str){str_dup(name), name.len};
    e->version = key->version;
    e->made_at_ms = clock_mono_ms();
    write_etag(e, html);
    write_identity(&e->responses[IDENTITY], html);
    write_gzip(&e->responses[GZIP], html);
    e->bytes = sizeof *e + name.len + 4 * (size_t)HEAD_BYTES;
    for (enum coding i = IDENTITY; i < CODING_COUNT; i++) {
        write_head(&e->responses[i], 200, e, i);
        write_head(&e->not_modified[i], 304, e, i);
        e->bytes += e->responses[i].body_len;
    }
    struct page_cache_fill *f = MEM_NEW(struct page_cache_fill);
    f->cache = c;
    f->page = e;
    return f;
}

struct str page_cache_fill_gzip(const struct page_cache_fill *f)
{
    const struct response *r = &f->page->responses[GZIP];
    return (struct str){(const char *)r->body, r->body_len};
}

enum err page_cache_gzip(struct str html, struct buf *out)
{
    struct response r = {0};
    write_gzip(&r, html);
    enum err err = buf_append(out, r.body, r.body_len);
    response_done(&r);
    return err;
}

static void keep(struct io_task *task)
{
    struct page_cache_fill *f = (struct page_cache_fill *)(void *)task;
    struct page_cache *c = f->cache;
    struct page_cache_page *old = map_find(&c->entries, f->page->key);
    if (old)
        drop(c, old);
    map_put(&c->entries, f->page->key, f->page);
    list_append(&c->uses, &f->page->use);
    c->bytes += f->page->bytes;
    while (c->bytes > c->max_bytes)
        drop(c, LIST_ENTRY(c->uses.next, struct page_cache_page, use));
    mem_free(f);
}

void page_cache_fill_post(struct page_cache_fill *f, struct io_loop *l)
{
    if (!f)
        return;
    f->task.run = keep;
    io_loop_post(l, &f->task);
}

size_t page_cache_count(const struct page_cache *c)
{
    return c->entries.count;
}

size_t page_cache_bytes(const struct page_cache *c)
{
    return c->bytes;
}
