#include "hub/hub_post.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/mem.h"
#include "hub/hub_channel.h"
#include "hub/hub_relay_internal.h"
#include "hub/hub_room.h"
#include "hub/hub_socket.h"
#include "hub/hub_subscribe.h"
#include "hub/hub_watch.h"

/* FNV-1a: spreads names; whoever chooses names to gather them on one loop slows only that. */
static uint32_t hash(uint32_t h, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (uint8_t)s.at[i]) * 16777619U;
    return h;
}

size_t hub_log_of(struct str app_id, struct str channel, size_t log_count)
{
    return log_count == 1 ? 0 : hash(hash(2166136261U, app_id), channel) % log_count;
}

struct hub *hub_post_owner(const struct hub_relay *r, const struct hub_app *app, struct str channel)
{
    return r->hubs[hub_log_of(app->id, channel, r->hub_count)];
}

/* Moves strings into bytes, which have room for them. */
static void keep_all(struct str **strings, size_t count, char *bytes)
{
    for (size_t i = 0; i < count; i++)
        *strings[i] = str_keep(&bytes, *strings[i]);
}

static size_t bytes_of(struct str *const *strings, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += strings[i]->len;
    return bytes;
}

/* ---- publications ---- */

struct hub_post {
    struct io_task task;
    struct hub *hub;
    struct hub_publication *publication;
};

struct hub_publication *hub_post_new(const struct hub_relay *r, const struct hub_publication *like)
{
    size_t posts = r->hub_count * sizeof(struct hub_post);
    struct hub_publication copy = *like;
    struct str *strings[] = {&copy.channel, &copy.frame, &copy.except_socket_id,
                             &copy.idempotency_key};
    size_t count = sizeof(strings) / sizeof(strings[0]);
    struct hub_publication *p = mem_zalloc(sizeof(*p) + posts + bytes_of(strings, count));
    copy.posts = (struct hub_post *)(void *)(p + 1);
    keep_all(strings, count, (char *)copy.posts + posts);
    copy.made_ns = clock_mono_ns();
    *p = copy;
    list_init(&p->node);
    return p;
}

void hub_post_free(struct hub_publication *p)
{
    mem_free(p);
}

static void unref(struct hub_publication *p)
{
    if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
        hub_post_free(p);
}

/* Once a publication, for all who get it. */
static void meter(struct hub_tenant *t, const struct hub_channel *c,
                  const struct hub_publication *p, const struct hub_socket *except)
{
    const struct hub_subscription *own = except ? hub_socket_find_subscription(except, c) : NULL;
    uint64_t receivers = hub_channel_count(c);
    if (own && own->index != HUB_CHANNEL_PENDING)
        receivers--;
    if (receivers == 0)
        return;
    hub_meter_add(&t->meter, HUB_METER_SENT, receivers);
    hub_meter_add(&t->meter, HUB_METER_SENT_BYTES, receivers * p->frame.len);
    if (!list_is_empty(&t->late)) {
        t->oldest_made_ns = p->made_ns < t->oldest_made_ns ? p->made_ns : t->oldest_made_ns;
        return;
    }
    t->oldest_made_ns = p->made_ns;
    list_append(&t->hub->late, &t->late);
}

void hub_post_observe_turn(struct hub *h)
{
    if (list_is_empty(&h->late))
        return;
    int64_t now_ns = clock_mono_ns();
    struct list *node;
    while ((node = list_shift(&h->late))) {
        struct hub_tenant *t = LIST_ENTRY(node, struct hub_tenant, late);
        hub_meter_observe(&t->meter.delivery, (now_ns - t->oldest_made_ns) / 1000);
    }
}

static void deliver(struct hub *h, const struct hub_publication *p)
{
    struct hub_tenant *t = hub_tenant_of(h, p->app);
    struct hub_channel *c = hub_channel_find(t, p->channel);
    if (!c)
        return;
    const struct hub_socket *except =
        p->except_socket_id.len > 0 ? hub_socket_find(h, p->except_socket_id) : NULL;
    hub_channel_publish(h, c, p, except);
    meter(t, c, p, except);
    if (hub_watch_is_tapped(h))
        hub_watch_delivered(h, p, c, except);
}

static void on_owner(struct io_task *task)
{
    struct hub_post *post = LIST_ENTRY(task, struct hub_post, task);
    hub_room_publish(post->hub, post->publication);
}

static void on_hub(struct io_task *task)
{
    struct hub_post *post = LIST_ENTRY(task, struct hub_post, task);
    deliver(post->hub, post->publication);
    unref(post->publication);
}

static void post_to(struct hub_publication *p, struct hub *h, void (*run)(struct io_task *task))
{
    struct hub_post *post = &p->posts[h->index];
    *post = (struct hub_post){.task.run = run, .hub = h, .publication = p};
    io_loop_post(h->loop, &post->task);
}

void hub_post_to_owner(const struct hub_relay *r, const struct hub *from, struct hub_publication *p)
{
    struct hub *owner = hub_post_owner(r, p->app, p->channel);
    if (r->is_closed)
        hub_post_free(p);
    else if (owner == from)
        hub_room_publish(owner, p);
    else
        post_to(p, owner, on_owner);
}

void hub_post_to_hubs(struct hub *owner, struct hub_publication *p)
{
    const struct hub_relay *r = owner->relay;
    if (r->is_closed) {
        hub_post_free(p);
        return;
    }
    atomic_init(&p->refs, r->hub_count);
    for (size_t i = 0; i < r->hub_count; i++)
        if (r->hubs[i] != owner)
            post_to(p, r->hubs[i], on_hub);
    deliver(owner, p);
    unref(p);
}

/* ---- notes ---- */

struct note_post {
    struct io_task task;
    struct hub *owner;
    struct hub_note note;
    char bytes[];
};

static void on_note(struct io_task *task)
{
    struct note_post *post = LIST_ENTRY(task, struct note_post, task);
    hub_room_take(post->owner, &post->note);
    mem_free(post);
}

void hub_post_note(const struct hub_note *note)
{
    struct hub *owner = hub_post_owner(note->from->relay, note->app, note->channel);
    if (note->from->relay->is_closed)
        return;
    if (owner == note->from) {
        hub_room_take(owner, note);
        return;
    }
    struct hub_note copy = *note;
    struct str *strings[] = {
        &copy.channel,      &copy.socket_id,      &copy.was_key,      &copy.user_key,
        &copy.user_id_json, &copy.user_info_json, &copy.channel_data, &copy.recover.old_socket_id};
    size_t count = sizeof(strings) / sizeof(strings[0]);
    struct note_post *post = mem_zalloc(sizeof(*post) + bytes_of(strings, count));
    keep_all(strings, count, post->bytes);
    post->task.run = on_note;
    post->owner = owner;
    post->note = copy;
    io_loop_post(owner->loop, &post->task);
}

/* ---- answers ---- */

struct answer_post {
    struct io_task task;
    struct hub *to;
    struct hub_answer answer;
    char bytes[];
};

static void on_answer(struct io_task *task)
{
    struct answer_post *post = LIST_ENTRY(task, struct answer_post, task);
    hub_subscribe_answered(post->to, &post->answer);
    mem_free(post);
}

void hub_post_answer(struct hub *owner, struct hub *to, const struct hub_answer *answer)
{
    if (owner->relay->is_closed)
        return;
    if (to == owner) {
        hub_subscribe_answered(to, answer);
        return;
    }
    struct hub_answer copy = *answer;
    struct str *strings[] = {&copy.channel, &copy.socket_id, &copy.user_key, &copy.frames,
                             &copy.page.frames};
    size_t count = sizeof(strings) / sizeof(strings[0]);
    struct answer_post *post = mem_zalloc(sizeof(*post) + bytes_of(strings, count));
    keep_all(strings, count, post->bytes);
    post->task.run = on_answer;
    post->to = to;
    post->answer = copy;
    io_loop_post(to->loop, &post->task);
}
