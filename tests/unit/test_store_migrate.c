#include <sys/wait.h>

#include "test_store.h"

static const struct store_migration good[] = {
    {1, "first", "CREATE TABLE a (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1);"},
    {2, "second", "CREATE TABLE b (id INTEGER PRIMARY KEY);\nINSERT INTO b SELECT id + 1 FROM a;"},
    {5, "third", "-- only a comment\nALTER TABLE b ADD COLUMN name TEXT;"},
};

static enum err migrate(struct store *s, const struct store_migration *list, size_t count,
                        int *applied, char why[static 300])
{
    return store_migrate(s, list, count, applied, why, 300);
}

TEST(store_migrates_in_order_and_once)
{
    struct test_store t;
    char why[300] = "";
    int applied = 0, number = -1;
    test_store_begin(&t);
    EXPECT_EQ(store_schema_number(t.store, &number), OK);
    EXPECT_EQ(number, 0);
    EXPECT_EQ(migrate(t.store, good, 1, &applied, why), OK);
    EXPECT_EQ(applied, 1);
    EXPECT_EQ(migrate(t.store, good, 3, &applied, why), OK);
    EXPECT_EQ(applied, 2);
    EXPECT_EQ(migrate(t.store, good, 3, &applied, why), OK);
    EXPECT_EQ(applied, 0);
    EXPECT_EQ(store_schema_number(t.store, &number), OK);
    EXPECT_EQ(number, 5);
    EXPECT_EQ(test_store_int(t.store, "SELECT id FROM b WHERE name IS NULL"), 2);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM schema_migration"), 3);
    test_store_end(&t);
}

TEST(store_refuses_a_database_newer_than_itself)
{
    struct test_store t;
    char why[300] = "";
    test_store_begin(&t);
    EXPECT_EQ(migrate(t.store, good, 3, NULL, why), OK);
    EXPECT_EQ(migrate(t.store, good, 2, NULL, why), ERR_CONFLICT);
    EXPECT(strstr(why, "0005") && strstr(why, "0002"));
    test_store_end(&t);
}

TEST(store_keeps_nothing_of_a_migration_that_fails)
{
    static const struct store_migration bad[] = {
        {1, "first", "CREATE TABLE a (id INTEGER PRIMARY KEY);"},
        {2, "bad", "CREATE TABLE b (id INTEGER); INSERT INTO nowhere VALUES (1);"},
        {3, "never", "CREATE TABLE c (id INTEGER);"},
    };
    struct test_store t;
    char why[300] = "";
    int number = 0;
    test_store_begin(&t);
    EXPECT_EQ(migrate(t.store, bad, 3, NULL, why), ERR_INVALID);
    EXPECT(strstr(why, "0002_bad") && strstr(why, "nowhere"));
    EXPECT_EQ(store_schema_number(t.store, &number), OK);
    EXPECT_EQ(number, 1);
    EXPECT_EQ(
        test_store_int(t.store, "SELECT count(*) FROM sqlite_schema WHERE name IN ('b', 'c')"), 0);
    test_store_end(&t);
}

TEST(store_migrates_once_when_two_processes_start_together)
{
    struct test_store t;
    enum { PROCESSES = 4 };
    pid_t children[PROCESSES];
    test_store_begin(&t);
    store_close(t.store);
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char why[300] = "";
            enum err err = test_store_open(&t, false);
            if (!err)
                err = migrate(t.store, good, 3, NULL, why);
            if (!err)
                store_close(t.store);
            _exit(err);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        EXPECT_EQ(waitpid(children[i], &status, 0), children[i]);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(test_store_open(&t, true), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM schema_migration"), 3);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM a"), 1);
    test_store_end(&t);
}
