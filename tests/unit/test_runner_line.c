#include "runner/runner_line.h"

#include <stdio.h>

#include "test.h"

static enum err parse(const char *text, struct arena *a, struct runner_line *out)
{
    struct str why = STR("");
    enum err err = runner_line_parse(str_of(text), a, out, &why);
    ck_assert_msg((err == OK) == (why.len == 0), "%s: %.*s", text, STR_ARG(why));
    return err;
}

TEST(runner_line_takes_what_a_handler_may_say)
{
    struct arena a;
    struct runner_line line;
    arena_init(&a);
    EXPECT_EQ(parse("{\"type\":\"progress\",\"id\":7,\"percent\":40,\"text\":\"x\"}", &a, &line),
              OK);
    EXPECT(line.type == RUNNER_LINE_PROGRESS && line.id == 7 && line.percent == 40);
    EXPECT_STR(line.text, "x");
    EXPECT_EQ(parse(" { \"id\" : 7 , \"type\" : \"log\" } ", &a, &line), OK);
    EXPECT(line.type == RUNNER_LINE_LOG && line.text.len == 0);
    EXPECT_EQ(parse("{\"type\":\"result\",\"id\":7,\"result\":null}", &a, &line), OK);
    EXPECT_STR(line.result, "null");
    EXPECT_EQ(parse("{\"type\":\"end\",\"id\":7,\"outcome\":\"retry\",\"error\":\"e\"}", &a, &line),
              OK);
    EXPECT(line.outcome == RUNNER_RETRY && line.delay_ms == -1 && !line.result.at);
    EXPECT_EQ(parse("{\"type\":\"end\",\"id\":7,\"outcome\":\"snooze\",\"delay_ms\":0}", &a, &line),
              OK);
    EXPECT(line.outcome == RUNNER_SNOOZE && line.delay_ms == 0);
    arena_done(&a);
}

TEST(runner_line_refuses_nonsense)
{
    static const char *const cases[] = {
        "",
        "hello",
        "[]",
        "{}",
        "{\"type\":\"log\"}",
        "{\"type\":\"log\",\"id\":0}",
        "{\"type\":\"log\",\"id\":\"7\"}",
        "{\"type\":\"log\",\"id\":7.5}",
        "{\"type\":\"log\",\"id\":99999999999999999999}",
        "{\"type\":\"log\",\"id\":7,\"text\":5}",
        "{\"type\":\"log\",\"id\":7,\"text\":\"\\ud800\"}",
        "{\"type\":\"log\",\"id\":7} {}",
        "{\"type\":\"job\",\"id\":7}",
        "{\"type\":\"progress\",\"id\":7,\"percent\":101}",
        "{\"type\":\"progress\",\"id\":7,\"percent\":-1}",
        "{\"type\":\"result\",\"id\":7}",
        "{\"type\":\"end\",\"id\":7}",
        "{\"type\":\"end\",\"id\":7,\"outcome\":\"fine\"}",
        "{\"type\":\"end\",\"id\":7,\"outcome\":\"snooze\"}",
        "{\"type\":\"end\",\"id\":7,\"outcome\":\"retry\",\"delay_ms\":-5}",
    };
    struct arena a;
    struct runner_line line;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(parse(cases[i], &a, &line) == ERR_INVALID, "%s", cases[i]);
    arena_done(&a);
}

TEST(runner_line_does_not_repeat_fields_in_what_it_says_of_nonsense)
{
    struct arena a;
    struct runner_line line;
    struct str why;
    arena_init(&a);
    EXPECT_EQ(runner_line_parse(STR("{\"type\":\"job\",\"password\":\"x\"}"), &a, &line, &why),
              ERR_INVALID);
    EXPECT_STR(why, "nonsense from the handler: type must be progress, log, result or end");
    EXPECT_EQ(runner_line_parse(STR("> {\"password\":\"x"), &a, &line, &why), ERR_INVALID);
    EXPECT_STR(why, "nonsense from the handler: it is not a JSON object");
    EXPECT_EQ(runner_line_parse(STR("Traceback"), &a, &line, &why), ERR_INVALID);
    EXPECT_STR(why, "nonsense from the handler: it is not a JSON object: Traceback");
    arena_done(&a);
}

TEST(runner_line_cuts_texts_between_characters)
{
    struct arena a;
    arena_init(&a);
    EXPECT_STR(runner_line_clean(STR("їжак"), 3, &a), "ї");
    EXPECT_STR(runner_line_clean(STR("a\x01\x7f"
                                     "b\n"),
                                 9, &a),
               "a??b\n");
    EXPECT_STR(runner_line_clean(STR("\xff"
                                     "a"),
                                 9, &a),
               "?a");
    arena_done(&a);
}

TEST(runner_line_gives_a_job_in_one_line_whatever_its_payload)
{
    static const struct {
        const char *payload, *line;
    } cases[] = {
        {"{\"a\":\n\t[1]}", "{\"a\": \t[1]} }"},
        {"\"x\\ny\"", "\"x\\ny\" }"},
        {"not JSON\n", "\"not JSON\\n\"}"},
        {"\xff", "null}"},
        {"", "\"\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct queue_job job = {.id = 12,
                                      .epoch = 3,
                                      .attempt = 1,
                                      .created_at_ms = 5,
                                      .kind = STR("k"),
                                      .payload = str_of(cases[i].payload)};
        char want[300];
        struct buf out;
        buf_init(&out, 300);
        EXPECT_EQ(runner_line_write_job(&out, &job), OK);
        snprintf(want, sizeof(want),
                 "{\"type\":\"job\",\"id\":12,\"epoch\":3,\"attempt\":1,\"created_at_ms\":5,"
                 "\"kind\":\"k\",\"payload\":%s\n",
                 cases[i].line);
        EXPECT_STR(((struct str){(const char *)buf_head(&out), buf_len(&out)}), want);
        buf_done(&out);
    }
}
