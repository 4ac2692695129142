#include "hub/hub_message.h"
#include "hub/hub_meter.h"
#include "test.h"

TEST(hub_meter_puts_a_time_into_the_first_bucket_that_holds_it)
{
    static const struct {
        int64_t us;
        size_t bucket;
        const char *why;
    } rows[] = {
        {-5, 0, "a clock that went back"},
        {0, 0, "nothing"},
        {100, 0, "a bound belongs to its bucket"},
        {101, 1, "the next one"},
        {1000, 3, "1 ms"},
        {1000000, HUB_METER_BUCKETS - 2, "the last bound"},
        {1000001, HUB_METER_BUCKETS - 1, "more than all bounds"},
        {INT64_MAX, HUB_METER_BUCKETS - 1, "for ever"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hub_histogram h = {0};
        hub_meter_observe(&h, rows[i].us);
        for (size_t b = 0; b < HUB_METER_BUCKETS; b++)
            EXPECT_EQ(h.buckets[b], b == rows[i].bucket ? 1 : 0);
        EXPECT_EQ(h.sum_us, rows[i].us > 0 ? (uint64_t)rows[i].us : 0);
    }
}

TEST(hub_meter_has_bounds_that_grow)
{
    for (size_t i = 1; i < HUB_METER_BUCKETS - 1; i++)
        EXPECT(hub_meter_bounds_us[i] > hub_meter_bounds_us[i - 1]);
}

TEST(hub_meter_counts_codes_that_it_does_not_know_together)
{
    struct hub_meter m = {0};
    hub_meter_add_code(&m, HUB_METER_ENDED, 4201);
    hub_meter_add_code(&m, HUB_METER_ENDED, 4999);
    hub_meter_add_code(&m, HUB_METER_ENDED, 1);
    for (size_t i = 0; i < HUB_METER_CODES; i++) {
        uint64_t expected = hub_meter_codes[i] == 4201 ? 1 : hub_meter_codes[i] == 0 ? 2 : 0;
        EXPECT_EQ(m.coded[HUB_METER_ENDED][i], expected);
        EXPECT_EQ(m.coded[HUB_METER_REFUSED_CONNECTION][i], 0);
    }
}

TEST(hub_meter_counts_a_text_as_its_frame)
{
    struct hub_meter texts = {0}, frames = {0};
    struct buf out;
    hub_message_init(&out, 1024);
    hub_message_internal_frame(&out, "a", STR("{}"), STR("c"));
    hub_meter_add_text(&texts, buf_len(&out) - 2); // a header of two bytes
    size_t first = buf_len(&out);
    hub_message_cache_miss_frame(&out, STR("c"));
    hub_meter_add_text(&texts, buf_len(&out) - first - 2);
    hub_meter_add_frames(&frames, (struct str){(const char *)buf_head(&out), buf_len(&out)});
    EXPECT_EQ(frames.counts[HUB_METER_SENT], 2);
    EXPECT_EQ(frames.counts[HUB_METER_SENT_BYTES], buf_len(&out));
    EXPECT_EQ(texts.counts[HUB_METER_SENT], 2);
    EXPECT_EQ(texts.counts[HUB_METER_SENT_BYTES], buf_len(&out));
    buf_done(&out);
}

TEST(hub_meter_sums_all_that_it_has)
{
    struct hub_meter one = {0}, sum = {0};
    hub_meter_add(&one, HUB_METER_CLIENT_EVENTS, 3);
    hub_meter_add_code(&one, HUB_METER_REFUSED_MESSAGE, 4301);
    hub_meter_observe(&one.delivery, 2000);
    hub_meter_sum(&sum, &one);
    hub_meter_sum(&sum, &one);
    for (size_t i = 0; i < HUB_METER_COUNTERS; i++)
        EXPECT_EQ(sum.counts[i], 2 * one.counts[i]);
    for (size_t i = 0; i < HUB_METER_CODES; i++)
        EXPECT_EQ(sum.coded[HUB_METER_REFUSED_MESSAGE][i],
                  2 * one.coded[HUB_METER_REFUSED_MESSAGE][i]);
    EXPECT_EQ(sum.delivery.buckets[4], 2);
    EXPECT_EQ(sum.delivery.sum_us, 4000);
}
