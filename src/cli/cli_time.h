/* cli_time.h -- times as operators type them. */
#ifndef CLI_TIME_H
#define CLI_TIME_H

#include <stdint.h>

#include "core/str.h"

/* "now"; "+10m", "-7d": from now; "2026-11-26", "2026-11-26T21:30", "...:15", "...:15.250": UTC, or
 * with "Z" or an offset, "+02:00"; only digits: unix milliseconds. From the year 1970 to 9999.
 * ERR_INVALID. */
MUST_USE enum err cli_time_parse(struct str text, int64_t now_ms, int64_t *ms_out);

#endif
