/* store.c -- the front of the store: opening, the pool of readers, the calls inside a transaction.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/store_internal.h"

enum { DEFAULT_READERS = 2, MAX_PATH_BYTES = 4096 };

static const struct store_driver *const driver = &store_sqlite_driver;

/* ---- open, close ---- */

/* A lock of its own beside the database: SQLite's locks are taken and given back with every
 * transaction, this one lives as long as the server. The kernel drops it when the process dies. */
static enum err lock_server(const char *path, int *fd_out, char *why_out, size_t why_cap)
{
    char name[MAX_PATH_BYTES];
    if ((size_t)snprintf(name, sizeof(name), "%s.lock", path) >= sizeof(name)) {
        snprintf(why_out, why_cap, "the path is too long");
        return ERR_TOO_LARGE;
    }
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        snprintf(why_out, why_cap, "cannot open %s: %s", name, strerror(errno));
        if (errno == ENOENT || errno == ENOTDIR)
            return ERR_NOT_FOUND;
        return errno == EACCES || errno == EPERM || errno == EROFS ? ERR_DENIED : ERR_IO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *fd_out = fd;
        return OK;
    }
    bool is_taken = errno == EWOULDBLOCK;
    if (is_taken)
        snprintf(why_out, why_cap,
                 "another server uses %s: stop it, or choose another data directory", path);
    else
        snprintf(why_out, why_cap, "cannot lock %s: %s", name, strerror(errno));
    close(fd);
    return is_taken ? ERR_CONFLICT : ERR_IO;
}

static enum err open_readers(struct store *s, const struct store_options *options, char *why_out,
                             size_t why_cap)
{
    int count = options->readers > 0 ? options->readers : DEFAULT_READERS;
    s->readers = mem_zalloc((size_t)count * sizeof(struct store_conn *));
    for (; s->readers_count < count; s->readers_count++, s->readers_free++) {
        enum err err = driver->open(options, true, &s->readers[s->readers_count], why_out, why_cap);
        if (err)
            return err;
    }
    return OK;
}

/* Gives back what open has got so far; the writer is not running. */
static void release_all(struct store *s)
{
    store_peers_close(s->peers);
    mem_free(s->path);
    for (int i = 0; i < s->readers_count; i++)
        driver->close(s->readers[i]);
    mem_free(s->readers);
    pthread_mutex_destroy(&s->readers_mutex);
    pthread_cond_destroy(&s->reader_free);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    mem_free(s);
}

enum err store_open(const struct store_options *options, struct store **out, char *why_out,
                    size_t why_cap)
{
    struct store_conn *conn = NULL, *checkpointer = NULL;
    struct store *s = MEM_NEW(struct store);
    bool is_watching = options->is_server || options->is_watching;

    s->lock_fd = -1;
    s->path = str_dup(str_of(options->path));
    pthread_mutex_init(&s->readers_mutex, NULL);
    pthread_cond_init(&s->reader_free, NULL);
    enum err err =
        options->is_server ? lock_server(options->path, &s->lock_fd, why_out, why_cap) : OK;
    if (!err)
        err = driver->open(options, false, &conn, why_out, why_cap);
    if (!err)
        err = driver->open(options, true, &checkpointer, why_out, why_cap);
    if (!err)
        err = open_readers(s, options, why_out, why_cap);
    if (!err)
        err = driver->mend(conn, why_out, why_cap);
    if (!err) {
        s->peers = store_peers_open(options->path);
        err = store_writer_start(&s->writer, conn, checkpointer, s->peers, is_watching);
        if (err)
            snprintf(why_out, why_cap, "cannot start a thread");
    }
    if (err) {
        if (checkpointer)
            driver->close(checkpointer);
        if (conn)
            driver->close(conn);
        release_all(s);
        return err;
    }
    if (is_watching && s->peers && store_peers_listen(s->peers, store_writer_hear, &s->writer))
        log_warn("at=store.open why=\"other processes' commits are seen within a second only\"");
    *out = s;
    return OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    store_peers_stop(s->peers);
    // The last connection to close makes the checkpoint: the writer's, so that all of it is
    // written.
    for (int i = 0; i < s->readers_count; i++)
        driver->close(s->readers[i]);
    s->readers_count = 0;
    store_writer_stop(&s->writer);
    release_all(s);
}

/* ---- writes ---- */

enum err store_write(struct store *s, struct store_write *w)
{
    return store_writer_submit(&s->writer, STORE_NOW, w);
}

enum err store_write_later(struct store *s, struct store_write *w)
{
    return store_writer_submit(&s->writer, STORE_LATER, w);
}

enum err store_write_soon(struct store *s, struct store_write *w)
{
    return store_writer_perform(&s->writer, STORE_LATER, w);
}

struct waiter {
    struct store_write write;
    pthread_mutex_t mutex;
    pthread_cond_t done;
    bool is_done;
    enum err err;
};

static void on_waited(struct store_write *write, enum err err)
{
    struct waiter *waiter = (struct waiter *)(void *)write;
    pthread_mutex_lock(&waiter->mutex);
    waiter->err = err;
    waiter->is_done = true;
    pthread_cond_signal(&waiter->done); // under the mutex: the waiter is on a stack that goes away
    pthread_mutex_unlock(&waiter->mutex);
}

static enum err write_wait(struct store *s, store_fn *fn, void *arg, bool is_soft)
{
    struct waiter waiter = {
        .write = {.fn = fn, .arg = arg, .on_done = on_waited, .is_soft = is_soft}};
    pthread_mutex_init(&waiter.mutex, NULL);
    pthread_cond_init(&waiter.done, NULL);
    enum err err = store_writer_perform(&s->writer, STORE_NOW, &waiter.write);
    if (!err) {
        pthread_mutex_lock(&waiter.mutex);
        while (!waiter.is_done)
            pthread_cond_wait(&waiter.done, &waiter.mutex);
        err = waiter.err;
        pthread_mutex_unlock(&waiter.mutex);
    }
    pthread_cond_destroy(&waiter.done);
    pthread_mutex_destroy(&waiter.mutex);
    return err;
}

enum err store_write_wait(struct store *s, store_fn *fn, void *arg)
{
    return write_wait(s, fn, arg, false);
}

enum err store_write_soft_wait(struct store *s, store_fn *fn, void *arg)
{
    return write_wait(s, fn, arg, true);
}

void store_on_commit(struct store *s, void (*fn)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&s->writer.mutex);
    s->writer.on_commit = fn;
    s->writer.on_commit_ctx = ctx;
    pthread_mutex_unlock(&s->writer.mutex);
}

void store_get_stats(struct store *s, struct store_stats *out)
{
    struct store_writer *w = &s->writer;
    pthread_mutex_lock(&w->mutex);
    *out = w->stats;
    out->waiting = w->lanes[STORE_NOW].count + w->lanes[STORE_LATER].count;
    pthread_mutex_unlock(&w->mutex);
}

/* ---- reads ---- */

static struct store_conn *take_reader(struct store *s)
{
    pthread_mutex_lock(&s->readers_mutex);
    while (s->readers_free == 0)
        pthread_cond_wait(&s->reader_free, &s->readers_mutex);
    struct store_conn *c = s->readers[--s->readers_free];
    pthread_mutex_unlock(&s->readers_mutex);
    return c;
}

static void give_reader(struct store *s, struct store_conn *c)
{
    pthread_mutex_lock(&s->readers_mutex);
    s->readers[s->readers_free++] = c;
    pthread_cond_signal(&s->reader_free);
    pthread_mutex_unlock(&s->readers_mutex);
}

enum err store_read(struct store *s, store_fn *fn, void *arg)
{
    struct store_conn *c = take_reader(s);
    struct store_tx tx = {c, clock_unix_ms()};

    enum err err = driver->begin(c, false);
    if (!err) {
        err = fn(&tx, arg);
        enum err end = driver->lost(c);
        if (end)
            driver->rollback(c);
        else
            end = driver->commit(c, NULL);
        if (!err)
            err = end;
    }
    give_reader(s, c);
    return err;
}

enum err store_check(struct store *s, char *why_out, size_t why_cap)
{
    struct store_conn *c = take_reader(s);
    enum err err = driver->check(c, why_out, why_cap);
    give_reader(s, c);
    return err;
}

const char *store_err_text(enum err err)
{
    return driver->text_of(err);
}

enum err store_schema_number(struct store *s, int *out)
{
    return store_migrate_number(s, out);
}

/* ---- statements ---- */

enum err store_prepare(struct store_tx *tx, const char *sql, struct store_stmt **out)
{
    return tx->conn->driver->prepare(tx->conn, sql, out);
}

void store_bind_int(struct store_stmt *st, int index, int64_t value)
{
    st->driver->bind_int(st, index, value);
}

void store_bind_text(struct store_stmt *st, int index, struct str value)
{
    st->driver->bind_bytes(st, index, value, false);
}

void store_bind_blob(struct store_stmt *st, int index, const void *bytes, size_t len)
{
    st->driver->bind_bytes(st, index, (struct str){bytes, len}, true);
}

void store_bind_null(struct store_stmt *st, int index)
{
    st->driver->bind_bytes(st, index, (struct str){NULL, 0}, false);
}

enum err store_step(struct store_stmt *st)
{
    return st->driver->step(st);
}

int64_t store_column_int(struct store_stmt *st, int index)
{
    return st->driver->column_int(st, index);
}

struct str store_column_text(struct store_stmt *st, int index)
{
    return st->driver->column_text(st, index);
}

struct str store_column_blob(struct store_stmt *st, int index)
{
    return st->driver->column_blob(st, index);
}

bool store_column_is_null(struct store_stmt *st, int index)
{
    return st->driver->column_is_null(st, index);
}

void store_finish(struct store_stmt *st)
{
    if (st)
        st->driver->reset(st);
}

enum err store_run(struct store_stmt *st, int64_t *changes_out)
{
    enum err err = store_step(st);
    if (!err)
        store_finish(st); // a row that nobody asked for
    else if (err == ERR_NOT_FOUND)
        err = OK;
    if (!err && changes_out)
        *changes_out = st->driver->changes(st);
    return err;
}

enum err store_get_int(struct store_stmt *st, int64_t *out)
{
    enum err err = store_step(st);
    if (!err)
        *out = store_column_int(st, 0);
    store_finish(st);
    return err;
}

enum err store_insert(struct store_stmt *st, int64_t *id_out)
{
    int64_t changes = 0;
    enum err err = store_run(st, &changes);
    if (err)
        return err;
    if (changes == 0)
        return ERR_NOT_FOUND;
    *id_out = st->driver->inserted_id(st);
    return OK;
}

int64_t store_now_ms(const struct store_tx *tx)
{
    return tx->now_ms;
}
