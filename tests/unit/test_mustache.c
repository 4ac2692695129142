/* What a template prints is compared with npm mustache by tests/integration/mustache.test.mjs; here
 * are the limits and the errors. */
#include "core/json.h"
#include "core/mustache.h"
#include "test.h"

static struct mustache *parsed(const char *text)
{
    struct mustache *m = NULL;
    const char *why = NULL;
    ck_assert_msg(mustache_parse(str_of(text), &m, &why) == OK, "%s: %s", text, why);
    return m;
}

static enum err render(const struct mustache *m, const char *json, mustache_partial_fn *partial,
                       struct buf *out)
{
    cJSON *view = NULL;
    EXPECT_EQ(json_parse(str_of(json), &view), OK);
    enum err err = mustache_render(m, view, partial, NULL, out);
    cJSON_Delete(view);
    return err;
}

TEST(mustache_renders_a_template_as_often_as_wanted)
{
    struct mustache *m = parsed("<ul>\n {{#items}}\n <li>{{name}}</li>\n {{/items}}\n</ul>\n");
    for (int i = 0; i < 2; i++) {
        struct buf out;
        buf_init(&out, 1000);
        EXPECT_EQ(render(m, "{\"items\":[{\"name\":\"<b>\"},{\"name\":\"Ї\"}]}", NULL, &out), OK);
        EXPECT_STR(((struct str){(const char *)buf_head(&out), buf_len(&out)}),
                   "<ul>\n <li>&lt;b&gt;</li>\n <li>Ї</li>\n</ul>\n");
        buf_done(&out);
    }
    mustache_free(m);
}

TEST(mustache_says_why_a_template_is_refused)
{
    static const struct {
        const char *text, *why;
    } row[] = {
        {"{{a", "a tag is not closed"},
        {"{{{a}}", "a tag is not closed"},
        {"{{=<% %>", "a tag is not closed"},
        {"{{#a}}x", "a section is not closed"},
        {"x{{/a}}", "a section is closed that is not open"},
        {"{{#a}}{{^b}}{{/a}}{{/b}}", "a section is closed by another name"},
        {"{{=<%=}}", "new delimiters are not two words"},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct mustache *m = NULL;
        const char *why = "";
        EXPECT_EQ(mustache_parse(str_of(row[i].text), &m, &why), ERR_INVALID);
        EXPECT_STR(str_of(why), row[i].why);
    }
}

TEST(mustache_leaves_a_full_output_as_it_was)
{
    struct mustache *m = parsed("{{#a}}12345{{.}}{{/a}}");
    struct buf out;
    buf_init(&out, 20);
    EXPECT_EQ(buf_append(&out, "kept", 4), OK);
    EXPECT_EQ(render(m, "{\"a\":[1,2,3]}", NULL, &out), ERR_TOO_LARGE);
    EXPECT_EQ(buf_len(&out), 4);
    EXPECT_EQ(render(m, "{\"a\":[1,2]}", NULL, &out), OK);
    EXPECT_EQ(buf_len(&out), 16);
    buf_done(&out);
    mustache_free(m);
}

static struct mustache *self;

static const struct mustache *give_self(void *ctx, struct str name)
{
    (void)ctx;
    (void)name;
    return self;
}

TEST(mustache_stops_a_partial_that_includes_itself_for_ever)
{
    static const char *const endless[] = {"x{{>self}}", "{{>self}}{{>self}}"};
    for (size_t i = 0; i < 2; i++) {
        struct buf out;
        buf_init(&out, 1000);
        self = parsed(endless[i]);
        EXPECT_EQ(render(self, "{}", give_self, &out), ERR_TOO_LARGE);
        EXPECT_EQ(buf_len(&out), 0);
        mustache_free(self);
        buf_done(&out);
    }
}

TEST(mustache_stops_work_without_output)
{
    // 40 elements in 6 nested loops: four thousand million rounds
    char json[200] = "{\"a\":[1";
    for (int i = 1; i < 40; i++)
        strcat(json, ",1");
    strcat(json, "]}");
    struct mustache *m = parsed("{{#a}}{{#a}}{{#a}}{{#a}}{{#a}}{{#a}}{{x}}"
                                "{{/a}}{{/a}}{{/a}}{{/a}}{{/a}}{{/a}}");
    struct buf out;
    buf_init(&out, 1000);
    EXPECT_EQ(render(m, json, NULL, &out), ERR_TOO_LARGE);
    mustache_free(m);
    buf_done(&out);
}

TEST(mustache_finds_nothing_in_a_null_view)
{
    struct mustache *m = parsed("[{{a}}{{#.}}x{{/.}}{{#b.c}}y{{/b.c}}{{^a}}z{{/a}}]");
    struct buf out;
    buf_init(&out, 1000);
    EXPECT_EQ(render(m, "null", NULL, &out), OK);
    EXPECT_STR(((struct str){(const char *)buf_head(&out), buf_len(&out)}), "[z]");
    mustache_free(m);
    mustache_free(NULL);
    buf_done(&out);
}
