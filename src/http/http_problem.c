#include "core/check.h"
#include "core/json.h"
#include "http/http_internal.h"

static void put(struct buf *b, struct str s)
{
    enum err err = buf_append(b, s.at, s.len);
    CHECK(!err); // texts of ours; the buf has no real maximum
}

static void put_member(struct buf *b, struct str key, struct str value)
{
    put(b, key);
    enum err err = json_write_string(b, value);
    CHECK(!err);
}

void http_problem(struct http_exchange *x, int status, struct str code, struct str title,
                  struct str detail, struct str errors)
{
    struct buf b;
    struct str type = arena_printf(&x->arena, "/problems/%.*s", STR_ARG(code));
    struct str number = arena_printf(&x->arena, "%d", status);

    buf_init(&b, SIZE_MAX);
    put_member(&b, STR("{\"type\":"), type);
    put_member(&b, STR(",\"title\":"), title);
    put(&b, STR(",\"status\":"));
    put(&b, number);
    if (detail.len > 0)
        put_member(&b, STR(",\"detail\":"), detail);
    put_member(&b, STR(",\"code\":"), code);
    if (errors.len > 0) {
        put(&b, STR(",\"errors\":"));
        put(&b, errors);
    }
    put(&b, STR("}"));
    http_reply(x, status, "application/problem+json",
               (struct str){(const char *)buf_head(&b), buf_len(&b)});
    buf_done(&b);
}

/* Of what http_problem_plain is asked for. */
static struct str sentence_of(int status)
{
    switch (status) {
    case 408:
        return STR("The request took too long to arrive.");
    case 413:
        return STR("The request is larger than the server takes.");
    case 414:
        return STR("The address is longer than the server takes.");
    case 417:
        return STR("The server meets no expectation but 100-continue.");
    case 431:
        return STR("The header fields are longer than the server takes.");
    case 501:
        return STR("The server does not know this method or transfer coding.");
    case 505:
        return STR("The server speaks HTTP/1.1 and HTTP/1.0.");
    default:
        return STR("The server could not read this request.");
    }
}

void http_problem_plain(struct http_exchange *x, int status)
{
    struct str title = str_of(http_reason(status));
    char *code = arena_alloc(&x->arena, title.len + 1);

    for (size_t i = 0; i < title.len; i++) {
        char c = title.at[i];
        code[i] = (char)(c == ' ' ? '-' : c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    http_problem(x, status, (struct str){code, title.len}, title, sentence_of(status), STR(""));
}
