#include "civic/civic_rate.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "test.h"

static int takes_until_refused(struct civic_rate *r, enum civic_rate_kind kind, int64_t id)
{
    int count = 0;
    while (count < 10000 && civic_rate_take_id(r, kind, id) == 0)
        count++;
    return count;
}

TEST(civic_rate_allows_a_burst_then_tells_how_long_to_wait)
{
    crypto_init();
    struct civic_rate *r = civic_rate_new(true);
    int burst = takes_until_refused(r, CIVIC_RATE_COMMENT, 1);
    EXPECT(burst >= 60 && burst < 100);
    int64_t wait_ms = civic_rate_take_id(r, CIVIC_RATE_COMMENT, 1);
    EXPECT(wait_ms > 0 && wait_ms <= 1000);
    clock_test_advance(wait_ms);
    EXPECT_EQ(civic_rate_take_id(r, CIVIC_RATE_COMMENT, 1), 0);
    civic_rate_free(r);
}

TEST(civic_rate_leaves_others_and_other_kinds_alone)
{
    crypto_init();
    struct civic_rate *r = civic_rate_new(true);
    takes_until_refused(r, CIVIC_RATE_COMMENT, 1);
    EXPECT_EQ(civic_rate_take_id(r, CIVIC_RATE_COMMENT, 2), 0);
    EXPECT_EQ(civic_rate_take_id(r, CIVIC_RATE_SUPPORT, 1), 0);
    civic_rate_free(r);
}

TEST(civic_rate_given_back_does_not_count)
{
    crypto_init();
    struct civic_rate *r = civic_rate_new(true);
    for (int i = 0; i < 1000; i++) {
        EXPECT_EQ(civic_rate_take(r, CIVIC_RATE_LOGIN_PAIR, STR("a@b.c ::1")), 0);
        civic_rate_give_back(r, CIVIC_RATE_LOGIN_PAIR, STR("a@b.c ::1"));
    }
    int count = 0;
    while (civic_rate_take(r, CIVIC_RATE_LOGIN_PAIR, STR("a@b.c ::1")) == 0)
        count++;
    EXPECT(count >= 10 && count < 15);
    EXPECT_EQ(civic_rate_take(r, CIVIC_RATE_LOGIN_PAIR, STR("a@b.c ::2")), 0);
    civic_rate_free(r);
}

TEST(civic_rate_switched_off_allows_everything)
{
    crypto_init();
    struct civic_rate *r = civic_rate_new(false);
    EXPECT_EQ(takes_until_refused(r, CIVIC_RATE_PROPOSAL, 1), 10000);
    civic_rate_free(r);
}
