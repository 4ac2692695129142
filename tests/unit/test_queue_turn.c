#include "core/clock.h"
#include "test_queue.h"

/* What one transaction of these tests does. */
struct act {
    struct queue_job jobs[8];
    size_t cap, count;
    bool needs_claim;
    int64_t next_ms, until_ms, pruned;
    struct queue_limits limits;
    const struct queue_job *job_out;
};

/* What an owner of the file would hold in memory. */
static enum err find_fn(struct store_tx *tx, void *arg)
{
    struct act *act = arg;
    const struct queue_options options = {.is_alone = true};
    struct queue_look look = {.jobs = act->jobs};
    enum err err = queue_find(tx, &options, (struct queue_cursor){INT64_MIN, 0}, act->cap, &look);
    act->count = look.count;
    act->needs_claim = look.needs_claim;
    return err;
}

static enum err discard_fn(struct store_tx *tx, void *arg)
{
    return queue_discard(tx, arg, STR("not ours"));
}

static enum err limit_fn(struct store_tx *tx, void *arg)
{
    return queue_set_limits(tx, STR("default"), &((struct act *)arg)->limits);
}

static enum err pause_fn(struct store_tx *tx, void *arg)
{
    return queue_pause(tx, STR("default"), ((struct act *)arg)->until_ms);
}

static enum err prune_fn(struct store_tx *tx, void *arg)
{
    return queue_prune(tx, STR("default"), 100, &((struct act *)arg)->pruned);
}

static void add(struct test_store *t, const char *kind, const char *key, int weight, int times)
{
    const struct queue_new job = {.kind = str_of(kind), .key = str_of(key), .weight = weight};
    test_queue_add(t, &job, times);
}

static size_t claim(struct test_store *t, struct act *act, size_t cap)
{
    *act = (struct act){.count = 0};
    act->count = test_queue_claim(t, act->jobs, cap, &act->next_ms);
    for (size_t i = 0; i < act->count; i++)
        EXPECT_STR(act->jobs[i].payload, "");
    return act->count;
}

static void let_go(struct act *act)
{
    for (size_t i = 0; i < act->count; i++)
        arena_done(&act->jobs[i].arena);
    act->count = 0;
}

/* Claims and acknowledges one job. */
static void serve(struct test_store *t, const char *kind)
{
    struct act act;
    EXPECT_EQ(claim(t, &act, 1), 1);
    EXPECT_STR(act.jobs[0].kind, kind);
    EXPECT_EQ(store_write_wait(t->store, test_queue_ack_fn, &act.jobs[0]), OK);
    let_go(&act);
}

TEST(queue_gives_the_single_job_of_a_key_the_next_turn)
{
    struct test_store t;
    test_queue_begin_still(&t);
    add(&t, "many", "a", 0, 500);
    for (int i = 0; i < 20; i++)
        serve(&t, "many");
    add(&t, "single", "b", 0, 1);
    clock_test_advance(5000);
    serve(&t, "single");
    for (int i = 0; i < 30; i++)
        serve(&t, "many");
    add(&t, "single", "b", 0, 2);
    add(&t, "other", "c", 0, 2);
    serve(&t, "single");
    serve(&t, "other");
    serve(&t, "many");
    serve(&t, "single");
    serve(&t, "other");
    test_store_end(&t);
}

static void find(struct test_store *t, const char *kind, bool needs_claim)
{
    struct act act = {.cap = 8};
    EXPECT_EQ(store_read(t->store, find_fn, &act), OK);
    EXPECT_EQ(act.needs_claim, needs_claim);
    EXPECT_EQ(act.count, 1);
    EXPECT_STR(act.jobs[0].kind, kind);
    let_go(&act);
}

TEST(queue_holds_in_memory_no_job_behind_one_whose_turn_comes_first)
{
    struct test_store t;
    test_queue_begin_still(&t);
    add(&t, "before", "", 0, 1);
    clock_test_advance(1000);
    add(&t, "turn", "a", 0, 2);
    clock_test_advance(1000);
    add(&t, "behind", "", 0, 1);
    find(&t, "before", true);
    serve(&t, "before");
    serve(&t, "turn");
    serve(&t, "turn");
    find(&t, "behind", false);
    test_store_end(&t);
}

TEST(queue_forgets_what_a_key_had_while_nobody_waited)
{
    struct test_store t;
    test_queue_begin_still(&t);
    add(&t, "a", "a", 0, 300);
    for (int i = 0; i < 300; i++)
        serve(&t, "a");
    add(&t, "b", "b", 0, 50);
    serve(&t, "b");
    add(&t, "a", "a", 0, 1); // it owes nothing for its 300
    serve(&t, "a");
    serve(&t, "b");
    test_store_end(&t);
}

/* Jobs of the keys are the next, and not behind one without a key that comes later. */
static void expect_turns_now(struct test_store *t, const char *key, const char *other)
{
    add(t, "turn", key, 0, 1);
    add(t, "turn", other, 0, 1);
    clock_test_advance(10);
    add(t, "behind", "", 0, 1);
    serve(t, "turn");
    serve(t, "turn");
    serve(t, "behind");
}

TEST(queue_gives_turns_by_the_clock_when_nobody_waits_however_many_there_were)
{
    struct test_store t;
    test_queue_begin(&t);
    clock_test_stop();
    add(&t, "many", "a", 0, 300); // 300 ms of turns in no time
    for (int i = 0; i < 300; i++)
        serve(&t, "many");
    expect_turns_now(&t, "a", "b");
    test_store_end(&t);
}

TEST(queue_gives_turns_by_the_clock_again_after_one_that_had_run_ahead)
{
    enum { DAY_MS = 24 * 3600 * 1000 };
    struct test_store t;
    test_queue_begin(&t);
    clock_test_set_forward(DAY_MS);
    add(&t, "ahead", "a", 0, 3);
    add(&t, "ahead", "b", 0, 3);
    clock_test_set_forward(-DAY_MS);
    for (int i = 0; i < 6; i++)
        serve(&t, "ahead");
    expect_turns_now(&t, "c", "a"); // "a" finds somebody who waits
    expect_turns_now(&t, "b", "b");
    test_store_end(&t);
}

TEST(queue_shares_its_turns_by_weight)
{
    struct test_store t;
    struct act act;
    int heavy = 0;
    test_queue_begin_still(&t);
    add(&t, "heavy", "h", 4, 100);
    add(&t, "light", "l", 1, 100);
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(claim(&t, &act, 1), 1);
        heavy += str_eq(act.jobs[0].kind, STR("heavy"));
        EXPECT_EQ(store_write_wait(t.store, test_queue_ack_fn, &act.jobs[0]), OK);
        let_go(&act);
    }
    EXPECT(heavy >= 39 && heavy <= 41);
    test_store_end(&t);
}

TEST(queue_gives_a_delayed_job_of_a_key_its_turn_when_it_is_due)
{
    struct test_store t;
    const struct queue_new later = {.kind = STR("later"), .key = STR("b"), .delay_ms = 1000};
    test_queue_begin_still(&t);
    test_queue_add(&t, &later, 1);
    add(&t, "many", "a", 0, 100);
    for (int i = 0; i < 10; i++)
        serve(&t, "many");
    clock_test_advance(1001);
    serve(&t, "later");
    serve(&t, "many");
    test_store_end(&t);
}

TEST(queue_runs_no_more_at_once_than_its_limit)
{
    struct test_store t;
    struct act act, more, set = {.limits = {.max_running = 2}};
    test_queue_begin_still(&t);
    EXPECT_EQ(store_write_wait(t.store, limit_fn, &set), OK);
    add(&t, "a", "", 0, 5);
    EXPECT_EQ(claim(&t, &act, 8), 2);
    EXPECT_EQ(claim(&t, &more, 8), 0);
    EXPECT_EQ(more.next_ms, QUEUE_WHEN_ONE_ENDS);
    EXPECT_EQ(store_write_wait(t.store, test_queue_ack_fn, &act.jobs[0]), OK);
    EXPECT_EQ(claim(&t, &more, 8), 1);
    let_go(&more);
    let_go(&act);
    set.limits.rate_ms = -1;
    EXPECT_EQ(store_write_wait(t.store, limit_fn, &set), ERR_INVALID);
    test_store_end(&t);
}

TEST(queue_begins_jobs_at_its_rate_with_a_burst)
{
    struct test_store t;
    struct act act, set = {.limits = {.rate = 10, .rate_ms = 1000, .burst = 3}};
    test_queue_begin_still(&t);
    EXPECT_EQ(store_write_wait(t.store, limit_fn, &set), OK);
    add(&t, "a", "", 0, 20);
    EXPECT_EQ(claim(&t, &act, 8), 3);
    let_go(&act);
    EXPECT_EQ(claim(&t, &act, 8), 0);
    EXPECT(act.next_ms > clock_unix_ms() && act.next_ms <= clock_unix_ms() + 101);
    clock_test_advance(101);
    EXPECT_EQ(claim(&t, &act, 8), 1);
    let_go(&act);
    clock_test_advance(50);
    EXPECT_EQ(claim(&t, &act, 8), 0);
    test_store_end(&t);
}

TEST(queue_waits_no_longer_for_its_rate_when_the_clock_was_set_back)
{
    struct test_store t;
    struct act act, set = {.limits = {.rate = 10, .rate_ms = 1000, .burst = 3}};
    test_queue_begin_still(&t);
    EXPECT_EQ(store_write_wait(t.store, limit_fn, &set), OK);
    add(&t, "a", "", 0, 20);
    clock_test_set_forward(24 * 3600 * 1000);
    EXPECT_EQ(claim(&t, &act, 8), 3);
    let_go(&act);
    clock_test_set_forward(-24 * 3600 * 1000);
    EXPECT_EQ(claim(&t, &act, 8), 3); // anew
    let_go(&act);
    EXPECT_EQ(claim(&t, &act, 8), 0);
    clock_test_advance(101);
    EXPECT_EQ(claim(&t, &act, 8), 1);
    let_go(&act);
    test_store_end(&t);
}

TEST(queue_takes_the_slowest_rate_and_the_largest_burst)
{
    struct test_store t;
    struct act act, set = {.limits = {.rate = 1, .rate_ms = QUEUE_MAX_MS, .burst = INT32_MAX}};
    set.limits.key_rate = 1;
    set.limits.key_rate_ms = QUEUE_MAX_MS;
    set.limits.key_burst = INT32_MAX;
    test_queue_begin_still(&t);
    EXPECT_EQ(store_write_wait(t.store, limit_fn, &set), OK);
    add(&t, "a", "", 0, 4);
    add(&t, "b", "key", 0, 4);
    EXPECT_EQ(claim(&t, &act, 8), 5); // of a key one by one
    let_go(&act);
    EXPECT_EQ(claim(&t, &act, 8), 1);
    let_go(&act);
    test_store_end(&t);
}

TEST(queue_with_limits_and_nothing_to_do_waits_for_no_time)
{
    struct test_store t;
    struct act act, set = {.limits = {.max_running = 2, .rate = 10, .rate_ms = 1000, .burst = 3}};
    test_queue_begin_still(&t);
    EXPECT_EQ(store_write_wait(t.store, limit_fn, &set), OK);
    EXPECT_EQ(claim(&t, &act, 8), 0);
    EXPECT_EQ(act.next_ms, 0);
    test_store_end(&t);
}

TEST(queue_claims_nothing_while_it_is_paused)
{
    struct test_store t;
    test_queue_begin_still(&t);
    struct act act, set = {.until_ms = clock_unix_ms() + 5000};
    add(&t, "a", "", 0, 2);
    EXPECT_EQ(store_write_wait(t.store, pause_fn, &set), OK);
    EXPECT_EQ(claim(&t, &act, 8), 0);
    EXPECT_EQ(act.next_ms, set.until_ms);
    clock_test_advance(5001); // the pause ends by itself
    EXPECT_EQ(claim(&t, &act, 1), 1);
    let_go(&act);
    set.until_ms = INT64_MAX;
    EXPECT_EQ(store_write_wait(t.store, pause_fn, &set), OK);
    EXPECT_EQ(claim(&t, &act, 8), 0);
    set.until_ms = 0;
    EXPECT_EQ(store_write_wait(t.store, pause_fn, &set), OK);
    EXPECT_EQ(claim(&t, &act, 8), 1);
    let_go(&act);
    test_store_end(&t);
}

TEST(queue_prunes_what_was_kept_long_enough)
{
    struct test_store t;
    struct act act;
    const struct queue_new kept = {
        .kind = STR("a"), .keep_ms = 5000, .idempotency_key = STR("i"), .idempotency_ms = 5000};
    test_queue_begin_still(&t);
    test_queue_add(&t, &kept, 1);
    serve(&t, "a");
    add(&t, "b", "", 0, 1);
    EXPECT_EQ(claim(&t, &act, 1), 1);
    EXPECT_EQ(store_write_wait(t.store, discard_fn, &act.jobs[0]), OK);
    EXPECT_EQ(store_write_wait(t.store, test_queue_ack_fn, &act.jobs[0]), ERR_CONFLICT);
    let_go(&act);
    EXPECT_EQ(store_write_wait(t.store, prune_fn, &act), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state IN (5, 6)"), 2);
    clock_test_advance(5001);
    EXPECT_EQ(store_write_wait(t.store, prune_fn, &act), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT state FROM job"), 6);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_unique"), 0);
    clock_test_advance(24 * 3600 * 1000);
    EXPECT_EQ(store_write_wait(t.store, prune_fn, &act), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT (SELECT count(*) FROM job) + (SELECT count(*) FROM "
                                      "job_error) + (SELECT count(*) FROM job_run)"),
              0);
    test_store_end(&t);
}
