/* store.h -- transactions on the database, whichever driver (SQLite now, PostgreSQL later).
 *
 *     store_write(w) --> queue --> writer thread: BEGIN; w1->fn, w2->fn, ... COMMIT (one fsync)
 *                                                     '--> w1->on_done, w2->on_done, ...
 *     store_read(fn) --> a reader connection: a snapshot, on the calling thread
 *
 * A transaction is a function: it gets a store_tx, prepares and steps statements and returns OK to
 * commit or an error to roll back its own effects; others of the group are not touched. It may run
 * more than once: when another of its group fails after it had written, or where the driver retries
 * (PostgreSQL). So it has no side effects but the database and its own results, which it resets at
 * its start. It must not block on anything else.
 *
 * SQL is written once for both drivers: $1 parameters, RETURNING, ON CONFLICT; times are integer
 * milliseconds; no driver's own functions in civic code.
 *
 * Durable means: SQLite WAL with synchronous=FULL, the group's fsync done before any on_done. When
 * the commit of a group fails, every write in it gets ERR_IO (or ERR_AGAIN when the disk is full)
 * and nothing of it is kept. When the fsync itself fails the process logs and aborts: the kernel
 * may have dropped the pages, so only the log on disk, read again from the start, says what is
 * there.
 */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/str.h"

struct store;
struct store_tx;   // a transaction or snapshot in progress
struct store_stmt; // a prepared statement, owned by its connection's cache

typedef enum err store_fn(struct store_tx *tx, void *arg);

struct store_options {
    const char *path; // the SQLite file
    int readers;      // reader connections; callers of store_read wait for a free one; 0: 2
    int64_t busy_ms;  // wait for another process's lock; 0: 5 s
    bool is_server; // holds FILE.lock until the close: one server per file. Others may still write
    bool is_watching; // on_commit tells also of other processes' commits; so it does in a server
};

/* Opens, or creates (mode 0600). Does not migrate. why_out gets a sentence for the operator.
 * ERR_CONFLICT: another process has it open as a server, and so should we. ERR_NOT_FOUND: no such
 * directory. ERR_DENIED: no permission. ERR_INVALID: not a database. ERR_AGAIN: locked by another
 * process, or the disk is full. ERR_IO. */
MUST_USE enum err store_open(const struct store_options *options, struct store **out, char *why_out,
                             size_t why_cap);
/* Finishes queued writes, checkpoints, closes. No other call may be running or come later. */
void store_close(struct store *s);

/* Applies the embedded migrations NNNN_what.sql in order, each in a transaction, once.
 * ERR_CONFLICT: the database is newer than this binary. applied_out may be NULL. */
struct store_migration {
    int number;
    const char *name, *sql;
};
MUST_USE enum err store_migrate(struct store *s, const struct store_migration *list, size_t count,
                                int *applied_out, char *why_out, size_t why_cap);
/* As err_text, but for ERR_AGAIN and ERR_IO what the database meant by the last one in this
 * process: "the disk is full". For commands, which do one thing. Static; any thread. */
const char *store_err_text(enum err err);

/* The number of the newest applied migration; 0: none. */
MUST_USE enum err store_schema_number(struct store *s, int *out);

/* PRAGMA integrity_check and foreign_key_check (SQLite). ERR_INVALID: damaged, why_out says where.
 */
MUST_USE enum err store_check(struct store *s, char *why_out, size_t why_cap);

/* ---- writes ---- */
struct store_write {
    store_fn *fn;
    void *arg;
    /* Runs on the thread that writes right after the commit (or failure): only hand the result on
     * (io_loop_post, signal). err is what fn returned, or the failure of the commit. */
    void (*on_done)(struct store_write *w, enum err err);
    /* Need not be durable when it is done (a loss of power may take it back, kill -9 may not), but
     * is before any write that comes after it. A group of such writes alone is not synced. */
    bool is_soft;
    /* In on_done, with an error: it was the database's (a full disk, I/O, a lock), in one of fn's
     * statements or at the commit, and no decision of fn's. */
    bool is_broken;
    struct store_write *next; // private
    enum err result;          // private
};

/* Any thread, the writer's too. w lives until on_done. ERR_AGAIN: STORE_MAX_QUEUED writes wait
 * (answer 503) or the store closes; then on_done is not called. Writes of one thread run in order.
 */
enum { STORE_MAX_QUEUED = 20000, STORE_MAX_GROUP = 512 };
MUST_USE enum err store_write(struct store *s, struct store_write *w);

/* As store_write, but for work that may wait: a group takes few of them, and least beside ordinary
 * writes (two where 16 and more wait, which is a machine that cannot do both at once), so that
 * workers never starve answers nor the reverse. In order among themselves; up to
 * STORE_MAX_QUEUED of them, counted apart. */
MUST_USE enum err store_write_later(struct store *s, struct store_write *w);

/* As store_write_later, but where nobody else writes it is done, fn and on_done, on the calling
 * thread before the call returns. Never on a loop thread nor inside a store_fn. */
MUST_USE enum err store_write_soon(struct store *s, struct store_write *w);

/* Blocks until done, on the calling thread where nobody else writes. Never on a loop thread nor
 * inside a store_fn or on_done. */
MUST_USE enum err store_write_wait(struct store *s, store_fn *fn, void *arg);

/* The same for a write that is_soft. */
MUST_USE enum err store_write_soft_wait(struct store *s, store_fn *fn, void *arg);

/* Called on the thread that writes after each group that changed something, before its on_dones:
 * invalidate caches here. At most one; set it before the first write. Where the store is watching
 * it is called also, on a thread of the store's own, as soon as another process that opened it so
 * has committed, and within a second of what anything else has written. It may call store_write
 * and store_write_later. */
void store_on_commit(struct store *s, void (*fn)(void *ctx), void *ctx);

/* ---- locks between processes ---- */

/* A lock by a name among those that have the database open: each open lock counts, also two of one
 * process. The kernel gives it back when its process ends, however it ends. */
struct store_lock;
enum store_lock_mode { STORE_UNLOCKED, STORE_SHARED, STORE_EXCLUSIVE };
/* Unlocked at first. ERR_IO. It may outlive the store. */
MUST_USE enum err store_lock_open(struct store *s, struct str name, struct store_lock **out);
/* Changes the mode, without waiting and without a moment in between. ERR_AGAIN: others' locks do
 * not let it; the mode is as before. To a weaker mode it always can. ERR_IO. */
MUST_USE enum err store_lock_set(struct store_lock *lock, enum store_lock_mode mode);
/* Somebody else holds it, in whichever mode. */
bool store_lock_is_shared(struct store_lock *lock);
void store_lock_close(struct store_lock *lock);

/* ---- reads ---- */
/* Runs fn on the calling thread in a snapshot of a reader connection; blocks. Sees every write
 * whose on_done was called before. Statements that write fail with ERR_DENIED. Never on a loop
 * thread. */
MUST_USE enum err store_read(struct store *s, store_fn *fn, void *arg);

/* ---- statements, inside a store_fn ---- */
/* sql must be a string literal (cached by its address). The statement is reset and its bindings
 * cleared. Do not use one literal twice at the same time. ERR_INVALID: bad SQL (logged: our bug).
 */
MUST_USE enum err store_prepare(struct store_tx *tx, const char *sql, struct store_stmt **out);
/* Parameters count from 1 ($1). Text and blobs are borrowed until the statement is reset (by a step
 * that is not OK, by store_run or store_finish). */
void store_bind_int(struct store_stmt *st, int index, int64_t value);
void store_bind_text(struct store_stmt *st, int index, struct str value); // at == NULL binds NULL
void store_bind_blob(struct store_stmt *st, int index, const void *bytes, size_t len);
void store_bind_null(struct store_stmt *st, int index);
/* OK: a row is there. ERR_NOT_FOUND: no (more) row; the statement is reset. ERR_CONFLICT: a unique,
 * check, not-null or foreign key constraint; this statement's effects are undone, the transaction
 * may go on. ERR_DENIED: a write inside store_read. ERR_IO, ERR_AGAIN (disk full). Anything but OK
 * resets it. */
MUST_USE enum err store_step(struct store_stmt *st);
/* Columns count from 0. Text lives until the next step or finish. NULL gives 0 or at == NULL. */
int64_t store_column_int(struct store_stmt *st, int index);
struct str store_column_text(struct store_stmt *st, int index);
struct str store_column_blob(struct store_stmt *st, int index);
bool store_column_is_null(struct store_stmt *st, int index);
/* Resets; NULL is accepted. Call it when done with a statement that still has a row; those that a
 * store_fn leaves open are reset when it returns. */
void store_finish(struct store_stmt *st);

/* Steps a statement that returns no rows. changes_out (may be NULL): rows it changed. ERR_CONFLICT,
 * ... */
MUST_USE enum err store_run(struct store_stmt *st, int64_t *changes_out);

/* Steps a statement that gives one integer. ERR_NOT_FOUND: it gives no row; *out stays as it was.
 */
MUST_USE enum err store_get_int(struct store_stmt *st, int64_t *out);

/* Steps an INSERT of one row, without RETURNING, into a table with the key `id`, and gives its id.
 * (A RETURNING clause makes SQLite collect its row in a table of its own, for every insert.)
 * ERR_NOT_FOUND: ON CONFLICT DO NOTHING did nothing. Errors as store_run. */
MUST_USE enum err store_insert(struct store_stmt *st, int64_t *id_out);

/* Unix milliseconds, the same for all statements of this transaction: use it for deadlines. */
int64_t store_now_ms(const struct store_tx *tx);

/* Numbers for metrics: groups committed, writes acknowledged, waiting now; writes that failed with
 * their group; checkpoints of the WAL. */
struct store_stats {
    int64_t groups, writes, waiting, failed, checkpoints;
};
void store_get_stats(struct store *s, struct store_stats *out);

#endif
