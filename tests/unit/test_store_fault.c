/* test_store_fault.c -- the disk fails under the store: SQLite's file layer is wrapped and the nth
 * write or sync returns an error. The wrapper becomes the default before the store opens its first
 * file. */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "core/check.h"
#include "core/log.h"
#include "test_store.h"

/* What fails: the calls number `at`, counted from arming, and all later ones while is_lasting. */
static struct {
    _Atomic int writes_left, syncs_left; // < 0: never
    _Atomic int code;
    _Atomic bool is_lasting, has_failed;
} fault = {.writes_left = -1, .syncs_left = -1};

static bool must_fail(_Atomic int *left)
{
    int now = atomic_load(left);
    if (now < 0)
        return false;
    if (now > 0) {
        atomic_store(left, now - 1);
        return false;
    }
    if (!atomic_load(&fault.is_lasting))
        atomic_store(left, -1);
    atomic_store(&fault.has_failed, true);
    return true;
}

static void disarm(void)
{
    atomic_store(&fault.writes_left, -1);
    atomic_store(&fault.syncs_left, -1);
    atomic_store(&fault.has_failed, false);
}

/* ---- the wrapper ---- */

struct faulty_file {
    sqlite3_file base;
    sqlite3_file *real; // behind this struct
};

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct faulty_file *)(void *)f)->real;
}

static int on_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f));
}

static int on_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), out, n, at);
}

static int on_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    if (must_fail(&fault.writes_left))
        return atomic_load(&fault.code);
    return real_of(f)->pMethods->xWrite(real_of(f), bytes, n, at);
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int on_sync(sqlite3_file *f, int flags)
{
    if (must_fail(&fault.syncs_left))
        return atomic_load(&fault.code);
    return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int on_size(sqlite3_file *f, sqlite3_int64 *out)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), out);
}

static int on_lock(sqlite3_file *f, int lock)
{
    return real_of(f)->pMethods->xLock(real_of(f), lock);
}

static int on_unlock(sqlite3_file *f, int lock)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), lock);
}

static int on_check_lock(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int on_sector_size(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int on_device(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int on_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}

static int on_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int on_shm_unmap(sqlite3_file *f, int is_delete)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), is_delete);
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

static sqlite3_vfs faulty;

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *flags_out)
{
    sqlite3_vfs *real = vfs->pAppData;
    struct faulty_file *file = (struct faulty_file *)(void *)f;
    file->real = (sqlite3_file *)(void *)(file + 1);
    int code = real->xOpen(real, name, file->real, flags, flags_out);
    file->base.pMethods = file->real->pMethods ? &methods : NULL;
    return code;
}

static void wrap_disk(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    faulty = *real;
    faulty.zName = "faulty";
    faulty.pAppData = real;
    faulty.szOsFile = (int)sizeof(struct faulty_file) + real->szOsFile;
    faulty.xOpen = on_open;
    EXPECT_EQ(sqlite3_vfs_register(&faulty, 1), SQLITE_OK);
}

/* ---- the tests ---- */

static void begin(struct test_store *t)
{
    log_set_level(LOG_ERROR);
    wrap_disk();
    test_store_begin(t);
    EXPECT_EQ(test_store_run(t->store, "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)"),
              OK);
    EXPECT_EQ(test_store_run(t->store, "CREATE INDEX note_text ON note (text)"), OK);
}

static enum err insert_pair(struct store_tx *tx, void *arg)
{
    const int64_t *id = arg;
    for (int i = 0; i < 2; i++) {
        struct store_stmt *st;
        enum err err = store_prepare(tx, "INSERT INTO note VALUES ($1, hex(randomblob(900)))", &st);
        if (err)
            return err;
        store_bind_int(st, 1, *id * 2 + i);
        err = store_run(st, NULL);
        if (err)
            return err;
    }
    return OK;
}

/* Half of a pair must never be seen. */
static int64_t count_pairs(struct store *s)
{
    int64_t rows = test_store_int(s, "SELECT count(*) FROM note");
    EXPECT_EQ(rows % 2, 0);
    return rows / 2;
}

static void end_whole(struct test_store *t)
{
    char why[200] = "";
    EXPECT_EQ(store_check(t->store, why, sizeof(why)), OK);
    test_store_end(t);
}

TEST(store_refuses_writes_on_a_full_disk_and_goes_on_when_there_is_space)
{
    enum { ROUNDS = 12, TRIES = ROUNDS + 1 }; // a commit is one write or more
    struct test_store t;
    int64_t id = 0, kept = 0;
    begin(&t);
    atomic_store(&fault.code, SQLITE_FULL);
    atomic_store(&fault.is_lasting, true);
    for (int round = 0; round < ROUNDS; round++) {
        atomic_store(&fault.writes_left, round);
        for (int i = 0; i < TRIES; i++, id++) {
            enum err err = store_write_wait(t.store, insert_pair, &id);
            EXPECT(err == OK || err == ERR_AGAIN);
            kept += err == OK;
            EXPECT_EQ(count_pairs(t.store), kept); // reads go on
        }
        EXPECT(atomic_load(&fault.has_failed));
        disarm();
        EXPECT_EQ(store_write_wait(t.store, insert_pair, &id), OK);
        kept++;
        id++;
    }
    EXPECT_EQ(count_pairs(t.store), kept);
    end_whole(&t);
}

/* More than the cache holds, so that SQLite writes before the commit; does not care for errors. */
static enum err insert_much(struct store_tx *tx, void *arg)
{
    enum err first = OK;
    for (int64_t id = 0; id < 8000; id++) {
        enum err err = insert_pair(tx, &id);
        first = first ? first : err;
    }
    *(enum err *)arg = first;
    return OK;
}

TEST(store_refuses_a_write_whose_transaction_was_lost_midway)
{
    struct test_store t;
    enum err seen = OK;
    begin(&t);
    atomic_store(&fault.code, SQLITE_FULL);
    atomic_store(&fault.is_lasting, true);
    atomic_store(&fault.writes_left, 100);
    EXPECT_EQ(store_write_wait(t.store, insert_much, &seen), ERR_AGAIN);
    EXPECT_EQ(seen, ERR_AGAIN);
    disarm();
    EXPECT_EQ(count_pairs(t.store), 0); // not what was written after the loss either
    EXPECT_EQ(store_write_wait(t.store, insert_much, &seen), OK);
    EXPECT_EQ(count_pairs(t.store), 8000);
    end_whole(&t);
}

TEST(store_keeps_all_or_nothing_when_any_one_write_fails)
{
    struct test_store t;
    int64_t id = 0, kept = 0;
    bool has_failed = true;
    begin(&t);
    atomic_store(&fault.code, SQLITE_IOERR_WRITE);
    for (int n = 0; has_failed; n++, id++) {
        atomic_store(&fault.writes_left, n);
        enum err err = store_write_wait(t.store, insert_pair, &id);
        kept += err == OK;
        has_failed = err != OK;
        EXPECT(err == OK || (err == ERR_IO && atomic_load(&fault.has_failed)));
        disarm();
        EXPECT_EQ(count_pairs(t.store), kept);
    }
    EXPECT(id > 1); // it did fail
    store_close(t.store);
    EXPECT_EQ(test_store_open(&t, true), OK);
    EXPECT_EQ(count_pairs(t.store), kept);
    end_whole(&t);
}

/* Three writes, each submitted when the last is done, so that the writer never rests between. */
enum { CHAIN = 3, MANY_SYNCS = 1000 };
struct chain {
    struct store_write write; // first: on_done casts back
    struct store *store;
    int64_t id;
    int syncs[CHAIN]; // still to come, when the write was done
    sem_t ended;
};

static void on_link(struct store_write *write, enum err err)
{
    struct chain *chain = (struct chain *)(void *)write;
    EXPECT_EQ(err, OK);
    chain->syncs[chain->id] = atomic_load(&fault.syncs_left);
    chain->id++;
    write->is_soft = chain->id == 1;
    if (chain->id == CHAIN)
        sem_post(&chain->ended);
    else
        EXPECT_EQ(store_write(chain->store, write), OK);
}

TEST(store_syncs_no_group_of_soft_writes)
{
    struct test_store t;
    begin(&t);
    atomic_store(&fault.syncs_left, MANY_SYNCS);
    struct chain chain = {.store = t.store};
    chain.write = (struct store_write){.fn = insert_pair, .arg = &chain.id, .on_done = on_link};
    sem_init(&chain.ended, 0, 0);
    EXPECT_EQ(store_write(t.store, &chain.write), OK);
    while (sem_wait(&chain.ended))
        continue;
    EXPECT(chain.syncs[0] < MANY_SYNCS);
    EXPECT_EQ(chain.syncs[1], chain.syncs[0]); // the soft one
    EXPECT_EQ(chain.syncs[2], chain.syncs[1] - 1);
    disarm();
    EXPECT_EQ(count_pairs(t.store), CHAIN);
    sem_destroy(&chain.ended);
    end_whole(&t);
}

/* Writes pairs in a child whose sync number n fails; tells the pipe of each acknowledged one. */
static _Noreturn void write_until_sync_fails(struct test_store *t, int n, int pipe_fd)
{
    enum { PAIRS = 6 };
    int64_t old = 0;
    EXPECT_EQ(test_store_open(t, true), OK);
    old = count_pairs(t->store);
    atomic_store(&fault.code, SQLITE_IOERR_FSYNC);
    atomic_store(&fault.syncs_left, n);
    for (int64_t id = old; id < old + PAIRS; id++) {
        enum err err = store_write_wait(t->store, insert_pair, &id);
        if (err || write(pipe_fd, "+", 1) != 1)
            pause(); // the writer ends the process
    }
    store_close(t->store); // checkpoints: more syncs
    _exit(atomic_load(&fault.has_failed) ? 7 : 0);
}

/* True: sync n failed. */
static bool try_sync(struct test_store *t, int n, int64_t *acknowledged)
{
    int fds[2], status;
    char mark;
    EXPECT_EQ(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0)
        write_until_sync_fails(t, n, fds[1]);
    close(fds[1]);
    while (read(fds[0], &mark, 1) == 1)
        ++*acknowledged;
    close(fds[0]);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    bool is_aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    bool is_late =
        WIFEXITED(status) && WEXITSTATUS(status) == 7; // in the last close: nothing to lose
    EXPECT(is_aborted || is_late || status == 0);
    return status != 0;
}

TEST(store_ends_the_process_when_a_sync_fails_and_keeps_what_it_acknowledged)
{
    struct test_store t;
    int64_t acknowledged = 0;
    int failures = 0;
    begin(&t);
    store_close(t.store);
    while (try_sync(&t, failures, &acknowledged)) {
        failures++;
        EXPECT_EQ(test_store_open(&t, true), OK);
        EXPECT(count_pairs(t.store) >= acknowledged);
        acknowledged = count_pairs(t.store); // one that was not acknowledged may be there too
        store_close(t.store);
    }
    EXPECT(failures > 2);
    EXPECT_EQ(test_store_open(&t, true), OK);
    end_whole(&t);
}
