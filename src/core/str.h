/* str.h -- a view of bytes: pointer and length, borrowed, not NUL-terminated.
 *
 * Whoever keeps a str longer than the call copies its bytes. Literals: STR("abc").
 */
#ifndef CORE_STR_H
#define CORE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/err.h"

struct str {
    const char *at; // may be NULL when len is 0
    size_t len;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})

/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).len, (s).at

static inline struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && memcmp(s.at, prefix.at, prefix.len) == 0;
}

/* ASCII case ignored, as for HTTP field names and tokens. */
bool str_eq_nocase(struct str a, struct str b);

/* Without ASCII white space (space, tab, CR, LF) at both ends. */
struct str str_trim(struct str s);

/* The first place of c in s, or s.len. */
size_t str_index(struct str s, char c);

/* Cuts s at the first sep: returns what is before it and leaves in *rest what is after it (empty
 * when there is no sep). */
struct str str_cut(struct str s, char sep, struct str *rest);

/* A decimal integer, the whole of s, with optional '-'. ERR_INVALID: anything else or overflow. */
MUST_USE enum err str_parse_int(struct str s, int64_t *out);

/* Copies s to *at, which has room for it, and moves *at behind the copy, which is returned: for a
 * struct that has its strings in one piece of memory with it. */
struct str str_keep(char **at, struct str s);

/* A NUL-terminated copy that the caller frees with mem_free. */
char *str_dup(struct str s);

#endif
