#include "hub/hub_relay.h"

#include "core/check.h"
#include "core/json.h"
#include "core/mem.h"
#include "hub/hub_admission.h"
#include "hub/hub_message.h"
#include "hub/hub_post.h"
#include "hub/hub_relay_internal.h"

struct hub_relay *hub_relay_new(void)
{
    struct hub_relay *r = MEM_NEW(struct hub_relay);
    r->admissions = hub_admission_new();
    return r;
}

void hub_relay_close(struct hub_relay *r)
{
    if (r)
        r->is_closed = true;
}

void hub_relay_free(struct hub_relay *r)
{
    if (r)
        hub_admission_free(r->admissions);
    mem_free(r);
}

void hub_relay_join(struct hub_relay *r, struct hub *h)
{
    CHECK(r->hub_count < HUB_RELAY_MAX_HUBS);
    h->index = r->hub_count;
    r->hubs[r->hub_count++] = h;
}

/* ---- publishing ---- */

/* Clients that recover count every event but those that are the protocol's by name. */
static bool is_counted(struct str event_json)
{
    struct arena a;
    struct str name = {0};
    arena_init(&a);
    bool is_counted =
        json_unescape(&(struct json_slice){JSON_STRING, event_json}, &a, &name) == OK &&
        !str_starts(name, STR("client-")) && !str_starts(name, STR("pusher:")) &&
        !str_starts(name, STR("pusher_internal:"));
    arena_done(&a);
    return is_counted;
}

/* from may be NULL: on no hub's loop. */
static void send(struct hub_relay *r, const struct hub *from, const struct hub_app *app,
                 const struct hub_relay_event *event)
{
    struct buf frame;
    if (r->hub_count == 0)
        return;
    buf_init(&frame, 256 + event->event_json.len + event->data_json.len + 6 * event->channel.len);
    hub_message_event_frame(&frame, event->event_json, event->data_json, event->channel);
    hub_post_to_owner(
        r, from,
        hub_post_new(r, &(struct hub_publication){
                            .kind = HUB_EVENT,
                            .app = app,
                            .channel = event->channel,
                            .frame = {(const char *)buf_head(&frame), buf_len(&frame)},
                            .except_socket_id = event->except_socket_id,
                            .is_counted = is_counted(event->event_json),
                            .idempotency_key = event->idempotency_key,
                        }));
    buf_done(&frame);
}

void hub_relay_send(struct hub *from, const struct hub_app *app,
                    const struct hub_relay_event *event)
{
    send(from->relay, from, app, event);
}

void hub_relay_publish(struct hub_relay *r, const struct hub_app *app, struct str channel,
                       struct str event, struct str data, struct str except_socket_id)
{
    struct buf json;
    buf_init(&json, 64 + 6 * (event.len + data.len)); // an escape takes up to six bytes
    CHECK(json_write_string(&json, event) == OK);
    size_t event_len = buf_len(&json);
    CHECK(json_write_string(&json, data) == OK);

    const char *text = (const char *)buf_head(&json);
    struct hub_relay_event whole = {
        .channel = channel,
        .event_json = {text, event_len},
        .data_json = {text + event_len, buf_len(&json) - event_len},
        .except_socket_id = except_socket_id,
    };
    send(r, NULL, app, &whole);
    buf_done(&json);
}

/* ---- asking ---- */

struct question;
struct ask {
    struct io_task task;
    struct hub *hub;
    struct question *question;
    void *part;
};

/* One question on its way through hubs and back. */
struct question {
    atomic_size_t left; // hubs that were not asked yet
    struct io_task answer;
    hub_relay_visit_fn *visit;
    hub_relay_done_fn *on_done;
    void *ctx;
    struct io_loop *home;
    size_t count;
    void **parts;
    struct ask asks[]; // and the parts behind them
};

static void question_free(struct question *q)
{
    for (size_t i = 0; i < q->count; i++)
        mem_free(q->parts[i]);
    mem_free(q);
}

static void on_answer(struct io_task *task)
{
    struct question *q = LIST_ENTRY(task, struct question, answer);
    q->on_done(q->parts, q->count, q->ctx);
    question_free(q);
}

static void on_ask(struct io_task *task)
{
    struct ask *ask = LIST_ENTRY(task, struct ask, task);
    struct question *q = ask->question;
    if (q->visit(ask->hub, ask->part, q->ctx)) {
        io_loop_post(ask->hub->loop, &ask->task);
        return;
    }
    if (atomic_fetch_sub(&q->left, 1) > 1)
        return;
    if (ask->hub->relay->is_closed)
        on_answer(&q->answer); // the loops have ended, home's perhaps freed: here and now
    else
        io_loop_post(q->home, &q->answer);
}

static struct question *question_new(struct hub *const *hubs, size_t count, size_t part_bytes)
{
    struct question *q =
        mem_zalloc(sizeof(*q) + count * (sizeof(q->asks[0]) + sizeof(q->parts[0])));
    q->parts = (void **)(q->asks + count);
    q->count = count;
    q->answer.run = on_answer;
    atomic_init(&q->left, count);
    for (size_t i = 0; i < count; i++) {
        q->parts[i] = mem_zalloc(part_bytes + 1);
        q->asks[i] = (struct ask){.task.run = on_ask, .hub = hubs[i], .question = q};
        q->asks[i].part = q->parts[i];
    }
    return q;
}

/* Takes q. */
static void ask(const struct hub *asking, struct question *q)
{
    size_t count = q->count; // the last post may free q
    q->home = asking->loop;
    if (asking->relay->is_closed) {
        on_answer(&q->answer); // nobody is left to be asked
        return;
    }
    for (size_t i = 0; i < count; i++)
        io_loop_post(q->asks[i].hub->loop, &q->asks[i].task);
}

void hub_relay_ask(struct hub *asking, size_t part_bytes, hub_relay_visit_fn *visit,
                   hub_relay_done_fn *on_done, void *ctx)
{
    const struct hub_relay *r = asking->relay;
    struct question *q = question_new(r->hubs, r->hub_count, part_bytes);
    q->visit = visit;
    q->on_done = on_done;
    q->ctx = ctx;
    ask(asking, q);
}

/* ---- waiting ---- */

/* What was posted to the hub before has run. */
static bool settle(struct hub *h, void *part, const void *ctx)
{
    (void)h, (void)part, (void)ctx;
    return false;
}

/* The owners but from, each once. */
static size_t other_owners(const struct hub *from, const struct hub_app *app,
                           const struct str *channels, size_t count,
                           struct hub *owners[static HUB_RELAY_MAX_HUBS])
{
    bool is_found[HUB_RELAY_MAX_HUBS] = {[0] = false};
    size_t owner_count = 0;
    is_found[from->index] = true;
    for (size_t i = 0; i < count && owner_count + 1 < from->relay->hub_count; i++) {
        struct hub *owner = hub_post_owner(from->relay, app, channels[i]);
        if (!is_found[owner->index])
            owners[owner_count++] = owner;
        is_found[owner->index] = true;
    }
    return owner_count;
}

void hub_relay_settle(struct hub *from, const struct hub_app *app, const struct str *channels,
                      size_t count, hub_relay_done_fn *on_done, void *ctx)
{
    struct hub *owners[HUB_RELAY_MAX_HUBS] __attribute__((uninitialized));
    size_t owner_count = other_owners(from, app, channels, count, owners);
    if (owner_count == 0) {
        on_done(NULL, 0, ctx);
        return;
    }
    struct question *q = question_new(owners, owner_count, 0);
    q->visit = settle;
    q->on_done = on_done;
    q->ctx = ctx;
    ask(from, q);
}

struct sequence {
    struct hub *from;
    const struct hub_app *app;
    const struct hub_relay_event *events; // that were not sent
    size_t count;
    hub_relay_done_fn *on_done;
    void *ctx;
};

/* What follows goes to one owner, which gets it in order, until an event is another's: that one
 * waits. */
static void send_on(void *const *parts, size_t part_count, void *ctx)
{
    struct sequence *s = ctx;
    const struct hub *owner = s->from;
    (void)parts, (void)part_count;
    for (; s->count > 0; s->events++, s->count--) {
        const struct hub *next = hub_post_owner(s->from->relay, s->app, s->events->channel);
        if (next != owner && owner != s->from && !s->from->relay->is_closed)
            break; // of a closed relay nobody is waited for
        owner = next;
        hub_relay_send(s->from, s->app, s->events);
    }
    if (owner != s->from) {
        hub_relay_settle(s->from, s->app, &s->events[-1].channel, 1, send_on, s);
        return;
    }
    s->on_done(NULL, 0, s->ctx);
    mem_free(s);
}

void hub_relay_send_in_order(struct hub *from, const struct hub_app *app,
                             const struct hub_relay_event *events, size_t count,
                             hub_relay_done_fn *on_done, void *ctx)
{
    struct sequence *s = MEM_NEW(struct sequence);
    *s = (struct sequence){from, app, events, count, on_done, ctx};
    send_on(NULL, 0, s);
}

/* ---- other apps ---- */

struct change {
    struct io_task task;
    struct hub *first;
    const struct hub_apps *apps;
};

static bool prepare(struct hub *h, void *part, const void *ctx)
{
    const struct change *change = ctx;
    (void)part;
    hub_add_tenants(h, change->apps);
    return false;
}

static bool use(struct hub *h, void *part, const void *ctx)
{
    const struct change *change = ctx;
    (void)part;
    hub_use_apps(h, change->apps);
    return false;
}

static void on_used(void *const *parts, size_t count, void *ctx)
{
    (void)parts;
    (void)count;
    mem_free(ctx);
}

/* Every hub has room for all apps: none can hear from another of an app that it does not know. */
static void on_prepared(void *const *parts, size_t count, void *ctx)
{
    struct change *change = ctx;
    (void)parts;
    (void)count;
    hub_relay_ask(change->first, 0, use, on_used, change);
}

static void on_change(struct io_task *task)
{
    struct change *change = LIST_ENTRY(task, struct change, task);
    hub_relay_ask(change->first, 0, prepare, on_prepared, change);
}

void hub_relay_use_apps(struct hub_relay *r, const struct hub_apps *apps)
{
    struct change *change = MEM_NEW(struct change);
    *change = (struct change){.task.run = on_change, .first = r->hubs[0], .apps = apps};
    io_loop_post(r->hubs[0]->loop, &change->task);
}
