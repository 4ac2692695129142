#include "core/mem.h"
#include "queue/queue_admin_limit.h"
#include "test.h"

TEST(queue_admin_limit_reads_rates_as_people_write_them)
{
    static const struct {
        const char *text;
        int64_t jobs, ms;
    } good[] = {
        {"10", 10, 1000},
        {"10/s", 10, 1000},
        {"100/5m", 100, 300000},
        {"7/250ms", 7, 250},
        {"1/h", 1, 3600000},
        {"3/2", 3, 2000},
        {"2/36500h", 2, 131400000000},
        {"0", 0, 1000},
        {"2147483647/d", INT32_MAX, 86400000},
    };
    static const char *const bad[] = {
        "",      "/", "/s",   "10/",   "10/x",       "-1/s",        "1/0s",
        "1/-1s", "x", "1 /s", "1/s/s", "2147483648", "1/99999999h", "1/1234567890123456s",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t jobs = -1, ms = -1;
        EXPECT_EQ(queue_admin_limit_parse_rate(str_of(good[i].text), &jobs, &ms), OK);
        EXPECT_EQ(jobs, good[i].jobs);
        EXPECT_EQ(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t jobs, ms;
        EXPECT_EQ(queue_admin_limit_parse_rate(str_of(bad[i]), &jobs, &ms), ERR_INVALID);
    }
}

TEST(queue_admin_limit_writes_rates_that_it_reads)
{
    static const struct {
        int64_t jobs, ms;
        const char *text;
    } rows[] = {
        {10, 1000, "10/s"},     {10, 0, "10/s"},     {100, 300000, "100/5m"},
        {1, 1500, "1/1500ms"},  {1, 90000, "1/90s"}, {4, 86400000, "4/d"},
        {4, 172800000, "4/2d"}, {0, 5000, "0"},      {1, 1, "1/ms"},
    };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t jobs, ms;
        struct str text = queue_admin_limit_rate_text(rows[i].jobs, rows[i].ms, &arena);
        EXPECT_STR(text, rows[i].text);
        EXPECT_EQ(queue_admin_limit_parse_rate(text, &jobs, &ms), OK);
        EXPECT_EQ(jobs, rows[i].jobs);
    }
    arena_done(&arena);
}
