#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/check.h"
#include "core/failpoint.h"

/* ---- the names of the points ---- */

#define SIDES(name)                                                                                \
    {                                                                                              \
        name ".before", name ".after"                                                              \
    }
#define OPS(file)                                                                                  \
    {                                                                                              \
        [DISK_WRITE] = SIDES("disk." file ".write"),                                               \
        [DISK_TRUNCATE] = SIDES("disk." file ".truncate"),                                         \
        [DISK_SYNC] = SIDES("disk." file ".sync"), [DISK_OPEN] = SIDES("disk." file ".open"),      \
        [DISK_DELETE] = SIDES("disk." file ".delete"), [DISK_READ] = SIDES("disk." file ".read")   \
    }
static const char *const points[DISK_FILES][DISK_OPS][2] = {
    [DISK_DB] = OPS("db"),   [DISK_WAL] = OPS("wal"),     [DISK_JOURNAL] = OPS("journal"),
    [DISK_DIR] = OPS("dir"), [DISK_OTHER] = OPS("other"),
};

/* ---- faults ---- */

static struct {
    _Atomic int left[DISK_OPS]; // calls until it fails; < 0: never
    _Atomic int errno_value;
    _Atomic bool is_lasting, has_failed;
} fault = {.left = {-1, -1, -1, -1, -1, -1}};

static bool must_fail(enum disk_op op)
{
    int now = atomic_load(&fault.left[op]);
    if (now < 0)
        return false;
    if (now > 0) {
        atomic_store(&fault.left[op], now - 1);
        return false;
    }
    if (!atomic_load(&fault.is_lasting))
        atomic_store(&fault.left[op], -1);
    atomic_store(&fault.has_failed, true);
    return true;
}

void disk_fail(enum disk_op op, int nth, int errno_value, bool is_lasting)
{
    disk_heal();
    atomic_store(&fault.errno_value, errno_value);
    atomic_store(&fault.is_lasting, is_lasting);
    atomic_store(&fault.left[op], nth);
}

bool disk_has_failed(void)
{
    return atomic_load(&fault.has_failed);
}

void disk_heal(void)
{
    for (int i = 0; i < DISK_OPS; i++)
        atomic_store(&fault.left[i], -1);
    atomic_store(&fault.has_failed, false);
}

static int code_of(enum disk_op op)
{
    if (atomic_load(&fault.errno_value) == ENOSPC)
        return SQLITE_FULL;
    switch (op) {
    case DISK_READ:
        return SQLITE_IOERR_READ;
    case DISK_TRUNCATE:
        return SQLITE_IOERR_TRUNCATE;
    case DISK_DELETE:
        return SQLITE_IOERR_DELETE;
    case DISK_OPEN:
        return SQLITE_CANTOPEN;
    default:
        return SQLITE_IOERR_WRITE;
    }
}

/* ---- the journal ---- */

static struct {
    pthread_mutex_t mutex; // guards what follows: the order of the entries is that of the calls
    int fd;
    int64_t count;
} journal = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static void append(struct disk_entry entry, const void *bytes)
{
    if (journal.fd < 0)
        return;
    pthread_mutex_lock(&journal.mutex);
    CHECK(write(journal.fd, &entry, sizeof(entry)) == (ssize_t)sizeof(entry));
    if (entry.len > 0)
        CHECK(write(journal.fd, bytes, entry.len) == (ssize_t)entry.len);
    journal.count++;
    pthread_mutex_unlock(&journal.mutex);
}

static int64_t entries(void)
{
    pthread_mutex_lock(&journal.mutex);
    int64_t count = journal.count;
    pthread_mutex_unlock(&journal.mutex);
    return count;
}

void disk_record(const char *path, int64_t count)
{
    journal.count = count;
    journal.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CHECK(journal.fd >= 0);
}

void disk_mark(int64_t history_len)
{
    append((struct disk_entry){.is_mark = true, .at = history_len}, NULL);
}

/* ---- syncs, whoever makes them ---- */

static struct stat known[DISK_FILES]; // the files that were opened last

static enum disk_file file_of_fd(int fd)
{
    struct stat now;
    if (fstat(fd, &now))
        return DISK_OTHER;
    if (S_ISDIR(now.st_mode))
        return DISK_DIR;
    for (int i = DISK_DB; i <= DISK_JOURNAL; i++)
        if (known[i].st_ino == now.st_ino && known[i].st_dev == now.st_dev)
            return i;
    return DISK_OTHER;
}

static int sync_fd(int fd, long call)
{
    enum disk_file file = file_of_fd(fd);
    failpoint_pass(points[file][DISK_SYNC][0]);
    int64_t covers = entries(); // what comes while it runs may not be covered
    if (file <= DISK_JOURNAL &&
        must_fail(DISK_SYNC)) { // SQLite does not ask how a folder's sync went
        append(
            (struct disk_entry){.op = DISK_SYNC, .file = file, .covers = covers, .is_failed = true},
            NULL);
        errno = atomic_load(&fault.errno_value);
        return -1;
    }
    int code = (int)syscall(call, fd);
    if (code == 0)
        append((struct disk_entry){.op = DISK_SYNC, .file = file, .covers = covers}, NULL);
    failpoint_pass(points[file][DISK_SYNC][1]);
    return code;
}

int fsync(int fd)
{
    return sync_fd(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_fd(fd, SYS_fdatasync);
}

/* ---- SQLite's files ---- */

struct file {
    sqlite3_file base;
    enum disk_file kind;
    sqlite3_file *real; // behind this struct
};

static struct file *file_of(sqlite3_file *f)
{
    return (struct file *)(void *)f;
}

#define REAL(f) file_of(f)->real
#define DO(f, name, ...) REAL(f)->pMethods->name(REAL(f), ##__VA_ARGS__)

/* Around each call that the proofs care for. */
static bool enter(enum disk_file kind, enum disk_op op)
{
    failpoint_pass(points[kind][op][0]);
    return !must_fail(op);
}

static int leave(enum disk_file kind, enum disk_op op, int code)
{
    failpoint_pass(points[kind][op][1]);
    return code;
}

static int on_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    enum disk_file kind = file_of(f)->kind;
    bool is_good = enter(kind, DISK_WRITE);
    int len = is_good ? n : n / 2;
    int code = DO(f, xWrite, bytes, len, at);
    if (code == SQLITE_OK)
        append((struct disk_entry){.op = DISK_WRITE, .file = kind, .at = at, .len = (uint32_t)len},
               bytes);
    return leave(kind, DISK_WRITE, is_good ? code : code_of(DISK_WRITE));
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    enum disk_file kind = file_of(f)->kind;
    if (!enter(kind, DISK_TRUNCATE))
        return code_of(DISK_TRUNCATE);
    int code = DO(f, xTruncate, size);
    append((struct disk_entry){.op = DISK_TRUNCATE, .file = kind, .at = size}, NULL);
    return leave(kind, DISK_TRUNCATE, code);
}

static int on_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    return must_fail(DISK_READ) ? code_of(DISK_READ) : DO(f, xRead, out, n, at);
}

static int on_sync(sqlite3_file *f, int flags)
{
    return DO(f, xSync, flags); // calls our fdatasync
}

static int on_close(sqlite3_file *f)
{
    return DO(f, xClose);
}

static int on_size(sqlite3_file *f, sqlite3_int64 *out)
{
    return DO(f, xFileSize, out);
}

static int on_lock(sqlite3_file *f, int lock)
{
    return DO(f, xLock, lock);
}

static int on_unlock(sqlite3_file *f, int lock)
{
    return DO(f, xUnlock, lock);
}

static int on_check_lock(sqlite3_file *f, int *out)
{
    return DO(f, xCheckReservedLock, out);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
    return DO(f, xFileControl, op, arg);
}

static int on_sector_size(sqlite3_file *f)
{
    return DO(f, xSectorSize);
}

static int on_device(sqlite3_file *f)
{
    return DO(f, xDeviceCharacteristics);
}

static int on_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return DO(f, xShmMap, page, size, extend, out);
}

static int on_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return DO(f, xShmLock, offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *f)
{
    DO(f, xShmBarrier);
}

static int on_shm_unmap(sqlite3_file *f, int is_delete)
{
    return DO(f, xShmUnmap, is_delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
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
    .xDeviceCharacteristics = on_device,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

static enum disk_file kind_of(int flags)
{
    if (flags & SQLITE_OPEN_MAIN_DB)
        return DISK_DB;
    if (flags & SQLITE_OPEN_MAIN_JOURNAL)
        return DISK_JOURNAL;
    return flags & SQLITE_OPEN_WAL ? DISK_WAL : DISK_OTHER;
}

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *flags_out)
{
    sqlite3_vfs *real = vfs->pAppData;
    struct file *file = file_of(f);
    enum disk_file kind = kind_of(flags);
    file->base.pMethods = NULL;
    if (!enter(kind, DISK_OPEN))
        return code_of(DISK_OPEN);
    file->kind = kind;
    file->real = (sqlite3_file *)(void *)(file + 1);
    int code = real->xOpen(real, name, file->real, flags, flags_out);
    file->base.pMethods = file->real->pMethods ? &methods : NULL;
    if (code == SQLITE_OK && kind <= DISK_JOURNAL && stat(name, &known[kind]) == 0)
        append((struct disk_entry){.op = DISK_OPEN, .file = kind}, NULL);
    return leave(kind, DISK_OPEN, code);
}

static enum disk_file kind_of_name(const char *name)
{
    const char *end = strrchr(name, '-');
    if (end && strcmp(end, "-wal") == 0)
        return DISK_WAL;
    return end && strcmp(end, "-journal") == 0 ? DISK_JOURNAL : DISK_OTHER;
}

static int on_delete(sqlite3_vfs *vfs, const char *name, int must_sync)
{
    sqlite3_vfs *real = vfs->pAppData;
    enum disk_file kind = kind_of_name(name);
    if (!enter(kind, DISK_DELETE))
        return code_of(DISK_DELETE);
    int code = real->xDelete(real, name, must_sync);
    if (code == SQLITE_OK)
        append((struct disk_entry){.op = DISK_DELETE, .file = kind}, NULL);
    if (code == SQLITE_OK && must_sync)
        append((struct disk_entry){.op = DISK_SYNC, .file = DISK_DIR, .covers = entries()}, NULL);
    return leave(kind, DISK_DELETE, code);
}

void disk_install(void)
{
    static sqlite3_vfs disk;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    CHECK(real != NULL);
    disk = *real;
    disk.zName = "viche-proof";
    disk.pAppData = real;
    disk.szOsFile = (int)sizeof(struct file) + real->szOsFile;
    disk.xOpen = on_open;
    disk.xDelete = on_delete;
    CHECK(sqlite3_vfs_register(&disk, 1) == SQLITE_OK);
}
