/* stream_internal.h -- what the files of stream share about a log and its streams. */
#ifndef STREAM_INTERNAL_H
#define STREAM_INTERNAL_H

#include "core/map.h"
#include "io/io_wheel.h"
#include "stream/stream_file.h"
#include "stream/stream_log.h"

/* One message in memory. */
struct stream_item {
    struct list node; // in stream_log.items
    struct stream *stream;
    struct stream_segment *segment; // NULL: it is on no disk
    int64_t at_ms;
    size_t frame_len;
    uint8_t excluded_len;
    char bytes[]; // excluded, frame
};

struct stream {
    struct stream_log *log;
    uint64_t id;
    uint64_t head;    // serial of the newest message
    uint64_t visible; // up to here they may be seen; less than head while the disk is awaited
    uint64_t syncing; // up to here the sync that runs makes them visible
    struct stream_limits limits;

    struct stream_item **ring; // the newest item_count messages
    uint32_t ring_cap;         // power of two, or 0
    uint32_t first;            // where the oldest is
    uint32_t item_count;
    size_t bytes; // of them

    uint32_t holds;
    int64_t used_ms;                // last message, hold or release
    int64_t marked_ms;              // when the disk last heard of it; 0: never
    struct stream_segment *segment; // with its newest record; NULL: none
    struct list segment_node;       // in segment->streams
    struct list idle_node;          // in stream_log.idle while nobody holds it
    struct io_timer timer;          // looks when something is to be forgotten
    struct list due_node;           // in stream_log.due
    struct list unseen_node;        // in stream_log.unseen while visible < head
    uint32_t key_len;
    char key[];
};

struct stream_log {
    struct stream_log_options options;
    struct map streams; // by key
    struct list items;  // of all streams, oldest first
    size_t bytes;
    uint64_t shown;   // of stream_log_shown
    struct list idle; // streams without holds, longest unused first
    struct io_wheel wheel;
    struct list due;
    int64_t unix_offset_ms; // unix time = monotonic time + this

    struct stream_file file;
    int parent_fd; // of file; -1: memory only
    char name[16];
    int64_t retry_ms;   // when to try the disk again
    struct list unseen; // streams with messages that wait for the disk
    struct io_job job;  // the sync
    struct stream_file_sync sync;
    bool is_syncing;
};

/* ---- stream.c ---- */
struct stream *stream_new(struct stream_log *l, struct str key, const struct stream_limits *limits);
/* Forgets the stream and its messages; says nothing to the disk. */
void stream_free(struct stream *s);
/* Adds a message that is numbered and placed already. */
void stream_keep(struct stream *s, const struct stream_message *m, int64_t at_ms,
                 struct stream_segment *segment);
/* Forgets messages: the oldest; all; those that the limits of the stream have no place for. */
void stream_evict_oldest(struct stream *s);
void stream_evict_all(struct stream *s);
void stream_trim(struct stream *s);
/* index: 0 is the oldest. */
struct stream_item *stream_item_at(const struct stream *s, uint32_t index);
/* NULL: there is none. */
const struct stream_item *stream_first_item(const struct stream *s);

/* ---- stream_log.c ---- */
/* The random id of a new stream. */
uint64_t stream_new_id(void);
/* Takes s over from another log. False: the key is taken here. */
bool stream_log_adopt(struct stream_log *l, struct stream *s);
/* Puts the messages into the order of their ages, after adoption. */
void stream_log_sort(struct stream_log *l);
/* Forgets messages until the log has place. */
void stream_log_make_room(struct stream_log *l);
/* Goes on in a new directory of parent_fd (borrowed for the log's life), where it says where each
 * stream stands, or writes all that is in memory. ERR_IO: it goes on in memory, and tries again. */
MUST_USE enum err stream_log_begin_file(struct stream_log *l, int parent_fd, const char *name,
                                        bool with_messages);
/* Goes on in memory for good. */
void stream_log_give_up_file(struct stream_log *l);
/* Makes all positions that were given out so far positions of another stream. */
void stream_log_change_ids(struct stream_log *l);
/* Numbers the message, puts it on the disk when that is wanted, and keeps it. */
void stream_log_put_message(struct stream_log *l, struct stream *s, const struct stream_message *m);
/* Starts to look after s. */
void stream_log_watch(struct stream_log *l, struct stream *s);
/* Syncs everything now; ERR_IO, and then nothing is on the disk. */
MUST_USE enum err stream_log_sync_now(struct stream_log *l);

/* ---- stream_load.c ---- */
struct stream_loader {
    struct stream_log *log; // gets the streams; in memory only
    struct map by_id;       // by the eight bytes of the id
    int64_t now_ms, now_unix_ms;
};
void stream_load_init(struct stream_loader *loader, struct stream_log *l);
void stream_load_done(struct stream_loader *loader);
/* Applies the records in bytes; *taken_out is how many bytes they are. ERR_AGAIN: the rest is cut
 * off; ERR_INVALID: the rest is damaged, or contradicts what came before. */
MUST_USE enum err stream_load_bytes(struct stream_loader *loader, struct str bytes,
                                    size_t *taken_out);
/* Loads a directory of segments into l, which is empty. is_host_new: what the host did not sync may
 * be lost, so only STREAM_FSYNC streams count. ERR_INVALID, ERR_IO: it is not whole, forget l. */
MUST_USE enum err stream_load_dir(struct stream_log *l, int dir_fd, bool is_host_new);

#endif
