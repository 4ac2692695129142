/* stream_record.h -- what stands in a segment: records of three kinds, each with its checksums.
 *
 *     0         4         8      12    13   14         16         24      32         40
 *     |head crc |body crc | size |kind |ack |text size |stream id |serial |unix time |body ...
 *
 *     MARK      the stream's limits (3 x 8 bytes), then its key: it exists, and its head is serial
 *     MESSAGE   the excluded socket id (text size bytes), then the frame
 *     DROP      nothing: the stream is over
 *
 * Little-endian. Two checksums, so that a record that the end of the file cuts off (its header is
 * sound) differs from one that was damaged. Pure: no descriptor, no clock, no allocation.
 */
#ifndef STREAM_RECORD_H
#define STREAM_RECORD_H

#include "core/buf.h"
#include "core/str.h"
#include "stream/stream.h"

enum { STREAM_RECORD_HEAD_BYTES = 40, STREAM_RECORD_MAX_BYTES = 64 * 1024 * 1024 };

enum stream_record_kind { STREAM_RECORD_MARK = 1, STREAM_RECORD_MESSAGE, STREAM_RECORD_DROP };

struct stream_record {
    enum stream_record_kind kind;
    enum stream_ack ack;
    uint64_t stream_id;
    uint64_t serial;
    int64_t unix_ms;
    struct stream_limits limits; // of a MARK
    struct str key;              // of a MARK
    struct str excluded, frame;  // of a MESSAGE
};

/* Appends the record. ERR_TOO_LARGE: it does not fit; out is as it was. */
MUST_USE enum err stream_record_write(const struct stream_record *r, struct buf *out);

/* Reads the record at the front of bytes, borrowed, and its whole size. ERR_AGAIN: the bytes end
 * inside it. ERR_INVALID: it is damaged, or no record. */
MUST_USE enum err stream_record_parse(struct str bytes, struct stream_record *out,
                                      size_t *size_out);

#endif
