#include "hub/hub_relay.h"

#include <stdatomic.h>

#include "core/check.h"
#include "core/json.h"
#include "core/mem.h"
#include "hub/hub_channel.h"
#include "hub/hub_message.h"
#include "hub/hub_socket.h"

enum { MAX_HUBS = 256 };

struct hub_relay {
    struct hub *hubs[MAX_HUBS];
    size_t hub_count;
};

struct hub_relay *hub_relay_new(void)
{
    return MEM_NEW(struct hub_relay);
}

void hub_relay_free(struct hub_relay *r)
{
    mem_free(r);
}

void hub_relay_join(struct hub_relay *r, struct hub *h)
{
    CHECK(r->hub_count < MAX_HUBS);
    r->hubs[r->hub_count++] = h;
}

/* ---- publishing ---- */

struct message;
struct post {
    struct io_task task;
    struct hub *hub;
    struct message *message;
};

/* One event on its way to all hubs; the last of them frees it. */
struct message {
    atomic_size_t refs;
    const struct hub_app *app;
    struct str channel, except_socket_id, frame; // in bytes
    char *bytes;
    struct post posts[];
};

static void unref(struct message *m)
{
    if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) > 1)
        return;
    mem_free(m->bytes);
    mem_free(m);
}

static void on_post(struct io_task *task)
{
    struct post *p = LIST_ENTRY(task, struct post, task);
    struct message *m = p->message;
    struct hub_channel *c = hub_channel_find(p->hub, m->app, m->channel);
    if (c) {
        const struct hub_socket *except =
            m->except_socket_id.len > 0 ? hub_socket_find(p->hub, m->except_socket_id) : NULL;
        hub_channel_publish(p->hub, c, m->frame, except);
    }
    unref(m);
}

static struct str keep(char **at, struct str s)
{
    struct str kept = {*at, s.len};
    if (s.len > 0)
        memcpy(*at, s.at, s.len);
    *at += s.len;
    return kept;
}

static struct message *message_new(const struct hub_relay *r, const struct hub_app *app,
                                   const struct hub_relay_event *event, struct str frame)
{
    struct message *m = mem_zalloc(sizeof(*m) + r->hub_count * sizeof(m->posts[0]));
    m->bytes = mem_zalloc(event->channel.len + event->except_socket_id.len + frame.len + 1);
    char *at = m->bytes;
    m->channel = keep(&at, event->channel);
    m->except_socket_id = keep(&at, event->except_socket_id);
    m->frame = keep(&at, frame);
    m->app = app;
    atomic_init(&m->refs, r->hub_count);
    return m;
}

void hub_relay_send(struct hub_relay *r, const struct hub_app *app,
                    const struct hub_relay_event *event)
{
    struct buf frame;
    if (r->hub_count == 0)
        return;
    buf_init(&frame, 256 + event->event_json.len + event->data_json.len + 6 * event->channel.len);
    hub_message_event_frame(&frame, event->event_json, event->data_json, event->channel);

    struct message *m =
        message_new(r, app, event, (struct str){(const char *)buf_head(&frame), buf_len(&frame)});
    buf_done(&frame);
    size_t count = r->hub_count; // the last post may free m
    for (size_t i = 0; i < count; i++) {
        struct post *p = &m->posts[i];
        *p = (struct post){.task.run = on_post, .hub = r->hubs[i], .message = m};
        io_loop_post(p->hub->loop, &p->task);
    }
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
    hub_relay_send(r, app, &whole);
    buf_done(&json);
}

/* ---- counting ---- */

struct question;
struct ask {
    struct io_task task;
    struct hub *hub;
    struct question *question;
};

/* One count on its way through all hubs and back. */
struct question {
    atomic_size_t left; // hubs that have not counted yet
    struct io_task answer;
    struct io_loop *home;
    const struct hub_app *app;
    hub_relay_counted_fn *on_counted;
    void *ctx;
    size_t count;
    struct str *channels;
    char *bytes;
    _Atomic uint64_t *counts;
    struct ask asks[];
};

static void on_answer(struct io_task *task)
{
    struct question *q = LIST_ENTRY(task, struct question, answer);
    uint64_t *counts = mem_zalloc((q->count + 1) * sizeof(counts[0]));
    for (size_t i = 0; i < q->count; i++)
        counts[i] = atomic_load(&q->counts[i]);
    q->on_counted(q->ctx, counts, q->count);
    mem_free(counts);
    mem_free(q->counts);
    mem_free(q->channels);
    mem_free(q->bytes);
    mem_free(q);
}

static void on_ask(struct io_task *task)
{
    struct ask *ask = LIST_ENTRY(task, struct ask, task);
    struct question *q = ask->question;
    for (size_t i = 0; i < q->count; i++) {
        const struct hub_channel *c = hub_channel_find(ask->hub, q->app, q->channels[i]);
        if (c)
            atomic_fetch_add(&q->counts[i], hub_channel_count(c));
    }
    if (atomic_fetch_sub(&q->left, 1) == 1)
        io_loop_post(q->home, &q->answer);
}

static struct question *question_new(size_t hubs, const struct str *channels, size_t count)
{
    struct question *q = mem_zalloc(sizeof(*q) + hubs * sizeof(q->asks[0]));
    size_t bytes = 1;
    for (size_t i = 0; i < count; i++)
        bytes += channels[i].len;
    q->bytes = mem_zalloc(bytes);
    q->channels = mem_zalloc((count + 1) * sizeof(q->channels[0]));
    q->counts = mem_zalloc((count + 1) * sizeof(q->counts[0]));
    q->count = count;
    char *at = q->bytes;
    for (size_t i = 0; i < count; i++)
        q->channels[i] = keep(&at, channels[i]);
    return q;
}

void hub_relay_count(struct hub *asking, const struct hub_app *app, const struct str *channels,
                     size_t count, hub_relay_counted_fn *on_counted, void *ctx)
{
    const struct hub_relay *r = asking->relay;
    size_t hubs = r->hub_count;
    struct question *q = question_new(hubs, channels, count);
    q->home = asking->loop;
    q->app = app;
    q->on_counted = on_counted;
    q->ctx = ctx;
    q->answer.run = on_answer;
    atomic_init(&q->left, hubs);
    for (size_t i = 0; i < hubs; i++) {
        q->asks[i] = (struct ask){.task.run = on_ask, .hub = r->hubs[i], .question = q};
        io_loop_post(r->hubs[i]->loop, &q->asks[i].task);
    }
}
