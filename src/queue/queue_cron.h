/* queue_cron.h -- "30 2 * * mon-fri": when recurring work is due.
 *
 *     [second] minute hour day-of-month month  day-of-week
 *      0-59    0-59   0-23 1-31, L      1-12   0-7 (7 = Sunday)
 *                                       or jan or sun, or friL
 *
 *     or @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually
 *
 * A field is a list of *, N and N-M, each with a step where one is wanted: 10-40/5; N/S is from N
 * to the end by S. L is the last day of the month; friL (or 5L) its last Friday. Names in any case.
 * Without the field of seconds it is second 0.
 *
 * As in Vixie's cron, a day is due when day-of-month OR day-of-week says so; but when one of the
 * two begins with *, both must say so.
 *
 * When clocks change. Let fixed be an expression whose hour does not begin with *.
 *
 *   - Clocks go forward, so that they never show a tick: a fixed one is due once, at the first
 *     instant after the gap, however many of its ticks were skipped. Others just go on: every 15
 *     minutes stays every 15 minutes of real time.
 *   - Clocks go back, so that they show a tick twice: a fixed one is due the first time only,
 *     others both times.
 *
 * So a daily job runs once on every day, and an hourly one once in every hour that passes.
 */
#ifndef QUEUE_CRON_H
#define QUEUE_CRON_H

#include "queue/queue_zone.h"

/* Bit N: the value N. Filled in by queue_cron_parse. */
struct queue_cron {
    uint64_t seconds, minutes;
    uint32_t hours, days, months;
    uint8_t weekdays, last_weekdays; // 0: Sunday
    bool has_last_day;
    bool is_day_open, is_weekday_open, is_hour_open; // the field begins with *
};

enum { QUEUE_CRON_MAX_BYTES = 256 };

/* ERR_INVALID: not such an expression, or one that is never due (30 February); *why_out: a static
 * sentence. ERR_TOO_LARGE: longer than QUEUE_CRON_MAX_BYTES. */
MUST_USE enum err queue_cron_parse(struct str text, struct queue_cron *out, struct str *why_out);

/* The first instant after after_ms that is due, in milliseconds; from 1970 on. Any thread.
 * ERR_NOT_FOUND: none in 41 years, which is true of nothing that queue_cron_parse gave. */
MUST_USE enum err queue_cron_next(const struct queue_cron *cron, const struct queue_zone *zone,
                                  int64_t after_ms, int64_t *at_ms_out);

#endif
