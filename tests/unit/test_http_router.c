#include "http/http_router.h"
#include "test.h"

static void handler(struct http_exchange *x, void *ctx)
{
    (void)x, (void)ctx;
}

static const struct http_route first[] = {
    {HTTP_GET, "/", handler, "home", 0},
    {HTTP_GET, "/proposals", handler, "list", 0},
    {HTTP_POST, "/proposals", handler, "create", 0},
    {HTTP_GET, "/proposals/new", handler, "form", 0},
    {HTTP_GET, "/proposals/{id}", handler, "one", 0},
    {HTTP_DELETE, "/proposals/{id}", handler, "remove", 0},
    {HTTP_GET, "/proposals/{id}/comments/{comment}", handler, "comment", 0},
    {HTTP_GET, "/static/{*}", handler, "file", 0},
};
static const struct http_route second[] = {
    {HTTP_GET, "/proposals", handler, "shadowed", 0},
    {HTTP_PUT, "/proposals", handler, "put", 0},
    {HTTP_GET, "/{page}", handler, "page", 0},
};

TEST(http_router_finds_the_most_exact_row)
{
    static const struct {
        enum http_method method;
        const char *path, *want, *param;
    } cases[] = {
        {HTTP_GET, "/", "home", NULL},
        {HTTP_HEAD, "/", "home", NULL},
        {HTTP_GET, "/proposals", "list", NULL},
        {HTTP_PUT, "/proposals", "put", NULL},
        {HTTP_GET, "/proposals/new", "form", NULL},
        {HTTP_DELETE, "/proposals/new", "remove", "new"},
        {HTTP_GET, "/proposals/7", "one", "7"},
        {HTTP_GET, "/proposals/new/comments/3", "comment", "new"},
        {HTTP_GET, "/static/a/b.js", "file", "a/b.js"},
        {HTTP_GET, "/about", "page", "about"},
        {HTTP_GET, "/static", "page", "static"},
        {HTTP_GET, "/static/", NULL, NULL},
        {HTTP_GET, "/proposals/", NULL, NULL},
        {HTTP_GET, "//", NULL, NULL},
        {HTTP_GET, "/proposals//comments/1", NULL, NULL},
        {HTTP_GET, "/proposals/7/comments", NULL, NULL},
        {HTTP_GET, "/Proposals/7", NULL, NULL},
        {HTTP_GET, "*", NULL, NULL},
        {HTTP_GET, "", NULL, NULL},
        {HTTP_POST, "/", NULL, NULL},
    };
    struct http_router *r = http_router_new();
    int a, b;
    http_router_add(r, first, sizeof(first) / sizeof(first[0]), &a);
    http_router_add(r, second, sizeof(second) / sizeof(second[0]), &b);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_match m = http_router_find(r, cases[i].method, str_of(cases[i].path));
        const char *got = m.route ? m.route->extra : NULL;
        ck_assert_msg(got == NULL ? cases[i].want == NULL
                                  : cases[i].want && strcmp(got, cases[i].want) == 0,
                      "%s: got %s", cases[i].path, got ? got : "none");
        if (cases[i].param)
            EXPECT_STR(m.params[0], cases[i].param);
    }
    http_router_free(r);
}

TEST(http_router_gives_the_ctx_of_the_table)
{
    struct http_router *r = http_router_new();
    int a, b;
    http_router_add(r, first, sizeof(first) / sizeof(first[0]), &a);
    http_router_add(r, second, sizeof(second) / sizeof(second[0]), &b);
    EXPECT(http_router_find(r, HTTP_GET, STR("/proposals")).ctx == &a);
    EXPECT(http_router_find(r, HTTP_PUT, STR("/proposals")).ctx == &b);
    http_router_free(r);
}

TEST(http_router_tells_which_methods_a_path_knows)
{
    char text[HTTP_ROUTER_ALLOW_BYTES];
    struct http_router *r = http_router_new();
    http_router_add(r, first, sizeof(first) / sizeof(first[0]), NULL);
    struct http_match m = http_router_find(r, HTTP_PATCH, STR("/proposals"));
    EXPECT(m.route == NULL);
    EXPECT_STR(http_router_allow(m.allowed, text), "GET, HEAD, POST, OPTIONS");
    m = http_router_find(r, HTTP_PUT, STR("/proposals/new"));
    EXPECT_STR(http_router_allow(m.allowed, text), "GET, HEAD, DELETE, OPTIONS");
    EXPECT_EQ(http_router_find(r, HTTP_GET, STR("/nothing")).allowed, 0);
    EXPECT_STR(http_router_allow(~0U, text), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    http_router_free(r);
}

TEST(http_router_survives_a_path_of_slashes)
{
    char path[9000];
    memset(path, '/', sizeof(path));
    struct http_router *r = http_router_new();
    http_router_add(r, first, sizeof(first) / sizeof(first[0]), NULL);
    EXPECT(http_router_find(r, HTTP_GET, (struct str){path, sizeof(path)}).route == NULL);
    http_router_free(r);
}
