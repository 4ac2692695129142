#include "hub/hub_recovery.h"

#include <inttypes.h>

#include "core/check.h"
#include "core/mem.h"
#include "hub/hub_message.h"
#include "hub/hub_relay_internal.h"

enum { PAGE_BYTES = 128 * 1024, TEXT_BYTES = 256 };

/* ---- the stream of a channel ---- */

static bool fits(struct str pattern, struct str channel)
{
    if (pattern.len == 0 || pattern.at[pattern.len - 1] != '*')
        return str_eq(pattern, channel);
    return str_starts(channel, (struct str){pattern.at, pattern.len - 1});
}

static bool is_always_kept(const struct hub_app *app, struct str channel)
{
    for (size_t i = 0; i < app->recovery.channel_count; i++)
        if (fits(app->recovery.channels[i], channel))
            return true;
    return false;
}

/* NULL: the channel is not logged. */
static struct stream *open_stream(struct hub *owner, const struct hub_app *app, struct str channel)
{
    if (!owner->log || app->recovery.is_off)
        return NULL;
    if (stream_log_count(owner->log) == 0)
        io_timer_start(owner->loop, &owner->log_timer, STREAM_LOG_TICK_MS);
    return stream_log_open(owner->log, app->id, channel, &app->recovery.limits);
}

static struct stream *find_stream(struct hub *owner, const struct hub_app *app, struct str channel)
{
    if (!owner->log)
        return NULL;
    struct stream *s = stream_log_find(owner->log, app->id, channel);
    return s || !is_always_kept(app, channel) ? s : open_stream(owner, app, channel);
}

/* ---- waiting for the disk ---- */

static size_t bytes_of(const struct hub_publication *p)
{
    return sizeof(*p) + p->channel.len + p->frame.len;
}

/* What waits for a sync is counted: nobody knows how long a disk takes. */
static void hold(struct hub *owner, struct hub_publication *p, enum stream_ack ack)
{
    if (ack != STREAM_FSYNC) {
        list_append(&owner->unwritten, &p->node);
        return;
    }
    list_append(&owner->unsynced, &p->node);
    atomic_fetch_add_explicit(&owner->relay->unsynced_bytes[p->app->slot], bytes_of(p),
                              memory_order_relaxed);
}

static void uncount(struct hub *owner, const struct hub_publication *p)
{
    atomic_fetch_sub_explicit(&owner->relay->unsynced_bytes[p->app->slot], bytes_of(p),
                              memory_order_relaxed);
}

size_t hub_recovery_unsynced_bytes(const struct hub_relay *r, const struct hub_app *app)
{
    return atomic_load_explicit(&r->unsynced_bytes[app->slot], memory_order_relaxed);
}

/* ---- publishing ---- */

bool hub_recovery_publish(struct hub *owner, struct hub_publication *p)
{
    const struct hub_app *app = hub_tenant_of(owner, p->app)->app;
    if (!p->is_counted)
        return false;
    struct stream *s = find_stream(owner, app, p->channel);
    if (!s)
        return false;
    // An id that no socket can have excludes nobody.
    struct str excluded =
        p->except_socket_id.len <= STREAM_MAX_EXCLUDED_BYTES ? p->except_socket_id : STR("");
    p->serial = stream_append(s, excluded, p->frame);
    p->stream_id = stream_id(s);
    if (stream_head(s) >= p->serial)
        return false;
    hold(owner, p, stream_limits_of(s)->ack);
    return true;
}

/* It may be seen, or will never be. */
static bool may_go(struct hub *owner, const struct hub_publication *p)
{
    const struct stream *s = stream_log_find(owner->log, p->app->id, p->channel);
    return !s || stream_id(s) != p->stream_id || stream_head(s) >= p->serial;
}

static void release_written(struct hub *owner)
{
    struct list *node = owner->unwritten.next;
    while (node != &owner->unwritten) {
        struct hub_publication *p = LIST_ENTRY(node, struct hub_publication, node);
        node = node->next;
        if (!may_go(owner, p))
            continue;
        list_remove(&p->node);
        hub_room_send(owner, p);
    }
}

/* A sync shows what came before it, of all streams: nothing goes before the first. */
static void release_synced(struct hub *owner)
{
    struct list *node;
    while ((node = owner->unsynced.next) != &owner->unsynced) {
        struct hub_publication *p = LIST_ENTRY(node, struct hub_publication, node);
        if (!may_go(owner, p))
            return;
        list_remove(&p->node);
        uncount(owner, p);
        hub_room_send(owner, p);
    }
}

static void release(struct hub *owner)
{
    owner->shown = stream_log_shown(owner->log);
    release_written(owner);
    release_synced(owner);
}

void hub_recovery_flush(struct hub *owner)
{
    if (!owner->log)
        return;
    stream_log_flush(owner->log);
    if (owner->shown != stream_log_shown(owner->log))
        release(owner);
}

static void on_synced(void *ctx)
{
    struct hub *owner = ctx;
    if (!owner->relay->is_closed)
        release(owner);
}

static void on_log_timer(struct io_timer *timer)
{
    struct hub *owner = LIST_ENTRY(timer, struct hub, log_timer);
    hub_recovery_flush(owner); // before anything is forgotten
    stream_log_tick(owner->log);
    if (stream_log_count(owner->log) > 0)
        io_timer_start(owner->loop, &owner->log_timer, STREAM_LOG_TICK_MS);
}

/* ---- joining and leaving ---- */

void hub_recovery_join(struct hub_room *r, const struct hub_note *note)
{
    struct hub_tenant *t = r->tenant;
    if (note->recover.is_asked) {
        r->recoverable++;
        if (!r->stream) {
            r->stream = open_stream(t->hub, t->app, hub_room_name(r));
            if (r->stream)
                stream_hold(r->stream);
        }
    }
    if (note->was_recoverable) // after the new one: the stream stays held
        hub_recovery_leave(r, note);
}

void hub_recovery_leave(struct hub_room *r, const struct hub_note *note)
{
    if (!note->was_recoverable)
        return;
    CHECK(r->recoverable > 0);
    if (--r->recoverable > 0 || !r->stream)
        return;
    stream_release(r->stream);
    r->stream = NULL;
}

/* ---- what was missed ---- */

static bool is_excluded(const struct stream_message *m, const struct hub_note *note)
{
    return m->excluded.len > 0 && (str_eq(m->excluded, note->socket_id) ||
                                   str_eq(m->excluded, note->recover.old_socket_id));
}

/* Frames after page->serial, up to about max_bytes. */
static void fill_page(const struct stream *s, const struct hub_note *note, struct hub_page *page,
                      struct buf *frames)
{
    size_t max_bytes = note->app->max_out_bytes / 2 < PAGE_BYTES ? note->app->max_out_bytes / 2
                                                                 : (size_t)PAGE_BYTES;
    struct stream_message m;
    buf_init(frames, SIZE_MAX / 2); // each message was small enough once, and we stop in time
    while (buf_len(frames) < max_bytes && stream_next(s, page->serial, &m)) {
        if (is_excluded(&m, note))
            hub_message_skip_frame(frames, note->channel, m.serial);
        else
            CHECK(buf_append(frames, m.frame.at, m.frame.len) == OK);
        page->serial = m.serial;
    }
    page->is_there = true;
    page->stream_id = stream_id(s);
    page->is_live = page->serial == stream_head(s);
    page->frames = (struct str){(const char *)buf_head(frames), buf_len(frames)};
}

static const char *code_of(enum stream_verdict verdict)
{
    switch (verdict) {
    case STREAM_OK:
        break;
    case STREAM_RESET:
        return "stream_reset";
    case STREAM_POSITION_EXPIRED:
        return "position_expired";
    case STREAM_POSITION_AHEAD:
        return "position_ahead";
    }
    return "";
}

static void put_refusal(struct buf *json, const struct stream *s, enum stream_verdict verdict)
{
    CHECK(buf_printf(json,
                     "{\"recovered\":false,\"code\":\"%s\",\"stream_id\":\"%016" PRIx64
                     "\",\"serial\":%" PRIu64 ",\"oldest\":%" PRIu64 "}",
                     code_of(verdict), stream_id(s), stream_head(s), stream_oldest(s)) == OK);
}

static void put_replay(struct buf *json, const struct stream *s, uint64_t serial)
{
    CHECK(buf_printf(json,
                     "{\"stream_id\":\"%016" PRIx64 "\",\"recovered\":true,\"serial\":%" PRIu64
                     ",\"head\":%" PRIu64 ",\"replay\":%" PRIu64 "}",
                     stream_id(s), serial, stream_head(s), stream_head(s) - serial) == OK);
}

static void put_begin(struct buf *json, const struct stream *s)
{
    const struct stream_limits *limits = stream_limits_of(s);
    CHECK(buf_printf(json,
                     "{\"stream_id\":\"%016" PRIx64 "\",\"serial\":%" PRIu64 ",\"ttl\":%" PRId64
                     ",\"limit\":%zu}",
                     stream_id(s), stream_head(s), limits->ttl_ms / 1000,
                     limits->max_messages) == OK);
}

static void meter(struct hub_meter *m, const struct hub_note *note, const struct stream *s,
                  enum stream_verdict verdict)
{
    static const enum hub_meter_counter refused[] = {
        [STREAM_RESET] = HUB_METER_RECOVERY_RESET,
        [STREAM_POSITION_EXPIRED] = HUB_METER_RECOVERY_EXPIRED,
        [STREAM_POSITION_AHEAD] = HUB_METER_RECOVERY_AHEAD,
    };
    if (!note->recover.has_position)
        return;
    hub_meter_add(m, HUB_METER_RECOVERY_ASKED, 1);
    if (!s) {
        hub_meter_add(m, HUB_METER_RECOVERY_UNAVAILABLE, 1);
    } else if (verdict == STREAM_OK) {
        hub_meter_add(m, HUB_METER_RECOVERED, 1);
        hub_meter_add(m, HUB_METER_REPLAYED, stream_head(s) - note->recover.serial);
    } else {
        hub_meter_add(m, refused[verdict], 1);
    }
}

void hub_recovery_answer(struct hub_room *r, const struct hub_note *note, struct hub_recovered *out)
{
    const struct stream *s = r->stream;
    *out = (struct hub_recovered){0};
    buf_init(&out->json, TEXT_BYTES);
    buf_init(&out->frames, 0);
    if (!s) {
        meter(&r->tenant->meter, note, NULL, STREAM_OK);
        CHECK(buf_append(&out->json, "{\"recovered\":false,\"code\":\"store_unavailable\"}", 46) ==
              OK);
        return;
    }
    enum stream_verdict verdict =
        note->recover.has_position ? stream_check(s, note->recover.stream_id, note->recover.serial)
                                   : STREAM_OK;
    meter(&r->tenant->meter, note, s, verdict);
    out->is_whole = note->recover.has_position && verdict == STREAM_OK;
    out->page.serial = out->is_whole ? note->recover.serial : stream_head(s);
    if (out->is_whole)
        put_replay(&out->json, s, note->recover.serial);
    else if (note->recover.has_position)
        put_refusal(&out->json, s, verdict);
    else
        put_begin(&out->json, s);
    fill_page(s, note, &out->page, &out->frames);
}

void hub_recovery_answer_done(struct hub_recovered *out)
{
    buf_done(&out->json);
    buf_done(&out->frames);
}

void hub_recovery_more(struct hub *owner, const struct hub_note *note)
{
    const struct hub_room *r = hub_room_find(hub_tenant_of(owner, note->app), note->channel);
    struct hub_page page = {.is_there = true, .is_lost = true};
    struct buf frames;
    buf_init(&frames, 0);
    if (r && r->stream &&
        stream_check(r->stream, note->recover.stream_id, note->recover.serial) == STREAM_OK) {
        page = (struct hub_page){.serial = note->recover.serial};
        fill_page(r->stream, note, &page, &frames);
    }
    hub_post_answer(owner, note->from,
                    &(struct hub_answer){.app = note->app,
                                         .kind = HUB_MORE,
                                         .channel = note->channel,
                                         .socket_id = note->socket_id,
                                         .ticket = note->ticket,
                                         .page = page});
    buf_done(&frames);
}

/* ---- the hub ---- */

void hub_recovery_init_hub(struct hub *h)
{
    list_init(&h->unwritten);
    list_init(&h->unsynced);
    io_timer_init(&h->log_timer, on_log_timer);
}

void hub_recovery_done_hub(struct hub *h)
{
    struct list *node;
    while ((node = list_shift(&h->unwritten)) || (node = list_shift(&h->unsynced)))
        hub_post_free(LIST_ENTRY(node, struct hub_publication, node));
}

void hub_use_log(struct hub *h, struct stream_log *log, struct io_pool *pool)
{
    h->log = log;
    stream_log_on_synced(log, pool, h->loop, on_synced, h);
    io_timer_start(h->loop, &h->log_timer, STREAM_LOG_TICK_MS); // there may be streams already
}

void hub_end_log(struct hub *h)
{
    if (h->log)
        stream_log_on_synced(h->log, NULL, NULL, NULL, NULL);
}
