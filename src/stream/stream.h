/* stream.h -- what was published on a channel lately, in order and numbered. Start reading here.
 *
 *     stream_store   the streams of one process, on disk or not; opened at start, closed at the end
 *       stream_log   those of one loop and its thread, with their memory limit
 *         stream     one channel: id, head serial, the last messages
 *       stream_file  segments on disk of one log; stream_record: their bytes
 *
 * A position is (stream id, serial): "I saw this stream up to here". The id is random and stays
 * only while the log is provably whole; the serial counts messages from 1. Whoever comes back with
 * a position gets every later message, or learns that it cannot (stream_check). Never something in
 * between: whatever is lost -- to a limit, to age, to the disk -- makes positions expire or gives
 * the stream a new id.
 *
 * A stream is there while somebody holds it, and for its ttl after the last hold or message. A
 * message is there until it is as old as that, or until a limit needs its place, oldest first.
 * Reading is from memory only; the disk is for the next start.
 *
 * What survives: STREAM_MEMORY nothing, STREAM_WRITE the process (kill -9, upgrade), STREAM_FSYNC
 * the host as well. The order makes it so: messages are handed to the system (stream_log_flush), or
 * synced, before anybody sees them. After the host went down without a clean stop, what was not
 * STREAM_FSYNC is forgotten: nobody can tell what is missing. When the disk fails, the log drops
 * what it has there in one step, says so, goes on in memory, and tries again later.
 */
#ifndef STREAM_H
#define STREAM_H

#include "core/str.h"

enum {
    STREAM_MAX_KEY_BYTES = 1024, // app id, NUL and channel
    STREAM_MAX_EXCLUDED_BYTES = 63,
    STREAM_MAX_MESSAGES = 1000000,
    STREAM_MAX_BYTES = 1 << 30,
};
#define STREAM_MAX_TTL_MS (INT64_C(30) * 86400 * 1000)
#define STREAM_MAX_UNIX_MS (INT64_C(1) << 48)
#define STREAM_MAX_SERIAL ((UINT64_C(1) << 53) - 1) // as JavaScript counts

enum stream_ack { STREAM_MEMORY, STREAM_WRITE, STREAM_FSYNC };

struct stream_limits {
    int64_t ttl_ms;      // 1 .. STREAM_MAX_TTL_MS
    size_t max_messages; // 1 .. STREAM_MAX_MESSAGES
    size_t max_bytes;    // of its messages; at most STREAM_MAX_BYTES
    enum stream_ack ack; // fixed when the stream begins
};

struct stream;

uint64_t stream_id(const struct stream *s);
/* The serial of the newest message that may be seen; 0: none yet. */
uint64_t stream_head(const struct stream *s);
/* The serial of the oldest message that is still there; head + 1: none. */
uint64_t stream_oldest(const struct stream *s);
const struct stream_limits *stream_limits_of(const struct stream *s);

/* Somebody needs the stream: it does not expire. Counted. */
void stream_hold(struct stream *s);
void stream_release(struct stream *s);

/* Adds a message and returns its serial. excluded: id of the socket that is not to get it, or empty
 * (at most STREAM_MAX_EXCLUDED_BYTES). Both are copied. It may be sent when stream_head has reached
 * it: at once, after stream_log_flush, or after the sync that this starts, as the stream's ack
 * is. */
uint64_t stream_append(struct stream *s, struct str excluded, struct str frame);

enum stream_verdict {
    STREAM_OK,
    STREAM_RESET,            // another id: what that position counted is not known here
    STREAM_POSITION_EXPIRED, // a message after it is gone
    STREAM_POSITION_AHEAD,   // after the head: nobody can have been there
};

/* Can everything after the position be read? */
enum stream_verdict stream_check(const struct stream *s, uint64_t id, uint64_t serial);

struct stream_message {
    uint64_t serial;
    struct str excluded, frame; // borrowed until the next call for this log
};

/* The message after that serial, the position of a reader. False: there is none (it is the head),
 * or it is gone (stream_check tells which). */
bool stream_next(const struct stream *s, uint64_t after, struct stream_message *out);

#endif
