#include "api/api_hub_channels.h"

#include "api/api_hub_call.h"
#include "hub/hub_backend.h"

/* 200 with start, the texts joined by commas, and end. */
static void reply_joined(struct http_exchange *x, struct str start, const struct str *texts,
                         size_t count, struct str end)
{
    struct str *pieces = arena_alloc(&x->arena, (2 * count + 2) * sizeof(*pieces));
    size_t n = 0;
    pieces[n++] = start;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            pieces[n++] = STR(",");
        pieces[n++] = texts[i];
    }
    pieces[n++] = end;
    api_hub_call_reply_pieces(x, pieces, n);
}

/* ---- all ---- */

static void on_list(void *ctx, enum err err, const struct str *texts, size_t count)
{
    struct http_exchange *x = ctx;
    if (err)
        api_hub_call_reply_failure(x, err);
    else
        reply_joined(x, STR("{\"channels\":{"), texts, count, STR("}}"));
}

void api_hub_channels_get_all(struct http_exchange *x, void *ctx)
{
    struct api_hub_call call;
    struct str prefix, info;
    if (api_hub_call_begin(x, ctx, &call) &&
        api_hub_call_param(&call, STR("filter_by_prefix"), &prefix) &&
        api_hub_call_param(&call, STR("info"), &info))
        hub_backend_list(call.hub, call.app, prefix, hub_backend_attributes(info), on_list, x);
}

/* ---- one ---- */

static void on_description(void *ctx, enum err err, const struct str *texts, size_t count)
{
    struct http_exchange *x = ctx;
    if (err)
        api_hub_call_reply_failure(x, err);
    else
        api_hub_call_reply_pieces(x, texts, count);
}

void api_hub_channels_get_one(struct http_exchange *x, void *ctx)
{
    struct api_hub_call call;
    struct str info;
    if (!api_hub_call_begin(x, ctx, &call) || !api_hub_call_param(&call, STR("info"), &info))
        return;
    struct hub_backend_question question = {x->params[1],
                                            hub_backend_attributes(info) | HUB_BACKEND_OCCUPIED};
    hub_backend_describe(call.hub, call.app, &question, 1, on_description, x);
}

/* ---- members ---- */

static void on_members(void *ctx, enum err err, const struct str *texts, size_t count)
{
    struct http_exchange *x = ctx;
    if (err == ERR_NOT_FOUND)
        api_hub_call_reply_json(x, 404, STR("{}"));
    else if (err == ERR_INVALID) // no presence channel
        api_hub_call_reply_json(x, 400, STR("{}"));
    else if (err)
        api_hub_call_reply_failure(x, err);
    else
        reply_joined(x, STR("{\"users\":["), texts, count, STR("]}"));
}

void api_hub_channels_get_users(struct http_exchange *x, void *ctx)
{
    struct api_hub_call call;
    if (api_hub_call_begin(x, ctx, &call))
        hub_backend_members(call.hub, call.app, x->params[1], on_members, x);
}
