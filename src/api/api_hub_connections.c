#include "api/api_hub_connections.h"

#include "api/api_hub_call.h"
#include "hub/hub_backend.h"

static void on_counted(void *ctx, uint64_t count)
{
    struct http_exchange *x = ctx;
    api_hub_call_reply_json(
        x, 200, arena_printf(&x->arena, "{\"connections\":%llu}", (unsigned long long)count));
}

void api_hub_connections_get(struct http_exchange *x, void *ctx)
{
    struct api_hub_call call;
    if (api_hub_call_begin(x, ctx, &call))
        hub_backend_connections(call.hub, call.app, on_counted, x);
}

static void on_terminated(void *ctx)
{
    api_hub_call_reply_json(ctx, 200, STR("{}"));
}

void api_hub_connections_terminate(struct http_exchange *x, void *ctx)
{
    struct api_hub_call call;
    if (api_hub_call_begin(x, ctx, &call))
        hub_backend_terminate(call.hub, call.app, x->params[1], on_terminated, x);
}
