#include "app/app_bridge.h"

#include "core/buf.h"
#include "core/check.h"
#include "core/map.h"
#include "core/mem.h"

/* An item has 3 numbers and their names: under 100 bytes. */
enum { MAX_JOINED = 256, MAX_EVENT_BYTES = 64 * 1024 };

struct app_bridge {
    struct io_loop *loop;
    struct hub_relay *relay;
    const struct hub_app *app;
    struct civic_announcer announcer;
    struct map channels; // name to struct window: those within their window
};

/* The newest value of one counter. */
struct value {
    struct list node;
    char *event, *key, *data;
};

/* A channel that has had a frame less than APP_BRIDGE_WINDOW_MS ago. */
struct window {
    struct app_bridge *bridge;
    char *channel;
    struct io_timer timer;
    struct list values; // waiting, the longest first
};

/* A counter on its way from a worker to the loop. */
struct message {
    struct io_task task;
    struct app_bridge *bridge;
    char *channel;
    struct value *value;
};

static void value_free(struct value *v)
{
    mem_free(v->event);
    mem_free(v->key);
    mem_free(v->data);
    mem_free(v);
}

static void publish(struct app_bridge *b, const char *channel, const char *event, struct str data)
{
    hub_relay_publish(b->relay, b->app, str_of(channel), str_of(event), data, STR(""));
}

/* The waiting items of one event and channel leave together; few enough to fit, or in the next
 * turn. */
static void publish_items(struct window *w, const char *event)
{
    struct str items[MAX_JOINED];
    struct value *taken[MAX_JOINED];
    size_t count = 0;
    for (struct list *node = w->values.next, *next; node != &w->values && count < MAX_JOINED;
         node = next) {
        struct value *v = LIST_ENTRY(node, struct value, node);
        next = node->next;
        if (v->key[0] == '\0' || strcmp(v->event, event) != 0)
            continue;
        list_remove(&v->node);
        taken[count] = v;
        items[count++] = str_of(v->data);
    }

    struct buf data;
    buf_init(&data, MAX_EVENT_BYTES);
    enum err err = civic_announce_join(items, count, &data);
    CHECK(err == OK); // MAX_JOINED items of their greatest length fit
    publish(w->bridge, w->channel, event,
            (struct str){(const char *)buf_head(&data), buf_len(&data)});
    buf_done(&data);
    for (size_t i = 0; i < count; i++)
        value_free(taken[i]);
}

/* Sends what has waited longest; false when nothing waits. */
static bool publish_oldest(struct window *w)
{
    if (list_is_empty(&w->values))
        return false;
    struct value *oldest = LIST_ENTRY(w->values.next, struct value, node);
    if (oldest->key[0] != '\0') {
        char *event = str_dup(str_of(oldest->event));
        publish_items(w, event);
        mem_free(event);
        return true;
    }
    list_remove(&oldest->node);
    publish(w->bridge, w->channel, oldest->event, str_of(oldest->data));
    value_free(oldest);
    return true;
}

static void window_free(struct window *w)
{
    struct list *node;
    io_timer_stop(&w->timer);
    while ((node = list_shift(&w->values)))
        value_free(LIST_ENTRY(node, struct value, node));
    mem_free(w->channel);
    mem_free(w);
}

static void on_window_over(struct io_timer *timer)
{
    struct window *w = LIST_ENTRY(timer, struct window, timer);
    if (publish_oldest(w)) {
        io_timer_start(w->bridge->loop, &w->timer, APP_BRIDGE_WINDOW_MS);
        return;
    }
    map_remove(&w->bridge->channels, str_of(w->channel));
    window_free(w);
}

/* Takes v: in the place of an older value of the same counter, or behind the others. */
static void keep_newest(struct window *w, struct value *v)
{
    for (struct list *node = w->values.next; node != &w->values; node = node->next) {
        struct value *old = LIST_ENTRY(node, struct value, node);
        if (strcmp(old->event, v->event) == 0 && strcmp(old->key, v->key) == 0) {
            char *data = old->data;
            old->data = v->data;
            v->data = data;
            value_free(v);
            return;
        }
    }
    list_append(&w->values, &v->node);
}

/* Takes the name. */
static struct window *window_new(struct app_bridge *b, char *channel)
{
    struct window *w = MEM_NEW(struct window);
    w->bridge = b;
    w->channel = channel;
    list_init(&w->values);
    io_timer_init(&w->timer, on_window_over);
    map_put(&b->channels, str_of(w->channel), w);
    return w;
}

static void on_counter(struct io_task *task)
{
    struct message *m = LIST_ENTRY(task, struct message, task);
    struct app_bridge *b = m->bridge;
    struct window *w = map_find(&b->channels, str_of(m->channel));
    if (w) {
        keep_newest(w, m->value);
        mem_free(m->channel);
    } else {
        w = window_new(b, m->channel);
        list_append(&w->values, &m->value->node);
        publish_oldest(w);
        io_timer_start(b->loop, &w->timer, APP_BRIDGE_WINDOW_MS);
    }
    mem_free(m);
}

static void announce_event(void *ctx, struct str channel, struct str event, struct str data)
{
    struct app_bridge *b = ctx;
    hub_relay_publish(b->relay, b->app, channel, event, data, STR(""));
}

static void announce_counter(void *ctx, struct str channel, struct str event, struct str key,
                             struct str data)
{
    struct message *m = MEM_NEW(struct message);
    m->task.run = on_counter;
    m->bridge = ctx;
    m->channel = str_dup(channel);
    m->value = MEM_NEW(struct value);
    m->value->event = str_dup(event);
    m->value->key = str_dup(key);
    m->value->data = str_dup(data);
    list_init(&m->value->node);
    io_loop_post(m->bridge->loop, &m->task);
}

struct app_bridge *app_bridge_new(struct io_loop *loop, struct hub_relay *relay,
                                  const struct hub_app *app)
{
    struct app_bridge *b = MEM_NEW(struct app_bridge);
    b->loop = loop;
    b->relay = relay;
    b->app = app;
    b->announcer =
        (struct civic_announcer){.ctx = b, .event = announce_event, .counter = announce_counter};
    map_init(&b->channels);
    return b;
}

void app_bridge_free(struct app_bridge *b)
{
    if (!b)
        return;
    size_t cursor = 0;
    for (struct map_entry *e; (e = map_next(&b->channels, &cursor));)
        window_free(e->value);
    map_done(&b->channels);
    mem_free(b);
}

const struct civic_announcer *app_bridge_announcer(const struct app_bridge *b)
{
    return &b->announcer;
}
