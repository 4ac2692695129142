#include "app/app_hooks.h"

#include <stdio.h>

#include "hub/hub_hook.h"
#include "post/post.h"

enum { MAX_WEBHOOKS = 50, MAX_HEADERS = 50, MAX_HEADER_BYTES = 4096 };

struct reader {
    struct arena *arena;
    char why[200]; // what is wrong
};

static enum err refuse(struct reader *r, const char *what, const char *name)
{
    snprintf(r->why, sizeof(r->why), "webhooks: %s%.100s", what, name);
    return ERR_INVALID;
}

/* ---- event_types ---- */

static enum err read_kinds(const cJSON *list, struct reader *r, unsigned *out)
{
    const cJSON *item;
    *out = 0;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0)
        return refuse(r, "event_types must be an array of names", "");
    cJSON_ArrayForEach(item, list)
    {
        const char *name = cJSON_IsString(item) ? item->valuestring : "?";
        int kind = 0;
        while (kind < HUB_HOOK_KINDS && strcmp(hub_hook_names[kind], name) != 0)
            kind++;
        if (kind == HUB_HOOK_KINDS)
            return refuse(r, "there is no event_type ", name);
        *out |= 1u << kind;
    }
    return OK;
}

/* ---- filter ---- */

static enum err read_filter(const cJSON *filter, struct reader *r, struct hub_webhook *out)
{
    const cJSON *item;
    if (!cJSON_IsObject(filter))
        return refuse(r, "filter must be an object", "");
    cJSON_ArrayForEach(item, filter)
    {
        struct str *at = strcmp(item->string, "channel_name_starts_with") == 0 ? &out->starts_with
                         : strcmp(item->string, "channel_name_ends_with") == 0 ? &out->ends_with
                                                                               : NULL;
        if (!at || !cJSON_IsString(item))
            return refuse(r, "filter has channel_name_starts_with and _ends_with, strings, not ",
                          item->string);
        *at = arena_str(r->arena, str_of(item->valuestring));
    }
    return OK;
}

/* ---- headers ---- */

/* RFC 9110 §5.6.2 */
static bool is_token(const char *name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    const char *c = name;
    while ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
           (*c && strchr(marks, *c)))
        c++;
    return c > name && *c == '\0';
}

static bool is_field_value(const char *value)
{
    const char *c = value;
    while (*c == '\t' || ((unsigned char)*c >= ' ' && *c != 0x7f))
        c++;
    return c > value && *c == '\0';
}

/* Ours, and those that frame the message. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {"Content-Type", "Content-Length",    "Transfer-Encoding",
                                        "Host",         "Connection",        "X-Pusher-Key",
                                        "Expect",       "Upgrade",           "Trailer",
                                        "TE",           "X-Pusher-Signature"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq_nocase(str_of(name), str_of(names[i])))
            return true;
    return false;
}

static enum err read_headers(const cJSON *headers, struct reader *r, struct hub_webhook *out)
{
    const cJSON *item;
    int count = cJSON_GetArraySize(headers);
    if (!cJSON_IsObject(headers) || count > MAX_HEADERS)
        return refuse(r, "headers must be an object, not too large", "");
    struct str *lines = arena_alloc(r->arena, (size_t)count * sizeof(*lines) + 1);
    cJSON_ArrayForEach(item, headers)
    {
        if (!is_token(item->string) || is_reserved(item->string))
            return refuse(r, "not a header that can be added: ", item->string);
        if (!cJSON_IsString(item) || !is_field_value(item->valuestring) ||
            strlen(item->valuestring) > MAX_HEADER_BYTES)
            return refuse(r, "not a value of a header: that of ", item->string);
        lines[out->header_count++] =
            arena_printf(r->arena, "%s: %s", item->string, item->valuestring);
    }
    out->headers = lines;
    return OK;
}

/* ---- one webhook, and all ---- */

static enum err read_url(const cJSON *value, struct reader *r, struct hub_webhook *out)
{
    if (!cJSON_IsString(value) || !post_url_is_valid(str_of(value->valuestring)))
        return refuse(r, "url must be an http or https address", "");
    out->url = arena_str(r->arena, str_of(value->valuestring));
    return OK;
}

static enum err read_field(const cJSON *field, struct reader *r, struct hub_webhook *out)
{
    if (strcmp(field->string, "url") == 0)
        return read_url(field, r, out);
    if (strcmp(field->string, "event_types") == 0)
        return read_kinds(field, r, &out->kinds);
    if (strcmp(field->string, "filter") == 0)
        return read_filter(field, r, out);
    if (strcmp(field->string, "headers") == 0)
        return read_headers(field, r, out);
    return refuse(r, "there is no key ", field->string);
}

static enum err read_webhook(const cJSON *item, struct reader *r, struct hub_webhook *out)
{
    const cJSON *field;
    if (!cJSON_IsObject(item))
        return refuse(r, "each must be an object", "");
    out->kinds = (1u << HUB_HOOK_KINDS) - 1;
    cJSON_ArrayForEach(field, item)
    {
        enum err err = read_field(field, r, out);
        if (err)
            return err;
    }
    return out->url.len > 0 ? OK : refuse(r, "each needs a url", "");
}

static bool has_same_headers(const struct hub_webhook *a, const struct hub_webhook *b)
{
    bool is_same = a->header_count == b->header_count;
    for (size_t i = 0; is_same && i < a->header_count; i++)
        is_same = str_eq(a->headers[i], b->headers[i]);
    return is_same;
}

/* A delivery finds its headers by the url. */
static enum err check_twins(const struct hub_webhook *webhooks, size_t count, struct reader *r)
{
    const struct hub_webhook *last = &webhooks[count - 1];
    for (const struct hub_webhook *w = webhooks; w < last; w++)
        if (str_eq(w->url, last->url) && !has_same_headers(w, last))
            return refuse(r, "those of one url need the same headers: ", last->url.at);
    return OK;
}

static enum err read_all(const cJSON *list, struct reader *r, struct hub_app *app)
{
    const cJSON *item;
    int count = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || count > MAX_WEBHOOKS)
        return refuse(r, "must be an array, not too long", "");
    struct hub_webhook *webhooks = arena_alloc(r->arena, (size_t)count * sizeof(*webhooks) + 1);
    cJSON_ArrayForEach(item, list)
    {
        enum err err = read_webhook(item, r, &webhooks[app->webhook_count++]);
        if (!err)
            err = check_twins(webhooks, app->webhook_count, r);
        if (err)
            return err;
    }
    app->webhooks = webhooks;
    return OK;
}

enum err app_hooks_read(const cJSON *list, struct arena *a, struct hub_app *app, char *why_out,
                        size_t why_cap)
{
    struct reader r = {.arena = a};
    if (!list || cJSON_IsNull(list))
        return OK;
    enum err err = read_all(list, &r, app);
    if (err)
        snprintf(why_out, why_cap, "%s", r.why);
    return err;
}
