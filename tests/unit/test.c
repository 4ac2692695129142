#include "test.h"

#include "core/crypto.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MAX_TESTS = 2000, TIME_LIMIT_S = 300, PROOF_LIMIT_S = 3600 };

static struct {
    const char *name;
    const TTest *test;
} tests[MAX_TESTS];
static int count;

void test_register(const char *name, const TTest *test)
{
    if (count == MAX_TESTS)
        abort();
    tests[count].name = name;
    tests[count++].test = test;
}

#ifdef __SANITIZE_ADDRESS__

size_t __sanitizer_get_current_allocated_bytes(void); // GCC has no header for it

enum { WARM_THREADS = 4 }; // libc keeps the stacks of so many

static void *meet(void *barrier)
{
    pthread_barrier_wait(barrier);
    return NULL;
}

/* Makes what libraries make at first use and keep; else most tests would end with more memory. */
static void warm(void)
{
    pthread_t threads[WARM_THREADS];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, WARM_THREADS);
    for (int i = 0; i < WARM_THREADS; i++)
        if (pthread_create(&threads[i], NULL, meet, &barrier) != 0)
            abort();
    for (int i = 0; i < WARM_THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    uint8_t digest[CRYPTO_SHA256_BYTES];
    OPENSSL_init_ssl(0, NULL);
    crypto_init();
    crypto_sha256(STR(""), digest);
    crypto_hmac_sha256(STR("key"), &(struct str){0}, 1, digest);
    tzset();
}

/* Ends the process of a test that has left no memory. What an exit does else, above all the search
 * for leaks in everything static, costs more than most tests. */
static void leave(void)
{
    fflush(NULL);
    _exit(EXIT_SUCCESS);
}

void test_run(void (*body)(void))
{
    size_t bytes = __sanitizer_get_current_allocated_bytes();
    body();
    if (__sanitizer_get_current_allocated_bytes() == bytes)
        atexit(leave); // runs before LeakSanitizer, which was there first
}

#else

static void warm(void)
{
}

void test_run(void (*body)(void))
{
    body();
}

#endif

void test_make_folder(char out[static TEST_FOLDER_MAX])
{
    const char *parent = getenv("TMPDIR");
    int len = snprintf(out, TEST_FOLDER_MAX, "%s/viche-test-XXXXXX", parent ? parent : "/tmp");
    ck_assert_msg(len < TEST_FOLDER_MAX, "TMPDIR is too long: %s", parent);
    ck_assert_msg(mkdtemp(out) != NULL, "cannot make %s", out);
}

/* usage: unit [part-of-a-name | K/N]   K/N: every Nth test, from the Kth */
int main(int argc, char **argv)
{
    const char *part = argc > 1 ? argv[1] : "";
    int first = 1, step = 1;
    if (sscanf(part, "%d/%d", &first, &step) == 2)
        part = "";
    if (first < 1 || step < 1)
        return 1;
    Suite *suite = suite_create("viche");
    for (int i = first - 1; i < count; i += step) {
        if (!strstr(tests[i].name, part))
            continue;
        TCase *tcase = tcase_create(tests[i].name);
        tcase_set_timeout(tcase, getenv("PROOF") ? PROOF_LIMIT_S : TIME_LIMIT_S);
        tcase_add_test(tcase, tests[i].test);
        suite_add_tcase(suite, tcase);
    }
    warm();
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    srunner_free(runner);
    printf("%d passed, %d failed\n", run - failed, failed);
    return failed > 0 || run == 0;
}
