#include "hub/hub_message.h"

#include <stdio.h>

#include "core/check.h"
#include "ws/ws_frame.h"

const struct str hub_message_ping = {"{\"event\":\"pusher:ping\"}", 23};
const struct str hub_message_pong = {"{\"event\":\"pusher:pong\"}", 23};

/* ---- from a client ---- */

/* Old clients send data as a string that holds JSON. */
static enum err open_data(const struct json_slice *data, struct arena *a, struct json_slice *out)
{
    struct str text;
    enum err err = json_unescape(data, a, &text);
    return err ? err : json_scan(text, out);
}

enum err hub_message_parse(struct str text, struct arena *a, struct hub_message *out)
{
    if (json_scan_object(text, out->fields, JSON_MAX_FIELDS, &out->field_count) != OK)
        return ERR_INVALID;
    const struct json_slice *event = json_field_find(out->fields, out->field_count, STR("event"));
    if (!event || event->kind != JSON_STRING || json_unescape(event, a, &out->event) != OK)
        return ERR_INVALID;

    out->channel = json_field_find(out->fields, out->field_count, STR("channel"));
    out->data = json_field_find(out->fields, out->field_count, STR("data"));
    if (out->data && out->data->kind == JSON_STRING && open_data(out->data, a, &out->opened) == OK)
        out->data = &out->opened;
    return OK;
}

/* Absent and null are both empty. */
static enum err optional_string(const struct json_slice *value, struct arena *a, struct str *out)
{
    *out = (struct str){0};
    if (!value || value->kind == JSON_NULL)
        return OK;
    return value->kind == JSON_STRING ? json_unescape(value, a, out) : ERR_INVALID;
}

/* Sixteen hexadecimal digits. */
static enum err parse_stream_id(struct str text, uint64_t *out)
{
    if (text.len != 16)
        return ERR_INVALID;
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *out = *out << 4 | (uint64_t)(c - 'a' + 10);
        else
            return ERR_INVALID;
    }
    return OK;
}

/* A stream id that is not one of ours is of another server: the position counts for nothing, which
 * the client must learn. */
static enum err parse_recover(const struct json_slice *recover, struct arena *a,
                              struct hub_message_subscribe *out)
{
    struct json_field fields[JSON_MAX_FIELDS];
    size_t count;
    struct str id;
    int64_t serial = 0;
    if (!recover || recover->kind == JSON_NULL)
        return OK;
    if (json_scan_object(recover->text, fields, JSON_MAX_FIELDS, &count) != OK)
        return ERR_INVALID;
    out->has_recover = true;
    const struct json_slice *serial_json = json_field_find(fields, count, STR("serial"));
    if (optional_string(json_field_find(fields, count, STR("stream_id")), a, &id) != OK ||
        optional_string(json_field_find(fields, count, STR("socket_id")), a, &out->old_socket_id) !=
            OK)
        return ERR_INVALID;
    if (id.len == 0)
        return OK;
    if (!serial_json || json_slice_int(serial_json, &serial) != OK || serial < 0)
        return ERR_INVALID;
    out->has_position = true;
    out->serial = (uint64_t)serial;
    if (parse_stream_id(id, &out->stream_id) != OK)
        out->stream_id = 0;
    return OK;
}

enum err hub_message_parse_subscribe(const struct hub_message *m, struct arena *a,
                                     struct hub_message_subscribe *out)
{
    struct json_field fields[JSON_MAX_FIELDS];
    size_t count;
    if (!m->data || json_scan_object(m->data->text, fields, JSON_MAX_FIELDS, &count) != OK)
        return ERR_INVALID;

    *out = (struct hub_message_subscribe){0};
    const struct json_slice *channel = json_field_find(fields, count, STR("channel"));
    if (channel && channel->kind == JSON_NUMBER) // a name of digits that lost its quotes
        out->channel = channel->text;
    else if (optional_string(channel, a, &out->channel) != OK)
        return ERR_INVALID;
    if (out->channel.len == 0)
        return ERR_INVALID;

    if (optional_string(json_field_find(fields, count, STR("auth")), a, &out->auth) != OK)
        return ERR_INVALID;
    if (optional_string(json_field_find(fields, count, STR("channel_data")), a,
                        &out->channel_data) != OK)
        return ERR_INVALID;
    if (parse_recover(json_field_find(fields, count, STR("recover")), a, out) != OK)
        return ERR_INVALID;
    struct json_slice ignored;
    return out->channel_data.len > 0 ? json_scan(out->channel_data, &ignored) : OK;
}

enum err hub_message_parse_user(struct str channel_data, struct arena *a,
                                struct hub_message_user *out)
{
    struct json_field fields[JSON_MAX_FIELDS];
    size_t count;
    *out = (struct hub_message_user){.info_json = STR("{}")};
    enum err err = json_scan_object(channel_data, fields, JSON_MAX_FIELDS, &count);
    if (err == ERR_TOO_LARGE)
        return ERR_INVALID; // somebody, but who?
    if (err)
        return OK; // a value without fields names nobody
    const struct json_slice *id = json_field_find(fields, count, STR("user_id"));
    const struct json_slice *info = json_field_find(fields, count, STR("user_info"));
    if (info && info->kind != JSON_NULL)
        out->info_json = info->text;
    if (!id || id->kind == JSON_NULL)
        return OK;
    out->id_json = id->text;
    if (id->kind == JSON_NUMBER)
        out->key = id->text;
    else if (json_unescape(id, a, &out->key) != OK)
        return ERR_INVALID;
    return out->key.len > 0 ? OK : ERR_INVALID;
}

/* ---- to a client ---- */

static void put(struct buf *out, struct str text)
{
    CHECK(buf_append(out, text.at, text.len) == OK);
}

static void put_string(struct buf *out, struct str text)
{
    CHECK(json_write_string(out, text) == OK);
}

static void put_int(struct buf *out, int64_t value)
{
    CHECK(json_write_int(out, value) == OK);
}

/* {"event":E,"data":"<text>" -- without the closing brace */
static void put_event(struct buf *out, const char *event, struct str data)
{
    put(out, STR("{\"event\":"));
    put_string(out, str_of(event));
    put(out, STR(",\"data\":"));
    put_string(out, data);
}

void hub_message_established(struct buf *out, struct str socket_id, int64_t activity_timeout_s)
{
    char data[128];
    int len = snprintf(data, sizeof(data), "{\"socket_id\":\"%.*s\",\"activity_timeout\":%lld}",
                       STR_ARG(socket_id), (long long)activity_timeout_s);
    put_event(out, "pusher:connection_established", (struct str){data, (size_t)len});
    put(out, STR("}"));
}

void hub_message_error(struct buf *out, int code, struct str message)
{
    struct buf data;
    buf_init(&data, out->max);
    put(&data, STR("{\"code\":"));
    put_int(&data, code);
    put(&data, STR(",\"message\":"));
    put_string(&data, message);
    put(&data, STR("}"));
    put_event(out, "pusher:error", (struct str){(const char *)buf_head(&data), buf_len(&data)});
    put(out, STR("}"));
    buf_done(&data);
}

void hub_message_signed_in(struct buf *out, struct str user_data_json)
{
    struct buf data;
    buf_init(&data, 32 + user_data_json.len);
    put(&data, STR("{\"user_data\":"));
    put(&data, user_data_json);
    put(&data, STR("}"));
    put_event(out, "pusher:signin_success",
              (struct str){(const char *)buf_head(&data), buf_len(&data)});
    put(out, STR("}"));
    buf_done(&data);
}

void hub_message_watchlist(struct buf *out, const char *what, struct str user_id)
{
    struct buf data;
    buf_init(&data, 128 + 6 * user_id.len);
    CHECK(buf_printf(&data, "{\"events\":[{\"name\":\"%s\",\"user_ids\":[", what) == OK);
    put_string(&data, user_id);
    put(&data, STR("]}]}"));
    put_event(out, "pusher_internal:watchlist_events",
              (struct str){(const char *)buf_head(&data), buf_len(&data)});
    put(out, STR("}"));
    buf_done(&data);
}

void hub_message_subscribed(struct buf *out, struct str channel)
{
    put_event(out, "pusher_internal:subscription_succeeded", STR("{}"));
    put(out, STR(",\"channel\":"));
    put_string(out, channel);
    put(out, STR("}"));
}

void hub_message_subscription_error(struct buf *out, struct str channel, struct str type,
                                    struct str error, int status)
{
    put(out, STR("{\"event\":\"pusher:subscription_error\",\"channel\":"));
    put_string(out, channel);
    put(out, STR(",\"data\":{\"type\":"));
    put_string(out, type);
    put(out, STR(",\"error\":"));
    put_string(out, error);
    put(out, STR(",\"status\":"));
    put_int(out, status);
    put(out, STR("}}"));
}

/* ---- frames ---- */

void hub_message_init(struct buf *out, size_t content_bytes)
{
    buf_init(out, 1024 + 6 * content_bytes); // an escape takes up to six bytes
}

/* Leaves room for the header, whose length the text decides; where the frame begins. */
static size_t begin_frame(struct buf *out)
{
    static const uint8_t room[WS_FRAME_MAX_HEADER_BYTES] = {0};
    size_t at = buf_len(out);
    CHECK(buf_append(out, room, sizeof(room)) == OK);
    return at;
}

/* All that was put since is the frame's text. */
static void end_frame(struct buf *out, size_t at)
{
    uint8_t *head = out->bytes + out->start + at;
    const uint8_t *text = head + WS_FRAME_MAX_HEADER_BYTES;
    size_t len = buf_len(out) - at - WS_FRAME_MAX_HEADER_BYTES;
    struct ws_frame frame = {.opcode = WS_TEXT, .fin = true, .size_bytes = len};
    size_t header_len = ws_frame_write(&frame, head);
    memmove(head + header_len, text, len);
    buf_trim(out, WS_FRAME_MAX_HEADER_BYTES - header_len);
}

void hub_message_event_frame(struct buf *out, struct str event_json, struct str data_json,
                             struct str channel)
{
    size_t at = begin_frame(out);
    put(out, STR("{\"event\":"));
    put(out, event_json);
    put(out, STR(",\"data\":"));
    put(out, data_json);
    put(out, STR(",\"channel\":"));
    put_string(out, channel);
    put(out, STR("}"));
    end_frame(out, at);
}

void hub_message_client_event_frame(struct buf *out, struct str event_json, struct str data_json,
                                    struct str channel, struct str user_id_json)
{
    size_t at = begin_frame(out);
    put(out, STR("{\"event\":"));
    put(out, event_json);
    put(out, STR(",\"channel\":"));
    put_string(out, channel);
    put(out, STR(",\"data\":"));
    put(out, data_json);
    if (user_id_json.len > 0) {
        put(out, STR(",\"user_id\":"));
        put(out, user_id_json);
    }
    put(out, STR("}"));
    end_frame(out, at);
}

void hub_message_internal_frame(struct buf *out, const char *event, struct str data,
                                struct str channel)
{
    size_t at = begin_frame(out);
    put_event(out, event, data);
    put(out, STR(",\"channel\":"));
    put_string(out, channel);
    put(out, STR("}"));
    end_frame(out, at);
}

void hub_message_skip_frame(struct buf *out, struct str channel, uint64_t serial)
{
    char data[48];
    int len = snprintf(data, sizeof(data), "{\"serial\":%llu}", (unsigned long long)serial);
    hub_message_internal_frame(out, "pusher_internal:skip", (struct str){data, (size_t)len},
                               channel);
}

void hub_message_position_frame(struct buf *out, struct str channel, uint64_t stream_id,
                                uint64_t serial)
{
    char data[80];
    int len = snprintf(data, sizeof(data), "{\"stream_id\":\"%016llx\",\"serial\":%llu}",
                       (unsigned long long)stream_id, (unsigned long long)serial);
    hub_message_internal_frame(out, "pusher_internal:position", (struct str){data, (size_t)len},
                               channel);
}

void hub_message_cache_miss_frame(struct buf *out, struct str channel)
{
    size_t at = begin_frame(out);
    put(out, STR("{\"event\":\"pusher:cache_miss\",\"channel\":"));
    put_string(out, channel);
    put(out, STR("}"));
    end_frame(out, at);
}

void hub_message_subscription_error_frame(struct buf *out, struct str channel, struct str type,
                                          struct str error, int status)
{
    size_t at = begin_frame(out);
    hub_message_subscription_error(out, channel, type, error, status);
    end_frame(out, at);
}
