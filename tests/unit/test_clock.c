#include "core/clock.h"
#include "core/str.h"
#include "test.h"

TEST(clock_writes_rfc_3339)
{
    char out[21];
    clock_iso(INT64_C(1795609800999), out);
    EXPECT_STR(str_of(out), "2026-11-25T12:30:00Z");
    clock_iso(0, out);
    EXPECT_STR(str_of(out), "1970-01-01T00:00:00Z");
    clock_iso(-1, out);
    EXPECT_STR(str_of(out), "1970-01-01T00:00:00Z");
    clock_iso(INT64_MAX, out);
    EXPECT_STR(str_of(out), "9999-12-31T23:59:59Z");
}

TEST(clock_writes_http_dates_in_english)
{
    char out[30];
    clock_http_date(INT64_C(784111777000), out);
    EXPECT_STR(str_of(out), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(clock_moves_by_what_a_test_adds)
{
    int64_t mono = clock_mono_ms(), unix_ms = clock_unix_ms();
    clock_test_advance(3600000);
    EXPECT(clock_mono_ms() - mono >= 3600000 && clock_mono_ms() - mono < 3660000);
    EXPECT(clock_unix_ms() - unix_ms >= 3600000 && clock_unix_ms() - unix_ms < 3660000);
    EXPECT(clock_mono_ns() / 1000000 - clock_mono_ms() <= 0);
}
