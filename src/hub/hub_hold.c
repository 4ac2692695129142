#include "hub/hub_hold.h"

#include "core/arena.h"
#include "core/mem.h"

struct item {
    struct list node; // in leaves or counts
    const struct hub_app *app;
    enum hub_hook_kind kind;
    struct str key, channel, user_id; // in bytes
    uint64_t count;
    bool is_waiting; // to be told when it is due
    int64_t due_ms;
    char bytes[];
};

/* Those that cancel each other have one key: "1001 m 13 presence-room7": whatever bytes a name has.
 */
static char sort_of(enum hub_hook_kind kind)
{
    switch (kind) {
    case HUB_HOOK_CHANNEL_OCCUPIED:
    case HUB_HOOK_CHANNEL_VACATED:
        return 'c';
    case HUB_HOOK_MEMBER_ADDED:
    case HUB_HOOK_MEMBER_REMOVED:
        return 'm';
    case HUB_HOOK_SUBSCRIPTION_COUNT:
        return 'n';
    case HUB_HOOK_CLIENT_EVENT:
    case HUB_HOOK_CACHE_MISS:
    case HUB_HOOK_KINDS:
        break;
    }
    return '\0'; // never held
}

static struct str key_of(const struct hub_app *app, const struct hub_hook_event *e, struct arena *a)
{
    struct str head = arena_printf(a, "%zu %c %zu ", app->slot, sort_of(e->kind), e->channel.len);
    char *key = arena_alloc(a, head.len + e->channel.len + e->user_id.len);
    char *at = key;
    str_keep(&at, head);
    str_keep(&at, e->channel);
    str_keep(&at, e->user_id);
    return (struct str){key, (size_t)(at - key)};
}

/* ---- telling ---- */

static void tell(struct hub_hold *h, const struct item *it)
{
    h->tell(h->ctx, it->app,
            &(struct hub_hook_event){
                .kind = it->kind,
                .channel = it->channel,
                .user_id = it->user_id,
                .count = it->count,
            });
}

static void item_free(struct hub_hold *h, struct item *it)
{
    map_remove(&h->items, it->key);
    list_remove(&it->node);
    mem_free(it);
}

static struct item *first_of(const struct list *l)
{
    return list_is_empty(l) ? NULL : LIST_ENTRY(l->next, struct item, node);
}

static int64_t first_due_ms(const struct list *l)
{
    const struct item *it = first_of(l);
    return it ? it->due_ms : INT64_MAX;
}

static void start_timer(struct hub_hold *h)
{
    int64_t leave_ms = first_due_ms(&h->leaves), count_ms = first_due_ms(&h->counts);
    int64_t due_ms = leave_ms < count_ms ? leave_ms : count_ms;
    int64_t wait_ms = due_ms - io_loop_now_ms(h->loop);
    if (due_ms == INT64_MAX)
        io_timer_stop(&h->timer);
    else
        io_timer_start(h->loop, &h->timer, wait_ms > 0 ? wait_ms : 0);
}

static struct item *first_due(const struct list *l, int64_t now_ms)
{
    struct item *it = first_of(l);
    return it && it->due_ms <= now_ms ? it : NULL;
}

static void on_timer(struct io_timer *timer)
{
    struct hub_hold *h = LIST_ENTRY(timer, struct hub_hold, timer);
    int64_t now_ms = io_loop_now_ms(h->loop);
    struct item *it;
    while ((it = first_due(&h->leaves, now_ms))) {
        tell(h, it);
        item_free(h, it);
    }
    while ((it = first_due(&h->counts, now_ms))) {
        if (!it->is_waiting) {
            item_free(h, it);
            continue;
        }
        tell(h, it);
        it->is_waiting = false;
        it->due_ms = now_ms + HUB_HOLD_COUNT_MS;
        list_remove(&it->node);
        list_append(&h->counts, &it->node);
    }
    start_timer(h);
}

/* ---- holding ---- */

static struct item *hold(struct hub_hold *h, const struct hub_app *app,
                         const struct hub_hook_event *e, struct str key)
{
    bool is_count = e->kind == HUB_HOOK_SUBSCRIPTION_COUNT;
    struct item *it = mem_zalloc(sizeof(*it) + key.len + e->channel.len + e->user_id.len);
    char *at = it->bytes;
    it->app = app;
    it->kind = e->kind;
    it->key = str_keep(&at, key);
    it->channel = str_keep(&at, e->channel);
    it->user_id = str_keep(&at, e->user_id);
    it->due_ms = io_loop_now_ms(h->loop) + (is_count ? HUB_HOLD_COUNT_MS : HUB_HOLD_LEAVE_MS);
    struct list *home = is_count ? &h->counts : &h->leaves;
    list_init(&it->node);
    list_append(home, &it->node);
    map_put(&h->items, it->key, it);
    if (home->next == &it->node)
        start_timer(h);
    return it;
}

static void add_count(struct hub_hold *h, const struct hub_app *app, const struct hub_hook_event *e,
                      struct str key)
{
    struct item *it = map_find(&h->items, key);
    if (it) {
        it->count = e->count;
        it->is_waiting = true;
        return;
    }
    h->tell(h->ctx, app, e);
    if (e->count > HUB_HOLD_MANY && h->items.count < HUB_HOLD_MAX)
        hold(h, app, e, key);
}

static void add_leave(struct hub_hold *h, const struct hub_app *app, const struct hub_hook_event *e,
                      struct str key)
{
    if (map_find(&h->items, key))
        return;
    if (h->items.count < HUB_HOLD_MAX)
        hold(h, app, e, key)->is_waiting = true;
    else
        h->tell(h->ctx, app, e);
}

static void add_return(struct hub_hold *h, const struct hub_app *app,
                       const struct hub_hook_event *e, struct str key)
{
    struct item *it = map_find(&h->items, key);
    if (it)
        item_free(h, it); // the timer finds nothing due, and waits on
    else
        h->tell(h->ctx, app, e);
}

void hub_hold_add(struct hub_hold *h, const struct hub_app *app, const struct hub_hook_event *event)
{
    struct arena a;
    arena_init(&a);
    switch (event->kind) {
    case HUB_HOOK_CHANNEL_OCCUPIED:
    case HUB_HOOK_MEMBER_ADDED:
        add_return(h, app, event, key_of(app, event, &a));
        break;
    case HUB_HOOK_CHANNEL_VACATED:
    case HUB_HOOK_MEMBER_REMOVED:
        add_leave(h, app, event, key_of(app, event, &a));
        break;
    case HUB_HOOK_SUBSCRIPTION_COUNT:
        add_count(h, app, event, key_of(app, event, &a));
        break;
    case HUB_HOOK_CLIENT_EVENT:
    case HUB_HOOK_CACHE_MISS:
    case HUB_HOOK_KINDS:
        h->tell(h->ctx, app, event);
        break;
    }
    arena_done(&a);
}

/* ---- the end ---- */

static void end_list(struct hub_hold *h, const struct list *l, bool is_told)
{
    struct item *it;
    while ((it = first_of(l))) {
        if (is_told && it->is_waiting)
            tell(h, it);
        item_free(h, it);
    }
}

void hub_hold_flush(struct hub_hold *h)
{
    end_list(h, &h->leaves, true);
    end_list(h, &h->counts, true);
    io_timer_stop(&h->timer);
}

void hub_hold_init(struct hub_hold *h, struct io_loop *l, hub_hold_tell_fn *tell_fn, void *ctx)
{
    *h = (struct hub_hold){.loop = l, .tell = tell_fn, .ctx = ctx};
    map_init(&h->items);
    list_init(&h->leaves);
    list_init(&h->counts);
    io_timer_init(&h->timer, on_timer);
}

void hub_hold_done(struct hub_hold *h)
{
    end_list(h, &h->leaves, false);
    end_list(h, &h->counts, false);
    io_timer_stop(&h->timer);
    map_done(&h->items);
}
