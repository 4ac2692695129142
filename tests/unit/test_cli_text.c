#include "cli/cli_text.h"

#include <stdlib.h>

#include "test.h"

TEST(cli_text_lets_nothing_through_that_a_terminal_obeys)
{
    static const struct {
        const char *text, *written;
        size_t count;
    } rows[] = {
        {"", "", 0},
        {"plain", "plain", 5},
        {"a\tb\nc\rd", "a b c d", 7},
        {"\x1b[31mred\x07\x7f", "?[31mred??", 10},
        {"\xc2\x9b[2J", "?[2J", 4}, // CSI as one character
        {"a\xe2\x80\xae"
         "b",
         "a?b", 3}, // writes on from right to left
        {"\xef\xbb\xbf"
         "a",
         "?a", 2}, // a mark of the order of bytes
        {"\xd0\x9e\xd0\xbb\xd0\xb5", "\xd0\x9e\xd0\xbb\xd0\xb5", 3},
        {"\xf0\x9f\x90\xbf", "\xf0\x9f\x90\xbf", 1},
        {"\xff\xc3x\xe2\x82", "??x??", 5}, // no UTF-8
        {"\xed\xa0\x80", "???", 3},        // half a pair
    };
    char out[40 * CLI_TEXT_CHARACTER_BYTES + 1];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EXPECT_EQ(cli_text_write(str_of(rows[i].text), 40, out), rows[i].count);
        EXPECT_STR(str_of(out), rows[i].written);
    }
    EXPECT_EQ(cli_text_write((struct str){"a\0b", 3}, 40, out), 3);
    EXPECT_STR(str_of(out), "a?b");
}

TEST(cli_text_cuts_between_characters)
{
    char out[3 * CLI_TEXT_CHARACTER_BYTES + 1];
    EXPECT_EQ(cli_text_write(STR("\xd0\x9e\xd0\xbb\xd0\xb5\xd0\xbd\xd0\xb0"), 3, out), 3);
    EXPECT_STR(str_of(out), "\xd0\x9e\xd0\xbb\xd0\xb5");
}

TEST(cli_text_escapes_in_json_what_a_terminal_obeys)
{
    static const char json[] =
        "{\"a\":\"\\u001b\xc2\x9b\xe2\x80\xae\x7f\xf3\xa0\x80\x81\xd0\x9e\"}\n\xff";
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    EXPECT(file != NULL);
    cli_text_print_json(file, str_of(json));
    EXPECT_EQ(fclose(file), 0);
    EXPECT_STR(str_of(text), "{\"a\":\"\\u001b\\u009b\\u202e\\u007f\\udb40\\udc01\xd0\x9e\"}\n?");
    free(text);
}
