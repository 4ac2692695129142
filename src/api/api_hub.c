/* api_hub.c -- the socket, and the signed REST calls.
 *
 *     events, batch_events: app -> size -> signature -> JSON -> fields -> publish -> 200
 *
 * Answers are what the SDKs of Pusher and Laravel's broadcaster expect: plain text for what is
 * wrong with the call (401, 404, 413, 400), Laravel's bag of field errors for what is wrong in it
 * (422), and an object for success. When the caller asks for info, all hubs are asked to count
 * first.
 */
#include "api/api_hub.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/json.h"
#include "hub/hub.h"
#include "hub/hub_auth.h"
#include "hub/hub_xhr.h"

enum {
    MAX_BODY_BYTES = 1024 * 1024, // of any app; each app's own limit is lower
    MAX_ITEMS = 1000,             // channels of an event, events of a batch
};

static const char plain_text[] = "text/plain; charset=utf-8", json_text[] = "application/json";

/* ---- the call ---- */

struct call {
    struct http_exchange *x;
    struct hub *hub;
    const struct hub_app *app;
    struct arena *arena; // the exchange's
};

static void reply_text(struct http_exchange *x, int status, const char *text)
{
    http_reply(x, status, plain_text, str_of(text));
}

/* Finds the app and checks size and signature; false when the call was answered with a refusal. */
static bool begin(struct http_exchange *x, struct hub *h, struct call *call)
{
    struct http_request *req = &x->req;
    *call = (struct call){.x = x, .hub = h, .arena = &x->arena};
    call->app = hub_app_find_by_id(hub_apps_of(h), x->params[0]);
    if (!call->app) {
        struct str why = arena_printf(&x->arena, "No matching application for ID [%.*s].",
                                      STR_ARG(x->params[0]));
        http_reply(x, 404, plain_text, why);
        return false;
    }
    if (req->body.len > call->app->max_request_bytes) {
        reply_text(x, 413, "Payload too large.");
        return false;
    }
    struct hub_auth_call signed_call = {STR("POST"), req->path, req->query, req->body};
    const char *why;
    if (hub_auth_check_call(call->app, &signed_call, clock_unix_ms() / 1000, &x->arena, &why)) {
        reply_text(x, 401, why);
        return false;
    }
    return true;
}

/* ---- field errors ---- */

/* {"field":["message",...],...} */
static void complain(cJSON *bag, struct str field, const char *message)
{
    char key[128];
    snprintf(key, sizeof(key), "%.*s", STR_ARG(field));
    cJSON *list = cJSON_GetObjectItemCaseSensitive(bag, key);
    if (!list)
        list = cJSON_AddArrayToObject(bag, key);
    cJSON_AddItemToArray(list, cJSON_CreateString(message));
}

/* "The socket id field must be a string." Laravel shows a field's name without underscores. */
static void complain_of_field(struct call *c, cJSON *bag, struct str field, const char *what)
{
    struct str text = arena_printf(c->arena, "The %.*s field %s", STR_ARG(field), what);
    char *shown = arena_alloc(c->arena, text.len + 1);
    memcpy(shown, text.at, text.len);
    for (size_t i = 4; i < 4 + field.len; i++) // behind "The "
        if (shown[i] == '_')
            shown[i] = ' ';
    complain(bag, field, shown);
}

static bool reply_complaints(struct call *c, cJSON *bag)
{
    bool has_any = cJSON_GetArraySize(bag) > 0;
    if (has_any) {
        struct buf body;
        buf_init(&body, 16 * (size_t)MAX_BODY_BYTES);
        if (json_print(bag, &body) == OK)
            http_reply(c->x, 422, json_text,
                       (struct str){(const char *)buf_head(&body), buf_len(&body)});
        else
            reply_text(c->x, 422, "The given data was invalid.");
        buf_done(&body);
    }
    cJSON_Delete(bag);
    return has_any;
}

/* ---- fields ---- */

/* Laravel's idea of a field that is not there. */
static bool is_missing(const struct json_slice *v)
{
    if (!v || v->kind == JSON_NULL)
        return true;
    if (v->kind != JSON_STRING && v->kind != JSON_ARRAY)
        return false;
    return str_trim((struct str){v->text.at + 1, v->text.len - 2}).len == 0;
}

/* One event as the caller described it. */
struct event {
    struct str prefix; // "" or "batch.1.", of its fields in messages
    struct json_field fields[JSON_MAX_FIELDS];
    size_t field_count;
    struct str name_json, data_json; // with quotes
    struct str socket_id, info;
    struct str *channels;
    size_t channel_count;
};

static struct str field_name(struct call *c, const struct event *e, const char *name)
{
    return arena_printf(c->arena, "%.*s%s", STR_ARG(e->prefix), name);
}

static const struct json_slice *find(const struct event *e, const char *name)
{
    return json_field_find(e->fields, e->field_count, str_of(name));
}

static const struct json_slice *check_string(struct call *c, cJSON *bag, const struct event *e,
                                             const char *name, bool is_required)
{
    const struct json_slice *v = find(e, name);
    if (is_required && is_missing(v))
        complain_of_field(c, bag, field_name(c, e, name), "is required.");
    else if (v && v->kind != JSON_STRING)
        complain_of_field(c, bag, field_name(c, e, name), "must be a string.");
    else
        return v;
    return NULL;
}

static struct str unescape(struct call *c, cJSON *bag, struct str field, const struct json_slice *v)
{
    struct str text = {0};
    if (v && json_unescape(v, c->arena, &text) != OK)
        complain_of_field(c, bag, field, "must be a string.");
    return text;
}

/* The same channel twice gets the event once. */
static void add_channel(struct event *e, struct str channel)
{
    for (size_t i = 0; i < e->channel_count; i++)
        if (str_eq(e->channels[i], channel))
            return;
    e->channels[e->channel_count++] = channel;
}

static void read_channel_list(struct call *c, cJSON *bag, struct event *e,
                              const struct json_slice *list)
{
    struct str field = field_name(c, e, "channels");
    struct json_slice *items = arena_alloc(c->arena, MAX_ITEMS * sizeof(*items));
    size_t count;
    if (list->kind != JSON_ARRAY) {
        complain_of_field(c, bag, field, "must be an array.");
        return;
    }
    if (json_scan_array(list->text, items, MAX_ITEMS, &count) != OK) {
        complain_of_field(c, bag, field, "must not have more than 1000 items.");
        return;
    }
    e->channels = arena_alloc(c->arena, (count + 1) * sizeof(*e->channels));
    for (size_t i = 0; i < count; i++) {
        struct str item = arena_printf(c->arena, "%.*s.%zu", STR_ARG(field), i);
        if (items[i].kind == JSON_STRING)
            add_channel(e, unescape(c, bag, item, &items[i]));
        else
            complain_of_field(c, bag, item, "must be a string.");
    }
}

static void read_one_channel(struct call *c, cJSON *bag, struct event *e)
{
    const struct json_slice *v = check_string(c, bag, e, "channel", false);
    if (!v)
        return;
    e->channels = arena_alloc(c->arena, sizeof(*e->channels));
    add_channel(e, unescape(c, bag, field_name(c, e, "channel"), v));
}

static void read_channels(struct call *c, cJSON *bag, struct event *e)
{
    const struct json_slice *list = find(e, "channels"), *one = find(e, "channel");
    if (!is_missing(list)) {
        read_channel_list(c, bag, e, list);
    } else if (!is_missing(one)) {
        read_one_channel(c, bag, e);
    } else {
        complain_of_field(c, bag, STR("channels"), "is required when channel is not present.");
        complain_of_field(c, bag, STR("channel"), "is required when channels is not present.");
    }
}

/* An item of a batch has one channel. */
static void read_item_channel(struct call *c, cJSON *bag, struct event *e)
{
    if (is_missing(find(e, "channel")))
        complain_of_field(c, bag, field_name(c, e, "channel"), "is required.");
    else
        read_one_channel(c, bag, e);
}

/* Reads what events and items of a batch have in common. */
static void read_event(struct call *c, cJSON *bag, struct event *e)
{
    const struct json_slice *name = check_string(c, bag, e, "name", true);
    const struct json_slice *data = check_string(c, bag, e, "data", true);
    if (name)
        e->name_json = name->text;
    if (data)
        e->data_json = data->text;
    e->socket_id = unescape(c, bag, field_name(c, e, "socket_id"),
                            check_string(c, bag, e, "socket_id", false));
    e->info = unescape(c, bag, field_name(c, e, "info"), check_string(c, bag, e, "info", false));
}

static void publish(const struct call *c, const struct event *e)
{
    for (size_t i = 0; i < e->channel_count; i++) {
        struct hub_relay_event out = {.channel = e->channels[i],
                                      .event_json = e->name_json,
                                      .data_json = e->data_json,
                                      .except_socket_id = e->socket_id};
        hub_relay_send(hub_relay_of(c->hub), c->app, &out);
    }
}

/* ---- info ---- */

static bool info_has(struct str info, struct str attribute)
{
    for (struct str rest = info; rest.len > 0;)
        if (str_eq(str_trim(str_cut(rest, ',', &rest)), attribute))
            return true;
    return false;
}

/* An answer that waits for the counts: one line for each channel that was published to. */
struct info {
    struct http_exchange *x;
    bool is_batch;
    struct str *channels;
    bool *wants_count;
    size_t count;
};

static cJSON *describe(const struct info *info, size_t i, uint64_t subscribers)
{
    cJSON *attributes = cJSON_CreateObject();
    // A presence channel has users, not subscribers.
    bool is_counted = !str_starts(info->channels[i], STR("presence"));
    if (info->wants_count[i] && is_counted)
        cJSON_AddNumberToObject(attributes, "subscription_count", (double)subscribers);
    return attributes;
}

static void on_counted(void *ctx, const uint64_t *counts, size_t count)
{
    struct info *info = ctx;
    cJSON *root = cJSON_CreateObject();
    cJSON *list = info->is_batch ? cJSON_AddArrayToObject(root, "batch")
                                 : cJSON_AddObjectToObject(root, "channels");
    for (size_t i = 0; i < count; i++) {
        cJSON *attributes = describe(info, i, counts[i]);
        if (info->is_batch)
            cJSON_AddItemToArray(list, attributes);
        else
            cJSON_AddItemToObject(list, arena_str(&info->x->arena, info->channels[i]).at,
                                  attributes);
    }
    struct buf body;
    buf_init(&body, 16 * (size_t)MAX_BODY_BYTES);
    if (json_print(root, &body) == OK)
        http_reply(info->x, 200, json_text,
                   (struct str){(const char *)buf_head(&body), buf_len(&body)});
    else
        reply_text(info->x, 500, "Internal server error.");
    buf_done(&body);
    cJSON_Delete(root);
}

static struct info *info_new(struct call *c, bool is_batch, size_t max)
{
    struct info *info = ARENA_NEW(c->arena, struct info);
    info->x = c->x;
    info->is_batch = is_batch;
    info->channels = arena_alloc(c->arena, (max + 1) * sizeof(*info->channels));
    info->wants_count = arena_alloc(c->arena, max + 1);
    return info;
}

static void info_add(struct info *info, const struct event *e, size_t channel)
{
    info->channels[info->count] = e->channels[channel];
    info->wants_count[info->count++] = info_has(e->info, STR("subscription_count"));
}

static void ask(struct call *c, struct info *info)
{
    hub_relay_count(c->hub, c->app, info->channels, info->count, on_counted, info);
}

/* ---- handlers ---- */

static void on_events(struct http_exchange *x, void *ctx)
{
    struct call call, *c = &call;
    if (!begin(x, ctx, c))
        return;

    struct event *e = ARENA_NEW(c->arena, struct event);
    if (json_scan_object(x->req.body, e->fields, JSON_MAX_FIELDS, &e->field_count) != OK) {
        reply_text(x, 400, "The body must be a JSON object.");
        return;
    }
    cJSON *bag = cJSON_CreateObject();
    read_event(c, bag, e);
    read_channels(c, bag, e);
    if (reply_complaints(c, bag))
        return;

    publish(c, e);
    if (e->info.len == 0) {
        http_reply(x, 200, json_text, STR("{}"));
        return;
    }
    struct info *info = info_new(c, false, e->channel_count);
    for (size_t i = 0; i < e->channel_count; i++)
        info_add(info, e, i);
    ask(c, info);
}

/* The items of "batch", each read; NULL with complaints in bag. */
static struct event *read_batch(struct call *c, cJSON *bag, const struct json_slice *list,
                                size_t *count_out)
{
    struct json_slice *items = arena_alloc(c->arena, MAX_ITEMS * sizeof(*items));
    if (is_missing(list) || list->kind != JSON_ARRAY) {
        complain_of_field(c, bag, STR("batch"),
                          is_missing(list) ? "is required." : "must be an array.");
        return NULL;
    }
    if (json_scan_array(list->text, items, MAX_ITEMS, count_out) != OK) {
        complain_of_field(c, bag, STR("batch"), "must not have more than 1000 items.");
        return NULL;
    }
    struct event *events = arena_alloc(c->arena, *count_out * sizeof(*events));
    for (size_t i = 0; i < *count_out; i++) {
        struct event *e = &events[i];
        e->prefix = arena_printf(c->arena, "batch.%zu.", i);
        // What is not an object has no fields, and is told that they are missing.
        if (json_scan_object(items[i].text, e->fields, JSON_MAX_FIELDS, &e->field_count) != OK)
            e->field_count = 0;
        read_event(c, bag, e);
        read_item_channel(c, bag, e);
    }
    return events;
}

static void on_batch(struct http_exchange *x, void *ctx)
{
    struct call call, *c = &call;
    struct json_field fields[JSON_MAX_FIELDS];
    size_t field_count, count = 0;
    if (!begin(x, ctx, c))
        return;
    if (json_scan_object(x->req.body, fields, JSON_MAX_FIELDS, &field_count) != OK) {
        reply_text(x, 400, "The body must be a JSON object.");
        return;
    }
    cJSON *bag = cJSON_CreateObject();
    struct event *events =
        read_batch(c, bag, json_field_find(fields, field_count, STR("batch")), &count);
    if (reply_complaints(c, bag))
        return;

    struct info *info = info_new(c, true, count);
    bool wants_info = false;
    for (size_t i = 0; i < count; i++) {
        publish(c, &events[i]);
        info_add(info, &events[i], 0);
        wants_info |= events[i].info.len > 0;
    }
    if (wants_info)
        ask(c, info);
    else
        http_reply(x, 200, json_text, STR("{\"batch\":{}}"));
}

static void on_socket(struct http_exchange *x, void *ctx)
{
    hub_accept(ctx, x, x->params[0]);
}

static void on_xhr_streaming(struct http_exchange *x, void *ctx)
{
    hub_xhr_receive(ctx, x, false);
}

static void on_xhr(struct http_exchange *x, void *ctx)
{
    hub_xhr_receive(ctx, x, true);
}

static void on_xhr_send(struct http_exchange *x, void *ctx)
{
    hub_xhr_send(ctx, x);
}

static void on_xhr_options(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    hub_xhr_preflight(x);
}

static void on_up(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    http_reply(x, 200, json_text, STR("{\"health\":\"OK\"}"));
}

const struct http_route api_hub_routes[] = {
    {HTTP_GET, "/app/{key}", on_socket, NULL, 0},
    {HTTP_POST, "/apps/{id}/events", on_events, NULL, MAX_BODY_BYTES},
    {HTTP_POST, "/apps/{id}/batch_events", on_batch, NULL, MAX_BODY_BYTES},
    {HTTP_POST, "/pusher/app/{key}/{n}/{session}/xhr_streaming", on_xhr_streaming, NULL, 0},
    {HTTP_POST, "/pusher/app/{key}/{n}/{session}/xhr", on_xhr, NULL, 0},
    {HTTP_POST, "/pusher/app/{key}/{n}/{session}/xhr_send", on_xhr_send, NULL, 0},
    {HTTP_OPTIONS, "/pusher/app/{key}/{n}/{session}/{transport}", on_xhr_options, NULL, 0},
    {HTTP_GET, "/up", on_up, NULL, 0},
};
const size_t api_hub_route_count = sizeof(api_hub_routes) / sizeof(api_hub_routes[0]);
