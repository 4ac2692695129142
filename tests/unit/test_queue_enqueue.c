#include "core/clock.h"
#include "test_queue.h"

/* One transaction of these tests: enqueue many, or claim. */
struct many {
    const struct queue_new *jobs;
    size_t count;
    struct queue_receipt receipts[8];
    struct queue_job claimed[8];
    size_t claimed_count;
    int64_t next_ms;
};

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    struct many *m = arg;
    return queue_enqueue_many(tx, m->jobs, m->count, m->receipts);
}

static enum err claim_fn(struct store_tx *tx, void *arg)
{
    struct many *m = arg;
    const struct queue_options options = {.lease_ms = 1000};
    enum err err = queue_claim(tx, &options, m->claimed, 8, &m->claimed_count, &m->next_ms);
    return err == ERR_NOT_FOUND ? OK : err; // what it changed stays
}

static enum err ack_fn(struct store_tx *tx, void *arg)
{
    return queue_ack(tx, arg);
}

static enum err fail_fn(struct store_tx *tx, void *arg)
{
    return queue_fail(tx, arg, STR("it broke"), 0, false);
}

static struct queue_receipt add(struct test_store *t, const struct queue_new *job)
{
    struct many m = {.jobs = job, .count = 1};
    EXPECT_EQ(store_write_wait(t->store, enqueue_fn, &m), OK);
    EXPECT(m.receipts[0].id > 0);
    return m.receipts[0];
}

static size_t claim(struct test_store *t, struct many *m)
{
    m->claimed_count = 0;
    EXPECT_EQ(store_write_wait(t->store, claim_fn, m), OK);
    return m->claimed_count;
}

static void let_go(struct many *m)
{
    for (size_t i = 0; i < m->claimed_count; i++)
        arena_done(&m->claimed[i].arena);
    m->claimed_count = 0;
}

#define COUNT(t, sql) test_store_int((t)->store, "SELECT count(*) FROM " sql)

TEST(queue_names_the_limit_that_a_job_breaks)
{
    static char big[QUEUE_MAX_NAME_BYTES + 300];
    const struct str many_tags[QUEUE_MAX_TAGS + 1] = {{0}};
    const struct str bad_tag = STR("two words");
    memset(big, 'x', sizeof(big));
    const struct str long_name = {big, QUEUE_MAX_NAME_BYTES + 1};
    const struct str long_key = {big, QUEUE_MAX_KEY_BYTES + 1};
    const struct {
        struct queue_new job;
        enum err err;
        const char *why;
    } rows[] = {
        {{.kind = STR("")}, ERR_INVALID, "a kind is 1 to 100 bytes without spaces"},
        {{.kind = long_name}, ERR_INVALID, "a kind is 1 to 100 bytes without spaces"},
        {{.kind = STR("a\nb")}, ERR_INVALID, "a kind is 1 to 100 bytes without spaces"},
        {{.kind = STR("a"), .queue = long_name},
         ERR_INVALID,
         "the name of a queue is 1 to 100 bytes without spaces"},
        {{.kind = STR("a"), .payload = {big, 101}, .max_payload_bytes = 100},
         ERR_TOO_LARGE,
         "the payload is too large"},
        {{.kind = STR("a"), .unique_key = long_key},
         ERR_INVALID,
         "a key is up to 255 bytes without NUL"},
        {{.kind = STR("a"), .idempotency_key = {"a\0b", 3}},
         ERR_INVALID,
         "a key is up to 255 bytes without NUL"},
        {{.kind = STR("a"), .priority = 101}, ERR_INVALID, "a priority is from -100 to 100"},
        {{.kind = STR("a"), .max_attempts = -1}, ERR_INVALID, "the attempts are 1 to 1000"},
        {{.kind = STR("a"), .trace = STR("00-xyz")},
         ERR_INVALID,
         "the trace is not a W3C traceparent"},
        {{.kind = STR("a"),
          .trace = STR("00-00000000000000000000000000000000-00f067aa0ba902b7-01")},
         ERR_INVALID,
         "the trace is not a W3C traceparent"},
        {{.kind = STR("a"),
          .trace = STR("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01")},
         ERR_INVALID,
         "the trace is not a W3C traceparent"},
        {{.kind = STR("a"), .delay_ms = 1, .run_at_ms = 1},
         ERR_INVALID,
         "a delay and a time to run at exclude each other"},
        {{.kind = STR("a"), .delay_ms = -1}, ERR_INVALID, "a time is from 0 to 10 years"},
        {{.kind = STR("a"), .timeout_ms = QUEUE_MAX_MS + 1},
         ERR_INVALID,
         "a time is from 0 to 10 years"},
        {{.kind = STR("a"), .run_at_ms = INT64_MAX},
         ERR_INVALID,
         "a time is from the year 1970 to 9999"},
        {{.kind = STR("a"), .tags = many_tags, .tag_count = QUEUE_MAX_TAGS + 1},
         ERR_TOO_LARGE,
         "more than 16 tags"},
        {{.kind = STR("a"), .tags = &bad_tag, .tag_count = 1},
         ERR_INVALID,
         "a tag is 1 to 100 bytes without spaces"},
    };
    struct test_store t;
    test_queue_begin_still(&t);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *why = NULL;
        struct many m = {.jobs = &rows[i].job, .count = 1};
        EXPECT_EQ(queue_check(&rows[i].job, &why), rows[i].err);
        EXPECT_STR(str_of(why), rows[i].why);
        EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &m), rows[i].err);
    }
    EXPECT_EQ(COUNT(&t, "job"), 0);
    test_store_end(&t);
}

TEST(queue_gives_a_job_all_that_it_was_enqueued_with)
{
    struct test_store t;
    struct many m;
    const struct str tags[] = {STR("user:7"), STR("import")};
    const struct queue_new job = {
        .kind = STR("a"),
        .payload = STR("{}"),
        .priority = 5,
        .deadline_ms = clock_unix_ms() + 60000,
        .timeout_ms = 2000,
        .max_attempts = 4,
        .keep_ms = 9000,
        .trace = STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        .tags = tags,
        .tag_count = 2,
    };
    test_queue_begin_still(&t);
    add(&t, &job);
    EXPECT_EQ(claim(&t, &m), 1);
    EXPECT_EQ(m.claimed[0].priority, 5);
    EXPECT_EQ(m.claimed[0].deadline_ms, job.deadline_ms);
    EXPECT_EQ(m.claimed[0].timeout_ms, 2000);
    EXPECT_EQ(m.claimed[0].max_attempts, 4);
    EXPECT_EQ(m.claimed[0].keep_ms, 9000);
    EXPECT_STR(m.claimed[0].trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    EXPECT_EQ(COUNT(&t, "job_tag WHERE tag = 'user:7'"), 1);

    EXPECT_EQ(store_write_wait(t.store, ack_fn, &m.claimed[0]), OK);
    EXPECT_EQ(COUNT(&t, "job WHERE state = 5"), 1); // kept, with its tags
    EXPECT_EQ(COUNT(&t, "job_tag"), 2);
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &m.claimed[0]), ERR_CONFLICT);
    let_go(&m);
    test_store_end(&t);
}

TEST(queue_leaves_nothing_of_a_job_that_is_done)
{
    struct test_store t;
    struct many m;
    const struct str tag = STR("x");
    const struct queue_new job = {.kind = STR("a"),
                                  .priority = 1,
                                  .tags = &tag,
                                  .tag_count = 1,
                                  .unique_key = STR("k"),
                                  .unique_until = QUEUE_UNTIL_END};
    test_queue_begin_still(&t);
    add(&t, &job);
    EXPECT_EQ(claim(&t, &m), 1);
    EXPECT_EQ(store_write_wait(t.store, fail_fn, &m.claimed[0]), OK);
    let_go(&m);
    EXPECT_EQ(claim(&t, &m), 1);
    EXPECT_EQ(COUNT(&t, "job_error WHERE text = 'it broke'"), 1);
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &m.claimed[0]), OK);
    let_go(&m);
    EXPECT_EQ(COUNT(&t, "job"), 0);
    EXPECT_EQ(COUNT(&t, "job_option"), 0);
    EXPECT_EQ(COUNT(&t, "job_tag"), 0);
    EXPECT_EQ(COUNT(&t, "job_error"), 0);
    EXPECT_EQ(COUNT(&t, "job_unique"), 0);
    test_store_end(&t);
}

TEST(queue_claims_by_priority_which_age_makes_up_for)
{
    struct test_store t;
    struct many m;
    int64_t now = clock_unix_ms();
    const struct queue_new jobs[] = {
        {.kind = STR("low"), .priority = -1},
        {.kind = STR("plain")},
        {.kind = STR("high"), .priority = 2},
        {.kind = STR("old"), .run_at_ms = now - 3 * QUEUE_PRIORITY_STEP_MS},
    };
    test_queue_begin_still(&t);
    for (size_t i = 0; i < 4; i++)
        add(&t, &jobs[i]);
    EXPECT_EQ(claim(&t, &m), 4);
    EXPECT_STR(m.claimed[0].kind, "old");
    EXPECT_STR(m.claimed[1].kind, "high");
    EXPECT_STR(m.claimed[2].kind, "plain");
    EXPECT_STR(m.claimed[3].kind, "low");
    let_go(&m);
    test_store_end(&t);
}

TEST(queue_delays_a_job_and_then_gives_it_its_priority)
{
    struct test_store t;
    struct many m;
    const struct queue_new late = {.kind = STR("late"), .priority = 1, .delay_ms = 5000};
    const struct queue_new plain = {.kind = STR("plain")};
    test_queue_begin_still(&t);
    add(&t, &late);
    EXPECT_EQ(COUNT(&t, "job WHERE state = 3"), 1);
    EXPECT_EQ(claim(&t, &m), 0);
    EXPECT_EQ(m.next_ms, clock_unix_ms() + 5000);
    clock_test_advance(5001);
    add(&t, &plain);
    EXPECT_EQ(claim(&t, &m), 2);
    EXPECT_STR(m.claimed[0].kind, "late");
    let_go(&m);
    test_store_end(&t);
}

TEST(queue_buries_a_job_that_was_not_begun_by_its_deadline)
{
    struct test_store t;
    struct many m;
    test_queue_begin_still(&t);
    const struct queue_new jobs[] = {
        {.kind = STR("a"), .deadline_ms = clock_unix_ms() + 1000},
        {.kind = STR("b")},
        {.kind = STR("c"), .deadline_ms = clock_unix_ms() + 9000},
    };
    for (size_t i = 0; i < 3; i++)
        add(&t, &jobs[i]);
    clock_test_advance(2000);
    EXPECT_EQ(claim(&t, &m), 2);
    EXPECT_STR(m.claimed[0].kind, "b");
    EXPECT_STR(m.claimed[1].kind, "c");
    EXPECT_EQ(COUNT(&t, "job WHERE kind = 'a' AND state = 2 AND "
                        "last_error = 'not begun by its deadline'"),
              1);
    let_go(&m);
    test_store_end(&t);
}

TEST(queue_looks_at_once_behind_jobs_that_are_over)
{
    struct test_store t;
    struct many m;
    test_queue_begin_still(&t);
    const struct queue_new late = {.kind = STR("a"), .deadline_ms = clock_unix_ms() + 1000};
    for (int i = 0; i < 8; i++) // all that a claim takes
        add(&t, &late);
    add(&t, &(struct queue_new){.kind = STR("b")});
    clock_test_advance(2000);
    EXPECT_EQ(claim(&t, &m), 0);
    EXPECT(m.next_ms > 0 && m.next_ms <= clock_unix_ms());
    EXPECT_EQ(claim(&t, &m), 1);
    let_go(&m);
    test_store_end(&t);
}

TEST(queue_gives_the_id_of_the_job_that_has_the_unique_key)
{
    struct test_store t;
    struct many m;
    struct queue_new job = {
        .kind = STR("a"), .unique_key = STR("k"), .unique_until = QUEUE_UNTIL_END};
    test_queue_begin_still(&t);
    struct queue_receipt first = add(&t, &job);
    EXPECT(!first.is_old);
    struct queue_receipt second = add(&t, &job);
    EXPECT(second.is_old && second.id == first.id);
    EXPECT_EQ(claim(&t, &m), 1);
    EXPECT_EQ(add(&t, &job).id, first.id); // until its end
    EXPECT_EQ(store_write_wait(t.store, fail_fn, &m.claimed[0]), OK);
    let_go(&m);
    EXPECT_EQ(add(&t, &job).id, first.id);
    EXPECT_EQ(claim(&t, &m), 1);
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &m.claimed[0]), OK);
    let_go(&m);
    EXPECT(!add(&t, &job).is_old);
    test_store_end(&t);
}

TEST(queue_holds_a_unique_key_for_its_window_whatever_became_of_the_job)
{
    struct test_store t;
    struct many m;
    const struct queue_new job = {.kind = STR("a"), .unique_key = STR("k"), .unique_ms = 10000};
    test_queue_begin_still(&t);
    struct queue_receipt first = add(&t, &job);
    EXPECT_EQ(claim(&t, &m), 1);
    EXPECT_EQ(add(&t, &job).id, first.id);
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &m.claimed[0]), OK);
    let_go(&m);
    EXPECT_EQ(add(&t, &job).id, first.id);
    clock_test_advance(10001);
    struct queue_receipt next = add(&t, &job);
    EXPECT(!next.is_old && next.id > first.id);
    clock_test_advance(10001); // it has not begun: the key is its own though the window is over
    EXPECT_EQ(add(&t, &job).id, next.id);
    test_store_end(&t);
}

TEST(queue_makes_one_job_of_an_idempotency_key_within_its_time)
{
    struct test_store t;
    struct many m;
    const struct queue_new job = {
        .kind = STR("a"), .idempotency_key = STR("order 7"), .idempotency_ms = 5000};
    const struct queue_new keyed = {.kind = STR("a"), .unique_key = STR("order 7")};
    test_queue_begin_still(&t);
    struct queue_receipt first = add(&t, &job);
    EXPECT(!add(&t, &keyed).is_old); // keys of another sort
    EXPECT_EQ(claim(&t, &m), 2);
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &m.claimed[0]), OK);
    let_go(&m);
    clock_test_advance(4000);
    struct queue_receipt again = add(&t, &job);
    EXPECT(again.is_old && again.id == first.id);
    clock_test_advance(1001); // of the first enqueue: the second did not prolong it
    EXPECT(!add(&t, &job).is_old);
    test_store_end(&t);
}

TEST(queue_enqueues_many_jobs_or_none)
{
    struct test_store t;
    const struct queue_new jobs[] = {{.kind = STR("a")},
                                     {.kind = STR("b"), .unique_key = STR("k")},
                                     {.kind = STR("c"), .unique_key = STR("k")},
                                     {.kind = STR("")}};
    struct many m = {.jobs = jobs, .count = 4};
    test_queue_begin_still(&t);
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &m), ERR_INVALID);
    EXPECT_EQ(COUNT(&t, "job"), 0);
    m.count = 3;
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &m), OK);
    EXPECT_EQ(COUNT(&t, "job"), 2);
    EXPECT(m.receipts[2].is_old && m.receipts[2].id == m.receipts[1].id);
    test_store_end(&t);
}

TEST(queue_keeps_the_first_three_errors_and_the_last_five)
{
    struct test_store t;
    struct many m;
    const struct queue_new job = {.kind = STR("a")};
    test_queue_begin_still(&t);
    add(&t, &job);
    for (int i = 0; i < 12; i++) {
        EXPECT_EQ(claim(&t, &m), 1);
        EXPECT_EQ(store_write_wait(t.store, fail_fn, &m.claimed[0]), OK);
        let_go(&m);
    }
    EXPECT_EQ(COUNT(&t, "job_error"), 8);
    EXPECT_EQ(COUNT(&t, "job_error WHERE n <= 3 AND attempt = n AND class = 'error'"), 3);
    EXPECT_EQ(COUNT(&t, "job_error WHERE n > 7"), 5);
    test_store_end(&t);
}

TEST(queue_migrates_jobs_that_wait_with_their_keys)
{
    struct test_store t;
    struct many m;
    test_store_begin(&t);
    test_queue_migrate(&t, TEST_QUEUE_FILES, 2);
    EXPECT_EQ(test_store_run(t.store,
                             "INSERT INTO job (kind, payload, unique_key, state, run_at_ms, "
                             "created_at_ms) VALUES ('a', '', 'k', 0, 1, 1), ('b', '', NULL, 2, 1, "
                             "1), ('c', '', NULL, 0, 9000000000000, 1)"),
              OK);
    test_queue_migrate(&t, TEST_QUEUE_FILES, TEST_QUEUE_MIGRATIONS);
    const struct queue_new job = {.kind = STR("a"), .unique_key = STR("k")};
    EXPECT_EQ(add(&t, &job).id, 1);
    EXPECT_EQ(claim(&t, &m), 1);
    EXPECT_EQ(m.claimed[0].id, 1);
    let_go(&m);
    EXPECT_EQ(COUNT(&t, "job WHERE state = 2"), 1);
    EXPECT_EQ(COUNT(&t, "job WHERE state = 3"), 1);
    test_store_end(&t);
}

TEST(queue_lets_only_normal_jobs_be_enqueued_softly)
{
    struct queue_new jobs[] = {{.kind = STR("a"), .durability = QUEUE_NORMAL},
                               {.kind = STR("b"), .durability = QUEUE_NORMAL},
                               {.kind = STR("c")}};
    EXPECT(queue_may_be_soft(jobs, 2));
    EXPECT(!queue_may_be_soft(jobs, 3));
    EXPECT(!queue_may_be_soft(&jobs[2], 1));
}
