#include "civic/civic_text.h"

#include "core/utf8.h"

const struct civic_text_rule civic_text_title = {.max_chars = 140};
const struct civic_text_rule civic_text_summary = {.max_chars = 300, .is_optional = true};
const struct civic_text_rule civic_text_body = {.max_chars = 20000, .is_multiline = true};
const struct civic_text_rule civic_text_comment = {.max_chars = 4000, .is_multiline = true};
const struct civic_text_rule civic_text_name = {.max_chars = 60};
const struct civic_text_rule civic_text_client = {.max_chars = 64, .is_optional = true};

/* The code point at s.at, and its length; s is valid UTF-8 and not empty. */
static uint32_t code_point(struct str s, size_t *len_out)
{
    const uint8_t *b = (const uint8_t *)s.at;
    if (b[0] < 0x80) {
        *len_out = 1;
        return b[0];
    }
    size_t len = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    uint32_t c = b[0] & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (b[i] & 0x3fU);
    *len_out = len;
    return c;
}

struct range {
    uint32_t first, last;
};

static bool is_within(uint32_t c, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

/* What only changes the character before it: a text of only these has no letters. */
static bool is_mark(uint32_t c)
{
    static const struct range marks[] = {
        {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd},   {0x064b, 0x065f},
        {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff},   {0x302a, 0x302f},
        {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0000, 0xe01ef},
    };
    return c >= 0x300 && is_within(c, marks, sizeof(marks) / sizeof(marks[0]));
}

/* White space and what has no ink: a text of only these is empty. */
static bool is_blank(uint32_t c)
{
    static const struct range blanks[] = {
        {0x09, 0x0d},     {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},
        {0xad, 0xad},     {0x1680, 0x1680}, {0x2000, 0x200f}, {0x2028, 0x202f},
        {0x205f, 0x2064}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xfeff, 0xfeff},
    };
    if (c > 0x20 && c < 0x80)
        return false;
    return is_within(c, blanks, sizeof(blanks) / sizeof(blanks[0]));
}

static bool is_forbidden(uint32_t c, bool is_multiline)
{
    // Overrides and isolates of direction, line and paragraph separators.
    static const struct range one_line[] = {{0x2028, 0x202e}, {0x2066, 0x2069}};
    if (c < 0x20)
        return !is_multiline || (c != '\n' && c != '\t');
    if (c >= 0x7f && c <= 0x9f)
        return true;
    return !is_multiline && c >= 0x2028 && is_within(c, one_line, 2);
}

static struct str trim(struct str s)
{
    size_t len = 0;
    while (s.len && is_blank(code_point(s, &len))) {
        s.at += len;
        s.len -= len;
    }
    while (s.len) {
        size_t start = s.len - 1;
        while (((uint8_t)s.at[start] & 0xc0) == 0x80)
            start--;
        if (!is_blank(code_point((struct str){s.at + start, s.len - start}, &len)))
            break;
        s.len = start;
    }
    return s;
}

/* CR LF, as forms send it, and a lone CR become LF. */
static struct str unify_lines(struct str s, struct arena *a)
{
    if (!s.len || !memchr(s.at, '\r', s.len))
        return s;
    char *out = arena_alloc(a, s.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '\r' && i + 1 < s.len && s.at[i + 1] == '\n')
            continue;
        char c = s.at[i];
        out[len++] = c;
        if (c == '\r')
            out[len - 1] = '\n';
    }
    return (struct str){out, len};
}

const char *civic_text_check(struct str in, const struct civic_text_rule *rule, struct arena *a,
                             struct str *clean_out)
{
    struct str s = trim(rule->is_multiline ? unify_lines(in, a) : in);
    size_t chars = 0;
    bool has_letters = false;
    for (size_t at = 0, len; at < s.len; at += len, chars++) {
        uint32_t c = code_point((struct str){s.at + at, s.len - at}, &len);
        if (is_forbidden(c, rule->is_multiline))
            return "not-text";
        has_letters = has_letters || !(is_mark(c) || is_blank(c));
    }
    if (!has_letters && !rule->is_optional)
        return "required";
    if (chars > rule->max_chars)
        return "too-long";
    *clean_out = s;
    return NULL;
}

static bool is_local_char(char c)
{
    uint8_t b = (uint8_t)c;
    if (b >= 0x80) // RFC 6531; the whole was checked to be UTF-8
        return true;
    return b > 0x20 && b < 0x7f && !strchr("\"(),:;<>@[\\]", c);
}

static bool is_domain(struct str s)
{
    bool has_dot = false;
    char before = '.';
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (uint8_t)c >= 0x80;
        if (!is_word && c != '-' && c != '.')
            return false;
        if ((c == '.' || c == '-') && before == '.') // empty label, or one that starts with '-'
            return false;
        if (c == '.' && before == '-')
            return false;
        has_dot = has_dot || c == '.';
        before = c;
    }
    return has_dot && before != '.' && before != '-';
}

const char *civic_text_check_email(struct str in, struct arena *a, struct str *clean_out)
{
    struct str s = trim(in);
    if (!s.len)
        return "required";
    if (s.len > CIVIC_TEXT_MAX_EMAIL_BYTES)
        return "too-long";
    char *lower = arena_alloc(a, s.len + 1);
    memcpy(lower, s.at, s.len);
    for (size_t i = 0; i < s.len; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] | 0x20);
    struct str domain, clean = {lower, s.len};
    struct str local = str_cut(clean, '@', &domain);
    if (!local.len || local.len > 64 || local.at[0] == '.' || local.at[local.len - 1] == '.')
        return "not-email";
    for (size_t i = 0; i < local.len; i++)
        if (!is_local_char(local.at[i]) || (local.at[i] == '.' && local.at[i + 1] == '.'))
            return "not-email";
    for (size_t at = 0, len; at < clean.len; at += len) {
        uint32_t c = code_point((struct str){clean.at + at, clean.len - at}, &len);
        if (is_blank(c) || is_forbidden(c, false))
            return "not-email";
    }
    if (!is_domain(domain))
        return "not-email";
    *clean_out = clean;
    return NULL;
}

const char *civic_text_check_password(struct str in)
{
    if (!in.len)
        return "required";
    if (in.len < CIVIC_TEXT_MIN_PASSWORD_BYTES)
        return "too-short";
    return in.len > CIVIC_TEXT_MAX_PASSWORD_BYTES ? "too-long" : NULL;
}
