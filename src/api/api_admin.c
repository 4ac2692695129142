/* api_admin.c -- what an operator asks.
 *
 *     GET /metrics: pool thread (store, /proc) -> all hubs -> text
 *     GET /hub/...: all hubs -> JSON
 *     GET /hub/tail: lines of JSON until the client goes
 *     GET /queue/held: the jobs that run here though their rows say READY
 *
 * A page of another site must not read this through the operator's browser: its own origin it
 * cannot leave, and a name that it made point here (DNS rebinding) is not one that we answer to.
 */
#include "api/api_admin.h"

#include <arpa/inet.h>

#include "api/api_metrics.h"
#include "core/check.h"
#include "core/mem.h"
#include "hub/hub.h"
#include "hub/hub_inspect.h"
#include "hub/hub_tail.h"
#include "io/io_pool.h"
#include "queue/queue_census.h"
#include "queue/queue_meter.h"
#include "queue/queue_tally.h"

enum { MAX_METRICS_BYTES = 64 * 1024 * 1024, DEFAULT_ROWS = 100 };

static void reply_error(struct http_exchange *x, int status, const char *code, const char *detail)
{
    http_problem(x, status, str_of(code), str_of(http_reason(status)), str_of(detail), STR(""));
}

/* ---- metrics ---- */

struct metrics_call {
    struct io_job job;
    struct http_exchange *x;
    const struct api_admin *admin;
    struct api_metrics metrics;
    struct arena arena; // of what was read of the queues
};

static void on_read(void *ctx, const struct hub_meter_app *apps, size_t count)
{
    struct metrics_call *call = ctx;
    struct buf out;
    buf_init(&out, MAX_METRICS_BYTES);
    if (api_metrics_write(&out, &call->metrics, apps, count) == OK)
        http_reply(call->x, 200, API_METRICS_TYPE,
                   (struct str){(const char *)buf_head(&out), buf_len(&out)});
    else
        reply_error(call->x, 500, "too-large", "There are too many apps for one answer.");
    buf_done(&out);
    mem_free(call->metrics.webhooks.at);
    arena_done(&call->arena);
    mem_free(call);
}

static enum err read_told(struct store_tx *tx, void *arg)
{
    struct metrics_call *call = arg;
    return queue_tally_read(tx, &call->arena, &call->metrics.told);
}

static void read_process(struct io_job *job)
{
    struct metrics_call *call = LIST_ENTRY(job, struct metrics_call, job);
    call->metrics.loops = call->admin->loops;
    call->metrics.has_queue =
        queue_census_read(call->admin->census, &call->arena, &call->metrics.jobs,
                          &call->metrics.jobs_age_ms) == OK &&
        store_read(call->admin->store, read_told, call) == OK;
    queue_meter_read(&call->arena, &call->metrics.meters);
    api_metrics_read_process(&call->metrics);
    call->admin->read_webhooks(call->admin->webhooks, &call->metrics.webhooks);
}

static void on_process_read(struct io_job *job)
{
    struct metrics_call *call = LIST_ENTRY(job, struct metrics_call, job);
    hub_meter_read(call->admin->hub, on_read, call);
}

static void get_metrics(struct http_exchange *x, void *ctx)
{
    const struct api_admin *admin = ctx;
    struct metrics_call *call = MEM_NEW(struct metrics_call);
    *call = (struct metrics_call){.x = x, .admin = admin};
    arena_init(&call->arena);
    call->job = (struct io_job){.home = x->loop, .run = read_process, .on_done = on_process_read};
    if (io_pool_run(admin->pool, &call->job) == OK)
        return;
    mem_free(call);
    reply_error(x, 503, "overloaded", "The server is overloaded.");
}

/* ---- what the hubs hold ---- */

/* An address, or "localhost": any other name may be an attacker's that points here. */
static bool is_safe_host(struct str host)
{
    char name[INET6_ADDRSTRLEN];
    struct in6_addr address;
    bool is_bracketed = host.len > 0 && host.at[0] == '[';
    struct str rest, bare = is_bracketed
                                ? str_cut((struct str){host.at + 1, host.len - 1}, ']', &rest)
                                : str_cut(host, ':', &rest);
    if (str_eq_nocase(bare, STR("localhost")))
        return true;
    if (bare.len >= sizeof(name))
        return false;
    memcpy(name, bare.at, bare.len);
    name[bare.len] = '\0';
    return inet_pton(is_bracketed ? AF_INET6 : AF_INET, name, &address) == 1;
}

bool api_admin_begin(struct http_exchange *x)
{
    http_reply_field(x, STR("Cache-Control"), STR("no-store"));
    if (is_safe_host(http_field_get(&x->req, STR("Host"))))
        return true;
    reply_error(x, 403, "host", "Ask by an address or as localhost, not by a name.");
    return false;
}

bool api_admin_param(struct http_exchange *x, const char *name, struct str *out)
{
    if (http_form_get(x->req.query, str_of(name), &x->arena, out) == OK) {
        *out = out->at ? *out : STR("");
        return true;
    }
    reply_error(x, 400, "malformed", "The query is malformed.");
    return false;
}

bool api_admin_limit(struct http_exchange *x, size_t *out)
{
    struct str text;
    int64_t limit = DEFAULT_ROWS;
    if (!api_admin_param(x, "limit", &text))
        return false;
    if (text.len > 0 &&
        (str_parse_int(text, &limit) || limit < 1 || limit > HUB_INSPECT_MAX_ROWS)) {
        reply_error(x, 400, "limit", "The limit is a number from 1 to 1000.");
        return false;
    }
    *out = (size_t)limit;
    return true;
}

static void on_inspected(void *ctx, struct str json)
{
    struct http_exchange *x = ctx;
    if (json.len > 0)
        http_reply(x, 200, "application/json", json);
    else
        reply_error(x, 404, "not-found", "There is no such connection.");
}

static void inspect(struct http_exchange *x, const struct api_admin *admin,
                    enum hub_inspect_what what)
{
    struct hub_inspect_query query = {.what = what};
    if (api_admin_begin(x) && api_admin_param(x, "app", &query.app) &&
        api_admin_param(x, "channel", &query.channel) &&
        api_admin_param(x, "socket", &query.socket_id) && api_admin_limit(x, &query.limit))
        hub_inspect(admin->hub, &query, on_inspected, x);
}

static void get_channels(struct http_exchange *x, void *ctx)
{
    inspect(x, ctx, HUB_INSPECT_CHANNELS);
}

static void get_connections(struct http_exchange *x, void *ctx)
{
    inspect(x, ctx, HUB_INSPECT_CONNECTIONS);
}

static void get_refusals(struct http_exchange *x, void *ctx)
{
    inspect(x, ctx, HUB_INSPECT_REFUSALS);
}

static void get_frames(struct http_exchange *x, void *ctx)
{
    const struct api_admin *admin = ctx;
    struct hub_inspect_query query = {.what = HUB_INSPECT_FRAMES};
    if (!api_admin_begin(x) || !api_admin_param(x, "socket", &query.socket_id) ||
        !api_admin_limit(x, &query.limit))
        return;
    if (query.socket_id.len > 0)
        hub_inspect(admin->hub, &query, on_inspected, x);
    else
        reply_error(x, 400, "socket", "Say of which connection: socket=ID.");
}

static void get_connection(struct http_exchange *x, void *ctx)
{
    const struct api_admin *admin = ctx;
    const struct hub_inspect_query query = {
        .what = HUB_INSPECT_CONNECTION, .socket_id = x->params[0], .limit = HUB_INSPECT_MAX_ROWS};
    if (api_admin_begin(x))
        hub_inspect(admin->hub, &query, on_inspected, x);
}

static void get_tail(struct http_exchange *x, void *ctx)
{
    const struct api_admin *admin = ctx;
    struct hub_tail_filter filter;
    if (!api_admin_begin(x) || !api_admin_param(x, "app", &filter.app) ||
        !api_admin_param(x, "channel", &filter.channel) ||
        !api_admin_param(x, "socket", &filter.socket_id))
        return;
    if (!hub_tail_serve(admin->hub, x, &filter))
        reply_error(x, 503, "too-many", "Too many follow the hub already, or the filter is long.");
}

/* ---- the queue ---- */

static void get_held(struct http_exchange *x, void *ctx)
{
    enum { MAX_ID_BYTES = 21 };
    int64_t *ids;
    size_t count;
    struct buf out;
    (void)ctx;
    if (!api_admin_begin(x))
        return;
    queue_meter_list_held(&x->arena, &ids, &count);
    buf_init(&out, (count + 1) * MAX_ID_BYTES);
    enum err err = buf_printf(&out, "{\"jobs\":[");
    for (size_t i = 0; i < count && !err; i++)
        err = buf_printf(&out, "%s%lld", i > 0 ? "," : "", (long long)ids[i]);
    if (!err)
        err = buf_printf(&out, "]}");
    CHECK(!err);
    http_reply(x, 200, "application/json",
               (struct str){(const char *)buf_head(&out), buf_len(&out)});
    buf_done(&out);
}

const struct http_route api_admin_routes[] = {
    {.method = HTTP_GET, .path = "/metrics", .handler = get_metrics},
    {.method = HTTP_GET, .path = "/hub/channels", .handler = get_channels},
    {.method = HTTP_GET, .path = "/hub/connections", .handler = get_connections},
    {.method = HTTP_GET, .path = "/hub/connections/{id}", .handler = get_connection},
    {.method = HTTP_GET, .path = "/hub/refusals", .handler = get_refusals},
    {.method = HTTP_GET, .path = "/hub/frames", .handler = get_frames},
    {.method = HTTP_GET, .path = "/hub/tail", .handler = get_tail},
    {.method = HTTP_GET, .path = "/queue/held", .handler = get_held},
};
const size_t api_admin_route_count = sizeof(api_admin_routes) / sizeof(api_admin_routes[0]);
