/* test_store.h -- what the tests of the store and the queue share: a store in a folder of its own.
 */
#ifndef TEST_STORE_H
#define TEST_STORE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/store.h"
#include "test.h"

struct test_store {
    char dir[TEST_FOLDER_MAX], path[96];
    struct store *store;
};

static inline enum err test_store_open(struct test_store *t, bool is_server)
{
    char why[200] = "";
    struct store_options options = {.path = t->path, .readers = 2, .is_server = is_server};
    return store_open(&options, &t->store, why, sizeof(why));
}

/* Makes the folder and opens the store as a server. */
static inline void test_store_begin(struct test_store *t)
{
    test_make_folder(t->dir);
    snprintf(t->path, sizeof(t->path), "%s/test.db", t->dir);
    EXPECT_EQ(test_store_open(t, true), OK);
}

static inline void test_store_remove_files(const struct test_store *t)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock", ".peers"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char name[120];
        snprintf(name, sizeof(name), "%s%s", t->path, ends[i]);
        unlink(name);
    }
    EXPECT_EQ(rmdir(t->dir), 0);
}

static inline void test_store_end(struct test_store *t)
{
    store_close(t->store);
    test_store_remove_files(t);
}

/* One statement without parameters; sql is a literal. */
struct test_store_command {
    const char *sql;
};

static inline enum err test_store_run_fn(struct store_tx *tx, void *arg)
{
    struct test_store_command *command = arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx, command->sql, &st);
    return err ? err : store_run(st, NULL);
}

static inline enum err test_store_run(struct store *s, const char *sql)
{
    return store_write_wait(s, test_store_run_fn, &(struct test_store_command){sql});
}

struct test_store_question {
    const char *sql;
    int64_t answer;
};

static inline enum err test_store_int_fn(struct store_tx *tx, void *arg)
{
    struct test_store_question *q = arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx, q->sql, &st);
    if (err)
        return err;
    err = store_step(st);
    if (!err)
        q->answer = store_column_int(st, 0);
    store_finish(st);
    return err;
}

/* The integer that a SELECT finds, through a reader. */
static inline int64_t test_store_int(struct store *s, const char *sql)
{
    struct test_store_question q = {sql, 0};
    EXPECT_EQ(store_read(s, test_store_int_fn, &q), OK);
    return q.answer;
}

#endif
