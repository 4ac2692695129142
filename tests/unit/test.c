#include "test.h"

#include <stdio.h>
#include <stdlib.h>
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
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    srunner_free(runner);
    printf("%d passed, %d failed\n", run - failed, failed);
    return failed > 0 || run == 0;
}
