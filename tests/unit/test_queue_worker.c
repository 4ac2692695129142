#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#include "core/clock.h"
#include "core/mem.h"
#include "queue/queue_meter.h"
#include "queue/queue_report.h"
#include "test_queue.h"

/* What the handlers of these tests count and obey. */
struct world {
    struct test_store t;
    struct queue *queue;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int runs, dones;             // guarded
    int64_t done_ids[20000];     // guarded
    bool is_held;                // guarded: runs wait until it is false
    int hold_from;               // guarded: not 0: that run and those after it wait, too
    int held;                    // guarded: how many wait
    _Atomic int failures;        // runs that shall still fail
    _Atomic int commit_failures; // attempts whose commit shall fail
};

static void note(struct world *w, int *counter)
{
    pthread_mutex_lock(&w->mutex);
    ++*counter;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}

static enum err on_run(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct world *w = ctx;
    pthread_mutex_lock(&w->mutex);
    int number = ++w->runs;
    w->held++;
    pthread_cond_broadcast(&w->changed);
    while (w->is_held || (w->hold_from > 0 && number >= w->hold_from))
        pthread_cond_wait(&w->changed, &w->mutex);
    w->held--;
    pthread_mutex_unlock(&w->mutex);
    if (atomic_load(&w->failures) > 0) {
        atomic_fetch_sub(&w->failures, 1);
        *why_out = arena_printf(&job->arena, "run %d went wrong", job->attempt);
        return ERR_IO;
    }
    job->user = w;
    return OK;
}

static enum err on_commit(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    struct world *w = ctx;
    enum err err = test_queue_add_effect(tx, job->id);
    if (err)
        return err;
    // By the attempt: the store may run a commit twice within one.
    return job->attempt < atomic_load(&w->commit_failures) ? ERR_CONFLICT : OK;
}

static void on_done(struct queue_job *job, void *ctx)
{
    struct world *w = ctx;
    EXPECT(job->user == w);
    pthread_mutex_lock(&w->mutex);
    if (w->dones < 20000)
        w->done_ids[w->dones] = job->id;
    pthread_mutex_unlock(&w->mutex);
    note(w, &w->dones);
}

static void wake(void *ctx)
{
    queue_wake(((struct world *)ctx)->queue);
}

static struct queue_handler handlers[] = {
    {.kind = "a",
     .run = on_run,
     .commit = on_commit,
     .done = on_done,
     .max_attempts = 3,
     .backoff_ms = 1},
};

/* Promises hold whether claims are rows or notes in memory: such tests run twice, each in a process
 * of its own. */
static bool is_alone;
#define TEST_BOTH(name)                                                                            \
    static void both_##name(void);                                                                 \
    TEST(name)                                                                                     \
    {                                                                                              \
        both_##name();                                                                             \
    }                                                                                              \
    TEST(name##_alone)                                                                             \
    {                                                                                              \
        is_alone = true;                                                                           \
        both_##name();                                                                             \
    }                                                                                              \
    static void both_##name(void)

static void start(struct world *w, int workers)
{
    struct queue_options options = {
        .workers = workers, .lease_ms = 3000, .batch = 8, .is_alone = is_alone};
    handlers[0].ctx = w;
    w->queue = queue_new(w->t.store, &options, handlers, 1);
    store_on_commit(w->t.store, wake, w);
    EXPECT_EQ(queue_start(w->queue), OK);
}

static struct world *begin(int workers)
{
    struct world *w = MEM_NEW(struct world);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    test_queue_begin(&w->t);
    start(w, workers);
    return w;
}

static void end(struct world *w)
{
    EXPECT(queue_stop(w->queue, 10000));
    store_on_commit(w->t.store, NULL, NULL);
    queue_free(w->queue);
    test_store_end(&w->t);
    mem_free(w);
}

/* Waits until *counter (guarded) is at least that. */
static void wait_for(struct world *w, const int *counter, int at_least)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 120;
    int code = 0;
    pthread_mutex_lock(&w->mutex);
    while (*counter < at_least && code == 0)
        code = pthread_cond_timedwait(&w->changed, &w->mutex, &limit);
    EXPECT_EQ(code, 0);
    pthread_mutex_unlock(&w->mutex);
}

static void hold(struct world *w, bool is_held)
{
    pthread_mutex_lock(&w->mutex);
    w->is_held = is_held;
    w->hold_from = 0;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    return queue_enqueue(tx, arg, NULL);
}

static void enqueue(struct world *w, const char *kind)
{
    struct queue_new job = {.kind = str_of(kind), .payload = STR("{}")};
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_fn, &job), OK);
}

static struct queue_stats stats_of(struct world *w)
{
    struct queue_stats stats;
    EXPECT_EQ(queue_get_stats(w->queue, &stats), OK);
    return stats;
}

/* Waits for a number of the stats, which change without telling. */
#define WAIT_STATS(w, condition)                                                                   \
    do {                                                                                           \
        int64_t limit_ = clock_mono_ms() + 120000;                                                 \
        struct queue_stats stats = stats_of(w);                                                    \
        while (!(condition)) {                                                                     \
            EXPECT(clock_mono_ms() < limit_);                                                      \
            sched_yield();                                                                         \
            stats = stats_of(w);                                                                   \
        }                                                                                          \
    } while (0)

TEST_BOTH(queue_runs_a_job_when_it_is_committed_and_then_forgets_it)
{
    struct world *w = begin(2);
    enqueue(w, "a");
    wait_for(w, &w->dones, 1);
    WAIT_STATS(w, stats.done == 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM job"), 0);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM effect"), 1);
    end(w);
}

TEST_BOTH(queue_runs_jobs_in_order_with_one_worker)
{
    enum { COUNT = 100 };
    struct world *w = begin(1);
    for (int i = 0; i < COUNT; i++)
        enqueue(w, "a");
    wait_for(w, &w->dones, COUNT);
    for (int i = 1; i < COUNT; i++)
        EXPECT(w->done_ids[i] > w->done_ids[i - 1]);
    EXPECT_EQ(w->runs, COUNT);
    end(w);
}

TEST_BOTH(queue_tries_again_after_an_error_and_gives_up_at_last)
{
    struct world *w = begin(2);
    atomic_store(&w->failures, 2);
    enqueue(w, "a");
    wait_for(w, &w->dones, 1);
    EXPECT_EQ(w->runs, 3);
    atomic_store(&w->failures, 3);
    enqueue(w, "a");
    WAIT_STATS(w, stats.dead == 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM job WHERE state = 2 AND attempt = 3 "
                                         "AND last_error = 'run 2 went wrong'"),
              1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM effect"), 1);
    EXPECT_EQ(w->dones, 1);
    WAIT_STATS(w, stats.failed == 5);
    end(w);
}

static enum err run_as_payload_says(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct world *w = ctx;
    note(w, &w->runs);
    if (job->attempt > 0 || str_eq(job->payload, STR("ok")))
        return OK;
    *why_out = STR("as told");
    job->end.verdict = str_eq(job->payload, STR("bury"))      ? QUEUE_BURY
                       : str_eq(job->payload, STR("discard")) ? QUEUE_DISCARD
                       : str_eq(job->payload, STR("snooze"))  ? QUEUE_SNOOZE
                                                              : QUEUE_RETRY;
    job->end.delay_ms = 600 * 1000;
    return ERR_IO;
}

TEST_BOTH(queue_goes_on_after_an_error_as_its_handler_says)
{
    static const char *const ends[] = {"bury", "discard", "snooze", "retry"};
    struct world *w = begin(0);
    struct queue_handler handler = {.kind = "told", .run = run_as_payload_says, .ctx = w};
    const struct queue_options options = {.workers = 2, .lease_ms = 3000, .is_alone = is_alone};
    queue_free(w->queue);
    w->queue = queue_new(w->t.store, &options, &handler, 1);
    EXPECT_EQ(queue_start(w->queue), OK);
    for (int i = 0; i < 4; i++) {
        struct queue_new job = {.kind = STR("told"), .payload = str_of(ends[i])};
        EXPECT_EQ(store_write_wait(w->t.store, enqueue_fn, &job), OK);
    }
    wait_for(w, &w->runs, 4);
    WAIT_STATS(w, stats.ready + stats.running == 0);
    static const char *const counts[] = {
        "SELECT count(*) FROM job WHERE id = 1 AND state = 2 AND attempt = 1",
        "SELECT count(*) FROM job WHERE id = 2 AND state = 6 AND last_error = 'as told'",
        "SELECT count(*) FROM job WHERE id = 3 AND state = 3 AND attempt = 0",
        ("SELECT count(*) FROM job WHERE id = 4 AND state = 3 AND attempt = 1"
         " AND run_at_ms >= created_at_ms + 600000"),
    };
    for (size_t i = 0; i < 4; i++)
        EXPECT_EQ(test_store_int(w->t.store, counts[i]), 1);
    end(w);
}

static enum err limit_to_one(struct store_tx *tx, void *arg)
{
    (void)arg;
    const struct queue_limits limits = {.max_running = 1};
    return queue_set_limits(tx, STR("default"), &limits);
}

TEST_BOTH(queue_runs_one_job_after_the_other_where_that_is_the_limit)
{
    struct world *w = begin(3);
    EXPECT_EQ(store_write_wait(w->t.store, limit_to_one, NULL), OK);
    hold(w, true);
    for (int i = 0; i < 20; i++)
        enqueue(w, "a");
    wait_for(w, &w->held, 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM job WHERE state = 1"), 1);
    EXPECT_EQ(w->runs, 1);
    hold(w, false);
    wait_for(w, &w->dones, 20);
    // By their commits; who has committed may be told late that it is done.
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM effect WHERE job_id = id"), 20);
    end(w);
}

TEST_BOTH(queue_lets_a_key_wait_no_longer_than_the_jobs_that_run)
{
    struct world *w = begin(1); // of two one might sleep over many runs of the other
    struct queue_new many = {.kind = STR("a"), .key = STR("many")};
    struct queue_new single = {.kind = STR("a"), .key = STR("single")};
    hold(w, true);
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(store_write_wait(w->t.store, enqueue_fn, &many), OK);
    wait_for(w, &w->held, 1);
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_fn, &single), OK); // id 101
    hold(w, false);
    wait_for(w, &w->dones, 101);
    int place = 0;
    while (w->done_ids[place] != 101)
        place++;
    EXPECT(place <= 2); // one ran, one may have been claimed meanwhile
    end(w);
}

TEST_BOTH(queue_undoes_the_effects_of_a_commit_that_failed_and_tries_again)
{
    struct world *w = begin(2);
    atomic_store(&w->commit_failures, 2);
    enqueue(w, "a");
    wait_for(w, &w->dones, 1);
    EXPECT_EQ(w->runs, 3);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM effect"), 1);
    WAIT_STATS(w, stats.failed == 2 && stats.done == 1 && stats.refused == 0);
    end(w);
}

TEST_BOTH(queue_buries_a_job_of_unknown_kind_with_the_reason)
{
    struct world *w = begin(1);
    enqueue(w, "nobody");
    WAIT_STATS(w, stats.dead == 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM job WHERE last_error = "
                                         "'no handler for jobs of kind nobody'"),
              1);
    end(w);
}

TEST_BOTH(queue_runs_a_delayed_job_at_its_time)
{
    struct world *w = begin(2);
    struct queue_new job = {.kind = STR("a"), .run_at_ms = clock_unix_ms() + 150};
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_fn, &job), OK);
    wait_for(w, &w->dones, 1); // nobody wakes it but the clock
    EXPECT(clock_unix_ms() >= job.run_at_ms);
    end(w);
}

static enum err enqueue_keyed(struct store_tx *tx, void *arg)
{
    struct queue_new job = {.kind = STR("a"), .unique_key = STR("k")};
    return queue_enqueue(tx, &job, arg);
}

TEST_BOTH(queue_frees_a_key_for_the_next_job_as_soon_as_one_runs)
{
    struct world *w = begin(2);
    int64_t first, second, third;
    hold(w, true);
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_keyed, &first), OK);
    wait_for(w, &w->held, 1);
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_keyed, &second), OK);
    EXPECT(second > first);
    wait_for(w, &w->held, 2); // both run: what came after the first began is seen by the second
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_keyed, &third), OK);
    EXPECT(third > second);
    hold(w, false);
    wait_for(w, &w->dones, 3);
    EXPECT_EQ(w->runs, 3);
    end(w);
}

TEST(queue_alone_refuses_the_result_of_a_job_that_was_claimed_by_its_row_meanwhile)
{
    is_alone = true;
    struct world *w = begin(1);
    hold(w, true);
    enqueue(w, "a");
    wait_for(w, &w->held, 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT state FROM job"), QUEUE_READY);
    EXPECT_EQ(test_store_run(w->t.store, "UPDATE job SET epoch = epoch + 1"), OK);
    hold(w, false);
    WAIT_STATS(w, stats.refused == 1 && stats.done == 1); // refused once, then run anew
    EXPECT_EQ(w->runs, 2);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM effect"), 1);
    end(w);
}

TEST(queue_alone_runs_each_job_once_though_an_older_one_comes_late)
{
    is_alone = true;
    struct world *w = begin(2);
    hold(w, true);
    enqueue(w, "a");
    wait_for(w, &w->held, 1);
    clock_test_advance(1300); // the next look is from the beginning
    struct queue_new late = {.kind = STR("a"), .run_at_ms = 1};
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_fn, &late), OK);
    wait_for(w, &w->held, 2);
    enqueue(w, "a");
    hold(w, false);
    wait_for(w, &w->dones, 3);
    WAIT_STATS(w, stats.done == 3);
    EXPECT_EQ(w->runs, 3);
    EXPECT_EQ(stats_of(w).refused, 0);
    end(w);
}

TEST(queue_alone_counts_the_crashes_of_an_earlier_process_by_the_rows)
{
    is_alone = true;
    struct world *w = begin(0);
    enqueue(w, "a");
    queue_free(w->queue);
    hold(w, true);
    start(w, 1);
    wait_for(w, &w->held, 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT state FROM job"), QUEUE_RUNNING);
    hold(w, false);
    wait_for(w, &w->dones, 1);
    end(w);
}

TEST(queue_renews_the_lease_of_a_long_run)
{
    struct world *w = begin(1);
    hold(w, true);
    enqueue(w, "a");
    wait_for(w, &w->held, 1);
    int64_t first = test_store_int(w->t.store, "SELECT at_ms FROM job"), now = first;
    int64_t limit = clock_mono_ms() + 120000;
    while (now == first && clock_mono_ms() < limit)
        now = test_store_int(w->t.store, "SELECT at_ms FROM job");
    EXPECT(now > first);
    hold(w, false);
    wait_for(w, &w->dones, 1);
    EXPECT_EQ(w->runs, 1);
    end(w);
}

/* What another process does when it takes leases for over. */
static enum err take_over(struct store_tx *tx, void *arg)
{
    const struct queue_options options = {.lease_ms = 3000};
    struct queue_job job;
    size_t count = 0;
    int64_t next = 0;
    (void)arg;
    enum err err = queue_recover(tx, STR(QUEUE_DEFAULT), INT64_MAX);
    if (!err)
        err = queue_claim(tx, &options, &job, 1, &count, &next);
    if (err)
        return err;
    err = test_queue_add_effect(tx, job.id);
    if (!err)
        err = queue_ack(tx, &job);
    arena_done(&job.arena);
    return err;
}

TEST(queue_refuses_the_result_of_a_worker_that_slept_over_its_lease)
{
    struct world *w = begin(2);
    hold(w, true);
    enqueue(w, "a");
    wait_for(w, &w->held, 1);
    EXPECT_EQ(store_write_wait(w->t.store, take_over, NULL), OK);
    hold(w, false);
    WAIT_STATS(w, stats.refused == 1);
    EXPECT_EQ(w->dones, 0);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM effect"), 1);
    end(w);
}

TEST(queue_does_not_take_its_own_jobs_for_a_dead_ones_after_a_long_stop)
{
    struct world *w = begin(2);
    hold(w, true);
    enqueue(w, "a");
    wait_for(w, &w->held, 1);
    clock_test_advance(3001); // as when the process was stopped for so long
    enqueue(w, "a");
    wait_for(w, &w->held, 2);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT sum(crash) FROM job"), 0);
    hold(w, false);
    WAIT_STATS(w, stats.done == 2);
    EXPECT_EQ(w->runs, 2);
    EXPECT_EQ(stats_of(w).refused, 0);
    end(w);
}

static enum err claim_for_another(struct store_tx *tx, void *arg)
{
    const struct queue_options options = {.name = "other", .lease_ms = 3000};
    size_t count = 0;
    int64_t next = 0;
    struct store_stmt *st;
    enum err err = queue_claim(tx, &options, arg, 1, &count, &next);
    if (!err)
        err = store_prepare(tx, "UPDATE job SET queue = 'default' WHERE queue = 'other'", &st);
    return err ? err : store_run(st, NULL);
}

/* Another process has a job that it has not renewed since the clock was set. */
TEST(queue_gives_others_a_lease_to_renew_theirs_when_the_clock_is_set_forward)
{
    struct world *w = begin(1);
    struct queue_job job;
    struct queue_new new = {.kind = STR("a"), .payload = STR("{}"), .queue = STR("other")};
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_fn, &new), OK);
    clock_test_stop(); // on a slow machine the lease would end by itself
    EXPECT_EQ(store_write_wait(w->t.store, claim_for_another, &job), OK);
    clock_test_set_forward(3600 * 1000);
    enqueue(w, "a");
    wait_for(w, &w->dones, 1);
    WAIT_STATS(w, stats.done == 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM job WHERE state = 1 AND crash = 0"),
              1);
    clock_test_advance(3001);
    enqueue(w, "a");
    wait_for(w, &w->dones, 3); // it is over by any clock
    clock_test_set_forward(-7200 * 1000);
    enqueue(w, "a");
    wait_for(w, &w->dones, 4);
    arena_done(&job.arena);
    end(w);
}

TEST_BOTH(queue_gives_back_what_no_worker_has_begun_when_it_stops)
{
    struct world *w = begin(0);
    for (int i = 0; i < 6; i++)
        enqueue(w, "a");
    queue_free(w->queue);
    w->hold_from = 2; // the first one is quick: all the others are claimed at once
    start(w, 1);
    wait_for(w, &w->runs, 2);
    EXPECT(!queue_stop(w->queue, 1)); // one runs and does not end
    WAIT_STATS(w, stats.running == 1 && stats.ready == 4);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT sum(attempt + crash) FROM job"), 0);
    hold(w, false);
    end(w); // stops again: now it ends
}

TEST_BOTH(queue_finishes_running_jobs_when_it_stops)
{
    struct world *w = begin(4);
    for (int i = 0; i < 80; i++)
        enqueue(w, "a");
    EXPECT(queue_stop(w->queue, 10000));
    struct queue_stats after = stats_of(w);
    EXPECT_EQ(after.running, 0);
    EXPECT_EQ(after.ready + after.done, 80);
    EXPECT_EQ(after.done, w->dones);
    queue_free(w->queue);
    start(w, 4);
    WAIT_STATS(w, stats.ready + stats.running == 0);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(DISTINCT job_id) FROM effect"), 80);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM effect"), 80);
    end(w);
}

TEST_BOTH(queue_runs_jobs_again_that_a_dead_process_left_running)
{
    struct world *w = begin(0);
    enqueue(w, "a");
    EXPECT_EQ(
        test_store_run(w->t.store, "UPDATE job SET state = 1, epoch = 7, at_ms = 9000000000000"),
        OK);
    queue_free(w->queue);
    start(w, 2);
    wait_for(w, &w->dones, 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM effect"), 1);
    end(w);
}

/* Rows as two other processes have claimed them: 7 lives, 8 does not. */
static const char others_jobs[] = "INSERT INTO job (kind, payload, state, epoch, run_at_ms, at_ms, "
                                  "created_at_ms, queue, claimer) "
                                  "VALUES ('a', '7', 1, 1, 1, 9000000000000, 1, 'default', 7), "
                                  "('a', '8', 1, 1, 1, 9000000000000, 1, 'default', 8), "
                                  "('a', '8', 1, 1, 1, 9000000000000, 1, 'other', 8)";

TEST(queue_runs_the_jobs_of_a_process_that_died_while_others_live)
{
    struct world *w = begin(2);
    struct store_lock *life;
    EXPECT_EQ(store_lock_open(w->t.store, STR("claimer 7"), &life), OK);
    EXPECT_EQ(store_lock_set(life, STORE_EXCLUSIVE), OK);
    EXPECT_EQ(test_store_run(w->t.store, others_jobs), OK);
    wait_for(w, &w->dones, 1); // 7 was looked at before
    EXPECT_EQ(w->done_ids[0], 2);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM job WHERE state = 1 AND crash = 0"),
              2);
    store_lock_close(life);
    wait_for(w, &w->dones, 2);
    EXPECT_EQ(w->done_ids[1], 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM job WHERE queue = 'other'"), 1);
    end(w);
}

static enum err enqueue_six_fn(struct store_tx *tx, void *arg)
{
    const struct queue_new *job = arg;
    const struct queue_new jobs[] = {*job, *job, *job, *job, *job, *job};
    struct queue_receipt receipts[6];
    return queue_enqueue_many(tx, jobs, 6, receipts);
}

static void enqueue_six(struct world *w)
{
    struct queue_new job = {.kind = STR("a"), .payload = STR("{}")};
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_six_fn, &job), OK);
}

TEST(queue_claims_no_more_than_can_begin_after_a_rest)
{
    struct world *w = begin(2);
    enqueue(w, "a"); // a quick one
    WAIT_STATS(w, stats.done == 1);
    clock_test_advance(1000);
    hold(w, true);
    enqueue_six(w);
    wait_for(w, &w->held, 2);
    EXPECT_EQ(stats_of(w).running, 2);
    EXPECT_EQ(stats_of(w).ready, 4);
    hold(w, false);
    WAIT_STATS(w, stats.done == 7);
    end(w);
}

TEST(queue_gives_back_what_waits_behind_jobs_that_turn_out_to_be_slow)
{
    struct world *w = begin(1);
    w->hold_from = 2; // the first one is quick
    enqueue_six(w);
    wait_for(w, &w->held, 1);
    WAIT_STATS(w, w->runs == 2 && stats.running == 1 && stats.ready == 4);
    hold(w, false);
    WAIT_STATS(w, stats.done == 6);
    EXPECT_EQ(w->runs, 6);
    EXPECT_EQ(stats_of(w).refused, 0);
    end(w);
}

TEST(queue_notes_who_has_claimed_a_job)
{
    struct world *w = begin(1);
    hold(w, true);
    enqueue(w, "a");
    wait_for(w, &w->held, 1);
    char name[64];
    struct store_lock *life;
    int64_t claimer = test_store_int(w->t.store, "SELECT claimer FROM job WHERE state = 1");
    snprintf(name, sizeof(name), "claimer %lld", (long long)claimer);
    EXPECT_EQ(store_lock_open(w->t.store, str_of(name), &life), OK);
    EXPECT_EQ(store_lock_set(life, STORE_EXCLUSIVE), ERR_AGAIN); // it lives
    hold(w, false);
    wait_for(w, &w->dones, 1);
    end(w);
    EXPECT_EQ(store_lock_set(life, STORE_EXCLUSIVE), OK);
    store_lock_close(life);
}

TEST_BOTH(queue_without_workers_still_takes_jobs)
{
    struct world *w = begin(0);
    enqueue(w, "a");
    enqueue(w, "a");
    EXPECT_EQ(stats_of(w).ready, 2);
    EXPECT_EQ(w->runs, 0);
    end(w);
}

enum { PRODUCERS = 8, EACH = 50 };

static void *produce(void *arg)
{
    for (int i = 0; i < EACH; i++)
        enqueue(arg, "a");
    return NULL;
}

TEST_BOTH(queue_gives_every_job_one_effect_while_eight_threads_enqueue)
{
    struct world *w = begin(4);
    pthread_t threads[PRODUCERS];
    atomic_store(&w->failures, 10); // some retries among them
    for (int i = 0; i < PRODUCERS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, produce, w), 0);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    WAIT_STATS(w, stats.ready + stats.running + stats.scheduled == 0);
    int64_t effects = test_store_int(w->t.store, "SELECT count(*) FROM effect");
    EXPECT_EQ(effects + stats_of(w).dead, PRODUCERS * EACH);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(DISTINCT job_id) FROM effect"), effects);
    WAIT_STATS(w, stats.done == effects);
    EXPECT_EQ(stats_of(w).refused, 0);
    end(w);
}

/* ---- kill -9 ---- */

/* A child that works until it is killed and tells through the pipe what it was promised. */
struct order {
    struct store_write write;
    struct queue_new job;
    int64_t id;
    int pipe_fd;
};

static enum err nothing_fn(struct store_tx *tx, void *arg)
{
    (void)tx, (void)arg;
    return OK;
}

static enum err order_fn(struct store_tx *tx, void *arg)
{
    struct order *o = arg;
    return queue_enqueue(tx, &o->job, &o->id);
}

static void on_ordered(struct store_write *w, enum err err)
{
    struct order *o = (struct order *)(void *)w;
    if (err || write(o->pipe_fd, &o->id, sizeof(o->id)) != sizeof(o->id))
        _exit(3);
}

static _Noreturn void work_until_killed(struct world *w, int pipe_fd)
{
    EXPECT_EQ(test_store_open(&w->t, true), OK);
    start(w, 2);
    for (;;) {
        enum { PARALLEL = 64 };
        static struct order orders[PARALLEL];
        for (int i = 0; i < PARALLEL; i++) {
            orders[i] = (struct order){
                .write = {.fn = order_fn, .arg = &orders[i], .on_done = on_ordered},
                .job = {.kind = STR("a"), .payload = STR("{}")},
                .pipe_fd = pipe_fd,
            };
            EXPECT_EQ(store_write(w->t.store, &orders[i].write), OK);
        }
        EXPECT_EQ(store_write_wait(w->t.store, nothing_fn, NULL), OK);
    }
}

struct known {
    int64_t *ids;
    int count;
};

static enum err check_known(struct store_tx *tx, void *arg)
{
    struct known *k = arg;
    for (int i = 0; i < k->count; i++) {
        struct store_stmt *st;
        enum err err = store_prepare(tx, "SELECT count(*) FROM effect WHERE job_id = $1", &st);
        if (err)
            return err;
        store_bind_int(st, 1, k->ids[i]);
        EXPECT_EQ(store_step(st), OK);
        EXPECT_EQ(store_column_int(st, 0), 1);
        store_finish(st);
    }
    return OK;
}

/* Kills a child after it promised `promises` more jobs; adds their ids. */
static void kill_after(struct world *w, struct known *known, int promises)
{
    int fds[2];
    int64_t id;
    EXPECT_EQ(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        work_until_killed(w, fds[1]);
    }
    close(fds[1]);
    bool is_killed = false;
    for (int got = 0; read(fds[0], &id, sizeof(id)) == sizeof(id); got++) {
        known->ids[known->count++] = id;
        if (got >= promises && !is_killed)
            is_killed = kill(child, SIGKILL) == 0;
    }
    int status;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(fds[0]);
}

TEST_BOTH(queue_keeps_its_promises_when_its_process_is_killed)
{
    enum { KILLS = 5, MAX_KNOWN = 200000 };
    struct known known = {mem_zalloc(MAX_KNOWN * sizeof(int64_t)), 0};
    struct world *w = begin(0);
    EXPECT_EQ(test_store_run(w->t.store, "CREATE INDEX effect_job ON effect (job_id)"), OK);
    queue_free(w->queue);
    store_close(w->t.store);
    srand((unsigned)getpid());
    for (int i = 0; i < KILLS; i++)
        kill_after(w, &known, rand() % 500);

    EXPECT_EQ(test_store_open(&w->t, true), OK);
    char why[200] = "";
    EXPECT_EQ(store_check(w->t.store, why, sizeof(why)), OK);
    start(w, 2);
    WAIT_STATS(w, stats.ready + stats.running + stats.scheduled == 0);
    EXPECT_EQ(stats_of(w).dead, 0);
    EXPECT(known.count > 0);
    EXPECT_EQ(store_read(w->t.store, check_known, &known), OK);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) - count(DISTINCT job_id) FROM effect"),
              0);
    mem_free(known.ids);
    end(w);
}

/* ---- async handlers ---- */

/* Runs that another thread ends: this test's. */
struct begun {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct queue_job *jobs[8]; // guarded, in the order of their runs
    int count, dones;          // guarded
};

static enum err begin_work(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct begun *b = ctx;
    (void)why_out;
    pthread_mutex_lock(&b->mutex);
    b->jobs[b->count++] = job;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
    return OK;
}

static void work_done(struct queue_job *job, void *ctx)
{
    struct begun *b = ctx;
    (void)job;
    pthread_mutex_lock(&b->mutex);
    b->dones++;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

static void wait_begun(struct begun *b, const int *counter, int at_least)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 120;
    int code = 0;
    pthread_mutex_lock(&b->mutex);
    while (*counter < at_least && code == 0)
        code = pthread_cond_timedwait(&b->changed, &b->mutex, &limit);
    EXPECT_EQ(code, 0);
    pthread_mutex_unlock(&b->mutex);
}

static void wake_queue(void *queue)
{
    queue_wake(queue);
}

TEST(queue_waits_for_the_verdict_on_work_that_another_thread_does)
{
    struct test_store t;
    struct begun b = {.count = 0};
    pthread_mutex_init(&b.mutex, NULL);
    pthread_cond_init(&b.changed, NULL);
    const struct queue_handler handler = {
        .kind = "a", .run = begin_work, .done = work_done, .ctx = &b, .is_async = true};
    const struct queue_options options = {.name = "slow", .workers = 1, .lease_ms = 3000};
    test_queue_begin(&t);
    struct queue *q = queue_new(t.store, &options, &handler, 1);
    store_on_commit(t.store, wake_queue, q);
    EXPECT_EQ(queue_start(q), OK);
    struct queue_new job = {.kind = STR("a"), .payload = STR("{}"), .queue = STR("slow")};
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &job), OK);
    wait_begun(&b, &b.count, 4); // one worker, and nothing has ended
    EXPECT(!queue_stop(q, 0));

    static const struct queue_end ends[] = {
        {.verdict = QUEUE_DONE},
        {.verdict = QUEUE_RETRY, .delay_ms = 50000, .why = {"status 500", 10}},
        {.verdict = QUEUE_BURY, .why = {"too old", 7}},
        {.verdict = QUEUE_SNOOZE, .delay_ms = 70000},
    };
    for (int i = 0; i < 4; i++)
        queue_finish(b.jobs[i], &ends[i]);
    wait_begun(&b, &b.dones, 1);
    EXPECT(queue_stop(q, 10000));
    static const char *const counts[] = {
        "SELECT count(*) = 3 FROM job",
        "SELECT count(*) FROM job WHERE id = 2 AND state = 3 AND attempt = 1 AND "
        "last_error = 'status 500' AND run_at_ms - created_at_ms BETWEEN 50000 AND 69999",
        "SELECT count(*) FROM job WHERE id = 3 AND state = 2 AND attempt = 1 AND "
        "last_error = 'too old'",
        "SELECT count(*) FROM job WHERE id = 4 AND state = 3 AND attempt = 0 AND crash = 0 AND "
        "run_at_ms - created_at_ms >= 70000",
    };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        EXPECT_EQ(test_store_int(t.store, counts[i]), 1);
    store_on_commit(t.store, NULL, NULL);
    queue_free(q);
    test_store_end(&t);
}

/* ---- the retry budget ---- */

static enum err allow_few_retries(struct store_tx *tx, void *arg)
{
    (void)arg;
    const struct queue_limits limits = {.retry_percent = 1};
    return queue_set_limits(tx, STR("default"), &limits);
}

static uint64_t count_put_off(void)
{
    struct arena a;
    struct queue_meter_copies copies;
    arena_init(&a);
    queue_meter_read(&a, &copies);
    uint64_t count = copies.at[0].meter.counts[QUEUE_METER_PUT_OFF];
    arena_done(&a);
    return count;
}

TEST_BOTH(queue_puts_retries_off_that_there_is_no_budget_for)
{
    enum { JOBS = 400 };
    handlers[0].max_attempts = QUEUE_MAX_TRIES;
    struct world *w = begin(2);
    EXPECT_EQ(store_write_wait(w->t.store, allow_few_retries, NULL), OK);
    atomic_store(&w->failures, 1000000);
    for (int i = 0; i < JOBS; i++)
        enqueue(w, "a");
    for (int64_t limit = clock_mono_ms() + 60000; count_put_off() < 100;) {
        EXPECT(clock_mono_ms() < limit);
        sched_yield();
    }
    atomic_store(&w->failures, 0);
    enqueue(w, "a"); // new ones go on
    for (int64_t limit = clock_mono_ms() + 60000;
         test_store_int(w->t.store, "SELECT count(*) FROM job WHERE id = 401") > 0;) {
        EXPECT(clock_mono_ms() < limit);
        sched_yield();
    }
    EXPECT(test_store_int(w->t.store, "SELECT count(*) FROM job WHERE state = 3 AND attempt > 0") >
           0);
    end(w);
}

/* ---- runs that nobody wants ---- */

static enum err run_until_given_up(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct world *w = ctx;
    note(w, &w->runs);
    while (!queue_is_given_up(job))
        sched_yield();
    if (job->attempt > 0)
        *why_out = STR("at page 2");
    return ERR_TIMEOUT;
}

static void start_endless(struct world *w, const struct queue_handler *handler)
{
    const struct queue_options options = {.workers = 1, .lease_ms = 3000, .is_alone = is_alone};
    queue_free(w->queue);
    w->queue = queue_new(w->t.store, &options, handler, 1);
    EXPECT_EQ(queue_start(w->queue), OK);
}

TEST_BOTH(queue_tells_a_thread_that_the_time_of_its_job_is_over)
{
    struct world *w = begin(0);
    const struct queue_handler handler = {
        .kind = "endless", .run = run_until_given_up, .ctx = w, .backoff_ms = 1};
    struct queue_new job = {.kind = STR("endless"), .timeout_ms = 50, .max_attempts = 2};
    start_endless(w, &handler);
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_fn, &job), OK);
    WAIT_STATS(w, stats.dead == 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM job WHERE attempt = 2 AND "
                                         "last_error = 'timed out after 50 ms: at page 2'"),
              1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM job_error WHERE n = 1 AND "
                                         "text = 'timed out after 50 ms'"),
              1);
    EXPECT_EQ(w->runs, 2);
    end(w);
}

static enum err cancel_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    return queue_report_cancel(tx, 1);
}

TEST_BOTH(queue_tells_a_thread_that_its_job_was_cancelled)
{
    struct world *w = begin(0);
    const struct queue_handler handler = {.kind = "endless", .run = run_until_given_up, .ctx = w};
    struct queue_new job = {.kind = STR("endless")};
    start_endless(w, &handler);
    EXPECT_EQ(store_write_wait(w->t.store, enqueue_fn, &job), OK);
    wait_for(w, &w->runs, 1);
    EXPECT_EQ(store_write_wait(w->t.store, cancel_fn, NULL), OK);
    WAIT_STATS(w, stats.ready + stats.running == 0);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM job WHERE state = 6 AND "
                                         "last_error = 'cancelled by an operator'"),
              1);
    end(w);
}

/* ---- a store that fails ---- */

/* A store that gives up soon when another process has the database. */
static void open_impatiently(struct world *w)
{
    char why[200] = "";
    const struct store_options options = {.path = w->t.path, .readers = 2, .busy_ms = 20};
    queue_free(w->queue);
    store_close(w->t.store);
    EXPECT_EQ(store_open(&options, &w->t.store, why, sizeof(why)), OK);
}

static int64_t failed_writes(const struct world *w)
{
    struct store_stats stats;
    store_get_stats(w->t.store, &stats);
    return stats.failed;
}

/* Whatever the end is: no attempt more than the handler had, no second run. */
static void check_unwritten_end(int failures)
{
    struct world *w = begin(0);
    sqlite3 *other;
    open_impatiently(w);
    start(w, 2);
    hold(w, true);
    enqueue(w, "a");
    wait_for(w, &w->held, 1);
    EXPECT_EQ(sqlite3_open(w->t.path, &other), SQLITE_OK);
    sqlite3_busy_timeout(other, 60000); // the queue may be writing just now
    EXPECT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    atomic_store(&w->failures, failures);
    int64_t failed = failed_writes(w), limit = clock_mono_ms() + 120000;
    hold(w, false);
    while (failed_writes(w) < failed + 2) { // it is written again, too
        EXPECT(clock_mono_ms() < limit);
        sched_yield();
    }
    EXPECT_EQ(w->runs, 1);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT attempt + crash FROM job"), 0);
    EXPECT_EQ(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    wait_for(w, &w->dones, 1);
    EXPECT_EQ(w->runs, 1 + failures);
    EXPECT_EQ(test_store_int(w->t.store, "SELECT count(*) FROM effect"), 1);
    WAIT_STATS(w, stats.done == 1 && stats.failed == failures && stats.refused == 0);
    end(w);
}

TEST_BOTH(queue_writes_a_commit_again_that_the_store_failed_to_write)
{
    check_unwritten_end(0);
}

TEST_BOTH(queue_writes_a_failure_again_that_the_store_failed_to_write)
{
    check_unwritten_end(1);
}
