/* fuzz_utf8.c -- a text is valid however it is cut, and valid exactly when a plain decoder written
 * from the definition (RFC 3629 §3: ranges, shortest form, no surrogates) says so; the beginning
 * that utf8_cut leaves is valid when the whole is. */
#include "core/check.h"
#include "core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes of the character at the front, or 0. */
static size_t decode(const uint8_t *at, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t need = at[0] < 0x80       ? 1
                  : at[0] >> 5 == 6  ? 2
                  : at[0] >> 4 == 14 ? 3
                  : at[0] >> 3 == 30 ? 4
                                     : 0;
    if (need == 0 || need > len)
        return 0;
    uint32_t c = need == 1 ? at[0] : at[0] & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        c = c << 6 | (at[i] & 0x3fu);
    }
    bool is_surrogate = c >= 0xd800 && c <= 0xdfff;
    return c >= least[need] && c <= 0x10ffff && !is_surrogate ? need : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0, step, count = 0;
    while (at < size && (step = decode(data + at, size - at)) > 0) {
        at += step;
        count++;
    }
    struct str text = {(const char *)data, size};
    bool is_valid = at == size;
    CHECK(utf8_is_valid(text) == is_valid);
    if (is_valid)
        CHECK(utf8_length(text) == count);

    size_t cut = size > 0 ? data[0] % size : 0;
    struct utf8 u = {0};
    bool is_fine = utf8_feed(&u, data, cut) && utf8_feed(&u, data + cut, size - cut);
    CHECK((is_fine && utf8_is_whole(&u)) == is_valid);

    struct str front = utf8_cut(text, cut);
    CHECK(front.at == text.at && front.len <= cut);
    if (is_valid)
        CHECK(utf8_is_valid(front) && cut - front.len < 4);
    return 0;
}
