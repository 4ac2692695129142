/* hub_channel.c -- subscribers and the frames of one turn.
 *
 *     struct turn, while a channel has frames to send:
 *         frames      |frame 1|frame 2|frame 3|...      contiguous
 *         exclusions           ^ socket S is not to get [start, end)
 *
 * There may be a second form of the same frames, compressed once for all who take that. It is made
 * when the first of them is met, and only if a frame is long enough.
 *
 * At the turn's end every subscriber gets the frames with one send; one who is excluded from some
 * gets the pieces between. A quiet channel is its name, an array of subscribers and nothing else.
 * Whoever joins or leaves flushes first, so the array is the audience of all frames in the turn.
 */
#include "hub/hub_channel.h"

#include "core/check.h"
#include "core/mem.h"
#include "hub/hub_socket.h"
#include "ws/ws_deflate.h"
#include "ws/ws_offer.h"

enum {
    MAX_TURN_BYTES =
        64 * 1024, // flushed before it grows larger: a send of this size is cheap enough
    MAX_EXCLUSIONS = 64,
    MIN_CAP = 2,
};

enum form { PLAIN, DEFLATED, FORM_COUNT };

struct exclusion {
    const struct hub_socket *socket;
    size_t start[FORM_COUNT], end[FORM_COUNT]; // in frames
};

struct turn {
    struct list node; // in hub->turns
    struct hub_channel *channel;
    struct buf frames[FORM_COUNT]; // DEFLATED is empty until somebody wants it
    bool is_worth_deflating;
    size_t exclusion_count;
    struct exclusion exclusions[MAX_EXCLUSIONS];
};

struct hub_channel {
    struct map *home; // the map that it is in
    struct hub_socket **sockets;
    struct turn *turn; // NULL: nothing to send
    uint32_t count, cap;
    uint32_t pending; // subscriptions that are not in the array yet
    uint32_t name_len;
    char name[];
};

/* "cache" fits "cachefoo", but not when a dash is asked for. */
static bool starts(struct str name, const char *prefix, bool is_strict)
{
    size_t len = strlen(prefix);
    return str_starts(name, (struct str){prefix, len}) &&
           (!is_strict || (name.len > len && name.at[len] == '-'));
}

struct hub_channel_type hub_channel_type_of(struct str name, bool is_strict)
{
    struct hub_channel_type type = {0};
    type.is_presence = starts(name, "presence", is_strict);
    type.is_guarded = type.is_presence || starts(name, "private", is_strict);
    type.is_cache = starts(name, "cache", is_strict) || str_starts(name, STR("private-cache-")) ||
                    str_starts(name, STR("presence-cache-")) ||
                    str_starts(name, STR("private-encrypted-cache-"));
    type.is_user = str_starts(name, STR("#server-to-user-"));
    return type;
}

struct str hub_channel_name(const struct hub_channel *c)
{
    return (struct str){c->name, c->name_len};
}

size_t hub_channel_count(const struct hub_channel *c)
{
    return c->count;
}

struct hub_channel *hub_channel_find(const struct hub_tenant *t, struct str name)
{
    return map_find(&t->channels, name);
}

/* ---- sending ---- */

static void send_range(struct hub_socket *s, const struct buf *frames, size_t start, size_t end)
{
    if (start < end)
        hub_socket_send_frames(s, buf_head(frames) + start, end - start);
}

static void deflate_range(struct ws_deflate *d, struct turn *t, size_t start, size_t end)
{
    struct str frames = {(const char *)buf_head(&t->frames[PLAIN]) + start, end - start};
    ws_deflate_frames(d, WS_OFFER_MAX_WINDOW_BITS, frames, &t->frames[DEFLATED]);
}

static void deflate_turn(struct ws_deflate *d, struct turn *t)
{
    size_t at = 0;
    buf_init(&t->frames[DEFLATED], buf_len(&t->frames[PLAIN]));
    for (size_t i = 0; i < t->exclusion_count; i++) {
        struct exclusion *e = &t->exclusions[i];
        deflate_range(d, t, at, e->start[PLAIN]);
        e->start[DEFLATED] = buf_len(&t->frames[DEFLATED]);
        deflate_range(d, t, e->start[PLAIN], e->end[PLAIN]);
        e->end[DEFLATED] = buf_len(&t->frames[DEFLATED]);
        at = e->end[PLAIN];
    }
    deflate_range(d, t, at, buf_len(&t->frames[PLAIN]));
}

static void send_turn(struct hub_socket *s, struct turn *t)
{
    enum form form = s->takes_deflated && t->is_worth_deflating ? DEFLATED : PLAIN;
    if (form == DEFLATED && buf_len(&t->frames[DEFLATED]) == 0)
        deflate_turn(ws_deflate_of(s->hub->loop), t);
    size_t start = 0;
    for (size_t i = 0; i < t->exclusion_count; i++) {
        if (t->exclusions[i].socket != s)
            continue;
        send_range(s, &t->frames[form], start, t->exclusions[i].start[form]);
        start = t->exclusions[i].end[form];
    }
    send_range(s, &t->frames[form], start, buf_len(&t->frames[form]));
}

static void flush(struct hub_channel *c)
{
    struct turn *t = c->turn;
    if (!t)
        return;
    c->turn = NULL;
    list_remove(&t->node);
    for (uint32_t i = 0; i < c->count; i++)
        send_turn(c->sockets[i], t);
    buf_done(&t->frames[PLAIN]);
    buf_done(&t->frames[DEFLATED]);
    mem_free(t);
}

void hub_channel_flush_all(struct hub *h)
{
    struct list *node;
    while ((node = h->turns.next) != &h->turns)
        flush(LIST_ENTRY(node, struct turn, node)->channel);
}

static struct turn *get_turn(struct hub *h, struct hub_channel *c, size_t len)
{
    if (c->turn && (buf_len(&c->turn->frames[PLAIN]) + len > MAX_TURN_BYTES ||
                    c->turn->exclusion_count == MAX_EXCLUSIONS))
        flush(c);
    if (!c->turn) {
        c->turn = MEM_NEW(struct turn);
        c->turn->channel = c;
        buf_init(&c->turn->frames[PLAIN], len > MAX_TURN_BYTES ? len : MAX_TURN_BYTES);
        list_append(&h->turns, &c->turn->node);
    }
    return c->turn;
}

void hub_channel_publish(struct hub *h, struct hub_channel *c, struct str frames,
                         const struct hub_socket *except)
{
    struct turn *t = get_turn(h, c, frames.len);
    size_t start = buf_len(&t->frames[PLAIN]), end = start + frames.len;
    CHECK(buf_append(&t->frames[PLAIN], frames.at, frames.len) == OK);
    t->is_worth_deflating |= frames.len >= WS_DEFLATE_MIN_BYTES;
    if (except)
        t->exclusions[t->exclusion_count++] =
            (struct exclusion){except, {[PLAIN] = start}, {[PLAIN] = end}};
}

/* ---- joining and leaving ---- */

static struct hub_channel *channel_new(struct map *home, struct str name)
{
    struct hub_channel *c = mem_zalloc(sizeof(*c) + name.len);
    c->home = home;
    c->name_len = (uint32_t)name.len;
    memcpy(c->name, name.at, name.len);
    map_put(home, hub_channel_name(c), c);
    return c;
}

static void channel_free(struct hub_channel *c)
{
    map_remove(c->home, hub_channel_name(c));
    mem_free(c->sockets);
    mem_free(c);
}

static void set_cap(struct hub_channel *c, uint32_t cap)
{
    c->sockets = mem_realloc(c->sockets, cap * sizeof(struct hub_socket *));
    c->cap = cap;
}

struct hub_subscription *hub_channel_join(struct hub_socket *s, struct str name)
{
    struct map *home = &s->tenant->channels;
    struct hub_channel *c = map_find(home, name);
    if (!c)
        c = channel_new(home, name);
    c->pending++;
    struct hub_subscription *sub = MEM_NEW(struct hub_subscription);
    sub->channel = c;
    sub->index = HUB_CHANNEL_PENDING;
    return sub;
}

void hub_channel_activate(struct hub_socket *s, struct hub_subscription *sub)
{
    struct hub_channel *c = sub->channel;
    flush(c);
    if (sub->index != HUB_CHANNEL_PENDING)
        return;
    if (c->count == c->cap)
        set_cap(c, c->cap > 0 ? c->cap * 2 : MIN_CAP);
    c->pending--;
    sub->index = c->count;
    c->sockets[c->count++] = s;
}

static void remove_from_array(struct hub_subscription *sub)
{
    struct hub_channel *c = sub->channel;
    flush(c);
    struct hub_socket *last = c->sockets[--c->count];
    if (sub->index != c->count) {
        c->sockets[sub->index] = last;
        hub_socket_find_subscription(last, c)->index = sub->index;
    }
    if (c->cap > MIN_CAP && c->count <= c->cap / 4)
        set_cap(c, c->cap / 2);
}

void hub_channel_leave(struct hub_subscription *sub)
{
    struct hub_channel *c = sub->channel;
    if (sub->index == HUB_CHANNEL_PENDING)
        c->pending--;
    else
        remove_from_array(sub);
    if (c->count == 0 && c->pending == 0)
        channel_free(c);
}
