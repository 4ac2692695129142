/* What processes count, added up for the server. */
#include "queue/queue_tally.h"

#include "queue/queue_internal.h"
#include "test_queue.h"

static enum err on_run(struct queue_job *job, void *ctx, struct str *why_out)
{
    (void)ctx;
    if (!str_eq(job->payload, STR("fail")))
        return OK;
    *why_out = STR("as asked");
    return ERR_IO;
}

static const struct queue_handler handler = {
    .kind = "kind", .run = on_run, .backoff_ms = 3600 * 1000, .max_attempts = 1};

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    return queue_enqueue(tx, arg, NULL);
}

struct reading {
    struct arena arena;
    struct queue_meter_copies told, all;
};

static enum err read_fn(struct store_tx *tx, void *arg)
{
    struct reading *r = arg;
    enum err err = queue_tally_read(tx, &r->arena, &r->told);
    return err ? err : queue_tally_read_all(tx, &r->arena, &r->all);
}

static enum err reset_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    return queue_tally_reset(tx);
}

static void run_jobs(struct test_store *t, struct queue *q, const char *payload, int count)
{
    for (int i = 0; i < count; i++) {
        struct queue_new job = {.kind = STR("kind"), .payload = str_of(payload)};
        EXPECT_EQ(store_write_wait(t->store, enqueue_fn, &job), OK);
    }
    (void)queue_worker_run_due(q, 100);
}

static uint64_t runs_of(const struct queue_meter_copy *copy)
{
    uint64_t runs = 0;
    for (size_t i = 0; i < QUEUE_METER_BUCKETS; i++)
        runs += copy->meter.run.buckets[i];
    return runs;
}

TEST(queue_tally_adds_up_what_processes_tell_and_each_count_once)
{
    struct test_store t;
    struct reading r;
    test_queue_begin(&t);
    arena_init(&r.arena);
    for (int process = 1; process <= 2; process++) {
        struct queue *q = queue_new(t.store, &(struct queue_options){0}, &handler, 1);
        struct queue_tally *tally = queue_tally_new(t.store);
        run_jobs(&t, q, "", 3);
        EXPECT_EQ(queue_tally_tell(tally), OK);
        run_jobs(&t, q, "fail", 2);
        EXPECT_EQ(queue_tally_tell(tally), OK);
        EXPECT_EQ(queue_tally_tell(tally), OK); // nothing new
        EXPECT_EQ(store_read(t.store, read_fn, &r), OK);
        EXPECT_EQ((int)r.told.count, 1);
        EXPECT_STR(r.told.at[0].queue, "default");
        EXPECT_EQ((int)r.told.at[0].meter.counts[QUEUE_METER_DONE], 3 * process);
        EXPECT_EQ((int)r.told.at[0].meter.counts[QUEUE_METER_BURIED], 2 * process);
        EXPECT_EQ((int)runs_of(&r.told.at[0]), 5 * process);
        EXPECT(r.told.at[0].meter.run.sum_us > 0);
        EXPECT_EQ((int)r.told.at[0].kind_count, 1);
        EXPECT_STR(r.told.at[0].kinds[0].kind, "kind");
        EXPECT_EQ((int)r.told.at[0].kinds[0].failed, 2 * process);
        EXPECT_EQ((int)r.all.count, 1); // with its own, as if it were the server
        EXPECT_EQ((int)r.all.at[0].meter.counts[QUEUE_METER_DONE], 3 * process + 3);
        EXPECT_EQ((int)r.all.at[0].kinds[0].failed, 2 * process + 2);
        queue_tally_free(tally);
        queue_free(q);
    }
    EXPECT_EQ(store_write_wait(t.store, reset_fn, NULL), OK);
    EXPECT_EQ(store_read(t.store, read_fn, &r), OK);
    EXPECT_EQ((int)r.told.count, 0);
    arena_done(&r.arena);
    test_store_end(&t);
}
