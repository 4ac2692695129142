/* utf8.h -- UTF-8 validation (RFC 3629), whole or as the bytes come. */
#ifndef CORE_UTF8_H
#define CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"

/* State between two pieces of a text; zero at its start. */
struct utf8 {
    uint8_t state; // 0: between characters
};

/* Checks the next piece. False as soon as no continuation could be valid (fail fast). */
bool utf8_feed(struct utf8 *u, const uint8_t *bytes, size_t len);
static inline bool utf8_is_whole(const struct utf8 *u)
{
    return u->state == 0;
}

bool utf8_is_valid(struct str s);

/* The bytes of the first character, and its code point; 0: s is empty, or begins with none. */
size_t utf8_first(struct str s, uint32_t *code_out);

/* The beginning of s that has no more than max bytes and does not end inside a character. */
struct str utf8_cut(struct str s, size_t max);

/* Code points in a valid s. */
size_t utf8_length(struct str s);

#endif
