/* mustache.c -- renders the tokens of mustache_parse.c over a cJSON view, as npm mustache does.
 *
 * The view stack is a linked list on the C stack: one context for each open section that pushed its
 * value. Depth, output and work are bounded, so no template can take the server down.
 */
#include <math.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/mustache_internal.h"

enum { MAX_STEPS = 1 << 23 }; // tokens rendered in one go

struct context {
    const cJSON *view;
    const struct context *outer;
};

/* What goes before each line: first the outer partial's, then our own. */
struct indent {
    const struct indent *outer;
    struct str own;
};

/* One template being rendered, the first or a partial. */
struct sheet {
    const struct mustache *m;
    const struct indent *indent; // NULL: none
    bool keeps_first_line;       // that line is not indented
};

struct renderer {
    mustache_partial_fn *partial;
    void *ctx;
    struct buf *out;
    int depth, steps;
};

void mustache_free(struct mustache *m)
{
    if (!m)
        return;
    mem_free(m->tokens);
    arena_done(&m->arena);
    mem_free(m);
}

/* ---- looking up ---- */

static size_t utf16_length(const char *s)
{
    size_t count = 0;
    for (; *s; s++) {
        uint8_t c = (uint8_t)*s;
        count += (c & 0xc0) == 0x80 ? 0 : c >= 0xf0 ? 2 : 1;
    }
    return count;
}

static const cJSON *member(const cJSON *object, struct str name)
{
    for (const cJSON *child = object->child; child; child = child->next) {
        if (child->string[0] == (name.len > 0 ? name.at[0] : '\0') &&
            str_eq(str_of(child->string), name))
            return child;
    }
    return NULL;
}

/* A length is not in the view; it is made in room. */
static const cJSON *length(size_t n, cJSON *room)
{
    *room = (cJSON){.type = cJSON_Number, .valuedouble = (double)n};
    return room;
}

static const cJSON *element(const cJSON *array, struct str name, cJSON *room)
{
    int64_t i;
    if (str_eq(name, STR("length")))
        return length((size_t)cJSON_GetArraySize(array), room);
    if (str_parse_int(name, &i) || i < 0 || i > 1000000 || (name.at[0] == '0' && name.len > 1) ||
        name.at[0] == '-')
        return NULL;
    return cJSON_GetArrayItem(array, (int)i);
}

static const cJSON *property(const cJSON *value, struct str name, cJSON *room)
{
    if (cJSON_IsObject(value))
        return member(value, name);
    return cJSON_IsArray(value) ? element(value, name, room) : NULL;
}

/* a.b.c from one view. Only here a string has a length, as in npm mustache. */
static const cJSON *descend(const cJSON *value, struct str path, cJSON *room)
{
    while (value) {
        bool is_last = str_index(path, '.') == path.len;
        struct str name = str_cut(path, '.', &path);
        if (is_last && cJSON_IsString(value) && str_eq(name, STR("length")))
            return length(utf16_length(value->valuestring), room);
        value = property(value, name, room);
        if (is_last)
            break;
    }
    return value;
}

/* NULL when the token's name is in no view. */
static const cJSON *look_up(const struct context *context, const struct mustache_token *token,
                            cJSON *room)
{
    struct str name = token->text;
    if (str_eq(name, STR(".")))
        return context->view;
    const cJSON *found = NULL;
    for (; context && !found; context = context->outer)
        found = token->is_path ? descend(context->view, name, room)
                               : property(context->view, name, room);
    return found;
}

static bool is_falsy(const cJSON *value)
{
    if (!value || cJSON_IsNull(value) || cJSON_IsFalse(value))
        return true;
    if (cJSON_IsNumber(value))
        return value->valuedouble == 0;
    if (cJSON_IsString(value))
        return value->valuestring[0] == '\0';
    return cJSON_IsArray(value) && !value->child;
}

/* ---- printing values ---- */

static const struct str entity[256] = {
    ['&'] = {"&amp;", 5},  ['<'] = {"&lt;", 4},   ['>'] = {"&gt;", 4},   ['"'] = {"&quot;", 6},
    ['\''] = {"&#39;", 5}, ['/'] = {"&#x2F;", 6}, ['`'] = {"&#x60;", 6}, ['='] = {"&#x3D;", 6},
};

static enum err write_escaped(struct buf *out, const char *text)
{
    for (;;) {
        const char *end = text;
        while (*end && entity[(uint8_t)*end].len == 0)
            end++;
        enum err err = buf_append(out, text, (size_t)(end - text));
        if (err || !*end)
            return err;
        const struct str *e = &entity[(uint8_t)*end];
        err = buf_append(out, e->at, e->len);
        if (err)
            return err;
        text = end + 1;
    }
}

static enum err write_number(struct buf *out, double number)
{
    if (isinf(number))
        return buf_printf(out, "%sInfinity", number < 0 ? "-" : "");
    return json_write_number(out, number);
}

static enum err write_value(struct buf *out, const cJSON *value, bool escapes);

/* JavaScript's String([...]) */
static enum err write_array(struct buf *out, const cJSON *array, bool escapes)
{
    enum err err = OK;
    for (const cJSON *child = array->child; child && !err; child = child->next) {
        if (child != array->child)
            err = buf_append(out, ",", 1);
        if (!err)
            err = write_value(out, child, escapes);
    }
    return err;
}

static enum err write_value(struct buf *out, const cJSON *value, bool escapes)
{
    switch (value->type & 0xff) {
    case cJSON_String:
        return escapes ? write_escaped(out, value->valuestring)
                       : buf_append(out, value->valuestring, strlen(value->valuestring));
    case cJSON_Number:
        return write_number(out, value->valuedouble);
    case cJSON_True:
        return buf_append(out, "true", 4);
    case cJSON_False:
        return buf_append(out, "false", 5);
    case cJSON_Array:
        return write_array(out, value, escapes);
    case cJSON_Object:
        return buf_append(out, "[object Object]", 15);
    default:
        return OK; // null
    }
}

/* ---- rendering ---- */

static enum err write_indent(struct buf *out, const struct indent *indent)
{
    enum err err = indent->outer ? write_indent(out, indent->outer) : OK;
    return err ? err : buf_append(out, indent->own.at, indent->own.len);
}

/* A text of several lines, each behind the first indented unless it is empty. */
static enum err write_lines(struct buf *out, const struct sheet *sheet, struct str text)
{
    while (sheet->indent && text.len > 0) {
        size_t line_end = str_index(text, '\n');
        if (line_end + 1 >= text.len)
            break;
        enum err err = buf_append(out, text.at, line_end + 1);
        if (!err && text.at[line_end + 1] != '\n')
            err = write_indent(out, sheet->indent);
        if (err)
            return err;
        text = (struct str){text.at + line_end + 1, text.len - line_end - 1};
    }
    return buf_append(out, text.at, text.len);
}

static enum err render(struct renderer *r, const struct sheet *sheet, size_t from, size_t to,
                       const struct context *context);

static bool is_line_indented(const struct sheet *sheet, const struct mustache_token *token)
{
    return sheet->indent && !(token->is_on_first_line && sheet->keeps_first_line);
}

static enum err render_partial(struct renderer *r, const struct sheet *outer,
                               const struct mustache_token *token, const struct context *context)
{
    const struct mustache *m = r->partial ? r->partial(r->ctx, token->text) : NULL;
    if (!m)
        return OK;
    struct indent indent = {is_line_indented(outer, token) ? outer->indent : NULL, token->indent};
    bool indents = token->indents && (indent.outer || indent.own.len > 0);
    struct sheet sheet = {m, indents ? &indent : NULL, token->follows_text};
    return render(r, &sheet, 0, m->count, context);
}

static enum err render_section(struct renderer *r, const struct sheet *sheet, size_t at,
                               const struct context *context)
{
    const struct mustache_token *token = &sheet->m->tokens[at];
    cJSON room;
    const cJSON *value = look_up(context, token, &room);
    if (is_falsy(value) != (token->kind == MUSTACHE_INVERTED))
        return OK;
    if (token->kind == MUSTACHE_INVERTED || cJSON_IsTrue(value))
        return render(r, sheet, at + 1, token->end, context);
    if (!cJSON_IsArray(value)) {
        struct context inner = {value, context};
        return render(r, sheet, at + 1, token->end, &inner);
    }
    enum err err = OK;
    for (const cJSON *child = value->child; child && !err; child = child->next) {
        struct context inner = {child, context};
        err = render(r, sheet, at + 1, token->end, &inner);
    }
    return err;
}

static enum err render_token(struct renderer *r, const struct sheet *sheet, size_t at,
                             const struct context *context)
{
    const struct mustache_token *token = &sheet->m->tokens[at];
    cJSON room;
    const cJSON *value;
    switch (token->kind) {
    case MUSTACHE_TEXT:
        return write_lines(r->out, sheet, token->text);
    case MUSTACHE_LINE:
        return is_line_indented(sheet, token) ? write_indent(r->out, sheet->indent) : OK;
    case MUSTACHE_ESCAPED:
    case MUSTACHE_RAW:
        value = look_up(context, token, &room);
        return value ? write_value(r->out, value, token->kind == MUSTACHE_ESCAPED) : OK;
    case MUSTACHE_SECTION:
    case MUSTACHE_INVERTED:
        return render_section(r, sheet, at, context);
    case MUSTACHE_PARTIAL:
        return render_partial(r, sheet, token, context);
    case MUSTACHE_CLOSE:
    case MUSTACHE_NOTHING:
        break;
    }
    return OK;
}

static enum err render(struct renderer *r, const struct sheet *sheet, size_t from, size_t to,
                       const struct context *context)
{
    if (r->depth == MUSTACHE_MAX_DEPTH)
        return ERR_TOO_LARGE;
    r->depth++;
    enum err err = OK;
    for (size_t at = from; at < to && !err;) {
        const struct mustache_token *token = &sheet->m->tokens[at];
        bool is_section = token->kind == MUSTACHE_SECTION || token->kind == MUSTACHE_INVERTED;
        err = ++r->steps > MAX_STEPS ? ERR_TOO_LARGE : render_token(r, sheet, at, context);
        at = is_section ? token->end : at + 1;
    }
    r->depth--;
    return err;
}

enum err mustache_render(const struct mustache *m, const cJSON *view, mustache_partial_fn *partial,
                         void *ctx, struct buf *out)
{
    struct renderer r = {.partial = partial, .ctx = ctx, .out = out};
    struct sheet sheet = {.m = m};
    struct context context = {view, NULL};
    size_t before = buf_len(out);
    enum err err = render(&r, &sheet, 0, m->count, &context);
    if (err)
        buf_trim(out, buf_len(out) - before);
    return err;
}
