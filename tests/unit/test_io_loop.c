#include "core/clock.h"
#include "core/mem.h"
#include "io/io_loop.h"
#include "io/io_pool.h"
#include "test.h"

#include <pthread.h>

enum { POSTERS = 4, TASKS_EACH = 500 };

/* ---- posting ---- */

struct sum {
    struct io_loop *loop;
    int runs;
    int last[POSTERS];
    bool is_ordered;
};

struct numbered {
    struct io_task task;
    struct sum *sum;
    int poster, number;
};

static void add(struct io_task *task)
{
    struct numbered *n = LIST_ENTRY(task, struct numbered, task);
    struct sum *s = n->sum;
    s->is_ordered = s->is_ordered && s->last[n->poster] == n->number - 1;
    s->last[n->poster] = n->number;
    if (++s->runs == POSTERS * TASKS_EACH)
        io_loop_stop(s->loop);
}

static void *post_all(void *ctx)
{
    struct numbered *tasks = ctx;
    for (int i = 0; i < TASKS_EACH; i++)
        io_loop_post(tasks[i].sum->loop, &tasks[i].task);
    return NULL;
}

TEST(io_loop_runs_every_posted_task_in_the_order_of_its_poster)
{
    static struct numbered tasks[POSTERS][TASKS_EACH];
    struct sum sum = {.loop = io_loop_new(3), .is_ordered = true};
    pthread_t threads[POSTERS];

    for (int p = 0; p < POSTERS; p++) {
        for (int i = 0; i < TASKS_EACH; i++)
            tasks[p][i] = (struct numbered){.task.run = add, &sum, p, i + 1};
        EXPECT_EQ(pthread_create(&threads[p], NULL, post_all, tasks[p]), 0);
    }
    io_loop_run(sum.loop);
    for (int p = 0; p < POSTERS; p++)
        pthread_join(threads[p], NULL);
    EXPECT_EQ(sum.runs, POSTERS * TASKS_EACH);
    EXPECT(sum.is_ordered);
    EXPECT_EQ(io_loop_index(sum.loop), 3);
    io_loop_free(sum.loop);
}

TEST(io_loop_does_not_run_when_it_was_stopped_before)
{
    struct io_loop *l = io_loop_new(0);
    io_loop_stop(l);
    io_loop_run(l);
    io_loop_free(l);
}

static void count(struct io_task *task)
{
    LIST_ENTRY(task, struct numbered, task)->sum->runs++;
}

TEST(io_loop_runs_what_was_posted_after_its_last_turn_when_it_is_freed)
{
    struct sum sum = {.loop = io_loop_new(0)};
    struct numbered n = {.task.run = count, .sum = &sum};
    io_loop_stop(sum.loop);
    io_loop_run(sum.loop);
    io_loop_post(sum.loop, &n.task);
    io_loop_free(sum.loop);
    EXPECT_EQ(sum.runs, 1);
}

static void stop(struct io_task *task)
{
    io_loop_stop(LIST_ENTRY(task, struct numbered, task)->sum->loop);
}

static void *post_one(void *ctx)
{
    struct numbered *n = ctx;
    io_loop_post(n->sum->loop, &n->task);
    return NULL;
}

TEST(io_loop_may_be_freed_while_the_poster_of_its_last_task_is_on_its_way_out)
{
    for (int round = 0; round < 200; round++) {
        struct sum sum = {.loop = io_loop_new(0)};
        struct numbered n = {.task.run = stop, .sum = &sum};
        pthread_t poster;
        EXPECT_EQ(pthread_create(&poster, NULL, post_one, &n), 0);
        io_loop_run(sum.loop);
        io_loop_free(sum.loop);
        pthread_join(poster, NULL);
    }
}

/* ---- turns ---- */

struct turns {
    struct io_loop *loop;
    struct io_task task;
    struct io_hook first, second;
    struct io_timer timer;
    char order[8];
    int len;
    int64_t started_ms, fired_ms;
};

static void note(struct turns *t, char c)
{
    if (t->len < 7)
        t->order[t->len++] = c;
}

static void on_task(struct io_task *task)
{
    struct turns *t = LIST_ENTRY(task, struct turns, task);
    note(t, 't');
    io_loop_stop(t->loop);
}

static void on_first(struct io_hook *hook)
{
    struct turns *t = LIST_ENTRY(hook, struct turns, first);
    if (t->len > 0)
        note(t, '1');
}

static void on_second(struct io_hook *hook)
{
    struct turns *t = LIST_ENTRY(hook, struct turns, second);
    if (t->len > 0)
        note(t, '2');
}

TEST(io_loop_runs_its_hooks_in_order_at_the_end_of_the_turn)
{
    struct turns t = {.loop = io_loop_new(0), .task.run = on_task};
    t.first.run = on_first;
    t.second.run = on_second;
    io_loop_add_hook(t.loop, &t.first);
    io_loop_add_hook(t.loop, &t.second);
    io_loop_post(t.loop, &t.task);
    io_loop_run(t.loop);
    EXPECT(memcmp(t.order, "t12", 3) == 0);
    io_loop_free(t.loop);
}

static void on_due(struct io_timer *timer)
{
    struct turns *t = LIST_ENTRY(timer, struct turns, timer);
    t->fired_ms = clock_mono_ms();
    io_loop_stop(t->loop);
}

TEST(io_loop_wakes_up_for_a_timer_and_not_early)
{
    struct turns t = {.loop = io_loop_new(0)};
    io_timer_init(&t.timer, on_due);
    t.started_ms = clock_mono_ms();
    io_timer_start(t.loop, &t.timer, 120);
    io_loop_run(t.loop);
    EXPECT(t.fired_ms - t.started_ms >= 120);
    io_loop_free(t.loop);
}

static void on_wake_up(struct io_task *task)
{
    (void)task; // any event makes the loop look at the clock
}

TEST(io_loop_follows_the_test_clock)
{
    struct turns t = {.loop = io_loop_new(0), .task.run = on_wake_up};
    io_timer_init(&t.timer, on_due);
    io_timer_start(t.loop, &t.timer, 3600 * 1000);
    clock_test_advance(3601 * 1000);
    io_loop_post(t.loop, &t.task);
    io_loop_run(t.loop);
    EXPECT(t.fired_ms > 0);
    io_loop_free(t.loop);
}

/* ---- the pool ---- */

enum { JOBS = 200 };

struct batch {
    struct io_loop *loop;
    pthread_t home;
    int done, wrong_thread;
};

struct square {
    struct io_job job;
    struct batch *batch;
    int value;
};

static void square(struct io_job *job)
{
    struct square *s = LIST_ENTRY(job, struct square, job);
    s->value *= s->value;
}

static void on_square(struct io_job *job)
{
    struct batch *b = LIST_ENTRY(job, struct square, job)->batch;
    b->wrong_thread += !pthread_equal(pthread_self(), b->home);
    if (++b->done == JOBS)
        io_loop_stop(b->loop);
}

TEST(io_pool_brings_each_result_back_to_its_loop)
{
    struct square *jobs = mem_zalloc(JOBS * sizeof(*jobs));
    struct batch batch = {.loop = io_loop_new(0), .home = pthread_self()};
    struct io_pool *p = io_pool_new(4, "test");

    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct square){.batch = &batch, .value = i};
        jobs[i].job = (struct io_job){.home = batch.loop, .run = square, .on_done = on_square};
        EXPECT_EQ(io_pool_run(p, &jobs[i].job), OK);
    }
    io_loop_run(batch.loop);
    EXPECT_EQ(batch.done, JOBS);
    EXPECT_EQ(batch.wrong_thread, 0);
    for (int i = 0; i < JOBS; i++)
        EXPECT_EQ(jobs[i].value, i * i);
    io_pool_free(p);
    mem_free(jobs);
    io_loop_free(batch.loop);
}

static void on_pool_thread(struct io_job *job)
{
    LIST_ENTRY(job, struct square, job)->value++;
}

TEST(io_pool_runs_what_is_queued_before_it_ends)
{
    struct square *jobs = mem_zalloc(JOBS * sizeof(*jobs));
    struct io_pool *p = io_pool_new(1, "test");
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct square){.value = i};
        jobs[i].job = (struct io_job){.run = square, .on_done = on_pool_thread};
        EXPECT_EQ(io_pool_run(p, &jobs[i].job), OK);
    }
    io_pool_free(p);
    for (int i = 0; i < JOBS; i++)
        EXPECT_EQ(jobs[i].value, i * i + 1);
    mem_free(jobs);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_gate(struct io_job *job)
{
    (void)job;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void ignore(struct io_job *job)
{
    (void)job;
}

static void fill_pool(struct io_pool *p, int max)
{
    struct io_job *jobs = mem_zalloc((size_t)(max + 2) * sizeof(*jobs));
    int refused = 0;

    pthread_mutex_lock(&gate);
    for (int i = 0; i < max + 2; i++) { // one runs, perhaps
        jobs[i] = (struct io_job){.run = wait_at_gate, .on_done = ignore};
        refused += io_pool_run(p, &jobs[i]) == ERR_AGAIN;
    }
    pthread_mutex_unlock(&gate);
    EXPECT(refused == 1 || refused == 2);
    io_pool_free(p);
    mem_free(jobs);
}

TEST(io_pool_refuses_more_than_its_limit)
{
    struct io_pool *limited = io_pool_new(1, "test");
    fill_pool(io_pool_new(1, "test"), IO_POOL_MAX_QUEUED);
    io_pool_limit(limited, 50);
    fill_pool(limited, 50);
}

/* ---- locals ---- */

static int made, freed;

static void *make_local(void)
{
    made++;
    return &made;
}

static void free_local(void *local)
{
    EXPECT(local == &made);
    freed++;
}

TEST(io_loop_makes_a_local_once_and_frees_it_with_the_loop)
{
    static const struct io_loop_local kinds[2] = {{make_local, free_local},
                                                  {make_local, free_local}};
    struct io_loop *l = io_loop_new(0);
    for (int i = 0; i < 4; i++)
        EXPECT(io_loop_get_local(l, &kinds[i % 2]) == &made);
    EXPECT_EQ(made, 2);
    EXPECT_EQ(freed, 0);
    io_loop_free(l);
    EXPECT_EQ(freed, 2);
}
