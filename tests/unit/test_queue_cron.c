#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "queue/queue_cron.h"
#include "test.h"

static struct queue_cron parsed(const char *text)
{
    struct queue_cron cron = {0};
    struct str why = {0};
    enum err err = queue_cron_parse(str_of(text), &cron, &why);
    ck_assert_msg(!err, "\"%s\": %.*s", text, STR_ARG(why));
    return cron;
}

static struct queue_zone *opened(const char *name)
{
    struct queue_zone *zone = NULL;
    ck_assert_msg(queue_zone_open(str_of(name), &zone) == OK, "%s: is tzdata installed?", name);
    return zone;
}

/* "2026-03-29 03:30", on the zone's clocks; the earlier one when they show it twice. */
static int64_t at_local(const struct queue_zone *zone, const char *text)
{
    struct tm tm = {0};
    const char *end =
        strptime(text, strchr(text, 'T') ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d %H:%M", &tm);
    ck_assert_msg(end && !*end, "%s", text);
    int64_t local = timegm(&tm);
    if (strchr(text, 'T'))
        return local * 1000;
    int64_t unix_s = local - queue_zone_offset_s(zone, local - 86400);
    if (unix_s + queue_zone_offset_s(zone, unix_s) != local)
        unix_s = local - queue_zone_offset_s(zone, local + 86400);
    EXPECT_EQ(unix_s + queue_zone_offset_s(zone, unix_s), local);
    return unix_s * 1000;
}

static void print_utc(int64_t unix_ms, char out[static 32])
{
    time_t unix_s = (time_t)(unix_ms / 1000);
    struct tm tm;
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&unix_s, &tm));
}

struct row {
    const char *zone, *cron, *after; // on the zone's clocks, or UTC with T and Z
    const char *want[4];             // UTC
    const char *why;
};

static void expect_ticks(const struct row *row)
{
    struct queue_zone *zone = opened(row->zone);
    struct queue_cron cron = parsed(row->cron);
    int64_t at = at_local(zone, row->after);
    for (size_t i = 0; i < 4 && row->want[i]; i++) {
        char got[32];
        EXPECT_EQ(queue_cron_next(&cron, zone, at, &at), OK);
        print_utc(at, got);
        ck_assert_msg(strcmp(got, row->want[i]) == 0, "%s \"%s\" after %s (%s): %s, not %s",
                      row->zone, row->cron, row->after, row->why, got, row->want[i]);
    }
    queue_zone_close(zone);
}

/* clang-format off */
static const struct row plain[] = {
    {"UTC", "* * * * *", "2026-11-26 17:30", {"2026-11-26T17:31:00Z", "2026-11-26T17:32:00Z"}, "every minute"},
    {"UTC", "*/15 * * * * *", "2026-11-26 17:59", {"2026-11-26T17:59:15Z", "2026-11-26T17:59:30Z", "2026-11-26T17:59:45Z", "2026-11-26T18:00:00Z"}, "seconds"},
    {"UTC", "59 59 23 31 12 *", "2026-11-26 17:59", {"2026-12-31T23:59:59Z", "2027-12-31T23:59:59Z"}, "carry"},
    {"UTC", "5-59/20 3 * * *", "2026-11-26 03:05", {"2026-11-26T03:25:00Z", "2026-11-26T03:45:00Z", "2026-11-27T03:05:00Z"}, "range with a step"},
    {"UTC", "50/5 0 * * *", "2026-11-26 00:50", {"2026-11-26T00:55:00Z", "2026-11-27T00:50:00Z"}, "from a value to the end"},
    {"UTC", "0 9,17 * * MON-fri", "2026-11-27 09:00", {"2026-11-27T17:00:00Z", "2026-11-30T09:00:00Z"}, "names, list"},
    {"UTC", "0 0 * * 7", "2026-11-26 00:00", {"2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z"}, "7 is Sunday"},
    {"UTC", "0 0 * * 5-7", "2026-11-26 00:00", {"2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z", "2026-12-04T00:00:00Z"}, "to 7"},
    {"UTC", "0 0 * * sat-sun", "2026-11-26 00:00", {"2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z", "2026-12-05T00:00:00Z"}, "to Sunday by name"},
    {"UTC", "0 0 * * 1/2", "2026-11-29 00:00", {"2026-11-30T00:00:00Z", "2026-12-02T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-07T00:00:00Z"}, "Sunday is not behind Saturday"},
    {"UTC", "0 0 1 jan,Jul *", "2026-11-26 00:00", {"2027-01-01T00:00:00Z", "2027-07-01T00:00:00Z"}, "months by name"},
    {"UTC", "0 0 13 * fri", "2026-11-26 00:00", {"2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"}, "day OR weekday"},
    {"UTC", "0 0 */2 * mon", "2026-11-26 00:00", {"2026-12-07T00:00:00Z", "2026-12-21T00:00:00Z", "2027-01-11T00:00:00Z"}, "with a * it is AND"},
    {"UTC", "0 0 L * *", "2026-11-26 00:00", {"2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z", "2027-02-28T00:00:00Z"}, "the last day"},
    {"UTC", "0 0 15,L feb *", "2028-01-01 00:00", {"2028-02-15T00:00:00Z", "2028-02-29T00:00:00Z", "2029-02-15T00:00:00Z"}, "of a leap year"},
    {"UTC", "0 18 * * friL", "2026-11-26 00:00", {"2026-11-27T18:00:00Z", "2026-12-25T18:00:00Z", "2027-01-29T18:00:00Z"}, "the last Friday"},
    {"UTC", "0 0 29 2 *", "2096-03-01 00:00", {"2104-02-29T00:00:00Z", "2108-02-29T00:00:00Z"}, "2100 is no leap year"},
    {"UTC", "0 0 29 2 */7", "2088-03-01 00:00", {"2128-02-29T00:00:00Z"}, "the longest wait: a Sunday"},
    {"UTC", "  0\t0   1 1 *  ", "2026-11-26 00:00", {"2027-01-01T00:00:00Z"}, "blanks"},
    {"UTC", "@yearly", "2026-11-26 00:00", {"2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"}, "name"},
    {"UTC", "@annually", "2026-11-26 00:00", {"2027-01-01T00:00:00Z"}, "name"},
    {"UTC", "@monthly", "2026-11-26 00:00", {"2026-12-01T00:00:00Z"}, "name"},
    {"UTC", "@weekly", "2026-11-26 00:00", {"2026-11-29T00:00:00Z"}, "name"},
    {"UTC", "@Daily", "2026-11-26 00:00", {"2026-11-27T00:00:00Z"}, "name"},
    {"UTC", "@midnight", "2026-11-26 00:00", {"2026-11-27T00:00:00Z"}, "name"},
    {"UTC", "@hourly", "2026-11-26 00:00", {"2026-11-26T01:00:00Z"}, "name"},
    {"Europe/Kyiv", "30 9 * * *", "2026-11-26 00:00", {"2026-11-26T07:30:00Z"}, "winter"},
    {"Europe/Kyiv", "30 9 * * *", "2026-07-01 00:00", {"2026-07-01T06:30:00Z"}, "summer"},
    {"Europe/Kyiv", "30 9 * * *", "2061-07-01 00:00", {"2061-07-01T06:30:00Z"}, "after the years in the file, by its rule"},
    {"Asia/Kathmandu", "0 0 * * *", "2026-11-26 12:00", {"2026-11-26T18:15:00Z"}, "a quarter of an hour"},
    {"America/New_York", "0 0 1 * *", "2026-11-26 12:00", {"2026-12-01T05:00:00Z"}, "another day there"},
};

/* Kyiv: 29 March 2026 03:00 -> 04:00 at 01:00Z; 25 October 2026 04:00 -> 03:00 at 01:00Z. */
static const struct row changes[] = {
    {"Europe/Kyiv", "30 3 * * *", "2026-03-28 12:00", {"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}, "skipped: at the end of the gap"},
    {"Europe/Kyiv", "*/10 3 * * *", "2026-03-29 02:59", {"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}, "six skipped: once"},
    {"Europe/Kyiv", "30 3,4 * * *", "2026-03-29 02:59", {"2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}, "the one after the gap is itself"},
    {"Europe/Kyiv", "0,30 3-4 * * *", "2026-03-29 02:59", {"2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"}, "one at the gap's end is the same instant"},
    {"Europe/Kyiv", "0 3 * * *", "2026-03-28 12:00", {"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}, "the first instant of the gap"},
    {"Europe/Kyiv", "0 4 * * *", "2026-03-28 12:00", {"2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"}, "the first behind it"},
    {"Europe/Kyiv", "30 3 * * *", "2026-03-29T00:59:59Z", {"2026-03-29T01:00:00Z"}, "from the last second before the gap"},
    {"Europe/Kyiv", "30 3 * * *", "2026-03-29T01:00:00Z", {"2026-03-30T00:30:00Z"}, "from the tick at its end"},
    {"Europe/Kyiv", "*/30 * * * *", "2026-03-29 02:00", {"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"}, "every half hour goes on"},
    {"Europe/Kyiv", "40 * * * *", "2026-03-29 02:00", {"2026-03-29T00:40:00Z", "2026-03-29T01:40:00Z"}, "and gets none at the gap's end"},
    {"Europe/Kyiv", "30 3 * * *", "2026-10-24 12:00", {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}, "twice on the clock, once due"},
    {"Europe/Kyiv", "30 3 * * *", "2026-10-25T01:10:00Z", {"2026-10-26T01:30:00Z"}, "from within the second hour"},
    {"Europe/Kyiv", "* 3 * * *", "2026-10-25T00:58:00Z", {"2026-10-25T00:59:00Z", "2026-10-26T01:00:00Z"}, "not one of the second hour"},
    {"Europe/Kyiv", "0 4 * * *", "2026-10-25T00:30:00Z", {"2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z"}, "after it"},
    {"Europe/Kyiv", "30 * * * *", "2026-10-25 02:30", {"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}, "hourly: both"},
    {"Europe/Kyiv", "30 */3 * * *", "2026-10-25 02:30", {"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T04:30:00Z"}, "an hour with * is not fixed"},
    {"America/Santiago", "0 0 * * *", "2026-09-05 12:00", {"2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"}, "a day without midnight"},
    {"America/Santiago", "0 0 * * sat", "2026-03-31 12:00", {"2026-04-04T03:00:00Z", "2026-04-11T04:00:00Z"}, "the day that lasts 25 hours"},
    {"Australia/Lord_Howe", "15 2 * * *", "2026-10-03 12:00", {"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}, "half an hour forward"},
    {"Australia/Lord_Howe", "45 1 * * *", "2026-04-04 12:00", {"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}, "half an hour back"},
    {"Antarctica/Troll", "30 1 * * *", "2026-03-28 12:00", {"2026-03-29T01:00:00Z", "2026-03-29T23:30:00Z"}, "two hours forward"},
    {"Pacific/Apia", "0 12 30 * *", "2011-12-29 12:30", {"2011-12-30T10:00:00Z", "2012-01-29T22:00:00Z"}, "a day that never was"},
};
/* clang-format on */

TEST(queue_cron_finds_the_next_tick)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        expect_ticks(&plain[i]);
}

TEST(queue_cron_keeps_its_word_when_clocks_change)
{
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        expect_ticks(&changes[i]);
}

TEST(queue_cron_refuses_what_is_no_expression)
{
    static const char *const rows[] = {"",
                                       "*",
                                       "* * * *",
                                       "* * * * * * *",
                                       "60 * * * *",
                                       "* 24 * * *",
                                       "* * 0 * *",
                                       "* * 32 * *",
                                       "* * * 0 *",
                                       "* * * 13 *",
                                       "* * * * 8",
                                       "60 * * * * *",
                                       "-1 * * * *",
                                       "1- * * * *",
                                       "5-1 * * * *",
                                       "1-2-3 * * * *",
                                       "*/0 * * * *",
                                       "*/61 * * * *",
                                       "*/ * * * *",
                                       "*5 * * * *",
                                       "1,,2 * * * *",
                                       ",1 * * * *",
                                       "1, * * * *",
                                       "1//2 * * * *",
                                       "* * * foo *",
                                       "* * * ja *",
                                       "* * * * funday",
                                       "* * * * mo",
                                       "jan * * * *",
                                       "L * * * *",
                                       "* * LL * *",
                                       "* * L-1 * *",
                                       "* * * L *",
                                       "* * * * L",
                                       "* * * * fri-satL",
                                       "* * * * friL/2",
                                       "0 0 30 2 *",
                                       "0 0 31 4,6 *",
                                       "0 0 31 feb *",
                                       "@reboot",
                                       "@every",
                                       "@daily *",
                                       "1 2 3 4 5 6 7 8 9 10",
                                       "0x1 * * * *",
                                       "1.5 * * * *",
                                       "\xd1\x8f * * * *",
                                       "1000 * * * *",
                                       "0001 * * * *",
                                       "* * * * 6-7L"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct queue_cron cron;
        struct str why = {0};
        ck_assert_msg(queue_cron_parse(str_of(rows[i]), &cron, &why) == ERR_INVALID, "\"%s\"",
                      rows[i]);
        ck_assert_msg(why.len > 0, "\"%s\" says why", rows[i]);
    }
    char longer[300];
    struct queue_cron cron;
    struct str why = {0};
    memset(longer, ' ', sizeof(longer));
    EXPECT_EQ(queue_cron_parse((struct str){longer, 256}, &cron, &why), ERR_INVALID);
    EXPECT_EQ(queue_cron_parse((struct str){longer, 257}, &cron, &why), ERR_TOO_LARGE);
}

TEST(queue_zone_opens_zones_by_their_names_only)
{
    static const char *const bad[] = {
        "Nowhere",
        "Europe/Nowhere",
        "Europe",
        "Europe/",
        "/Europe/Kyiv",
        "../zoneinfo/UTC",
        "Europe/../UTC",
        "EET-2EEST,M3.5.0/3,M10.5.0/4",
        "tzdata.zi",
        "posixrules",
        "+03:00",
        "Europe/Kyiv ",
        "europe/kyiv",
        "right/Europe/Kyiv",
        "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct queue_zone *zone = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(queue_zone_open(str_of(bad[i]), &zone) == ERR_NOT_FOUND, "%s", bad[i]);
    EXPECT_EQ(queue_zone_open(STR("Europe/Ky\0iv"), &zone), ERR_NOT_FOUND);
    static const char *const good[] = {
        "UTC",        "", "Etc/GMT+3", "America/Argentina/Buenos_Aires", "America/Port-au-Prince",
        "Europe/Kiev"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        queue_zone_close(opened(good[i]));
}

/* ---- against an oracle: libc's clock, minute by minute ---- */

static unsigned seed = 1;

static unsigned pick(unsigned count)
{
    return (unsigned)rand_r(&seed) % count;
}

static bool matches(const struct queue_cron *cron, const struct tm *tm)
{
    if (!(cron->minutes >> tm->tm_min & 1) || !(cron->hours >> tm->tm_hour & 1) ||
        !(cron->months >> (tm->tm_mon + 1) & 1))
        return false;
    struct tm next_week = *tm, tomorrow = *tm;
    next_week.tm_mday += 7;
    tomorrow.tm_mday += 1;
    timegm(&next_week);
    timegm(&tomorrow);
    bool by_day =
        (cron->days >> tm->tm_mday & 1) || (cron->has_last_day && tomorrow.tm_mon != tm->tm_mon);
    bool by_weekday = (cron->weekdays >> tm->tm_wday & 1) ||
                      ((cron->last_weekdays >> tm->tm_wday & 1) && next_week.tm_mon != tm->tm_mon);
    bool is_both = cron->is_day_open || cron->is_weekday_open;
    return is_both ? by_day && by_weekday : by_day || by_weekday;
}

enum { DAY = 24 * 60, WINDOW_MINUTES = 4 * DAY };

/* What the clock of the zone in TZ shows in a window and in the day before. */
struct face {
    time_t start_s;
    struct tm tm[DAY + WINDOW_MINUTES];
    int64_t shown[DAY + WINDOW_MINUTES]; // the same as seconds
};

static void read_face(struct face *f, time_t start_s)
{
    f->start_s = start_s;
    tzset();
    for (int i = 0; i < DAY + WINDOW_MINUTES; i++) {
        time_t at = start_s + (time_t)(i - DAY + 1) * 60;
        localtime_r(&at, &f->tm[i]);
        struct tm tm = f->tm[i];
        f->shown[i] = timegm(&tm);
    }
}

/* What is due in the minutes of the window. */
static size_t find_due(const struct queue_cron *cron, const struct face *f, int64_t *due)
{
    size_t count = 0;
    const int64_t *shown = f->shown;
    for (int i = DAY; i < DAY + WINDOW_MINUTES; i++) {
        bool is_due = matches(cron, &f->tm[i]);
        for (int j = i - DAY; is_due && !cron->is_hour_open && j < i; j++)
            is_due = shown[j] != shown[i];
        for (int64_t local = shown[i - 1] + 60; !cron->is_hour_open && local < shown[i];
             local += 60) {
            time_t skipped = (time_t)local;
            struct tm was;
            is_due |= matches(cron, gmtime_r(&skipped, &was));
        }
        if (is_due)
            due[count++] = ((int64_t)f->start_s + (i - DAY + 1) * 60) * 1000;
    }
    return count;
}

/* Mostly numbers that meet the changes of clocks. */
static void write_random(char *out, size_t cap)
{
    static const char *const hours[] = {"*", "*/2", "2",  "3",     "1-4",
                                        "0", "0,3", "23", "2-3/1", "1,2,3"};
    static const char *const days[] = {"*", "*/2", "29", "L", "1-7", "25,26", "5", "28-31"};
    static const char *const weekdays[] = {"*", "0", "sun", "satL", "1-5", "*/3", "sunL", "7"};
    static const char *const minutes[] = {"*",  "*/7",   "0",       "30",
                                          "59", "15,45", "10-20/5", "0-59/30"};
    snprintf(out, cap, "%s %s %s * %s", minutes[pick(8)], hours[pick(10)], days[pick(8)],
             weekdays[pick(8)]);
}

TEST(queue_cron_agrees_with_the_clock_of_libc_around_every_change)
{
    static const struct {
        const char *zone;
        int64_t start_s; // of the window: a day and a half before a change
    } rows[] = {
        {"Europe/Kyiv", 1774616400},
        {"Europe/Kyiv", 1792760400},
        {"America/Santiago", 1788537600},
        {"America/Santiago", 1775142000},
        {"Australia/Lord_Howe", 1790910000},
        {"Australia/Lord_Howe", 1775185200},
        {"Antarctica/Troll", 1774616400},
        {"Antarctica/Troll", 1792760400},
        {"Asia/Beirut", 1774500000},
        {"America/St_Johns", 1772845200},
        {"Pacific/Chatham", 1790280000},
        {"Africa/Casablanca", 1771020000},
        {"UTC", 1774616400},
    };
    static int64_t due[WINDOW_MINUTES];
    static struct face face;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct queue_zone *zone = opened(rows[i].zone);
        setenv("TZ", rows[i].zone, 1);
        read_face(&face, (time_t)rows[i].start_s);
        for (int round = 0; round < 20; round++) {
            char text[64];
            write_random(text, sizeof(text));
            struct queue_cron cron = parsed(text);
            size_t count = find_due(&cron, &face, due);
            int64_t at = rows[i].start_s * 1000;
            for (size_t j = 0; j < count; j++) {
                EXPECT_EQ(queue_cron_next(&cron, zone, at, &at), OK);
                ck_assert_msg(at == due[j], "%s \"%s\": %lld, not %lld", rows[i].zone, text,
                              (long long)at, (long long)due[j]);
            }
            EXPECT_EQ(queue_cron_next(&cron, zone, at, &at), OK);
            EXPECT(at > (rows[i].start_s + WINDOW_MINUTES * 60) * 1000);
        }
        queue_zone_close(zone);
    }
}

TEST(queue_cron_counts_from_within_a_second_and_from_before_1970)
{
    struct queue_zone *zone = opened("UTC");
    struct queue_cron cron = parsed("* * * * * *");
    int64_t at = 0;
    EXPECT_EQ(queue_cron_next(&cron, zone, 1999, &at), OK);
    EXPECT_EQ(at, 2000);
    EXPECT_EQ(queue_cron_next(&cron, zone, 2000, &at), OK);
    EXPECT_EQ(at, 3000);
    EXPECT_EQ(queue_cron_next(&cron, zone, -5000, &at), OK);
    EXPECT_EQ(at, 0);
    queue_zone_close(zone);
}
