/* page_time.h -- times in words, in the reader's language. Dates are in the server's time zone
 * (TZ), which stands beside the time of day. Any thread.
 *
 *     ago    < 45 s (and the future)  "just now"      left   <= 0      "time is up"
 *            < 60 min                 minutes                < 1 min   "less than a minute left"
 *            < 24 h                   hours                  < 1 h     minutes
 *            < 30 days                days                   < 48 h    hours
 *            else                     the date               else      days
 * Numbers are rounded down. web/src/dress.ts does the same.
 */
#ifndef PAGE_TIME_H
#define PAGE_TIME_H

#include "core/arena.h"
#include "core/locale.h"

/* RFC 3339 in UTC ("2026-11-25T12:30:00Z", with or without a fraction) to Unix milliseconds.
 * ERR_INVALID. */
MUST_USE enum err page_time_parse(const char *iso, int64_t *ms_out);

struct str page_time_ago(enum locale_lang lang, int64_t now_ms, int64_t then_ms, struct arena *a);
struct str page_time_left(enum locale_lang lang, int64_t now_ms, int64_t until_ms, struct arena *a);
/* "25 November 2026" */
struct str page_time_date(enum locale_lang lang, int64_t ms, struct arena *a);
/* "14:30:05.120" */
struct str page_time_clock(int64_t ms, struct arena *a);
/* "25 November 2026, 14:30 EET" */
struct str page_time_full(enum locale_lang lang, int64_t ms, struct arena *a);

#endif
