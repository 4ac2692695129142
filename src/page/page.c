/* page.c -- the struct page: templates from the binary, addresses of the client's files, caches. */
#include "page/page_internal.h"

#include <stdio.h>

#include "core/mem.h"
#include "core/mustache.h"
#include "http/http_static.h"

#define FOLDER "templates/"
#define SUFFIX ".mustache"

static enum err parse_template(struct page *page, const struct http_static_file *file,
                               const char **why_out)
{
    size_t folder = sizeof FOLDER - 1, suffix = sizeof SUFFIX - 1;
    struct mustache *m;
    enum err err = mustache_parse((struct str){(const char *)file->bytes, file->len}, &m, why_out);
    if (err)
        return err;
    struct str name = {file->name + folder, strlen(file->name) - folder - suffix};
    mustache_free(map_put(&page->templates, name, m));
    return OK;
}

static enum err parse_templates(struct page *page, char *why_out, size_t why_cap)
{
    for (size_t i = 0; i < http_static_count; i++) {
        const struct http_static_file *file = &http_static_files[i];
        const char *why = NULL;
        if (strncmp(file->name, FOLDER, sizeof FOLDER - 1) != 0)
            continue;
        enum err err = parse_template(page, file, &why);
        if (err) {
            snprintf(why_out, why_cap, "%s: %s", file->name, why);
            return err;
        }
    }
    return OK;
}

static enum err find_assets(struct page *page, char *why_out, size_t why_cap)
{
    const struct {
        const char *logical, **name;
    } assets[] = {
        {"static/app.css", &page->css},
        {"static/app.js", &page->js},
        {"static/hub.css", &page->hub_css},
        {"static/hub.js", &page->hub_js},
        {"static/admin.css", &page->admin_css},
        {"static/admin.js", &page->admin_js},
        {"static/fonts/literata-latin-600.woff2", &page->font_latin},
        {"static/fonts/literata-cyrillic-600.woff2", &page->font_cyrillic},
    };
    for (size_t i = 0; i < sizeof assets / sizeof assets[0]; i++) {
        const struct http_static_file *file = http_static_find_logical(str_of(assets[i].logical));
        if (!file) {
            snprintf(why_out, why_cap, "%s is not in this binary", assets[i].logical);
            return ERR_INVALID;
        }
        *assets[i].name = file->name;
    }
    return OK;
}

const struct mustache *page_template(const struct page *page, struct str name)
{
    return map_find(&page->templates, name);
}

static void free_page(struct page *page)
{
    size_t cursor = 0;
    for (struct map_entry *e; (e = map_next(&page->templates, &cursor));)
        mustache_free(e->value);
    map_done(&page->templates);
    for (int i = 0; i < page->cache_count; i++)
        page_cache_free(page->caches[i]);
    mem_free(page);
}

static void on_change(struct page *page, struct api_change change)
{
    switch (change.subject) {
    case API_EVERYTHING:
        page_version_touch_all(&page->version);
        break;
    case API_NOTHING:
        break;
    case API_PROPOSAL:
        page_version_touch(&page->version, PAGE_PROPOSAL, change.id);
        break;
    case API_VOTING:
        page_version_touch(&page->version, PAGE_VOTING, change.id);
        break;
    }
}

enum err page_init(struct api *api, int loops, char *why_out, size_t why_cap)
{
    struct page *page = MEM_NEW(struct page);
    map_init(&page->templates);
    enum err err = parse_templates(page, why_out, why_cap);
    if (!err)
        err = find_assets(page, why_out, why_cap);
    if (err) {
        free_page(page);
        return err;
    }
    page->cache_count = loops < PAGE_MAX_LOOPS ? loops : PAGE_MAX_LOOPS;
    for (int i = 0; i < page->cache_count; i++)
        page->caches[i] = page_cache_new(PAGE_CACHE_BYTES);
    api->page = page;
    api->on_change = on_change;
    return OK;
}

void page_done(struct api *api)
{
    if (api->page)
        free_page(api->page);
    api->page = NULL;
}

void page_touch_all(void *ctx)
{
    struct page *page = ctx;
    page_version_touch_all(&page->version);
}

/* A navigation names it first; what a page loads does not name it at all. */
static bool wants_page(const struct http_request *req)
{
    struct str accept = http_field_get(req, STR("Accept"));
    return accept.len > 0 && memmem(accept.at, accept.len, "text/html", 9) != NULL;
}

static const struct http_route not_found = {.extra = &page_routes_not_found};

void page_serve_file(struct http_exchange *x, void *ctx)
{
    struct str name = arena_printf(&x->arena, "static/%.*s", STR_ARG(x->params[0]));
    if (http_static_find(name) || !wants_page(&x->req)) {
        http_static_serve(x, NULL);
        return;
    }
    x->route = &not_found;
    api_handle(x, ctx);
}

void page_unrouted(struct http_exchange *x, int status, void *ctx)
{
    static const struct http_route not_allowed = {.extra = &page_routes_not_allowed};
    static const struct http_route too_large = {.extra = &page_routes_too_large};
    const struct str programs[] = {STR("/api/"), STR("/apps/"), STR("/broadcasting/"),
                                   STR("/app/")};
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        if (str_starts(x->req.path, programs[i])) {
            api_unrouted(x, status, ctx);
            return;
        }
    }
    switch (status) {
    case 404:
        x->route = &not_found;
        break;
    case 405:
        x->route = &not_allowed;
        break;
    case 413:
        x->route = &too_large;
        break;
    default: // what no browser sends
        api_unrouted(x, status, ctx);
        return;
    }
    api_handle(x, ctx);
}
