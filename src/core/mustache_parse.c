/* mustache_parse.c -- a template as a row of tokens, with the rules of npm mustache to the letter.
 *
 *     text, tag, text, tag ...  ->  tokens, line by line  ->  nest: drop, join, link sections
 *
 * A line that has only space and tags without output (sections, comments, partials, delimiters) is
 * "standalone": its space and its line end are dropped. That is known at the line's end only, so
 * text is kept as one token a line until then, and joined again by nest.
 *
 * npm mustache indents a partial by adding space to its lines and parsing it again. We parse it
 * once and mark where a line starts (MUSTACHE_LINE); a mark on a standalone line is dropped with
 * its space.
 */
#include "core/mem.h"
#include "core/mustache_internal.h"

struct parser {
    struct mustache *m;
    struct str text, open, close;
    size_t at;

    // the line so far
    size_t line_start, line_token; // offset in text; first token
    size_t tag_count;
    bool is_first_line, has_text, has_tag, has_output;

    size_t section; // 1 + index of the innermost open section; its end field holds the next
    const char *why;
};

/* ---- white space as JavaScript's \s has it ---- */

static bool is_wide_space(uint32_t c)
{
    return c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000 || c == 0xfeff;
}

/* Bytes of the white space at the start of s; 0: there is none. */
static size_t space_len(struct str s)
{
    if (s.len == 0)
        return 0;
    const uint8_t *b = (const uint8_t *)s.at;
    if (b[0] < 0x80)
        return b[0] == ' ' || (b[0] >= '\t' && b[0] <= '\r') ? 1 : 0;
    if (s.len >= 2 && b[0] == 0xc2 && b[1] == 0xa0)
        return 2;
    if (s.len >= 3 && (b[0] & 0xf0) == 0xe0) {
        uint32_t c = (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
        return is_wide_space(c) ? 3 : 0;
    }
    return 0;
}

static size_t skip_space(struct str text, size_t at)
{
    size_t len;
    while ((len = space_len((struct str){text.at + at, text.len - at})) > 0)
        at += len;
    return at;
}

/* text[from, to) without white space at its end. */
static struct str trim_end(struct str text, size_t from, size_t to)
{
    while (to > from) {
        size_t last = to - 1;
        while (last > from && to - last < 3 && ((uint8_t)text.at[last] & 0xc0) == 0x80)
            last--;
        if (space_len((struct str){text.at + last, to - last}) != to - last)
            break;
        to = last;
    }
    return (struct str){text.at + from, to - from};
}

/* ---- tokens ---- */

static struct mustache_token *add(struct parser *p, enum mustache_kind kind, struct str text)
{
    struct mustache *m = p->m;
    if (m->count == m->cap) {
        m->cap = m->cap > 0 ? m->cap * 2 : 16;
        m->tokens = mem_realloc(m->tokens, m->cap * sizeof(*m->tokens));
    }
    struct mustache_token *token = &m->tokens[m->count++];
    size_t dot = kind == MUSTACHE_TEXT ? 0 : str_index(text, '.');
    *token = (struct mustache_token){.kind = kind,
                                     .text = text,
                                     .is_on_first_line = p->is_first_line,
                                     .is_path = dot > 0 && dot < text.len};
    return token;
}

static void start_line(struct parser *p, size_t at)
{
    p->line_start = at;
    p->line_token = p->m->count;
    p->tag_count = 0;
    p->has_text = p->has_tag = p->has_output = false;
    if (at < p->text.len && p->text.at[at] != '\n')
        add(p, MUSTACHE_LINE, (struct str){p->text.at + at, 0});
}

static void end_line(struct parser *p)
{
    if (!p->has_tag || p->has_text || p->has_output)
        return;
    for (size_t i = p->line_token; i < p->m->count; i++) {
        struct mustache_token *token = &p->m->tokens[i];
        if (token->kind == MUSTACHE_TEXT || token->kind == MUSTACHE_LINE)
            token->kind = MUSTACHE_NOTHING;
    }
}

static void add_text(struct parser *p, size_t end)
{
    while (p->at < end) {
        struct str rest = {p->text.at + p->at, end - p->at};
        size_t line_end = str_index(rest, '\n');
        bool is_line_whole = line_end < rest.len;
        size_t len = is_line_whole ? line_end + 1 : rest.len;
        struct str piece = {rest.at, len};
        if (skip_space(piece, 0) < len)
            p->has_text = true;
        add(p, MUSTACHE_TEXT, piece);
        p->at += len;
        if (is_line_whole) {
            end_line(p);
            p->is_first_line = false;
            start_line(p, p->at);
        }
    }
}

/* ---- tags ---- */

/* The place of what at or behind from, or SIZE_MAX. */
static size_t find(struct str text, size_t from, struct str what)
{
    const char *found =
        from <= text.len ? memmem(text.at + from, text.len - from, what.at, what.len) : NULL;
    return found ? (size_t)(found - text.at) : SIZE_MAX;
}

static bool fail(struct parser *p, const char *why)
{
    p->why = why;
    return false;
}

/* Takes the rest of a tag: what is before its closing delimiter, which is passed. */
static bool take_until_close(struct parser *p, struct str *value)
{
    size_t close = find(p->text, p->at, p->close);
    if (close == SIZE_MAX)
        return fail(p, "a tag is not closed");
    *value = trim_end(p->text, p->at, close);
    p->at = close + p->close.len;
    return true;
}

/* {{{name}}}: what is before the brace that a closing delimiter follows. */
static bool take_braced(struct parser *p, struct str *value)
{
    size_t brace = p->at;
    struct str ignored;
    for (;; brace++) {
        brace = find(p->text, brace, STR("}"));
        if (brace == SIZE_MAX)
            return fail(p, "a tag is not closed");
        struct str behind = {p->text.at + brace + 1, p->text.len - brace - 1};
        if (str_starts(behind, p->close))
            break;
    }
    *value = trim_end(p->text, p->at, brace);
    p->at = brace + 1;
    return take_until_close(p, &ignored);
}

/* {{=<% %>=}} */
static bool set_delimiters(struct parser *p)
{
    size_t equals = find(p->text, p->at, STR("="));
    struct str ignored;
    if (equals == SIZE_MAX)
        return fail(p, "a tag is not closed");
    struct str value = trim_end(p->text, p->at, equals);
    p->at = equals + 1;
    if (!take_until_close(p, &ignored))
        return false;

    struct str word[2] = {{0}, {0}};
    size_t at = 0;
    for (int i = 0; i < 2; i++) {
        size_t start = at;
        while (at < value.len && space_len((struct str){value.at + at, value.len - at}) == 0)
            at++;
        word[i] = (struct str){value.at + start, at - start};
        at = skip_space(value, at);
    }
    if (word[0].len == 0 || word[1].len == 0)
        return fail(p, "new delimiters are not two words");
    p->open = word[0];
    p->close = word[1];
    return true;
}

static void open_section(struct parser *p, struct mustache_token *token)
{
    token->end = p->section;
    p->section = (size_t)(token - p->m->tokens) + 1;
}

static bool close_section(struct parser *p, struct str name)
{
    if (p->section == 0)
        return fail(p, "a section is closed that is not open");
    const struct mustache_token *section = &p->m->tokens[p->section - 1];
    if (!str_eq(section->text, name))
        return fail(p, "a section is closed by another name");
    p->section = section->end;
    return true;
}

/* What npm mustache puts before each line of a partial: the line before the tag, with one space for
 * each other character (UTF-16 counts two for those past the basic plane). */
static struct str indentation(struct parser *p, size_t tag_at)
{
    struct str line = {p->text.at + p->line_start, tag_at - p->line_start};
    char *out = arena_alloc(&p->m->arena, line.len + 1);
    size_t len = 0;
    while (line.len > 0) {
        uint8_t c = (uint8_t)line.at[0];
        size_t step = space_len(line);
        if (c == ' ' || c == '\t')
            out[len++] = (char)c;
        else if (step == 0 && (c & 0xc0) != 0x80)
            out[len++] = ' ';
        if (c >= 0xf0 && line.len > 1)
            out[len++] = ' ';
        step = step > 0 ? step : 1;
        line = (struct str){line.at + step, line.len - step};
    }
    return (struct str){out, len};
}

static void add_partial(struct parser *p, struct str name, size_t tag_at)
{
    struct mustache_token *token = add(p, MUSTACHE_PARTIAL, name);
    token->follows_text = p->has_text;
    token->indents = p->tag_count == 0;
    if (token->indents)
        token->indent = indentation(p, tag_at);
}

/* The tokens of one kind of tag. */
static bool add_tag(struct parser *p, char type, struct str name, size_t tag_at)
{
    switch (type) {
    case '#':
        open_section(p, add(p, MUSTACHE_SECTION, name));
        return true;
    case '^':
        open_section(p, add(p, MUSTACHE_INVERTED, name));
        return true;
    case '/':
        add(p, MUSTACHE_CLOSE, name);
        return close_section(p, name);
    case '>':
        add_partial(p, name, tag_at);
        return true;
    case '!':
    case '=':
        return true;
    default:
        p->has_output = true;
        add(p, type == '\0' ? MUSTACHE_ESCAPED : MUSTACHE_RAW, name);
        return true;
    }
}

/* Behind an opening delimiter, which is at tag_at. */
static bool take_tag(struct parser *p, size_t tag_at)
{
    char type = '\0'; // a plain variable
    struct str name = {"", 0};
    p->at = skip_space(p->text, p->at);
    if (p->at < p->text.len && p->text.at[p->at] != '\0' && strchr("#^/>{&=!", p->text.at[p->at]))
        type = p->text.at[p->at++];
    p->at = skip_space(p->text, p->at);

    bool is_whole = type == '='   ? set_delimiters(p)
                    : type == '{' ? take_braced(p, &name)
                                  : take_until_close(p, &name);
    if (!is_whole || !add_tag(p, type, name, tag_at))
        return false;
    p->has_tag = true;
    p->tag_count++;
    return true;
}

static bool take_all(struct parser *p)
{
    p->is_first_line = true;
    start_line(p, 0);
    while (p->at < p->text.len) {
        size_t open = find(p->text, p->at, p->open);
        add_text(p, open == SIZE_MAX ? p->text.len : open);
        if (open == SIZE_MAX)
            break;
        p->at = open + p->open.len;
        if (!take_tag(p, open))
            return false;
    }
    end_line(p);
    return p->section == 0 || fail(p, "a section is not closed");
}

/* ---- nest ---- */

static bool continues(const struct mustache_token *text, struct str next)
{
    return text->kind == MUSTACHE_TEXT && text->text.at + text->text.len == next.at;
}

/* Joins the text to that of the lines before it when nothing stands between. Within a joined text,
 * a line starts behind each line end, so the marks between are not needed. */
static bool join(struct mustache *m, size_t *count, struct str text)
{
    struct mustache_token *last = &m->tokens[*count];
    if (*count >= 1 && continues(last - 1, text)) {
        last[-1].text.len += text.len;
        return true;
    }
    if (*count >= 2 && last[-1].kind == MUSTACHE_LINE && continues(last - 2, text)) {
        last[-2].text.len += text.len;
        --*count;
        return true;
    }
    return false;
}

/* Drops the tokens that print nothing and gives each section its end. */
static void nest(struct mustache *m)
{
    size_t count = 0, section = 0; // 1 + index, as while parsing
    for (size_t i = 0; i < m->count; i++) {
        struct mustache_token token = m->tokens[i];
        if (token.kind == MUSTACHE_NOTHING)
            continue;
        if (token.kind == MUSTACHE_CLOSE) {
            struct mustache_token *opened = &m->tokens[section - 1];
            section = opened->end;
            opened->end = count;
            continue;
        }
        if (token.kind == MUSTACHE_TEXT && join(m, &count, token.text))
            continue;
        if (token.kind == MUSTACHE_SECTION || token.kind == MUSTACHE_INVERTED) {
            token.end = section;
            section = count + 1;
        }
        m->tokens[count++] = token;
    }
    m->count = count;
}

enum err mustache_parse(struct str text, struct mustache **out, const char **why_out)
{
    struct mustache *m = MEM_NEW(struct mustache);
    arena_init(&m->arena);
    struct parser p = {
        .m = m, .text = arena_str(&m->arena, text), .open = STR("{{"), .close = STR("}}")};
    if (!take_all(&p)) {
        *why_out = p.why;
        mustache_free(m);
        return ERR_INVALID;
    }
    nest(m);
    *out = m;
    return OK;
}
