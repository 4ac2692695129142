#include "civic/civic_cursor.h"
#include "test.h"

TEST(civic_cursor_is_read_as_it_was_written)
{
    static const struct civic_cursor rows[] = {
        {'n', 0, 1}, {'t', 250, INT64_MAX}, {'o', INT64_MIN, -1}, {'r', 0, 77777}};
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct civic_cursor out;
        struct str text = civic_cursor_write(rows[i], &a);
        for (size_t k = 0; k < text.len; k++) // fit for a query as it is
            EXPECT(strchr("+/=&%", text.at[k]) == NULL);
        EXPECT_EQ(civic_cursor_parse(text, rows[i].order, &out), OK);
        EXPECT_EQ(out.key, rows[i].key);
        EXPECT_EQ(out.id, rows[i].id);
    }
    arena_done(&a);
}

TEST(civic_cursor_of_another_order_is_refused)
{
    struct arena a;
    struct civic_cursor out;
    arena_init(&a);
    EXPECT_EQ(
        civic_cursor_parse(civic_cursor_write((struct civic_cursor){'n', 0, 5}, &a), 't', &out),
        ERR_INVALID);
    arena_done(&a);
}

TEST(civic_cursor_refuses_what_is_none)
{
    static const char *const rows[] = {
        "",
        "x",
        "!!!!",
        "bi4wLg",
        "bi4wLjF4",
        "7",
        "bg==",
        "\xff\xfe",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    struct civic_cursor out;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        EXPECT_EQ(civic_cursor_parse(str_of(rows[i]), 'n', &out), ERR_INVALID);
}
