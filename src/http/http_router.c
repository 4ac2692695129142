#include "http/http_router.h"

#include "core/check.h"
#include "core/mem.h"

enum { MAX_SEGMENTS = 32 };

struct row {
    const struct http_route *route;
    void *ctx;
};

struct node {
    struct str segment;
    struct node *next;                       // the next child of the same parent
    struct node *child;                      // the first literal child
    struct node *param;                      // the child for {x}
    struct row rows[HTTP_METHOD_COUNT];      // for a path that ends here
    struct row rest_rows[HTTP_METHOD_COUNT]; // for {*} below here
};

struct http_router {
    struct node root;
};

struct http_router *http_router_new(void)
{
    return MEM_NEW(struct http_router);
}

static void free_node(struct node *n)
{
    if (!n)
        return;
    while (n->child) {
        struct node *child = n->child;
        n->child = child->next;
        free_node(child);
        mem_free(child);
    }
    free_node(n->param);
    mem_free(n->param);
}

void http_router_free(struct http_router *r)
{
    if (!r)
        return;
    free_node(&r->root);
    mem_free(r);
}

static struct node *find_child(const struct node *n, struct str segment)
{
    for (struct node *child = n->child; child; child = child->next) {
        if (str_eq(child->segment, segment))
            return child;
    }
    return NULL;
}

static struct node *make_child(struct node *n, struct str segment)
{
    if (segment.at[0] == '{') {
        if (!n->param)
            n->param = MEM_NEW(struct node);
        return n->param;
    }
    struct node *child = find_child(n, segment);
    if (!child) {
        child = MEM_NEW(struct node);
        child->segment = segment;
        child->next = n->child;
        n->child = child;
    }
    return child;
}

static void add_route(struct http_router *r, const struct http_route *route, void *ctx)
{
    struct str rest = str_of(route->path);
    struct node *n = &r->root;
    size_t params = 0, depth = 0;
    bool is_rest = false;

    CHECK(rest.len > 0 && rest.at[0] == '/');
    rest = (struct str){rest.at + 1, rest.len - 1};
    while (rest.len > 0) {
        struct str segment = str_cut(rest, '/', &rest);
        CHECK(segment.len > 0 && ++depth < MAX_SEGMENTS && !is_rest);
        params += segment.at[0] == '{';
        is_rest = str_eq(segment, STR("{*}"));
        if (!is_rest)
            n = make_child(n, segment);
    }
    CHECK(params <= HTTP_MAX_PARAMS);
    struct row *row = is_rest ? &n->rest_rows[route->method] : &n->rows[route->method];
    if (!row->route)
        *row = (struct row){route, ctx};
}

void http_router_add(struct http_router *r, const struct http_route *routes, size_t count,
                     void *ctx)
{
    for (size_t i = 0; i < count; i++)
        add_route(r, &routes[i], ctx);
}

/* ---- finding ---- */

struct search {
    enum http_method method;
    size_t depth;
    struct http_match match;
};

/* Notes which methods rows know; true when the wanted one is among them. */
static bool take_row(struct search *s, const struct row rows[HTTP_METHOD_COUNT])
{
    for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++)
        s->match.allowed |= (unsigned)(rows[m].route != NULL) << m;

    const struct row *row = &rows[s->method];
    if (!row->route && s->method == HTTP_HEAD)
        row = &rows[HTTP_GET];
    s->match.route = row->route;
    s->match.ctx = row->ctx;
    return row->route != NULL;
}

static bool find_below(struct search *s, const struct node *n, struct str rest, bool is_end);

static bool find_param(struct search *s, const struct node *n, struct str segment, struct str rest,
                       bool is_end)
{
    s->match.params[s->match.param_count++] = segment;
    if (find_below(s, n, rest, is_end))
        return true;
    s->match.param_count--;
    return false;
}

/* rest: the path below n, without its leading slash. is_end: the path ended at n. */
static bool find_below(struct search *s, const struct node *n, struct str rest, bool is_end)
{
    if (is_end)
        return take_row(s, n->rows);
    if (s->depth == MAX_SEGMENTS)
        return false;
    s->depth++;

    struct str below;
    struct str segment = str_cut(rest, '/', &below);
    bool is_last = segment.len == rest.len;
    const struct node *child = find_child(n, segment);
    if (child && find_below(s, child, below, is_last))
        return true;
    if (n->param && segment.len > 0 && find_param(s, n->param, segment, below, is_last))
        return true;
    s->depth--;
    if (rest.len == 0 || !take_row(s, n->rest_rows))
        return false;
    s->match.params[s->match.param_count++] = rest;
    return true;
}

struct http_match http_router_find(const struct http_router *r, enum http_method method,
                                   struct str path)
{
    struct search s = {.method = method};
    if (path.len > 0 && path.at[0] == '/')
        find_below(&s, &r->root, (struct str){path.at + 1, path.len - 1}, path.len == 1);
    return s.match;
}

struct str http_router_allow(unsigned allowed, char out[static HTTP_ROUTER_ALLOW_BYTES])
{
    static const char *const names[HTTP_METHOD_COUNT] = {
        [HTTP_GET] = "GET, ",        [HTTP_HEAD] = "HEAD, ",   [HTTP_POST] = "POST, ",
        [HTTP_PUT] = "PUT, ",        [HTTP_PATCH] = "PATCH, ", [HTTP_DELETE] = "DELETE, ",
        [HTTP_OPTIONS] = "OPTIONS, "};
    size_t len = 0;

    allowed |= 1U << HTTP_OPTIONS;
    if (allowed & 1U << HTTP_GET)
        allowed |= 1U << HTTP_HEAD;
    for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++) {
        if (!(allowed & 1U << m))
            continue;
        size_t n = strlen(names[m]);
        memcpy(out + len, names[m], n);
        len += n;
    }
    out[len - 2] = '\0';
    return (struct str){out, len - 2};
}
