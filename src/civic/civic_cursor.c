#include "civic/civic_cursor.h"

#include <inttypes.h>

#include "core/crypto.h"

enum { MAX_BYTES = 64 };

/* Swaps the two characters in which base64 and base64url (RFC 4648 §5) differ. */
static void swap_alphabet(char *text, size_t len, const char *from, const char *to)
{
    for (size_t i = 0; i < len; i++)
        for (int k = 0; k < 2; k++)
            if (text[i] == from[k]) {
                text[i] = to[k];
                break;
            }
}

struct str civic_cursor_write(struct civic_cursor cursor, struct arena *a)
{
    struct str plain =
        arena_printf(a, "%c.%" PRId64 ".%" PRId64, cursor.order, cursor.key, cursor.id);
    char *text = arena_alloc(a, 4 * ((plain.len + 2) / 3) + 1);
    crypto_base64((const uint8_t *)plain.at, plain.len, text);
    size_t len = strlen(text);
    while (len && text[len - 1] == '=')
        len--;
    swap_alphabet(text, len, "+/", "-_");
    return (struct str){text, len};
}

static enum err decode(struct str text, char out[static MAX_BYTES], size_t *len_out)
{
    char padded[MAX_BYTES + 4];
    if (!text.len || text.len > MAX_BYTES)
        return ERR_INVALID;
    memcpy(padded, text.at, text.len);
    size_t len = text.len;
    while (len % 4)
        padded[len++] = '=';
    swap_alphabet(padded, len, "-_", "+/");
    return crypto_base64_decode((struct str){padded, len}, (uint8_t *)out, MAX_BYTES, len_out);
}

enum err civic_cursor_parse(struct str text, char order, struct civic_cursor *out)
{
    char bytes[MAX_BYTES];
    size_t len = 0;
    struct civic_cursor cursor = {.order = order};
    if (decode(text, bytes, &len) || len < 2 || bytes[0] != order || bytes[1] != '.')
        return ERR_INVALID;
    struct str id, key = str_cut((struct str){bytes + 2, len - 2}, '.', &id);
    if (str_parse_int(key, &cursor.key) || str_parse_int(id, &cursor.id))
        return ERR_INVALID;
    *out = cursor;
    return OK;
}
