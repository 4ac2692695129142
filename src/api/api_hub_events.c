/* api_hub_events.c -- JSON -> fields -> limits -> publish -> 200; a batch is published whole or not
 * at all. When the caller asks for info, the hubs are asked behind the publishing.
 *
 * The answer waits until the channels' owners have passed the events on: who publishes one call
 * after the other, on whichever connections, is heard in that order on all channels, and so are the
 * events of a batch, as from a hub with one loop. The channels of one event have no order.
 */
#include "api/api_hub_events.h"

#include "api/api_hub_event.h"
#include "core/check.h"
#include "hub/hub_backend.h"

/* An answer that waits for what the hubs say of the channels that were published to. */
struct info {
    struct http_exchange *x;
    struct hub *hub;
    const struct hub_app *app;
    bool is_batch, is_wanted;
    struct hub_backend_question *questions;
    size_t count;
};

static struct info *info_new(const struct api_hub_call *call, bool is_batch, size_t max)
{
    struct info *info = ARENA_NEW(call->arena, struct info);
    info->x = call->x;
    info->hub = call->hub;
    info->app = call->app;
    info->is_batch = is_batch;
    info->questions = arena_alloc(call->arena, (max + 1) * sizeof(*info->questions));
    return info;
}

/* What is cached is the event itself, so it is not told: the answer stays small. */
static void info_add(struct info *info, const struct api_hub_event *e, size_t channel)
{
    info->is_wanted |= e->info.len > 0;
    info->questions[info->count++] = (struct hub_backend_question){
        .channel = e->channels[channel],
        .attributes = hub_backend_attributes(e->info) & ~(unsigned)HUB_BACKEND_CACHE};
}

static void put(struct buf *out, struct str text)
{
    CHECK(buf_append(out, text.at, text.len) == OK);
}

static size_t room_for(const struct info *info, const struct str *texts)
{
    size_t bytes = 64;
    for (size_t i = 0; i < info->count; i++)
        bytes += 8 + 6 * info->questions[i].channel.len + texts[i].len; // six bytes an escape
    return bytes;
}

/* {"channels":{"c":{...}}} or {"batch":[{...}]} */
static void on_info(void *ctx, enum err err, const struct str *texts, size_t count)
{
    const struct info *info = ctx;
    struct buf body;
    if (err) {
        api_hub_call_reply_failure(info->x, err);
        return;
    }
    buf_init(&body, room_for(info, texts));
    put(&body, info->is_batch ? STR("{\"batch\":[") : STR("{\"channels\":{"));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            put(&body, STR(","));
        if (!info->is_batch) {
            CHECK(json_write_string(&body, info->questions[i].channel) == OK);
            put(&body, STR(":"));
        }
        put(&body, texts[i]);
    }
    put(&body, info->is_batch ? STR("]}") : STR("}}"));
    api_hub_call_reply_json(info->x, 200,
                            (struct str){(const char *)buf_head(&body), buf_len(&body)});
    buf_done(&body);
}

static void ask(struct info *info)
{
    hub_backend_describe(info->hub, info->app, info->questions, info->count, on_info, info);
}

/* ---- answers without info ---- */

static void on_event_settled(void *const *parts, size_t count, void *x)
{
    (void)parts, (void)count;
    api_hub_call_reply_json(x, 200, STR("{}"));
}

/* ---- events ---- */

/* False when it was answered with 400. */
static bool read_body(struct http_exchange *x, struct json_field fields[static JSON_MAX_FIELDS],
                      size_t *count_out)
{
    enum err err = json_scan_object(x->req.body, fields, JSON_MAX_FIELDS, count_out);
    if (err)
        api_hub_call_reply_text(x, 400,
                                err == ERR_TOO_LARGE ? "The body has more than 64 fields."
                                                     : "The body must be a JSON object.");
    return !err;
}

/* False when it was answered with 503: memory is not for what a disk cannot take. */
static bool may_publish(const struct api_hub_call *call)
{
    if (hub_backend_may_publish(call->hub, call->app))
        return true;
    http_reply_field(call->x, STR("Retry-After"), STR("1"));
    api_hub_call_reply_text(call->x, 503, "The disk is behind with what was published.");
    return false;
}

void api_hub_events_post(struct http_exchange *x, void *ctx)
{
    struct json_field fields[JSON_MAX_FIELDS] __attribute__((uninitialized));
    struct api_hub_call call;
    struct api_hub_bag bag = {.call = &call};
    struct api_hub_event e = {0};
    size_t field_count;
    if (!api_hub_call_begin(x, ctx, &call) || !read_body(x, fields, &field_count))
        return;
    api_hub_event_read(fields, field_count, false, &bag, &e);
    if (api_hub_bag_reply(&bag) || !api_hub_event_check(&call, &e) || !may_publish(&call))
        return;

    for (size_t i = 0; i < e.channel_count; i++) {
        struct hub_relay_event out = api_hub_event_on(&e, i);
        hub_relay_send(call.hub, call.app, &out);
    }
    if (e.info.len == 0) {
        hub_relay_settle(call.hub, call.app, e.channels, e.channel_count, on_event_settled, x);
        return;
    }
    struct info *info = info_new(&call, false, e.channel_count);
    for (size_t i = 0; i < e.channel_count; i++)
        info_add(info, &e, i);
    ask(info);
}

/* ---- batches ---- */

/* The items of "batch", each read; NULL with complaints in the bag. */
static struct api_hub_event *read_batch(const struct json_slice *list, struct api_hub_bag *bag,
                                        size_t *count_out)
{
    struct json_field fields[JSON_MAX_FIELDS] __attribute__((uninitialized));
    struct arena *a = bag->call->arena;
    struct json_slice *items = arena_alloc(a, API_HUB_EVENT_MAX_ITEMS * sizeof(*items));
    if (api_hub_event_is_missing(list) || list->kind != JSON_ARRAY) {
        bool is_missing = api_hub_event_is_missing(list);
        api_hub_bag_add(bag, STR("batch"), is_missing ? "is required." : "must be an array.");
        return NULL;
    }
    if (json_scan_array(list->text, items, API_HUB_EVENT_MAX_ITEMS, count_out) != OK) {
        api_hub_bag_add(bag, STR("batch"), "must not have more than 1000 items.");
        return NULL;
    }
    struct api_hub_event *events = arena_alloc(a, *count_out * sizeof(*events));
    for (size_t i = 0; i < *count_out; i++) {
        size_t field_count = 0;
        events[i].prefix = arena_printf(a, "batch.%zu.", i);
        // What is not an object has no fields, and is told that they are missing.
        if (json_scan_object(items[i].text, fields, JSON_MAX_FIELDS, &field_count) != OK)
            field_count = 0;
        api_hub_event_read(fields, field_count, true, bag, &events[i]);
    }
    return events;
}

/* False when the call was refused, and is answered. */
static bool check_batch(const struct api_hub_call *call, const struct api_hub_event *events,
                        size_t count)
{
    int64_t max = call->app->max_batch_items;
    if (max > 0 && count > (size_t)max) {
        struct str why =
            arena_printf(call->arena, "The batch has more than %lld events.", (long long)max);
        api_hub_call_reply_text(call->x, 400, why.at);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!api_hub_event_check(call, &events[i]))
            return false;
    return true;
}

static void on_batch_sent(void *const *parts, size_t count, void *ctx)
{
    struct info *info = ctx;
    (void)parts, (void)count;
    if (info->is_wanted)
        ask(info);
    else
        api_hub_call_reply_json(info->x, 200, STR("{\"batch\":{}}"));
}

static void publish_batch(const struct api_hub_call *call, const struct api_hub_event *events,
                          size_t count)
{
    struct hub_relay_event *out = arena_alloc(call->arena, (count + 1) * sizeof(*out));
    struct info *info = info_new(call, true, count);
    for (size_t i = 0; i < count; i++) {
        out[i] = api_hub_event_on(&events[i], 0);
        info_add(info, &events[i], 0);
    }
    hub_relay_send_in_order(call->hub, call->app, out, count, on_batch_sent, info);
}

void api_hub_events_post_batch(struct http_exchange *x, void *ctx)
{
    struct json_field fields[JSON_MAX_FIELDS] __attribute__((uninitialized));
    struct api_hub_call call;
    struct api_hub_bag bag = {.call = &call};
    size_t field_count, count = 0;
    if (!api_hub_call_begin(x, ctx, &call) || !read_body(x, fields, &field_count))
        return;
    const struct api_hub_event *events =
        read_batch(json_field_find(fields, field_count, STR("batch")), &bag, &count);
    if (api_hub_bag_reply(&bag) || !check_batch(&call, events, count) || !may_publish(&call))
        return;

    publish_batch(&call, events, count);
}
