/* store_internal.h -- what the files of the store share: the driver table, the write lanes, the
 * readers. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <pthread.h>

#include "store/store.h"
#include "store/store_peers.h"

/* One connection of a driver; the driver's struct begins with it. One thread at a time. */
struct store_conn {
    const struct store_driver *driver;
    bool has_failed; // a call to the database did, but for constraints and bad SQL
};

/* The driver's statement begins with it. */
struct store_stmt {
    const struct store_driver *driver;
};

struct store_tx {
    struct store_conn *conn;
    int64_t now_ms;
};

/* What a database must be able to do. Errors are logged where they occur, but for constraints.
 *
 *     begin -> { fn -> settle }* -> commit | rollback
 *     begin -> { save -> fn -> settle -> release | undo }* -> commit | rollback
 */
struct store_driver {
    enum err (*open)(const struct store_options *options, bool is_reader, struct store_conn **out,
                     char *why_out, size_t why_cap);
    void (*close)(struct store_conn *c);
    /* Before anything is written: what an earlier process failed to sync is brought to the disk. */
    enum err (*mend)(struct store_conn *writer, char *why_out, size_t why_cap);

    enum err (*begin)(struct store_conn *c, bool is_write);
    /* changed_out (may be NULL): something was written. A failure leaves no transaction. */
    enum err (*commit)(struct store_conn *c, bool *changed_out);
    /* The same, but a loss of power may take it; what is committed later makes it durable. */
    enum err (*commit_soft)(struct store_conn *c, bool *changed_out);
    void (*rollback)(struct store_conn *c);
    enum err (*save)(struct store_conn *c); // opens the savepoint of one write
    enum err (*release)(struct store_conn *c);
    enum err (*undo)(struct store_conn *c); // back to the savepoint, which is then closed
    /* Resets the statements a fn left open. ERR_CONFLICT: it leaves a deferred constraint broken.
     */
    enum err (*settle)(struct store_conn *c);
    /* Rows written so far by this connection: did a fn that failed change anything? */
    int64_t (*total_changes)(const struct store_conn *c);
    /* Not OK: the database ended the whole transaction by itself (disk full, i/o error), for that
     * reason. */
    enum err (*lost)(const struct store_conn *c);
    /* The last failure was one of fsync: what is on disk is unknown. */
    bool (*is_sync_lost)(const struct store_conn *c);
    /* store_err_text. */
    const char *(*text_of)(enum err err);

    /* True: the log is long enough for a checkpoint beside the writer, which the caller begins. */
    bool (*must_checkpoint)(struct store_conn *c);
    /* Copies the log into the database, on a connection that reads, beside the writer's. */
    void (*checkpoint)(struct store_conn *reader);
    /* Work that may wait, after a group, while no such checkpoint runs: is_idle says that nobody
     * waits. True: something was done. */
    bool (*tidy)(struct store_conn *c, bool is_idle);
    bool (*is_tidy)(const struct store_conn *c); // tidy has nothing to do
    /* Another process has written since the last call. */
    bool (*is_changed_elsewhere)(struct store_conn *c);
    enum err (*exec)(struct store_conn *c, const char *sql, char *why_out, size_t why_cap);
    enum err (*check)(struct store_conn *c, char *why_out, size_t why_cap);

    enum err (*prepare)(struct store_conn *c, const char *sql, struct store_stmt **out);
    void (*bind_int)(struct store_stmt *st, int index, int64_t value);
    void (*bind_bytes)(struct store_stmt *st, int index, struct str value, bool is_blob);
    enum err (*step)(struct store_stmt *st);
    int64_t (*column_int)(struct store_stmt *st, int index);
    struct str (*column_text)(struct store_stmt *st, int index);
    struct str (*column_blob)(struct store_stmt *st, int index);
    bool (*column_is_null)(struct store_stmt *st, int index);
    int64_t (*changes)(struct store_stmt *st);     // rows of the last statement
    int64_t (*inserted_id)(struct store_stmt *st); // of the last INSERT
    void (*reset)(struct store_stmt *st);
};

extern const struct store_driver store_sqlite_driver;

/* First in, first out, linked by store_write.next. */
struct store_lane {
    struct store_write *first, **last;
    int count;
};

enum { STORE_NOW, STORE_LATER, STORE_LANES };

struct store_checkpointer {
    pthread_t thread;
    pthread_mutex_t mutex; // guards what follows, up to the blank line
    pthread_cond_t wake;
    bool is_busy, is_closing;

    struct store_conn *conn; // the thread's own
};

struct store_writer {
    pthread_t thread;
    pthread_mutex_t mutex; // guards what follows, up to the blank line
    pthread_cond_t wake;
    struct store_lane lanes[STORE_LANES];
    bool is_closing, is_waiting;
    bool is_resting;          // waits and has nothing to tidy
    bool is_writing;          // a thread has what follows the blank line
    uint64_t turns;           // of other threads that wrote
    struct store_stats stats; // waiting is counted from the lanes

    struct store_conn *conn; // from here on the thread's that writes
    bool is_watching;
    void (*on_commit)(void *ctx);
    void *on_commit_ctx;
    struct store_checkpointer checkpointer;
    struct store_peers *peers; // NULL: none are woken
};

struct store {
    struct store_writer writer;
    int lock_fd;               // -1: not a server
    char *path;                // of the file
    struct store_peers *peers; // NULL: none are woken
    pthread_mutex_t readers_mutex;
    pthread_cond_t reader_free;
    struct store_conn **readers; // a stack: [0, readers_free) are free
    int readers_count, readers_free;
};

/* Starts the thread on conn, and the checkpointer on reader; both are then the writer's to close.
 * peers, which it rings, stay the caller's. */
MUST_USE enum err store_writer_start(struct store_writer *w, struct store_conn *conn,
                                     struct store_conn *reader, struct store_peers *peers,
                                     bool is_watching);
/* Tells on_commit that another process has committed. Any thread; a store_writer. */
void store_writer_hear(void *writer);
/* Finishes what is queued, closes the connections. */
void store_writer_stop(struct store_writer *w);
MUST_USE enum err store_writer_submit(struct store_writer *w, int lane, struct store_write *write);
/* store_write_soon. */
MUST_USE enum err store_writer_perform(struct store_writer *w, int lane, struct store_write *write);
/* Ends the process when a sync failed: see store.h. */
void store_writer_end_if_sync_lost(struct store_conn *c);

/* Starts the thread on a connection that reads, which stays the caller's. */
MUST_USE enum err store_checkpointer_start(struct store_checkpointer *s, struct store_conn *conn);
/* Waits for the checkpoint that runs. */
void store_checkpointer_stop(struct store_checkpointer *s);
/* Begins a checkpoint; only while none runs. */
void store_checkpointer_wake(struct store_checkpointer *s);
bool store_checkpointer_is_busy(struct store_checkpointer *s);

/* store_schema_number: it is the migrations' table. */
MUST_USE enum err store_migrate_number(struct store *s, int *out);

#endif
