/* clock.h -- the time, replaceable in tests. Milliseconds everywhere. Any thread. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdint.h>

/* Since 1970-01-01 UTC: for what is stored and shown. Jumps when the operator sets the clock. */
int64_t clock_unix_ms(void);

/* Never goes back: for time-outs and durations. */
int64_t clock_mono_ms(void);
int64_t clock_mono_ns(void);

/* Processor time of the calling thread. */
int64_t clock_cpu_ns(void);

/* Tests only: both clocks stand still from now on, but for clock_test_advance; so a slow machine
 * changes nothing. */
void clock_test_stop(void);
/* Tests only: adds to both clocks from now on. */
void clock_test_advance(int64_t ms);
/* Tests only: somebody sets the wall clock; the monotonic one goes on as before. Below 0: back. */
void clock_test_set_forward(int64_t ms);

/* Writes "2026-11-25T12:30:00Z" and a NUL into out (RFC 3339, seconds, UTC). */
void clock_iso(int64_t unix_ms, char out[static 21]);

/* Writes the HTTP date of RFC 9110 §5.6.7, "Sun, 06 Nov 1994 08:49:37 GMT", and a NUL into out. */
void clock_http_date(int64_t unix_ms, char out[static 30]);

#endif
