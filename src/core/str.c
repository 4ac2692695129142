#include "core/str.h"

#include "core/mem.h"

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    }
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_space(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

size_t str_index(struct str s, char c)
{
    const char *found = s.len > 0 ? memchr(s.at, c, s.len) : NULL;
    return found ? (size_t)(found - s.at) : s.len;
}

struct str str_cut(struct str s, char sep, struct str *rest)
{
    size_t i = str_index(s, sep);
    if (i == s.len)
        *rest = (struct str){"", 0};
    else
        *rest = (struct str){s.at + i + 1, s.len - i - 1};
    return (struct str){s.at, i};
}

enum err str_parse_int(struct str s, int64_t *out)
{
    bool is_negative = s.len > 0 && s.at[0] == '-';
    size_t i = is_negative ? 1 : 0;
    if (i == s.len)
        return ERR_INVALID;

    int64_t n = 0; // counted downwards, because INT64_MIN has no positive twin
    for (; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return ERR_INVALID;
        if (__builtin_mul_overflow(n, (int64_t)10, &n) ||
            __builtin_sub_overflow(n, (int64_t)(s.at[i] - '0'), &n))
            return ERR_INVALID;
    }
    if (!is_negative && n == INT64_MIN)
        return ERR_INVALID;
    *out = is_negative ? n : -n;
    return OK;
}

struct str str_keep(char **at, struct str s)
{
    struct str kept = {*at, s.len};
    if (s.len > 0)
        memcpy(*at, s.at, s.len);
    *at += s.len;
    return kept;
}

char *str_dup(struct str s)
{
    char *copy = mem_zalloc(s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.at, s.len);
    return copy;
}
