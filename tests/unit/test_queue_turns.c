/* Who is sent back by an async handler, and called back when there is room. */
#include "queue/queue_turns.h"

#include "test_queue.h"

struct act {
    struct queue_turns turns;
    struct queue_job jobs[8];
    int64_t delays_ms[8];
    size_t count;
    struct queue_turn called[8];
    size_t called_count;
};

static enum err send_fn(struct store_tx *tx, void *arg)
{
    const struct act *a = arg;
    enum err err = OK;
    for (size_t i = 0; i < a->count && !err; i++)
        err = queue_release(tx, &a->jobs[i], store_now_ms(tx) + a->delays_ms[i]);
    return err;
}

static enum err recall_fn(struct store_tx *tx, void *arg)
{
    const struct act *a = arg;
    enum err err = OK;
    for (size_t i = 0; i < a->called_count && !err; i++)
        err = queue_turns_recall(tx, &a->called[i]);
    return err;
}

static void send_all(struct test_store *t, struct act *a)
{
    int64_t next_ms;
    a->count = test_queue_claim(t, a->jobs, 8, &next_ms);
    for (size_t i = 0; i < a->count; i++)
        a->delays_ms[i] = queue_turns_send(&a->turns, &a->jobs[i], 0, 60000);
    EXPECT_EQ(store_write_wait(t->store, send_fn, a), OK);
    for (size_t i = 0; i < a->count; i++)
        arena_done(&a->jobs[i].arena);
}

TEST(queue_turns_call_back_who_was_sent_back_in_order)
{
    struct test_store t;
    struct act a = {0};
    test_queue_begin_still(&t);
    test_queue_add(&t, &(struct queue_new){.kind = STR("a")}, 4);
    a.turns.end_ms = clock_mono_ms() + 30000; // nobody comes at once
    send_all(&t, &a);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state = 3"), 4);
    EXPECT(queue_turns_are_before(&a.turns, &(struct queue_job){0}));

    EXPECT_EQ(test_store_run(t.store, "UPDATE job SET epoch = epoch + 1 WHERE id = 2"), OK);
    a.called_count = queue_turns_call(&a.turns, a.called, 3);
    EXPECT_EQ(a.called_count, 3);
    EXPECT_EQ(store_write_wait(t.store, recall_fn, &a), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT sum(id * id) FROM job WHERE state = 0"), 1 + 9);
    EXPECT(queue_turns_are_before(&a.turns, &(struct queue_job){0})); // the fourth

    EXPECT_EQ(queue_turns_call(&a.turns, a.called, 8), 1);
    EXPECT_EQ(a.called[0].id, 4);
    EXPECT(!queue_turns_are_before(&a.turns, &(struct queue_job){0}));
    EXPECT_EQ(queue_turns_call(&a.turns, a.called, 8), 0);
    queue_turns_done(&a.turns);
    test_store_end(&t);
}

TEST(queue_turns_forget_who_came_by_itself)
{
    struct queue_turns turns = {0};
    struct queue_turn called[200];
    clock_test_stop();
    for (int i = 0; i < 150; i++) // it grows, and goes round
        EXPECT_EQ(queue_turns_send(&turns, &(struct queue_job){.id = i + 1}, 0, 100), i * 100);
    clock_test_advance(9950);
    for (int i = 0; i < 40; i++)
        queue_turns_send(&turns, &(struct queue_job){.id = i + 151}, 0, 100);
    EXPECT_EQ(queue_turns_call(&turns, called, 200), 90);
    for (int i = 0; i < 90; i++)
        EXPECT_EQ(called[i].id, 101 + i);
    queue_turns_done(&turns);
}

TEST(queue_turns_come_within_a_time_though_nobody_calls)
{
    struct queue_turns turns = {0};
    clock_test_stop();
    for (int i = 0; i < 1000; i++)
        EXPECT(queue_turns_send(&turns, &(struct queue_job){.id = i + 1}, 0, 3600000) <= 65000);
    queue_turns_done(&turns);
}
