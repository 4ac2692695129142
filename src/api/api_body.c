#include "api/api_body.h"

/* RFC 8259 §8.1: JSON is UTF-8. That is often said, and nothing else may be. */
static bool is_other_charset(struct str parameter)
{
    const struct str name = STR("charset=");
    return parameter.len > name.len && str_eq_nocase((struct str){parameter.at, name.len}, name) &&
           !str_eq_nocase(parameter, STR("charset=utf-8")) &&
           !str_eq_nocase(parameter, STR("charset=\"utf-8\""));
}

static bool is_json(const struct http_request *req)
{
    struct str rest, type = http_field_get(req, STR("content-type"));
    struct str coding = http_field_get(req, STR("content-encoding"));
    type = str_trim(str_cut(type, ';', &rest));
    return str_eq_nocase(type, STR("application/json")) && !is_other_charset(str_trim(rest)) &&
           (!coding.len || str_eq_nocase(coding, STR("identity")));
}

/* Names that are the same once their escapes are resolved. Which of two values a reader takes is
 * anybody's guess (RFC 8259 §4), and what one program checks another must not read otherwise. */
static bool has_name_twice(const struct api_body *b)
{
    struct str names[JSON_MAX_FIELDS];
    for (size_t i = 0; i < b->count; i++) {
        if (json_unescape(&b->fields[i].key, b->call->arena, &names[i]))
            names[i] = b->fields[i].key.text;
        for (size_t j = 0; j < i; j++)
            if (str_eq(names[i], names[j]))
                return true;
    }
    return false;
}

enum err api_body_parse(struct api_call *call, struct api_body *out)
{
    const struct http_request *req = &call->x->req;
    struct json_slice whole;
    out->call = call;
    if (!is_json(req))
        return api_refuse(call, 415, "unsupported-media-type");
    if (!json_scan_object(req->body, out->fields, JSON_MAX_FIELDS, &out->count))
        return has_name_twice(out) ? api_refuse(call, 400, "malformed") : OK;
    if (json_scan(req->body, &whole))
        return api_refuse(call, 400, "malformed");
    return api_refuse_field(call, "", whole.kind == JSON_OBJECT ? "too-large" : "wrong-type",
                            JSON_MAX_FIELDS);
}

/* NULL when absent or null. */
static const struct json_slice *find(const struct api_body *b, const char *pointer)
{
    const struct json_slice *value = json_field_find(b->fields, b->count, str_of(pointer + 1));
    return value && value->kind != JSON_NULL ? value : NULL;
}

bool api_body_has(const struct api_body *b, const char *pointer)
{
    return find(b, pointer) != NULL;
}

void api_body_refuse(struct api_call *call, const char *pointer, const char *code, int64_t limit)
{
    enum err noted = api_refuse_field(call, pointer, code, limit);
    (void)noted; // api_body_verdict tells
}

static bool get_text(struct api_body *b, const char *pointer, struct str *out)
{
    const struct json_slice *value = find(b, pointer);
    *out = (struct str){0};
    if (!value)
        return true;
    if (value->kind != JSON_STRING) {
        api_body_refuse(b->call, pointer, "wrong-type", 0);
        return false;
    }
    if (json_unescape(value, b->call->arena, out)) {
        api_body_refuse(b->call, pointer, "not-text", 0);
        return false;
    }
    return true;
}

void api_body_raw(struct api_body *b, const char *pointer, struct str *out)
{
    bool is_text = get_text(b, pointer, out);
    (void)is_text; // noted
}

void api_body_text(struct api_body *b, const char *pointer, const struct civic_text_rule *rule,
                   struct str *out)
{
    if (!get_text(b, pointer, out))
        return;
    const char *code = civic_text_check(*out, rule, b->call->arena, out);
    if (!code)
        return;
    *out = (struct str){0};
    api_body_refuse(b->call, pointer, code, (int64_t)rule->max_chars);
}

void api_body_int(struct api_body *b, const char *pointer, int64_t if_absent, int64_t *out)
{
    const struct json_slice *value = find(b, pointer);
    *out = if_absent;
    if (value && (value->kind != JSON_NUMBER || json_slice_int(value, out))) {
        *out = if_absent;
        api_body_refuse(b->call, pointer, value->kind == JSON_NUMBER ? "not-number" : "wrong-type",
                        0);
    }
}

void api_body_id(struct api_body *b, const char *pointer, int64_t if_absent, int64_t *out)
{
    *out = if_absent;
    if (!json_field_find(b->fields, b->count, str_of(pointer + 1)))
        return;
    if (!api_body_has(b, pointer)) {
        api_body_refuse(b->call, pointer, "wrong-type", 0);
        return;
    }
    api_body_int(b, pointer, if_absent, out);
    if (*out < 1)
        api_body_refuse(b->call, pointer, "too-small", 1);
}

void api_body_one_int(struct api_body *b, const char *pointer, int64_t *out)
{
    const struct json_slice *value = find(b, pointer);
    struct json_slice item;
    size_t count = 0;
    if (!value)
        return;
    if (value->kind != JSON_ARRAY)
        api_body_refuse(b->call, pointer, "wrong-type", 0);
    else if (json_scan_array(value->text, &item, 1, &count) || count != 1)
        api_body_refuse(b->call, pointer, "invalid", 0);
    else if (item.kind != JSON_NUMBER || json_slice_int(&item, out))
        api_body_refuse(b->call, pointer, "not-number", 0);
}

void api_body_bool(struct api_body *b, const char *pointer, bool *out)
{
    const struct json_slice *value = find(b, pointer);
    *out = value && value->kind == JSON_TRUE;
    if (value && value->kind != JSON_TRUE && value->kind != JSON_FALSE)
        api_body_refuse(b->call, pointer, "wrong-type", 0);
}

enum err api_body_verdict(const struct api_body *b)
{
    return b->call->problem.status ? ERR_INVALID : OK;
}

void api_body_query(struct api_call *call, const char *name, struct str *out)
{
    *out = (struct str){0};
    if (http_form_get(call->x->req.query, str_of(name), call->arena, out)) {
        enum err noted = api_refuse(call, 400, "malformed");
        (void)noted;
    }
}

void api_body_limit(struct api_call *call, int *out)
{
    struct str text;
    int64_t limit = CIVIC_DEFAULT_LIMIT;
    api_body_query(call, "limit", &text);
    if (text.len && str_parse_int(text, &limit))
        api_body_refuse(call, "/limit", "not-number", 0);
    else if (limit < 1)
        api_body_refuse(call, "/limit", "too-small", 1);
    *out = limit > CIVIC_MAX_LIMIT ? CIVIC_MAX_LIMIT : (int)limit;
}
