/* store_wal.h -- gathers the writes of SQLite's log (WAL) into one system call for each commit, and
 * makes the log longer ahead of them, so that a commit writes in place.
 *
 * SQLite writes every page of a commit with two calls, frame header and page; a group of 50
 * comments has some 50 pages. Between it and the file we keep what is written one behind the other,
 * and hand it to the system when SQLite syncs, reads there, truncates or asks for the size. Nothing
 * is promised before the sync, so what a crash takes from the buffer was never acknowledged; other
 * connections look at frames only after the commit has published them, and that comes after the
 * sync (synchronous=FULL).
 */
#ifndef STORE_WAL_H
#define STORE_WAL_H

#include <stdbool.h>

struct sqlite3_file;

/* The name of the VFS to open connections with; registered at the first call. NULL:
 * SQLite has no memory, or no VFS at all: open with the default. Any thread. */
const char *store_wal_vfs(void);

/* While is_soft, a commit to the log is written and not synced. SQLite's other syncs of the log
 * keep its order and are done: they are SQLITE_SYNC_FULL by PRAGMA checkpoint_fullfsync, which the
 * connection must have set. A file of another VFS stays as it is. */
void store_wal_set_soft(struct sqlite3_file *log, bool is_soft);

/* A sync of the log has failed since the system started: the file NAME.unsynced says so. The kernel
 * takes pages that it could not write for written, so that the log is whole in its memory and not
 * on the disk, and what is committed behind that would not outlast a loss of power. */
bool store_wal_is_unsynced(const char *log);
/* Writes the log anew, byte for byte, syncs it and removes the mark. log is SQLite's name of it;
 * the caller holds the write lock. False: it could not. */
bool store_wal_mend(const char *log);

#endif
