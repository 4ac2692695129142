#include "http/http_static.h"

#include <stdlib.h>

static int compare_name(const void *key, const void *item)
{
    const struct str *name = key;
    const struct http_static_file *file = item;
    struct str other = str_of(file->name);
    size_t n = name->len < other.len ? name->len : other.len;
    int order = memcmp(name->at, other.at, n);
    return order ? order : (name->len > other.len) - (name->len < other.len);
}

const struct http_static_file *http_static_find(struct str name)
{
    if (name.len == 0)
        return NULL;
    return bsearch(&name, http_static_files, http_static_count, sizeof(http_static_files[0]),
                   compare_name);
}

const struct http_static_file *http_static_find_logical(struct str logical)
{
    for (size_t i = 0; i < http_static_count; i++) {
        if (str_eq(str_of(http_static_files[i].logical), logical))
            return &http_static_files[i];
    }
    return NULL;
}

/* One form of a file: its bytes, and what names the form in Content-Encoding and in the tag. */
struct form {
    struct str body;
    const char *coding; // NULL: as it is
    const char *suffix; // a strong tag differs between the forms (RFC 9110 §8.8.3)
};

static struct form choose_form(const struct http_static_file *f, const struct http_request *req)
{
    if (f->brotli && http_accepts_coding(req, STR("br")))
        return (struct form){{(const char *)f->brotli, f->brotli_len}, "br", "-br"};
    if (f->gzip && http_accepts_coding(req, STR("gzip")))
        return (struct form){{(const char *)f->gzip, f->gzip_len}, "gzip", "-gz"};
    return (struct form){{(const char *)f->bytes, f->len}, NULL, ""};
}

static void serve_file(struct http_exchange *x, const struct http_static_file *f)
{
    struct form form = choose_form(f, &x->req);
    struct str quoted = str_of(f->etag);
    struct str etag =
        arena_printf(&x->arena, "%.*s%s\"", (int)quoted.len - 1, quoted.at, form.suffix);
    bool is_known = http_has_etag(&x->req, etag);

    http_reply_field(x, STR("ETag"), etag);
    http_reply_field(x, STR("Cache-Control"),
                     f->is_hashed ? STR("public, max-age=31536000, immutable") : STR("no-cache"));
    if (f->gzip || f->brotli)
        http_reply_field(x, STR("Vary"), STR("Accept-Encoding"));
    if (is_known) {
        http_reply(x, 304, NULL, STR(""));
        return;
    }
    if (form.coding)
        http_reply_field(x, STR("Content-Encoding"), str_of(form.coding));
    http_reply(x, 200, f->type, form.body);
}

void http_static_serve(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    struct str name = arena_printf(&x->arena, "static/%.*s", STR_ARG(x->params[0]));
    const struct http_static_file *file = http_static_find(name);

    if (file)
        serve_file(x, file);
    else
        http_problem(x, 404, STR("not-found"), str_of(http_reason(404)), STR(""), STR(""));
}
