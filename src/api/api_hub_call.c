#include "api/api_hub_call.h"

#include "core/check.h"
#include "core/clock.h"
#include "hub/hub_auth.h"
#include "hub/hub_backend.h"

void api_hub_call_reply_text(struct http_exchange *x, int status, const char *text)
{
    http_reply(x, status, "text/plain; charset=utf-8", str_of(text));
}

void api_hub_call_reply_json(struct http_exchange *x, int status, struct str json)
{
    http_reply(x, status, "application/json", json);
}

void api_hub_call_reply_pieces(struct http_exchange *x, const struct str *pieces, size_t count)
{
    struct buf body;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += pieces[i].len;
    buf_init(&body, bytes);
    for (size_t i = 0; i < count; i++)
        CHECK(buf_append(&body, pieces[i].at, pieces[i].len) == OK);
    api_hub_call_reply_json(x, 200, (struct str){(const char *)buf_head(&body), buf_len(&body)});
    buf_done(&body);
}

void api_hub_call_reply_failure(struct http_exchange *x, enum err err)
{
    if (err == ERR_TOO_LARGE)
        api_hub_call_reply_text(x, 400,
                                "The answer would be larger than 7 MiB. Ask for less info, or for "
                                "fewer channels by filter_by_prefix.");
    else
        api_hub_call_reply_text(x, 503, "The server is stopping.");
}

bool api_hub_call_begin(struct http_exchange *x, void *ctx, struct api_hub_call *call)
{
    static const char *const methods[HTTP_METHOD_COUNT] = {
        [HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST"};
    const struct api_hub *a = ctx;
    const struct http_request *req = &x->req;
    *call = (struct api_hub_call){.x = x, .hub = a->hub, .arena = &x->arena};
    call->app = hub_app_find_by_id(hub_apps_of(a->hub), x->params[0]);
    if (!call->app) {
        struct str why = arena_printf(&x->arena, "No matching application for ID [%.*s].",
                                      STR_ARG(x->params[0]));
        http_reply(x, 404, "text/plain; charset=utf-8", why);
        return false;
    }
    if (call->app->max_request_bytes > 0 && req->body.len > call->app->max_request_bytes) {
        api_hub_call_reply_text(x, 413, "Payload too large.");
        return false;
    }
    struct hub_auth_call signed_call = {
        .method = str_of(methods[req->method]),
        .path = {req->path.at + a->prefix.len, req->path.len - a->prefix.len},
        .query = req->query,
        .body = req->body,
    };
    const char *why;
    if (hub_auth_check_call(call->app, &signed_call, clock_unix_ms() / 1000, &x->arena, &why)) {
        api_hub_call_reply_text(x, 401, why);
        return false;
    }
    if (call->app->is_disabled) {
        api_hub_call_reply_text(x, 403, "Application is disabled.");
        return false;
    }
    return true;
}

bool api_hub_call_param(const struct api_hub_call *call, struct str name, struct str *out)
{
    if (http_form_get(call->x->req.query, name, call->arena, out) == OK)
        return true;
    api_hub_call_reply_text(call->x, 400, "The query is not valid.");
    return false;
}
