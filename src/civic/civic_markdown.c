#include "civic/civic_markdown.h"

#include <cmark.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/mem.h"

enum { TOP_HEADING = 3, MAX_HEADING = 6 };

/* What Markdown may make of a text: six times its length is what escaping makes of quotes alone.
 * Deep quotes and links by reference make hundreds of times; a person needs neither. */
enum { MAX_GROWTH = 6, MAX_MARKUP_BYTES = 1024, MAX_DEPTH = 40 };

/* The levels, as written, of the headings that a next one may stand under. */
struct outline {
    int levels[MAX_HEADING], depth;
};

/* Our own <a> and cmark's: text and attributes are escaped by then, so the bytes mean only this. */
#define LINK_PLAIN "<a href=\""
#define LINK_SAFE "<a rel=\"nofollow noopener\" href=\""

static bool is_safe_url(const char *url)
{
    static const char *const schemes[] = {"http://", "https://", "mailto:"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

/* Puts the children of a node in its place. */
static void unwrap(cmark_node *node)
{
    for (cmark_node *child; (child = cmark_node_first_child(node));)
        CHECK(cmark_node_insert_before(node, child));
    cmark_node_free(node);
}

static void replace(cmark_node *node, cmark_node *other)
{
    CHECK(cmark_node_replace(node, other));
    cmark_node_free(node);
}

/* Without the line end that the literal of a block has. */
static cmark_node *new_text(const char *literal)
{
    struct str s = str_of(literal);
    if (s.len && s.at[s.len - 1] == '\n')
        s.len--;
    char *copy = str_dup(s);
    cmark_node *text = cmark_node_new(CMARK_NODE_TEXT);
    cmark_node_set_literal(text, copy);
    mem_free(copy);
    return text;
}

static void show_html_as_text(cmark_node *node, bool is_block)
{
    cmark_node *text = new_text(cmark_node_get_literal(node));
    if (!is_block) {
        replace(node, text);
        return;
    }
    cmark_node *paragraph = cmark_node_new(CMARK_NODE_PARAGRAPH);
    CHECK(cmark_node_append_child(paragraph, text));
    replace(node, paragraph);
}

/* An image inside a link is only its words: links do not nest. */
static bool is_in_link(cmark_node *node)
{
    for (cmark_node *p = cmark_node_parent(node); p; p = cmark_node_parent(p))
        if (cmark_node_get_type(p) == CMARK_NODE_LINK)
            return true;
    return false;
}

static void link_image(cmark_node *image)
{
    const char *url = cmark_node_get_url(image);
    if (!is_safe_url(url) || is_in_link(image)) {
        unwrap(image);
        return;
    }
    cmark_node *link = cmark_node_new(CMARK_NODE_LINK);
    cmark_node_set_url(link, url);
    if (!cmark_node_first_child(image))
        CHECK(cmark_node_append_child(link, new_text(url)));
    for (cmark_node *child; (child = cmark_node_first_child(image));)
        CHECK(cmark_node_append_child(link, child));
    replace(image, link);
}

/* Levels that a writer skipped are closed up: a reader who goes from heading to heading misses
 * none. */
static void place_heading(struct outline *o, cmark_node *heading)
{
    int level = cmark_node_get_heading_level(heading);
    while (o->depth > 0 && o->levels[o->depth - 1] >= level)
        o->depth--;
    int shown = TOP_HEADING + o->depth;
    o->levels[o->depth++] = level; // levels rise from 1 to 6, so there is room
    cmark_node_set_heading_level(heading, shown < MAX_HEADING ? shown : MAX_HEADING);
}

static void make_safe(struct outline *o, cmark_node *node)
{
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_HTML_BLOCK:
        show_html_as_text(node, true);
        break;
    case CMARK_NODE_HTML_INLINE:
        show_html_as_text(node, false);
        break;
    case CMARK_NODE_IMAGE:
        link_image(node);
        break;
    case CMARK_NODE_LINK:
        if (!is_safe_url(cmark_node_get_url(node)))
            unwrap(node);
        break;
    case CMARK_NODE_HEADING:
        place_heading(o, node);
        break;
    default: // cmark's enum: all other kinds are safe as they are
        break;
    }
}

/* Nodes are changed when the iterator leaves them, after their children: it has passed them by
 * then. */
static void make_tree_safe(cmark_node *root)
{
    struct outline outline = {0};
    cmark_iter *iter = cmark_iter_new(root);
    for (cmark_event_type event; (event = cmark_iter_next(iter)) != CMARK_EVENT_DONE;) {
        cmark_node *node = cmark_iter_get_node(iter);
        cmark_node_type type = cmark_node_get_type(node);
        bool is_leaf = type == CMARK_NODE_HTML_BLOCK || type == CMARK_NODE_HTML_INLINE;
        if (event == CMARK_EVENT_EXIT || is_leaf)
            make_safe(&outline, node);
    }
    cmark_iter_free(iter);
}

static struct str mark_links(const char *html, struct arena *a)
{
    size_t links = 0, len = strlen(html);
    for (const char *p = html; (p = strstr(p, LINK_PLAIN)); p++)
        links++;
    struct str out = {0};
    char *to = arena_alloc(a, len + links * (sizeof(LINK_SAFE) - sizeof(LINK_PLAIN)) + 1);
    out.at = to;
    for (const char *p; (p = strstr(html, LINK_PLAIN)); html = p + sizeof(LINK_PLAIN) - 1) {
        to = mempcpy(to, html, (size_t)(p - html));
        to = mempcpy(to, LINK_SAFE, sizeof(LINK_SAFE) - 1);
    }
    to = mempcpy(to, html, strlen(html));
    out.len = (size_t)(to - out.at);
    return out;
}

static size_t max_bytes(struct str text)
{
    return MAX_GROWTH * text.len + MAX_MARKUP_BYTES;
}

/* How a node counts: what is in it stands one deeper, its address is written out. */
static bool nests(cmark_node *node)
{
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_BLOCK_QUOTE:
    case CMARK_NODE_LIST:
    case CMARK_NODE_ITEM:
    case CMARK_NODE_EMPH:
    case CMARK_NODE_STRONG:
    case CMARK_NODE_LINK:
    case CMARK_NODE_IMAGE:
        return true;
    default: // cmark's enum: all other kinds hold no blocks
        return false;
    }
}

static size_t address_bytes(cmark_node *node)
{
    const char *url = cmark_node_get_url(node), *title = cmark_node_get_title(node);
    return (url ? strlen(url) : 0) + (title ? strlen(title) : 0);
}

/* Found in the tree, before any memory is spent on the HTML. */
static bool is_too_much(cmark_node *root, size_t max)
{
    int depth = 0;
    size_t addresses = 0;
    cmark_iter *iter = cmark_iter_new(root);
    for (cmark_event_type event; (event = cmark_iter_next(iter)) != CMARK_EVENT_DONE;) {
        cmark_node *node = cmark_iter_get_node(iter);
        if (!nests(node))
            continue;
        depth += event == CMARK_EVENT_ENTER ? 1 : -1;
        if (event == CMARK_EVENT_ENTER)
            addresses += address_bytes(node);
        if (depth > MAX_DEPTH || addresses > max)
            break;
    }
    cmark_iter_free(iter);
    return depth > 0 || addresses > max;
}

/* The text as it was typed. */
static struct str draw_plain(struct str text, struct arena *a)
{
    cmark_node *root = cmark_node_new(CMARK_NODE_DOCUMENT);
    cmark_node *paragraph = cmark_node_new(CMARK_NODE_PARAGRAPH);
    CHECK(cmark_node_append_child(root, paragraph));
    struct str rest = text;
    while (rest.len) {
        struct str line = str_cut(rest, '\n', &rest);
        char *copy = str_dup(line);
        CHECK(cmark_node_append_child(paragraph, new_text(copy)));
        mem_free(copy);
        if (rest.len)
            CHECK(cmark_node_append_child(paragraph, cmark_node_new(CMARK_NODE_SOFTBREAK)));
    }
    char *html = cmark_render_html(root, CMARK_OPT_DEFAULT);
    struct str out = arena_str(a, str_of(html));
    free(html);
    cmark_node_free(root);
    return out;
}

struct str civic_markdown_html(struct str text, struct arena *a)
{
    cmark_node *root = cmark_parse_document(text.at ? text.at : "", text.len, CMARK_OPT_DEFAULT);
    if (is_too_much(root, max_bytes(text))) {
        cmark_node_free(root);
        return draw_plain(text, a);
    }
    make_tree_safe(root);
    char *html = cmark_render_html(root, CMARK_OPT_DEFAULT);
    struct str out = mark_links(html, a);
    free(html);
    cmark_node_free(root);
    return out.len > max_bytes(text) ? draw_plain(text, a) : out;
}
