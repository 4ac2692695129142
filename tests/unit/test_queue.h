/* test_queue.h -- a store with the queue's own migration and a table of effects. */
#ifndef TEST_QUEUE_H
#define TEST_QUEUE_H

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

static inline void test_queue_migrate(struct test_store *t)
{
    char why[200] = "";
    char *sql = test_queue_read_file("migrations/0001_queue.sql");
    char *name_sql = test_queue_read_file("migrations/0003_queue_name.sql");
    char *whole_sql = test_queue_read_file("migrations/0004_queue_whole.sql");
    char *flow_sql = test_queue_read_file("migrations/0005_queue_flow.sql");
    char *report_sql = test_queue_read_file("migrations/0006_queue_report.sql");
    char *key_sql = test_queue_read_file("migrations/0007_queue_key.sql");
    char *prune_sql = test_queue_read_file("migrations/0008_queue_prune.sql");
    char *tally_sql = test_queue_read_file("migrations/0009_queue_tally.sql");
    char *idempotency_sql = test_queue_read_file("migrations/0010_queue_idempotency.sql");
    const struct store_migration list[] = {
        {1, "queue", sql},
        {2, "queue_name", name_sql},
        // no constraint: an effect that happens twice must show
        {3, "queue_whole", whole_sql},
        {4, "queue_flow", flow_sql},
        {5, "queue_report", report_sql},
        {6, "queue_key", key_sql},
        {7, "queue_prune", prune_sql},
        {8, "queue_tally", tally_sql},
        {9, "queue_idempotency", idempotency_sql},
        {10, "effect", "CREATE TABLE effect (id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL);"},
    };
    EXPECT_EQ(store_migrate(t->store, list, 10, NULL, why, sizeof(why)), OK);
    free(sql);
    free(name_sql);
    free(whole_sql);
    free(flow_sql);
    free(report_sql);
    free(key_sql);
    free(prune_sql);
    free(tally_sql);
    free(idempotency_sql);
}

static inline void test_queue_begin(struct test_store *t)
{
    test_store_begin(t);
    test_queue_migrate(t);
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
