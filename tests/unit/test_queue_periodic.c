#include <sys/wait.h>

#include "core/clock.h"
#include "queue/queue_internal.h"
#include "queue/queue_periodic.h"
#include "queue/queue_scheduler.h"
#include "test_queue.h"

static const struct queue_options options = {.lease_ms = 30000};
enum { MINUTE = 60 * 1000 };

struct call {
    struct queue_periodic periodic;
    const struct queue_periodic *list;
    size_t count, bad;
    struct str why;
    int64_t at_ms, job_id;
    struct queue_job job;
    enum queue_state state;
};

static enum err declare_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_periodic_declare(tx, &c->periodic, &c->why);
}

static enum err sync_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_periodic_sync(tx, STR("file"), c->list, c->count, &c->why, &c->bad);
}

static enum err remove_fn(struct store_tx *tx, void *arg)
{
    return queue_periodic_remove(tx, ((struct call *)arg)->periodic.name);
}

static enum err pause_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_periodic_pause(tx, c->periodic.name, c->at_ms);
}

static enum err trigger_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_periodic_trigger(tx, c->periodic.name, &c->job_id);
}

static enum err run_due_fn(struct store_tx *tx, void *arg)
{
    return queue_periodic_run_due(tx, &((struct call *)arg)->at_ms);
}

static enum err tick_of_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_periodic_tick_of(tx, c->job_id, &c->at_ms);
}

static enum err claim_fn(struct store_tx *tx, void *arg)
{
    size_t count = 0;
    int64_t next;
    return queue_claim(tx, &options, &((struct call *)arg)->job, 1, &count, &next);
}

static enum err end_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    if (c->state == QUEUE_DONE_STATE)
        return queue_ack(tx, &c->job);
    return queue_fail(tx, &c->job, STR("no"), 0, c->state == QUEUE_DEAD);
}

static const struct queue_periodic minutely = {.name = {"report", 6},
                                               .cron = {"* * * * *", 9},
                                               .kind = {"report.write", 12},
                                               .payload = {"{}", 2}};

/* The clock stands at the beginning of a minute. */
static void begin(struct test_store *t, enum queue_overlap overlap)
{
    struct call c = {.periodic = minutely};
    test_queue_begin(t);
    clock_test_stop();
    clock_test_advance(MINUTE - clock_unix_ms() % MINUTE);
    c.periodic.overlap = overlap;
    EXPECT_EQ(store_write_wait(t->store, declare_fn, &c), OK);
}

/* Looks for ticks; gives how many jobs there are. */
static int64_t look(struct test_store *t)
{
    struct call c = {.at_ms = 0};
    do
        EXPECT_EQ(store_write_wait(t->store, run_due_fn, &c), OK);
    while (c.at_ms <= clock_unix_ms());
    return test_store_int(t->store, "SELECT count(*) FROM job WHERE state NOT IN (2, 6)");
}

static int64_t look_after(struct test_store *t, int64_t ms)
{
    clock_test_advance(ms);
    return look(t);
}

static struct call claimed(struct test_store *t)
{
    struct call c = {.at_ms = 0};
    EXPECT_EQ(store_write_wait(t->store, claim_fn, &c), OK);
    return c;
}

static void end(struct test_store *t, struct call *c, enum queue_state state, enum err want)
{
    c->state = state;
    EXPECT_EQ(store_write_wait(t->store, end_fn, c), want);
    arena_done(&c->job.arena);
}

static int64_t column(struct test_store *t, const char *sql)
{
    return test_store_int(t->store, sql);
}

TEST(queue_periodic_enqueues_one_job_for_each_tick)
{
    struct test_store t;
    begin(&t, QUEUE_OVERLAP_ALLOW);
    int64_t start_ms = clock_unix_ms();
    EXPECT_EQ(look(&t), 0);
    EXPECT_EQ(look_after(&t, MINUTE - 1), 0);
    EXPECT_EQ(look_after(&t, 1), 1);
    EXPECT_EQ(look(&t), 1);
    EXPECT_EQ(look_after(&t, MINUTE), 2);
    struct call c = claimed(&t);
    EXPECT_STR(c.job.kind, "report.write");
    EXPECT_STR(c.job.payload, "{}");
    c.job_id = c.job.id;
    EXPECT_EQ(store_read(t.store, tick_of_fn, &c), OK);
    EXPECT_EQ(c.at_ms, start_ms + MINUTE);
    end(&t, &c, QUEUE_DONE_STATE, OK);
    EXPECT_EQ(store_read(t.store, tick_of_fn, &(struct call){.job_id = 99}), ERR_NOT_FOUND);
    test_store_end(&t);
}

TEST(queue_periodic_skips_a_tick_while_the_other_has_not_ended)
{
    struct test_store t;
    begin(&t, QUEUE_OVERLAP_SKIP);
    EXPECT_EQ(look_after(&t, MINUTE), 1); // waits
    EXPECT_EQ(look_after(&t, MINUTE), 1);
    struct call c = claimed(&t);
    EXPECT_EQ(look_after(&t, MINUTE), 1); // runs
    end(&t, &c, QUEUE_READY, OK);
    EXPECT_EQ(look_after(&t, MINUTE), 1); // will be tried again
    c = claimed(&t);
    end(&t, &c, QUEUE_DEAD, OK);
    EXPECT_EQ(look_after(&t, MINUTE), 1);
    c = claimed(&t);
    end(&t, &c, QUEUE_DONE_STATE, OK);
    EXPECT_EQ(look_after(&t, MINUTE), 1);
    EXPECT_EQ(column(&t, "SELECT skipped FROM job_period"), 3);
    test_store_end(&t);
}

TEST(queue_periodic_buffers_one_tick_until_the_other_has_ended)
{
    struct test_store t;
    begin(&t, QUEUE_OVERLAP_BUFFER_ONE);
    EXPECT_EQ(look_after(&t, MINUTE), 1);
    struct call c = claimed(&t);
    EXPECT_EQ(look_after(&t, MINUTE), 1);
    EXPECT_EQ(look_after(&t, MINUTE), 1);
    int64_t buffered_ms = clock_unix_ms() - MINUTE;
    end(&t, &c, QUEUE_DONE_STATE, OK);
    EXPECT_EQ(look(&t), 1);
    c = claimed(&t);
    EXPECT_EQ(c.job.run_at_ms, buffered_ms);
    end(&t, &c, QUEUE_DEAD, OK);
    EXPECT_EQ(look(&t), 0);
    EXPECT_EQ(column(&t, "SELECT skipped FROM job_period"), 1);
    test_store_end(&t);
}

TEST(queue_periodic_cancels_the_other_whose_effects_do_not_happen)
{
    struct test_store t;
    begin(&t, QUEUE_OVERLAP_CANCEL_OTHER);
    EXPECT_EQ(look_after(&t, MINUTE), 1);
    struct call old = claimed(&t);
    EXPECT_EQ(look_after(&t, MINUTE), 1);
    end(&t, &old, QUEUE_DONE_STATE, ERR_CONFLICT);
    EXPECT_EQ(look_after(&t, MINUTE), 1); // one that waits is taken away too
    EXPECT_EQ(column(&t, "SELECT id FROM job"), 3);
    struct call c = claimed(&t);
    end(&t, &c, QUEUE_DONE_STATE, OK);
    test_store_end(&t);
}

TEST(queue_periodic_serves_late_ticks_within_its_catch_up)
{
    struct test_store t;
    struct call c = {.periodic = minutely};
    begin(&t, QUEUE_OVERLAP_ALLOW);
    c.periodic.catch_up_ms = 5 * MINUTE;
    EXPECT_EQ(store_write_wait(t.store, declare_fn, &c), OK);
    // All processes were down for a hundred minutes and a half.
    clock_test_advance(100 * MINUTE + MINUTE / 2);
    EXPECT_EQ(store_write_wait(t.store, declare_fn, &c), OK); // as each start does
    EXPECT_EQ(look(&t), 5);
    EXPECT_EQ(column(&t, "SELECT missed FROM job_period"), 95);
    EXPECT_EQ(look_after(&t, MINUTE / 2), 6);
    test_store_end(&t);
}

TEST(queue_periodic_catches_up_thousands_in_bounded_slices)
{
    struct test_store t;
    struct call c = {.periodic = minutely};
    begin(&t, QUEUE_OVERLAP_ALLOW);
    c.periodic.cron = STR("* * * * * *");
    c.periodic.catch_up_ms = 10 * MINUTE;
    EXPECT_EQ(store_write_wait(t.store, declare_fn, &c), OK);
    clock_test_advance(100 * MINUTE);
    EXPECT_EQ(store_write_wait(t.store, run_due_fn, &c), OK);
    EXPECT(c.at_ms < clock_unix_ms()); // not all in one transaction
    EXPECT_EQ(look(&t), 601);
    test_store_end(&t);
}

TEST(queue_periodic_has_no_second_job_when_the_clock_is_set_back)
{
    struct test_store t;
    struct call c = {.periodic = minutely};
    begin(&t, QUEUE_OVERLAP_ALLOW);
    EXPECT_EQ(look_after(&t, 10 * MINUTE), 2); // a minute is caught up
    EXPECT_EQ(look_after(&t, -5 * MINUTE), 2);
    EXPECT_EQ(store_write_wait(t.store, declare_fn, &c), OK); // a start: its ticks begin anew
    EXPECT_EQ(look_after(&t, MINUTE), 3);
    EXPECT_EQ(look_after(&t, 4 * MINUTE), 3); // those were served before
    EXPECT_EQ(look_after(&t, MINUTE), 4);
    test_store_end(&t);
}

TEST(queue_periodic_has_no_ticks_while_it_is_paused)
{
    struct test_store t;
    struct call c = {.periodic = minutely};
    begin(&t, QUEUE_OVERLAP_ALLOW);
    c.at_ms = INT64_MAX;
    EXPECT_EQ(store_write_wait(t.store, pause_fn, &c), OK);
    EXPECT_EQ(look_after(&t, 10 * MINUTE), 0);
    c.at_ms = 0;
    EXPECT_EQ(store_write_wait(t.store, pause_fn, &c), OK);
    EXPECT_EQ(look_after(&t, MINUTE / 2), 1); // the tick of the moment at which it went on
    EXPECT_EQ(look_after(&t, MINUTE / 2), 2);
    c.at_ms = clock_unix_ms() + 5 * MINUTE;
    EXPECT_EQ(store_write_wait(t.store, pause_fn, &c), OK);
    EXPECT_EQ(look_after(&t, 4 * MINUTE), 2);
    EXPECT_EQ(look_after(&t, MINUTE), 3);
    c.periodic.name = STR("other");
    EXPECT_EQ(store_write_wait(t.store, pause_fn, &c), ERR_NOT_FOUND);
    test_store_end(&t);
}

TEST(queue_periodic_is_triggered_by_hand_besides_its_ticks)
{
    struct test_store t;
    struct call c = {.periodic = minutely};
    begin(&t, QUEUE_OVERLAP_SKIP);
    EXPECT_EQ(store_write_wait(t.store, trigger_fn, &c), OK);
    EXPECT(c.job_id > 0);
    EXPECT_EQ(look(&t), 1);
    EXPECT_EQ(look_after(&t, MINUTE), 2);
    c.periodic.name = STR("other");
    EXPECT_EQ(store_write_wait(t.store, trigger_fn, &c), ERR_NOT_FOUND);
    test_store_end(&t);
}

TEST(queue_periodic_begins_anew_when_its_expression_changes)
{
    struct test_store t;
    struct call c = {.periodic = minutely};
    begin(&t, QUEUE_OVERLAP_ALLOW);
    clock_test_advance(30 * MINUTE + 1);
    c.periodic.cron = STR("*/5 * * * *");
    EXPECT_EQ(store_write_wait(t.store, declare_fn, &c), OK);
    EXPECT_EQ(look(&t), 0); // nothing of the old one
    for (int i = 0; i < 5; i++)
        look_after(&t, MINUTE);
    EXPECT_EQ(column(&t, "SELECT count(*) FROM job"), 1);
    EXPECT_EQ(store_write_wait(t.store, remove_fn, &c), OK);
    EXPECT_EQ(store_write_wait(t.store, remove_fn, &c), ERR_NOT_FOUND);
    EXPECT_EQ(column(&t, "SELECT count(*) FROM job_tick"), 0);
    EXPECT_EQ(column(&t, "SELECT count(*) FROM job"), 1);
    test_store_end(&t);
}

TEST(queue_periodic_of_a_source_is_what_it_lists)
{
    struct test_store t;
    struct queue_periodic list[2] = {minutely, minutely};
    struct call c = {.periodic = minutely, .list = list, .count = 2};
    list[0].name = STR("one");
    list[1].name = STR("two");
    begin(&t, QUEUE_OVERLAP_ALLOW);
    EXPECT_EQ(store_write_wait(t.store, sync_fn, &c), OK);
    EXPECT_EQ(column(&t, "SELECT count(*) FROM job_period"), 3);
    c.count = 1;
    EXPECT_EQ(store_write_wait(t.store, sync_fn, &c), OK);
    EXPECT_EQ(column(&t, "SELECT count(*) FROM job_period WHERE name IN ('one', 'report')"), 2);
    EXPECT_EQ(column(&t, "SELECT count(*) FROM job_period"), 2);
    c.count = 2;
    list[1].cron = STR("never");
    EXPECT_EQ(store_write_wait(t.store, sync_fn, &c), ERR_INVALID);
    EXPECT_EQ(c.bad, 1);
    EXPECT(c.why.len > 0);
    test_store_end(&t);
}

TEST(queue_periodic_refuses_a_bad_declaration)
{
    struct test_store t;
    struct queue_periodic rows[8];
    for (int i = 0; i < 8; i++)
        rows[i] = minutely;
    rows[0].name = STR("");
    rows[1].name = STR("a b");
    rows[2].cron = STR("* * *");
    rows[3].zone = STR("Europe/Nowhere");
    rows[4].kind = STR("");
    rows[5].overlap = (enum queue_overlap)4;
    rows[6].catch_up_ms = -1;
    rows[7].queue = STR("a b");
    test_queue_begin(&t);
    for (int i = 0; i < 8; i++) {
        struct call c = {.periodic = rows[i]};
        ck_assert_msg(store_write_wait(t.store, declare_fn, &c) == ERR_INVALID, "row %d", i);
        ck_assert_msg(c.why.len > 0, "row %d", i);
    }
    EXPECT_EQ(column(&t, "SELECT count(*) FROM job_period"), 0);
    test_store_end(&t);
}

TEST(queue_periodic_forgets_ticks_that_cannot_come_again)
{
    struct test_store t;
    begin(&t, QUEUE_OVERLAP_ALLOW);
    EXPECT_EQ(look_after(&t, MINUTE), 1);
    EXPECT_EQ(column(&t, "SELECT count(*) FROM job_tick"), 1);
    look_after(&t, 25 * 60 * MINUTE);
    EXPECT_EQ(column(&t, "SELECT count(*) FROM job_tick"), 2); // now, and a minute caught up
    test_store_end(&t);
}

/* ---- several processes, killed at any moment ---- */

static const struct queue_periodic secondly = {
    .name = {"s", 1}, .cron = {"* * * * * *", 11}, .kind = {"s", 1}, .catch_up_ms = 60 * MINUTE};

static void watch(const char *path)
{
    struct store *store;
    char why[200];
    struct store_options store_options = {.path = path};
    if (store_open(&store_options, &store, why, sizeof(why)))
        _exit(1);
    struct queue_scheduler *s = queue_scheduler_new(store);
    if (queue_scheduler_start(s))
        _exit(1);
    for (;;)
        pause();
}

TEST(queue_scheduler_of_several_processes_serves_each_tick_once_whoever_is_killed)
{
    enum { PROCESSES = 3, KILLS = 12 };
    struct test_store t;
    struct call c = {.periodic = secondly};
    pid_t pids[PROCESSES];
    unsigned seed = 7;
    test_queue_begin(&t);
    EXPECT_EQ(store_write_wait(t.store, declare_fn, &c), OK);
    store_close(t.store);
    for (int i = 0; i < PROCESSES; i++)
        if ((pids[i] = fork()) == 0)
            watch(t.path);
    for (int i = 0; i < KILLS; i++) {
        int at = i % PROCESSES;
        usleep((useconds_t)(rand_r(&seed) % 400000)); // any moment: nothing is waited for
        EXPECT_EQ(kill(pids[at], SIGKILL), 0);
        EXPECT_EQ(waitpid(pids[at], NULL, 0), pids[at]);
        if ((pids[at] = fork()) == 0)
            watch(t.path);
    }
    for (int i = 0; i < PROCESSES; i++) {
        EXPECT_EQ(kill(pids[i], SIGKILL), 0);
        EXPECT_EQ(waitpid(pids[i], NULL, 0), pids[i]);
    }
    EXPECT_EQ(test_store_open(&t, true), OK);
    EXPECT_EQ(store_write_wait(t.store, run_due_fn, &c), OK);
    // One job for each second from the first to the last, and none twice.
    EXPECT(column(&t, "SELECT count(*) FROM job") >= 1);
    EXPECT_EQ(column(&t, "SELECT (max(run_at_ms) - min(run_at_ms)) / 1000 + 1 - count(*) FROM job"),
              0);
    EXPECT_EQ(column(&t, "SELECT count(*) - count(DISTINCT run_at_ms) FROM job"), 0);
    EXPECT_EQ(column(&t, "SELECT next_at_ms - last_at_ms FROM job_period"), 1000);
    test_store_end(&t);
}
