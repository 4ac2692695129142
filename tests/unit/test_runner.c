/* Handlers in C that run in processes of their own, with a real queue. */
#include "runner/runner.h"

#include <pthread.h>
#include <signal.h>

#include "core/buf.h"
#include "core/mem.h"
#include "queue/queue_report.h"
#include "test_queue.h"

struct world {
    struct test_store t;
    struct runner *runner;
    struct queue *queue;
    struct queue_handler handlers[2];
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

static struct world w;

/* ---- the handlers ---- */

/* In the process: "crash", "wait" until it is cancelled, or the payload back as the result. */
static enum err act(struct runner_call *call, struct str *why_out)
{
    if (str_eq(call->payload, STR("\"crash\""))) {
        runner_code_progress(call, 10, STR("near the end"));
        raise(SIGSEGV);
    }
    while (str_eq(call->payload, STR("\"wait\""))) {
        if (runner_code_is_cancelled(call)) {
            *why_out = STR("given up");
            return ERR_AGAIN;
        }
        usleep(1000);
    }
    if (str_eq(call->payload, STR("\"fail\""))) {
        *why_out = STR("не вийшло");
        return ERR_IO;
    }
    runner_code_log(call, STR("a line"));
    runner_code_result(call, STR("0"));
    runner_code_result(call, call->payload);
    return OK;
}

static enum err keep(struct store_tx *tx, const struct queue_job *job, struct str result, void *ctx)
{
    EXPECT(ctx == &w);
    EXPECT_STR(result, "{\"n\": 7}");
    return test_queue_add_effect(tx, job->id);
}

static const char *const kinds[] = {"a"};
static const struct runner_handler handler = {
    .kinds = kinds,
    .kind_count = 1,
    .code = act,
    .commit = keep,
    .ctx = &w,
    .max_attempts = 1,
    .grace_ms = 60000,
};

/* ---- the world ---- */

static void on_commit(void *ctx)
{
    (void)ctx;
    queue_wake(w.queue);
    pthread_mutex_lock(&w.mutex);
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.mutex);
}

static void begin(void)
{
    w.runner = runner_new(&handler, 1); // before the store's threads
    EXPECT(w.runner != NULL);
    EXPECT_EQ(runner_kind_count(w.runner, QUEUE_DEFAULT), 1);
    EXPECT_EQ(runner_kind_count(w.runner, "other"), 0);
    test_queue_begin(&w.t);
    pthread_mutex_init(&w.mutex, NULL);
    pthread_cond_init(&w.changed, NULL);
    runner_bind(w.runner, QUEUE_DEFAULT, w.handlers);
    const struct queue_options options = {.workers = 1, .lease_ms = 3000};
    w.queue = queue_new(w.t.store, &options, w.handlers, 1);
    store_on_commit(w.t.store, on_commit, NULL);
    EXPECT_EQ(runner_start(w.runner, w.t.store), OK);
    EXPECT_EQ(queue_start(w.queue), OK);
}

static void end(void)
{
    runner_stop(w.runner, 0);
    EXPECT(queue_stop(w.queue, 20000));
    runner_free(w.runner);
    queue_free(w.queue);
    test_store_end(&w.t);
}

/* Waits for commits until the statement gives 1. */
static void wait_for(const char *sql)
{
    pthread_mutex_lock(&w.mutex);
    while (test_store_int(w.t.store, sql) != 1)
        pthread_cond_wait(&w.changed, &w.mutex);
    pthread_mutex_unlock(&w.mutex);
}

static enum err add_fn(struct store_tx *tx, void *arg)
{
    const struct queue_new job = {.kind = STR("a"), .payload = str_of(arg)};
    return queue_enqueue(tx, &job, NULL);
}

static void add(char *payload)
{
    EXPECT_EQ(store_write_wait(w.t.store, add_fn, payload), OK);
}

TEST(runner_writes_the_effects_of_a_result_with_the_acknowledgement)
{
    char payload[] = "{\"n\":\n7}";
    begin();
    add(payload);
    wait_for("SELECT (SELECT count(*) FROM effect) = 1 AND NOT EXISTS (SELECT 1 FROM job)");
    EXPECT_EQ(test_store_int(w.t.store, "SELECT count(*) FROM job_log"), 0);
    end();
}

TEST(runner_survives_a_handler_that_crashes)
{
    char crash[] = "\"crash\"", fail[] = "\"fail\"";
    begin();
    add(crash);
    wait_for("SELECT count(*) FROM job WHERE state = 2 AND attempt = 0 AND crash = 3 AND "
             "last_error = 'poison: killed by signal 11 (SIGSEGV), at 10 % near the end'");
    add(fail);
    wait_for("SELECT count(*) FROM job WHERE state = 2 AND attempt = 1 AND crash = 0 AND "
             "last_error = 'не вийшло'");
    EXPECT_EQ(test_store_int(w.t.store, "SELECT count(*) FROM effect"), 0);
    end();
}

static enum err cancel_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    EXPECT_EQ(queue_report_cancel(tx, 2), ERR_NOT_FOUND);
    return queue_report_cancel(tx, 1);
}

TEST(runner_asks_a_cancelled_handler_to_give_up)
{
    char payload[] = "\"wait\"";
    begin();
    add(payload);
    wait_for("SELECT count(*) FROM job WHERE state = 1");
    EXPECT_EQ(store_write_wait(w.t.store, cancel_fn, NULL), OK);
    wait_for("SELECT count(*) FROM job WHERE state = 6 AND attempt = 1");
    end();
}

static enum err add_short_fn(struct store_tx *tx, void *arg)
{
    const struct queue_new job = {
        .kind = STR("a"), .payload = str_of(arg), .timeout_ms = 100, .max_attempts = 2};
    return queue_enqueue(tx, &job, NULL);
}

TEST(runner_obeys_the_time_and_the_attempts_of_a_job)
{
    char payload[] = "\"wait\"";
    begin();
    EXPECT_EQ(store_write_wait(w.t.store, add_short_fn, payload), OK);
    wait_for("SELECT count(*) FROM job WHERE state = 2 AND attempt = 2 AND crash = 0 AND "
             "last_error = 'timed out after 100 ms'");
    end();
}

TEST(runner_hands_back_at_the_end_what_runs)
{
    char payload[] = "\"wait\"";
    begin();
    add(payload);
    wait_for("SELECT count(*) FROM job WHERE state = 1");
    runner_stop(w.runner, 0);
    EXPECT(queue_stop(w.queue, 20000));
    EXPECT_EQ(test_store_int(w.t.store, "SELECT count(*) FROM job WHERE state = 0 AND "
                                        "attempt = 0 AND crash = 0"),
              1);
    end();
}

/* ---- reports ---- */

struct report {
    struct queue_job job;
    struct queue_report report;
    enum err err;
};

static enum err report_fn(struct store_tx *tx, void *arg)
{
    struct report *r = arg;
    r->err = queue_report(tx, &r->job, &r->report);
    return r->err == ERR_CONFLICT ? OK : r->err;
}

TEST(queue_report_is_refused_when_the_run_is_stale)
{
    struct test_store t;
    test_queue_begin(&t);
    EXPECT_EQ(test_store_run(t.store, "INSERT INTO job (kind, payload, run_at_ms, created_at_ms, "
                                      "state, epoch) VALUES ('a', '', 0, 0, 1, 5)"),
              OK);
    struct report r = {.job = {.id = 1, .epoch = 4},
                       .report = {.progress = STR("late"), .percent = -1, .log = STR("late\n")}};
    EXPECT_EQ(store_write_wait(t.store, report_fn, &r), OK);
    EXPECT_EQ(r.err, ERR_CONFLICT);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_log"), 0);
    r.job.epoch = 5;
    r.report.log = STR("one\ntwo\n");
    EXPECT_EQ(store_write_wait(t.store, report_fn, &r), OK);
    EXPECT_EQ(r.err, OK);
    EXPECT_EQ(test_store_int(t.store,
                             "SELECT count(*) FROM job JOIN job_run ON job_id = id WHERE "
                             "progress_text = 'late' AND progress IS NULL AND options = 24"),
              1);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_log WHERE n = 2 AND text = 'two'"),
              1);
    test_store_end(&t);
}

TEST(queue_report_keeps_the_newest_lines)
{
    struct test_store t;
    struct buf log;
    test_queue_begin(&t);
    EXPECT_EQ(test_store_run(t.store, "INSERT INTO job (kind, payload, run_at_ms, created_at_ms, "
                                      "state) VALUES ('a', '', 0, 0, 1)"),
              OK);
    buf_init(&log, 16 * 1024);
    for (int i = 1; i <= 150; i++)
        EXPECT_EQ(buf_printf(&log, "line\n"), OK);
    struct report r = {.job = {.id = 1},
                       .report = {.log = {(const char *)buf_head(&log), buf_len(&log)}}};
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(store_write_wait(t.store, report_fn, &r), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_log"), QUEUE_REPORT_MAX_LINES);
    EXPECT_EQ(test_store_int(t.store, "SELECT max(n) FROM job_log"), 450);
    buf_done(&log);
    test_store_end(&t);
}
