/* json_internal.h -- what json.c and json_scan.c share. */
#ifndef CORE_JSON_INTERNAL_H
#define CORE_JSON_INTERNAL_H

#include <endian.h>

#include "core/json.h"

#define JSON_EACH_BYTE(n) (UINT64_C(0x0101010101010101) * (n))

/* Eight bytes at a time: the high bit of every byte that may not stand for itself in a string
 * (quote, backslash, control). Bits above the lowest one may be false alarms. */
static inline uint64_t json_specials(uint64_t word)
{
    uint64_t quote = word ^ JSON_EACH_BYTE('"'), backslash = word ^ JSON_EACH_BYTE('\\');
    return (((quote - JSON_EACH_BYTE(1)) & ~quote) |
            ((backslash - JSON_EACH_BYTE(1)) & ~backslash) |
            ((word - JSON_EACH_BYTE(0x20)) & ~word)) &
           JSON_EACH_BYTE(0x80);
}

/* The eight bytes at `at`, the first in the lowest byte. */
static inline uint64_t json_load_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return le64toh(word);
}

/* Four hex digits at `at`, or -1. */
static inline int32_t json_hex4(const char *at)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

#endif
