#include "core/failpoint.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

struct passes {
    const char *names[8];
    int count;
};

static void note(const char *name, void *ctx)
{
    struct passes *passes = ctx;
    EXPECT(passes->count < 8);
    passes->names[passes->count++] = name;
}

TEST(failpoint_tells_before_and_after_and_gives_the_value)
{
    struct passes passes = {.count = 0};
    EXPECT_EQ(FAILPOINT("sum", 1 + 1), 2); // nobody listens
    failpoint_listen(note, &passes);
    int value = FAILPOINT("sum", passes.count + 40);
    failpoint_pass("alone");
    failpoint_listen(NULL, NULL);
    failpoint_pass("unheard");
    EXPECT_EQ(value, 41); // evaluated once, between the two
    EXPECT_EQ(passes.count, 3);
    EXPECT(strcmp(passes.names[0], "sum.before") == 0);
    EXPECT(strcmp(passes.names[1], "sum.after") == 0);
    EXPECT(strcmp(passes.names[2], "alone") == 0);
}

TEST(failpoint_kills_the_process_at_the_nth_pass)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        failpoint_kill_at("here", 2);
        failpoint_pass("elsewhere");
        failpoint_pass("here");
        alarm(20);
        failpoint_pass("here");
        _exit(0);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
