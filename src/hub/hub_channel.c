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
 * One who counts (hub_catchup) gets a frame for what it is excluded from, and when it cannot take a
 * piece it is behind from there on, rather than cut off.
 * Whoever joins or leaves flushes first, so the array is the audience of all frames in the turn.
 */
#include "hub/hub_channel.h"

#include "core/check.h"
#include "core/mem.h"
#include "hub/hub_catchup.h"
#include "hub/hub_frames.h"
#include "hub/hub_post.h"
#include "hub/hub_socket.h"
#include "ws/ws_deflate.h"
#include "ws/ws_offer.h"

enum {
    MAX_TURN_BYTES =
        64 * 1024, // flushed before it grows larger: a send of this size is cheap enough
    MAX_EXCLUSIONS = 64,
    POSITION_EVERY = 64, // counted frames
};

enum form { PLAIN, DEFLATED, FORM_COUNT };

struct exclusion {
    const struct hub_socket *socket;
    size_t start[FORM_COUNT], end[FORM_COUNT]; // in frames
    uint64_t serial;                           // 0: it is not counted
};

struct turn {
    struct list node; // in hub->turns
    struct hub_channel *channel;
    struct buf frames[FORM_COUNT]; // DEFLATED is empty until somebody wants it
    bool is_worth_deflating;
    uint64_t serial;      // of the counted frame before this turn
    bool has_uncounted;   // frames that nobody can ask for again
    bool passes_position; // those who count are told where they are
    size_t exclusion_count;
    struct exclusion exclusions[MAX_EXCLUSIONS];
};

struct hub_channel {
    union {
        struct hub_socket *only;  // while cap is 1: most channels have one subscriber
        struct hub_socket **many; // cap of them
    } sockets;
    struct turn *turn;             // NULL: nothing to send
    struct hub_counters *counters; // NULL: nobody counts
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

bool hub_is_plain_channel(struct str name)
{
    static const char others[] = "_-=@,.;";
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_plain && (c == '\0' || !strchr(others, c)))
            return false;
    }
    return true;
}

struct str hub_channel_name(const struct hub_channel *c)
{
    return (struct str){c->name, c->name_len};
}

static struct hub_socket **sockets_of(struct hub_channel *c)
{
    return c->cap > 1 ? c->sockets.many : &c->sockets.only;
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

static struct str piece_of(const struct buf *frames, size_t start, size_t end)
{
    return (struct str){(const char *)buf_head(frames) + start, end - start};
}

static enum err send_piece(struct hub_socket *s, struct str piece)
{
    return piece.len > 0 ? s->transport->send_frames(s, piece.at, piece.len) : OK;
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

/* It took what stands before, up to serial. Always false. */
static bool on_full(struct hub_socket *s, const struct turn *t, uint64_t serial)
{
    struct hub_subscription *sub = hub_socket_find_subscription(s, t->channel);
    if (hub_catchup_is_live(sub) && !t->has_uncounted)
        hub_catchup_fall_behind(sub, t->channel->counters->stream_id, serial);
    else
        hub_socket_cut_off(s);
    return false;
}

/* What stands for the frame that the socket is excluded from, when it counts. */
static enum err send_skip(struct hub_socket *s, const struct turn *t, const struct exclusion *x)
{
    if (x->serial == 0 || !t->channel->counters)
        return OK;
    struct hub_subscription *sub = hub_socket_find_subscription(s, t->channel);
    return hub_catchup_is_live(sub) ? hub_catchup_skip(sub, x->serial) : OK;
}

/* False: it could not take all. */
static bool send_turn(struct hub_socket *s, struct turn *t)
{
    enum form form = s->takes_deflated && t->is_worth_deflating ? DEFLATED : PLAIN;
    if (form == DEFLATED && buf_len(&t->frames[DEFLATED]) == 0)
        deflate_turn(ws_deflate_of(s->hub->loop), t);
    const struct buf *frames = &t->frames[form];
    uint64_t serial = t->serial;
    size_t start = 0;
    for (size_t i = 0; i < t->exclusion_count; i++) {
        const struct exclusion *x = &t->exclusions[i];
        if (x->socket != s)
            continue;
        if (send_piece(s, piece_of(frames, start, x->start[form])) != OK)
            return on_full(s, t, serial);
        if (send_skip(s, t, x) != OK)
            return on_full(s, t, x->serial - 1);
        start = x->end[form];
        serial = x->serial > 0 ? x->serial : serial;
    }
    if (send_piece(s, piece_of(frames, start, buf_len(frames))) != OK)
        return on_full(s, t, serial);
    return true;
}

/* With many subscribers each delivery finds its socket's memory cold. What the next one takes comes
 * while this one is in the kernel. */
static void look_ahead(struct hub_channel *c, uint32_t i)
{
    struct hub_socket *const *sockets = sockets_of(c);
    if (i + 2 < c->count)
        __builtin_prefetch(sockets[i + 2]);
    if (i + 1 < c->count && sockets[i + 1]->transport->prefetch)
        sockets[i + 1]->transport->prefetch(sockets[i + 1]);
}

void hub_channel_flush(struct hub_channel *c)
{
    struct turn *t = c->turn;
    if (!t)
        return;
    c->turn = NULL;
    list_remove(&t->node);
    // Who falls behind leaves the array: the last takes its place, and its turn is now.
    for (uint32_t i = 0; i < c->count;) {
        struct hub_socket *s = sockets_of(c)[i];
        look_ahead(c, i);
        if (send_turn(s, t) || (i < c->count && sockets_of(c)[i] == s))
            i++;
    }
    if (t->passes_position && c->counters)
        hub_catchup_tell_channel(c);
    buf_done(&t->frames[PLAIN]);
    buf_done(&t->frames[DEFLATED]);
    mem_free(t);
}

void hub_channel_flush_all(struct hub *h)
{
    struct list *node;
    while ((node = h->turns.next) != &h->turns)
        hub_channel_flush(LIST_ENTRY(node, struct turn, node)->channel);
}

static struct turn *get_turn(struct hub *h, struct hub_channel *c, size_t len)
{
    if (c->turn && (buf_len(&c->turn->frames[PLAIN]) + len > MAX_TURN_BYTES ||
                    c->turn->exclusion_count == MAX_EXCLUSIONS))
        hub_channel_flush(c);
    if (!c->turn) {
        c->turn = MEM_NEW(struct turn);
        c->turn->channel = c;
        c->turn->serial = c->counters ? c->counters->serial : 0;
        buf_init(&c->turn->frames[PLAIN], len > MAX_TURN_BYTES ? len : MAX_TURN_BYTES);
        list_append(&h->turns, &c->turn->node);
    }
    return c->turn;
}

/* Keeps the channel's count. */
static void count(struct hub_channel *c, struct turn *t, const struct hub_publication *p,
                  const struct hub_socket *except)
{
    if (p->serial == 0) {
        t->has_uncounted = true;
        hub_catchup_pass(c, p->frame, except);
        return;
    }
    c->counters->stream_id = p->stream_id;
    c->counters->serial = p->serial;
    if (p->serial % POSITION_EVERY == 0)
        t->passes_position = true;
}

void hub_channel_publish(struct hub *h, struct hub_channel *c, const struct hub_publication *p,
                         const struct hub_socket *except)
{
    struct turn *t = get_turn(h, c, p->frame.len);
    size_t start = buf_len(&t->frames[PLAIN]), end = start + p->frame.len;
    CHECK(buf_append(&t->frames[PLAIN], p->frame.at, p->frame.len) == OK);
    hub_frames_published(h, p);
    t->is_worth_deflating |= p->frame.len >= WS_DEFLATE_MIN_BYTES;
    if (except)
        t->exclusions[t->exclusion_count++] =
            (struct exclusion){except, {[PLAIN] = start}, {[PLAIN] = end}, p->serial};
    if (c->counters)
        count(c, t, p, except);
}

struct hub_counters *hub_channel_counters(const struct hub_channel *c)
{
    return c->counters;
}

struct hub_counters *hub_channel_get_counters(struct hub_channel *c)
{
    if (!c->counters) {
        hub_channel_flush(c); // a turn is counted from its begin
        c->counters = MEM_NEW(struct hub_counters);
        list_init(&c->counters->live);
        list_init(&c->counters->behind);
    }
    return c->counters;
}

/* ---- joining and leaving ---- */

static struct hub_channel *channel_new(struct map *home, struct str name)
{
    struct hub_channel *c = mem_zalloc(sizeof(*c) + name.len);
    c->cap = 1;
    c->name_len = (uint32_t)name.len;
    memcpy(c->name, name.at, name.len);
    map_put(home, hub_channel_name(c), c);
    return c;
}

static void channel_free(struct map *home, struct hub_channel *c)
{
    map_remove(home, hub_channel_name(c));
    mem_free(c->counters);
    if (c->cap > 1)
        mem_free(c->sockets.many);
    mem_free(c);
}

static void set_cap(struct hub_channel *c, uint32_t cap)
{
    struct hub_socket **many = c->cap > 1 ? c->sockets.many : NULL, *first = sockets_of(c)[0];
    if (cap == 1) {
        mem_free(many);
        c->sockets.only = first;
    } else {
        c->sockets.many = mem_realloc(many, cap * sizeof(struct hub_socket *));
        c->sockets.many[0] = first;
    }
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
    hub_channel_flush(c);
    if (sub->index != HUB_CHANNEL_PENDING)
        return;
    if (c->count == c->cap)
        set_cap(c, c->cap * 2);
    c->pending--;
    sub->index = c->count;
    sub->since = s->hub->frames->serial;
    sockets_of(c)[c->count++] = s;
}

static void remove_from_array(struct hub_subscription *sub)
{
    struct hub_channel *c = sub->channel;
    struct hub_socket *last = sockets_of(c)[--c->count];
    if (sub->index != c->count) {
        sockets_of(c)[sub->index] = last;
        hub_socket_find_subscription(last, c)->index = sub->index;
    }
    if (c->cap > 1 && c->count <= c->cap / 4)
        set_cap(c, c->cap / 2);
}

void hub_channel_deactivate(struct hub_subscription *sub)
{
    struct hub_channel *c = sub->channel;
    hub_channel_flush(c); // which may do the same
    if (sub->index == HUB_CHANNEL_PENDING)
        return;
    remove_from_array(sub);
    sub->index = HUB_CHANNEL_PENDING;
    c->pending++;
}

void hub_channel_leave(struct hub_socket *s, struct hub_subscription *sub)
{
    struct hub_channel *c = sub->channel;
    hub_channel_flush(c);
    if (sub->index == HUB_CHANNEL_PENDING)
        c->pending--;
    else
        remove_from_array(sub);
    if (c->count == 0 && c->pending == 0)
        channel_free(&s->tenant->channels, c);
}
