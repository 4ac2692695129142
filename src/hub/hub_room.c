#include "hub/hub_room.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/check.h"
#include "core/mem.h"
#include "hub/hub_channel.h"
#include "hub/hub_message.h"
#include "hub/hub_recovery.h"
#include "hub/hub_relay_internal.h"
#include "hub/hub_watch.h"

/* Of one app on one loop; the events that expire first make room. */
enum { MAX_CACHED_BYTES = 64 * 1024 * 1024 };

struct hub_cached {
    struct list node; // in tenant->cached
    struct hub_room *room;
    int64_t due_ms;
    size_t frame_len;
    char frame[];
};

/* ---- rooms ---- */

struct str hub_room_name(const struct hub_room *r)
{
    return (struct str){r->name, r->name_len};
}

struct hub_room *hub_room_find(struct hub_tenant *t, struct str channel)
{
    return map_find(&t->rooms, channel);
}

size_t hub_room_users(const struct hub_room *r)
{
    return r->roster ? r->roster->by_key.count : 0;
}

struct str hub_room_cached(const struct hub_room *r)
{
    return r->cached ? (struct str){r->cached->frame, r->cached->frame_len} : STR("");
}

int64_t hub_room_cached_ms(const struct hub_room *r)
{
    int64_t left_ms = r->cached ? r->cached->due_ms - io_loop_now_ms(r->tenant->hub->loop) : 0;
    return left_ms > 0 ? left_ms : 0;
}

bool hub_room_is_occupied(const struct hub_room *r)
{
    return r->subscribers > 0 || hub_room_users(r) > 0;
}

static struct hub_room *get_room(struct hub_tenant *t, struct str channel)
{
    struct hub_room *r = hub_room_find(t, channel);
    if (r)
        return r;
    r = mem_zalloc(offsetof(struct hub_room, name) + channel.len);
    r->tenant = t;
    r->name_len = (uint32_t)channel.len;
    memcpy(r->name, channel.at, channel.len);
    map_put(&t->rooms, hub_room_name(r), r);
    list_append(t->room_list.next, &r->node); // in front of the first
    return r;
}

static struct hub_roster *get_roster(struct hub_room *r)
{
    if (!r->roster) {
        r->roster = MEM_NEW(struct hub_roster);
        hub_roster_init(r->roster);
    }
    return r->roster;
}

static void drop_roster(struct hub_room *r)
{
    if (!r->roster)
        return;
    hub_roster_done(r->roster);
    mem_free(r->roster);
    r->roster = NULL;
}

/* With its room, which may exist for it alone: many small ones count as well. */
static size_t cached_bytes_of(const struct hub_cached *cached)
{
    return sizeof(*cached) + cached->frame_len + sizeof(*cached->room) + cached->room->name_len;
}

static void drop_cached(struct hub_room *r)
{
    struct hub_cached *cached = r->cached;
    if (!cached)
        return;
    r->tenant->cached_bytes -= cached_bytes_of(cached);
    list_remove(&cached->node);
    mem_free(cached);
    r->cached = NULL;
}

/* No walk may stand before a room that goes. */
static void step_over(struct hub_room *r)
{
    const struct list *walks = &r->tenant->walks;
    for (struct list *node = walks->next; node != walks; node = node->next) {
        struct hub_room_walk *w = LIST_ENTRY(node, struct hub_room_walk, node);
        if (w->next == &r->node)
            w->next = r->node.next;
    }
}

static void drop_room_when_idle(struct hub_room *r)
{
    if (r->cached || hub_room_is_occupied(r))
        return;
    step_over(r);
    list_remove(&r->node);
    map_remove(&r->tenant->rooms, hub_room_name(r));
    drop_roster(r);
    mem_free(r);
}

/* ---- what apps are told ---- */

static void tell_app(const struct hub_room *r, enum hub_hook_kind kind, struct str user_id)
{
    const struct hub_tenant *t = r->tenant;
    hub_hook_add(t->hub->webhooks, t->app,
                 &(struct hub_hook_event){
                     .kind = kind,
                     .channel = hub_room_name(r),
                     .user_id = user_id,
                     .count = r->subscribers,
                 });
}

/* After somebody left. A member whose leave is held back is still there. */
static void tell_when_vacated(const struct hub_room *r)
{
    if (!hub_room_is_occupied(r))
        tell_app(r, HUB_HOOK_CHANNEL_VACATED, STR(""));
}

/* After the number of subscribers has changed: their app is told, and they are, as it wants.
 * Presence channels have members instead. */
static void tell_count(const struct hub_room *r)
{
    const struct hub_app *app = r->tenant->app;
    if (app->webhook_count == 0 && !app->has_subscription_count)
        return;
    if (hub_channel_type_of(hub_room_name(r), app->is_strict).is_presence)
        return;
    if (app->webhook_count > 0)
        tell_app(r, HUB_HOOK_SUBSCRIPTION_COUNT, STR(""));
    if (app->has_subscription_count)
        hub_hold_add(&r->tenant->hub->counts, app,
                     &(struct hub_hook_event){.kind = HUB_HOOK_SUBSCRIPTION_COUNT,
                                              .channel = hub_room_name(r),
                                              .count = r->subscribers});
}

/* ---- walks ---- */

void hub_room_walk_start(struct hub_room_walk *w, struct hub_tenant *t)
{
    w->tenant = t;
    w->next = t->room_list.next;
    list_append(&t->walks, &w->node);
}

struct hub_room *hub_room_walk_next(struct hub_room_walk *w)
{
    struct list *node = w->next;
    if (node == &w->tenant->room_list) {
        hub_room_walk_end(w);
        return NULL;
    }
    w->next = node->next;
    return LIST_ENTRY(node, struct hub_room, node);
}

void hub_room_walk_end(struct hub_room_walk *w)
{
    list_remove(&w->node);
}

/* ---- events of the room's own ---- */

/* Members are told what happened; the event is neither cached nor a client's. */
static void tell_members(struct hub_room *r, const char *event, struct str data,
                         struct str except_socket_id)
{
    struct hub_tenant *t = r->tenant;
    struct buf frame;
    if (r->subscribers == 0)
        return;
    hub_message_init(&frame, 2 * data.len + r->name_len);
    hub_message_internal_frame(&frame, event, data, hub_room_name(r));
    hub_post_to_hubs(
        t->hub,
        hub_post_new(t->hub->relay, &(struct hub_publication){
                                        .kind = HUB_MEMBER_EVENT,
                                        .app = t->app,
                                        .channel = hub_room_name(r),
                                        .frame = {(const char *)buf_head(&frame), buf_len(&frame)},
                                        .except_socket_id = except_socket_id,
                                    }));
    buf_done(&frame);
}

void hub_room_tell_count(void *ctx, const struct hub_app *app, const struct hub_hook_event *event)
{
    struct hub_room *r = hub_room_find(hub_tenant_of(ctx, app), event->channel);
    char data[64];
    if (!r)
        return;
    int len = snprintf(data, sizeof(data), "{\"subscription_count\":%" PRIu64 "}", event->count);
    tell_members(r, "pusher_internal:subscription_count", (struct str){data, (size_t)len}, STR(""));
}

/* ---- presence ---- */

static void tell_removed(struct hub_room *r, const struct hub_member *m)
{
    struct buf data;
    buf_init(&data, 32 + m->id_json.len);
    CHECK(buf_printf(&data, "{\"user_id\":%.*s}", STR_ARG(m->id_json)) == OK);
    tell_members(r, "pusher_internal:member_removed",
                 (struct str){(const char *)buf_head(&data), buf_len(&data)}, STR(""));
    buf_done(&data);
}

static void remove_member(struct hub_room *r, struct hub_member *m)
{
    tell_removed(r, m);
    tell_app(r, HUB_HOOK_MEMBER_REMOVED, m->key);
    hub_roster_remove(r->roster, m);
}

static void start_leave_timer(struct hub_tenant *t)
{
    if (list_is_empty(&t->leaving))
        return;
    const struct hub_member *first = LIST_ENTRY(t->leaving.next, struct hub_member, leaving);
    int64_t wait_ms = first->due_ms - io_loop_now_ms(t->hub->loop);
    io_timer_start(t->hub->loop, &t->leave_timer, wait_ms > 0 ? wait_ms : 0);
}

/* Ends the leaves that are held back no longer than that. */
static void end_leaves(struct hub_tenant *t, int64_t until_ms)
{
    while (!list_is_empty(&t->leaving)) {
        struct hub_member *m = LIST_ENTRY(t->leaving.next, struct hub_member, leaving);
        if (m->due_ms > until_ms)
            break;
        struct hub_room *r = m->room;
        remove_member(r, m);
        tell_when_vacated(r);
        drop_room_when_idle(r);
    }
}

static void on_leave_timer(struct io_timer *timer)
{
    struct hub_tenant *t = LIST_ENTRY(timer, struct hub_tenant, leave_timer);
    end_leaves(t, io_loop_now_ms(t->hub->loop));
    start_leave_timer(t);
}

void hub_room_end_leaves(struct hub *h)
{
    for (size_t i = 0; i < h->tenant_count; i++)
        if (h->tenants[i])
            end_leaves(h->tenants[i], INT64_MAX);
}

/* A user with no connection left is gone, at once or after the app's delay. */
static void leave_user(struct hub_room *r, struct str key)
{
    struct hub_tenant *t = r->tenant;
    struct hub_member *m = r->roster ? hub_roster_find(r->roster, key) : NULL;
    if (!m || --m->connections > 0)
        return;
    if (t->app->presence_leave_delay_ms <= 0) {
        remove_member(r, m);
        return;
    }
    m->due_ms = io_loop_now_ms(t->hub->loop) + t->app->presence_leave_delay_ms;
    list_append(&t->leaving, &m->leaving);
    if (t->leaving.next == &m->leaving)
        start_leave_timer(t);
}

static void tell_added(struct hub_room *r, const struct hub_note *note)
{
    tell_members(r, "pusher_internal:member_added", note->channel_data, note->socket_id);
}

static void join_user(struct hub_room *r, const struct hub_note *note)
{
    struct hub_member *m = hub_roster_find(get_roster(r), note->user_key);
    bool is_new = !m;
    if (is_new) {
        m = hub_roster_add(r->roster, note->user_key, note->user_id_json, note->user_info_json);
        m->room = r;
    }
    m->connections++;
    list_remove(&m->leaving);
    if (!is_new)
        return;
    tell_added(r, note);
    tell_app(r, HUB_HOOK_MEMBER_ADDED, m->key);
}

static bool is_full(const struct hub_room *r, const struct hub_note *note)
{
    int64_t max = r->tenant->app->max_presence_members;
    bool is_here = r->roster && hub_roster_find(r->roster, note->user_key);
    return max > 0 && !is_here && hub_room_users(r) >= (size_t)max;
}

/* ---- joining and leaving ---- */

static void answer(struct hub_room *r, const struct hub_note *note, bool is_refused,
                   struct buf *frames, const struct hub_page *page)
{
    hub_post_answer(r->tenant->hub, note->from,
                    &(struct hub_answer){
                        .app = note->app,
                        .kind = HUB_JOIN,
                        .channel = note->channel,
                        .socket_id = note->socket_id,
                        .user_key = note->user_key,
                        .ticket = note->ticket,
                        .is_recoverable = note->recover.is_asked,
                        .is_refused = is_refused,
                        .frames = {(const char *)buf_head(frames), buf_len(frames)},
                        .page = *page,
                    });
    buf_done(frames);
}

static void refuse(struct hub_room *r, const struct hub_note *note)
{
    struct buf frames;
    hub_message_init(&frames, note->channel.len);
    hub_message_subscription_error_frame(&frames, note->channel, STR("LimitReached"),
                                         STR("The channel has too many members."), 4100);
    answer(r, note, true, &frames, &(struct hub_page){0});
}

/* recovery: JSON, or empty. */
static void put_success(struct buf *frames, struct hub_room *r, bool is_presence,
                        struct str recovery)
{
    struct buf data;
    struct hub_roster *roster = is_presence ? get_roster(r) : NULL;
    buf_init(&data, 64 + recovery.len + (roster ? hub_roster_text_bytes(roster) : 0));
    CHECK(buf_append(&data, "{", 1) == OK);
    if (roster) {
        CHECK(buf_append(&data, "\"presence\":", 11) == OK);
        hub_roster_write(roster, &data);
    }
    if (recovery.len > 0)
        CHECK(buf_printf(&data, "%s\"recovery\":%.*s", roster ? "," : "", STR_ARG(recovery)) == OK);
    CHECK(buf_append(&data, "}", 1) == OK);
    hub_message_internal_frame(frames, "pusher_internal:subscription_succeeded",
                               (struct str){(const char *)buf_head(&data), buf_len(&data)},
                               hub_room_name(r));
    buf_done(&data);
}

/* "Subscribed", who is there, what is cached, what was missed. To one who counts, the cached event
 * comes before its count begins, and not at all when nothing was missed. */
static void accept(struct hub_room *r, const struct hub_note *note)
{
    struct hub_channel_type type = hub_channel_type_of(note->channel, note->app->is_strict);
    struct hub_recovered recovered = {0};
    struct buf frames;
    size_t roster_bytes = r->roster ? hub_roster_text_bytes(r->roster) : 0;
    bool counts = note->recover.is_asked;
    struct str cached = hub_room_cached(r);
    if (counts)
        hub_recovery_answer(r, note, &recovered);
    struct str recovery = {(const char *)buf_head(&recovered.json), buf_len(&recovered.json)};
    hub_message_init(&frames, 2 * roster_bytes + 3 * note->channel.len + cached.len + recovery.len);
    if (counts && !recovered.is_whole)
        CHECK(buf_append(&frames, cached.at, cached.len) == OK);
    put_success(&frames, r, type.is_presence, recovery);
    if (!counts)
        CHECK(buf_append(&frames, cached.at, cached.len) == OK);
    if (type.is_cache && cached.len == 0) {
        hub_message_cache_miss_frame(&frames, note->channel);
        tell_app(r, HUB_HOOK_CACHE_MISS, STR(""));
    }
    answer(r, note, false, &frames, &recovered.page);
    hub_recovery_answer_done(&recovered);
}

/* Takes one that was counted out of the counts. */
static void forget(struct hub_room *r, const struct hub_note *note, struct str user_key)
{
    CHECK(r->subscribers > 0);
    r->subscribers--;
    tell_count(r);
    hub_recovery_leave(r, note);
    if (user_key.len > 0)
        leave_user(r, user_key);
    tell_when_vacated(r);
}

static void take_join(struct hub *owner, const struct hub_note *note)
{
    struct hub_room *r = get_room(hub_tenant_of(owner, note->app), note->channel);
    bool is_user = note->user_key.len > 0;
    if (is_user && is_full(r, note)) {
        if (note->is_again)
            forget(r, note, note->was_key);
        refuse(r, note);
        drop_room_when_idle(r);
        return;
    }
    bool is_same_user = note->is_again && str_eq(note->was_key, note->user_key);
    if (!note->is_again) {
        if (!hub_room_is_occupied(r))
            tell_app(r, HUB_HOOK_CHANNEL_OCCUPIED, STR(""));
        r->subscribers++;
        tell_count(r);
    }
    hub_recovery_join(r, note);
    if (is_user && !is_same_user)
        join_user(r, note);
    else if (!is_user && note->channel_data.len > 0)
        tell_added(r, note); // as Reverb does with one who has no user_id
    if (note->was_key.len > 0 && !is_same_user)
        leave_user(r, note->was_key);
    if (note->is_waiting)
        accept(r, note);
}

static void take_leave(struct hub *owner, const struct hub_note *note)
{
    struct hub_room *r = hub_room_find(hub_tenant_of(owner, note->app), note->channel);
    CHECK(r); // its join came before
    forget(r, note, note->user_key);
    drop_room_when_idle(r);
}

void hub_room_take(struct hub *owner, const struct hub_note *note)
{
    switch (note->kind) {
    case HUB_JOIN:
        take_join(owner, note);
        break;
    case HUB_LEAVE:
        take_leave(owner, note);
        break;
    case HUB_MORE:
        hub_recovery_more(owner, note);
        break;
    }
}

/* ---- the cached event ---- */

static void start_cache_timer(struct hub_tenant *t)
{
    if (list_is_empty(&t->cached))
        return;
    const struct hub_cached *first = LIST_ENTRY(t->cached.next, struct hub_cached, node);
    int64_t wait_ms = first->due_ms - io_loop_now_ms(t->hub->loop);
    io_timer_start(t->hub->loop, &t->cache_timer, wait_ms > 0 ? wait_ms : 0);
}

static void drop_first_cached(struct hub_tenant *t)
{
    struct hub_room *r = LIST_ENTRY(t->cached.next, struct hub_cached, node)->room;
    drop_cached(r);
    drop_room_when_idle(r);
}

static void on_cache_timer(struct io_timer *timer)
{
    struct hub_tenant *t = LIST_ENTRY(timer, struct hub_tenant, cache_timer);
    int64_t now_ms = io_loop_now_ms(t->hub->loop);
    while (!list_is_empty(&t->cached) &&
           LIST_ENTRY(t->cached.next, struct hub_cached, node)->due_ms <= now_ms)
        drop_first_cached(t);
    start_cache_timer(t);
}

static void cache(struct hub_tenant *t, const struct hub_publication *p)
{
    struct hub_room *r = get_room(t, p->channel);
    struct hub_cached *cached = mem_zalloc(sizeof(*cached) + p->frame.len);
    drop_cached(r);
    r->cached = cached;
    cached->room = r;
    cached->due_ms = io_loop_now_ms(t->hub->loop) + t->app->cache_ttl_s * 1000;
    cached->frame_len = p->frame.len;
    memcpy(cached->frame, p->frame.at, p->frame.len);
    t->cached_bytes += cached_bytes_of(cached);
    list_append(&t->cached, &cached->node);
    while (t->cached_bytes > MAX_CACHED_BYTES)
        drop_first_cached(t);
    start_cache_timer(t);
}

/* ---- an app that was changed ---- */

static void make_earlier(int64_t *due_ms, int64_t latest_ms)
{
    if (*due_ms > latest_ms)
        *due_ms = latest_ms;
}

void hub_room_use_app(struct hub_tenant *t)
{
    int64_t now_ms = io_loop_now_ms(t->hub->loop);
    struct list *node;
    for (node = t->leaving.next; node != &t->leaving; node = node->next)
        make_earlier(&LIST_ENTRY(node, struct hub_member, leaving)->due_ms,
                     now_ms + t->app->presence_leave_delay_ms);
    for (node = t->cached.next; node != &t->cached; node = node->next)
        make_earlier(&LIST_ENTRY(node, struct hub_cached, node)->due_ms,
                     now_ms + t->app->cache_ttl_s * 1000);
    start_leave_timer(t);
    start_cache_timer(t);
}

/* ---- publishing ---- */

static void start_idempotency_timer(struct hub_tenant *t)
{
    int64_t due_ms = hub_idempotency_due_ms(&t->idempotency);
    int64_t wait_ms = due_ms - io_loop_now_ms(t->hub->loop);
    if (due_ms != INT64_MAX)
        io_timer_start(t->hub->loop, &t->idempotency_timer, wait_ms > 0 ? wait_ms : 0);
}

static void on_idempotency_timer(struct io_timer *timer)
{
    struct hub_tenant *t = LIST_ENTRY(timer, struct hub_tenant, idempotency_timer);
    hub_idempotency_expire(&t->idempotency, io_loop_now_ms(t->hub->loop));
    start_idempotency_timer(t);
}

static bool was_published(struct hub_tenant *t, const struct hub_publication *p)
{
    if (p->idempotency_key.len == 0)
        return false;
    bool is_first = t->idempotency.count == 0;
    bool is_new = hub_idempotency_take(&t->idempotency, p->channel, p->idempotency_key,
                                       io_loop_now_ms(t->hub->loop));
    if (is_first)
        start_idempotency_timer(t);
    return !is_new;
}

static void watch(struct hub *owner, const struct hub_publication *p, size_t subscribers)
{
    struct hub_meter *m = &hub_tenant_of(owner, p->app)->meter;
    if (p->kind == HUB_EVENT)
        hub_meter_add(m, HUB_METER_PUBLISHED, 1);
    else if (p->kind == HUB_CLIENT_EVENT)
        hub_meter_add(m, HUB_METER_CLIENT_EVENTS, 1);
    if (hub_watch_is_tapped(owner))
        hub_watch_published(owner, p, subscribers);
}

void hub_room_publish(struct hub *owner, struct hub_publication *p)
{
    struct hub_tenant *t = hub_tenant_of(owner, p->app);
    if (was_published(t, p)) {
        hub_post_free(p);
        return;
    }
    if (p->kind == HUB_EVENT && hub_channel_type_of(p->channel, t->app->is_strict).is_cache)
        cache(t, p);
    if (!hub_recovery_publish(owner, p))
        hub_room_send(owner, p);
}

void hub_room_send(struct hub *owner, struct hub_publication *p)
{
    const struct hub_room *r = hub_room_find(hub_tenant_of(owner, p->app), p->channel);
    watch(owner, p, r ? r->subscribers : 0);
    if (r && r->subscribers > 0)
        hub_post_to_hubs(owner, p);
    else
        hub_post_free(p);
}

/* ---- tenants ---- */

void hub_room_init_tenant(struct hub_tenant *t)
{
    map_init(&t->rooms);
    list_init(&t->room_list);
    list_init(&t->walks);
    hub_idempotency_init(&t->idempotency);
    io_timer_init(&t->idempotency_timer, on_idempotency_timer);
    list_init(&t->leaving);
    list_init(&t->cached);
    io_timer_init(&t->leave_timer, on_leave_timer);
    io_timer_init(&t->cache_timer, on_cache_timer);
}

void hub_room_done_tenant(struct hub_tenant *t)
{
    size_t cursor = 0;
    const struct map_entry *e;
    while ((e = map_next(&t->rooms, &cursor))) {
        struct hub_room *r = e->value;
        drop_cached(r);
        drop_roster(r);
        mem_free(r);
    }
    map_done(&t->rooms);
    hub_idempotency_done(&t->idempotency);
}
