#include "cli/cli_time.h"

#include <time.h>

#include "core/conf.h"

static const int64_t last_ms = INT64_C(253402300799999); // of the year 9999

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes so many digits, behind sep unless that is 0. */
static bool take(struct str *text, char sep, size_t digits, int *out)
{
    size_t skip = sep ? 1 : 0;
    int number = 0;
    if (text->len < skip + digits || (sep && text->at[0] != sep))
        return false;
    for (size_t i = skip; i < skip + digits; i++) {
        if (!is_digit(text->at[i]))
            return false;
        number = number * 10 + (text->at[i] - '0');
    }
    *out = number;
    *text = (struct str){text->at + skip + digits, text->len - skip - digits};
    return true;
}

/* ".250"; digits behind the third do not count. */
static bool take_fraction(struct str *text, int *ms_out)
{
    int scale = 100;
    *ms_out = 0;
    if (text->len == 0 || text->at[0] != '.')
        return true;
    size_t at = 1;
    for (; at < text->len && is_digit(text->at[at]); at++, scale /= 10)
        *ms_out += (text->at[at] - '0') * scale;
    *text = (struct str){text->at + at, text->len - at};
    return at > 1;
}

/* "Z", "+02:00", or nothing. */
static bool take_offset(struct str *text, int64_t *ms_out)
{
    int hours = 0, minutes = 0;
    *ms_out = 0;
    if (text->len == 0)
        return true;
    if (str_eq(*text, STR("Z"))) {
        text->len = 0;
        return true;
    }
    char sign = text->at[0];
    if ((sign != '+' && sign != '-') || !take(text, sign, 2, &hours) ||
        !take(text, ':', 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ms_out = (hours * INT64_C(60) + minutes) * 60000 * (sign == '-' ? -1 : 1);
    return text->len == 0;
}

static bool take_clock(struct str *text, struct tm *tm, int *ms_out)
{
    *ms_out = 0;
    if (text->len == 0)
        return true;
    if (!take(text, text->at[0] == ' ' ? ' ' : 'T', 2, &tm->tm_hour) ||
        !take(text, ':', 2, &tm->tm_min))
        return false;
    if (text->len > 0 && text->at[0] == ':' &&
        (!take(text, ':', 2, &tm->tm_sec) || !take_fraction(text, ms_out)))
        return false;
    return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60;
}

/* RFC 3339, of which the end may be left out. */
static bool parse_date(struct str text, int64_t *ms_out)
{
    struct tm tm = {0}, real;
    int ms = 0;
    int64_t offset_ms = 0;
    if (!take(&text, 0, 4, &tm.tm_year) || !take(&text, '-', 2, &tm.tm_mon) ||
        !take(&text, '-', 2, &tm.tm_mday) || tm.tm_year < 1969 || tm.tm_mon < 1 || tm.tm_mon > 12 ||
        !take_clock(&text, &tm, &ms) || !take_offset(&text, &offset_ms))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int day = tm.tm_mday, month = tm.tm_mon;
    time_t seconds = timegm(&tm);
    if (!gmtime_r(&seconds, &real) || real.tm_mday != day || real.tm_mon != month)
        return false; // the 30th of February
    *ms_out = (int64_t)seconds * 1000 + ms - offset_ms;
    return true;
}

static bool parse_relative(struct str text, int64_t now_ms, int64_t *ms_out)
{
    int64_t ms = 0;
    bool is_back = text.at[0] == '-';
    if (conf_parse_duration((struct str){text.at + 1, text.len - 1}, &ms) != OK || ms > last_ms)
        return false;
    *ms_out = is_back ? now_ms - ms : now_ms + ms;
    return true;
}

enum err cli_time_parse(struct str text, int64_t now_ms, int64_t *ms_out)
{
    int64_t ms = 0;
    bool is_time = text.len > 0;
    if (is_time && str_eq(text, STR("now")))
        ms = now_ms;
    else if (is_time && (text.at[0] == '+' || text.at[0] == '-'))
        is_time = parse_relative(text, now_ms, &ms);
    else if (is_time && str_parse_int(text, &ms) != OK)
        is_time = parse_date(text, &ms);
    if (!is_time || ms < 0 || ms > last_ms)
        return ERR_INVALID;
    *ms_out = ms;
    return OK;
}
