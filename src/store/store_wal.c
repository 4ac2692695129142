#include "store/store_wal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"

enum {
    MAX_BYTES = 1024 * 1024,
    FIRST_BYTES = 64 * 1024,
    CALL_BYTES = 64 * 1024,
    GROW_BYTES = 1024 * 1024,
    SYNC_KIND = 0x0f,
};

struct wal {
    sqlite3_file base; // first: SQLite knows no more of us
    uint8_t *bytes;    // waiting for the system; NULL until the first write
    size_t len, cap;
    sqlite3_int64 at;    // where in the file they belong
    sqlite3_int64 grown; // the file is so long, as far as we know
    bool is_soft;        // the commit that runs need not last
    const char *name;
    sqlite3_file *real;
};

static struct wal *wal_of(sqlite3_file *f)
{
    return (struct wal *)(void *)f;
}

/* Makes the file longer than it must be, with zeros, which are no frames. The sync of a write that
 * changes the length waits for the file system's journal too, twice as long as that of one in
 * place. What another process wrote stays. Where there is no room for it, it is left. */
static void grow(struct wal *w, sqlite3_int64 end)
{
    static const uint8_t zeros[CALL_BYTES];
    const sqlite3_io_methods *real = w->real->pMethods;
    sqlite3_int64 size = 0;
    if (real->xFileSize(w->real, &size) != SQLITE_OK)
        return;
    for (; size < end + GROW_BYTES; size += CALL_BYTES)
        if (real->xWrite(w->real, zeros, CALL_BYTES, size) != SQLITE_OK)
            break;
    w->grown = size > end ? size : end;
}

/* SQLite's own layer takes at most 128 KiB at a time. */
static int flush(struct wal *w)
{
    size_t len = w->len;
    w->len = 0; // on failure too: SQLite takes the commit back and writes there again
    for (size_t done = 0; done < len; done += CALL_BYTES) {
        size_t part = len - done < CALL_BYTES ? len - done : CALL_BYTES;
        int code = w->real->pMethods->xWrite(w->real, w->bytes + done, (int)part,
                                             w->at + (sqlite3_int64)done);
        if (code != SQLITE_OK)
            return code;
    }
    sqlite3_int64 end = w->at + (sqlite3_int64)len;
    if (len > 0 && end > w->grown)
        grow(w, end);
    return SQLITE_OK;
}

static void make_room(struct wal *w, size_t len)
{
    if (w->cap >= len)
        return;
    size_t cap = w->cap > 0 ? w->cap : FIRST_BYTES;
    while (cap < len)
        cap *= 2;
    w->bytes = mem_realloc(w->bytes, cap);
    w->cap = cap;
}

static int on_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    struct wal *w = wal_of(f);
    size_t len = (size_t)n;
    if (w->len > 0 && (at != w->at + (sqlite3_int64)w->len || w->len + len > MAX_BYTES)) {
        int code = flush(w);
        if (code != SQLITE_OK)
            return code;
    }
    if (len > MAX_BYTES)
        return w->real->pMethods->xWrite(w->real, bytes, n, at);
    if (w->len == 0)
        w->at = at;
    make_room(w, w->len + len);
    memcpy(w->bytes + w->len, bytes, len);
    w->len += len;
    return SQLITE_OK;
}

static int on_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    struct wal *w = wal_of(f);
    bool overlaps = w->len > 0 && at < w->at + (sqlite3_int64)w->len && at + n > w->at;
    int code = overlaps ? flush(w) : SQLITE_OK;
    return code == SQLITE_OK ? w->real->pMethods->xRead(w->real, out, n, at) : code;
}

/* ---- syncs that failed ---- */

enum { MAX_NAME_BYTES = 4096 };

static const char *mark_of(const char *log, char out[static MAX_NAME_BYTES])
{
    snprintf(out, MAX_NAME_BYTES, "%s.unsynced", log);
    return out;
}

/* It need not outlast the system: nor does what is in the kernel's memory alone. */
static void mark(const char *log)
{
    char name[MAX_NAME_BYTES];
    int fd = open(mark_of(log, name), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        close(fd);
    else
        log_error("at=store_wal.mark why=\"%s\"", strerror(errno));
}

bool store_wal_is_unsynced(const char *log)
{
    char name[MAX_NAME_BYTES];
    return access(mark_of(log, name), F_OK) == 0;
}

static int rewrite(sqlite3_file *f)
{
    uint8_t *bytes = mem_zalloc(CALL_BYTES);
    sqlite3_int64 size = 0;
    int code = f->pMethods->xFileSize(f, &size);
    for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += CALL_BYTES) {
        int part = size - at < CALL_BYTES ? (int)(size - at) : CALL_BYTES;
        code = f->pMethods->xRead(f, bytes, part, at);
        if (code == SQLITE_OK)
            code = f->pMethods->xWrite(f, bytes, part, at);
    }
    mem_free(bytes);
    return code == SQLITE_OK ? f->pMethods->xSync(f, SQLITE_SYNC_FULL) : code;
}

bool store_wal_mend(const char *log)
{
    char name[MAX_NAME_BYTES];
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    sqlite3_file *f = mem_zalloc((size_t)real->szOsFile);
    int flags = SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int code = real->xOpen(real, log, f, flags, &flags);
    if (code == SQLITE_OK)
        code = rewrite(f);
    if (f->pMethods)
        f->pMethods->xClose(f);
    mem_free(f);
    return code == SQLITE_OK && unlink(mark_of(log, name)) == 0;
}

static int on_sync(sqlite3_file *f, int flags)
{
    struct wal *w = wal_of(f);
    int code = flush(w);
    if (code != SQLITE_OK || (w->is_soft && (flags & SYNC_KIND) == SQLITE_SYNC_NORMAL))
        return code;
    code = w->real->pMethods->xSync(w->real, flags);
    if (code != SQLITE_OK)
        mark(w->name);
    return code;
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct wal *w = wal_of(f);
    int code = flush(w);
    w->grown = 0;
    return code == SQLITE_OK ? w->real->pMethods->xTruncate(w->real, size) : code;
}

static int on_size(sqlite3_file *f, sqlite3_int64 *size_out)
{
    struct wal *w = wal_of(f);
    int code = flush(w);
    return code == SQLITE_OK ? w->real->pMethods->xFileSize(w->real, size_out) : code;
}

static int on_close(sqlite3_file *f)
{
    struct wal *w = wal_of(f);
    int code = flush(w);
    int closed = w->real->pMethods->xClose(w->real);
    mem_free(w->bytes);
    return code == SQLITE_OK ? closed : code;
}

static int on_lock(sqlite3_file *f, int level)
{
    struct wal *w = wal_of(f);
    return w->real->pMethods->xLock(w->real, level);
}

static int on_unlock(sqlite3_file *f, int level)
{
    struct wal *w = wal_of(f);
    return w->real->pMethods->xUnlock(w->real, level);
}

static int on_check_lock(sqlite3_file *f, int *out)
{
    struct wal *w = wal_of(f);
    return w->real->pMethods->xCheckReservedLock(w->real, out);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
    struct wal *w = wal_of(f);
    return w->real->pMethods->xFileControl(w->real, op, arg);
}

static int on_sector_size(sqlite3_file *f)
{
    struct wal *w = wal_of(f);
    return w->real->pMethods->xSectorSize(w->real);
}

static int on_characteristics(sqlite3_file *f)
{
    struct wal *w = wal_of(f);
    return w->real->pMethods->xDeviceCharacteristics(w->real);
}

static const sqlite3_io_methods methods = {
    .iVersion = 1, // no shared memory, no mapping: those are the database file's
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check_lock,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
};

void store_wal_set_soft(sqlite3_file *log, bool is_soft)
{
    if (log->pMethods == &methods)
        wal_of(log)->is_soft = is_soft;
}

/* Only the log is ours; any other file is opened in the same memory as if we were not there. */
static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *flags_out)
{
    sqlite3_vfs *real = vfs->pAppData;
    if (!(flags & SQLITE_OPEN_WAL))
        return real->xOpen(real, name, f, flags, flags_out);
    struct wal *w = wal_of(f);
    *w = (struct wal){.name = name, .real = (sqlite3_file *)(void *)(w + 1)};
    int code = real->xOpen(real, name, w->real, flags, flags_out);
    if (code == SQLITE_OK)
        w->base.pMethods = &methods;
    else if (w->real->pMethods)
        w->real->pMethods->xClose(w->real);
    return code;
}

static sqlite3_vfs ours;
static const char *our_name;

static void make(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    if (!real)
        return;
    ours = *real; // everything but opening is the system's
    ours.zName = "viche-wal";
    ours.szOsFile = (int)sizeof(struct wal) + real->szOsFile;
    ours.pAppData = real;
    ours.xOpen = on_open;
    if (sqlite3_vfs_register(&ours, 0) == SQLITE_OK)
        our_name = ours.zName;
}

const char *store_wal_vfs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make);
    return our_name;
}
