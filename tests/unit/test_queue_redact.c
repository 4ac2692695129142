#include "core/json.h"
#include "queue/queue_redact.h"
#include "test.h"

static void check_shown(const char *rules, const char *text, const char *shown, const char *why)
{
    struct arena a;
    arena_init(&a);
    struct str got = queue_redact(str_of(rules), str_of(text), &a);
    ck_assert_msg(str_eq(got, str_of(shown)), "%s: %.*s", why, STR_ARG(got));
    arena_done(&a);
}

TEST(queue_redact_hides_the_fields_that_are_named)
{
    static const struct {
        const char *rules, *text, *shown, *why;
    } rows[] = {
        {"password", "{\"password\":\"x\"}", "{\"password\":\"…\"}", "the field"},
        {"password", "{\"a\":[{\"b\":{\"password\":1}}]}", "{\"a\":[{\"b\":{\"password\":\"…\"}}]}",
         "at any depth"},
        {"password", "{\"Password\" : \"x\" , \"n\": 1.50e3 }",
         "{\"Password\" : \"…\" , \"n\": 1.50e3 }", "any case, and the rest as it stands"},
        {"a , b", "{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":\"…\",\"b\":\"…\",\"c\":3}", "several"},
        {"a", "{\"a\":{\"b\":[1,{\"a\":2}]},\"c\":[]}", "{\"a\":\"…\",\"c\":[]}", "whole trees"},
        {"a", "{\"a\":1,\"a\":\"2\"}", "{\"a\":\"…\",\"a\":\"…\"}", "each of two of one name"},
        {"card.number", "{\"card\":{\"number\":1},\"number\":2}",
         "{\"card\":{\"number\":\"…\"},\"number\":2}", "a path"},
        {"card.number", "{\"x\":{\"card\":[[{\"number\":1}]]}}",
         "{\"x\":{\"card\":[[{\"number\":\"…\"}]]}}", "items stand where the array stands"},
        {"*.secret", "{\"secret\":1,\"a\":{\"secret\":2}}",
         "{\"secret\":1,\"a\":{\"secret\":\"…\"}}", "below anything"},
        {"*", "{\"a\":1,\"b\":[2]}", "{\"a\":\"…\",\"b\":\"…\"}", "everything"},
        {"token", "{\"\\u0074o\\u006ben\":\"x\"}", "{\"\\u0074o\\u006ben\":\"…\"}",
         "a name with escapes"},
        {"a", "{\"\\ud800\":1}", "{\"\\ud800\":\"…\"}", "a name that is no text"},
        {"a", "{\"b\":\"\\\"a\\\":1,\\\\\",\"a\":\"\\\\\"}",
         "{\"b\":\"\\\"a\\\":1,\\\\\",\"a\":\"…\"}", "quotes in strings"},
        {"a", "[1,\"a\",null,{\"a\":true}]", "[1,\"a\",null,{\"a\":\"…\"}]", "an array"},
        {"a", "{\"ab\":1,\"b\":\"a\"}", "{\"ab\":1,\"b\":\"a\"}", "no part of a name, no value"},
        {"", "{\"password\":\"x\"}", "{\"password\":\"x\"}", "no rules"},
        {", ,", "{\"\":1}", "{\"\":1}", "empty ones"},
        {"a", "{\"a\":1", "\"… (6 B)\"", "no JSON: its length"},
        {"", "a\x1b[31m", "\"… (6 B)\"", "no JSON, whatever the rules"},
        {"a", "", "", "nothing"},
        {"a", " {\"a\":1}\n", "{\"a\":\"…\"}", "white space around"},
        {QUEUE_REDACT_DEFAULT, "{\"user\":{\"api_key\":\"k\",\"name\":\"n\"}}",
         "{\"user\":{\"api_key\":\"…\",\"name\":\"n\"}}", "the default"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_shown(rows[i].rules, rows[i].text, rows[i].shown, rows[i].why);
}

TEST(queue_redact_takes_objects_of_many_fields_and_all_depths)
{
    struct buf text, shown;
    buf_init(&text, 1 << 20);
    buf_init(&shown, 1 << 20);
    for (int i = 0; i < JSON_MAX_DEPTH; i++) {
        EXPECT(buf_printf(&text, "%s", i % 2 ? "[" : "{\"x\":") == OK);
        EXPECT(buf_printf(&shown, "%s", i % 2 ? "[" : "{\"x\":") == OK);
        if (i == JSON_MAX_DEPTH - 2) // the innermost object
            break;
    }
    EXPECT(buf_printf(&text, "0") == OK && buf_printf(&shown, "0") == OK);
    for (int i = 0; i < 1000; i++) {
        EXPECT(buf_printf(&text, ",\"p\":%d", i) == OK);
        EXPECT(buf_printf(&shown, ",\"p\":\"…\"") == OK);
    }
    for (int i = JSON_MAX_DEPTH - 2; i >= 0; i--) {
        EXPECT(buf_printf(&text, "%s", i % 2 ? "]" : "}") == OK);
        EXPECT(buf_printf(&shown, "%s", i % 2 ? "]" : "}") == OK);
    }
    EXPECT(buf_append(&text, "", 1) == OK && buf_append(&shown, "", 1) == OK);
    check_shown("p", (const char *)buf_head(&text), (const char *)buf_head(&shown),
                "deep and wide");
    buf_done(&text);
    buf_done(&shown);
}

TEST(queue_redact_names_the_key_of_what_is_sealed)
{
    struct arena a;
    arena_init(&a);
    EXPECT_STR(queue_redact_sealed(STR("k1"), &a), "\"sealed with key k1\"");
    arena_done(&a);
}

TEST(queue_redact_checks_rules)
{
    static const struct {
        const char *rules;
        enum err err;
    } rows[] = {
        {"", OK},
        {"password", OK},
        {" a , b.c,*.d , ", OK},
        {QUEUE_REDACT_DEFAULT, OK},
        {"a..b", ERR_INVALID},
        {".a", ERR_INVALID},
        {"a.", ERR_INVALID},
        {"a\nb", ERR_INVALID},
        {"1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,"
         "5,6,"
         "7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5",
         ERR_TOO_LARGE},
        {"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
         "901"
         "234567890",
         ERR_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *why = NULL;
        ck_assert_msg(queue_redact_check(str_of(rows[i].rules), &why) == rows[i].err, "%s",
                      rows[i].rules);
        EXPECT((why != NULL) == (rows[i].err != OK));
    }
}
