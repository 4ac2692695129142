/* stream_file.h -- the segments of one log: 00000001.log, 00000002.log, ... in one directory.
 *
 *     bytes are gathered -- flush: one write --> newest segment -- sync, in the pool --> durable
 *
 * Only the newest grows; the oldest goes when nobody needs it. A failure loses nothing quietly: the
 * directory is renamed away in one step (stream_file_drop), so that no later start takes half a log
 * for a whole one. For the stream module's own files.
 */
#ifndef STREAM_FILE_H
#define STREAM_FILE_H

#include "core/buf.h"
#include "core/err.h"
#include "core/list.h"
#include "io/io_pool.h"
#include "stream/stream_record.h"

struct stream_segment {
    struct list node; // in stream_file.segments
    uint32_t number;
    uint64_t bytes;       // in the file, or on their way there
    size_t message_count; // of messages in memory that stand here
    struct list streams;  // whose newest record stands here
};

enum { STREAM_FILE_MAX_FDS = 4 };

struct stream_file {
    int parent_fd; // of the directory that holds ours
    int dir_fd;
    char name[16];        // of our directory
    struct list segments; // oldest first; the last is written to
    uint64_t bytes;       // of all
    size_t segment_bytes;
    struct buf out;               // gathered
    int fds[STREAM_FILE_MAX_FDS]; // the newest's, then older ones that have not been synced
    int fd_count;
    bool has_new_name; // since the directory was synced
};

/* Makes the directory parent/name, which is not there yet, and its first segment. ERR_IO, logged;
 * f is then as after stream_file_drop. */
MUST_USE enum err stream_file_open(struct stream_file *f, int parent_fd, const char *name,
                                   size_t segment_bytes);
/* Closes the descriptors; what was not flushed is lost. */
void stream_file_close(struct stream_file *f);
/* Closes, and takes the directory out of the way, so that no start reads it. ERR_IO: it is still
 * there. */
MUST_USE enum err stream_file_drop(struct stream_file *f);

static inline bool stream_file_is_open(const struct stream_file *f)
{
    return f->dir_fd >= 0;
}
static inline struct stream_segment *stream_file_newest(const struct stream_file *f)
{
    return LIST_ENTRY(f->segments.prev, struct stream_segment, node);
}
static inline struct stream_segment *stream_file_oldest(const struct stream_file *f)
{
    return LIST_ENTRY(f->segments.next, struct stream_segment, node);
}

/* Gathers a record for the newest segment. ERR_TOO_LARGE: no record is so large. */
MUST_USE enum err stream_file_put(struct stream_file *f, const struct stream_record *r);
/* Writes what was gathered; begins a new segment when this one is full. ERR_IO, logged. */
MUST_USE enum err stream_file_flush(struct stream_file *f);
/* Deletes the oldest segment, which is not the newest and which no stream needs. ERR_IO. */
MUST_USE enum err stream_file_remove_oldest(struct stream_file *f);

/* Is the newest due for a flush, which begins the next? */
static inline bool stream_file_is_full(const struct stream_file *f)
{
    return stream_file_newest(f)->bytes >= f->segment_bytes;
}

/* Is there a full segment that was not synced? It must be before what comes behind it counts. */
static inline bool stream_file_has_full(const struct stream_file *f)
{
    return f->fd_count > 1;
}

/* One sync of all that was flushed before stream_file_sync_init, on any thread. */
struct stream_file_sync {
    int fds[STREAM_FILE_MAX_FDS + 1]; // copies
    int fd_count;
    int error; // errno; 0: all is on the disk
};
void stream_file_sync_init(struct stream_file *f, struct stream_file_sync *out);
void stream_file_sync_run(struct stream_file_sync *sync);

/* ---- reading ---- */

/* Reads one whole segment at the path. ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_IO. The bytes are the
 * caller's. */
MUST_USE enum err stream_file_read(int dir_fd, uint32_t number, char **out, size_t *len_out);
/* The numbers of the segments in a directory, in order; the caller frees them. ERR_IO. */
MUST_USE enum err stream_file_list(int dir_fd, uint32_t **out, size_t *count_out);
/* What stands before the records of a segment. ERR_AGAIN: cut off, ERR_INVALID: something else. */
enum { STREAM_FILE_HEAD_BYTES = 16 };
MUST_USE enum err stream_file_parse_head(struct str bytes, uint32_t number);

#endif
