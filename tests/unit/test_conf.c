#include "core/conf.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct target {
    const char *config, *listen;
    int loops;
    bool is_limited;
    int64_t drain_ms;
};

static const struct conf_option options[] = {
    {.name = "config", .kind = CONF_TEXT, .value = "", .at = offsetof(struct target, config)},
    {.name = "listen",
     .kind = CONF_TEXT,
     .value = "127.0.0.1:8080",
     .meaning = "ADDRESS:PORT",
     .help = "where to serve",
     .at = offsetof(struct target, listen)},
    {.name = "loops",
     .kind = CONF_INT,
     .value = "0",
     .max = 64,
     .help = "event loops",
     .at = offsetof(struct target, loops)},
    {.name = "rate-limits",
     .kind = CONF_SWITCH,
     .value = "on",
     .help = "limits",
     .at = offsetof(struct target, is_limited)},
    {.name = "drain",
     .kind = CONF_DURATION,
     .value = "8s",
     .min = 100,
     .max = 600000,
     .help = "time to finish",
     .at = offsetof(struct target, drain_ms)},
};
static const struct conf_table table = {options, sizeof(options) / sizeof(options[0])};
static const struct conf_option others[] = {{.name = "foreign", .kind = CONF_TEXT, .value = ""}};
static const struct conf_table also = {others, 1};

static struct arena texts;
static struct target target;
static char why[300];

enum { MAX_WORDS = 8 };

/* Reads a command line, given as one text with a space between words; words_out may be NULL. */
static enum err read_words(const char *line, struct conf_words *words_out)
{
    char *argv[MAX_WORDS];
    int argc = 0;
    struct str rest = str_of(line);
    arena_done(&texts);
    while (rest.len > 0) {
        char *word = arena_alloc(&texts, rest.len + 1);
        struct str first = str_cut(rest, ' ', &rest);
        memcpy(word, first.at, first.len);
        argv[argc++] = word;
    }
    why[0] = '\0';
    const struct conf_input in = {&table, &also, argc, argv, words_out};
    return conf_read(&in, &texts, &target, why, sizeof(why));
}

static enum err read_line(const char *line)
{
    return read_words(line, NULL);
}

TEST(conf_uses_defaults_when_nothing_is_said)
{
    EXPECT_EQ(read_line(""), OK);
    EXPECT_STR(str_of(target.listen), "127.0.0.1:8080");
    EXPECT_EQ(target.loops, 0);
    EXPECT_EQ(target.is_limited, true);
    EXPECT_EQ(target.drain_ms, 8000);
    arena_done(&texts);
}

TEST(conf_takes_flags_in_each_form)
{
    EXPECT_EQ(read_line("--loops 4 --listen=[::]:0 --rate-limits off --drain 500ms"), OK);
    EXPECT_EQ(target.loops, 4);
    EXPECT_STR(str_of(target.listen), "[::]:0");
    EXPECT_EQ(target.is_limited, false);
    EXPECT_EQ(target.drain_ms, 500);
    EXPECT_EQ(read_line("--rate-limits --loops=1 --loops=2 --drain 3"), OK);
    EXPECT_EQ(target.is_limited, true);
    EXPECT_EQ(target.loops, 2);
    EXPECT_EQ(target.drain_ms, 3000);
    EXPECT_EQ(read_line("--listen="), OK);
    EXPECT_STR(str_of(target.listen), "");
    arena_done(&texts);
}

TEST(conf_takes_operands_among_flags_for_who_wants_them)
{
    struct conf_words words = {0};
    EXPECT_EQ(read_words("one --loops 4 {} --rate-limits 0 -5 --", &words), OK);
    EXPECT_EQ(words.count, 5);
    const char *const want[] = {"one", "{}", "0", "-5", "--"};
    for (size_t i = 0; i < words.count && i < 5; i++)
        EXPECT_STR(str_of(words.at[i]), want[i]);
    EXPECT_EQ(target.loops, 4);
    EXPECT_EQ(target.is_limited, true); // the 0 is an operand, not its value
    EXPECT_EQ(read_words("--rate-limits=off", &words), OK);
    EXPECT_EQ(words.count, 0);
    EXPECT_EQ(target.is_limited, false);
    EXPECT_EQ(read_line("one"), ERR_INVALID);
    arena_done(&texts);
}

TEST(conf_refuses_a_wrong_value_in_one_sentence)
{
    static const struct {
        const char *line, *why;
    } row[] = {
        {"--loops x", "--loops: 'x' is not a number from 0 to 64"},
        {"--loops 65", "--loops: '65' is not a number from 0 to 64"},
        {"--loops=", "--loops: '' is not a number from 0 to 64"},
        {"--rate-limits=maybe", "--rate-limits: 'maybe' is not on or off"},
        {"--drain 1d",
         "--drain: '1d' is not a duration like 500ms, 10s or 2m, from 100ms to 600000ms"},
        {"--drain 99999999999999999h", NULL},
        {"--loops", "--loops needs a value"},
        {"--lops 4", "there is no option --lops; did you mean --loops?"},
        {"--completely-different", "there is no option --completely-different; --help lists them"},
        {"--bogus", "there is no option --bogus; --help lists them"},
        {"loops", "'loops' is not an option; --help lists them"},
        {"--foreign x", "there is no option --foreign; --help lists them"},
        {"--", "'--' is not an option; --help lists them"},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        EXPECT_EQ(read_line(row[i].line), ERR_INVALID);
        EXPECT(why[0] != '\0');
        if (row[i].why)
            EXPECT_STR(str_of(why), row[i].why);
    }
    arena_done(&texts);
}

/* Reads with a config file of that text, and words behind it. */
static enum err read_with_file(const char *text, const char *more)
{
    char dir[TEST_FOLDER_MAX], path[TEST_FOLDER_MAX + 8], line[300];
    test_make_folder(dir);
    snprintf(path, sizeof(path), "%s/conf", dir);
    FILE *file = fopen(path, "w");
    EXPECT(file && fputs(text, file) >= 0 && fclose(file) == 0);
    snprintf(line, sizeof(line), "--config %s%s%s", path, more[0] ? " " : "", more);
    enum err err = read_line(line);
    unlink(path);
    rmdir(dir);
    return err;
}

TEST(conf_lets_flags_win_over_environment_over_file_over_defaults)
{
    const char *file = "# ours\nloops = 3\n; theirs\nforeign = x\nrate-limits = no\ndrain=2m\n";
    EXPECT_EQ(read_with_file(file, ""), OK);
    EXPECT_EQ(target.loops, 3);
    EXPECT_EQ(target.is_limited, false);
    EXPECT_EQ(target.drain_ms, 120000);
    setenv("VICHE_LOOPS", "5", 1);
    setenv("VICHE_RATE_LIMITS", "on", 1);
    EXPECT_EQ(read_with_file(file, ""), OK);
    EXPECT_EQ(target.loops, 5);
    EXPECT_EQ(target.is_limited, true);
    EXPECT_EQ(read_with_file(file, "--loops 7"), OK);
    EXPECT_EQ(target.loops, 7);
    setenv("VICHE_LOOPS", "many", 1);
    EXPECT_EQ(read_line("--loops 7"), ERR_INVALID);
    EXPECT_STR(str_of(why), "VICHE_LOOPS: loops: 'many' is not a number from 0 to 64");
    arena_done(&texts);
}

TEST(conf_says_what_is_wrong_with_a_file)
{
    EXPECT_EQ(read_with_file("loops = 99\n", ""), ERR_INVALID);
    EXPECT(strstr(why, ": loops: '99' is not a number from 0 to 64") != NULL);
    EXPECT_EQ(read_with_file("lops = 1\n", ""), ERR_INVALID);
    EXPECT(strstr(why, ": there is no option 'lops'") != NULL);
    EXPECT_EQ(read_with_file("[part]\nloops = 1\n", ""), ERR_INVALID);
    EXPECT_EQ(read_with_file("loops = 1\n\n[part]\n; loops = 2\n", ""), ERR_INVALID);
    EXPECT(strstr(why, ":3: nothing stands in this [section]") != NULL);
    EXPECT_EQ(read_with_file("\xef\xbb\xbf [a]\n[b]\nloops = 1", ""), ERR_INVALID);
    EXPECT(strstr(why, ":1: nothing stands in this [section]") != NULL);
    char line[300] = "#";
    memset(line + 1, 'x', sizeof(line) - 2);
    EXPECT_EQ(read_with_file(line, ""), ERR_INVALID);
    EXPECT(strstr(why, ":1: the line is too long") != NULL);
    EXPECT_EQ(read_with_file("loops = 1\nrubbish\n", ""), ERR_INVALID);
    EXPECT(strstr(why, ":2: not of the form name = value") != NULL);
    EXPECT_EQ(read_line("--config /nowhere/viche.conf"), ERR_NOT_FOUND);
    EXPECT(strstr(why, "/nowhere/viche.conf") != NULL);
    arena_done(&texts);
}

TEST(conf_help_names_every_option_and_the_written_file_reads_back)
{
    struct buf out;
    buf_init(&out, 8192);
    EXPECT_EQ(conf_write_help(&table, &out), OK);
    EXPECT_EQ(buf_append(&out, "", 1), OK);
    for (size_t i = 0; i < table.count; i++)
        EXPECT(strstr((const char *)buf_head(&out), options[i].name) != NULL);
    EXPECT(strstr((const char *)buf_head(&out), "--listen ADDRESS:PORT") != NULL);
    EXPECT(strstr((const char *)buf_head(&out), "--rate-limits[=on|off]") != NULL);
    buf_done(&out);
    EXPECT_EQ(conf_write_file(&table, &out), OK);
    EXPECT_EQ(buf_append(&out, "", 1), OK);
    EXPECT_EQ(read_with_file((const char *)buf_head(&out), ""), OK);
    EXPECT_EQ(target.drain_ms, 8000);
    buf_done(&out);
    arena_done(&texts);
}
