/* test.h -- how unit tests are written: Check (libcheck) underneath, one process per test.
 *
 *     TEST(buf_refuses_to_pass_its_maximum) { EXPECT_EQ(buf_append(...), ERR_TOO_LARGE); }
 *
 * A TEST registers itself; there is no list to keep. A crash, a leak or a hang fails that test
 * only. Leaks are looked for (LeakSanitizer, a 20th of a second) after tests that end with more
 * memory than they began with; where nothing is left, nothing can have leaked.
 */
#ifndef TEST_H
#define TEST_H

#include <check.h>
#include <stdint.h>
#include <string.h>

#define TEST(name)                                                                                 \
    static void run_##name(void);                                                                  \
    START_TEST(check_##name)                                                                       \
    {                                                                                              \
        test_run(run_##name);                                                                      \
    }                                                                                              \
    END_TEST                                                                                       \
    __attribute__((constructor)) static void register_##name(void)                                 \
    {                                                                                              \
        test_register(#name, check_##name);                                                        \
    }                                                                                              \
    static void run_##name(void)

/* Not ck_assert_msg, which notes the place in a file at each call: most of the time of a test that
 * asks often. */
#define EXPECT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond))                                                                               \
            ck_abort_msg("expected %s", #cond);                                                    \
    } while (0)
#define EXPECT_EQ(got, want)                                                                       \
    do {                                                                                           \
        int64_t got_ = (int64_t)(got), want_ = (int64_t)(want);                                    \
        if (got_ != want_)                                                                         \
            ck_abort_msg("expected %s == %s (got %lld, want %lld)", #got, #want, (long long)got_,  \
                         (long long)want_);                                                        \
    } while (0)
/* got is a struct str, want a C string. */
#define EXPECT_STR(got, want)                                                                      \
    do {                                                                                           \
        struct str g_ = (got);                                                                     \
        const char *w_ = (want);                                                                   \
        if (g_.len != strlen(w_) || memcmp(g_.at, w_, g_.len) != 0)                                \
            ck_abort_msg("expected %s to be \"%s\", got \"%.*s\"", #got, w_, (int)g_.len, g_.at);  \
    } while (0)

/* Makes an empty folder in TMPDIR, else in /tmp. out: its path; the caller removes it. */
enum { TEST_FOLDER_MAX = 64 };
void test_make_folder(char out[static TEST_FOLDER_MAX]);

void test_register(const char *name, const TTest *test);
/* Runs the body of a test, in its own process. */
void test_run(void (*body)(void));

#endif
