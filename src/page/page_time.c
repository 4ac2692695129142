/* page_time.c -- times in words: tables of steps, texts from the locale. */
#include "page/page_time.h"

#include <time.h>

enum {
    SECOND_MS = 1000,
    NOW_MS = 45 * SECOND_MS,
    MINUTE_MS = 60 * SECOND_MS,
    HOUR_MS = 60 * MINUTE_MS,
    DAY_MS = 24 * HOUR_MS,
};
static const int64_t month_ms = INT64_C(30) * DAY_MS;

enum err page_time_parse(const char *iso, int64_t *ms_out)
{
    struct tm tm = {0};
    const char *rest = strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest || (*rest != 'Z' && *rest != '.'))
        return ERR_INVALID;
    *ms_out = (int64_t)timegm(&tm) * SECOND_MS;
    return OK;
}

struct str page_time_ago(enum locale_lang lang, int64_t now_ms, int64_t then_ms, struct arena *a)
{
    int64_t age_ms = now_ms - then_ms;
    if (age_ms < NOW_MS)
        return locale_text(lang, STR("time.now"));
    if (age_ms < HOUR_MS)
        return locale_plural(lang, STR("time.minutes"), age_ms < MINUTE_MS ? 1 : age_ms / MINUTE_MS,
                             a);
    if (age_ms < DAY_MS)
        return locale_plural(lang, STR("time.hours"), age_ms / HOUR_MS, a);
    if (age_ms < month_ms)
        return locale_plural(lang, STR("time.days"), age_ms / DAY_MS, a);
    return page_time_date(lang, then_ms, a);
}

struct str page_time_left(enum locale_lang lang, int64_t now_ms, int64_t until_ms, struct arena *a)
{
    int64_t left_ms = until_ms - now_ms;
    if (left_ms <= 0)
        return locale_text(lang, STR("time.over"));
    if (left_ms < MINUTE_MS)
        return locale_text(lang, STR("time.left_soon"));
    if (left_ms < HOUR_MS)
        return locale_plural(lang, STR("time.left_minutes"), left_ms / MINUTE_MS, a);
    if (left_ms < INT64_C(2) * DAY_MS)
        return locale_plural(lang, STR("time.left_hours"), left_ms / HOUR_MS, a);
    return locale_plural(lang, STR("time.left_days"), left_ms / DAY_MS, a);
}

static struct tm local(int64_t ms)
{
    time_t seconds = (time_t)(ms / SECOND_MS);
    struct tm tm = {0};
    localtime_r(&seconds, &tm);
    return tm;
}

static struct str format(enum locale_lang lang, struct str key, const struct tm *tm,
                         struct arena *a)
{
    struct str month = arena_printf(a, "time.month.%d", tm->tm_mon + 1);
    const struct str pairs[] = {
        STR("day"),   arena_printf(a, "%d", tm->tm_mday),
        STR("month"), locale_text(lang, month),
        STR("year"),  arena_printf(a, "%d", tm->tm_year + 1900),
        STR("time"),  arena_printf(a, "%02d:%02d %s", tm->tm_hour, tm->tm_min, tm->tm_zone),
        {0},
    };
    return locale_format(lang, key, a, pairs);
}

struct str page_time_date(enum locale_lang lang, int64_t ms, struct arena *a)
{
    struct tm tm = local(ms);
    return format(lang, STR("time.date"), &tm, a);
}

struct str page_time_full(enum locale_lang lang, int64_t ms, struct arena *a)
{
    struct tm tm = local(ms);
    return format(lang, STR("time.date_time"), &tm, a);
}

struct str page_time_clock(int64_t ms, struct arena *a)
{
    struct tm tm = local(ms);
    return arena_printf(a, "%02d:%02d:%02d.%03d", tm.tm_hour, tm.tm_min, tm.tm_sec,
                        (int)(ms % SECOND_MS));
}
