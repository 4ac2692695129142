#include "queue/queue_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/failpoint.h"
#include "core/log.h"
#include "test_queue.h"

/* A shop: an order enqueues its mail; mails are refused as often as the shop says. */
struct shop {
    struct test_store t;
    int refusals, mails;
};

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    return queue_enqueue(tx, arg, NULL);
}

static void enqueue(struct store *store, const char *kind, int64_t run_at_ms)
{
    struct queue_new job = {
        .kind = str_of(kind), .payload = STR("{\"order\":7}"), .run_at_ms = run_at_ms};
    EXPECT_EQ(store_write_wait(store, enqueue_fn, &job), OK);
}

static enum err commit_order(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)job, (void)ctx;
    struct queue_new mail = {.kind = STR("mail"), .payload = STR("{}")};
    return queue_enqueue(tx, &mail, NULL);
}

static enum err run_mail(struct queue_job *job, void *ctx, struct str *why_out)
{
    (void)job;
    struct shop *shop = ctx;
    failpoint_pass("mail.sent");
    if (shop->refusals-- <= 0)
        return OK;
    *why_out = STR("greylisted");
    return ERR_IO;
}

static enum err commit_mail(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    return test_queue_add_effect(tx, job->id);
}

static void mail_done(struct queue_job *job, void *ctx)
{
    (void)job;
    ((struct shop *)ctx)->mails++;
}

static struct queue_handler handlers[] = {
    {.kind = "order", .commit = commit_order},
    {.kind = "mail", .run = run_mail, .commit = commit_mail, .done = mail_done, .max_attempts = 3},
};

static void begin(struct queue_test *t, struct shop *shop, bool is_alone)
{
    const struct queue_options options = {.is_alone = is_alone};
    log_set_level(LOG_ERROR);
    handlers[1].ctx = shop;
    EXPECT_EQ(queue_test_begin_with(t, shop->t.store, &options, handlers, 2), OK);
}

static void check_inline(bool is_alone)
{
    struct shop shop = {.refusals = 0};
    struct queue_test t;
    test_queue_begin(&shop.t);
    begin(&t, &shop, is_alone);
    EXPECT_EQ(queue_test_run_due(&t), 0);
    enqueue(t.store, "order", 0);
    queue_test_assert_enqueued(
        &t, &(struct queue_test_like){.kind = "order", .payload = "{\"order\":7}"});
    EXPECT_EQ(queue_test_count(&t, &(struct queue_test_like){.kind = "mail"}), 0);
    EXPECT_EQ(queue_test_run_due(&t), 0); // the mail too, which the order enqueued
    EXPECT_EQ(queue_test_count(&t, &(struct queue_test_like){0}), 0);
    EXPECT_EQ(shop.mails, 1);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM effect"), 1);
    queue_test_end(&t);
    test_store_end(&shop.t);
}

TEST(queue_test_runs_jobs_and_what_they_enqueue_on_the_calling_thread)
{
    check_inline(false);
}

TEST(queue_test_runs_jobs_held_in_memory_too)
{
    check_inline(true);
}

TEST(queue_test_moves_the_clock_to_jobs_that_are_held_in_memory)
{
    struct shop shop = {.refusals = 2};
    struct queue_test t;
    test_queue_begin(&shop.t);
    begin(&t, &shop, true);
    enqueue(t.store, "mail", clock_unix_ms() + 5000); // due, it is found by the next look only
    EXPECT(queue_test_run_until_idle(&t, 20));
    EXPECT_EQ(shop.mails, 1);
    queue_test_end(&t);
    test_store_end(&shop.t);
}

TEST(queue_test_moves_the_clock_to_retries_until_nothing_waits)
{
    struct shop shop = {.refusals = 2};
    struct queue_test t;
    test_queue_begin(&shop.t);
    begin(&t, &shop, false);
    int64_t hour_ms = 3600 * 1000, began_ms = clock_unix_ms();
    enqueue(t.store, "mail", began_ms + hour_ms);
    EXPECT_EQ(queue_test_run_due(&t), began_ms + hour_ms);
    EXPECT_EQ(shop.refusals, 2); // it was not due
    EXPECT_EQ(queue_test_count(&t, &(struct queue_test_like){.kind = "mail",
                                                             .run_at_min_ms = began_ms + hour_ms}),
              1);
    EXPECT(!queue_test_run_until_idle(&t, 1)); // the first try alone
    EXPECT(queue_test_run_until_idle(&t, 10));
    EXPECT(clock_unix_ms() >= began_ms + hour_ms);
    EXPECT_EQ(shop.mails, 1);
    queue_test_end(&t);
    test_store_end(&shop.t);
}

TEST(queue_test_keeps_dead_jobs_in_sight)
{
    struct shop shop = {.refusals = 100};
    struct queue_test t;
    test_queue_begin(&shop.t);
    begin(&t, &shop, false);
    enqueue(t.store, "mail", 0);
    EXPECT(queue_test_run_until_idle(&t, 10));
    EXPECT_EQ(queue_test_count(&t, &(struct queue_test_like){.kind = "mail"}), 1);
    EXPECT_EQ(shop.refusals, 97);
    queue_test_end(&t);
    test_store_end(&shop.t);
}

static enum err commit_again(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    return queue_enqueue(tx, &(struct queue_new){.kind = job->kind, .payload = STR("{}")}, NULL);
}

static enum err run_later(struct queue_job *job, void *ctx, struct str *why_out)
{
    (void)ctx;
    job->end = (struct queue_end){.verdict = QUEUE_SNOOZE};
    *why_out = STR("not now");
    return ERR_AGAIN;
}

TEST(queue_test_comes_back_from_a_job_that_is_always_there)
{
    static const struct queue_handler endless[] = {{.kind = "again", .commit = commit_again},
                                                   {.kind = "later", .run = run_later}};
    struct test_store store;
    struct queue_test t;
    for (int i = 0; i < 2; i++) {
        test_queue_begin(&store);
        EXPECT_EQ(queue_test_begin(&t, store.store, endless, 2), OK);
        t.max_runs = 100;
        int64_t now_ms = clock_unix_ms();
        enqueue(t.store, endless[i].kind, 0);
        EXPECT(!queue_test_run_until_idle(&t, 1000));
        EXPECT_EQ(clock_unix_ms(), now_ms);
        EXPECT_EQ(queue_test_count(&t, &(struct queue_test_like){.kind = endless[i].kind}), 1);
        queue_test_end(&t);
        test_store_end(&store);
    }
}

static enum err pause_fn(struct store_tx *tx, void *arg)
{
    return queue_pause(tx, STR(QUEUE_DEFAULT), *(const int64_t *)arg);
}

TEST(queue_test_waits_for_the_end_of_a_pause_if_there_is_one)
{
    struct shop shop = {.refusals = 0};
    struct queue_test t;
    int64_t pauses_ms[] = {INT64_MAX, 0};
    test_queue_begin(&shop.t);
    begin(&t, &shop, false);
    int64_t now_ms = clock_unix_ms(), hour_ms = 3600 * 1000;
    pauses_ms[1] = now_ms + hour_ms;
    enqueue(t.store, "mail", 0);
    EXPECT_EQ(store_write_wait(t.store, pause_fn, &pauses_ms[0]), OK);
    EXPECT_EQ(queue_test_run_due(&t), INT64_MAX);
    EXPECT(!queue_test_run_until_idle(&t, 10));
    EXPECT_EQ(clock_unix_ms(), now_ms);
    EXPECT_EQ(store_write_wait(t.store, pause_fn, &pauses_ms[1]), OK);
    EXPECT(queue_test_run_until_idle(&t, 10));
    EXPECT_EQ(clock_unix_ms(), now_ms + hour_ms);
    EXPECT_EQ(shop.mails, 1);
    queue_test_end(&t);
    test_store_end(&shop.t);
}

/* In a child: sends what waits. */
static void play(void *arg)
{
    struct shop *shop = arg;
    struct queue_test t;
    EXPECT_EQ(test_store_open(&shop->t, true), OK);
    begin(&t, shop, false);
    EXPECT(queue_test_run_until_idle(&t, 10));
    queue_test_end(&t);
    store_close(shop->t.store);
}

/* In a child, so that what it prints can be read. */
static int misspell(struct shop *shop, char *out, size_t cap)
{
    int pipe_fds[2], status = 0;
    size_t len = 0;
    EXPECT_EQ(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_fds[1], STDERR_FILENO);
        (void)queue_test_crash("mail.snet", 1, play, shop);
        _exit(0);
    }
    close(pipe_fds[1]);
    for (ssize_t got = 1; got > 0; len += (size_t)got) {
        got = read(pipe_fds[0], out + len, cap - 1 - len);
        EXPECT(got >= 0);
    }
    out[len] = '\0';
    close(pipe_fds[0]);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
}

TEST(queue_test_ends_with_the_name_of_a_point_that_nothing_passes)
{
    struct shop shop = {.refusals = 0};
    char said[4000];
    test_queue_begin(&shop.t);
    enqueue(shop.t.store, "mail", 0);
    store_close(shop.t.store);
    int status = misspell(&shop, said, sizeof(said));
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    EXPECT(str_starts(str_of(said),
                      STR("nothing passes the point \"mail.snet\"; what was passed:\n")));
    EXPECT(strstr(said, "\nmail.sent\n") != NULL);
    EXPECT_EQ(test_store_open(&shop.t, true), OK);
    test_store_end(&shop.t);
}

TEST(queue_test_crashes_a_child_at_a_point_of_the_handler)
{
    struct shop shop = {.refusals = 0};
    test_queue_begin(&shop.t);
    enqueue(shop.t.store, "mail", 0);
    store_close(shop.t.store);
    EXPECT(queue_test_crash("mail.sent", 1, play, &shop));
    EXPECT(queue_test_crash("queue.ack.after", 1, play, &shop));
    EXPECT(!queue_test_crash("mail.sent", 2, play, &shop)); // one job passes it once
    EXPECT_EQ(test_store_open(&shop.t, true), OK);
    EXPECT_EQ(test_store_int(shop.t.store, "SELECT count(*) FROM job"), 0);
    EXPECT_EQ(test_store_int(shop.t.store, "SELECT count(*) FROM effect"), 1);
    test_store_end(&shop.t);
}
