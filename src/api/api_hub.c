#include "api/api_hub.h"

#include "api/api_hub_call.h"
#include "api/api_hub_channels.h"
#include "api/api_hub_connections.h"
#include "api/api_hub_events.h"
#include "hub/hub_xhr.h"

static void on_socket(struct http_exchange *x, void *ctx)
{
    const struct api_hub *a = ctx;
    hub_accept(a->hub, x, x->params[0]);
}

static void on_xhr_streaming(struct http_exchange *x, void *ctx)
{
    const struct api_hub *a = ctx;
    hub_xhr_receive(a->hub, x, false);
}

static void on_xhr(struct http_exchange *x, void *ctx)
{
    const struct api_hub *a = ctx;
    hub_xhr_receive(a->hub, x, true);
}

static void on_xhr_send(struct http_exchange *x, void *ctx)
{
    const struct api_hub *a = ctx;
    hub_xhr_send(a->hub, x);
}

static void on_xhr_options(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    hub_xhr_preflight(x);
}

static void on_up(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    api_hub_call_reply_json(x, 200, STR("{\"health\":\"OK\"}"));
}

/* The first answers in every role. */
/* clang-format off */
static const struct http_route table[] = {
    {HTTP_GET,  "/up",                                        on_up,                         NULL, 0},
    {HTTP_GET,  "/app/{key}",                                 on_socket,                     NULL, 0},
    {HTTP_POST, "/apps/{id}/events",                          api_hub_events_post,           NULL, API_HUB_CALL_MAX_BODY_BYTES},
    {HTTP_POST, "/apps/{id}/batch_events",                    api_hub_events_post_batch,     NULL, API_HUB_CALL_MAX_BODY_BYTES},
    {HTTP_GET,  "/apps/{id}/channels",                        api_hub_channels_get_all,      NULL, 0},
    {HTTP_GET,  "/apps/{id}/channels/{name}",                 api_hub_channels_get_one,      NULL, 0},
    {HTTP_GET,  "/apps/{id}/channels/{name}/users",           api_hub_channels_get_users,    NULL, 0},
    {HTTP_GET,  "/apps/{id}/connections",                     api_hub_connections_get,       NULL, 0},
    {HTTP_POST, "/apps/{id}/users/{user}/terminate_connections", api_hub_connections_terminate, NULL, 0},
    {HTTP_POST, "/pusher/app/{key}/{n}/{session}/xhr_streaming", on_xhr_streaming,             NULL, 0},
    {HTTP_POST, "/pusher/app/{key}/{n}/{session}/xhr",        on_xhr,                        NULL, 0},
    {HTTP_POST, "/pusher/app/{key}/{n}/{session}/xhr_send",   on_xhr_send,                   NULL, 0},
    {HTTP_OPTIONS, "/pusher/app/{key}/{n}/{session}/{transport}", on_xhr_options,            NULL, 0},
};
/* clang-format on */
enum { ROUTE_COUNT = sizeof(table) / sizeof(table[0]) };

void api_hub_init(struct api_hub *a, struct hub *hub, const char *prefix)
{
    *a = (struct api_hub){.hub = hub};
    arena_init(&a->arena);
    a->prefix = arena_str(&a->arena, str_of(prefix));
    a->routes = arena_alloc(&a->arena, sizeof(table));
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        a->routes[i] = table[i];
        a->routes[i].path = arena_printf(&a->arena, "%s%s", prefix, table[i].path).at;
    }
}

void api_hub_done(struct api_hub *a)
{
    arena_done(&a->arena);
}

void api_hub_add_routes(struct api_hub *a, struct http_server *s, bool has_hub)
{
    http_server_add(s, a->routes, has_hub ? ROUTE_COUNT : 1, a);
}

bool api_hub_unrouted(const struct api_hub *a, struct http_exchange *x, int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {404, "Not found."},
        {405, "Method not allowed."},
        {413, "Payload too large."},
    };
    struct str apps = arena_printf(&x->arena, "%.*s/apps/", STR_ARG(a->prefix));
    if (!str_starts(x->req.path, apps))
        return false;
    const char *text = http_reason(status);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].status == status)
            text = texts[i].text;
    api_hub_call_reply_text(x, status, text);
    return true;
}
