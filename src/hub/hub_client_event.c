#include "hub/hub_client_event.h"

#include "hub/hub_catchup.h"
#include "hub/hub_post.h"
#include "hub/hub_watch.h"

/* Forwarded: event, channel and data byte for byte, and who says it as the signature had it. What
 * else the client wrote is not, so it can pretend nothing. */
static void forward(struct hub_socket *s, const struct hub_message *m, struct str channel,
                    const struct hub_subscription *sub)
{
    const struct json_slice *event = json_field_find(m->fields, m->field_count, STR("event"));
    struct str data = m->data ? m->data->text : STR("null");
    struct str user_id = sub && sub->subscriber ? sub->subscriber->id_json : STR("");
    struct buf frame;
    hub_message_init(&frame, event->text.len + data.len + channel.len + user_id.len);
    hub_message_client_event_frame(&frame, event->text, data, channel, user_id);
    hub_post_to_owner(
        s->hub->relay, s->hub,
        hub_post_new(s->hub->relay, &(struct hub_publication){
                                        .kind = HUB_CLIENT_EVENT,
                                        .app = s->tenant->app,
                                        .channel = channel,
                                        .frame = {(const char *)buf_head(&frame), buf_len(&frame)},
                                        .except_socket_id = str_of(s->id),
                                    }));
    buf_done(&frame);
    hub_hook_add(s->hub->webhooks, s->tenant->app,
                 &(struct hub_hook_event){
                     .kind = HUB_HOOK_CLIENT_EVENT,
                     .channel = channel,
                     .event = m->event,
                     .data_json = data,
                     .socket_id = str_of(s->id),
                     .user_id = sub && sub->subscriber ? sub->subscriber->key : STR(""),
                 });
}

/* NULL: it may be sent. */
static const char *why_not(struct hub_socket *s, struct str event, struct str data,
                           struct hub_channel_type type, struct str channel)
{
    const struct hub_app *app = s->tenant->app;
    bool is_encrypted = str_starts(channel, STR("private-encrypted-"));
    if (app->client_events == HUB_CLIENT_EVENTS_NONE)
        return "The app does not have client messaging enabled.";
    if (app->is_strict && (!type.is_guarded || is_encrypted))
        return "Client events are for private and presence channels.";
    if (app->max_client_event_name_bytes > 0 && event.len > app->max_client_event_name_bytes)
        return "The event name is too long.";
    if (app->max_client_event_payload_bytes > 0 && data.len > app->max_client_event_payload_bytes)
        return "The event data is too large.";
    if (app->max_client_events_per_s > 0 &&
        !hub_limit_take(&hub_socket_limits(s)->client_events, s->active_at_ms,
                        app->max_client_events_per_s, 1000)) {
        hub_meter_add(&s->tenant->meter, HUB_METER_RATE_LIMITED, 1);
        return "Rate limit exceeded";
    }
    return NULL;
}

static void refuse(struct hub_socket *s, struct str channel, int code, struct str why)
{
    hub_watch_socket(s, (struct hub_watch_event){.kind = HUB_WATCH_REFUSED_CLIENT_EVENT,
                                                 .channel = channel,
                                                 .code = code,
                                                 .why = why});
    hub_socket_send_error(s, code, why);
}

void hub_client_event(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    struct str channel;
    bool has_channel = m->channel && m->channel->kind == JSON_STRING &&
                       json_unescape(m->channel, a, &channel) == OK;
    bool has_data_or_none = !m->data || m->data->kind == JSON_OBJECT ||
                            m->data->kind == JSON_ARRAY || m->data->kind == JSON_NULL;
    if (!has_channel || !has_data_or_none) {
        hub_socket_send_bad_message(s);
        return;
    }
    if (!str_starts(m->event, STR("client-")))
        return;
    const struct hub_app *app = s->tenant->app;
    const char *why = why_not(s, m->event, m->data ? m->data->text : STR(""),
                              hub_channel_type_of(channel, app->is_strict), channel);
    const struct hub_subscription *sub = hub_socket_find_by_name(s, channel);
    bool is_member = sub && (sub->index != HUB_CHANNEL_PENDING || hub_catchup_is_behind(sub));
    if (why)
        refuse(s, channel, HUB_ERROR_CLIENT_EVENT, str_of(why));
    else if (!is_member && (app->is_strict || app->client_events == HUB_CLIENT_EVENTS_MEMBERS))
        refuse(s, channel, HUB_ERROR_UNAUTHORIZED,
               STR("The client is not a member of the specified channel."));
    else
        forward(s, m, channel, sub);
}
