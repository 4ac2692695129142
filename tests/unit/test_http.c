#include "http/http.h"
#include "test.h"

static struct http_request request(const char *name, const char *value)
{
    struct http_request req = {.field_count = 1};
    req.fields[0] = (struct http_field){str_of(name), str_of(value)};
    return req;
}

TEST(http_decode_takes_escapes_and_refuses_bad_ones)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},        {"a%20b", "a b"}, {"a+b", "a+b"},   {"%D1%8F", "\xd1\x8f"},
        {"%2f", "/"},    {"%", NULL},      {"%4", NULL},     {"%zz", NULL},
        {"a%00b", NULL}, {"%ff", NULL},    {"%c0%af", NULL}, {"%ed%a0%80", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena a;
        struct str out;
        arena_init(&a);
        enum err err = http_decode(str_of(cases[i].text), &a, &out);
        ck_assert_msg((err == OK) == (cases[i].want != NULL), "%s", cases[i].text);
        if (!err)
            EXPECT_STR(out, cases[i].want);
        arena_done(&a);
    }
}

TEST(http_form_get_finds_the_first_of_a_name)
{
    struct arena a;
    struct str out;
    struct str form = STR("x=1&name=%D0%9E+%26&name=2&flag&=v");
    arena_init(&a);
    EXPECT_EQ(http_form_get(form, STR("name"), &a, &out), OK);
    EXPECT_STR(out, "\xd0\x9e &");
    EXPECT_EQ(http_form_get(form, STR("flag"), &a, &out), OK);
    EXPECT(out.at != NULL && out.len == 0);
    EXPECT_EQ(http_form_get(form, STR("absent"), &a, &out), OK);
    EXPECT(out.at == NULL);
    EXPECT_EQ(http_form_get(STR("a=%ff"), STR("a"), &a, &out), ERR_INVALID);
    arena_done(&a);
}

TEST(http_cookie_get_finds_whole_names_only)
{
    struct http_request req = request("cookie", "xsid=0; sid=abc=d; lang; sid=2");
    EXPECT_STR(http_cookie_get(&req, STR("sid")), "abc=d");
    EXPECT(http_cookie_get(&req, STR("lang")).at == NULL);
    EXPECT(http_cookie_get(&req, STR("id")).at == NULL);
}

TEST(http_accepts_coding_respects_q_and_star)
{
    static const struct {
        const char *value;
        bool wants_br;
    } cases[] = {
        {"gzip, deflate, br", true}, {"gzip", false}, {"br;q=0", false},   {"br;q=0.000", false},
        {"BR ; q=0.1", true},        {"*", true},     {"*;q=0", false},    {"br;q=0, *;q=1", false},
        {"*;q=0, br", true},         {"", false},     {"identity", false}, {"brotli", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_request req = request("Accept-Encoding", cases[i].value);
        ck_assert_msg(http_accepts_coding(&req, STR("br")) == cases[i].wants_br, "%s",
                      cases[i].value);
    }
    struct http_request none = {.field_count = 0};
    EXPECT(!http_accepts_coding(&none, STR("br")));
}

TEST(http_status_of_knows_every_failure)
{
    for (int err = OK; err < ERR_COUNT; err++) {
        int status = http_status_of((enum err)err);
        ck_assert_msg(strcmp(http_reason(status), "Unknown") != 0, "%d", err);
    }
}
