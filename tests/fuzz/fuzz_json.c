/* fuzz_json.c -- properties of the JSON reader and writer, for any bytes:
 *
 *  - scanner and parser agree on what a document is, and cJSON refuses nothing that we let through
 *  - slices lie inside the text, in order, and are JSON values again
 *  - what is printed parses, and prints the same again
 *  - a string that unescapes can be written, and unescapes to the same characters
 */
#include "core/check.h"
#include "core/json.h"
#include "core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CAP = 16 };

static void check_slice(const struct json_slice *slice, struct str text, const char *after)
{
    struct json_slice again;
    CHECK(slice->text.len > 0 && slice->text.at >= after);
    CHECK(slice->text.at + slice->text.len <= text.at + text.len);
    CHECK(json_scan(slice->text, &again) == OK);
    CHECK(again.kind == slice->kind && again.text.at == slice->text.at);
    CHECK(str_eq(again.text, slice->text));
}

static void check_string(const struct json_slice *slice)
{
    struct arena a;
    struct buf out;
    struct str text, again;
    struct json_slice rewritten;
    arena_init(&a);
    buf_init(&out, 8 * slice->text.len);
    if (json_unescape(slice, &a, &text) == OK) {
        CHECK(utf8_is_valid(text));
        CHECK(json_write_string(&out, text) == OK);
        CHECK(json_scan((struct str){(const char *)buf_head(&out), buf_len(&out)}, &rewritten) ==
              OK);
        CHECK(json_unescape(&rewritten, &a, &again) == OK && str_eq(text, again));
    }
    buf_done(&out);
    arena_done(&a);
}

static void check_splits(struct str text)
{
    struct json_field fields[CAP];
    struct json_slice items[CAP];
    size_t count;
    const char *after = text.at;
    if (json_scan_object(text, fields, CAP, &count) == OK) {
        for (size_t i = 0; i < count; i++) {
            check_slice(&fields[i].key, text, after);
            check_slice(&fields[i].value, text, fields[i].key.text.at + fields[i].key.text.len);
            after = fields[i].value.text.at + fields[i].value.text.len;
            check_string(&fields[i].key);
            (void)json_field_find(fields, count, STR("data"));
        }
    }
    if (json_scan_array(text, items, CAP, &count) == OK) {
        for (size_t i = 0; i < count; i++) {
            check_slice(&items[i], text, after);
            after = items[i].text.at + items[i].text.len;
        }
    }
}

static void check_print(const cJSON *document, size_t size)
{
    struct buf first, second;
    cJSON *again = NULL;
    buf_init(&first, 8 * size + 4096);
    buf_init(&second, 8 * size + 4096);
    CHECK(json_print(document, &first) == OK);
    CHECK(json_parse((struct str){(const char *)buf_head(&first), buf_len(&first)}, &again) == OK);
    CHECK(json_print(again, &second) == OK);
    CHECK(buf_len(&first) == buf_len(&second));
    CHECK(memcmp(buf_head(&first), buf_head(&second), buf_len(&first)) == 0);
    cJSON_Delete(again);
    buf_done(&first);
    buf_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct json_slice whole;
    cJSON *document = NULL;
    bool is_json = json_scan(text, &whole) == OK;
    bool is_document = json_scan_document(text) == OK;
    CHECK(is_json || !is_document);
    CHECK((json_parse(text, &document) == OK) == is_document);
    if (is_json) {
        int64_t n;
        check_slice(&whole, text, text.at);
        if (whole.kind == JSON_STRING)
            check_string(&whole);
        if (json_slice_int(&whole, &n) == OK)
            CHECK(whole.kind == JSON_NUMBER);
    }
    check_splits(text);
    if (is_document)
        check_print(document, size);
    cJSON_Delete(document);
    return 0;
}
