#include "core/mem.h"
#include "io/io_wheel.h"
#include "test.h"

struct probe {
    struct io_timer timer;
    struct io_wheel *wheel;
    int64_t again_ms; // starts itself again for then, once
    struct io_timer *stops;
    int runs;
};

static void on_due(struct io_timer *t)
{
    struct probe *p = LIST_ENTRY(t, struct probe, timer);
    p->runs++;
    if (p->stops)
        io_timer_stop(p->stops);
    if (p->again_ms) {
        io_wheel_start(p->wheel, t, p->again_ms);
        p->again_ms = 0;
    }
}

static struct io_wheel *new_wheel(int64_t now_ms)
{
    struct io_wheel *w = MEM_NEW(struct io_wheel);
    io_wheel_init(w, now_ms);
    return w;
}

static void start(struct io_wheel *w, struct probe *p, int64_t due_ms)
{
    p->wheel = w;
    io_timer_init(&p->timer, on_due);
    io_wheel_start(w, &p->timer, due_ms);
}

TEST(io_wheel_never_runs_a_timer_early_and_at_most_one_tick_late)
{
    for (int64_t due = 1000; due < 1000 + 3 * IO_TIMER_TICK_MS; due += 7) {
        struct io_wheel *w = new_wheel(990);
        struct probe p = {0};
        start(w, &p, due);
        int64_t now = 990;
        while (p.runs == 0 && now < 5000)
            io_wheel_run(w, ++now);
        EXPECT(now >= due && now < due + IO_TIMER_TICK_MS);
        mem_free(w);
    }
}

TEST(io_wheel_keeps_a_timer_of_a_later_round)
{
    const int64_t round_ms = (int64_t)IO_WHEEL_SLOTS * IO_TIMER_TICK_MS;
    struct io_wheel *w = new_wheel(0);
    struct probe far = {0}, near = {0};
    start(w, &far, 3 * round_ms + 100);
    start(w, &near, 100); // the same slot
    for (int64_t now = 0; now < 3 * round_ms + 100; now += IO_TIMER_TICK_MS)
        io_wheel_run(w, now);
    EXPECT_EQ(near.runs, 1);
    EXPECT_EQ(far.runs, 0);
    io_wheel_run(w, 3 * round_ms + 100);
    EXPECT_EQ(far.runs, 1);
    mem_free(w);
}

TEST(io_wheel_runs_everything_due_after_a_long_sleep_once)
{
    struct io_wheel *w = new_wheel(12345);
    struct probe p[100] = {0};
    for (int i = 0; i < 100; i++)
        start(w, &p[i], 12345 + i * 10007);
    io_wheel_run(w, 12345 + 100 * 10007);
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(p[i].runs, 1);
    EXPECT(io_wheel_next_ms(w) == INT64_MAX);
    mem_free(w);
}

TEST(io_wheel_lets_a_timer_start_itself_again_for_now)
{
    struct io_wheel *w = new_wheel(0);
    struct probe p = {.again_ms = 100};
    start(w, &p, 100);
    io_wheel_run(w, 100);
    EXPECT_EQ(p.runs, 1);
    io_wheel_run(w, 150);
    EXPECT_EQ(p.runs, 2);
    mem_free(w);
}

TEST(io_wheel_lets_a_timer_stop_another_of_the_same_tick)
{
    struct io_wheel *w = new_wheel(0);
    struct probe a = {0}, b = {0};
    start(w, &a, 100);
    start(w, &b, 100);
    a.stops = &b.timer;
    io_wheel_run(w, 1000);
    EXPECT_EQ(a.runs, 1);
    EXPECT_EQ(b.runs, 0);
    mem_free(w);
}

TEST(io_wheel_tells_when_to_wake_and_sleeps_when_all_timers_stopped)
{
    struct io_wheel *w = new_wheel(1000);
    EXPECT(io_wheel_next_ms(w) == INT64_MAX);
    struct probe a = {0}, b = {0};
    start(w, &a, 90001);
    EXPECT_EQ(io_wheel_next_ms(w), 90050);
    start(w, &b, 2000);
    EXPECT_EQ(io_wheel_next_ms(w), 2000);
    io_wheel_run(w, 2000);
    EXPECT_EQ(io_wheel_next_ms(w), 90050);
    io_timer_stop(&a.timer);
    io_wheel_run(w, 90050); // a stopped timer may cost one look, not more
    EXPECT_EQ(a.runs, 0);
    EXPECT(io_wheel_next_ms(w) == INT64_MAX);
    mem_free(w);
}

TEST(io_wheel_moves_a_timer_that_is_started_again)
{
    struct io_wheel *w = new_wheel(0);
    struct probe p = {0};
    start(w, &p, 100);
    io_wheel_start(w, &p.timer, 500);
    io_wheel_run(w, 499);
    EXPECT_EQ(p.runs, 0);
    io_wheel_run(w, 500);
    EXPECT_EQ(p.runs, 1);
    mem_free(w);
}
