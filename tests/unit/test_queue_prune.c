/* What was kept long enough is forgotten, in slices, and the file does not grow for ever. */
#include "core/clock.h"
#include "test_queue.h"

enum { HOUR_MS = 3600 * 1000 };

struct act {
    struct queue_limits limits;
    struct queue_job jobs[64];
    size_t count;
    int64_t pruned, first_key, keep_ms;
    bool is_dead;
};

static enum err limit_fn(struct store_tx *tx, void *arg)
{
    struct queue_limits got;
    struct act *act = arg;
    enum err err = queue_set_limits(tx, STR("default"), &act->limits);
    if (!err)
        err = queue_get_limits(tx, STR("default"), &got);
    if (err)
        return err;
    EXPECT_EQ(got.keep_done, act->limits.keep_done);
    EXPECT_EQ(got.keep_dead_ms, act->limits.keep_dead_ms);
    return OK;
}

/* So many jobs, each of a key of its own. */
static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    struct act *act = arg;
    for (int i = 0; i < 64; i++) {
        char key[32];
        snprintf(key, sizeof(key), "tenant %lld", (long long)act->first_key + i);
        const struct queue_new job = {
            .kind = STR("a"), .key = str_of(key), .keep_ms = act->keep_ms};
        enum err err = queue_enqueue(tx, &job, NULL);
        if (err)
            return err;
    }
    return OK;
}

static enum err run_fn(struct store_tx *tx, void *arg)
{
    struct act *act = arg;
    const struct queue_options options = {.lease_ms = 1000};
    int64_t next_ms;
    enum err err = queue_claim(tx, &options, act->jobs, 64, &act->count, &next_ms);
    for (size_t i = 0; i < act->count && !err; i++) {
        arena_done(&act->jobs[i].arena);
        err = act->is_dead ? queue_fail(tx, &act->jobs[i], STR("wrong"), 0, true)
                           : queue_ack(tx, &act->jobs[i]);
    }
    return err;
}

static void run(struct test_store *t, struct act *act)
{
    EXPECT_EQ(store_write_wait(t->store, enqueue_fn, act), OK);
    EXPECT_EQ(store_write_wait(t->store, run_fn, act), OK);
    EXPECT_EQ(act->count, 64);
    act->first_key += 64;
}

static enum err prune_fn(struct store_tx *tx, void *arg)
{
    return queue_prune(tx, STR("default"), 256, &((struct act *)arg)->pruned);
}

static void prune(struct test_store *t)
{
    struct act act;
    do
        EXPECT_EQ(store_write_wait(t->store, prune_fn, &act), OK);
    while (act.pruned > 0);
}

TEST(queue_keeps_no_more_jobs_that_are_over_than_its_queue_says)
{
    struct test_store t;
    struct act act = {.keep_ms = HOUR_MS,
                      .limits = {.keep_done = 100, .keep_dead = 10, .keep_dead_ms = HOUR_MS}};
    test_queue_begin_still(&t);
    EXPECT_EQ(store_write_wait(t.store, limit_fn, &act), OK);
    for (int i = 0; i < 4; i++) {
        act.is_dead = i == 3;
        run(&t, &act);
        clock_test_advance(1);
    }
    prune(&t);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state = 5"), 100);
    EXPECT_EQ(test_store_int(t.store, "SELECT min(id) FROM job WHERE state = 5"), 3 * 64 - 99);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state = 2"), 10);
    clock_test_advance(HOUR_MS + 1);
    prune(&t);
    EXPECT_EQ(test_store_int(t.store, "SELECT (SELECT count(*) FROM job) + (SELECT count(*) FROM "
                                      "job_error) + (SELECT count(*) FROM job_run)"),
              0);
    act.limits.keep_done = QUEUE_MAX_KEEP + 1;
    EXPECT_EQ(store_write_wait(t.store, limit_fn, &act), ERR_INVALID);
    test_store_end(&t);
}

TEST(queue_file_does_not_grow_with_jobs_and_keys_that_come_and_go)
{
    enum { ROUNDS = 6, EACH = 20 };
    struct test_store t;
    struct act act = {.keep_ms = HOUR_MS};
    int64_t pages[ROUNDS];
    test_queue_begin_still(&t);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EACH; i++)
            run(&t, &act);
        EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_key"), EACH * 64);
        clock_test_advance(HOUR_MS + 1);
        prune(&t);
        EXPECT_EQ(test_store_int(t.store, "SELECT (SELECT count(*) FROM job) + (SELECT count(*) "
                                          "FROM job_option) + (SELECT count(*) FROM job_run)"),
                  0);
        clock_test_advance(2 * HOUR_MS); // after their jobs keys rest for an hour
        prune(&t);
        EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_key"), 0);
        EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_turn WHERE key_id > 0"), 0);
        pages[round] = test_store_int(t.store, "SELECT page_count FROM pragma_page_count");
    }
    EXPECT(pages[ROUNDS - 1] <= pages[1] + pages[1] / 10);
    test_store_end(&t);
}

TEST(queue_does_not_forget_a_key_that_has_jobs_or_settings)
{
    struct test_store t;
    struct act act = {.keep_ms = HOUR_MS};
    test_queue_begin_still(&t);
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &act), OK);
    EXPECT_EQ(store_write_wait(t.store, run_fn, &act), OK);
    EXPECT_EQ(test_store_run(t.store, "UPDATE job_key SET max_running = 3 WHERE id = 1"), OK);
    EXPECT_EQ(test_store_run(t.store, "UPDATE job SET at_ms = at_ms + 36000000 WHERE id = 2"), OK);
    for (int i = 0; i < 3; i++) {
        clock_test_advance(HOUR_MS + 1);
        prune(&t);
    }
    EXPECT_EQ(test_store_int(t.store, "SELECT sum(id) FROM job_key"), 1 + 2);
    test_store_end(&t);
}

TEST(queue_prunes_by_index)
{
    static const char *const plans[] = {
        "EXPLAIN QUERY PLAN SELECT id FROM job WHERE state > 0 AND state = $1 AND queue = $2 AND "
        "(at_ms, id) <= ($3, $4) ORDER BY at_ms, id LIMIT $5",
        "EXPLAIN QUERY PLAN SELECT id FROM job_key WHERE used_at_ms <= $1 ORDER BY used_at_ms "
        "LIMIT $2",
        "EXPLAIN QUERY PLAN DELETE FROM job_turn WHERE key_id = $1",
        "EXPLAIN QUERY PLAN SELECT id FROM job_batch WHERE finished_at_ms < $1 ORDER BY "
        "finished_at_ms LIMIT $2",
    };
    struct test_store t;
    test_queue_begin_still(&t);
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
        EXPECT(test_queue_plan_uses_indexes(t.store, plans[i]));
    test_store_end(&t);
}
