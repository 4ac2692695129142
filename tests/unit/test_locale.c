#include "core/locale.h"
#include "test.h"

static const char uk[] =
    "{\"a\":{\"b\":\"Привіт, {name}!\",\"c\":{\"one\":\"{n} підпис\",\"few\":\"{n} підписи\","
    "\"many\":\"{n} підписів\",\"other\":\"{n} підпису\"}},\"top\":\"верх\"}";
static const char en[] =
    "{\"a\":{\"b\":\"{x} and {name}, {{y} {\",\"c\":{\"one\":\"{n} signature\",\"other\":\"{n} "
    "signatures\"}}}";

static void load(void)
{
    EXPECT_EQ(locale_load(LOCALE_UK, str_of(uk)), OK);
    EXPECT_EQ(locale_load(LOCALE_EN, str_of(en)), OK);
}

TEST(locale_finds_a_text_by_its_path_and_shows_the_key_when_it_is_missing)
{
    load();
    EXPECT_STR(locale_text(LOCALE_UK, STR("top")), "верх");
    EXPECT_STR(locale_text(LOCALE_UK, STR("a.b")), "Привіт, {name}!");
    EXPECT_STR(locale_text(LOCALE_EN, STR("top")), "top");
    EXPECT_STR(locale_text(LOCALE_EN, STR("a")), "a");
    EXPECT(cJSON_GetObjectItem(locale_tree(LOCALE_UK), "top") != NULL);
    EXPECT_STR(str_of(locale_code(LOCALE_EN)), "en");
}

TEST(locale_fills_places_and_leaves_those_without_a_value)
{
    struct arena a;
    arena_init(&a);
    load();
    const struct str pairs[] = {STR("name"), STR("{y}"), STR("y"), STR("Y"), {0}};
    EXPECT_STR(locale_format(LOCALE_UK, STR("a.b"), &a, pairs), "Привіт, {y}!");
    EXPECT_STR(locale_format(LOCALE_EN, STR("a.b"), &a, pairs), "{x} and {y}, {Y {");
    arena_done(&a);
}

TEST(locale_uses_the_plural_forms_of_each_language)
{
    static const struct {
        int64_t n;
        const char *uk, *en;
    } row[] = {
        {0, "0 підписів", "0 signatures"},
        {1, "1 підпис", "1 signature"},
        {2, "2 підписи", "2 signatures"},
        {4, "4 підписи", "4 signatures"},
        {5, "5 підписів", "5 signatures"},
        {11, "11 підписів", "11 signatures"},
        {12, "12 підписів", "12 signatures"},
        {14, "14 підписів", "14 signatures"},
        {21, "21 підпис", "21 signatures"},
        {22, "22 підписи", "22 signatures"},
        {101, "101 підпис", "101 signatures"},
        {111, "111 підписів", "111 signatures"},
        {1004, "1\u00a0004 підписи", "1,004 signatures"},
    };
    struct arena a;
    arena_init(&a);
    load();
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        EXPECT_STR(locale_plural(LOCALE_UK, STR("a.c"), row[i].n, &a), row[i].uk);
        EXPECT_STR(locale_plural(LOCALE_EN, STR("a.c"), row[i].n, &a), row[i].en);
    }
    EXPECT_STR(locale_plural(LOCALE_EN, STR("none"), 3, &a), "none");
    arena_done(&a);
}

TEST(locale_groups_digits_as_each_language_does)
{
    struct arena a;
    arena_init(&a);
    EXPECT_STR(locale_number(LOCALE_UK, 1284, &a), "1\u00a0284");
    EXPECT_STR(locale_number(LOCALE_EN, -1284567, &a), "-1,284,567");
    EXPECT_STR(locale_number(LOCALE_EN, 999, &a), "999");
    EXPECT_STR(locale_number(LOCALE_EN, INT64_MIN, &a), "-9,223,372,036,854,775,808");
    arena_done(&a);
}

TEST(locale_is_chosen_by_cookie_then_by_what_the_browser_prefers)
{
    static const struct {
        const char *cookie, *accept;
        enum locale_lang want;
        const char *why;
    } row[] = {
        {"en", "uk", LOCALE_EN, "the cookie wins"},
        {"uk", "en", LOCALE_UK, "the cookie wins"},
        {"de", "en", LOCALE_EN, "an unknown cookie is no cookie"},
        {"", "", LOCALE_UK, "nothing is said"},
        {"", "  ", LOCALE_UK, "nothing is said"},
        {"", "uk-UA,uk;q=0.9,en-US;q=0.8,en;q=0.7", LOCALE_UK, "a browser in Ukraine"},
        {"", "en-US,en;q=0.9,uk;q=0.8", LOCALE_EN, "English preferred"},
        {"", "en;q=0.5, UK;q=0.6", LOCALE_UK, "q decides, case does not"},
        {"", "en, uk", LOCALE_EN, "the earlier of equals"},
        {"", "uk , en", LOCALE_UK, "the earlier of equals"},
        {"", "de-DE,de;q=0.9", LOCALE_EN, "neither"},
        {"", "de,uk;q=0.1", LOCALE_UK, "Ukrainian rather than nothing"},
        {"", "*", LOCALE_UK, "anything"},
        {"", "uk;q=0, *", LOCALE_EN, "anything but Ukrainian"},
        {"", "en;q=0.4,*;q=0.8", LOCALE_UK, "the star stands for what is not named"},
        {"", "uk;q=x,en;q=0.1", LOCALE_EN, "a broken element is ignored"},
        {"", "uk;q=1.001;;,,en;q=0.001", LOCALE_EN, "a broken element is ignored"},
        {"", "ukr", LOCALE_EN, "another language"},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        enum locale_lang got = locale_choose(str_of(row[i].cookie), str_of(row[i].accept));
        ck_assert_msg(got == row[i].want, "%s: cookie '%s' accept '%s'", row[i].why, row[i].cookie,
                      row[i].accept);
    }
}

TEST(locale_refuses_what_is_not_a_tree_of_texts_and_keeps_what_it_has)
{
    load();
    EXPECT_EQ(locale_load(LOCALE_UK, STR("[]")), ERR_INVALID);
    EXPECT_EQ(locale_load(LOCALE_UK, STR("\"x\"")), ERR_INVALID);
    EXPECT_EQ(locale_load(LOCALE_UK, STR("{\"a\":{\"b\":1}}")), ERR_INVALID);
    EXPECT_EQ(locale_load(LOCALE_UK, STR("{\"a\":")), ERR_INVALID);
    EXPECT_STR(locale_text(LOCALE_UK, STR("top")), "верх");
}
