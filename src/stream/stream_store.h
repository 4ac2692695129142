/* stream_store.h -- the logs of one process, and their directory.
 *
 *     dir/lock                one process at a time
 *     dir/00000007/           a generation: what one run of the server writes
 *             boot            boot id of the host
 *             clean           there after a clean stop: everything was synced
 *             0/ 1/ ...       the segments of each log
 *     dir/00000008.new/       a generation in the making: it counts when it is renamed
 *
 * A start reads the newest generation, writes what is still alive into a new one, and deletes the
 * old. So the number of logs may differ from start to start, and nothing is ever patched in place.
 */
#ifndef STREAM_STORE_H
#define STREAM_STORE_H

#include "stream/stream_log.h"

struct stream_store;

struct stream_store_options {
    const char *dir; // NULL: memory only
    size_t log_count;
    struct stream_log_options log; // of all logs together: max_bytes, max_streams, max_disk_bytes
    /* Which log has that channel: 0 .. log_count - 1. */
    size_t (*log_of)(struct str app_id, struct str channel, size_t log_count);
    const char *boot_id; // tests; NULL: the host's
};

/* Opens the logs, with what the last run left. When the disk cannot be written, that is logged and
 * they are in memory. why_out: a sentence for the operator. ERR_CONFLICT: another process has the
 * directory. ERR_IO: it cannot be made or opened. Blocks. */
MUST_USE enum err stream_store_open(const struct stream_store_options *options,
                                    struct stream_store **out, char *why_out, size_t why_cap);
struct stream_log *stream_store_log(const struct stream_store *store, size_t index);
/* After the threads of the logs ended: writes, syncs, and notes that the stop was clean. */
void stream_store_close(struct stream_store *store);

/* Forgets what stands in dir: whoever does not keep the log up must not leave an old one behind.
 * ERR_IO, with why. */
MUST_USE enum err stream_store_purge(const char *dir, char *why_out, size_t why_cap);

#endif
