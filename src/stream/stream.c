/* stream.c -- one channel's messages: a ring of the newest, numbered without a hole.
 *
 *     serial   1 ... oldest-1 | oldest ...... visible ... head
 *                 forgotten   |      item_count items
 */
#include "stream/stream.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/mem.h"
#include "stream/stream_internal.h"

enum { FIRST_RING_CAP = 4 };

uint64_t stream_id(const struct stream *s)
{
    return s->id;
}

uint64_t stream_head(const struct stream *s)
{
    return s->visible;
}

uint64_t stream_oldest(const struct stream *s)
{
    return s->head - s->item_count + 1;
}

const struct stream_limits *stream_limits_of(const struct stream *s)
{
    return &s->limits;
}

struct stream_item *stream_item_at(const struct stream *s, uint32_t index)
{
    return s->ring[(s->first + index) & (s->ring_cap - 1)];
}

const struct stream_item *stream_first_item(const struct stream *s)
{
    return s->item_count > 0 ? stream_item_at(s, 0) : NULL;
}

/* ---- holding ---- */

void stream_hold(struct stream *s)
{
    s->holds++;
    list_remove(&s->idle_node);
}

void stream_release(struct stream *s)
{
    CHECK(s->holds > 0);
    s->used_ms = clock_mono_ms();
    if (--s->holds == 0)
        list_append(&s->log->idle, &s->idle_node);
}

/* ---- forgetting ---- */

static size_t cost_of(const struct stream_item *item)
{
    return sizeof(*item) + sizeof(struct stream_item *) + item->excluded_len + item->frame_len;
}

void stream_evict_oldest(struct stream *s)
{
    CHECK(s->ring && s->item_count > 0);
    struct stream_item *item = stream_item_at(s, 0);
    s->first = (s->first + 1) & (s->ring_cap - 1);
    s->item_count--;
    s->bytes -= cost_of(item);
    s->log->bytes -= cost_of(item);
    if (item->segment)
        item->segment->message_count--;
    list_remove(&item->node);
    mem_free(item);
    if (s->item_count == 0) {
        mem_free(s->ring);
        s->ring = NULL;
        s->ring_cap = s->first = 0;
    }
}

void stream_evict_all(struct stream *s)
{
    while (s->item_count > 0)
        stream_evict_oldest(s);
}

void stream_trim(struct stream *s)
{
    while (s->item_count > s->limits.max_messages || s->bytes > s->limits.max_bytes)
        stream_evict_oldest(s);
}

/* ---- adding ---- */

static void grow(struct stream *s)
{
    uint32_t cap = s->ring_cap > 0 ? 2 * s->ring_cap : FIRST_RING_CAP;
    struct stream_item **ring = mem_zalloc(cap * sizeof(struct stream_item *));
    for (uint32_t i = 0; i < s->item_count; i++)
        ring[i] = stream_item_at(s, i);
    mem_free(s->ring);
    s->ring = ring;
    s->ring_cap = cap;
    s->first = 0;
}

void stream_keep(struct stream *s, const struct stream_message *m, int64_t at_ms,
                 struct stream_segment *segment)
{
    CHECK(m->serial == s->head && m->excluded.len <= STREAM_MAX_EXCLUDED_BYTES);
    struct stream_item *item = mem_zalloc(sizeof(*item) + m->excluded.len + m->frame.len);
    item->stream = s;
    item->segment = segment;
    item->at_ms = at_ms;
    item->excluded_len = (uint8_t)m->excluded.len;
    item->frame_len = m->frame.len;
    if (m->excluded.len > 0)
        memcpy(item->bytes, m->excluded.at, m->excluded.len);
    if (m->frame.len > 0)
        memcpy(item->bytes + m->excluded.len, m->frame.at, m->frame.len);
    if (segment)
        segment->message_count++;

    if (s->item_count == s->ring_cap)
        grow(s);
    s->ring[(s->first + s->item_count++) & (s->ring_cap - 1)] = item;
    s->bytes += cost_of(item);
    s->log->bytes += cost_of(item);
    list_init(&item->node);
    list_append(&s->log->items, &item->node);
    stream_trim(s);
    stream_log_make_room(s->log);
}

uint64_t stream_append(struct stream *s, struct str excluded, struct str frame)
{
    CHECK(s->head < STREAM_MAX_SERIAL);
    struct stream_message m = {.serial = s->head + 1, .excluded = excluded, .frame = frame};
    s->used_ms = clock_mono_ms();
    stream_log_put_message(s->log, s, &m);
    if (!s->segment) { // no disk, or it failed just now
        s->visible = m.serial;
    } else if (list_is_empty(&s->unseen_node)) {
        list_append(&s->log->unseen, &s->unseen_node);
    }
    return m.serial;
}

/* ---- reading ---- */

enum stream_verdict stream_check(const struct stream *s, uint64_t id, uint64_t serial)
{
    if (id != s->id)
        return STREAM_RESET;
    if (serial > s->visible)
        return STREAM_POSITION_AHEAD;
    if (serial < s->visible && serial + 1 < stream_oldest(s))
        return STREAM_POSITION_EXPIRED;
    return STREAM_OK;
}

bool stream_next(const struct stream *s, uint64_t after, struct stream_message *out)
{
    uint64_t oldest = stream_oldest(s);
    if (after >= s->visible || after + 1 < oldest)
        return false;
    const struct stream_item *item = stream_item_at(s, (uint32_t)(after + 1 - oldest));
    *out = (struct stream_message){
        .serial = after + 1,
        .excluded = {item->bytes, item->excluded_len},
        .frame = {item->bytes + item->excluded_len, item->frame_len},
    };
    return true;
}

/* ---- life ---- */

static void on_due(struct io_timer *timer)
{
    struct stream *s = LIST_ENTRY(timer, struct stream, timer);
    list_append(&s->log->due, &s->due_node);
}

struct stream *stream_new(struct stream_log *l, struct str key, const struct stream_limits *limits)
{
    struct stream *s = mem_zalloc(sizeof(*s) + key.len);
    s->log = l;
    s->id = stream_new_id();
    s->limits = *limits;
    s->used_ms = clock_mono_ms();
    s->key_len = (uint32_t)key.len;
    memcpy(s->key, key.at, key.len);
    list_init(&s->segment_node);
    list_init(&s->idle_node);
    list_init(&s->due_node);
    list_init(&s->unseen_node);
    io_timer_init(&s->timer, on_due);
    list_append(&l->idle, &s->idle_node);
    CHECK(!map_put(&l->streams, (struct str){s->key, s->key_len}, s));
    stream_log_watch(l, s);
    return s;
}

void stream_free(struct stream *s)
{
    stream_evict_all(s);
    map_remove(&s->log->streams, (struct str){s->key, s->key_len});
    list_remove(&s->segment_node);
    list_remove(&s->idle_node);
    list_remove(&s->due_node);
    list_remove(&s->unseen_node);
    io_timer_stop(&s->timer);
    mem_free(s);
}
