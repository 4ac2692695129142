#include "core/mem.h"
#include "core/str.h"
#include "test.h"

TEST(str_compares_bytes_and_names_without_case)
{
    EXPECT(str_eq(STR("abc"), STR("abc")));
    EXPECT(!str_eq(STR("abc"), STR("abd")));
    EXPECT(!str_eq(STR("abc"), STR("ab")));
    EXPECT(str_eq((struct str){0}, STR("")));
    EXPECT(str_eq_nocase(STR("Content-Length"), STR("content-LENGTH")));
    EXPECT(!str_eq_nocase(STR("@[`{"), STR("`{@[")));
    EXPECT(!str_eq_nocase(STR("a"), STR("ab")));
    EXPECT(str_starts(STR("private-x"), STR("private-")));
    EXPECT(!str_starts(STR("priv"), STR("private-")));
}

TEST(str_keeps_copies_side_by_side)
{
    char bytes[8] = "", *at = bytes;
    struct str one = str_keep(&at, STR("abc")), none = str_keep(&at, (struct str){0});
    struct str two = str_keep(&at, STR("de"));
    EXPECT_STR(one, "abc");
    EXPECT_STR(two, "de");
    EXPECT_EQ(none.len, 0);
    EXPECT(one.at == bytes && two.at == bytes + 3 && at == bytes + 5);
}

TEST(str_trims_only_ascii_space_at_both_ends)
{
    EXPECT_STR(str_trim(STR(" \t\r\n a b \n")), "a b");
    EXPECT_STR(str_trim(STR(" \t")), "");
    EXPECT_STR(str_trim(STR("")), "");
    EXPECT_STR(str_trim(STR("\v a")), "\v a");
}

TEST(str_cuts_at_the_first_separator)
{
    struct str rest, first = str_cut(STR("a,b,c"), ',', &rest);
    EXPECT_STR(first, "a");
    EXPECT_STR(rest, "b,c");
    first = str_cut(STR("abc"), ',', &rest);
    EXPECT_STR(first, "abc");
    EXPECT_STR(rest, "");
    first = str_cut(STR(",x"), ',', &rest);
    EXPECT_STR(first, "");
    EXPECT_STR(rest, "x");
    first = str_cut(STR("x,"), ',', &first); // rest may be the same variable
    EXPECT_STR(first, "x");
    EXPECT_EQ(str_index(STR("abc"), 'c'), 2);
    EXPECT_EQ(str_index(STR("abc"), 'd'), 3);
    EXPECT_EQ(str_index((struct str){0}, 'd'), 0);
}

TEST(str_parses_whole_integers_and_refuses_everything_else)
{
    static const struct {
        const char *text;
        enum err err;
        int64_t want;
    } row[] = {
        {"0", OK, 0},
        {"-0", OK, 0},
        {"42", OK, 42},
        {"-42", OK, -42},
        {"007", OK, 7},
        {"9223372036854775807", OK, INT64_MAX},
        {"-9223372036854775808", OK, INT64_MIN},
        {"9223372036854775808", ERR_INVALID, 0},
        {"-9223372036854775809", ERR_INVALID, 0},
        {"92233720368547758070", ERR_INVALID, 0},
        {"", ERR_INVALID, 0},
        {"-", ERR_INVALID, 0},
        {"+1", ERR_INVALID, 0},
        {" 1", ERR_INVALID, 0},
        {"1 ", ERR_INVALID, 0},
        {"1.0", ERR_INVALID, 0},
        {"0x10", ERR_INVALID, 0},
        {"--1", ERR_INVALID, 0},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        int64_t got = 0;
        enum err err = str_parse_int(str_of(row[i].text), &got);
        ck_assert_msg(err == row[i].err && got == row[i].want, "for '%s'", row[i].text);
    }
}

TEST(str_dup_ends_with_a_nul)
{
    char *copy = str_dup((struct str){"abcdef", 3});
    EXPECT_EQ(strcmp(copy, "abc"), 0);
    mem_free(copy);
    copy = str_dup((struct str){0});
    EXPECT_EQ(strlen(copy), 0);
    mem_free(copy);
}
