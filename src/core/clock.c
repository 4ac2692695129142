#include "core/clock.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* By tests only. */
static _Atomic int64_t advance_ms;
static _Atomic int64_t stopped_ns[2]; // by clock; 0: it runs
static _Atomic int64_t set_forward_ms;

static int64_t running_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t now_ns(clockid_t id)
{
    int64_t ns = atomic_load_explicit(&stopped_ns[id == CLOCK_MONOTONIC], memory_order_relaxed);
    return (ns > 0 ? ns : running_ns(id)) +
           atomic_load_explicit(&advance_ms, memory_order_relaxed) * 1000000;
}

int64_t clock_unix_ms(void)
{
    return now_ns(CLOCK_REALTIME) / 1000000 +
           atomic_load_explicit(&set_forward_ms, memory_order_relaxed);
}

int64_t clock_mono_ms(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t clock_mono_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

int64_t clock_cpu_ns(void)
{
    return running_ns(CLOCK_THREAD_CPUTIME_ID);
}

void clock_test_stop(void)
{
    atomic_store(&stopped_ns[0], running_ns(CLOCK_REALTIME));
    atomic_store(&stopped_ns[1], running_ns(CLOCK_MONOTONIC));
}

void clock_test_advance(int64_t ms)
{
    atomic_fetch_add(&advance_ms, ms);
}

void clock_test_set_forward(int64_t ms)
{
    atomic_fetch_add(&set_forward_ms, ms);
}

/* Times before 1970 or after 9999 do not fit our texts; they are shown as the nearest that does. */
static struct tm broken_down(int64_t unix_ms)
{
    const int64_t last = INT64_C(253402300799);
    int64_t seconds = unix_ms < 0 ? 0 : unix_ms / 1000;
    time_t t = (time_t)(seconds > last ? last : seconds);
    struct tm tm;
    gmtime_r(&t, &tm);
    return tm;
}

void clock_iso(int64_t unix_ms, char out[static 21])
{
    struct tm tm = broken_down(unix_ms);
    strftime(out, 21, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void clock_http_date(int64_t unix_ms, char out[static 30])
{
    // Not strftime's %a and %b: they follow the process locale, the protocol does not.
    static const char day[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char month[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm = broken_down(unix_ms);
    strftime(out, 30, "..., %d ... %Y %H:%M:%S GMT", &tm);
    memcpy(out, day[tm.tm_wday], 3);
    memcpy(out + 8, month[tm.tm_mon], 3);
}
