#include "hub/hub_subscribe.h"

#include "core/mem.h"
#include "hub/hub_auth.h"
#include "hub/hub_catchup.h"
#include "hub/hub_user.h"
#include "hub/hub_watch.h"

enum { STATUS_UNAUTHORIZED = 401, STATUS_LIMIT = 4009, STATUS_MEMBER_TOO_LARGE = 4301 };

/* ---- may it? ---- */

static void refuse(struct hub_socket *s, struct str channel, const char *type, const char *why,
                   int status)
{
    struct buf out;
    hub_socket_init_out(s, &out);
    hub_message_subscription_error(&out, channel, str_of(type), str_of(why), status);
    hub_socket_send_out(s, &out);
    hub_watch_socket(s, (struct hub_watch_event){.kind = HUB_WATCH_REFUSED_SUBSCRIPTION,
                                                 .channel = channel,
                                                 .code = status,
                                                 .why = str_of(why)});
}

/* Reverb's clients wait for the error, soketi's and Echo's for the channel's own: they get both. */
static void refuse_unauthorized(struct hub_socket *s, struct str channel)
{
    hub_socket_send_error(s, HUB_ERROR_UNAUTHORIZED, STR("Connection is unauthorized"));
    refuse(s, channel, "AuthError", "The connection is unauthorized.", STATUS_UNAUTHORIZED);
}

static bool may_be_named(struct hub_socket *s, struct str channel, struct hub_channel_type type)
{
    const struct hub_app *app = s->tenant->app;
    if (channel.len > app->max_channel_name_bytes)
        refuse(s, channel, "LimitReached", "The channel name is too long.", STATUS_LIMIT);
    else if (app->is_strict && !type.is_user && !hub_is_plain_channel(channel))
        refuse(s, channel, "LimitReached", "The channel name has characters that are not allowed.",
               STATUS_LIMIT);
    else
        return true;
    return false;
}

/* False when it was refused. Nothing is made before this says yes. */
static bool may_subscribe(struct hub_socket *s, const struct hub_message_subscribe *ask,
                          struct hub_channel_type type)
{
    const struct hub_app *app = s->tenant->app;
    if (!may_be_named(s, ask->channel, type))
        return false;
    bool is_signed = !type.is_guarded || hub_auth_channel_is_valid(app, str_of(s->id), ask->channel,
                                                                   ask->channel_data, ask->auth);
    if (!is_signed || (type.is_user && !hub_user_owns_channel(s, ask->channel))) {
        refuse_unauthorized(s, ask->channel);
        return false;
    }
    return true;
}

static bool is_member_too_large(const struct hub_app *app, const struct hub_message_subscribe *ask)
{
    return app->max_presence_member_bytes > 0 &&
           ask->channel_data.len > app->max_presence_member_bytes;
}

/* ---- subscribing ---- */

/* What somebody signed is believed only where a signature was needed. */
static enum err read_user(const struct hub_message_subscribe *ask, struct hub_channel_type type,
                          struct arena *a, struct hub_message_user *out)
{
    *out = (struct hub_message_user){0};
    if (!type.is_guarded || ask->channel_data.len == 0)
        return OK;
    return hub_message_parse_user(ask->channel_data, a, out);
}

static struct hub_subscriber *subscriber_new(struct hub_socket *s,
                                             const struct hub_message_user *user, bool is_member)
{
    if (user->key.len == 0)
        return NULL;
    struct hub_subscriber *who = mem_zalloc(sizeof(*who) + user->key.len + user->id_json.len);
    memcpy(who->bytes, user->key.at, user->key.len);
    memcpy(who->bytes + user->key.len, user->id_json.at, user->id_json.len);
    who->is_member = is_member;
    who->key = (struct str){who->bytes, user->key.len};
    who->id_json = (struct str){who->bytes + user->key.len, user->id_json.len};
    hub_identity_add(&who->identity, s, who->key);
    return who;
}

static void subscriber_free(struct hub_subscriber *who)
{
    if (!who)
        return;
    hub_identity_remove(&who->identity);
    mem_free(who);
}

static struct hub_subscription *subscription_new(struct hub_socket *s, struct str channel)
{
    struct hub_subscription *sub = hub_channel_join(s, channel);
    sub->next = s->subscriptions;
    s->subscriptions = sub;
    if (s->subscription_count++ == 0)
        s->tenant->subscribed++;
    hub_meter_add(&s->tenant->meter, HUB_METER_SUBSCRIBED, 1);
    return sub;
}

/* Tells the owner; then either it answers, or there is nothing to wait for. */
static void join(struct hub_socket *s, const struct hub_message_subscribe *ask,
                 struct hub_channel_type type, const struct hub_message_user *user)
{
    struct hub_subscription *sub = hub_socket_find_by_name(s, ask->channel);
    bool is_again = sub && !sub->is_waiting; // else the answer that comes is taken back
    if (!sub)
        sub = subscription_new(s, ask->channel);
    sub->ticket = ++s->last_ticket;
    struct hub_subscriber *was = sub->subscriber;
    sub->subscriber = subscriber_new(s, user, type.is_presence);

    bool is_waiting = type.is_presence || type.is_cache || ask->has_recover;
    struct hub_note note = {
        .kind = HUB_JOIN,
        .app = s->tenant->app,
        .from = s->hub,
        .channel = ask->channel,
        .socket_id = str_of(s->id),
        .ticket = sub->ticket,
        .is_waiting = is_waiting,
        .is_again = is_again,
        .recover = {.is_asked = ask->has_recover,
                    .has_position = ask->has_position,
                    .stream_id = ask->stream_id,
                    .serial = ask->serial,
                    .old_socket_id = ask->old_socket_id},
        .was_key = is_again && was && was->is_member ? was->key : STR(""),
        .was_recoverable = is_again && sub->catchup != NULL,
    };
    if (type.is_presence) {
        note.user_key = user->key;
        note.user_id_json = user->id_json;
        note.user_info_json = user->info_json;
        note.channel_data = ask->channel_data;
    }
    if (ask->has_recover)
        hub_catchup_ask(s, sub);
    else
        hub_catchup_end(sub);
    sub->is_waiting = is_waiting;
    if (is_waiting)
        s->waiting_count++;
    else
        hub_channel_activate(s, sub);
    hub_post_note(&note); // sub may be gone now
    subscriber_free(was);
    if (is_waiting)
        return;
    struct buf out;
    hub_socket_init_out(s, &out);
    hub_message_subscribed(&out, ask->channel);
    hub_socket_send_out(s, &out);
    hub_watch_note(s, HUB_WATCH_SUBSCRIBED, ask->channel);
}

void hub_subscribe(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    struct hub_message_subscribe ask;
    struct hub_message_user user;
    if (hub_message_parse_subscribe(m, a, &ask) != OK) {
        hub_socket_send_bad_message(s);
        return;
    }
    struct hub_channel_type type = hub_channel_type_of(ask.channel, s->tenant->app->is_strict);
    if (!may_subscribe(s, &ask, type))
        return;
    if (type.is_presence && ask.channel_data.len == 0)
        ask.channel_data = hub_user_channel_data(s);
    if (type.is_presence && is_member_too_large(s->tenant->app, &ask)) {
        refuse(s, ask.channel, "LimitReached", "The member's data is too large.",
               STATUS_MEMBER_TOO_LARGE);
        return;
    }
    if (read_user(&ask, type, a, &user) != OK) {
        hub_socket_send_bad_message(s);
        return;
    }
    // The second: who asks faster than owners answer must not fill their queues.
    if ((s->subscription_count >= s->tenant->app->max_channels &&
         !hub_socket_find_by_name(s, ask.channel)) ||
        s->waiting_count >= s->tenant->app->max_channels) {
        refuse(s, ask.channel, "LimitReached", "The connection has too many channels.",
               STATUS_LIMIT);
        return;
    }
    s->is_authorized = s->is_authorized || type.is_guarded;
    join(s, &ask, type, &user);
}

/* ---- leaving ---- */

/* Unlinks and frees what *link points to. */
static void drop(struct hub_socket *s, struct hub_subscription **link)
{
    struct hub_subscription *sub = *link;
    *link = sub->next;
    if (--s->subscription_count == 0)
        s->tenant->subscribed--;
    hub_channel_flush(sub->channel);
    hub_catchup_end(sub);
    hub_meter_add(&s->tenant->meter, HUB_METER_UNSUBSCRIBED, 1);
    hub_channel_leave(s, sub);
    subscriber_free(sub->subscriber);
    mem_free(sub);
}

static void leave(struct hub_socket *s, struct hub_subscription **link)
{
    const struct hub_subscription *sub = *link;
    struct arena a;
    if (sub->is_waiting) {
        drop(s, link); // hub_subscribe_answered sees to the rest
        return;
    }
    arena_init(&a);
    struct hub_note note = {
        .kind = HUB_LEAVE,
        .app = s->tenant->app,
        .from = s->hub,
        .channel = arena_str(&a, hub_channel_name(sub->channel)),
        .socket_id = str_of(s->id),
        .ticket = sub->ticket,
        .was_recoverable = sub->catchup != NULL,
    };
    if (sub->subscriber && sub->subscriber->is_member)
        note.user_key = arena_str(&a, sub->subscriber->key);
    drop(s, link); // before: the leaver hears nothing of its own leave
    hub_post_note(&note);
    hub_watch_note(s, HUB_WATCH_UNSUBSCRIBED, note.channel);
    arena_done(&a);
}

static struct hub_subscription **link_of(struct hub_socket *s, struct str channel)
{
    const struct hub_channel *c = hub_channel_find(s->tenant, channel);
    struct hub_subscription **link = &s->subscriptions;
    while (c && *link && (*link)->channel != c)
        link = &(*link)->next;
    return c && *link ? link : NULL;
}

void hub_subscribe_cancel(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    struct hub_message_subscribe ask;
    if (hub_message_parse_subscribe(m, a, &ask) != OK) {
        hub_socket_send_bad_message(s);
        return;
    }
    struct hub_subscription **link = link_of(s, ask.channel);
    if (link)
        leave(s, link);
}

void hub_subscribe_leave_all(struct hub_socket *s)
{
    while (s->subscriptions)
        leave(s, &s->subscriptions);
}

/* ---- the owner's answer ---- */

/* It left meanwhile, or asked again, and that answer will come. */
static void take_back(struct hub *h, const struct hub_answer *answer)
{
    if (answer->kind != HUB_JOIN || answer->is_refused)
        return;
    hub_post_note(&(struct hub_note){
        .kind = HUB_LEAVE,
        .app = answer->app,
        .from = h,
        .channel = answer->channel,
        .socket_id = answer->socket_id,
        .ticket = answer->ticket,
        .user_key = answer->user_key,
        .was_recoverable = answer->is_recoverable,
    });
}

void hub_subscribe_answered(struct hub *h, const struct hub_answer *answer)
{
    struct hub_socket *s = hub_socket_find(h, answer->socket_id);
    struct hub_subscription **link = s ? link_of(s, answer->channel) : NULL;
    if (s && answer->kind == HUB_JOIN)
        s->waiting_count--;
    if (!link || (*link)->ticket != answer->ticket) {
        take_back(h, answer);
        return;
    }
    struct hub_subscription *sub = *link;
    sub->is_waiting = false;
    const struct hub_page *page = &answer->page;
    hub_meter_add_frames(&s->tenant->meter, answer->frames);
    hub_meter_add_frames(&s->tenant->meter, page->frames);
    if (answer->is_refused) {
        drop(s, link);
        hub_watch_socket(s,
                         (struct hub_watch_event){.kind = HUB_WATCH_REFUSED_SUBSCRIPTION,
                                                  .channel = answer->channel,
                                                  .code = HUB_ERROR_OVER_CAPACITY,
                                                  .why = STR("The channel has too many members.")});
    } else if (!page->is_there) {
        hub_channel_activate(s, sub);
    }
    if (!answer->is_refused && answer->frames.len > 0)
        hub_watch_note(s, HUB_WATCH_SUBSCRIBED, answer->channel);
    if (answer->frames.len > 0)
        hub_socket_send_frames(s, answer->frames.at, answer->frames.len);
    if (page->is_there && sub->catchup)
        hub_catchup_take(sub, page);
}
