#include "core/utf8.h"
#include "test.h"

static const struct {
    const char *text;
    bool is_valid;
    const char *why;
} row[] = {
    {"", true, "empty"},
    {"plain ascii, longer than a word", true, "ASCII"},
    {"Привіт, їжаче", true, "two bytes"},
    {"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", true, "three bytes, at the edges"},
    {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true, "four bytes, at the edges"},
    {"\x80", false, "a continuation alone"},
    {"aaaaaaaaaaaaaaa\xbf", false, "a continuation alone behind whole words"},
    {"\xc0\xaf", false, "overlong"},
    {"\xc1\xbf", false, "overlong"},
    {"\xe0\x9f\xbf", false, "overlong"},
    {"\xf0\x8f\xbf\xbf", false, "overlong"},
    {"\xed\xa0\x80", false, "surrogate"},
    {"\xed\xbf\xbf", false, "surrogate"},
    {"\xf4\x90\x80\x80", false, "past U+10FFFF"},
    {"\xf5\x80\x80\x80", false, "past U+10FFFF"},
    {"\xff", false, "no lead"},
    {"\xd0", false, "cut"},
    {"\xe2\x82", false, "cut"},
    {"\xf0\x9f\x91", false, "cut"},
    {"\xd0z", false, "cut by another character"},
    {"\xe2\x82z", false, "cut by another character"},
};

TEST(utf8_accepts_what_rfc_3629_allows_only)
{
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
        ck_assert_msg(utf8_is_valid(str_of(row[i].text)) == row[i].is_valid, "%s", row[i].why);
    EXPECT(utf8_is_valid((struct str){0}));
    EXPECT(utf8_is_valid((struct str){"a\0b", 3}));
}

TEST(utf8_judges_the_same_in_any_two_pieces)
{
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        const uint8_t *bytes = (const uint8_t *)row[i].text;
        size_t len = strlen(row[i].text);
        for (size_t cut = 0; cut <= len; cut++) {
            struct utf8 u = {0};
            bool is_fine = utf8_feed(&u, bytes, cut) && utf8_feed(&u, bytes + cut, len - cut);
            EXPECT_EQ(is_fine && utf8_is_whole(&u), row[i].is_valid);
        }
    }
}

TEST(utf8_fails_at_the_first_byte_that_no_text_could_have)
{
    struct utf8 u = {0};
    EXPECT(utf8_feed(&u, (const uint8_t *)"\xf4", 1));
    EXPECT(!utf8_is_whole(&u));
    EXPECT(!utf8_feed(&u, (const uint8_t *)"\x90", 1));
    EXPECT(!utf8_feed(&u, (const uint8_t *)"a", 1)); // and stays failed
}

TEST(utf8_cuts_in_front_of_a_character)
{
    EXPECT_STR(utf8_cut(STR("їжак"), 8), "їжак");
    EXPECT_STR(utf8_cut(STR("їжак"), 7), "їжа");
    EXPECT_STR(utf8_cut(STR("їжак"), 6), "їжа");
    EXPECT_STR(utf8_cut(STR("a👍b"), 4), "a");
    EXPECT_STR(utf8_cut(STR("👍"), 3), "");
    EXPECT_STR(utf8_cut(STR("\x80\x80"), 1), "");
}

TEST(utf8_counts_code_points)
{
    EXPECT_EQ(utf8_length(STR("")), 0);
    EXPECT_EQ(utf8_length(STR("їжак")), 4);
    EXPECT_EQ(utf8_length(STR("a👍🏽")), 3);
}
