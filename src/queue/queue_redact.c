/* queue_redact.c -- one pass over a text that is known to be JSON; what is shown is copied in runs
 * between the values that are hidden. */
#include "queue/queue_redact.h"

#include "core/check.h"
#include "core/json.h"

#define HIDDEN STR("\"…\"")

/* ---- rules ---- */

static struct str cut_last(struct str names, struct str *rest)
{
    size_t at = names.len;
    while (at > 0 && names.at[at - 1] != '.')
        at--;
    *rest = (struct str){names.at, at > 0 ? at - 1 : 0};
    return (struct str){names.at + at, names.len - at};
}

/* path: the names from the top to the field. */
static bool fits(struct str rule, const struct str *path, size_t depth)
{
    bool is_fit = rule.len > 0;
    while (is_fit && rule.len > 0) {
        struct str name = cut_last(rule, &rule);
        is_fit = depth > 0 && (str_eq(name, STR("*")) || str_eq_nocase(name, path[depth - 1]));
        depth -= is_fit;
    }
    return is_fit;
}

static bool is_named(struct str rules, const struct str *path, size_t depth)
{
    bool is_fit = false;
    while (!is_fit && rules.len > 0)
        is_fit = fits(str_trim(str_cut(rules, ',', &rules)), path, depth);
    return is_fit;
}

static bool is_rule(struct str rule)
{
    bool has_name = false;
    for (size_t i = 0; i < rule.len; i++) {
        if ((unsigned char)rule.at[i] < ' ' || (rule.at[i] == '.' && !has_name))
            return false;
        has_name = rule.at[i] != '.';
    }
    return has_name;
}

enum err queue_redact_check(struct str rules, const char **why_out)
{
    for (size_t count = 0; rules.len > 0;) {
        struct str rule = str_trim(str_cut(rules, ',', &rules));
        if (rule.len == 0)
            continue;
        if (++count > QUEUE_REDACT_MAX_RULES || rule.len > QUEUE_REDACT_MAX_RULE_BYTES) {
            *why_out = "at most 64 names of at most 100 bytes";
            return ERR_TOO_LARGE;
        }
        if (!is_rule(rule)) {
            *why_out = "names of fields with commas, like password,card.number,*.secret";
            return ERR_INVALID;
        }
    }
    return OK;
}

/* ---- the pass ---- */

struct pass {
    struct str rules;
    struct arena *arena;
    const char *at, *end;
    const char *kept; // shown, and not yet copied, from here
    struct buf out;
    struct str path[JSON_MAX_DEPTH];
    size_t depth;
    bool is_hiding;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct pass *p)
{
    while (p->at < p->end && is_space(*p->at))
        p->at++;
}

static void skip_string(struct pass *p)
{
    for (p->at++; *p->at != '"'; p->at++)
        p->at += *p->at == '\\';
    p->at++;
}

static void skip_word(struct pass *p)
{
    while (p->at < p->end && !is_space(*p->at) && !strchr(",]}", *p->at))
        p->at++;
}

static void append(struct pass *p, struct str text)
{
    enum err err = buf_append(&p->out, text.at, text.len);
    CHECK(err == OK); // a hidden value is longer than before by four bytes at most
}

static void pass_value(struct pass *p);

static void pass_hidden(struct pass *p)
{
    append(p, (struct str){p->kept, (size_t)(p->at - p->kept)});
    append(p, HIDDEN);
    p->is_hiding = true;
    pass_value(p);
    p->is_hiding = false;
    p->kept = p->at;
}

/* Its name is at the cursor. */
static void pass_field(struct pass *p)
{
    struct json_slice name = {.kind = JSON_STRING, .text = {.at = p->at}};
    skip_string(p);
    name.text.len = (size_t)(p->at - name.text.at);
    skip_space(p);
    p->at++; // the colon
    skip_space(p);
    bool is_read = json_unescape(&name, p->arena, &p->path[p->depth]) == OK;
    p->depth++;
    if (!p->is_hiding && (!is_read || is_named(p->rules, p->path, p->depth)))
        pass_hidden(p);
    else
        pass_value(p);
    p->depth--;
}

/* An object or an array. */
static void pass_group(struct pass *p, void (*pass_item)(struct pass *p))
{
    p->at++;
    skip_space(p);
    while (*p->at != '}' && *p->at != ']') {
        pass_item(p);
        skip_space(p);
        p->at += *p->at == ',';
        skip_space(p);
    }
    p->at++;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as JSON may be
static void pass_value(struct pass *p)
{
    skip_space(p);
    if (*p->at == '{')
        pass_group(p, pass_field);
    else if (*p->at == '[')
        pass_group(p, pass_value);
    else if (*p->at == '"')
        skip_string(p);
    else
        skip_word(p);
}

struct str queue_redact_sealed(struct str key_id, struct arena *a)
{
    return arena_printf(a, "\"sealed with key %.*s\"", STR_ARG(key_id));
}

struct str queue_redact(struct str rules, struct str text, struct arena *a)
{
    struct json_slice whole;
    if (text.len == 0)
        return text;
    if (json_scan(text, &whole) != OK)
        return arena_printf(a, "\"… (%zu B)\"", text.len);
    if (rules.len == 0)
        return text;
    struct pass p = {.rules = rules,
                     .arena = a,
                     .at = whole.text.at,
                     .end = whole.text.at + whole.text.len,
                     .kept = whole.text.at};
    buf_init(&p.out, 2 * text.len + HIDDEN.len);
    pass_value(&p);
    struct str shown = text;
    if (buf_len(&p.out) > 0) {
        append(&p, (struct str){p.kept, (size_t)(p.end - p.kept)});
        shown = arena_str(a, (struct str){(const char *)buf_head(&p.out), buf_len(&p.out)});
    }
    buf_done(&p.out);
    return shown;
}
