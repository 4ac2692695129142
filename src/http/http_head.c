#include "http/http_head.h"

#include <http_parser.h>

/* ---- the grammar, line by line ---- */

bool http_head_is_token_char(unsigned char c)
{
    // Bit c of the word is set for the tchars of RFC 9110 §5.6.2.
    static const uint64_t set[4] = {
        UINT64_C(0x03ff6cfa00000000), // !#$%&'*+-. and digits
        UINT64_C(0x57ffffffc7fffffe), // A-Z ^_` a-z | ~
    };
    return set[c / 64] >> (c % 64) & 1;
}

static size_t token_len(struct str s)
{
    size_t n = 0;
    while (n < s.len && http_head_is_token_char((unsigned char)s.at[n]))
        n++;
    return n;
}

/* Visible ASCII; '#' would start a fragment, which never goes on the wire. */
static size_t target_len(struct str s)
{
    size_t n = 0;
    while (n < s.len && s.at[n] > ' ' && s.at[n] < 0x7f && s.at[n] != '#')
        n++;
    return n;
}

static struct str skip(struct str s, size_t n)
{
    return (struct str){s.at + n, s.len - n};
}

/* method SP target SP HTTP/1.x, with single spaces. */
static int check_request_line(struct str line, struct http_head *head)
{
    size_t n = token_len(line);
    if (n == 0 || n == line.len || line.at[n] != ' ')
        return 400;
    head->method = (struct str){line.at, n};
    line = skip(line, n + 1);

    n = target_len(line);
    if (n == 0 || n == line.len || line.at[n] != ' ')
        return 400;
    head->target = (struct str){line.at, n};
    line = skip(line, n + 1);

    if (line.len != 8 || !str_starts(line, STR("HTTP/")) || line.at[6] != '.')
        return 400;
    head->is_http_10 = str_eq(line, STR("HTTP/1.0"));
    return head->is_http_10 || str_eq(line, STR("HTTP/1.1")) ? 0 : 505;
}

/* The colon follows the name at once; a name that starts with white space is obs-fold. */
static bool is_field_line(struct str line)
{
    size_t n = token_len(line);
    return n > 0 && n < line.len && line.at[n] == ':';
}

/* Cuts the line that ends with CRLF from the front. */
static struct str take_line(struct str *text)
{
    size_t n = str_index(*text, '\n');
    struct str line = {text->at, n > 0 ? n - 1 : 0};
    *text = skip(*text, n < text->len ? n + 1 : n);
    return line;
}

static int check_lines(struct str text, struct http_head *head)
{
    int status = check_request_line(take_line(&text), head);
    if (status)
        return status;
    size_t count = 0;
    for (struct str line = take_line(&text); line.len > 0; line = take_line(&text)) {
        if (!is_field_line(line))
            return 400;
        if (++count > HTTP_MAX_FIELDS)
            return 431;
    }
    return 0;
}

/* ---- the library ---- */

static int on_field(http_parser *parser, const char *at, size_t len)
{
    struct http_head *head = parser->data;
    if (head->field_count == HTTP_MAX_FIELDS)
        return 1;
    head->fields[head->field_count++] = (struct http_field){.name = {at, len}};
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct http_head *head = parser->data;
    head->fields[head->field_count - 1].value = str_trim((struct str){at, len});
    return 0;
}

static int on_target(http_parser *parser, const char *at, size_t len)
{
    const struct http_head *head = parser->data;
    return !str_eq(head->target, (struct str){at, len}); // both readers saw the same
}

/* The status for what the library refuses; 0 when it read the whole head. */
static int status_of(enum http_errno error)
{
    switch (error) {
    case HPE_OK:
        return 0;
    case HPE_INVALID_METHOD:
        return 501;
    case HPE_INVALID_VERSION:
        return 505;
    case HPE_HEADER_OVERFLOW:
        return 431;
    default:
        return 400;
    }
}

/* In a path and its query the library allows what target_len did, so it need not read them again,
 * which is half of its work: it sees the slash that they begin with. */
static void read_by_library(http_parser *parser, struct str text, struct str target)
{
    static const http_parser_settings whole = {
        .on_url = on_target, .on_header_field = on_field, .on_header_value = on_value};
    static const http_parser_settings fields = {.on_header_field = on_field,
                                                .on_header_value = on_value};
    if (target.at[0] != '/') {
        http_parser_execute(parser, &whole, text.at, text.len);
        return;
    }
    size_t seen = (size_t)(target.at + 1 - text.at);
    http_parser_execute(parser, &fields, text.at, seen);
    text = skip(text, seen + target.len - 1);
    http_parser_execute(parser, &fields, text.at, text.len);
}

int http_head_parse(struct str text, struct http_head *head)
{
    http_parser parser;

    if (str_starts(text, STR("\r\n")))
        text = skip(text, 2); // RFC 9112 §2.2: one empty line before a request is forgiven
    head->field_count = 0;
    int status = check_lines(text, head);
    if (status)
        return status;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = head;
    read_by_library(&parser, text, head->target);
    return status_of(HTTP_PARSER_ERRNO(&parser));
}
