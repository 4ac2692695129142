#include "test.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_TESTS = 2000, TIME_LIMIT_S = 60, PROOF_LIMIT_S = 3600 };

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

/* usage: unit [part-of-a-name] */
int main(int argc, char **argv)
{
    Suite *suite = suite_create("viche");
    for (int i = 0; i < count; i++) {
        if (argc > 1 && !strstr(tests[i].name, argv[1]))
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
