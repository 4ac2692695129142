/* test_queue.h -- a store with the queue's own migration and a table of effects. */
#ifndef TEST_QUEUE_H
#define TEST_QUEUE_H

#include <glob.h>

#include "core/clock.h"
#include "queue/queue.h"
#include "test_store.h"

/* The text of a file of the repository; the caller frees it. */
static inline char *test_queue_read_file(const char *name)
{
    char *text = calloc(1, 65536);
    FILE *f = fopen(name, "r");
    EXPECT(text != NULL && f != NULL);
    EXPECT(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

/* The first migrations, at most so many, of those whose files match; those that were applied are
 * left out. */
enum { TEST_QUEUE_MIGRATIONS = 64 };
#define TEST_QUEUE_FILES "migrations/*_queue*.sql"
static inline void test_queue_migrate(struct test_store *t, const char *pattern, size_t max)
{
    char why[200] = "", *texts[TEST_QUEUE_MIGRATIONS] = {0};
    struct store_migration list[TEST_QUEUE_MIGRATIONS] = {{0}};
    glob_t files;
    EXPECT_EQ(glob(pattern, 0, NULL, &files), 0); // in the order of their numbers
    EXPECT(files.gl_pathc <= TEST_QUEUE_MIGRATIONS);
    size_t count = files.gl_pathc < max ? files.gl_pathc : max;
    for (size_t i = 0; i < count; i++) {
        texts[i] = test_queue_read_file(files.gl_pathv[i]);
        list[i] = (struct store_migration){(int)i + 1, files.gl_pathv[i], texts[i]};
    }
    EXPECT_EQ(store_migrate(t->store, list, count, NULL, why, sizeof(why)), OK);
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    globfree(&files);
}

static inline void test_queue_begin(struct test_store *t)
{
    test_store_begin(t);
    test_queue_migrate(t, TEST_QUEUE_FILES, TEST_QUEUE_MIGRATIONS);
    // no constraint: an effect that happens twice must show
    EXPECT_EQ(
        test_store_run(t->store,
                       "CREATE TABLE effect (id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL)"),
        OK);
}

/* The same, and the clocks stand still but for clock_test_advance: no lease ends, and no time that
 * is set comes, because the machine is slow. Not for tests with workers, who wait for the time. */
static inline void test_queue_begin_still(struct test_store *t)
{
    clock_test_stop();
    test_queue_begin(t);
}

static inline enum err test_queue_add_effect(struct store_tx *tx, int64_t job_id)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "INSERT INTO effect (job_id) VALUES ($1)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job_id);
    return store_run(st, NULL);
}

struct test_queue_act {
    const struct queue_new *job;
    int times;
    struct queue_job *jobs;
    size_t cap, count;
    int64_t next_ms;
};

static inline enum err test_queue_add_fn(struct store_tx *tx, void *arg)
{
    const struct test_queue_act *act = arg;
    enum err err = OK;
    for (int i = 0; i < act->times && !err; i++)
        err = queue_enqueue(tx, act->job, NULL);
    return err;
}

/* Enqueues so many of one kind. */
static inline void test_queue_add(struct test_store *t, const struct queue_new *job, int times)
{
    struct test_queue_act act = {.job = job, .times = times};
    EXPECT_EQ(store_write_wait(t->store, test_queue_add_fn, &act), OK);
}

static inline enum err test_queue_claim_fn(struct store_tx *tx, void *arg)
{
    struct test_queue_act *act = arg;
    const struct queue_options options = {.lease_ms = 1000};
    return queue_claim(tx, &options, act->jobs, act->cap, &act->count, &act->next_ms);
}

/* Claims up to cap jobs of the default queue for a second; how many. Their arenas are the
 * caller's; next_ms as of queue_claim. */
static inline size_t test_queue_claim(struct test_store *t, struct queue_job *jobs, size_t cap,
                                      int64_t *next_ms)
{
    struct test_queue_act act = {.jobs = jobs, .cap = cap};
    enum err err = store_write_wait(t->store, test_queue_claim_fn, &act);
    EXPECT(err == OK || err == ERR_NOT_FOUND);
    *next_ms = act.next_ms;
    return act.count;
}

static inline enum err test_queue_ack_fn(struct store_tx *tx, void *arg)
{
    return queue_ack(tx, arg);
}

struct test_queue_plan {
    const char *sql;
    bool has_scan;
};

static inline enum err test_queue_plan_fn(struct store_tx *tx, void *arg)
{
    struct test_queue_plan *plan = arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx, plan->sql, &st);
    while (!err && !(err = store_step(st))) {
        char line[200];
        struct str text = store_column_text(st, 3);
        snprintf(line, sizeof(line), "%.*s", STR_ARG(text));
        bool is_scan = strncmp(line, "SCAN", 4) == 0;
        plan->has_scan |= is_scan && !strstr(line, "USING");
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

/* No step of the plan reads the whole table. */
static inline bool test_queue_plan_uses_indexes(struct store *s, const char *sql)
{
    struct test_queue_plan plan = {sql, false};
    EXPECT_EQ(store_read(s, test_queue_plan_fn, &plan), OK);
    return !plan.has_scan;
}

#endif
