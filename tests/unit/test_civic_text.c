#include "civic/civic_text.h"
#include "test.h"

static const char *check(const char *in, const struct civic_text_rule *rule, struct str *out,
                         struct arena *a)
{
    return civic_text_check(str_of(in), rule, a, out);
}

TEST(civic_text_is_trimmed_and_measured_in_code_points)
{
    struct arena a;
    struct str out;
    const struct civic_text_rule three = {.max_chars = 3};
    arena_init(&a);
    EXPECT(check(" \xc2\xa0\xd0\x87\xd0\x87\xd0\x87\xe2\x80\x8b\n", &three, &out, &a) == NULL);
    EXPECT_STR(out, "\xd0\x87\xd0\x87\xd0\x87");
    EXPECT(strcmp(check("abcd", &three, &out, &a), "too-long") == 0);
    arena_done(&a);
}

TEST(civic_text_of_blanks_is_empty)
{
    static const char *const blanks[] = {"", " ", "\t\r\n", "\xe2\x80\x8b\xef\xbb\xbf",
                                         "\xe3\x80\x80"};
    struct arena a;
    struct str out;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++) {
        EXPECT(strcmp(check(blanks[i], &civic_text_comment, &out, &a), "required") == 0);
        EXPECT(check(blanks[i], &civic_text_summary, &out, &a) == NULL);
        EXPECT_EQ(out.len, 0);
    }
    arena_done(&a);
}

TEST(civic_text_of_marks_without_a_letter_is_no_name)
{
    static const char *const marks[] = {"\xcc\x81", "\xcc\x81\xcc\x82 \xcc\x83", "\xef\xb8\x8f",
                                        "\xe2\x83\x9d"};
    struct arena a;
    struct str out;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        EXPECT(strcmp(check(marks[i], &civic_text_name, &out, &a), "required") == 0);
    EXPECT(check("\xd0\xb0\xcc\x81", &civic_text_name, &out, &a) == NULL);
    EXPECT(check("\xe2\x98\xba\xef\xb8\x8f", &civic_text_name, &out, &a) == NULL);
    arena_done(&a);
}

TEST(civic_text_refuses_controls_and_direction_tricks)
{
    static const struct {
        const char *in;
        bool is_multiline_ok, is_line_ok;
    } rows[] = {
        {"a\x01z", false, false},
        {"a\x7fz", false, false},
        {"a\xc2\x85z", false, false},
        {"a\nz", true, false},
        {"a\tz", true, false},
        {"a\xe2\x80\xaez", true, false},
        {"a\xe2\x81\xa6z", true, false},
        {"a\x1b[2Jz", false, false},
        {"a z", true, true},
    };
    struct arena a;
    struct str out;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EXPECT_EQ(check(rows[i].in, &civic_text_comment, &out, &a) == NULL,
                  rows[i].is_multiline_ok);
        EXPECT_EQ(check(rows[i].in, &civic_text_title, &out, &a) == NULL, rows[i].is_line_ok);
    }
    arena_done(&a);
}

TEST(civic_text_has_one_kind_of_line_end)
{
    struct arena a;
    struct str out;
    arena_init(&a);
    EXPECT(check("a\r\nb\rc\n", &civic_text_body, &out, &a) == NULL);
    EXPECT_STR(out, "a\nb\nc");
    arena_done(&a);
}

TEST(civic_text_takes_sane_addresses_only)
{
    static const struct {
        const char *in, *want; // NULL: refused
    } rows[] = {
        {" Olena@Example.ORG ", "olena@example.org"},
        {"a.b+c@d-e.example", "a.b+c@d-e.example"},
        {"o'neil@x.ua", "o'neil@x.ua"},
        {"\xd0\xbe\xd0\xbb@\xd0\xbf\xd1\x80.\xd1\x83\xd0\xba\xd1\x80",
         "\xd0\xbe\xd0\xbb@\xd0\xbf\xd1\x80.\xd1\x83\xd0\xba\xd1\x80"},
        {"", NULL},
        {"a", NULL},
        {"@x.ua", NULL},
        {"a@", NULL},
        {"a@b", NULL},
        {"a@b.", NULL},
        {"a@.b", NULL},
        {"a@b..c", NULL},
        {"a@-b.c", NULL},
        {"a@b-.c", NULL},
        {".a@b.c", NULL},
        {"a.@b.c", NULL},
        {"a..b@c.d", NULL},
        {"a b@c.d", NULL},
        {"a@b@c.d", NULL},
        {"a@b.c\r\nBcc: x@y.z", NULL},
        {"a<b@c.d", NULL},
        {"a@b.c>", NULL},
        {"a\xc2\xa0@b.c", NULL},
    };
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str out = {0};
        const char *code = civic_text_check_email(str_of(rows[i].in), &a, &out);
        ck_assert_msg((code == NULL) == (rows[i].want != NULL), "%s: %s", rows[i].in, code);
        if (rows[i].want)
            EXPECT_STR(out, rows[i].want);
    }
    arena_done(&a);
}

TEST(civic_text_takes_passwords_of_8_to_1024_bytes)
{
    char text[1026];
    memset(text, 'x', sizeof(text));
    EXPECT(strcmp(civic_text_check_password((struct str){text, 7}), "too-short") == 0);
    EXPECT(civic_text_check_password((struct str){text, 8}) == NULL);
    EXPECT(civic_text_check_password((struct str){text, 1024}) == NULL);
    EXPECT(strcmp(civic_text_check_password((struct str){text, 1025}), "too-long") == 0);
}
