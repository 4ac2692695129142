/* disk.h -- the disk of the proofs: it lies under SQLite's files and under every fsync of the
 * process.
 *
 *     SQLite --> store_wal.c (gathers) --> this VFS --> the system's VFS --> files
 *     whoever syncs (SQLite, a thread of the store) --> fsync, fdatasync: this program's own
 *
 * It can do three things: every call passes a failpoint (disk.wal.write, disk.db.sync, ...); the
 * nth call of a kind fails; all calls are written into a journal, from which power.h rebuilds what
 * a loss of power would have left.
 */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_op { DISK_WRITE, DISK_TRUNCATE, DISK_SYNC, DISK_OPEN, DISK_DELETE, DISK_READ, DISK_OPS };
/* The journal is only there while the database is made. */
enum disk_file { DISK_DB, DISK_WAL, DISK_JOURNAL, DISK_DIR, DISK_OTHER, DISK_FILES };

/* Once a process, before it opens its first store. */
void disk_install(void);

/* The nth call of op (0: the next one) fails with errno_value; is_lasting: and all later ones. A
 * write that fails has written its first half. */
void disk_fail(enum disk_op op, int nth, int errno_value, bool is_lasting);
bool disk_has_failed(void);
void disk_heal(void);

/* One call in the journal; of a write the bytes follow. */
struct disk_entry {
    enum disk_op op;
    enum disk_file file;
    bool is_failed;  // a sync: what it was to cover is lost, however later ones go
    bool is_mark;    // not a call: something was acknowledged; at: how much of the history says so
    uint32_t len;    // of a write
    int64_t at;      // a write's place, a truncate's size
    int64_t covers;  // a sync: the entries that were there when it began
    size_t bytes_at; // where a write's bytes are in the file; filled in by who reads it
};
/* Appends every call to the file from now on, behind the count that are there. */
void disk_record(const char *path, int64_t count);
void disk_mark(int64_t history_len);

#endif
