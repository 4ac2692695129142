/* page_form.c -- fields of a form, safe paths to return to. */
#include "page/page_form.h"

#include <ctype.h>

#include "page/page_draw.h"

enum { MAX_PATH_BYTES = 512 };

enum err page_form_check(struct api_call *call)
{
    const struct http_request *req = &call->x->req;
    struct str rest;
    struct str type = str_trim(str_cut(http_field_get(req, STR("Content-Type")), ';', &rest));
    if (!api_is_same_origin(call->x, call->api))
        return api_refuse(call, 403, "cross-site");
    if (req->body.len && !str_eq_nocase(type, STR("application/x-www-form-urlencoded")))
        return api_refuse(call, 415, "unsupported-media-type");
    struct str user;
    enum err err = page_form_text(call, STR("user"), &user);
    if (!err && user.len && str_parse_int(user, &call->claimed_id))
        call->claimed_id = -1; // nobody's
    if (!err)
        page_draw_typed(call, "user", user);
    return err;
}

enum err page_form_text(struct api_call *call, struct str name, struct str *out)
{
    *out = (struct str){"", 0};
    struct str value;
    if (http_form_get(call->x->req.body, name, call->arena, &value))
        return api_refuse(call, 400, "malformed");
    if (value.at)
        *out = value;
    return OK;
}

enum err page_form_int(struct api_call *call, struct str name, int64_t *out)
{
    struct str text;
    *out = 0;
    enum err err = page_form_text(call, name, &text);
    if (err || !text.len)
        return err;
    return str_parse_int(text, out) ? api_refuse(call, 400, "malformed") : OK;
}

struct str page_form_query(struct api_call *call, struct str name)
{
    struct str value;
    if (http_form_get(call->x->req.query, name, call->arena, &value) || !value.at)
        return (struct str){"", 0};
    return value;
}

struct str page_form_safe_path(struct str path)
{
    bool is_safe = path.len > 0 && path.len <= MAX_PATH_BYTES && path.at[0] == '/' &&
                   !(path.len > 1 && path.at[1] == '/');
    for (size_t i = 0; is_safe && i < path.len; i++)
        is_safe = path.at[i] > ' ' && path.at[i] < 0x7f && path.at[i] != '\\';
    return is_safe ? path : STR("/");
}

struct str page_form_encode(struct str text, struct arena *a)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, 3 * text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (isalnum(c) || (c && strchr("-._~/", c))) {
            out[len++] = (char)c;
        } else {
            out[len++] = '%';
            out[len++] = hex[c >> 4];
            out[len++] = hex[c & 15];
        }
    }
    return (struct str){out, len};
}
