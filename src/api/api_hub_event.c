#include "api/api_hub_event.h"

enum { MAX_IDEMPOTENCY_KEY_BYTES = 128 };

/* ---- reading ---- */

bool api_hub_event_is_missing(const struct json_slice *v)
{
    if (!v || v->kind == JSON_NULL)
        return true;
    if (v->kind != JSON_STRING && v->kind != JSON_ARRAY && v->kind != JSON_OBJECT)
        return false;
    return str_trim((struct str){v->text.at + 1, v->text.len - 2}).len == 0;
}

struct reader {
    const struct json_field *fields;
    size_t count;
    struct api_hub_bag *bag;
    struct api_hub_event *event;
};

static const struct json_slice *find(const struct reader *r, const char *name)
{
    return json_field_find(r->fields, r->count, str_of(name));
}

static struct str full_name(const struct reader *r, const char *name)
{
    return arena_printf(r->bag->call->arena, "%.*s%s", STR_ARG(r->event->prefix), name);
}

static void complain(struct reader *r, const char *name, const char *what)
{
    api_hub_bag_add(r->bag, full_name(r, name), what);
}

static bool is_string(struct reader *r, const char *name, const struct json_slice *v)
{
    if (v->kind == JSON_STRING)
        return true;
    complain(r, name, "must be a string.");
    return false;
}

/* As it stands; empty with a complaint. */
static struct str read_required(struct reader *r, const char *name)
{
    const struct json_slice *v = find(r, name);
    if (api_hub_event_is_missing(v))
        complain(r, name, "is required.");
    else if (is_string(r, name, v))
        return v->text;
    return STR("");
}

static struct str unescape(struct reader *r, const char *name, const struct json_slice *v)
{
    struct str text = {0};
    if (is_string(r, name, v) && json_unescape(v, r->bag->call->arena, &text) != OK)
        complain(r, name, "must be a string.");
    return text;
}

static struct str read_optional(struct reader *r, const char *name)
{
    const struct json_slice *v = find(r, name);
    return v ? unescape(r, name, v) : STR("");
}

/* The same channel twice gets the event once. */
static void add_channel(struct api_hub_event *e, struct str channel)
{
    for (size_t i = 0; i < e->channel_count; i++)
        if (str_eq(e->channels[i], channel))
            return;
    e->channels[e->channel_count++] = channel;
}

static void read_channel_list(struct reader *r, const struct json_slice *list)
{
    struct arena *a = r->bag->call->arena;
    struct json_slice *items = arena_alloc(a, API_HUB_EVENT_MAX_ITEMS * sizeof(*items));
    size_t count;
    if (list->kind != JSON_ARRAY) {
        complain(r, "channels", "must be an array.");
        return;
    }
    if (json_scan_array(list->text, items, API_HUB_EVENT_MAX_ITEMS, &count) != OK) {
        complain(r, "channels", "must not have more than 1000 items.");
        return;
    }
    r->event->channels = arena_alloc(a, (count + 1) * sizeof(*r->event->channels));
    for (size_t i = 0; i < count; i++)
        add_channel(r->event, unescape(r, arena_printf(a, "channels.%zu", i).at, &items[i]));
}

static void read_one_channel(struct reader *r)
{
    struct api_hub_event *e = r->event;
    e->channels = arena_alloc(r->bag->call->arena, sizeof(*e->channels));
    add_channel(e, unescape(r, "channel", find(r, "channel")));
}

static void read_channels(struct reader *r)
{
    const struct json_slice *list = find(r, "channels");
    if (!api_hub_event_is_missing(list)) {
        read_channel_list(r, list);
    } else if (!api_hub_event_is_missing(find(r, "channel"))) {
        read_one_channel(r);
    } else {
        complain(r, "channels", "is required when channel is not present.");
        complain(r, "channel", "is required when channels is not present.");
    }
}

static void read_item_channel(struct reader *r)
{
    if (api_hub_event_is_missing(find(r, "channel")))
        complain(r, "channel", "is required when channels is not present.");
    else
        read_one_channel(r);
}

void api_hub_event_read(const struct json_field *fields, size_t count, bool is_item,
                        struct api_hub_bag *bag, struct api_hub_event *e)
{
    struct reader r = {fields, count, bag, e};
    e->name_json = read_required(&r, "name");
    e->data_json = read_required(&r, "data");
    if (is_item)
        read_item_channel(&r);
    else
        read_channels(&r);
    e->socket_id = read_optional(&r, "socket_id");
    e->info = read_optional(&r, "info");
    e->idempotency_key = read_optional(&r, "idempotency_key");
    if (e->idempotency_key.len > MAX_IDEMPOTENCY_KEY_BYTES)
        complain(&r, "idempotency_key", "must not be greater than 128 characters.");
}

/* ---- limits ---- */

/* Of the characters, not of their escapes. max 0: no limit. */
static bool is_longer(const struct api_hub_call *call, struct str json, size_t max)
{
    struct str text;
    if (max == 0 || json.len - 2 <= max) // no escape is shorter than what it stands for
        return false;
    return json_unescape(&(struct json_slice){JSON_STRING, json}, call->arena, &text) != OK ||
           text.len > max;
}

/* Pusher's rule. */
static bool is_strict_channel(const struct hub_app *app, struct str name)
{
    size_t start = name.len > 0 && name.at[0] == '#';
    return name.len > start && name.len <= app->max_channel_name_bytes &&
           hub_is_plain_channel((struct str){name.at + start, name.len - start});
}

static bool is_reserved(const struct api_hub_call *call, struct str name_json)
{
    struct str name;
    return json_unescape(&(struct json_slice){JSON_STRING, name_json}, call->arena, &name) != OK ||
           str_starts(name, STR("pusher:")) || str_starts(name, STR("pusher_internal:"));
}

static bool refuse(const struct api_hub_call *call, int status, struct str why)
{
    http_reply(call->x, status, "text/plain; charset=utf-8", why);
    return false;
}

static bool check_strict(const struct api_hub_call *call, const struct api_hub_event *e)
{
    if (is_reserved(call, e->name_json))
        return refuse(call, 400, STR("Event names that begin with pusher are reserved."));
    for (size_t i = 0; i < e->channel_count; i++)
        if (!is_strict_channel(call->app, e->channels[i]))
            return refuse(call, 400,
                          arena_printf(call->arena, "The channel name [%.*s] is not valid.",
                                       STR_ARG(e->channels[i])));
    return true;
}

bool api_hub_event_check(const struct api_hub_call *call, const struct api_hub_event *e)
{
    const struct hub_app *app = call->app;
    if (is_longer(call, e->name_json, app->max_event_name_bytes))
        return refuse(call, 400,
                      arena_printf(call->arena, "The event name is longer than %zu bytes.",
                                   app->max_event_name_bytes));
    if (is_longer(call, e->data_json, app->max_event_payload_bytes))
        return refuse(call, 413,
                      arena_printf(call->arena, "The event data is larger than %zu bytes.",
                                   app->max_event_payload_bytes));
    if (app->max_event_channels > 0 && e->channel_count > (size_t)app->max_event_channels)
        return refuse(call, 400,
                      arena_printf(call->arena, "The event has more than %lld channels.",
                                   (long long)app->max_event_channels));
    return !app->is_strict || check_strict(call, e);
}

struct hub_relay_event api_hub_event_on(const struct api_hub_event *e, size_t channel)
{
    return (struct hub_relay_event){
        .channel = e->channels[channel],
        .event_json = e->name_json,
        .data_json = e->data_json,
        .except_socket_id = e->socket_id,
        .idempotency_key = e->idempotency_key,
    };
}
