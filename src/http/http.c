#include "http/http.h"

#include "core/check.h"
#include "core/utf8.h"
#include "http/http_internal.h"

const struct http_limits http_default_limits = {
    .max_head_bytes = 16384,
    .max_body_bytes = 65536,
    .head_ms = 10000,
    .body_ms = 30000,
    .idle_ms = 60000,
    .max_out_bytes = 8 << 20,
};

/* ---- statuses ---- */

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {419, "Page Expired"}, // Laravel's, for forms that are too old
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}

int http_status_of(enum err err)
{
    static const int statuses[ERR_COUNT] = {
        [OK] = 200,
        [ERR_AGAIN] = 503,
        [ERR_INVALID] = 422,
        [ERR_DENIED] = 403,
        [ERR_NOT_FOUND] = 404,
        [ERR_CONFLICT] = 409,
        [ERR_TOO_LARGE] = 413,
        [ERR_TIMEOUT] = 504,
        [ERR_PROTOCOL] = 400,
        [ERR_IO] = 500,
    };
    CHECK(err < ERR_COUNT);
    return statuses[err];
}

/* ---- reading a request ---- */

struct str http_field_get(const struct http_request *req, struct str name)
{
    for (size_t i = 0; i < req->field_count; i++) {
        if (str_eq_nocase(req->fields[i].name, name))
            return req->fields[i].value;
    }
    return (struct str){NULL, 0};
}

struct str http_cookie_get(const struct http_request *req, struct str name)
{
    for (size_t i = 0; i < req->field_count; i++) {
        if (!str_eq_nocase(req->fields[i].name, STR("Cookie")))
            continue;
        struct str rest = req->fields[i].value;
        while (rest.len > 0) {
            struct str value;
            struct str pair = str_trim(str_cut(rest, ';', &rest));
            bool has_value = memchr(pair.at, '=', pair.len) != NULL;
            struct str key = str_cut(pair, '=', &value);
            if (has_value && str_eq(key, name))
                return value;
        }
    }
    return (struct str){NULL, 0};
}

/* The quality of one element of Accept-Encoding: is it above zero? */
static bool is_wanted(struct str params)
{
    while (params.len > 0) {
        struct str weight;
        struct str name = str_trim(str_cut(str_cut(params, ';', &params), '=', &weight));
        if (!str_eq_nocase(name, STR("q")))
            continue;
        weight = str_trim(str_cut(weight, ';', &(struct str){0}));
        for (size_t i = 0; i < weight.len; i++) {
            if (weight.at[i] >= '1' && weight.at[i] <= '9')
                return true;
        }
        return false;
    }
    return true;
}

bool http_accepts_coding(const struct http_request *req, struct str coding)
{
    bool accepts = false;

    for (size_t i = 0; i < req->field_count; i++) {
        if (!str_eq_nocase(req->fields[i].name, STR("Accept-Encoding")))
            continue;
        struct str rest = req->fields[i].value;
        while (rest.len > 0) {
            struct str params;
            struct str name = str_trim(str_cut(str_cut(rest, ',', &rest), ';', &params));
            if (str_eq_nocase(name, coding))
                return is_wanted(params);
            if (str_eq(name, STR("*")))
                accepts = is_wanted(params);
        }
    }
    return accepts;
}

bool http_has_etag(const struct http_request *req, struct str etag)
{
    struct str list = http_field_get(req, STR("if-none-match"));
    while (list.len > 0) {
        struct str tag = str_trim(str_cut(list, ',', &list));
        if (str_starts(tag, STR("W/")))
            tag = (struct str){tag.at + 2, tag.len - 2};
        if (str_eq(tag, etag) || str_eq(tag, STR("*")))
            return true;
    }
    return false;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum err decode(struct str text, bool is_form, struct arena *a, struct str *out)
{
    char *bytes = arena_alloc(a, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text.at[i + 2]) : -1;
            if (low < 0)
                return ERR_INVALID;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && is_form) {
            c = ' ';
        }
        if (c == '\0')
            return ERR_INVALID;
        bytes[len++] = c;
    }
    *out = (struct str){bytes, len};
    return utf8_is_valid(*out) ? OK : ERR_INVALID;
}

enum err http_decode(struct str text, struct arena *a, struct str *out)
{
    return decode(text, false, a, out);
}

enum err http_form_get(struct str encoded, struct str name, struct arena *a, struct str *out)
{
    *out = (struct str){NULL, 0};
    while (encoded.len > 0) {
        struct str value, key;
        struct str raw_key = str_cut(str_cut(encoded, '&', &encoded), '=', &value);
        enum err err = decode(raw_key, true, a, &key);
        if (err)
            return err;
        if (str_eq(key, name))
            return decode(value, true, a, out);
    }
    return OK;
}

/* ---- upgrade ---- */

struct io_conn *http_upgrade(struct http_exchange *x, struct buf *early)
{
    buf_init(early, 2 * (size_t)IO_LOOP_READ_BYTES);
    if (!x->conn) {
        http_conn_free_exchange(x);
        return NULL;
    }
    return http_conn_upgrade(x->conn, x, early);
}
