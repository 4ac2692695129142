/* utf8.c -- a state per pending continuation, after the table of RFC 3629 §4.
 *
 * ASCII is the common case and is skipped eight bytes at a time. The other lead bytes choose how
 * many continuations follow and what the first of them may be; the rest are 80..BF.
 */
#include "core/utf8.h"

enum state {
    BETWEEN,
    TAIL_1, // this many continuations 80..BF to go
    TAIL_2,
    TAIL_3,
    AFTER_E0, // A0..BF, then 1: no overlong forms
    AFTER_ED, // 80..9F, then 1: no surrogates
    AFTER_F0, // 90..BF, then 2: no overlong forms
    AFTER_F4, // 80..8F, then 2: nothing past U+10FFFF
    BROKEN,
};

static const struct {
    uint8_t low, high, next;
} row[] = {
    [TAIL_1] = {0x80, 0xbf, BETWEEN},  [TAIL_2] = {0x80, 0xbf, TAIL_1},
    [TAIL_3] = {0x80, 0xbf, TAIL_2},   [AFTER_E0] = {0xa0, 0xbf, TAIL_1},
    [AFTER_ED] = {0x80, 0x9f, TAIL_1}, [AFTER_F0] = {0x90, 0xbf, TAIL_2},
    [AFTER_F4] = {0x80, 0x8f, TAIL_2}, [BROKEN] = {1, 0, BROKEN},
};

static uint8_t after_lead(uint8_t c)
{
    if (c < 0x80)
        return BETWEEN;
    if (c < 0xc2)
        return BROKEN; // a continuation, or an overlong form
    if (c < 0xe0)
        return TAIL_1;
    if (c < 0xf0)
        return c == 0xe0 ? AFTER_E0 : c == 0xed ? AFTER_ED : TAIL_2;
    if (c > 0xf4)
        return BROKEN;
    return c == 0xf0 ? AFTER_F0 : c == 0xf4 ? AFTER_F4 : TAIL_3;
}

static const uint8_t *skip_ascii(const uint8_t *at, const uint8_t *end)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        if (word & high_bits)
            break;
        at += 8;
    }
    while (at < end && *at < 0x80)
        at++;
    return at;
}

bool utf8_feed(struct utf8 *u, const uint8_t *bytes, size_t len)
{
    const uint8_t *at = bytes, *end = len > 0 ? bytes + len : bytes;
    uint8_t state = u->state;
    while (at < end) {
        if (state == BETWEEN) {
            if (*at < 0x80) {
                at = skip_ascii(at, end);
                continue;
            }
            state = after_lead(*at++);
        } else if (*at >= row[state].low && *at <= row[state].high) {
            state = row[state].next;
            at++;
        } else {
            state = BROKEN;
        }
        if (state == BROKEN)
            break;
    }
    u->state = state;
    return state != BROKEN;
}

bool utf8_is_valid(struct str s)
{
    struct utf8 u = {0};
    return utf8_feed(&u, (const uint8_t *)s.at, s.len) && utf8_is_whole(&u);
}

size_t utf8_first(struct str s, uint32_t *code_out)
{
    struct utf8 u = {0};
    uint32_t code = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.at[i];
        if (!utf8_feed(&u, &c, 1))
            return 0;
        uint8_t bits = c < 0x80 ? 0x7f : i > 0 ? 0x3f : c < 0xe0 ? 0x1f : c < 0xf0 ? 0x0f : 0x07;
        code = code << 6 | (c & bits);
        if (utf8_is_whole(&u)) {
            *code_out = code;
            return i + 1;
        }
    }
    return 0;
}

struct str utf8_cut(struct str s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && ((uint8_t)s.at[max] & 0xc0) == 0x80)
        max--;
    return (struct str){s.at, max};
}

size_t utf8_length(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += ((uint8_t)s.at[i] & 0xc0) != 0x80;
    return count;
}
