/* stream_log.h -- the streams of one loop. For one thread, except before it runs. */
#ifndef STREAM_LOG_H
#define STREAM_LOG_H

#include "core/err.h"
#include "io/io_pool.h"
#include "stream/stream.h"

struct stream_log;

typedef void stream_log_synced_fn(void *ctx);

struct stream_log_options {
    size_t max_bytes;     // memory of all messages, with what it takes to keep them
    size_t max_streams;   // more: the longest unused makes place
    size_t segment_bytes; // a file of about this size is closed and the next begun
    uint64_t max_disk_bytes;
    struct io_pool *pool; // syncs there; NULL: within stream_log_flush
    struct io_loop *loop; // of the pool's answers
    /* A sync in the pool ended: heads have moved. */
    stream_log_synced_fn *on_synced;
    void *ctx;
};
extern const struct stream_log_options stream_log_defaults;

/* A log in memory; stream_store gives it files. */
struct stream_log *stream_log_new(const struct stream_log_options *options);
/* Whoever holds a stream forgets it. What was not flushed is lost. No sync may be on its way in the
 * pool. */
void stream_log_free(struct stream_log *l);

/* Where it syncs and who is told; before the first append. */
void stream_log_on_synced(struct stream_log *l, struct io_pool *pool, struct io_loop *loop,
                          stream_log_synced_fn *on_synced, void *ctx);

/* NULL: there is none. */
struct stream *stream_log_find(const struct stream_log *l, struct str app_id, struct str channel);
/* Finds it, with the new limits, or begins one. NULL: too many are held, or the names are too
 * long. Alive for its ttl unless held. */
struct stream *stream_log_open(struct stream_log *l, struct str app_id, struct str channel,
                               const struct stream_limits *limits);
size_t stream_log_count(const struct stream_log *l);
/* Memory of the messages. */
size_t stream_log_bytes(const struct stream_log *l);
/* The same of each stream, with the app that it is of. */
typedef void stream_log_each_fn(void *ctx, struct str app_id, size_t bytes);
void stream_log_each(const struct stream_log *l, stream_log_each_fn *fn, void *ctx);

/* Hands to the system what was appended since, which then may be seen, and starts the sync of what
 * asked for one, and of a segment that is full. */
void stream_log_flush(struct stream_log *l);
/* Changes whenever what waited may be seen, or will never be. */
uint64_t stream_log_shown(const struct stream_log *l);

/* Forgets what is too old, a bounded number at a time, deletes files that nobody needs, tries the
 * disk again after it failed. To be called every STREAM_LOG_TICK_MS while there are streams. */
enum { STREAM_LOG_TICK_MS = 500 };
void stream_log_tick(struct stream_log *l);

#endif
