#include "civic/civic_markdown.h"

#include <stdio.h>

#include "test.h"

static void expect_html(const char *text, const char *html)
{
    struct arena a;
    arena_init(&a);
    EXPECT_STR(civic_markdown_html(str_of(text), &a), html);
    arena_done(&a);
}

TEST(civic_markdown_draws_the_usual)
{
    expect_html("Це **важливо** і `код`",
                "<p>Це <strong>важливо</strong> і <code>код</code></p>\n");
    expect_html("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n");
    expect_html("# A\n\n#### B", "<h3>A</h3>\n<h4>B</h4>\n");
    expect_html("## A\n\n### B\n\n## C", "<h3>A</h3>\n<h4>B</h4>\n<h3>C</h3>\n");
    expect_html("### A\n\n# B", "<h3>A</h3>\n<h3>B</h3>\n");
    expect_html("# A\n\n## B\n\n### C\n\n#### D\n\n##### E\n\n###### F",
                "<h3>A</h3>\n<h4>B</h4>\n<h5>C</h5>\n<h6>D</h6>\n<h6>E</h6>\n<h6>F</h6>\n");
    expect_html("", "");
}

TEST(civic_markdown_shows_html_as_text)
{
    expect_html("a <b onclick=x>b</b>", "<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>\n");
    expect_html("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n");
    expect_html("<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>\n");
}

TEST(civic_markdown_marks_links_and_drops_dangerous_ones)
{
    expect_html("[a](https://x.ua)",
                "<p><a rel=\"nofollow noopener\" href=\"https://x.ua\">a</a></p>\n");
    expect_html("<mailto:a@b.c>",
                "<p><a rel=\"nofollow noopener\" href=\"mailto:a@b.c\">mailto:a@b.c</a></p>\n");
    expect_html("[a](javascript:alert(1))", "<p>a</p>\n");
    expect_html("[a](JaVaScRiPt:alert(1))", "<p>a</p>\n");
    expect_html("[a](data:text/html,x)", "<p>a</p>\n");
    expect_html("[a](//evil.example)", "<p>a</p>\n");
    expect_html("[**a** b](vbscript:x)", "<p><strong>a</strong> b</p>\n");
    expect_html(
        "[a](https://x.ua/\"onmouseover=x)",
        "<p><a rel=\"nofollow noopener\" href=\"https://x.ua/%22onmouseover=x\">a</a></p>\n");
    expect_html("`<a href=\"x\">`", "<p><code>&lt;a href=&quot;x&quot;&gt;</code></p>\n");
}

TEST(civic_markdown_loads_no_images)
{
    expect_html("![cat](https://x.ua/c.png)",
                "<p><a rel=\"nofollow noopener\" href=\"https://x.ua/c.png\">cat</a></p>\n");
    expect_html(
        "![](https://x.ua/c.png)",
        "<p><a rel=\"nofollow noopener\" href=\"https://x.ua/c.png\">https://x.ua/c.png</a></p>\n");
    expect_html("![x](data:image/png;base64,AA)", "<p>x</p>\n");
    expect_html("[![x](https://a.ua)](https://b.ua)",
                "<p><a rel=\"nofollow noopener\" href=\"https://b.ua\">x</a></p>\n");
}

TEST(civic_markdown_survives_deep_nesting)
{
    struct arena a;
    char text[20000];
    arena_init(&a);
    memset(text, '>', sizeof(text));
    EXPECT(civic_markdown_html((struct str){text, sizeof(text)}, &a).len > 0);
    memset(text, '[', sizeof(text));
    EXPECT(civic_markdown_html((struct str){text, sizeof(text)}, &a).len > 0);
    arena_done(&a);
}

TEST(civic_markdown_grows_no_text_beyond_bounds)
{
    static const char *const parts[] = {">",       "- ",  "> a\n\n", "\"",
                                        "*a **b ", "[a]", "1. a\n",  "`"};
    struct arena a;
    char text[4001];
    arena_init(&a);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t part = strlen(parts[i]), len = 0;
        if (parts[i][0] == '[') // an address that is written out for each link
            len = (size_t)snprintf(text, sizeof(text), "[a]: http://a.ua/%01000d\n\n", 1);
        for (; len + part < sizeof(text); len += part)
            memcpy(text + len, parts[i], part);
        struct str html = civic_markdown_html((struct str){text, len}, &a);
        EXPECT(html.len <= 6 * len + 1024);
    }
    arena_done(&a);
}

TEST(civic_markdown_shows_what_is_too_deep_as_it_was_typed)
{
    struct arena a;
    char text[64];
    arena_init(&a);
    memset(text, '>', 60);
    memcpy(text + 60, "<b>", 4);
    struct str html = civic_markdown_html(str_of(text), &a);
    EXPECT(str_starts(html, STR("<p>&gt;&gt;")));
    EXPECT(str_starts((struct str){html.at + html.len - 14, 14}, STR("&lt;b&gt;</p>\n")));
    EXPECT(str_starts(civic_markdown_html(STR("> > > a"), &a), STR("<blockquote>")));
    arena_done(&a);
}
