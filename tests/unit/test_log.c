#include "core/log.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* What the log writes to stderr while act runs. */
static struct str captured(void (*act)(void))
{
    static char text[8192];
    int fd[2], kept = dup(STDERR_FILENO);
    EXPECT_EQ(pipe2(fd, O_CLOEXEC), 0);
    dup2(fd[1], STDERR_FILENO);
    act();
    dup2(kept, STDERR_FILENO);
    close(fd[1]);
    close(kept);
    ssize_t len = read(fd[0], text, sizeof(text) - 1);
    close(fd[0]);
    return (struct str){text, len > 0 ? (size_t)len : 0};
}

static void say_two_things(void)
{
    log_debug("at=test.hidden");
    log_info("at=test.shown n=%d", 7);
}

TEST(log_writes_one_line_an_event_from_its_level_upwards)
{
    struct str rest, line = str_cut(captured(say_two_things), '\n', &rest);
    EXPECT_EQ(rest.len, 0);
    EXPECT(str_starts(line, STR("time=2")));
    EXPECT(memmem(line.at, line.len, "Z level=info at=test.shown n=7", 30) != NULL);
}

static void say_too_much(void)
{
    static char much[6000];
    memset(much, 'x', sizeof(much) - 1);
    log_error("at=test x=%s", much);
}

TEST(log_cuts_a_long_line_but_ends_it)
{
    struct str line = captured(say_too_much);
    EXPECT(line.len > 2000 && line.len <= 2048);
    EXPECT_EQ(str_index(line, '\n'), line.len - 1);
}

TEST(log_quotes_what_could_forge_a_line)
{
    char q[LOG_QUOTE_BYTES];
    EXPECT_STR(str_of(log_quote(STR("a b"), q)), "\"a b\"");
    EXPECT_STR(str_of(log_quote(STR("a\"\\\nlevel=info \xff"), q)),
               "\"a\\\"\\\\\\x0alevel=info \\xff\"");
    char big[1000];
    memset(big, '\n', sizeof(big));
    struct str quoted = str_of(log_quote((struct str){big, sizeof(big)}, q));
    EXPECT(quoted.len < LOG_QUOTE_BYTES);
    EXPECT(str_eq((struct str){quoted.at + quoted.len - 4, 4}, STR("...\"")));
}

TEST(log_level_names_are_parsed)
{
    enum log_level level = LOG_DEBUG;
    EXPECT_EQ(log_parse_level(STR("error"), &level), OK);
    EXPECT_EQ(level, LOG_ERROR);
    EXPECT_EQ(log_parse_level(STR("loud"), &level), ERR_INVALID);
    EXPECT_EQ(level, LOG_ERROR);
}

static void fail_to_write(void)
{
    close(STDERR_FILENO);
    errno = ENOENT;
    log_error("at=test");
    EXPECT_EQ(errno, ENOENT);
}

TEST(log_leaves_errno_alone)
{
    (void)captured(fail_to_write);
}
