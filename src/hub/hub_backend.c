/* hub_backend.c -- questions to all hubs:
 *
 *     struct asked ---> hub_relay_ask ---> each hub writes its part ---> done: texts of the parts
 *
 * A channel's facts are with its owner, so of each channel one hub writes.
 */
#include "hub/hub_backend.h"

#include "core/arena.h"
#include "core/check.h"
#include "core/json.h"
#include "core/mem.h"
#include "hub/hub_channel.h"
#include "hub/hub_post.h"
#include "hub/hub_recovery.h"
#include "hub/hub_relay_internal.h"
#include "hub/hub_room.h"
#include "hub/hub_socket.h"
#include "ws/ws_frame.h"

bool hub_backend_may_publish(struct hub *h, const struct hub_app *app)
{
    if (hub_recovery_unsynced_bytes(h->relay, app) < HUB_BACKEND_MAX_UNSYNCED_BYTES)
        return true;
    hub_meter_add(&hub_tenant_of(h, app)->meter, HUB_METER_REFUSED_CALLS, 1);
    return false;
}

/* One question; read-only while the hubs work on it. */
struct asked {
    struct list node; // in the hub's listings
    struct arena arena;
    struct hub *asking;
    const struct hub_app *app;
    struct str text; // prefix, channel or user_id
    unsigned attributes;
    struct hub_backend_question *questions;
    size_t count;
    hub_backend_texts_fn *on_texts;
    hub_backend_count_fn *on_count;
    void (*on_done)(void *ctx);
    void *ctx;
};

static struct asked *asked_new(struct hub *asking, const struct hub_app *app, struct str text,
                               void *ctx)
{
    struct asked *q = MEM_NEW(struct asked);
    list_init(&q->node);
    arena_init(&q->arena);
    q->asking = asking;
    q->app = app;
    q->text = arena_str(&q->arena, text);
    q->ctx = ctx;
    return q;
}

static void asked_free(struct asked *q)
{
    arena_done(&q->arena);
    mem_free(q);
}

static struct str text_of(const struct buf *b)
{
    return (struct str){(const char *)buf_head(b), buf_len(b)};
}

/* ---- what a channel is ---- */

unsigned hub_backend_attributes(struct str info)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {
        {"occupied", HUB_BACKEND_OCCUPIED},
        {"user_count", HUB_BACKEND_USER_COUNT},
        {"subscription_count", HUB_BACKEND_SUBSCRIPTION_COUNT},
        {"cache", HUB_BACKEND_CACHE},
    };
    unsigned bits = 0;
    for (struct str rest = info; rest.len > 0;) {
        struct str word = str_trim(str_cut(rest, ',', &rest));
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (str_eq(word, str_of(names[i].name)))
                bits |= names[i].bit;
    }
    return bits;
}

/* The event as its frame has it, and "ttl" in the same object: {"event","data","channel","ttl"}. */
static enum err write_cached(const struct hub_room *r, struct buf *out)
{
    struct str frame = hub_room_cached(r);
    struct ws_frame header;
    size_t header_len;
    CHECK(ws_frame_parse((const uint8_t *)frame.at, frame.len, &header, &header_len) == OK);
    struct str json = {frame.at + header_len, frame.len - header_len};
    long long ttl_s = (long long)(hub_room_cached_ms(r) + 999) / 1000;
    enum err err = buf_append(out, json.at, json.len - 1); // without its brace
    return err ? err : buf_printf(out, ",\"ttl\":%lld}", ttl_s);
}

/* room may be NULL. */
static enum err write_attributes(const struct hub_app *app, struct str channel,
                                 const struct hub_room *room, unsigned wanted, struct buf *out)
{
    bool is_occupied = room && hub_room_is_occupied(room);
    bool is_presence = hub_channel_type_of(channel, app->is_strict).is_presence;
    const char *comma = "";
    enum err err = buf_append(out, "{", 1);
    if (!err && wanted & HUB_BACKEND_OCCUPIED) {
        err = buf_printf(out, "\"occupied\":%s", is_occupied ? "true" : "false");
        comma = ",";
    }
    if (!err && wanted & HUB_BACKEND_USER_COUNT && is_occupied && is_presence) {
        err = buf_printf(out, "%s\"user_count\":%zu", comma, hub_room_users(room));
        comma = ",";
    }
    if (!err && wanted & HUB_BACKEND_SUBSCRIPTION_COUNT && is_occupied && !is_presence) {
        err = buf_printf(out, "%s\"subscription_count\":%u", comma, hub_room_subscribers(room));
        comma = ",";
    }
    if (!err && wanted & HUB_BACKEND_CACHE && room && room->cached) {
        err = buf_printf(out, "%s\"cache\":", comma);
        err = err ? err : write_cached(room, out);
    }
    return err ? err : buf_append(out, "}", 1);
}

/* ---- describing ---- */

struct range {
    size_t start, len; // len 0: another hub wrote it
};

struct description {
    struct buf text;
    enum err err;
    struct range ranges[]; // by question
};

static bool describe_here(struct hub *h, void *part, const void *ctx)
{
    const struct asked *q = ctx;
    struct description *d = part;
    buf_init(&d->text, HUB_BACKEND_MAX_BYTES);
    for (size_t i = 0; i < q->count && !d->err; i++) {
        const struct hub_backend_question *question = &q->questions[i];
        if (hub_post_owner(h->relay, q->app, question->channel) != h)
            continue;
        size_t start = buf_len(&d->text);
        d->err = write_attributes(q->app, question->channel,
                                  hub_room_find(hub_tenant_of(h, q->app), question->channel),
                                  question->attributes, &d->text);
        d->ranges[i] = (struct range){start, buf_len(&d->text) - start};
    }
    return false;
}

static struct str find_description(void *const *parts, size_t count, size_t question)
{
    for (size_t i = 0; i < count; i++) {
        const struct description *d = parts[i];
        const struct range *range = &d->ranges[question];
        if (range->len > 0)
            return (struct str){(const char *)buf_head(&d->text) + range->start, range->len};
    }
    return STR("{}"); // only beside an error
}

static void on_described(void *const *parts, size_t count, void *ctx)
{
    struct asked *q = ctx;
    struct str *texts = arena_alloc(&q->arena, (q->count + 1) * sizeof(*texts));
    enum err err = OK;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct description *d = parts[i];
        err = err ? err : d->err;
        bytes += buf_len(&d->text);
    }
    for (size_t i = 0; i < q->count; i++)
        texts[i] = find_description(parts, count, i);
    q->on_texts(q->ctx, bytes > HUB_BACKEND_MAX_BYTES ? ERR_TOO_LARGE : err, texts, q->count);
    for (size_t i = 0; i < count; i++)
        buf_done(&((struct description *)parts[i])->text);
    asked_free(q);
}

void hub_backend_describe(struct hub *asking, const struct hub_app *app,
                          const struct hub_backend_question *questions, size_t count,
                          hub_backend_texts_fn *on_done, void *ctx)
{
    struct asked *q = asked_new(asking, app, STR(""), ctx);
    q->on_texts = on_done;
    q->count = count;
    q->questions = arena_alloc(&q->arena, (count + 1) * sizeof(*questions));
    for (size_t i = 0; i < count; i++) {
        q->questions[i].attributes = questions[i].attributes;
        q->questions[i].channel = arena_str(&q->arena, questions[i].channel);
    }
    hub_relay_ask(asking, sizeof(struct description) + count * sizeof(struct range), describe_here,
                  on_described, q);
}

/* ---- parts that are one text ---- */

struct text_part {
    struct buf text;
    enum err err;
    bool is_started;
    struct hub_room_walk walk; // of a list
};

static void free_texts(void *const *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_done(&((struct text_part *)parts[i])->text);
}

/* Tells the texts that are not empty. */
static void tell_texts(struct asked *q, void *const *parts, size_t count)
{
    struct str *texts = arena_alloc(&q->arena, count * sizeof(*texts));
    enum err err = OK;
    size_t text_count = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct text_part *part = parts[i];
        err = err ? err : part->err;
        bytes += buf_len(&part->text);
        if (buf_len(&part->text) > 0)
            texts[text_count++] = text_of(&part->text);
    }
    q->on_texts(q->ctx, bytes > HUB_BACKEND_MAX_BYTES ? ERR_TOO_LARGE : err, texts, text_count);
    free_texts(parts, count);
}

/* ---- listing ---- */

static enum err write_listed(const struct asked *q, const struct hub_room *r, struct buf *out)
{
    struct str name = hub_room_name(r);
    if (!hub_room_is_occupied(r) || !str_starts(name, q->text))
        return OK;
    enum err err = buf_len(out) > 0 ? buf_append(out, ",", 1) : OK;
    err = err ? err : json_write_string(out, name);
    err = err ? err : buf_append(out, ":", 1);
    return err ? err : write_attributes(q->app, name, r, q->attributes, out);
}

static bool list_here(struct hub *h, void *arg, const void *ctx)
{
    const struct asked *q = ctx;
    struct text_part *part = arg;
    if (!part->is_started) {
        part->is_started = true;
        buf_init(&part->text, HUB_BACKEND_MAX_BYTES);
        hub_room_walk_start(&part->walk, hub_tenant_of(h, q->app));
    }
    for (int i = 0; i < HUB_BACKEND_ROOMS_A_TURN; i++) {
        const struct hub_room *r = hub_room_walk_next(&part->walk);
        if (!r)
            return false;
        part->err = write_listed(q, r, &part->text);
        if (part->err) {
            hub_room_walk_end(&part->walk);
            return false;
        }
    }
    return true;
}

static void on_listed(void *const *parts, size_t count, void *ctx);

static void start_list(struct asked *q)
{
    if (q->asking->relay->is_closed)
        return; // other loops may be gone: hub_backend_give_up
    hub_relay_ask(q->asking, sizeof(struct text_part), list_here, on_listed, q);
}

static void on_listed(void *const *parts, size_t count, void *ctx)
{
    struct asked *q = ctx;
    struct list *listings = &q->asking->listings;
    tell_texts(q, parts, count);
    list_remove(&q->node);
    asked_free(q);
    if (!list_is_empty(listings))
        start_list(LIST_ENTRY(listings->next, struct asked, node));
}

void hub_backend_list(struct hub *asking, const struct hub_app *app, struct str prefix,
                      unsigned attributes, hub_backend_texts_fn *on_done, void *ctx)
{
    struct asked *q = asked_new(asking, app, prefix, ctx);
    bool is_first = list_is_empty(&asking->listings);
    q->attributes = attributes;
    q->on_texts = on_done;
    list_append(&asking->listings, &q->node);
    if (is_first)
        start_list(q);
}

void hub_backend_give_up(struct hub *h)
{
    struct list *node;
    while ((node = list_shift(&h->listings))) {
        struct asked *q = LIST_ENTRY(node, struct asked, node);
        q->on_texts(q->ctx, ERR_AGAIN, NULL, 0);
        asked_free(q);
    }
}

/* ---- members ---- */

static enum err write_members(const struct hub_room *r, struct buf *out)
{
    const struct list *members = &r->roster->members;
    enum err err = OK;
    for (struct list *node = members->next; node != members && !err; node = node->next) {
        const struct hub_member *m = LIST_ENTRY(node, struct hub_member, node);
        const char *comma = node == members->next ? "" : ",";
        err = buf_printf(out, "%s{\"id\":%.*s}", comma, STR_ARG(m->id_json));
    }
    return err;
}

static bool members_here(struct hub *h, void *arg, const void *ctx)
{
    const struct asked *q = ctx;
    struct text_part *part = arg;
    buf_init(&part->text, HUB_BACKEND_MAX_BYTES);
    if (hub_post_owner(h->relay, q->app, q->text) != h)
        return false;
    const struct hub_room *r = hub_room_find(hub_tenant_of(h, q->app), q->text);
    if (!r || !hub_room_is_occupied(r))
        part->err = ERR_NOT_FOUND;
    else if (!hub_channel_type_of(q->text, q->app->is_strict).is_presence)
        part->err = ERR_INVALID;
    else if (r->roster)
        part->err = write_members(r, &part->text);
    return false;
}

static void on_members(void *const *parts, size_t count, void *ctx)
{
    struct asked *q = ctx;
    tell_texts(q, parts, count);
    asked_free(q);
}

void hub_backend_members(struct hub *asking, const struct hub_app *app, struct str channel,
                         hub_backend_texts_fn *on_done, void *ctx)
{
    struct asked *q = asked_new(asking, app, channel, ctx);
    q->on_texts = on_done;
    hub_relay_ask(asking, sizeof(struct text_part), members_here, on_members, q);
}

/* ---- connections ---- */

static void on_counted(void *const *parts, size_t count, void *ctx)
{
    struct asked *q = ctx;
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += *(const uint64_t *)parts[i];
    q->on_count(q->ctx, sum);
    asked_free(q);
}

static bool count_here(struct hub *h, void *part, const void *ctx)
{
    const struct asked *q = ctx;
    *(uint64_t *)part = hub_tenant_of(h, q->app)->subscribed;
    return false;
}

void hub_backend_connections(struct hub *asking, const struct hub_app *app,
                             hub_backend_count_fn *on_done, void *ctx)
{
    struct asked *q = asked_new(asking, app, STR(""), ctx);
    q->on_count = on_done;
    hub_relay_ask(asking, sizeof(uint64_t), count_here, on_counted, q);
}

static bool terminate_here(struct hub *h, void *part, const void *ctx)
{
    const struct asked *q = ctx;
    (void)part;
    hub_identity_close(hub_tenant_of(h, q->app), q->text, HUB_ERROR_UNAUTHORIZED,
                       STR("You got disconnected by the app."));
    return false;
}

static void on_terminated(void *const *parts, size_t count, void *ctx)
{
    struct asked *q = ctx;
    (void)parts, (void)count;
    q->on_done(q->ctx);
    asked_free(q);
}

void hub_backend_terminate(struct hub *asking, const struct hub_app *app, struct str user_id,
                           void (*on_done)(void *ctx), void *ctx)
{
    struct asked *q = asked_new(asking, app, user_id, ctx);
    q->on_done = on_done;
    hub_relay_ask(asking, 0, terminate_here, on_terminated, q);
}
