#include "queue/queue_step.h"
#include "test_queue.h"

static const struct queue_new plain = {.kind = {"ship", 4}};
static const struct queue_options options = {.lease_ms = 30000};

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    return queue_enqueue(tx, &plain, NULL);
}

static enum err claim_fn(struct store_tx *tx, void *arg)
{
    size_t count = 0;
    int64_t next;
    return queue_claim(tx, &options, arg, 1, &count, &next);
}

static enum err ack_fn(struct store_tx *tx, void *arg)
{
    return queue_ack(tx, arg);
}

static enum err retry_fn(struct store_tx *tx, void *arg)
{
    return queue_fail(tx, arg, STR("again"), 0, false);
}

static struct queue_job claimed(struct test_store *t)
{
    struct queue_job job;
    EXPECT_EQ(store_write_wait(t->store, claim_fn, &job), OK);
    return job;
}

/* A step with an effect: it must not happen twice. */
static enum err effect(struct store_tx *tx, struct queue_job *job, void *arg, struct str *result)
{
    *result = *(struct str *)arg;
    return test_queue_add_effect(tx, job->id);
}

static enum err broken(struct store_tx *tx, struct queue_job *job, void *arg, struct str *result)
{
    (void)result;
    enum err err = test_queue_add_effect(tx, job->id);
    return err ? err : *(enum err *)arg;
}

TEST(queue_step_is_done_once_however_often_the_job_runs)
{
    struct test_store t;
    struct str first = STR("{\"n\":1}"), second = STR("2"), got = {0};
    test_queue_begin(&t);
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, NULL), OK);
    struct queue_job job = claimed(&t);
    EXPECT_EQ(queue_step_do(t.store, &job, STR("a"), effect, &first, &got), OK);
    EXPECT_STR(got, "{\"n\":1}");
    EXPECT_EQ(queue_step_do(t.store, &job, STR("a"), effect, &second, &got), OK);
    EXPECT_STR(got, "{\"n\":1}");
    EXPECT_EQ(store_write_wait(t.store, retry_fn, &job), OK);
    arena_done(&job.arena);

    job = claimed(&t);
    EXPECT_EQ(queue_step_do(t.store, &job, STR("a"), effect, &second, &got), OK);
    EXPECT_STR(got, "{\"n\":1}");
    EXPECT_EQ(queue_step_do(t.store, &job, STR("b"), effect, &second, NULL), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM effect"), 2);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_step"), 2);

    EXPECT_EQ(store_write_wait(t.store, ack_fn, &job), OK); // which knows nothing of the steps
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_step"), 0);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job"), 0);
    arena_done(&job.arena);
    test_store_end(&t);
}

TEST(queue_step_that_fails_leaves_nothing)
{
    struct test_store t;
    enum err why = ERR_DENIED;
    test_queue_begin(&t);
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, NULL), OK);
    struct queue_job job = claimed(&t);
    EXPECT_EQ(queue_step_do(t.store, &job, STR("a"), broken, &why, NULL), ERR_DENIED);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM effect"), 0);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_step"), 0);
    arena_done(&job.arena);
    test_store_end(&t);
}

TEST(queue_step_is_refused_to_who_has_lost_the_job)
{
    struct test_store t;
    struct str result = STR("1");
    test_queue_begin(&t);
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, NULL), OK);
    struct queue_job old = claimed(&t);
    EXPECT_EQ(store_write_wait(t.store, retry_fn, &old), OK);
    struct queue_job job = claimed(&t);
    EXPECT_EQ(queue_step_do(t.store, &old, STR("a"), effect, &result, NULL), ERR_CONFLICT);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM effect"), 0);
    arena_done(&old.arena);
    arena_done(&job.arena);
    test_store_end(&t);
}

TEST(queue_step_has_limits)
{
    struct test_store t;
    static char large[QUEUE_STEP_MAX_RESULT_BYTES + 1];
    struct str result = {large, sizeof(large)}, small = STR("");
    test_queue_begin(&t);
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, NULL), OK);
    struct queue_job job = claimed(&t);
    EXPECT_EQ(queue_step_do(t.store, &job, STR("a"), effect, &result, NULL), ERR_TOO_LARGE);
    EXPECT_EQ(queue_step_do(t.store, &job, STR(""), effect, &small, NULL), ERR_INVALID);
    struct str name = {large, QUEUE_MAX_NAME_BYTES + 1};
    EXPECT_EQ(queue_step_do(t.store, &job, name, effect, &small, NULL), ERR_TOO_LARGE);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM effect"), 0);
    arena_done(&job.arena);
    test_store_end(&t);
}
