#include "cli/cli_text.h"

#include "core/utf8.h"

static bool is_in(uint32_t code, uint32_t first, uint32_t last)
{
    return code >= first && code <= last;
}

/* C0, DEL and C1, which a terminal obeys; marks, separators and joiners that are not seen, and
 * those that turn the order of writing (Unicode TR 36). */
static bool is_unfit(uint32_t code)
{
    return code < ' ' || is_in(code, 0x7f, 0x9f) || is_in(code, 0x200b, 0x200f) ||
           is_in(code, 0x2028, 0x202e) || is_in(code, 0x2060, 0x206f) || code == 0xfeff ||
           is_in(code, 0xfff9, 0xfffb) || is_in(code, 0xe0000, 0xe0fff);
}

/* Cuts the first character off: the bytes to write. */
static struct str take(struct str *text)
{
    uint32_t code = 0;
    size_t len = utf8_first(*text, &code);
    struct str first = {text->at, len};
    if (len == 1 && (code == '\t' || code == '\n' || code == '\r'))
        first = STR(" ");
    else if (len == 0 || is_unfit(code))
        first = STR("?");
    size_t step = len > 0 ? len : 1;
    *text = (struct str){text->at + step, text->len - step};
    return first;
}

/* As JSON escapes it: code units of UTF-16. */
static void print_escape(FILE *file, uint32_t code)
{
    if (code < 0x10000) {
        fprintf(file, "\\u%04x", (unsigned)code);
        return;
    }
    uint32_t rest = code - 0x10000;
    fprintf(file, "\\u%04x\\u%04x", (unsigned)(0xd800 + (rest >> 10)),
            (unsigned)(0xdc00 + (rest & 0x3ff)));
}

void cli_text_print_json(FILE *file, struct str json)
{
    while (json.len > 0) {
        uint32_t code = 0;
        size_t len = utf8_first(json, &code);
        if (len == 0)
            fputc('?', file);
        else if (code >= 0x7f && is_unfit(code))
            print_escape(file, code);
        else // what is before that is escaped already, or white space between lines
            fwrite(json.at, 1, len, file);
        size_t step = len > 0 ? len : 1;
        json = (struct str){json.at + step, json.len - step};
    }
}

size_t cli_text_write(struct str text, size_t max, char *out)
{
    size_t count = 0;
    for (; text.len > 0 && count < max; count++) {
        struct str first = take(&text);
        memcpy(out, first.at, first.len);
        out += first.len;
    }
    *out = '\0';
    return count;
}

void cli_text_print(FILE *file, struct str text)
{
    while (text.len > 0) {
        struct str first = take(&text);
        fwrite(first.at, 1, first.len, file);
    }
}
