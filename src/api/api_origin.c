#include "api/api.h"

/* "https://viche.example:8443/x?y" to "viche.example:8443" */
static struct str host_of(struct str url)
{
    const char *at = memmem(url.at, url.len, "://", 3);
    if (!at)
        return (struct str){0};
    size_t start = (size_t)(at - url.at) + 3;
    struct str rest = {url.at + start, url.len - start};
    rest.len = str_index(rest, '/');
    return rest;
}

static bool is_https(struct str url)
{
    struct str scheme = {url.at, str_index(url, ':')};
    return str_eq_nocase(scheme, STR("https"));
}

static bool is_ours(struct str url, const struct http_exchange *x, const struct api *api)
{
    struct str host = host_of(url);
    if (!host.len)
        return false; // "null": a sandbox, a file, a redirect across sites
    if (api->origin && str_eq_nocase(host, host_of(str_of(api->origin))))
        return true;
    if (x->is_https && !is_https(url))
        return false; // what came in clear, someone on the way may have written
    return str_eq_nocase(host, http_field_get(&x->req, STR("host")));
}

bool api_is_same_origin(const struct http_exchange *x, const struct api *api)
{
    const struct http_request *req = &x->req;
    struct str site = http_field_get(req, STR("sec-fetch-site"));
    if (site.len)
        return str_eq(site, STR("same-origin")) || str_eq(site, STR("none"));
    struct str origin = http_field_get(req, STR("origin"));
    if (origin.len)
        return is_ours(origin, x, api);
    struct str referer = http_field_get(req, STR("referer"));
    return !referer.len || is_ours(referer, x, api);
}
