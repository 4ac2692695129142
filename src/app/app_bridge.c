#include "app/app_bridge.h"

#include "core/map.h"
#include "core/mem.h"

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

static void publish(struct app_bridge *b, const char *channel, struct value *v)
{
    hub_relay_publish(b->relay, b->app, str_of(channel), str_of(v->event), str_of(v->data),
                      STR(""));
    value_free(v);
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
    struct list *node = list_shift(&w->values);
    if (!node) {
        map_remove(&w->bridge->channels, str_of(w->channel));
        window_free(w);
        return;
    }
    publish(w->bridge, w->channel, LIST_ENTRY(node, struct value, node));
    io_timer_start(w->bridge->loop, &w->timer, APP_BRIDGE_WINDOW_MS);
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

static void on_counter(struct io_task *task)
{
    struct message *m = LIST_ENTRY(task, struct message, task);
    struct app_bridge *b = m->bridge;
    struct window *w = map_find(&b->channels, str_of(m->channel));
    if (w) {
        keep_newest(w, m->value);
        mem_free(m->channel);
    } else {
        w = MEM_NEW(struct window);
        w->bridge = b;
        w->channel = m->channel;
        list_init(&w->values);
        io_timer_init(&w->timer, on_window_over);
        map_put(&b->channels, str_of(w->channel), w);
        publish(b, w->channel, m->value);
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
