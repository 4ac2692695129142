/* Limits of keys: how many jobs of each run at once, and begin in a time. */
#include "core/clock.h"
#include "test_queue.h"

/* What one transaction of these tests does. */
struct act {
    struct queue_job jobs[16];
    size_t count;
    int64_t next_ms;
    struct queue_limits limits;
    struct queue_key_limits key_limits;
    const char *key;
    const struct queue_job *of;
    int64_t ms;
};

static enum err fail_fn(struct store_tx *tx, void *arg)
{
    struct act *act = arg;
    return queue_fail(tx, act->of, STR("wrong"), act->ms, false);
}

static enum err release_fn(struct store_tx *tx, void *arg)
{
    struct act *act = arg;
    return queue_release(tx, act->of, act->of->run_at_ms);
}

static enum err recover_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    return queue_recover(tx, STR(""), INT64_MAX);
}

static enum err limit_fn(struct store_tx *tx, void *arg)
{
    return queue_set_limits(tx, STR("default"), &((struct act *)arg)->limits);
}

static enum err key_limit_fn(struct store_tx *tx, void *arg)
{
    struct act *act = arg;
    return queue_set_key_limits(tx, STR("default"), str_of(act->key), &act->key_limits);
}

static void limit(struct test_store *t, const struct queue_limits *limits)
{
    struct act act = {.limits = *limits};
    EXPECT_EQ(store_write_wait(t->store, limit_fn, &act), OK);
}

static void limit_key(struct test_store *t, const char *key, int max_running, int rate)
{
    struct act act = {.key = key, .key_limits = {.max_running = max_running, .rate = rate}};
    EXPECT_EQ(store_write_wait(t->store, key_limit_fn, &act), OK);
}

static void add(struct test_store *t, const char *key, int times)
{
    const struct queue_new job = {.kind = STR("a"), .key = str_of(key)};
    test_queue_add(t, &job, times);
}

static size_t claim(struct test_store *t, struct act *act)
{
    *act = (struct act){.count = 0};
    act->count = test_queue_claim(t, act->jobs, 16, &act->next_ms);
    for (size_t i = 0; i < act->count; i++)
        arena_done(&act->jobs[i].arena);
    return act->count;
}

static void ack(struct test_store *t, struct queue_job *job)
{
    EXPECT_EQ(store_write_wait(t->store, test_queue_ack_fn, job), OK);
}

/* What job_key says is what its jobs say, in every state of these tests; and who waits is not
 * forgotten: one of its key has a slot. */
static void check(struct test_store *t)
{
    EXPECT_EQ(test_store_int(t->store,
                             "SELECT count(*) FROM job_key WHERE running <> (SELECT count(*) FROM "
                             "job_option WHERE key_id = job_key.id AND has_slot & 1) OR next_id "
                             "<> coalesce((SELECT job_id FROM job_option WHERE key_id = "
                             "job_key.id AND has_slot & 2), 0)"),
              0);
    EXPECT_EQ(test_store_int(t->store,
                             "SELECT count(*) FROM job_option JOIN job ON id = job_id WHERE "
                             "(waits_for_key = 1) <> (state = 4)"),
              0);
    EXPECT_EQ(test_store_int(t->store, "SELECT count(*) FROM job_key WHERE running = 0 AND next_id "
                                       "= 0 AND EXISTS (SELECT 1 FROM job_option WHERE key_id = "
                                       "job_key.id AND waits_for_key = 1)"),
              0);
}

static void end(struct test_store *t)
{
    check(t);
    test_store_end(t);
}

TEST(queue_serves_a_key_that_may_run_one_job_strictly_in_order)
{
    struct test_store t;
    struct act act, other;
    test_queue_begin_still(&t);
    limit(&t, &(struct queue_limits){.key_max_running = 1});
    add(&t, "a", 5);
    add(&t, "b", 2);
    for (int64_t id = 1; id <= 5; id++) {
        size_t count = claim(&t, &act);
        check(&t);
        EXPECT_EQ(count, id <= 2 ? 2 : 1); // one of a, and one of b as long as it has some
        EXPECT_EQ(act.jobs[0].id, id);
        EXPECT_EQ(claim(&t, &other), 0);
        for (size_t i = 0; i < count; i++)
            ack(&t, &act.jobs[i]);
        check(&t);
    }
    EXPECT_EQ(claim(&t, &act), 0);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job"), 0);
    end(&t);
}

TEST(queue_lets_the_next_of_a_key_go_when_one_fails_or_is_given_back)
{
    struct test_store t;
    struct act act;
    test_queue_begin_still(&t);
    limit(&t, &(struct queue_limits){.key_max_running = 2});
    add(&t, "a", 4);
    EXPECT_EQ(claim(&t, &act), 2);
    act.of = &act.jobs[0];
    act.ms = 60000;
    EXPECT_EQ(store_write_wait(t.store, fail_fn, &act), OK);
    check(&t);
    EXPECT_EQ(test_store_int(t.store, "SELECT state FROM job WHERE id = 1"), QUEUE_SCHEDULED);
    EXPECT_EQ(test_store_int(t.store, "SELECT state FROM job WHERE id = 3"), QUEUE_READY);
    act.of = &act.jobs[1];
    EXPECT_EQ(store_write_wait(t.store, release_fn, &act), OK);
    check(&t);
    EXPECT_EQ(test_store_int(t.store, "SELECT state FROM job WHERE id = 2"), QUEUE_READY);
    EXPECT_EQ(claim(&t, &act), 2);
    EXPECT_EQ(act.jobs[0].id + act.jobs[1].id, 2 + 3);
    struct queue_job stale = act.jobs[0];
    clock_test_advance(60000); // the first is due again; the leases of the others are over
    EXPECT_EQ(claim(&t, &act), 2);
    check(&t);
    EXPECT_EQ(store_write_wait(t.store, test_queue_ack_fn, &stale), ERR_CONFLICT);
    end(&t);
}

TEST(queue_gives_back_the_slots_of_a_dead_process)
{
    struct test_store t;
    struct act act;
    test_queue_begin_still(&t);
    limit(&t, &(struct queue_limits){.key_max_running = 1, .key_rate = 1000});
    add(&t, "a", 3);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(claim(&t, &act), 1);
        EXPECT_EQ(act.jobs[0].id, 1); // the same: it is the first still
        EXPECT_EQ(store_write_wait(t.store, recover_fn, NULL), OK);
        check(&t);
        clock_test_advance(10);
    }
    for (int64_t id = 1; id <= 3; id++) {
        EXPECT_EQ(claim(&t, &act), 1);
        EXPECT_EQ(act.jobs[0].id, id);
        ack(&t, &act.jobs[0]);
        clock_test_advance(10);
    }
    end(&t);
}

TEST(queue_begins_jobs_of_a_key_at_its_rate_however_late_they_are)
{
    struct test_store t;
    struct act act;
    test_queue_begin_still(&t);
    limit(&t, &(struct queue_limits){.key_rate = 10, .key_burst = 2});
    add(&t, "a", 6);
    add(&t, "b", 1);
    size_t begun = claim(&t, &act);
    begun += claim(&t, &act); // the second of the burst
    EXPECT_EQ(begun, 3);
    EXPECT_EQ(claim(&t, &act), 0);
    EXPECT(act.next_ms > clock_unix_ms() && act.next_ms <= clock_unix_ms() + 101);
    check(&t);
    clock_test_advance(60000); // nobody was there to run them
    begun = claim(&t, &act);
    while (claim(&t, &act) > 0)
        begun += act.count;
    EXPECT(begun <= 3 + 2 + 1); // those of the lost leases, too, are begun at the rate
    check(&t);
    end(&t);
}

TEST(queue_holds_jobs_back_that_were_ready_before_their_key_had_a_limit)
{
    struct test_store t;
    struct act act;
    test_queue_begin_still(&t);
    add(&t, "a", 5);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state = 0"), 5);
    limit_key(&t, "a", 2, -1);
    EXPECT_EQ(claim(&t, &act), 2);
    check(&t);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state = 4"), 3);
    ack(&t, &act.jobs[0]);
    check(&t);
    EXPECT_EQ(claim(&t, &act), 1);
    EXPECT_EQ(act.jobs[0].id, 3);
    end(&t);
}

/* Acknowledges all that comes; how many. */
static int64_t drain(struct test_store *t)
{
    struct act act;
    int64_t done = 0;
    while (claim(t, &act) > 0) {
        for (size_t i = 0; i < act.count; i++)
            ack(t, &act.jobs[i]);
        done += (int64_t)act.count;
        check(t);
    }
    return done;
}

TEST(queue_lets_jobs_go_when_the_limit_of_their_key_is_lifted)
{
    struct test_store t;
    struct act act;
    test_queue_begin_still(&t);
    limit(&t, &(struct queue_limits){.key_max_running = 1});
    limit_key(&t, "slow", -1, 1);
    add(&t, "a", 300);
    add(&t, "slow", 3);
    EXPECT_EQ(claim(&t, &act), 2);
    ack(&t, &act.jobs[1]);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state = 3"), 1);
    limit(&t, &(struct queue_limits){0});
    limit_key(&t, "slow", 0, 0);
    check(&t);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state = 3"), 0);
    EXPECT_EQ(drain(&t), 301); // though only a slice was let go at once
    end(&t);
}

TEST(queue_writes_nothing_for_keys_without_limits)
{
    struct test_store t;
    struct act act;
    test_queue_begin_still(&t);
    add(&t, "a", 3);
    EXPECT_EQ(test_store_run(t.store, "CREATE TRIGGER no_write BEFORE UPDATE ON job_key BEGIN "
                                      "SELECT RAISE(ABORT, 'written'); END"),
              OK);
    EXPECT_EQ(claim(&t, &act), 3);
    for (int i = 0; i < 3; i++)
        ack(&t, &act.jobs[i]);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_option"), 0);
    end(&t);
}

/* ---- at random ---- */

static enum err discard_fn(struct store_tx *tx, void *arg)
{
    struct act *act = arg;
    return queue_discard(tx, act->of, STR("not wanted"));
}

static void end_at_random(struct test_store *t, struct queue_job *job)
{
    struct act act = {.of = job, .ms = rand() % 3 * 400};
    store_fn *const ends[] = {fail_fn, release_fn, discard_fn};
    int way = rand() % 6;
    if (way < 3)
        ack(t, job);
    else
        EXPECT_EQ(store_write_wait(t->store, ends[way - 3], &act), OK);
}

static void change_at_random(struct test_store *t, bool may_limit)
{
    static const char *const keys[] = {"a", "b", "c"};
    switch (rand() % 8) {
    case 0:
        EXPECT_EQ(store_write_wait(t->store, recover_fn, NULL), OK);
        break;
    case 1:
        clock_test_advance(rand() % 300);
        break;
    case 2:
        if (may_limit)
            limit_key(t, keys[rand() % 3], rand() % 4 - 1, rand() % 30 - 1);
        break;
    default:
        add(t, keys[rand() % 3], 1 + rand() % 3);
    }
}

TEST(queue_keeps_the_limits_of_keys_whatever_happens)
{
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct test_store t;
        struct act act;
        const struct queue_limits limits = {.key_max_running = seed % 3, .key_rate = seed % 2 * 20};
        srand(seed);
        test_queue_begin_still(&t);
        limit(&t, &limits);
        for (int step = 0; step < 60; step++) {
            change_at_random(&t, seed > 4);
            claim(&t, &act);
            check(&t);
            if (limits.key_max_running > 0 && seed <= 4)
                EXPECT(test_store_int(t.store, "SELECT coalesce(max(running), 0) FROM job_key") <=
                       limits.key_max_running);
            for (size_t i = 0; i < act.count; i++)
                if (rand() % 4 > 0)
                    end_at_random(&t, &act.jobs[i]);
            check(&t);
        }
        for (int i = 0; i < 3000 && test_store_int(t.store, "SELECT count(*) FROM job WHERE state "
                                                            "NOT IN (2, 5, 6)") > 0;
             i++) {
            clock_test_advance(1001); // leases, retries, rates
            drain(&t);
        }
        EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state NOT IN (2, 5, 6)"),
                  0);
        end(&t);
    }
}
