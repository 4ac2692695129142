/* stream_log.c -- finding, expiring and writing the streams of one loop.
 *
 * On disk each segment can be read without the ones before it: a stream's first record in a segment
 * is a MARK with its key, limits and head. The oldest segment goes when none of its messages is in
 * memory any more; the streams that stand last there are marked anew in the newest one first.
 *
 * A mark is also the sign of life of a stream that is held and quiet: it is repeated twice in a
 * ttl. A stream that ends gets a DROP before anything that it did not count can be published, so
 * that no later start takes it for whole.
 */
#include "stream/stream_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/log.h"
#include "core/mem.h"
#include "stream/stream_internal.h"

enum {
    RETRY_MS = 30000,
    MIN_LOOK_MS = 1000, // a stream is not looked at more often
    MAX_STEPS = 4096,   // of one tick: messages forgotten, streams looked at or marked
};

const struct stream_log_options stream_log_defaults = {
    .max_bytes = (size_t)64 * 1024 * 1024,
    .max_streams = 100000,
    .segment_bytes = (size_t)8 * 1024 * 1024,
    .max_disk_bytes = UINT64_C(256) * 1024 * 1024,
};

uint64_t stream_new_id(void)
{
    uint64_t id;
    crypto_random(&id, sizeof(id));
    return id;
}

size_t stream_log_count(const struct stream_log *l)
{
    return l->streams.count;
}

void stream_log_each(const struct stream_log *l, stream_log_each_fn *fn, void *ctx)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&l->streams, &i));) {
        const struct stream *s = e->value;
        fn(ctx, (struct str){s->key, strnlen(s->key, s->key_len)}, s->bytes);
    }
}

uint64_t stream_log_shown(const struct stream_log *l)
{
    return l->shown;
}

size_t stream_log_bytes(const struct stream_log *l)
{
    return l->bytes;
}

/* ---- the disk ---- */

static bool is_durable(const struct stream_log *l, const struct stream *s)
{
    return stream_file_is_open(&l->file) && s->limits.ack != STREAM_MEMORY;
}

/* What waited for the disk, up to that serial, waits no more. */
static void show(struct stream *s, uint64_t serial)
{
    if (serial > s->visible)
        s->visible = serial;
    s->log->shown++;
    if (s->visible == s->head)
        list_remove(&s->unseen_node);
}

static void forget_file(struct stream_log *l)
{
    for (struct list *node = l->items.next; node != &l->items; node = node->next)
        LIST_ENTRY(node, struct stream_item, node)->segment = NULL;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&l->streams, &i));) {
        struct stream *s = e->value;
        s->segment = NULL;
        s->marked_ms = 0;
    }
}

void stream_log_change_ids(struct stream_log *l)
{
    l->shown++;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&l->streams, &i));)
        ((struct stream *)e->value)->id = stream_new_id();
}

/* From now on in memory. What the disk holds must not be taken for the whole: it goes, and if it
 * cannot, the streams here get other ids. */
static void degrade(struct stream_log *l)
{
    bool is_gone = stream_file_drop(&l->file) == OK;
    log_error(
        "at=stream.log log=%s why=\"the disk failed: recovery goes on in memory, and will not "
        "survive a restart\" ids=%s",
        l->name, is_gone ? "kept" : "changed");
    forget_file(l);
    if (!is_gone)
        stream_log_change_ids(l);
    l->retry_ms = clock_mono_ms() + RETRY_MS;
    struct list *node;
    while ((node = l->unseen.next) != &l->unseen) {
        struct stream *s = LIST_ENTRY(node, struct stream, unseen_node);
        show(s, s->head);
    }
}

static bool put(struct stream_log *l, struct stream *s, struct stream_record *r, int64_t at_ms)
{
    r->ack = s->limits.ack;
    r->stream_id = s->id;
    r->unix_ms = at_ms + l->unix_offset_ms;
    enum err err = stream_file_put(&l->file, r);
    if (err == ERR_IO)
        degrade(l);
    return err == OK;
}

/* Says that everything up to serial was counted. */
static void put_mark_at(struct stream_log *l, struct stream *s, uint64_t serial)
{
    struct stream_record r = {.kind = STREAM_RECORD_MARK,
                              .serial = serial,
                              .limits = s->limits,
                              .key = {s->key, s->key_len}};
    int64_t now_ms = clock_mono_ms();
    if (!put(l, s, &r, s->holds > 0 ? now_ms : s->used_ms))
        return;
    s->marked_ms = now_ms;
    s->segment = stream_file_newest(&l->file);
    list_remove(&s->segment_node);
    list_append(&s->segment->streams, &s->segment_node);
}

void stream_log_put_message(struct stream_log *l, struct stream *s, const struct stream_message *m)
{
    struct stream_record r = {.kind = STREAM_RECORD_MESSAGE,
                              .serial = m->serial,
                              .excluded = m->excluded,
                              .frame = m->frame};
    // However much one turn brings, no segment gets larger than a start would read.
    if (is_durable(l, s) && stream_file_is_full(&l->file) && stream_file_flush(&l->file) != OK)
        degrade(l);
    if (is_durable(l, s) && s->segment != stream_file_newest(&l->file))
        put_mark_at(l, s, s->head);
    s->head = m->serial;
    struct stream_segment *segment = NULL;
    if (is_durable(l, s)) {
        if (put(l, s, &r, s->used_ms))
            segment = s->segment;
        else if (is_durable(l, s))
            put_mark_at(l, s, s->head); // larger than a record may be: for the disk it is gone
    }
    stream_keep(s, m, s->used_ms, segment);
}

static void put_drop(struct stream_log *l, struct stream *s)
{
    struct stream_record r = {.kind = STREAM_RECORD_DROP, .serial = s->head};
    if (is_durable(l, s) && s->segment)
        (void)!put(l, s, &r, clock_mono_ms());
}

/* ---- syncing ---- */

static void end_sync(struct stream_log *l)
{
    l->is_syncing = false;
    if (l->sync.error != 0 && stream_file_is_open(&l->file)) {
        log_error("at=stream.log log=%s call=fsync errno=%d why=\"%s\"", l->name, l->sync.error,
                  strerror(l->sync.error));
        degrade(l);
    }
    struct list *node = l->unseen.next;
    while (node != &l->unseen) {
        struct stream *s = LIST_ENTRY(node, struct stream, unseen_node);
        node = node->next;
        show(s, s->syncing);
    }
}

static void run_sync(struct io_job *job)
{
    stream_file_sync_run(&LIST_ENTRY(job, struct stream_log, job)->sync);
}

static void on_sync_done(struct io_job *job)
{
    struct stream_log *l = LIST_ENTRY(job, struct stream_log, job);
    end_sync(l);
    stream_log_flush(l); // for what came meanwhile
    if (l->options.on_synced)
        l->options.on_synced(l->options.ctx);
}

static void sync_here(struct stream_log *l)
{
    stream_file_sync_run(&l->sync);
    end_sync(l);
}

static void prepare_sync(struct stream_log *l)
{
    for (struct list *node = l->unseen.next; node != &l->unseen; node = node->next) {
        struct stream *s = LIST_ENTRY(node, struct stream, unseen_node);
        s->syncing = s->head;
    }
    stream_file_sync_init(&l->file, &l->sync);
    l->is_syncing = true;
}

/* What is written may be seen, but for what must be synced first. */
static void show_written(struct stream_log *l)
{
    struct list *node = l->unseen.next;
    while (node != &l->unseen) {
        struct stream *s = LIST_ENTRY(node, struct stream, unseen_node);
        node = node->next;
        if (s->limits.ack != STREAM_FSYNC)
            show(s, s->head);
    }
}

void stream_log_flush(struct stream_log *l)
{
    if (!stream_file_is_open(&l->file))
        return;
    if (stream_file_flush(&l->file) != OK) {
        degrade(l);
        return;
    }
    show_written(l);
    // A full segment too, though nobody waits for it: in the pool, not in stream_file's push_fd.
    if (l->is_syncing || (list_is_empty(&l->unseen) && !stream_file_has_full(&l->file)))
        return;
    prepare_sync(l);
    l->job = (struct io_job){.home = l->options.loop, .run = run_sync, .on_done = on_sync_done};
    if (!l->options.pool || io_pool_run(l->options.pool, &l->job) != OK)
        sync_here(l);
}

enum err stream_log_sync_now(struct stream_log *l)
{
    CHECK(!l->is_syncing);
    if (!stream_file_is_open(&l->file))
        return ERR_IO;
    if (stream_file_flush(&l->file) != OK) {
        degrade(l);
        return ERR_IO;
    }
    prepare_sync(l);
    sync_here(l);
    return stream_file_is_open(&l->file) ? OK : ERR_IO;
}

/* ---- a new file ---- */

struct aged {
    struct stream_item *item;
    uint64_t serial;
};

/* By age; within a stream by serial. */
static int compare_age(const void *left, const void *right)
{
    const struct aged *a = left, *b = right;
    if (a->item->at_ms != b->item->at_ms)
        return a->item->at_ms < b->item->at_ms ? -1 : 1;
    if (a->item->stream != b->item->stream)
        return a->item->stream->id < b->item->stream->id ? -1 : 1;
    return a->serial < b->serial ? -1 : 1;
}

static struct aged *sort_items(struct stream_log *l, size_t *count_out)
{
    size_t count = 0, at = 0;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&l->streams, &i));)
        count += ((struct stream *)e->value)->item_count;
    struct aged *all = mem_zalloc((count + 1) * sizeof(*all));
    for (size_t i = 0; (e = map_next(&l->streams, &i));) {
        const struct stream *s = e->value;
        for (uint32_t n = 0; n < s->item_count; n++)
            all[at++] = (struct aged){stream_item_at(s, n), stream_oldest(s) + n};
    }
    qsort(all, count, sizeof(*all), compare_age);
    *count_out = count;
    return all;
}

void stream_log_sort(struct stream_log *l)
{
    size_t count;
    struct aged *all = sort_items(l, &count);
    for (size_t i = 0; i < count; i++) {
        list_remove(&all[i].item->node);
        list_append(&l->items, &all[i].item->node);
    }
    mem_free(all);
}

static void write_item(struct stream_log *l, const struct aged *aged)
{
    struct stream_item *item = aged->item;
    struct stream *s = item->stream;
    if (!is_durable(l, s))
        return;
    if (s->segment != stream_file_newest(&l->file))
        put_mark_at(l, s, aged->serial - 1);
    struct stream_record r = {
        .kind = STREAM_RECORD_MESSAGE,
        .serial = aged->serial,
        .excluded = {item->bytes, item->excluded_len},
        .frame = {item->bytes + item->excluded_len, item->frame_len},
    };
    if (!is_durable(l, s))
        return;
    if (put(l, s, &r, item->at_ms)) {
        item->segment = s->segment;
        item->segment->message_count++;
    } else if (is_durable(l, s)) {
        put_mark_at(l, s, aged->serial);
    }
    if (is_durable(l, s) && stream_file_flush(&l->file) != OK)
        degrade(l);
}

/* Oldest first, as they go. */
static void write_items(struct stream_log *l)
{
    size_t count;
    struct aged *all = sort_items(l, &count);
    for (size_t i = 0; i < count; i++)
        write_item(l, &all[i]);
    mem_free(all);
}

void stream_log_give_up_file(struct stream_log *l)
{
    if (stream_file_is_open(&l->file))
        degrade(l);
    l->parent_fd = -1;
}

enum err stream_log_begin_file(struct stream_log *l, int parent_fd, const char *name,
                               bool with_messages)
{
    snprintf(l->name, sizeof(l->name), "%s", name);
    l->parent_fd = parent_fd;
    l->retry_ms = clock_mono_ms() + RETRY_MS;
    if (stream_file_open(&l->file, parent_fd, name, l->options.segment_bytes) != OK)
        return ERR_IO;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&l->streams, &i));) {
        struct stream *s = e->value;
        if (is_durable(l, s))
            put_mark_at(l, s, with_messages ? stream_oldest(s) - 1 : s->head);
    }
    if (with_messages)
        write_items(l);
    stream_log_flush(l);
    return stream_file_is_open(&l->file) ? OK : ERR_IO;
}

/* ---- finding ---- */

struct key {
    char bytes[STREAM_MAX_KEY_BYTES];
    size_t len; // 0: the names are too long
};

static void make_key(struct str app_id, struct str channel, struct key *out)
{
    out->len = 0;
    if (app_id.len + 1 + channel.len > sizeof(out->bytes))
        return;
    memcpy(out->bytes, app_id.at, app_id.len);
    out->bytes[app_id.len] = '\0'; // stands in no app id
    memcpy(out->bytes + app_id.len + 1, channel.at, channel.len);
    out->len = app_id.len + 1 + channel.len;
}

struct stream *stream_log_find(const struct stream_log *l, struct str app_id, struct str channel)
{
    struct key key;
    if (l->streams.count == 0)
        return NULL;
    make_key(app_id, channel, &key);
    return key.len > 0 ? map_find(&l->streams, (struct str){key.bytes, key.len}) : NULL;
}

static void end_stream(struct stream_log *l, struct stream *s)
{
    l->shown++;
    put_drop(l, s);
    stream_free(s);
}

static bool make_place(struct stream_log *l)
{
    if (l->streams.count < l->options.max_streams)
        return true;
    for (struct list *node = l->idle.next; node != &l->idle; node = node->next) {
        struct stream *s = LIST_ENTRY(node, struct stream, idle_node);
        if (s->visible < s->head)
            continue;
        end_stream(l, s);
        return true;
    }
    return false;
}

static void renew(struct stream *s, const struct stream_limits *limits)
{
    enum stream_ack ack = s->limits.ack; // what was promised when it began
    s->limits = *limits;
    s->limits.ack = ack;
    s->used_ms = clock_mono_ms();
    stream_trim(s);
    stream_log_watch(s->log, s);
}

struct stream *stream_log_open(struct stream_log *l, struct str app_id, struct str channel,
                               const struct stream_limits *limits)
{
    struct key key;
    struct stream *s = stream_log_find(l, app_id, channel);
    if (s) {
        renew(s, limits);
        return s;
    }
    make_key(app_id, channel, &key);
    if (key.len == 0 || !make_place(l))
        return NULL;
    s = stream_new(l, (struct str){key.bytes, key.len}, limits);
    if (is_durable(l, s))
        put_mark_at(l, s, 0);
    return s;
}

bool stream_log_adopt(struct stream_log *l, struct stream *s)
{
    struct str key = {s->key, s->key_len};
    if (map_find(&l->streams, key))
        return false;
    struct stream_log *from = s->log;
    map_remove(&from->streams, key);
    map_put(&l->streams, key, s);
    from->bytes -= s->bytes;
    l->bytes += s->bytes;
    for (uint32_t i = 0; i < s->item_count; i++) {
        struct list *node = &stream_item_at(s, i)->node;
        list_remove(node);
        list_append(&l->items, node);
    }
    list_remove(&s->idle_node);
    list_append(&l->idle, &s->idle_node);
    s->log = l;
    stream_log_watch(l, s);
    return true;
}

/* ---- forgetting ---- */

void stream_log_make_room(struct stream_log *l)
{
    while (l->bytes > l->options.max_bytes)
        stream_evict_oldest(LIST_ENTRY(l->items.next, struct stream_item, node)->stream);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When s has something to forget or to say. What comes later than now is due later than a ttl. */
void stream_log_watch(struct stream_log *l, struct stream *s)
{
    int64_t now_ms = clock_mono_ms(), ttl_ms = s->limits.ttl_ms;
    int64_t due_ms = now_ms + ttl_ms;
    const struct stream_item *first = stream_first_item(s);
    if (first)
        due_ms = earlier(due_ms, first->at_ms + ttl_ms);
    if (s->holds == 0)
        due_ms = earlier(due_ms, s->used_ms + ttl_ms);
    else if (is_durable(l, s))
        due_ms = earlier(due_ms, s->marked_ms + ttl_ms / 2);
    if (due_ms < now_ms + MIN_LOOK_MS)
        due_ms = now_ms + MIN_LOOK_MS;
    list_remove(&s->due_node);
    io_wheel_start(&l->wheel, &s->timer, due_ms);
}

/* Returns how many steps it took. */
static int look(struct stream_log *l, struct stream *s, int max_steps)
{
    int64_t now_ms = clock_mono_ms(), ttl_ms = s->limits.ttl_ms;
    int steps = 1;
    const struct stream_item *first;
    while ((first = stream_first_item(s)) && first->at_ms + ttl_ms <= now_ms) {
        if (steps++ >= max_steps) {
            list_append(&l->due, &s->due_node); // the rest in the next tick
            return steps;
        }
        stream_evict_oldest(s);
    }
    if (s->holds == 0 && s->visible == s->head && s->used_ms + ttl_ms <= now_ms) {
        end_stream(l, s);
        return steps;
    }
    if (s->holds > 0 && is_durable(l, s) && s->marked_ms + ttl_ms / 2 <= now_ms)
        put_mark_at(l, s, s->head);
    stream_log_watch(l, s);
    return steps;
}

/* Whoever stands last in the oldest segment says anew where it stands. */
static int mark_anew(struct stream_log *l, struct stream_segment *oldest, int max_steps)
{
    int steps = 0;
    while (stream_file_is_open(&l->file) && !list_is_empty(&oldest->streams) && steps < max_steps) {
        struct stream *s = LIST_ENTRY(oldest->streams.next, struct stream, segment_node);
        put_mark_at(l, s, s->head);
        steps++;
    }
    return steps;
}

static void delete_segments(struct stream_log *l, int max_steps)
{
    while (stream_file_is_open(&l->file) && max_steps > 0) {
        struct stream_segment *oldest = stream_file_oldest(&l->file);
        if (oldest == stream_file_newest(&l->file))
            return;
        while (l->file.bytes > l->options.max_disk_bytes && oldest->message_count > 0) {
            stream_evict_oldest(LIST_ENTRY(l->items.next, struct stream_item, node)->stream);
            if (--max_steps == 0)
                return;
        }
        if (oldest->message_count > 0)
            return;
        max_steps -= mark_anew(l, oldest, max_steps);
        if (!stream_file_is_open(&l->file) || !list_is_empty(&oldest->streams))
            return;
        if (stream_file_flush(&l->file) != OK || stream_file_remove_oldest(&l->file) != OK)
            degrade(l);
        max_steps--;
    }
}

static void try_disk_again(struct stream_log *l)
{
    if (stream_file_is_open(&l->file) || l->parent_fd < 0 || clock_mono_ms() < l->retry_ms)
        return;
    char name[sizeof(l->name)];
    memcpy(name, l->name, sizeof(name));
    if (stream_log_begin_file(l, l->parent_fd, name, false) == OK)
        log_info("at=stream.log log=%s why=\"the disk works again\"", l->name);
}

void stream_log_tick(struct stream_log *l)
{
    int steps = MAX_STEPS;
    struct list *node;
    io_wheel_run(&l->wheel, clock_mono_ms());
    while (steps > 0 && (node = list_shift(&l->due)))
        steps -= look(l, LIST_ENTRY(node, struct stream, due_node), steps);
    delete_segments(l, MAX_STEPS);
    try_disk_again(l);
    stream_log_flush(l);
}

/* ---- life ---- */

struct stream_log *stream_log_new(const struct stream_log_options *options)
{
    struct stream_log *l = MEM_NEW(struct stream_log);
    l->options = *options;
    map_init(&l->streams);
    list_init(&l->items);
    list_init(&l->idle);
    list_init(&l->due);
    list_init(&l->unseen);
    io_wheel_init(&l->wheel, clock_mono_ms());
    l->unix_offset_ms = clock_unix_ms() - clock_mono_ms();
    l->parent_fd = -1;
    l->file.dir_fd = -1;
    list_init(&l->file.segments);
    return l;
}

void stream_log_on_synced(struct stream_log *l, struct io_pool *pool, struct io_loop *loop,
                          stream_log_synced_fn *on_synced, void *ctx)
{
    l->options.pool = pool;
    l->options.loop = loop;
    l->options.on_synced = on_synced;
    l->options.ctx = ctx;
}

void stream_log_free(struct stream_log *l)
{
    if (!l)
        return;
    CHECK(!l->is_syncing);
    size_t cursor = 0, count = 0;
    struct stream **all = mem_zalloc((l->streams.count + 1) * sizeof(struct stream *));
    const struct map_entry *e;
    while ((e = map_next(&l->streams, &cursor)))
        all[count++] = e->value;
    for (size_t i = 0; i < count; i++)
        stream_free(all[i]);
    mem_free(all);
    stream_file_close(&l->file);
    map_done(&l->streams);
    mem_free(l);
}
