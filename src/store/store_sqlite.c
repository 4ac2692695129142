/* store_sqlite.c -- the SQLite driver: WAL, synchronous=FULL, one connection for one thread at a
 * time.
 *
 * Statements are prepared once for each connection and found again by the address of their literal:
 * a pointer hash instead of a text hash, on the hot path of every request. SQLite prepares them
 * anew by itself when the schema changed.
 *
 * The WAL. SQLite's own checkpoint (every 1,000 pages, inside somebody's COMMIT) is off:
 *
 * - every CHECKPOINT_PAGES the checkpointer copies them into the database, beside the writer;
 * - over LAP_PAGES the writer itself copies the rest that came meanwhile, once it is short: what
 *   finds nothing left in the WAL writes it again from its beginning, in place, which syncs faster
 *   than a file that grows, and bounds it;
 * - when nobody writes the writer copies all;
 * - over RESTART_PAGES readers have held it back: the writer waits for them, a little; over
 *   TRUNCATE_PAGES it gives the space back as well.
 *
 * No mmap: an i/o error shall be an error code and not a SIGBUS.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "core/failpoint.h"
#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/store_internal.h"
#include "store/store_wal.h"

enum {
    PAGE_BYTES = 4096,
    CHECKPOINT_PAGES = 4000,
    LAP_PAGES = 12000,
    REST_PAGES = 500, // so few that the answers hardly feel it
    RESTART_PAGES = (64 << 20) / PAGE_BYTES,
    TRUNCATE_PAGES = (256 << 20) / PAGE_BYTES,
    RESTART_WAIT_MS = 100,
    STARVED_STEP_PAGES = 1000, // readers hold the WAL: try again only after so many pages more
    FIRST_CACHE = 64,
    MAX_PARAMETERS = 99,
    LOOKASIDE_PIECES = 500,
    DEFAULT_BUSY_MS = 5000,
};

struct sqlite_conn {
    struct store_conn base;
    sqlite3 *db;
    bool is_reader, is_in_tx, is_sync_lost;
    enum err lost; // the transaction was ended by the database, for this
    int64_t busy_ms;
    struct list open;           // statements with a row
    struct sqlite_stmt **cache; // open addressing by sql; a power of two
    size_t cache_cap, cache_count;
    int wal_pages;      // after the last commit
    int tidied_pages;   // of them, not worth a checkpoint before they grow
    int lap_pages;      // so many: time to begin the WAL anew
    bool has_committed; // set by the WAL hook
    int64_t data_version;
};

struct sqlite_stmt {
    struct store_stmt base;
    struct sqlite_conn *conn;
    sqlite3_stmt *handle;
    const char *sql;
    bool is_write;
    struct list open;
    enum err bind_err;
    // SQLite numbers $N by where it appears first, PostgreSQL by its N, and so do we
    uint8_t slots[MAX_PARAMETERS + 1];
};

static struct sqlite_conn *conn_of(struct store_conn *c)
{
    return (struct sqlite_conn *)(void *)c;
}

static struct sqlite_stmt *stmt_of(struct store_stmt *st)
{
    return (struct sqlite_stmt *)(void *)st;
}

/* ---- errors ---- */

static bool is_space_error(int errno_value)
{
    return errno_value == ENOSPC || errno_value == EDQUOT;
}

static enum err err_of(const struct sqlite_conn *c, int code)
{
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
        return ERR_AGAIN;
    case SQLITE_READONLY: // by query_only, or because the file system has become so
        return c->is_reader ? ERR_DENIED : ERR_AGAIN;
    case SQLITE_TOOBIG:
        return ERR_TOO_LARGE;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
    case SQLITE_NOTADB:
        return ERR_INVALID;
    case SQLITE_CANTOPEN:
        return ERR_IO;
    case SQLITE_IOERR:
        return is_space_error(sqlite3_system_errno(c->db)) ? ERR_AGAIN : ERR_IO;
    default:
        return ERR_IO;
    }
}

/* The failure in words for who can mend it; NULL: SQLite's own say it. */
static const char *meaning_of(int extended, int errno_value)
{
    switch (extended & 0xff) {
    case SQLITE_FULL:
        return "the disk is full";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "the database is busy: another process writes";
    case SQLITE_READONLY:
        return "the database can only be read";
    case SQLITE_CORRUPT: // also what SQLite makes of EIO in the midst of a statement
        return "the database cannot be read: the disk fails, or the file is damaged";
    case SQLITE_IOERR:
        break;
    default:
        return NULL;
    }
    if (is_space_error(errno_value))
        return "the disk is full";
    switch (extended) {
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_SHORT_READ:
    case SQLITE_IOERR_CORRUPTFS: // what SQLite makes of EIO
        return "the disk cannot be read: I/O error";
    case SQLITE_IOERR_WRITE:
    case SQLITE_IOERR_TRUNCATE:
    case SQLITE_IOERR_DELETE:
    case SQLITE_IOERR_SHMSIZE:
        return "the disk cannot be written: I/O error";
    default:
        return "the disk fails: I/O error";
    }
}

static const char *_Atomic last_meaning; // of the process: its disk is one

static const char *text_of(enum err err)
{
    const char *meaning = err == ERR_AGAIN || err == ERR_IO ? atomic_load(&last_meaning) : NULL;
    return meaning ? meaning : err_text(err);
}

/* Maps the failure that has just happened, logs it unless it is a constraint, and remembers what it
 * means for the transaction. */
static enum err fail(struct sqlite_conn *c, const char *where, int code)
{
    char why[LOG_QUOTE_BYTES];
    int extended = sqlite3_extended_errcode(c->db);
    CHECK((code & 0xff) != SQLITE_NOMEM && extended != SQLITE_IOERR_NOMEM); // as mem.h does
    enum err err = err_of(c, code);

    if (err == ERR_AGAIN || err == ERR_IO)
        atomic_store(&last_meaning, meaning_of(extended, sqlite3_system_errno(c->db)));
    if (extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC)
        c->is_sync_lost = true;
    c->base.has_failed |= err == ERR_IO || err == ERR_AGAIN;
    if (err != ERR_CONFLICT)
        log_error("at=store_sqlite.%s code=%d errno=%d err=\"%s\" why=%s", where, extended,
                  sqlite3_system_errno(c->db), err_text(err),
                  log_quote(str_of(sqlite3_errmsg(c->db)), why));
    // Some failures end the transaction: what would run now would commit by itself.
    if (c->is_in_tx && sqlite3_get_autocommit(c->db))
        c->lost = err;
    return err;
}

/* ---- statements ---- */

static size_t slot_of(const struct sqlite_conn *c, const char *sql)
{
    uint64_t hash = (uint64_t)(uintptr_t)sql * 0x9e3779b97f4a7c15u;
    size_t slot = (size_t)(hash >> 32) & (c->cache_cap - 1);
    while (c->cache[slot] && c->cache[slot]->sql != sql)
        slot = (slot + 1) & (c->cache_cap - 1);
    return slot;
}

static void grow_cache(struct sqlite_conn *c)
{
    struct sqlite_stmt **old = c->cache;
    size_t old_cap = c->cache_cap;

    c->cache_cap = old_cap > 0 ? old_cap * 2 : FIRST_CACHE;
    c->cache = mem_zalloc(c->cache_cap * sizeof(struct sqlite_stmt *));
    for (size_t i = 0; i < old_cap; i++)
        if (old[i])
            c->cache[slot_of(c, old[i]->sql)] = old[i];
    mem_free(old);
}

static void reset(struct store_stmt *base)
{
    struct sqlite_stmt *st = stmt_of(base);
    sqlite3_reset(st->handle);
    list_remove(&st->open);
}

static void find_slots(struct sqlite_stmt *st)
{
    int count = sqlite3_bind_parameter_count(st->handle);
    for (int slot = 1; slot <= count; slot++) {
        int64_t number = 0;
        const char *name = sqlite3_bind_parameter_name(st->handle, slot);
        CHECK(name && name[0] == '$' && !str_parse_int(str_of(name + 1), &number));
        CHECK(number >= 1 && number <= MAX_PARAMETERS);
        st->slots[number] = (uint8_t)slot;
    }
}

/* An index that the statement does not have gives 0, which SQLite refuses. */
static int slot_of_parameter(const struct sqlite_stmt *st, int index)
{
    return index >= 1 && index <= MAX_PARAMETERS ? st->slots[index] : 0;
}

static enum err prepare_new(struct sqlite_conn *c, const char *sql, struct sqlite_stmt **out)
{
    sqlite3_stmt *handle = NULL;
    int code = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, NULL);
    if (code != SQLITE_OK)
        return fail(c, "prepare", code);
    CHECK(handle != NULL);

    struct sqlite_stmt *st = MEM_NEW(struct sqlite_stmt);
    st->base.driver = c->base.driver;
    st->conn = c;
    st->handle = handle;
    st->sql = sql;
    st->is_write = !sqlite3_stmt_readonly(handle);
    list_init(&st->open);
    find_slots(st);
    if ((c->cache_count + 1) * 2 > c->cache_cap)
        grow_cache(c);
    c->cache[slot_of(c, sql)] = st;
    c->cache_count++;
    *out = st;
    return OK;
}

static enum err prepare(struct store_conn *base, const char *sql, struct store_stmt **out)
{
    struct sqlite_conn *c = conn_of(base);
    if (c->lost)
        return c->lost;
    struct sqlite_stmt *st = c->cache_cap > 0 ? c->cache[slot_of(c, sql)] : NULL;
    if (!st) {
        enum err err = prepare_new(c, sql, &st);
        if (err)
            return err;
    } else {
        CHECK(strcmp(sqlite3_sql(st->handle), sql) ==
              0); // not a literal: its address means nothing
        reset(&st->base);
        sqlite3_clear_bindings(st->handle);
        st->bind_err = OK;
    }
    *out = &st->base;
    return OK;
}

static void note_bind(struct sqlite_stmt *st, int code)
{
    if (code != SQLITE_OK && !st->bind_err)
        st->bind_err = fail(st->conn, "bind", code);
}

static void bind_int(struct store_stmt *base, int index, int64_t value)
{
    struct sqlite_stmt *st = stmt_of(base);
    note_bind(st, sqlite3_bind_int64(st->handle, slot_of_parameter(st, index), value));
}

static void bind_bytes(struct store_stmt *base, int index, struct str value, bool is_blob)
{
    struct sqlite_stmt *st = stmt_of(base);
    int code, slot = slot_of_parameter(st, index);
    if (!value.at)
        code = sqlite3_bind_null(st->handle, slot);
    else if (is_blob)
        code = sqlite3_bind_blob64(st->handle, slot, value.at, value.len, SQLITE_STATIC);
    else
        code =
            sqlite3_bind_text64(st->handle, slot, value.at, value.len, SQLITE_STATIC, SQLITE_UTF8);
    note_bind(st, code);
}

static enum err step(struct store_stmt *base)
{
    struct sqlite_stmt *st = stmt_of(base);
    struct sqlite_conn *c = st->conn;
    enum err err = c->lost ? c->lost : st->bind_err;
    if (err)
        return err;

    int code = st->is_write ? FAILPOINT("store.write", sqlite3_step(st->handle))
                            : sqlite3_step(st->handle);
    if (code == SQLITE_ROW) {
        if (list_is_empty(&st->open))
            list_append(&c->open, &st->open);
        return OK;
    }
    err = code == SQLITE_DONE ? ERR_NOT_FOUND : fail(c, "step", code);
    reset(base);
    return err;
}

static int64_t column_int(struct store_stmt *base, int index)
{
    return sqlite3_column_int64(stmt_of(base)->handle, index);
}

static struct str column_text(struct store_stmt *base, int index)
{
    sqlite3_stmt *handle = stmt_of(base)->handle;
    const char *at = (const char *)sqlite3_column_text(handle, index);
    return (struct str){at, (size_t)sqlite3_column_bytes(handle, index)};
}

static struct str column_blob(struct store_stmt *base, int index)
{
    sqlite3_stmt *handle = stmt_of(base)->handle;
    const char *at = sqlite3_column_blob(handle, index);
    return (struct str){at, (size_t)sqlite3_column_bytes(handle, index)};
}

static bool column_is_null(struct store_stmt *base, int index)
{
    return sqlite3_column_type(stmt_of(base)->handle, index) == SQLITE_NULL;
}

static int64_t changes(struct store_stmt *base)
{
    return sqlite3_changes64(stmt_of(base)->conn->db);
}

static int64_t inserted_id(struct store_stmt *base)
{
    return sqlite3_last_insert_rowid(stmt_of(base)->conn->db);
}

/* ---- transactions ---- */

/* Runs one of our own statements. */
static enum err run(struct sqlite_conn *c, const char *sql)
{
    struct store_stmt *st;
    enum err err = prepare(&c->base, sql, &st);
    if (err)
        return err;
    err = step(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err begin(struct store_conn *base, bool is_write)
{
    struct sqlite_conn *c = conn_of(base);
    c->lost = OK;
    c->has_committed = false;
    enum err err = FAILPOINT("store.begin", is_write ? run(c, "BEGIN IMMEDIATE") : run(c, "BEGIN"));
    c->is_in_tx = !err;
    return err;
}

static void close_open(struct sqlite_conn *c)
{
    struct list *node;
    while ((node = list_shift(&c->open)))
        sqlite3_reset(LIST_ENTRY(node, struct sqlite_stmt, open)->handle);
}

static void rollback(struct store_conn *base)
{
    struct sqlite_conn *c = conn_of(base);
    close_open(c);
    c->is_in_tx = false;
    c->lost = OK;
    if (!sqlite3_get_autocommit(c->db))
        // logged; what it leaves, the next BEGIN refuses
        (void)FAILPOINT("store.rollback", run(c, "ROLLBACK"));
}

static void set_soft(struct sqlite_conn *c, bool is_soft)
{
    sqlite3_file *log = NULL;
    if (!sqlite3_file_control(c->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) && log)
        store_wal_set_soft(log, is_soft);
}

static enum err commit(struct store_conn *base, bool *changed_out)
{
    struct sqlite_conn *c = conn_of(base);
    close_open(c);
    enum err err = FAILPOINT("store.commit", run(c, "COMMIT"));
    if (err) {
        rollback(base);
        return err;
    }
    c->is_in_tx = false;
    if (changed_out)
        *changed_out = c->has_committed;
    return OK;
}

static enum err commit_soft(struct store_conn *base, bool *changed_out)
{
    struct sqlite_conn *c = conn_of(base);
    set_soft(c, true);
    enum err err = commit(base, changed_out);
    set_soft(c, false);
    return err;
}

static enum err save(struct store_conn *base)
{
    return FAILPOINT("store.save", run(conn_of(base), "SAVEPOINT one"));
}

static enum err release(struct store_conn *base)
{
    return FAILPOINT("store.release", run(conn_of(base), "RELEASE one"));
}

static enum err undo(struct store_conn *base)
{
    enum err err = FAILPOINT("store.undo", run(conn_of(base), "ROLLBACK TO one"));
    return err ? err : release(base);
}

static enum err settle(struct store_conn *base)
{
    struct sqlite_conn *c = conn_of(base);
    int broken = 0, unused;
    close_open(c);
    // Left to the COMMIT, it would fail the whole group.
    sqlite3_db_status(c->db, SQLITE_DBSTATUS_DEFERRED_FKS, &broken, &unused, 0);
    return broken > 0 ? ERR_CONFLICT : OK;
}

static int64_t total_changes(const struct store_conn *base)
{
    return sqlite3_total_changes64(((const struct sqlite_conn *)(const void *)base)->db);
}

static enum err lost(const struct store_conn *base)
{
    return ((const struct sqlite_conn *)(const void *)base)->lost;
}

static bool is_sync_lost(const struct store_conn *base)
{
    return ((const struct sqlite_conn *)(const void *)base)->is_sync_lost;
}

/* ---- the WAL ---- */

static int64_t read_int(struct sqlite_conn *c, const char *sql)
{
    struct store_stmt *st;
    int64_t value = 0;
    if (prepare(&c->base, sql, &st))
        return 0;
    if (!step(st))
        value = column_int(st, 0);
    reset(st);
    return value;
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
    (void)db, (void)name;
    struct sqlite_conn *c = arg;
    c->has_committed = true;
    if (pages < c->wal_pages) { // it began anew
        c->tidied_pages = 0;
        c->lap_pages = LAP_PAGES;
    }
    c->wal_pages = pages;
    return SQLITE_OK;
}

static bool is_tidy(const struct store_conn *base)
{
    const struct sqlite_conn *c = (const struct sqlite_conn *)(const void *)base;
    return c->wal_pages <= c->tidied_pages;
}

static int checkpoint_mode(const struct sqlite_conn *c)
{
    if (c->wal_pages > TRUNCATE_PAGES)
        return SQLITE_CHECKPOINT_TRUNCATE;
    return c->wal_pages > RESTART_PAGES ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE;
}

static bool is_lap(const struct sqlite_conn *c)
{
    return c->wal_pages >= c->lap_pages;
}

/* The writer's own checkpoint, for which answers wait. */
static bool is_rest_due(const struct sqlite_conn *c, int fresh)
{
    return is_lap(c) && (fresh < REST_PAGES || c->wal_pages > RESTART_PAGES);
}

static bool must_checkpoint(struct store_conn *base)
{
    struct sqlite_conn *c = conn_of(base);
    int fresh = c->wal_pages - c->tidied_pages;
    if (fresh < (is_lap(c) ? REST_PAGES : CHECKPOINT_PAGES))
        return false;
    c->tidied_pages = c->wal_pages;
    return true;
}

static void checkpoint(struct store_conn *base)
{
    struct sqlite_conn *c = conn_of(base);
    (void)read_int(c, "PRAGMA user_version"); // a connection that never read has no WAL open
    int code =
        FAILPOINT("store.checkpoint",
                  sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
    if (code != SQLITE_OK && code != SQLITE_BUSY && code != SQLITE_LOCKED)
        (void)fail(c, "checkpoint", code); // nothing is lost by it: the WAL keeps everything
}

static bool tidy(struct store_conn *base, bool is_idle)
{
    struct sqlite_conn *c = conn_of(base);
    int fresh = c->wal_pages - c->tidied_pages, pages = 0, done = 0;
    if (fresh <= 0 || (!is_idle && !is_rest_due(c, fresh)))
        return false;

    int mode = checkpoint_mode(c);
    if (mode != SQLITE_CHECKPOINT_PASSIVE)
        sqlite3_busy_timeout(c->db, RESTART_WAIT_MS);
    int code = FAILPOINT("store.tidy", sqlite3_wal_checkpoint_v2(c->db, NULL, mode, &pages, &done));
    sqlite3_busy_timeout(c->db, (int)c->busy_ms);
    if (code != SQLITE_OK && code != SQLITE_BUSY && code != SQLITE_LOCKED)
        (void)fail(c, "checkpoint", code); // nothing is lost by it: the WAL keeps everything

    c->tidied_pages = c->wal_pages;
    c->lap_pages = c->wal_pages + STARVED_STEP_PAGES; // unless the next write begins the WAL anew
    if (code == SQLITE_OK && mode == SQLITE_CHECKPOINT_TRUNCATE) {
        c->wal_pages = c->tidied_pages = 0;
        c->lap_pages = LAP_PAGES;
    } else if (done < pages)
        c->tidied_pages += STARVED_STEP_PAGES - CHECKPOINT_PAGES; // sooner than usual
    return true;
}

static bool is_changed_elsewhere(struct store_conn *base)
{
    struct sqlite_conn *c = conn_of(base);
    int64_t now = read_int(c, "PRAGMA data_version"), before = c->data_version;
    c->data_version = now;
    return before != now;
}

/* ---- opening ---- */

static enum err explain(struct sqlite_conn *c, const char *where, int code, char *why_out,
                        size_t why_cap)
{
    const char *meaning = meaning_of(sqlite3_extended_errcode(c->db), sqlite3_system_errno(c->db));
    snprintf(why_out, why_cap, "%s", meaning ? meaning : sqlite3_errmsg(c->db));
    return fail(c, where, code);
}

static enum err exec(struct store_conn *base, const char *sql, char *why_out, size_t why_cap)
{
    struct sqlite_conn *c = conn_of(base);
    int code = FAILPOINT("store.exec", sqlite3_exec(c->db, sql, NULL, NULL, NULL));
    return code == SQLITE_OK ? OK : explain(c, "exec", code, why_out, why_cap);
}

static void close_conn(struct store_conn *base)
{
    struct sqlite_conn *c = conn_of(base);
    for (size_t i = 0; i < c->cache_cap; i++) {
        if (!c->cache[i])
            continue;
        sqlite3_finalize(c->cache[i]->handle);
        mem_free(c->cache[i]);
    }
    mem_free(c->cache);
    if (FAILPOINT("store.close", sqlite3_close(c->db)) != SQLITE_OK)
        log_error("at=store_sqlite.close why=\"%s\"", sqlite3_errmsg(c->db));
    mem_free(c);
}

/* Makes the file, for its owner only, before SQLite would make it with the process's mask; the WAL
 * and its index get the same mode from SQLite. An existing file keeps its mode and is not opened:
 * closing it would drop the locks that this process may hold on it. */
static enum err make_file(const char *path, char *why_out, size_t why_cap)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return OK;
    }
    if (errno == EEXIST)
        return OK;
    snprintf(why_out, why_cap, "cannot create %s: %s", path, strerror(errno));
    if (errno == ENOENT || errno == ENOTDIR)
        return ERR_NOT_FOUND;
    if (errno == EACCES || errno == EPERM || errno == EROFS)
        return ERR_DENIED;
    return is_space_error(errno) ? ERR_AGAIN : ERR_IO;
}

/* Memory statistics cost a lock around every allocation; savepoints need not spill to files.
 * Without effect when somebody has started SQLite already. */
static void configure_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1);
}

static const char writer_setup[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA checkpoint_fullfsync = ON;" // tells the syncs of commits from others: store_wal.h
    "PRAGMA foreign_keys = ON;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA cache_size = -65536;" // taken as it fills: the hot pages of a busy town
    "PRAGMA mmap_size = 0;"
    "PRAGMA journal_size_limit = 67108864;"
    "PRAGMA secure_delete = FAST;"
    "PRAGMA cell_size_check = ON;"
    "PRAGMA trusted_schema = OFF;";
static const char reader_setup[] = "PRAGMA foreign_keys = ON;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA cache_size = -4096;"
                                   "PRAGMA mmap_size = 0;"
                                   "PRAGMA cell_size_check = ON;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA query_only = ON;";

static enum err set_up(struct sqlite_conn *c, char *why_out, size_t why_cap)
{
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, (int)c->busy_ms);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    // Our cached statements alone use up SQLite's default of 40 pieces; the rest would be malloc's.
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 1200, LOOKASIDE_PIECES);
    enum err err = exec(&c->base, c->is_reader ? reader_setup : writer_setup, why_out, why_cap);
    if (err)
        return err;
    sqlite3_wal_autocheckpoint(c->db, 0);
    if (!c->is_reader) {
        sqlite3_wal_hook(c->db, on_wal, c);
        c->data_version = read_int(c, "PRAGMA data_version");
        c->lap_pages = LAP_PAGES;
    }
    return OK;
}

static enum err open_conn(const struct store_options *options, bool is_reader,
                          struct store_conn **out, char *why_out, size_t why_cap)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char why[200] = "";

    pthread_once(&once, configure_library);
    enum err err = make_file(options->path, why_out, why_cap);
    if (err)
        return err;
    struct sqlite_conn *c = MEM_NEW(struct sqlite_conn);
    c->base.driver = &store_sqlite_driver;
    c->is_reader = is_reader;
    c->busy_ms = options->busy_ms > 0 ? options->busy_ms : DEFAULT_BUSY_MS;
    list_init(&c->open);
    int code = sqlite3_open_v2(options->path, &c->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
                               store_wal_vfs());
    CHECK(c->db != NULL);
    err = code == SQLITE_OK ? set_up(c, why, sizeof(why))
                            : explain(c, "open", code, why, sizeof(why));
    if (err) {
        snprintf(why_out, why_cap, "cannot open %s: %s", options->path, why);
        close_conn(&c->base);
        return err;
    }
    *out = &c->base;
    return OK;
}

static enum err mend(struct store_conn *base, char *why_out, size_t why_cap)
{
    const char *log = sqlite3_filename_wal(sqlite3_db_filename(conn_of(base)->db, "main"));
    if (!store_wal_is_unsynced(log))
        return OK;
    enum err err = begin(base, true); // nobody else may write there meanwhile
    if (!err && !store_wal_mend(log))
        err = ERR_IO;
    rollback(base);
    if (err)
        snprintf(why_out, why_cap, "the disk could not sync the log of %s, and cannot now",
                 sqlite3_db_filename(conn_of(base)->db, "main"));
    else
        log_warn("at=store_sqlite.mend why=\"a sync had failed: the log is written anew\"");
    return err;
}

/* ---- checking ---- */

static enum err check_rows(struct sqlite_conn *c, const char *sql, const char *good, char *why_out,
                           size_t why_cap)
{
    struct store_stmt *st;
    enum err err = prepare(&c->base, sql, &st);
    if (err)
        return err;
    err = step(st);
    if (!err && !(good && str_eq(column_text(st, 0), str_of(good)))) {
        struct str what = column_text(st, 0);
        snprintf(why_out, why_cap, "%s%.*s", good ? "" : "broken foreign key in table ",
                 STR_ARG(what));
        err = ERR_INVALID;
    }
    reset(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err check(struct store_conn *base, char *why_out, size_t why_cap)
{
    struct sqlite_conn *c = conn_of(base);
    enum err err = check_rows(c, "PRAGMA integrity_check(1)", "ok", why_out, why_cap);
    return err ? err : check_rows(c, "PRAGMA foreign_key_check", NULL, why_out, why_cap);
}

const struct store_driver store_sqlite_driver = {
    .open = open_conn,
    .close = close_conn,
    .mend = mend,
    .begin = begin,
    .commit = commit,
    .commit_soft = commit_soft,
    .rollback = rollback,
    .save = save,
    .release = release,
    .undo = undo,
    .settle = settle,
    .lost = lost,
    .total_changes = total_changes,
    .is_sync_lost = is_sync_lost,
    .text_of = text_of,
    .must_checkpoint = must_checkpoint,
    .checkpoint = checkpoint,
    .tidy = tidy,
    .is_tidy = is_tidy,
    .is_changed_elsewhere = is_changed_elsewhere,
    .exec = exec,
    .check = check,
    .prepare = prepare,
    .bind_int = bind_int,
    .bind_bytes = bind_bytes,
    .step = step,
    .column_int = column_int,
    .column_text = column_text,
    .column_blob = column_blob,
    .column_is_null = column_is_null,
    .changes = changes,
    .inserted_id = inserted_id,
    .reset = reset,
};
