/* fuzz_hub_message.c -- whatever a client sends:
 *
 *  - what was understood of it is UTF-8, and its slices are JSON values
 *  - every frame that repeats it to others is one text frame of one JSON object, which says the
 * same again, data byte for byte
 */
#include "core/check.h"
#include "core/utf8.h"
#include "hub/hub_message.h"
#include "ws/ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str text_of(const struct buf *b)
{
    return (struct str){(const char *)buf_head(b), buf_len(b)};
}

/* The JSON of the one frame that is all of out. */
static struct str unframe(const struct buf *out)
{
    struct ws_frame frame;
    size_t header_len;
    CHECK(ws_frame_parse(buf_head(out), buf_len(out), &frame, &header_len) == OK);
    CHECK(frame.fin && frame.opcode == WS_TEXT && !frame.masked);
    CHECK(header_len + frame.size_bytes == buf_len(out));
    return (struct str){(const char *)buf_head(out) + header_len, frame.size_bytes};
}

struct object {
    struct json_field fields[JSON_MAX_FIELDS];
    size_t count;
};

static void split(struct str json, struct object *out)
{
    CHECK(utf8_is_valid(json));
    CHECK(json_scan_object(json, out->fields, JSON_MAX_FIELDS, &out->count) == OK);
}

static const struct json_slice *get(const struct object *o, const char *name)
{
    const struct json_slice *value = json_field_find(o->fields, o->count, str_of(name));
    CHECK(value);
    return value;
}

static void check_text(const struct object *o, const char *name, struct str want, struct arena *a)
{
    struct str got;
    CHECK(json_unescape(get(o, name), a, &got) == OK);
    CHECK(str_eq(got, want));
}

/* A message of the protocol's own, whose data is a string that holds JSON: splits that too. */
static void check_internal(struct str json, struct object *message, struct object *data,
                           struct arena *a)
{
    struct str text;
    split(json, message);
    CHECK(json_unescape(get(message, "data"), a, &text) == OK);
    split(text, data);
}

static void check_client_event(const struct hub_message *m, struct str channel,
                               struct str user_id_json, struct arena *a)
{
    const struct json_slice *event = json_field_find(m->fields, m->field_count, STR("event"));
    struct str data = m->data ? m->data->text : STR("null");
    struct object o;
    struct buf out;
    hub_message_init(&out, event->text.len + data.len + channel.len + user_id_json.len);
    hub_message_client_event_frame(&out, event->text, data, channel, user_id_json);
    split(unframe(&out), &o);
    check_text(&o, "event", m->event, a);
    check_text(&o, "channel", channel, a);
    CHECK(str_eq(get(&o, "data")->text, data));
    if (user_id_json.len > 0)
        CHECK(str_eq(get(&o, "user_id")->text, user_id_json));
    buf_done(&out);

    hub_message_init(&out, event->text.len + data.len + channel.len);
    hub_message_event_frame(&out, event->text, data, channel);
    split(unframe(&out), &o);
    check_text(&o, "channel", channel, a);
    CHECK(str_eq(get(&o, "data")->text, data));
    buf_done(&out);
}

static void check_refusal(struct str channel, struct arena *a)
{
    struct object o, data;
    struct buf out;
    hub_message_init(&out, channel.len);
    hub_message_subscription_error_frame(&out, channel, STR("AuthError"), STR("No."), 401);
    split(unframe(&out), &o);
    check_text(&o, "channel", channel, a);
    split(get(&o, "data")->text, &data);
    buf_done(&out);

    hub_message_init(&out, channel.len);
    hub_message_cache_miss_frame(&out, channel);
    split(unframe(&out), &o);
    check_text(&o, "channel", channel, a);
    buf_done(&out);

    hub_message_init(&out, channel.len);
    hub_message_subscribed(&out, channel);
    check_internal(text_of(&out), &o, &data, a);
    check_text(&o, "channel", channel, a);
    buf_done(&out);
}

/* What is told of a member to the others is what was signed. */
static void check_member(const struct hub_message_subscribe *ask, struct arena *a)
{
    struct hub_message_user user;
    struct json_slice value;
    struct object o;
    struct buf out;
    if (hub_message_parse_user(ask->channel_data, a, &user) != OK)
        return;
    CHECK((user.key.len > 0) == (user.id_json.len > 0));
    CHECK(utf8_is_valid(user.key));
    CHECK(json_scan(user.info_json, &value) == OK);
    if (user.id_json.len > 0)
        CHECK(json_scan(user.id_json, &value) == OK);

    hub_message_init(&out, 2 * ask->channel_data.len + ask->channel.len);
    hub_message_internal_frame(&out, "pusher_internal:member_added", ask->channel_data,
                               ask->channel);
    split(unframe(&out), &o);
    check_text(&o, "data", ask->channel_data, a);
    check_text(&o, "channel", ask->channel, a);
    buf_done(&out);
}

static void check_subscription(const struct hub_message *m, struct arena *a)
{
    struct hub_message_subscribe ask;
    struct json_slice value;
    if (hub_message_parse_subscribe(m, a, &ask) != OK)
        return;
    CHECK(ask.channel.len > 0);
    CHECK(utf8_is_valid(ask.channel) && utf8_is_valid(ask.auth) && utf8_is_valid(ask.channel_data));
    check_client_event(m, ask.channel, STR("\"u\""), a);
    check_refusal(ask.channel, a);
    if (ask.channel_data.len > 0) {
        CHECK(json_scan(ask.channel_data, &value) == OK);
        check_member(&ask, a);
    }
}

/* user_data goes back as the string that it came as. */
static void check_sign_in(const struct hub_message *m, struct arena *a)
{
    const struct json_slice *sent = json_field_find(m->fields, m->field_count, STR("data"));
    struct object o, data;
    struct buf out;
    if (!sent || sent->kind != JSON_STRING)
        return;
    hub_message_init(&out, 2 * sent->text.len);
    hub_message_signed_in(&out, sent->text);
    check_internal(text_of(&out), &o, &data, a);
    CHECK(str_eq(get(&data, "user_data")->text, sent->text));
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_message m;
    struct arena a;
    arena_init(&a);
    if (hub_message_parse((struct str){(const char *)data, size}, &a, &m) == OK) {
        struct json_slice value;
        struct str channel = STR("c");
        CHECK(utf8_is_valid(m.event));
        if (m.data)
            CHECK(json_scan(m.data->text, &value) == OK && value.kind == m.data->kind);
        if (m.channel && m.channel->kind == JSON_STRING &&
            json_unescape(m.channel, &a, &channel) != OK)
            channel = STR("c");
        check_client_event(&m, channel, (struct str){0}, &a);
        check_subscription(&m, &a);
        check_sign_in(&m, &a);
    }
    arena_done(&a);
    return 0;
}
