/* Counts of jobs, and what workers count of runs. */
#include "queue/queue_census.h"

#include "core/clock.h"
#include "queue/queue_history.h"
#include "queue/queue_internal.h"
#include "queue/queue_meter.h"
#include "test_queue.h"

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    return queue_enqueue(tx, arg, NULL);
}

static void enqueue(struct test_store *t, const char *queue, int64_t delay_ms, int priority)
{
    struct queue_new job = {.kind = STR("k"),
                            .payload = STR("{}"),
                            .queue = str_of(queue),
                            .delay_ms = delay_ms,
                            .priority = priority};
    EXPECT_EQ(store_write_wait(t->store, enqueue_fn, &job), OK);
}

static const struct queue_admin_count *find(const struct queue_admin_counts *counts,
                                            const char *name)
{
    for (size_t i = 0; i < counts->count; i++)
        if (str_eq(counts->at[i].name, str_of(name)))
            return &counts->at[i];
    return NULL;
}

TEST(queue_census_counts_each_state_of_each_queue)
{
    struct test_store t;
    struct arena a;
    struct queue_admin_counts counts;
    test_queue_begin(&t);
    arena_init(&a);
    struct queue_census *c = queue_census_new(t.store);
    enqueue(&t, "z", 0, 0);
    enqueue(&t, "mail", 0, 0);
    enqueue(&t, "mail", 60000, 0);
    for (int i = 0; i < 5; i++)
        enqueue(&t, "b", 0, 0);
    // 1 running, 2 dead, 4 waiting, 5 done, 6 cancelled
    EXPECT_EQ(
        test_store_run(t.store, "UPDATE job SET state = id - 3, at_ms = 1 WHERE id IN (4, 5)"), OK);
    EXPECT_EQ(test_store_run(t.store, "UPDATE job SET state = id - 2 WHERE id IN (6, 7, 8)"), OK);
    EXPECT_EQ(queue_census_read(c, &a, &counts, NULL), OK);
    EXPECT_EQ((int)counts.count, 4);
    const char *const names[] = {"b", "default", "mail", "z"};
    for (size_t i = 0; i < 4; i++)
        EXPECT(str_eq(counts.at[i].name, str_of(names[i])));
    const struct queue_admin_count *b = find(&counts, "b"), *mail = find(&counts, "mail");
    EXPECT_EQ((int)b->ready, 0);
    EXPECT_EQ((int)b->running, 1);
    EXPECT_EQ((int)b->dead, 1);
    EXPECT_EQ((int)b->waiting, 1);
    EXPECT_EQ((int)b->done, 1);
    EXPECT_EQ((int)b->cancelled, 1);
    EXPECT_EQ((int)mail->ready, 1);
    EXPECT_EQ((int)mail->scheduled, 1);
    EXPECT_EQ((int)find(&counts, "default")->ready, 0);
    queue_census_free(c);
    arena_done(&a);
    test_store_end(&t);
}

/* The rank of a job with a priority is not its time. */
TEST(queue_census_knows_how_long_the_oldest_job_is_due)
{
    struct test_store t;
    struct arena a;
    struct queue_admin_counts counts;
    clock_test_stop();
    test_queue_begin(&t);
    arena_init(&a);
    struct queue_census *c = queue_census_new(t.store);
    enqueue(&t, "default", 0, 0);
    clock_test_advance(7000);
    enqueue(&t, "default", 0, 50);
    EXPECT_EQ(queue_census_read(c, &a, &counts, NULL), OK);
    EXPECT_EQ((int)find(&counts, "default")->oldest_ready_ms, 7000);
    queue_census_free(c);
    arena_done(&a);
    test_store_end(&t);
}

TEST(queue_census_counts_again_only_after_a_rest)
{
    struct test_store t;
    struct arena a;
    struct queue_admin_counts counts;
    int64_t age_ms = -1;
    clock_test_stop(); // no time passes but what the test lets pass
    test_queue_begin(&t);
    arena_init(&a);
    struct queue_census *c = queue_census_new(t.store);
    enqueue(&t, "default", 0, 0);
    EXPECT_EQ(queue_census_read(c, &a, &counts, &age_ms), OK);
    EXPECT_EQ((int)find(&counts, "default")->ready, 1);
    EXPECT_EQ((int)age_ms, 0);
    enqueue(&t, "default", 0, 0);
    EXPECT_EQ(queue_census_read(c, &a, &counts, &age_ms), OK);
    EXPECT_EQ((int)find(&counts, "default")->ready, 1);
    clock_test_advance(3600 * 1000);
    EXPECT_EQ(queue_census_read(c, &a, &counts, &age_ms), OK);
    EXPECT_EQ((int)find(&counts, "default")->ready, 2);
    EXPECT_EQ((int)age_ms, 0);
    EXPECT_EQ((int)find(&counts, "default")->oldest_ready_ms, 3600 * 1000);
    queue_census_free(c);
    arena_done(&a);
    test_store_end(&t);
}

/* ---- of runs ---- */

static enum err on_run(struct queue_job *job, void *ctx, struct str *why_out)
{
    (void)ctx;
    if (str_eq(job->payload, STR("bury")))
        job->end.verdict = QUEUE_BURY;
    else if (str_eq(job->payload, STR("discard")))
        job->end.verdict = QUEUE_DISCARD;
    else if (str_eq(job->payload, STR("snooze")))
        job->end = (struct queue_end){.verdict = QUEUE_SNOOZE, .delay_ms = 3600 * 1000};
    else if (!str_eq(job->payload, STR("fail")))
        return OK;
    *why_out = STR("as asked");
    return ERR_IO;
}

static void enqueue_payload(struct test_store *t, const char *kind, const char *payload)
{
    struct queue_new job = {.kind = str_of(kind), .payload = str_of(payload)};
    EXPECT_EQ(store_write_wait(t->store, enqueue_fn, &job), OK);
}

TEST(queue_meter_counts_runs_by_their_end_and_failures_by_kind)
{
    static const struct queue_handler handlers[] = {
        {.kind = "first", .run = on_run},
        {.kind = "second", .run = on_run, .backoff_ms = 3600 * 1000},
    };
    struct test_store t;
    struct arena a;
    struct queue_meter_copies copies;
    test_queue_begin(&t);
    arena_init(&a);
    struct queue *q = queue_new(t.store, &(struct queue_options){0}, handlers, 2);
    const char *const payloads[] = {"", "", "", "bury", "discard", "snooze", "fail"};
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
        enqueue_payload(&t, "second", payloads[i]);
    enqueue_payload(&t, "nobody's", "");
    (void)queue_worker_run_due(q, 100);
    queue_meter_read(&a, &copies);
    EXPECT_EQ((int)copies.count, 1);
    const struct queue_meter *m = &copies.at[0].meter;
    EXPECT(str_eq(copies.at[0].queue, STR("default")));
    EXPECT_EQ((int)m->counts[QUEUE_METER_DONE], 3);
    EXPECT_EQ((int)m->counts[QUEUE_METER_BURIED], 2);
    EXPECT_EQ((int)m->counts[QUEUE_METER_DISCARDED], 1);
    EXPECT_EQ((int)m->counts[QUEUE_METER_SNOOZED], 1);
    EXPECT(m->counts[QUEUE_METER_RETRIED] >= 1); // its delay is random
    EXPECT_EQ((int)m->counts[QUEUE_METER_FAILED], (int)m->counts[QUEUE_METER_RETRIED] + 3);
    EXPECT_EQ((int)copies.at[0].kind_count, 2);
    EXPECT(str_eq(copies.at[0].kinds[0].kind, STR("second")));
    EXPECT_EQ((int)copies.at[0].kinds[0].failed, (int)m->counts[QUEUE_METER_RETRIED] + 2);
    EXPECT_EQ((int)copies.at[0].kinds[1].kind.len, 0);
    EXPECT_EQ((int)copies.at[0].kinds[1].failed, 1);
    uint64_t runs = 0, waits = 0;
    for (size_t i = 0; i < QUEUE_METER_BUCKETS; i++) {
        runs += m->run.buckets[i];
        waits += m->wait.buckets[i];
    }
    EXPECT_EQ((int)runs, 7 + (int)m->counts[QUEUE_METER_RETRIED]);
    EXPECT_EQ((int)waits, (int)runs);
    queue_free(q);
    queue_meter_read(&a, &copies);
    EXPECT_EQ((int)copies.count, 0);
    arena_done(&a);
    test_store_end(&t);
}

TEST(queue_meter_tells_the_quantile_of_what_came_between)
{
    struct queue_meter_times from = {0}, to;
    for (int i = 0; i < 100; i++)
        queue_meter_observe(&from, 3 * 1000 * 1000);
    to = from;
    EXPECT_EQ((int)queue_meter_quantile_us(&from, &to, 0.5), 0);
    for (int i = 0; i < 90; i++)
        queue_meter_observe(&to, 1000); // up to 1 ms
    for (int i = 0; i < 10; i++)
        queue_meter_observe(&to, 20000); // from 10 to 25 ms
    EXPECT_EQ((int)queue_meter_quantile_us(&from, &to, 0.9), 1000);
    EXPECT_EQ((int)queue_meter_quantile_us(&from, &to, 0.95), 17500);
    EXPECT_EQ((int)queue_meter_quantile_us(&from, &to, 1), 25000);
    queue_meter_observe(&to, INT64_C(9000000000)); // above all bounds: the last of them
    EXPECT(queue_meter_quantile_us(&from, &to, 1) == INT64_C(7200000000));
}

/* ---- lately ---- */

TEST(queue_history_keeps_an_hour_by_ten_seconds_and_a_day_by_minutes)
{
    enum { STEPS = 1000, START_MS = 1000000 };
    struct arena a;
    struct queue_history_view view;
    struct queue_admin_count count = {
        .name = STR("a"), .ready = 3, .dead = 1, .oldest_ready_ms = 7};
    const struct queue_admin_counts counts = {&count, 1};
    struct queue_meter_copy copy = {.queue = STR("a")};
    const struct queue_meter_copies copies = {&copy, 1};
    struct queue_history *h = queue_history_new();
    arena_init(&a);
    queue_history_add(h, START_MS, &counts, &copies); // what was before is not known
    queue_history_read(h, QUEUE_HISTORY_HOUR, STR(""), &a, &view);
    EXPECT_EQ((int)view.count, 0);
    for (int i = 1; i <= STEPS; i++) {
        copy.meter.counts[QUEUE_METER_DONE] += 5;
        copy.meter.counts[QUEUE_METER_CRASHED]++;
        queue_meter_observe(&copy.meter.run, 1000);
        queue_history_add(h, START_MS + (int64_t)i * QUEUE_HISTORY_STEP_MS, &counts, &copies);
    }
    queue_history_read(h, QUEUE_HISTORY_DAY, STR(""), &a, &view);
    EXPECT_EQ((int)view.count, STEPS / 6);
    EXPECT_EQ((int)view.samples[0].done, 30);
    EXPECT_EQ((int)view.samples[0].span_ms, 60000);
    queue_history_read(h, QUEUE_HISTORY_HOUR, STR("a"), &a, &view);
    EXPECT_EQ((int)view.count, 360);
    EXPECT_EQ((int)view.samples[0].at_ms, START_MS + (STEPS - 359) * QUEUE_HISTORY_STEP_MS);
    const struct queue_sample *last = &view.samples[359];
    EXPECT_EQ((int)last->at_ms, START_MS + STEPS * QUEUE_HISTORY_STEP_MS);
    EXPECT_EQ((int)last->done, 5);
    EXPECT_EQ((int)last->failed, 1);
    EXPECT_EQ((int)last->ready, 3);
    EXPECT_EQ((int)last->dead, 1);
    EXPECT_EQ((int)last->oldest_ms, 7);
    EXPECT_EQ((int)last->slow_run_us, 950);
    EXPECT_EQ((int)last->slow_wait_us, 0);
    arena_done(&a);
    queue_history_free(h);
}

static int64_t sum_done(struct queue_history *h, struct str queue)
{
    struct arena a;
    struct queue_history_view view;
    int64_t sum = 0;
    arena_init(&a);
    queue_history_read(h, QUEUE_HISTORY_HOUR, queue, &a, &view);
    for (size_t i = 0; i < view.count; i++)
        sum += view.samples[i].done;
    arena_done(&a);
    return sum;
}

TEST(queue_history_keeps_queues_and_kinds_apart)
{
    struct arena a;
    struct queue_history_view view;
    struct queue_meter_kind kinds[] = {{STR("x"), 2}, {STR(""), 1}};
    struct queue_meter_copy at[] = {{.queue = STR("a")}, {.queue = STR("b")}};
    const struct queue_admin_counts none = {0};
    struct queue_meter_copies copies = {at, 1};
    struct queue_history *h = queue_history_new();
    arena_init(&a);
    at[0].meter.counts[QUEUE_METER_DONE] = 1000; // before
    queue_history_add(h, 10000, &none, &copies);
    at[0].meter.counts[QUEUE_METER_DONE] += 7;
    at[1].meter.counts[QUEUE_METER_DONE] = 3; // one that began since: all of it
    at[1].kinds = kinds;
    at[1].kind_count = 1;
    copies.count = 2;
    queue_history_add(h, 20000, &none, &copies);
    kinds[0].failed += 4;
    at[1].kind_count = 2;
    queue_history_add(h, 30000, &none, &copies);
    EXPECT_EQ((int)sum_done(h, STR("a")), 7);
    EXPECT_EQ((int)sum_done(h, STR("b")), 3);
    EXPECT_EQ((int)sum_done(h, STR("")), 10);
    EXPECT_EQ((int)sum_done(h, STR("nobody")), 0);
    queue_history_read(h, QUEUE_HISTORY_HOUR, STR(""), &a, &view);
    EXPECT_EQ((int)view.kind_count, 2);
    EXPECT_STR(view.kinds[0].kind, "x");
    EXPECT_STR(view.kinds[0].queue, "b");
    EXPECT_EQ((int)view.kinds[0].failed[0], 2);
    EXPECT_EQ((int)view.kinds[0].failed[1], 4);
    EXPECT_EQ((int)view.kinds[0].sum, 6);
    EXPECT_STR(view.kinds[1].kind, "");
    EXPECT_EQ((int)view.kinds[1].sum, 1);
    queue_history_read(h, QUEUE_HISTORY_HOUR, STR("a"), &a, &view);
    EXPECT_EQ((int)view.kind_count, 0);
    EXPECT_EQ((int)view.samples[1].at_ms, 30000);
    arena_done(&a);
    queue_history_free(h);
}

TEST(queue_history_is_bounded_and_gives_the_place_of_who_is_idle_for_a_day)
{
    enum { DAY_MS = 24 * 3600 * 1000, QUEUES = QUEUE_HISTORY_MAX_QUEUES + 1 };
    static char names[QUEUES][8];
    static struct queue_meter_copy at[QUEUES];
    const struct queue_admin_counts none = {0};
    const struct queue_meter_copies first = {at, QUEUES - 1}, all = {at, QUEUES};
    struct queue_history *h = queue_history_new();
    for (size_t i = 0; i < QUEUES; i++) {
        snprintf(names[i], sizeof(names[i]), "q%zu", i);
        at[i] = (struct queue_meter_copy){.queue = str_of(names[i])};
        at[i].meter.counts[QUEUE_METER_DONE] = 100;
    }
    struct str late = str_of(names[QUEUES - 1]);
    queue_history_add(h, 1000000, &none, &first);
    at[QUEUES - 1].meter.counts[QUEUE_METER_DONE] = 7;
    queue_history_add(h, 1010000, &none, &all);
    EXPECT_EQ((int)sum_done(h, late), 0); // no room
    EXPECT_EQ((int)sum_done(h, STR("")), 7);
    for (size_t i = 1; i < QUEUES; i++) // all but the first do something
        at[i].meter.counts[QUEUE_METER_DONE]++;
    queue_history_add(h, 1010000 + DAY_MS, &none, &all);
    at[QUEUES - 1].meter.counts[QUEUE_METER_DONE] += 5;
    queue_history_add(h, 1020000 + DAY_MS, &none, &all);
    at[QUEUES - 1].meter.counts[QUEUE_METER_DONE] += 6;
    queue_history_add(h, 1030000 + DAY_MS, &none, &all);
    EXPECT_EQ((int)sum_done(h, late), 11); // since it has a place
    EXPECT_EQ((int)sum_done(h, str_of(names[0])), 0);
    EXPECT_EQ((int)sum_done(h, str_of(names[1])), 1);
    queue_history_free(h);
}
