#include <stdio.h>

#include "runner/runner_report.h"
#include "test.h"

TEST(runner_report_keeps_the_newest_lines_of_a_burst_and_counts_the_others)
{
    enum { LINES = 5000 };
    struct runner_report r = {.percent = -1};
    struct arena a;
    char line[32];
    int left_out = 0, kept = 0;
    arena_init(&a);
    runner_report_init(&r);
    for (int i = 1; i <= LINES; i++) {
        snprintf(line, sizeof(line), "line %d", i);
        runner_report_log(&r, str_of(line));
    }
    EXPECT(runner_report_has_news(&r));
    struct str log = runner_report_take(&r, &a).log, rest;
    str_cut(log, '\n', &rest);
    EXPECT_EQ(sscanf(arena_str(&a, log).at, "(%d lines left out)", &left_out), 1);
    for (size_t i = 0; i < rest.len; i++)
        kept += rest.at[i] == '\n';
    EXPECT_EQ(left_out + kept, LINES);
    snprintf(line, sizeof(line), "line %d\n", left_out + 1);
    EXPECT(str_starts(rest, str_of(line)));
    EXPECT(rest.len > 11);
    EXPECT_STR(((struct str){rest.at + rest.len - 11, 11}), "\nline 5000\n");
    EXPECT(!runner_report_has_news(&r));
    runner_report_done(&r);
    arena_done(&a);
}
