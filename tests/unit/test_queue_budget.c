#include "queue/queue_budget.h"

#include "core/clock.h"
#include "test.h"

static int take_retries(struct queue_budget *b, int count)
{
    int taken = 0;
    int64_t delay_ms;
    for (int i = 0; i < count; i++)
        taken += queue_budget_take(b, true, &delay_ms);
    return taken;
}

TEST(queue_budget_lets_a_part_of_the_runs_be_retries)
{
    struct queue_budget b = {.percent = 20};
    int64_t delay_ms, last_ms = -1;
    clock_test_stop();                  // each second earns some
    int saved = take_retries(&b, 1000); // what is saved for a start
    EXPECT(saved > 0 && saved <= 10 * QUEUE_BUDGET_RETRIES_PER_S);
    for (int i = 0; i < 50; i++)
        EXPECT(queue_budget_take(&b, false, &delay_ms));
    int taken = take_retries(&b, 1000);
    EXPECT_EQ(taken, 10); // a fifth of 50
    clock_test_advance(1000);
    taken = take_retries(&b, 1000);
    EXPECT(taken >= QUEUE_BUDGET_RETRIES_PER_S && taken < 2 * QUEUE_BUDGET_RETRIES_PER_S);
    for (int i = 0; i < 5; i++) { // each goes back to a turn of its own
        EXPECT(!queue_budget_take(&b, true, &delay_ms));
        EXPECT(delay_ms > last_ms);
        last_ms = delay_ms;
    }
}

TEST(queue_budget_is_no_limit_where_there_is_none)
{
    struct queue_budget b = {.percent = 0};
    EXPECT_EQ(take_retries(&b, 100000), 100000);
}
