#include "hub/hub_client_event.h"

#include "hub/hub_post.h"

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
        s->hub->relay,
        hub_post_new(s->hub->relay, &(struct hub_publication){
                                        .kind = HUB_CLIENT_EVENT,
                                        .app = s->tenant->app,
                                        .channel = channel,
                                        .frame = {(const char *)buf_head(&frame), buf_len(&frame)},
                                        .except_socket_id = str_of(s->id),
                                    }));
    buf_done(&frame);
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
    enum hub_client_events from = s->tenant->app->client_events;
    const struct hub_subscription *sub = hub_socket_find_by_name(s, channel);
    if (from == HUB_CLIENT_EVENTS_NONE)
        hub_socket_send_error(s, HUB_ERROR_CLIENT_EVENT,
                              STR("The app does not have client messaging enabled."));
    else if (from == HUB_CLIENT_EVENTS_MEMBERS && (!sub || sub->index == HUB_CHANNEL_PENDING))
        hub_socket_send_error(s, HUB_ERROR_UNAUTHORIZED,
                              STR("The client is not a member of the specified channel."));
    else
        forward(s, m, channel, sub);
}
