/* test_store_fault.c -- the disk fails under the store alone: the nth write or sync of SQLite's
 * returns an error. */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>

#include "core/failpoint.h"
#include "core/log.h"
#include "disk.h"
#include "test_store.h"

static _Atomic int syncs;

static void count_sync(const char *name, void *ctx)
{
    (void)ctx;
    if (strstr(name, ".sync.before"))
        atomic_fetch_add(&syncs, 1);
}

static void begin(struct test_store *t)
{
    log_set_level(LOG_ERROR);
    disk_install();
    failpoint_listen(count_sync, NULL);
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
    for (int round = 0; round < ROUNDS; round++) {
        disk_fail(DISK_WRITE, round, ENOSPC, true);
        for (int i = 0; i < TRIES; i++, id++) {
            enum err err = store_write_wait(t.store, insert_pair, &id);
            EXPECT(err == OK || err == ERR_AGAIN);
            kept += err == OK;
            EXPECT_EQ(count_pairs(t.store), kept); // reads go on
        }
        EXPECT(disk_has_failed());
        disk_heal();
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
    disk_fail(DISK_WRITE, 100, ENOSPC, true);
    EXPECT_EQ(store_write_wait(t.store, insert_much, &seen), ERR_AGAIN);
    EXPECT_EQ(seen, ERR_AGAIN);
    disk_heal();
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
    for (int n = 0; has_failed; n++, id++) {
        disk_fail(DISK_WRITE, n, EIO, false);
        enum err err = store_write_wait(t.store, insert_pair, &id);
        kept += err == OK;
        has_failed = err != OK;
        EXPECT(err == OK || (err == ERR_IO && disk_has_failed()));
        disk_heal();
        EXPECT_EQ(count_pairs(t.store), kept);
    }
    EXPECT(id > 1); // it did fail
    store_close(t.store);
    EXPECT_EQ(test_store_open(&t, true), OK);
    EXPECT_EQ(count_pairs(t.store), kept);
    end_whole(&t);
}

/* Three writes, each submitted when the last is done, so that the writer never rests between. */
enum { CHAIN = 3 };
struct chain {
    struct store_write write; // first: on_done casts back
    struct store *store;
    int64_t id;
    int syncs[CHAIN]; // when the write was done
    sem_t ended;
};

static void on_link(struct store_write *write, enum err err)
{
    struct chain *chain = (struct chain *)(void *)write;
    EXPECT_EQ(err, OK);
    chain->syncs[chain->id] = atomic_load(&syncs);
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
    int before = atomic_load(&syncs);
    struct chain chain = {.store = t.store};
    chain.write = (struct store_write){.fn = insert_pair, .arg = &chain.id, .on_done = on_link};
    sem_init(&chain.ended, 0, 0);
    EXPECT_EQ(store_write(t.store, &chain.write), OK);
    while (sem_wait(&chain.ended))
        continue;
    EXPECT(chain.syncs[0] > before);
    EXPECT_EQ(chain.syncs[1], chain.syncs[0]); // the soft one
    EXPECT_EQ(chain.syncs[2], chain.syncs[1] + 1);
    disk_heal();
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
    disk_fail(DISK_SYNC, n, EIO, false);
    for (int64_t id = old; id < old + PAIRS; id++) {
        enum err err = store_write_wait(t->store, insert_pair, &id);
        if (err || write(pipe_fd, "+", 1) != 1)
            pause(); // the writer ends the process
    }
    store_close(t->store); // checkpoints: more syncs
    _exit(disk_has_failed() ? 7 : 0);
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
