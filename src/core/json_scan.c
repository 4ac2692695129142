/* json_scan.c -- the grammar of RFC 8259 as one function a rule, over a cursor; nothing is copied.
 *
 * The hub forwards what clients send, so a message is only cut into slices of its own bytes.
 * Strings are most of those bytes: plain ASCII in them is passed eight bytes at a time.
 *
 * Every rule starts at its first byte and leaves the cursor behind its last; false means "not
 * JSON".
 */
#include "core/json_internal.h"

struct scan {
    const char *at, *end;
    int depth;
    bool is_document; // strings must have characters, numbers must fit cJSON
};

enum { CJSON_NUMBER_MAX = 63 };

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool take(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* Behind a backslash and u. */
static bool code_unit(struct scan *s, int32_t *out)
{
    if (s->end - s->at < 4)
        return false;
    *out = json_hex4(s->at);
    s->at += 4;
    return *out >= 0;
}

static bool unicode_escape(struct scan *s)
{
    int32_t unit, low;
    if (!code_unit(s, &unit))
        return false;
    if (!s->is_document)
        return true;
    if (unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return false;
    if (unit < 0xd800 || unit > 0xdbff)
        return true;
    return take(s, '\\') && take(s, 'u') && code_unit(s, &low) && low >= 0xdc00 && low <= 0xdfff;
}

static const bool is_short_escape[256] = {
    ['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
    ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true,
};

/* Escapes one after the other: JSON inside JSON is full of them. */
static bool escapes(struct scan *s)
{
    while (s->at < s->end && *s->at == '\\') {
        if (s->end - s->at < 2)
            return false;
        char c = s->at[1];
        s->at += 2;
        if (!is_short_escape[(uint8_t)c] && (c != 'u' || !unicode_escape(s)))
            return false;
    }
    return true;
}

static bool is_tail(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

static bool has_tails(const char *at, const char *end, ptrdiff_t count)
{
    if (end - at < count)
        return false;
    while (count > 0 && is_tail(at[count - 1]))
        count--;
    return count == 0;
}

/* One character of three or four bytes (RFC 3629 §4). */
static bool long_char(struct scan *s)
{
    uint8_t lead = (uint8_t)s->at[0];
    ptrdiff_t tails = lead < 0xf0 ? 2 : 3;
    if (lead > 0xf4 || !has_tails(s->at + 1, s->end, tails))
        return false;
    uint8_t next = (uint8_t)s->at[1];
    s->at += tails + 1;
    return (lead != 0xe0 || next >= 0xa0) && (lead != 0xed || next <= 0x9f) &&
           (lead != 0xf0 || next >= 0x90) && (lead != 0xf4 || next <= 0x8f);
}

/* Characters past ASCII, one after the other: most alphabets take two bytes each. */
static bool wide_chars(struct scan *s)
{
    while (s->at < s->end && (uint8_t)*s->at >= 0x80) {
        uint8_t lead = (uint8_t)*s->at;
        if (lead < 0xe0) {
            if (lead < 0xc2 || s->end - s->at < 2 || !is_tail(s->at[1]))
                return false;
            s->at += 2;
        } else if (!long_char(s)) {
            return false;
        }
    }
    return true;
}

static void skip_plain(struct scan *s)
{
    while (s->end - s->at >= 8) {
        uint64_t word = json_load_word(s->at);
        uint64_t stop = json_specials(word) | (word & JSON_EACH_BYTE(0x80));
        if (stop) {
            s->at += __builtin_ctzll(stop) / 8;
            return;
        }
        s->at += 8;
    }
    while (s->at < s->end && (uint8_t)*s->at >= 0x20 && (uint8_t)*s->at < 0x80 && *s->at != '"' &&
           *s->at != '\\')
        s->at++;
}

static bool string(struct scan *s)
{
    if (!take(s, '"'))
        return false;
    for (;;) {
        skip_plain(s);
        if (s->at == s->end)
            return false;
        uint8_t c = (uint8_t)*s->at;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20 || !(c == '\\' ? escapes(s) : wide_chars(s)))
            return false;
    }
}

static bool digits(struct scan *s)
{
    const char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start;
}

static bool number(struct scan *s)
{
    const char *start = s->at;
    take(s, '-');
    if (!take(s, '0') && !digits(s))
        return false;
    if (take(s, '.') && !digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            take(s, '-');
        if (!digits(s))
            return false;
    }
    return !s->is_document || s->at - start <= CJSON_NUMBER_MAX;
}

static bool literal(struct scan *s, struct str word)
{
    if ((size_t)(s->end - s->at) < word.len || memcmp(s->at, word.at, word.len) != 0)
        return false;
    s->at += word.len;
    return true;
}

static bool value(struct scan *s, struct json_slice *out);

/* Stores what fits into cap; counts all. */
static bool object(struct scan *s, struct json_field *fields, size_t cap, size_t *count)
{
    if (!take(s, '{') || ++s->depth > JSON_MAX_DEPTH)
        return false;
    skip_space(s);
    bool has_more = !take(s, '}');
    while (has_more) {
        skip_space(s);
        struct json_field field;
        field.key.kind = JSON_STRING;
        field.key.text.at = s->at;
        if (!string(s))
            return false;
        field.key.text.len = (size_t)(s->at - field.key.text.at);
        skip_space(s);
        if (!take(s, ':') || !value(s, &field.value))
            return false;
        if (*count < cap)
            fields[*count] = field;
        ++*count;
        skip_space(s);
        has_more = take(s, ',');
        if (!has_more && !take(s, '}'))
            return false;
    }
    s->depth--;
    return true;
}

static bool array(struct scan *s, struct json_slice *items, size_t cap, size_t *count)
{
    if (!take(s, '[') || ++s->depth > JSON_MAX_DEPTH)
        return false;
    skip_space(s);
    bool has_more = !take(s, ']');
    while (has_more) {
        struct json_slice item;
        if (!value(s, &item))
            return false;
        if (*count < cap)
            items[*count] = item;
        ++*count;
        skip_space(s);
        has_more = take(s, ',');
        if (!has_more && !take(s, ']'))
            return false;
    }
    s->depth--;
    return true;
}

static bool value_of_kind(struct scan *s, enum json_kind *kind)
{
    size_t count = 0;
    switch (*s->at) {
    case '"':
        *kind = JSON_STRING;
        return string(s);
    case '{':
        *kind = JSON_OBJECT;
        return object(s, NULL, 0, &count);
    case '[':
        *kind = JSON_ARRAY;
        return array(s, NULL, 0, &count);
    case 't':
        *kind = JSON_TRUE;
        return literal(s, STR("true"));
    case 'f':
        *kind = JSON_FALSE;
        return literal(s, STR("false"));
    case 'n':
        *kind = JSON_NULL;
        return literal(s, STR("null"));
    default:
        *kind = JSON_NUMBER;
        return number(s);
    }
}

/* White space, then a value. */
static bool value(struct scan *s, struct json_slice *out)
{
    skip_space(s);
    if (s->at == s->end)
        return false;
    out->text.at = s->at;
    if (!value_of_kind(s, &out->kind))
        return false;
    out->text.len = (size_t)(s->at - out->text.at);
    return true;
}

static struct scan scan_of(struct str text)
{
    const char *at = text.at ? text.at : "";
    return (struct scan){.at = at, .end = at + text.len};
}

static bool is_at_end(struct scan *s)
{
    skip_space(s);
    return s->at == s->end;
}

enum err json_scan(struct str text, struct json_slice *out)
{
    struct scan s = scan_of(text);
    return value(&s, out) && is_at_end(&s) ? OK : ERR_INVALID;
}

enum err json_scan_document(struct str text)
{
    struct json_slice ignored;
    struct scan s = scan_of(text);
    s.is_document = true;
    return value(&s, &ignored) && is_at_end(&s) ? OK : ERR_INVALID;
}

enum err json_scan_object(struct str text, struct json_field *fields, size_t cap, size_t *count_out)
{
    size_t count = 0;
    struct scan s = scan_of(text);
    skip_space(&s);
    if (!object(&s, fields, cap, &count) || !is_at_end(&s))
        return ERR_INVALID;
    if (count > cap)
        return ERR_TOO_LARGE;
    *count_out = count;
    return OK;
}

enum err json_scan_array(struct str text, struct json_slice *items, size_t cap, size_t *count_out)
{
    size_t count = 0;
    struct scan s = scan_of(text);
    skip_space(&s);
    if (!array(&s, items, cap, &count) || !is_at_end(&s))
        return ERR_INVALID;
    if (count > cap)
        return ERR_TOO_LARGE;
    *count_out = count;
    return OK;
}
