/* json.c -- cJSON made strict, values of slices, and the writer.
 *
 * cJSON alone takes trailing bytes, bad UTF-8, raw control characters and "+1", and ends a string
 * at \u0000; so every document passes our scanner first. It prints numbers with up to 17 digits and
 * a malloc per document; ours prints what JavaScript would, straight into the buf.
 */
#include "core/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/json_internal.h"

enum err json_parse(struct str text, cJSON **out)
{
    if (json_scan_document(text))
        return ERR_INVALID;
    cJSON *document = cJSON_ParseWithLength(text.at, text.len);
    if (!document)
        return ERR_INVALID;
    *out = document;
    return OK;
}

/* ---- values of slices ---- */

static const char short_escape[] = "\"\\/bfnrt";
static const char short_meaning[] = "\"\\/\b\f\n\r\t";

/* Takes one code unit of UTF-16 from an escape behind its backslash. */
static uint32_t take_escape(struct str *s)
{
    char c = s->at[0];
    size_t len = c == 'u' ? 5 : 1;
    uint32_t unit = c == 'u' ? (uint32_t)json_hex4(s->at + 1)
                             : (uint8_t)short_meaning[strchr(short_escape, c) - short_escape];
    s->at += len;
    s->len -= len;
    return unit;
}

/* Takes the code point of an escape and of the second half of its pair. False: a half alone, or
 * NUL. */
static bool take_code_point(struct str *s, uint32_t *out)
{
    uint32_t first = take_escape(s);
    *out = first;
    if (first < 0xd800 || first > 0xdfff)
        return first != 0;
    if (first > 0xdbff || s->len < 2 || s->at[0] != '\\' || s->at[1] != 'u')
        return false;
    s->at++;
    s->len--;
    uint32_t second = take_escape(s);
    *out = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    return second >= 0xdc00 && second <= 0xdfff;
}

static size_t write_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t tails = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[tails] | c >> (6 * tails));
    for (size_t i = 1; i <= tails; i++)
        out[i] = (char)(0x80 | (c >> (6 * (tails - i)) & 0x3f));
    return tails + 1;
}

static struct str inside(const struct json_slice *string)
{
    return (struct str){string->text.at + 1, string->text.len - 2};
}

/* Resolves the escapes of s into out, which has room for s.len bytes: no escape is shorter than
 * what it stands for. */
static bool resolve(struct str s, char *out, size_t *len_out)
{
    size_t len = 0;
    while (s.len > 0) {
        size_t plain = str_index(s, '\\');
        memcpy(out + len, s.at, plain);
        len += plain;
        s.at += plain;
        s.len -= plain;
        if (s.len == 0)
            break;
        uint32_t c;
        s.at++;
        s.len--;
        if (!take_code_point(&s, &c))
            return false;
        len += write_utf8(c, out + len);
    }
    *len_out = len;
    return true;
}

enum err json_unescape(const struct json_slice *string, struct arena *a, struct str *out)
{
    if (string->kind != JSON_STRING)
        return ERR_INVALID;
    struct str s = inside(string);
    if (str_index(s, '\\') == s.len) {
        *out = s;
        return OK;
    }
    size_t len = 0;
    char *text = arena_alloc(a, s.len + 1);
    if (!resolve(s, text, &len))
        return ERR_INVALID;
    *out = (struct str){text, len};
    return OK;
}

static bool key_is(const struct json_slice *key, struct str name)
{
    struct str s = inside(key);
    if (str_eq(s, name))
        return true;
    // An escape takes at most 6 bytes for each ASCII character of the name.
    char text[512] __attribute__((uninitialized));
    size_t len;
    if (s.len <= name.len || s.len > 6 * name.len || s.len > sizeof(text))
        return false;
    return str_index(s, '\\') < s.len && resolve(s, text, &len) &&
           str_eq((struct str){text, len}, name);
}

const struct json_slice *json_field_find(const struct json_field *fields, size_t count,
                                         struct str name)
{
    for (size_t i = count; i > 0; i--) {
        if (key_is(&fields[i - 1].key, name))
            return &fields[i - 1].value;
    }
    return NULL;
}

enum err json_slice_int(const struct json_slice *number, int64_t *out)
{
    return number->kind == JSON_NUMBER ? str_parse_int(number->text, out) : ERR_INVALID;
}

/* ---- writing ---- */

static const char *plain_end(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t stop = json_specials(json_load_word(at));
        if (stop)
            return at + __builtin_ctzll(stop) / 8;
        at += 8;
    }
    while (at < end && (uint8_t)*at >= 0x20 && *at != '"' && *at != '\\')
        at++;
    return at;
}

static enum err write_escape(struct buf *out, char c)
{
    const char *known = memchr(short_meaning, c, sizeof(short_meaning) - 1);
    if (!known)
        return buf_printf(out, "\\u%04x", (unsigned)(uint8_t)c);
    return buf_append(out, (char[]){'\\', short_escape[known - short_meaning]}, 2);
}

/* Appends the pieces of a string; a failure leaves those before it. */
static enum err write_pieces(struct buf *out, struct str text)
{
    const char *at = text.at, *end = text.len > 0 ? at + text.len : at;
    enum err err = buf_append(out, "\"", 1);
    while (!err && at < end) {
        const char *stop = plain_end(at, end);
        err = buf_append(out, at, (size_t)(stop - at));
        if (!err && stop < end)
            err = write_escape(out, *stop++);
        at = stop;
    }
    return err ? err : buf_append(out, "\"", 1);
}

/* Takes back what was appended since the buf had len bytes. */
static enum err undo_on(enum err err, struct buf *out, size_t len)
{
    if (err)
        buf_trim(out, buf_len(out) - len);
    return err;
}

enum err json_write_string(struct buf *out, struct str text)
{
    size_t before = buf_len(out);
    return undo_on(write_pieces(out, text), out, before);
}

enum err json_write_int(struct buf *out, int64_t value)
{
    // not printf: a page has hundreds of these
    char text[20], *at = text + sizeof(text);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        *--at = '-';
    return buf_append(out, at, (size_t)(text + sizeof(text) - at));
}

static bool reads_back(const char *text, double value)
{
    return strtod(text, NULL) == value;
}

/* Writes the fewest digits that read back as value, the nearest to it if there is a choice; returns
 * how many. The point belongs behind the first of them, times ten to the exponent. */
static int shortest_digits(double value, char digits[static 18], int *exponent_out)
{
    char text[32];
    int precision = 0;
    for (;; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, value);
        if (precision == 16 || reads_back(text, value))
            break;
        // Above a power of two the doubles lie wider than below it, so there the next decimal
        // upwards may do although it is not the nearest.
        char *last = text + (precision > 0 ? precision + 1 : 0);
        if (*last < '9' && (++*last, reads_back(text, value)))
            break;
    }
    digits[0] = text[0];
    memcpy(digits + 1, text + 2, (size_t)precision);
    *exponent_out = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    return precision + 1;
}

enum err json_write_number(struct buf *out, double value)
{
    if (isnan(value) || isinf(value))
        return buf_append(out, "null", 4);
    if (fabs(value) <= 9007199254740992.0 && value == trunc(value))
        return json_write_int(out, (int64_t)value);

    // ECMA-262, Number::toString; "%.*d" of 0 prints so many zeros
    const char *sign = value < 0 ? "-" : "";
    char digits[18];
    int exponent;
    int count = shortest_digits(fabs(value), digits, &exponent);
    if (exponent > 20 || exponent < -6)
        return buf_printf(out, "%s%c%s%.*se%+d", sign, digits[0], count > 1 ? "." : "", count - 1,
                          digits + 1, exponent);
    if (exponent < 0)
        return buf_printf(out, "%s0.%.*d%.*s", sign, -exponent - 1, 0, count, digits);
    if (count <= exponent + 1)
        return buf_printf(out, "%s%.*s%.*d", sign, count, digits, exponent + 1 - count, 0);
    return buf_printf(out, "%s%.*s.%.*s", sign, exponent + 1, digits, count - exponent - 1,
                      digits + exponent + 1);
}

/* ---- documents ---- */

static enum err write_value(const cJSON *v, struct buf *out);

static enum err write_children(const cJSON *v, const char brackets[static 2], struct buf *out)
{
    enum err err = buf_append(out, &brackets[0], 1);
    for (const cJSON *child = v->child; child && !err; child = child->next) {
        if (child != v->child)
            err = buf_append(out, ",", 1);
        if (!err && cJSON_IsObject(v)) {
            err = write_pieces(out, str_of(child->string));
            if (!err)
                err = buf_append(out, ":", 1);
        }
        if (!err)
            err = write_value(child, out);
    }
    return err ? err : buf_append(out, &brackets[1], 1);
}

static enum err write_value(const cJSON *v, struct buf *out)
{
    switch (v->type & 0xff) {
    case cJSON_False:
        return buf_append(out, "false", 5);
    case cJSON_True:
        return buf_append(out, "true", 4);
    case cJSON_Number:
        return json_write_number(out, v->valuedouble);
    case cJSON_String:
        return write_pieces(out, str_of(v->valuestring));
    case cJSON_Raw:
        return buf_append(out, v->valuestring, strlen(v->valuestring));
    case cJSON_Array:
        return write_children(v, "[]", out);
    case cJSON_Object:
        return write_children(v, "{}", out);
    default:
        return buf_append(out, "null", 4);
    }
}

enum err json_print(const cJSON *v, struct buf *out)
{
    size_t before = buf_len(out);
    return undo_on(write_value(v, out), out, before);
}
