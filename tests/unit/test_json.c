#include "core/json.h"
#include "test.h"

#include <math.h>

static const struct {
    const char *text;
    bool is_json, is_document;
    const char *why;
} row[] = {
    {"{}", true, true, "an empty object"},
    {" [ 1 , 2 ] \r\n\t", true, true, "white space around"},
    {"\"a\"", true, true, "a string alone"},
    {"-0.5e+10", true, true, "a number alone"},
    {"null", true, true, "null"},
    {"{\"a\":1,\"a\":2}", true, true, "a key twice"},
    {"\"\\ud83d\\ude00\\u0001\\/\\b\"", true, true, "escapes"},
    {"\"Привіт \xf0\x9f\x91\x8d\"", true, true, "UTF-8"},
    {"\"\x7f\"", true, true, "DEL is not a control character here"},
    {"\"\\u0000\"", true, false, "NUL has no place in a C string"},
    {"\"\\ud83d\"", true, false, "half a pair"},
    {"\"\\ude00\\ud83d\"", true, false, "a pair the wrong way round"},
    {"\"\\ud83dx\"", true, false, "half a pair"},
    {"1234567890123456789012345678901234567890123456789012345678901234", true, false,
     "a number longer than cJSON reads"},
    {"", false, false, "empty"},
    {"  ", false, false, "white space only"},
    {"{} x", false, false, "trailing bytes"},
    {"{}{}", false, false, "two values"},
    {"[1,]", false, false, "a comma too many"},
    {"[,1]", false, false, "a comma too many"},
    {"{\"a\":1,}", false, false, "a comma too many"},
    {"{\"a\" 1}", false, false, "no colon"},
    {"{a:1}", false, false, "a key without quotes"},
    {"{1:1}", false, false, "a key that is a number"},
    {"[1 2]", false, false, "no comma"},
    {"[", false, false, "unclosed"},
    {"{\"a\":", false, false, "unclosed"},
    {"\"a", false, false, "unclosed"},
    {"\"a\\", false, false, "unclosed"},
    {"\"a\\u12", false, false, "unclosed"},
    {"]", false, false, "closed only"},
    {"[}", false, false, "crossed"},
    {"+1", false, false, "a plus"},
    {"01", false, false, "a leading zero"},
    {"-", false, false, "a sign alone"},
    {"1.", false, false, "no digit behind the point"},
    {".5", false, false, "no digit before the point"},
    {"1e", false, false, "no exponent"},
    {"0x10", false, false, "hexadecimal"},
    {"NaN", false, false, "not a number"},
    {"Infinity", false, false, "infinite"},
    {"nul", false, false, "a cut word"},
    {"nulls", false, false, "a longer word"},
    {"True", false, false, "capitals"},
    {"'a'", false, false, "single quotes"},
    {"\"\t\"", false, false, "a raw tab"},
    {"\"a\nb\"", false, false, "a raw line end"},
    {"\"\\x41\"", false, false, "an unknown escape"},
    {"\"\\u12g4\"", false, false, "not hexadecimal"},
    {"\"\xff\"", false, false, "not UTF-8"},
    {"\"\xc0\xaf\"", false, false, "overlong UTF-8"},
    {"\"\xed\xa0\x80\"", false, false, "a surrogate in UTF-8"},
    {"\"\xd0\"", false, false, "cut UTF-8"},
    {"\xef\xbb\xbf{}", false, false, "a byte order mark"},
    {"// c\n1", false, false, "a comment"},
};

TEST(json_accepts_rfc_8259_and_nothing_else)
{
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct json_slice slice;
        cJSON *document = NULL;
        struct str text = str_of(row[i].text);
        ck_assert_msg((json_scan(text, &slice) == OK) == row[i].is_json, "scan: %s: %s", row[i].why,
                      row[i].text);
        ck_assert_msg((json_scan_document(text) == OK) == row[i].is_document, "document: %s",
                      row[i].why);
        ck_assert_msg((json_parse(text, &document) == OK) == row[i].is_document, "parse: %s",
                      row[i].why);
        cJSON_Delete(document);
    }
    cJSON *document = NULL;
    EXPECT_EQ(json_parse((struct str){"{}\0", 3}, &document), ERR_INVALID);
    EXPECT_EQ(json_parse((struct str){"\"a\0\"", 4}, &document), ERR_INVALID);
    EXPECT_EQ(json_parse((struct str){0}, &document), ERR_INVALID);
}

TEST(json_refuses_what_is_nested_too_deeply)
{
    char text[2 * (JSON_MAX_DEPTH + 1)];
    cJSON *document = NULL;
    for (size_t depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        EXPECT_EQ(json_parse((struct str){text, 2 * depth}, &document),
                  depth <= JSON_MAX_DEPTH ? OK : ERR_INVALID);
    }
    cJSON_Delete(document);
}

TEST(json_splits_an_object_into_slices_of_its_own_bytes)
{
    static const char text[] =
        " { \"event\" : \"x\", \"data\":{\"a\": [1, 2]} , \"n\":-5,\"t\":true,\"z\":null } ";
    struct json_field fields[8];
    size_t count = 0;
    EXPECT_EQ(json_scan_object(str_of(text), fields, 8, &count), OK);
    EXPECT_EQ(count, 5);
    EXPECT_STR(fields[0].key.text, "\"event\"");
    EXPECT_STR(json_field_find(fields, count, STR("data"))->text, "{\"a\": [1, 2]}");
    EXPECT_EQ(json_field_find(fields, count, STR("data"))->kind, JSON_OBJECT);
    EXPECT_STR(json_field_find(fields, count, STR("n"))->text, "-5");
    EXPECT_EQ(json_field_find(fields, count, STR("t"))->kind, JSON_TRUE);
    EXPECT_EQ(json_field_find(fields, count, STR("z"))->kind, JSON_NULL);
    EXPECT(json_field_find(fields, count, STR("dat")) == NULL);
    EXPECT(json_field_find(fields, count, STR("")) == NULL);
    EXPECT(fields[0].key.text.at == text + 3);
}

TEST(json_finds_the_last_field_of_a_name_however_its_key_is_written)
{
    struct json_field fields[8];
    size_t count = 0;
    EXPECT_EQ(json_scan_object(STR("{\"data\":1,\"d\\u0061t\\u0061\":2,\"date\":3,\"\\ud800\":4}"),
                               fields, 8, &count),
              OK);
    EXPECT_STR(json_field_find(fields, count, STR("data"))->text, "2");
}

TEST(json_splits_an_array_and_counts_against_the_limit)
{
    struct json_slice items[3];
    size_t count = 0;
    EXPECT_EQ(json_scan_array(STR("[\"a\", [], 3]"), items, 3, &count), OK);
    EXPECT_EQ(count, 3);
    EXPECT_STR(items[1].text, "[]");
    EXPECT_EQ(json_scan_array(STR("[]"), items, 3, &count), OK);
    EXPECT_EQ(count, 0);
    EXPECT_EQ(json_scan_array(STR("[1,2,3,4]"), items, 3, &count), ERR_TOO_LARGE);
    EXPECT_EQ(json_scan_array(STR("{}"), items, 3, &count), ERR_INVALID);
    struct json_field fields[1];
    EXPECT_EQ(json_scan_object(STR("{\"a\":1,\"b\":2}"), fields, 1, &count), ERR_TOO_LARGE);
    EXPECT_EQ(json_scan_object(STR("[]"), fields, 1, &count), ERR_INVALID);
    EXPECT_EQ(json_scan_object(STR("{\"a\":1} 2"), fields, 1, &count), ERR_INVALID);
}

static struct json_slice slice_of(const char *text)
{
    struct json_slice slice = {0};
    EXPECT_EQ(json_scan(str_of(text), &slice), OK);
    return slice;
}

TEST(json_resolves_escapes_and_refuses_half_characters)
{
    static const struct {
        const char *json;
        enum err err;
        const char *want;
    } strings[] = {
        {"\"plain\"", OK, "plain"},
        {"\"\"", OK, ""},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", OK, "a\"\\/\b\f\n\r\tz"},
        {"\"\\u041e\\u043Bя\\u00e9\\u20ac\"", OK, "Оляé€"},
        {"\"\\ud83d\\udc4d!\"", OK, "👍!"},
        {"\"\\ud83d\"", ERR_INVALID, NULL},
        {"\"\\ud83d\\n\"", ERR_INVALID, NULL},
        {"\"\\ud83d\\u0041\"", ERR_INVALID, NULL},
        {"\"\\udc4d\"", ERR_INVALID, NULL},
        {"\"a\\u0000b\"", ERR_INVALID, NULL},
        {"12", ERR_INVALID, NULL},
    };
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        struct json_slice slice = slice_of(strings[i].json);
        struct str out;
        EXPECT_EQ(json_unescape(&slice, &a, &out), strings[i].err);
        if (strings[i].err == OK)
            EXPECT_STR(out, strings[i].want);
    }
    arena_done(&a);
}

TEST(json_slice_int_takes_integers_only)
{
    int64_t n = 0;
    struct json_slice slice = slice_of("-9223372036854775808");
    EXPECT_EQ(json_slice_int(&slice, &n), OK);
    EXPECT_EQ(n, INT64_MIN);
    static const char *const refused[] = {"1.0", "1e2", "9223372036854775808", "\"1\"", "null"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        slice = slice_of(refused[i]);
        EXPECT_EQ(json_slice_int(&slice, &n), ERR_INVALID);
    }
}

static struct str text_of(const struct buf *b)
{
    return (struct str){(const char *)buf_head(b), buf_len(b)};
}

TEST(json_writes_strings_that_read_back)
{
    struct buf out;
    buf_init(&out, 1000);
    EXPECT_EQ(json_write_string(&out, STR("Олена \"x\" \\ / \n\t\x01\x1f\x7f 👍")), OK);
    EXPECT_STR(text_of(&out), "\"Олена \\\"x\\\" \\\\ / \\n\\t\\u0001\\u001f\x7f 👍\"");
    buf_done(&out);
    EXPECT_EQ(json_write_string(&out, (struct str){0}), OK);
    EXPECT_STR(text_of(&out), "\"\"");
    buf_done(&out);
}

TEST(json_writes_every_integer)
{
    static const struct {
        int64_t value;
        const char *want;
    } integers[] = {{0, "0"},
                    {-7, "-7"},
                    {1795600000123, "1795600000123"},
                    {INT64_MAX, "9223372036854775807"},
                    {INT64_MIN, "-9223372036854775808"}};
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        struct buf out;
        buf_init(&out, 20);
        EXPECT_EQ(json_write_int(&out, integers[i].value), OK);
        EXPECT_STR(text_of(&out), integers[i].want);
        buf_done(&out);
    }
}

TEST(json_writes_numbers_as_javascript_does)
{
    static const struct {
        double value;
        const char *want;
    } numbers[] = {
        {0, "0"},
        {-0.0, "0"},
        {1284, "1284"},
        {-2.5, "-2.5"},
        {0.1, "0.1"},
        {0.000001, "0.000001"},
        {0.0000001, "1e-7"},
        {-1.5e-9, "-1.5e-9"},
        {1795600000000, "1795600000000"},
        {9007199254740992, "9007199254740992"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e21, "1e+21"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {5e-324, "5e-324"},
        {0x1p-24, "5.960464477539063e-8"},
        {100.25, "100.25"},
        {INFINITY, "null"},
        {NAN, "null"},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct buf out;
        buf_init(&out, 100);
        EXPECT_EQ(json_write_number(&out, numbers[i].value), OK);
        EXPECT_STR(text_of(&out), numbers[i].want);
        buf_done(&out);
    }
}

TEST(json_prints_a_document_compactly)
{
    static const char text[] =
        "{\"a\":[1,2.5,\"x\\ny\",null,true,false,{}],\"\":[],\"ї\":{\"b\":\"\"}}";
    struct buf out;
    cJSON *document = NULL;
    buf_init(&out, 1000);
    EXPECT_EQ(json_parse(str_of(text), &document), OK);
    EXPECT_EQ(json_print(document, &out), OK);
    EXPECT_STR(text_of(&out), text);
    cJSON_Delete(document);
    buf_done(&out);
}

TEST(json_leaves_a_full_buffer_as_it_was)
{
    cJSON *document = NULL;
    EXPECT_EQ(json_parse(STR("{\"key\":[123456,\"text\\n\"]}"), &document), OK);
    for (size_t max = 1; max < 25; max++) {
        struct buf out;
        buf_init(&out, max);
        EXPECT_EQ(buf_append(&out, "x", 1), OK);
        EXPECT_EQ(json_print(document, &out), ERR_TOO_LARGE);
        EXPECT_STR(text_of(&out), "x");
        if (max < 8) {
            EXPECT_EQ(json_write_string(&out, STR("ab\ncd")), ERR_TOO_LARGE);
            EXPECT_STR(text_of(&out), "x");
        }
        buf_done(&out);
    }
    cJSON_Delete(document);
}
