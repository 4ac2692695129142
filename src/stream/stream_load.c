/* stream_load.c -- from segments back to streams.
 *
 * Only one thing can be missing from a log that a killed process left: the end of its last write,
 * which nobody has seen the effects of. So a record that the end of the last segment cuts off is
 * dropped, and anything else that is not right makes the whole log worthless: whoever has a
 * position in it is refused. After a host crash the last segment may end in any bytes; what counts
 * then was synced before, and stands in front of them.
 */
#include "core/check.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "stream/stream_internal.h"

static struct str id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof(*id)};
}

void stream_load_init(struct stream_loader *loader, struct stream_log *l)
{
    *loader =
        (struct stream_loader){.log = l, .now_ms = clock_mono_ms(), .now_unix_ms = clock_unix_ms()};
    map_init(&loader->by_id);
}

void stream_load_done(struct stream_loader *loader)
{
    map_done(&loader->by_id);
}

static void forget(struct stream_loader *loader, struct stream *s)
{
    map_remove(&loader->by_id, id_key(&s->id));
    stream_free(s);
}

/* The clock may have been set back: nothing is younger than now, nor than what it follows. */
static int64_t mono_of(const struct stream_loader *loader, int64_t unix_ms, int64_t min_ms)
{
    int64_t age_ms = loader->now_unix_ms - unix_ms;
    int64_t at_ms = loader->now_ms - (age_ms > 0 ? age_ms : 0);
    return at_ms > min_ms ? at_ms : min_ms;
}

static struct stream *begin(struct stream_loader *loader, const struct stream_record *r)
{
    struct stream_log *l = loader->log;
    struct stream *old = map_find(&l->streams, r->key);
    if (old)
        forget(loader, old);
    else if (l->streams.count >= l->options.max_streams)
        forget(loader, LIST_ENTRY(l->idle.next, struct stream, idle_node));
    struct stream *s = stream_new(l, r->key, &r->limits);
    s->id = r->stream_id;
    s->head = s->visible = r->serial;
    s->used_ms = mono_of(loader, r->unix_ms, INT64_MIN);
    map_put(&loader->by_id, id_key(&s->id), s);
    return s;
}

static enum err apply_mark(struct stream_loader *loader, const struct stream_record *r)
{
    struct stream *s = map_find(&loader->by_id, id_key(&r->stream_id));
    if (!s) {
        begin(loader, r);
        return OK;
    }
    if (!str_eq(r->key, (struct str){s->key, s->key_len}) || r->serial < s->head ||
        r->ack != s->limits.ack)
        return ERR_INVALID;
    if (r->serial > s->head) { // what is between was counted, and is not here
        stream_evict_all(s);
        s->head = s->visible = r->serial;
    }
    s->limits = r->limits;
    s->used_ms = mono_of(loader, r->unix_ms, s->used_ms);
    stream_trim(s);
    return OK;
}

static enum err apply_message(struct stream_loader *loader, const struct stream_record *r)
{
    struct stream *s = map_find(&loader->by_id, id_key(&r->stream_id));
    if (!s || r->serial != s->head + 1)
        return ERR_INVALID;
    struct stream_message m = {.serial = r->serial, .excluded = r->excluded, .frame = r->frame};
    s->head = s->visible = r->serial;
    s->used_ms = mono_of(loader, r->unix_ms, s->used_ms);
    stream_keep(s, &m, s->used_ms, NULL);
    return OK;
}

static enum err apply(struct stream_loader *loader, const struct stream_record *r)
{
    switch (r->kind) {
    case STREAM_RECORD_MARK:
        return apply_mark(loader, r);
    case STREAM_RECORD_MESSAGE:
        return apply_message(loader, r);
    case STREAM_RECORD_DROP:
        break;
    }
    struct stream *s = map_find(&loader->by_id, id_key(&r->stream_id));
    if (s)
        forget(loader, s);
    return OK;
}

enum err stream_load_bytes(struct stream_loader *loader, struct str bytes, size_t *taken_out)
{
    size_t at = 0;
    enum err err = OK;
    while (!err && at < bytes.len) {
        struct stream_record r;
        size_t size = 0;
        err = stream_record_parse((struct str){bytes.at + at, bytes.len - at}, &r, &size);
        if (!err)
            err = apply(loader, &r);
        if (!err)
            at += size;
    }
    *taken_out = at;
    return err;
}

static enum err load_segment(struct stream_loader *loader, int dir_fd, uint32_t number)
{
    char *bytes = NULL;
    size_t len = 0, taken = 0;
    enum err err = stream_file_read(dir_fd, number, &bytes, &len);
    if (err)
        return err;
    err = stream_file_parse_head((struct str){bytes, len}, number);
    if (!err)
        err = stream_load_bytes(
            loader, (struct str){bytes + STREAM_FILE_HEAD_BYTES, len - STREAM_FILE_HEAD_BYTES},
            &taken);
    if (err)
        log_info("at=stream.load segment=%u bytes=%zu whole=%zu end=\"%s\"", number, len, taken,
                 err_text(err));
    mem_free(bytes);
    return err;
}

/* What is over, and what the host may have lost a part of. */
static void drop_unproven(struct stream_loader *loader, bool is_host_new)
{
    struct list *node = loader->log->idle.next;
    while (node != &loader->log->idle) {
        struct stream *s = LIST_ENTRY(node, struct stream, idle_node);
        node = node->next;
        if (s->used_ms + s->limits.ttl_ms <= loader->now_ms ||
            (is_host_new && s->limits.ack != STREAM_FSYNC))
            forget(loader, s);
    }
}

enum err stream_load_dir(struct stream_log *l, int dir_fd, bool is_host_new)
{
    struct stream_loader loader;
    uint32_t *numbers = NULL;
    size_t count = 0;
    enum err err = stream_file_list(dir_fd, &numbers, &count);
    stream_load_init(&loader, l);
    for (size_t i = 0; i < count && !err; i++) {
        if (i > 0 && numbers[i] != numbers[i - 1] + 1) {
            err = ERR_INVALID;
            break;
        }
        err = load_segment(&loader, dir_fd, numbers[i]);
        bool is_last = i + 1 == count;
        if (is_last && (err == ERR_AGAIN || (err == ERR_INVALID && is_host_new)))
            err = OK;
    }
    if (!err)
        drop_unproven(&loader, is_host_new);
    mem_free(numbers);
    stream_load_done(&loader);
    return err == ERR_AGAIN ? ERR_INVALID : err;
}
