/* queue_cron.c -- the parser, then the search.
 *
 * The search works on wall clocks: seconds since 1970 as the zone's clocks show them ("local"). It
 * goes from one change of the zone's offset to the next: between two of them local = UTC + offset,
 * and the next local time that matches is found field by field, from the year down.
 */
#include "queue/queue_cron.h"

enum {
    MINUTE_S = 60,
    HOUR_S = 3600,
    DAY_S = 24 * HOUR_S,
    MAX_DAYS = 41 * 366, // from a Sunday that is 29 February to the next there are up to 40 years
};

/* ---- parsing ---- */

struct field {
    const char *name;
    int min, max;
    const char *names; // of the values from min on, three letters each; NULL: none
};

enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const struct field fields[FIELDS] = {
    [SECOND] = {"second: 0-59", 0, 59, NULL},
    [MINUTE] = {"minute: 0-59", 0, 59, NULL},
    [HOUR] = {"hour: 0-23", 0, 23, NULL},
    [DAY] = {"day of month: 1-31 or L", 1, 31, NULL},
    [MONTH] = {"month: 1-12 or jan-dec", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    [WEEKDAY] = {"day of week: 0-7 or sun-sat", 0, 7, "sunmontuewedthufrisat"},
};

/* What a field said. */
struct values {
    uint64_t bits, last_bits;
    bool has_last; // L alone
};

/* Takes a number or a name off the front of *rest. */
static bool take_value(const struct field *field, struct str *rest, int *out)
{
    size_t len = 0;
    int value = 0;
    while (len < rest->len && len < 3 && rest->at[len] >= '0' && rest->at[len] <= '9')
        value = value * 10 + rest->at[len++] - '0';
    for (const char *name = field->names; len == 0 && name && *name && rest->len >= 3; name += 3) {
        if (str_eq_nocase((struct str){rest->at, 3}, (struct str){name, 3})) {
            value = field->min + (int)((name - field->names) / 3);
            len = 3;
        }
    }
    if (len == 0 || value < field->min || value > field->max)
        return false;
    *rest = (struct str){rest->at + len, rest->len - len};
    *out = value;
    return true;
}

static bool take_char(struct str *rest, char c)
{
    if (rest->len == 0 || rest->at[0] != c)
        return false;
    *rest = (struct str){rest->at + 1, rest->len - 1};
    return true;
}

static bool take_last(struct str *rest)
{
    return take_char(rest, 'L') || take_char(rest, 'l');
}

static bool parse_step(const struct field *field, struct str *rest, int *step_out)
{
    const struct field steps = {NULL, 1, field->max - field->min + 1, NULL};
    *step_out = 1;
    return !take_char(rest, '/') || take_value(&steps, rest, step_out);
}

/* One of the list. */
static bool parse_item(const struct field *field, struct str item, struct values *out)
{
    bool is_day = field == &fields[DAY], is_weekday = field == &fields[WEEKDAY];
    int from = field->min, to = field->max - is_weekday, step; // Sunday once
    if (is_day && take_last(&item)) {
        out->has_last = true;
        return item.len == 0;
    }
    if (!take_char(&item, '*')) {
        if (!take_value(field, &item, &from))
            return false;
        if (is_weekday && take_last(&item)) {
            out->last_bits |= UINT64_C(1) << from;
            return item.len == 0;
        }
        bool is_range = take_char(&item, '-');
        if (is_range && !take_value(field, &item, &to))
            return false;
        if (!is_range && (item.len == 0 || item.at[0] != '/'))
            to = from;
        if (is_weekday && is_range && to == 0) // sat-sun
            to = 7;
    }
    if (!parse_step(field, &item, &step) || item.len > 0 || from > to)
        return false;
    for (int value = from; value <= to; value += step)
        out->bits |= UINT64_C(1) << value;
    return true;
}

static bool parse_field(const struct field *field, struct str text, struct values *out)
{
    *out = (struct values){0};
    do {
        size_t comma = str_index(text, ',');
        if (!parse_item(field, (struct str){text.at, comma}, out))
            return false;
        if (comma == text.len)
            return true;
        text = (struct str){text.at + comma + 1, text.len - comma - 1};
    } while (true);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The words of text; count_out may pass the room of words. */
static void split(struct str text, struct str *words, int *count_out)
{
    size_t i = 0;
    *count_out = 0;
    while (i < text.len) {
        size_t start = i;
        while (i < text.len && !is_blank(text.at[i]))
            i++;
        if (i > start && (*count_out)++ < FIELDS)
            words[*count_out - 1] = (struct str){text.at + start, i - start};
        while (i < text.len && is_blank(text.at[i]))
            i++;
    }
}

static const struct {
    const char *name, *text;
} macros[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

static struct str expand(struct str text)
{
    for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++)
        if (str_eq_nocase(text, str_of(macros[i].name)))
            return str_of(macros[i].text);
    return text;
}

static uint8_t weekdays_of(uint64_t bits)
{
    return (uint8_t)((bits & 0x7f) | (bits >> 7 & 1)); // 7 is Sunday too
}

static bool find_local(const struct queue_cron *cron, int64_t from, int64_t *out);

enum err queue_cron_parse(struct str text, struct queue_cron *out, struct str *why_out)
{
    struct str given[FIELDS], word[FIELDS] = {[SECOND] = STR("0")};
    struct values values[FIELDS];
    int count;
    int64_t local;
    if (text.len > QUEUE_CRON_MAX_BYTES) {
        *why_out = STR("longer than 256 bytes");
        return ERR_TOO_LARGE;
    }
    split(expand(str_trim(text)), given, &count);
    if (count != FIELDS && count != FIELDS - 1) {
        *why_out = STR("not five fields, nor six with seconds, nor a name as @daily");
        return ERR_INVALID;
    }
    memcpy(word + FIELDS - count, given, (size_t)count * sizeof(given[0]));
    for (int i = 0; i < FIELDS; i++) {
        if (!parse_field(&fields[i], word[i], &values[i])) {
            *why_out = str_of(fields[i].name);
            return ERR_INVALID;
        }
    }
    struct queue_cron cron = {
        .seconds = values[SECOND].bits,
        .minutes = values[MINUTE].bits,
        .hours = (uint32_t)values[HOUR].bits,
        .days = (uint32_t)values[DAY].bits,
        .months = (uint32_t)values[MONTH].bits,
        .weekdays = weekdays_of(values[WEEKDAY].bits),
        .last_weekdays = weekdays_of(values[WEEKDAY].last_bits),
        .has_last_day = values[DAY].has_last,
        .is_hour_open = word[HOUR].at[0] == '*',
        .is_day_open = word[DAY].at[0] == '*',
        .is_weekday_open = word[WEEKDAY].at[0] == '*',
    };
    if (!find_local(&cron, 0, &local)) {
        *why_out = STR("there is no such day");
        return ERR_INVALID;
    }
    *out = cron;
    return OK;
}

/* ---- the calendar ---- */

struct date {
    int64_t year;
    int month, day, weekday; // 0: Sunday
};

static int days_of_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

/* Of a day counted from 1970-01-01 (not before), in the Gregorian calendar. */
static struct date date_of(int64_t days)
{
    // Years that begin in March: the leap day is the last of its year.
    const int64_t era_days = 146097; // 400 years
    int64_t shifted = days + 719468; // from 0000-03-01
    int64_t of_era = shifted % era_days;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153; // 0: March
    return (struct date){
        .year = shifted / era_days * 400 + year + (month >= 10),
        .month = (int)(month < 10 ? month + 3 : month - 9),
        .day = (int)(of_year - (153 * month + 2) / 5 + 1),
        .weekday = (int)((days + 4) % 7),
    };
}

/* ---- the search ---- */

static bool has(uint64_t bits, int value)
{
    return bits >> value & 1;
}

static bool is_day_due(const struct queue_cron *cron, const struct date *date)
{
    int left = days_of_month(date->year, date->month) - date->day;
    bool by_day = has(cron->days, date->day) || (cron->has_last_day && left == 0);
    bool by_weekday =
        has(cron->weekdays, date->weekday) || (left < 7 && has(cron->last_weekdays, date->weekday));
    if (!has(cron->months, date->month))
        return false;
    if (cron->is_day_open || cron->is_weekday_open)
        return by_day && by_weekday;
    return by_day || by_weekday;
}

/* The lowest of bits from value on, or -1. */
static int next_bit(uint64_t bits, int value)
{
    uint64_t rest = value < 64 ? bits >> value << value : 0;
    return rest ? __builtin_ctzll(rest) : -1;
}

/* The first time of a day that is due, from second from of it on; -1: none. */
static int find_time(const struct queue_cron *cron, int from)
{
    int hour = from / HOUR_S, minute = from / MINUTE_S % 60, second = from % MINUTE_S;
    int second_due = next_bit(cron->seconds, second);
    int minute_due = next_bit(cron->minutes, minute + (second_due < 0));
    if (minute_due != minute)
        second_due = next_bit(cron->seconds, 0);
    int hour_due = next_bit(cron->hours, hour + (minute_due < 0));
    if (hour_due < 0)
        return -1;
    if (hour_due != hour) {
        minute_due = next_bit(cron->minutes, 0);
        second_due = next_bit(cron->seconds, 0);
    }
    return hour_due * HOUR_S + minute_due * MINUTE_S + second_due;
}

/* The first local time that is due, from from on. False: none in MAX_DAYS. */
static bool find_local(const struct queue_cron *cron, int64_t from, int64_t *out)
{
    if (from < 0)
        from = 0;
    int64_t first = from / DAY_S;
    for (int64_t day = first; day < first + MAX_DAYS; day++) {
        struct date date = date_of(day);
        int time =
            is_day_due(cron, &date) ? find_time(cron, day == first ? (int)(from % DAY_S) : 0) : -1;
        if (time >= 0) {
            *out = day * DAY_S + time;
            return true;
        }
    }
    return false;
}

/* The first instant in (from, to] at which the offset is not that of from; to + 1: there is none.
 * No zone changes twice within a day. */
static int64_t find_change(const struct queue_zone *zone, int64_t from, int64_t to)
{
    int64_t offset = queue_zone_offset_s(zone, from), same = from, other = from;
    while (queue_zone_offset_s(zone, other) == offset) {
        same = other;
        if (same >= to)
            return to + 1;
        other = same + DAY_S < to ? same + DAY_S : to;
    }
    while (other - same > 1) {
        int64_t middle = same + (other - same) / 2;
        if (queue_zone_offset_s(zone, middle) == offset)
            same = middle;
        else
            other = middle;
    }
    return other;
}

/* The wall clock showed the same time before, within the last day. */
static bool is_second_time(const struct queue_zone *zone, int64_t at)
{
    int64_t local = at + queue_zone_offset_s(zone, at);
    int64_t before = local - queue_zone_offset_s(zone, at - DAY_S);
    return before < at && before + queue_zone_offset_s(zone, before) == local;
}

/* All in seconds. */
static enum err find_next(const struct queue_cron *cron, const struct queue_zone *zone,
                          int64_t after, int64_t *out)
{
    int64_t start = after, offset = queue_zone_offset_s(zone, start);
    int64_t from = start + offset + 1, local;
    while (find_local(cron, from, &local)) {
        int64_t at = local - offset;
        int64_t change = find_change(zone, start, at);
        if (change > at) {
            bool is_due = cron->is_hour_open || !is_second_time(zone, at);
            *out = at;
            if (is_due)
                return OK;
            start = at;
            from = local + 1;
            continue;
        }
        start = change;
        offset = queue_zone_offset_s(zone, start);
        from = start + offset;
        if (!cron->is_hour_open && local < from) { // in the gap
            *out = start;
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}

enum err queue_cron_next(const struct queue_cron *cron, const struct queue_zone *zone,
                         int64_t after_ms, int64_t *at_ms_out)
{
    int64_t at;
    enum err err = find_next(cron, zone, after_ms < 0 ? -1 : after_ms / 1000, &at);
    if (!err)
        *at_ms_out = at * 1000;
    return err;
}
