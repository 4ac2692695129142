#include "app/app_hooks.h"

#include "core/json.h"
#include "hub/hub_hook.h"
#include "test.h"

static enum err read_list(const char *text, struct arena *a, struct hub_app *app, char why[200])
{
    cJSON *list = NULL;
    *app = hub_app_defaults;
    EXPECT_EQ(json_parse(str_of(text), &list), OK);
    enum err err = app_hooks_read(list, a, app, why, 200);
    cJSON_Delete(list);
    return err;
}

TEST(app_hooks_reads_a_whole_webhook)
{
    struct arena a;
    struct hub_app app;
    char why[200] = "";
    arena_init(&a);
    EXPECT_EQ(read_list("[{\"url\":\"http://a/\"},"
                        "{\"url\":\"https://b/\",\"event_types\":[\"cache_miss\",\"member_added\"],"
                        "\"filter\":{\"channel_name_starts_with\":\"private-\","
                        "\"channel_name_ends_with\":\"-x\"},"
                        "\"headers\":{\"X-Team\":\"red\",\"Authorization\":\"Bearer t\"}}]",
                        &a, &app, why),
              OK);
    EXPECT_EQ(app.webhook_count, 2);
    EXPECT_STR(app.webhooks[0].url, "http://a/");
    EXPECT_EQ(app.webhooks[0].kinds, (1u << HUB_HOOK_KINDS) - 1);
    EXPECT_EQ(app.webhooks[0].header_count, 0);
    const struct hub_webhook *b = &app.webhooks[1];
    EXPECT_STR(b->url, "https://b/");
    EXPECT_EQ(b->kinds, 1u << HUB_HOOK_CACHE_MISS | 1u << HUB_HOOK_MEMBER_ADDED);
    EXPECT_STR(b->starts_with, "private-");
    EXPECT_STR(b->ends_with, "-x");
    EXPECT_EQ(b->header_count, 2);
    EXPECT_STR(b->headers[0], "X-Team: red");
    EXPECT_STR(b->headers[1], "Authorization: Bearer t");
    arena_done(&a);
}

TEST(app_hooks_refuses_what_it_does_not_understand)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{}", "must be an array"},
        {"[1]", "must be an object"},
        {"[{}]", "needs a url"},
        {"[{\"url\":\"ftp://a/\"}]", "http or https"},
        {"[{\"url\":\"http://a/\",\"lambda_function\":\"x\"}]", "no key lambda_function"},
        {"[{\"url\":\"http://a/\",\"event_types\":[]}]", "event_types"},
        {"[{\"url\":\"http://a/\",\"event_types\":[\"channel_opened\"]}]", "channel_opened"},
        {"[{\"url\":\"http://a/\",\"event_types\":[1]}]", "event_type"},
        {"[{\"url\":\"http://a/\",\"filter\":{\"channel_name_contains\":\"x\"}}]", "contains"},
        {"[{\"url\":\"http://a/\",\"filter\":\"x\"}]", "filter"},
        {"[{\"url\":\"http://a/\",\"headers\":[\"A: b\"]}]", "headers must"},
        {"[{\"url\":\"http://a/\",\"headers\":{\"x-pusher-key\":\"b\"}}]", "x-pusher-key"},
        {"[{\"url\":\"http://a/\",\"headers\":{\"Content-Type\":\"b\"}}]", "Content-Type"},
        {"[{\"url\":\"http://a/\",\"headers\":{\"A b\":\"b\"}}]", "A b"},
        {"[{\"url\":\"http://a/\",\"headers\":{\"\":\"b\"}}]", "header"},
        {"[{\"url\":\"http://a/\",\"headers\":{\"A\":\"b\\r\\nC: d\"}}]", "value"},
        {"[{\"url\":\"http://a/\",\"headers\":{\"A\":\"\"}}]", "value"},
        {"[{\"url\":\"http://a/\",\"headers\":{\"A\":1}}]", "value"},
        {"[{\"url\":\"http://a/\",\"headers\":{\"A\":\"b\x7f\"}}]", "value"},
        {"[{\"url\":\"http://a/\"},{\"url\":\"http://a/\",\"headers\":{\"A\":\"b\"}}]",
         "the same headers: http://a/"},
        {"[{\"url\":\"http://a/\",\"headers\":{\"A\":\"b\"}},"
         "{\"url\":\"http://a/\",\"headers\":{\"A\":\"c\"}}]",
         "the same headers: http://a/"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena a;
        struct hub_app app;
        char why[200] = "";
        arena_init(&a);
        ck_assert_msg(read_list(cases[i].text, &a, &app, why) == ERR_INVALID, "%s", cases[i].text);
        ck_assert_msg(strstr(why, cases[i].why) != NULL, "%s: %s", cases[i].text, why);
        arena_done(&a);
    }
}

TEST(app_hooks_takes_a_url_twice)
{
    struct arena a;
    struct hub_app app;
    char why[200] = "";
    arena_init(&a);
    EXPECT_EQ(read_list("[{\"url\":\"http://a/\",\"headers\":{\"A\":\"b\"}},"
                        "{\"url\":\"http://a/\",\"headers\":{\"A\":\"b\"},"
                        "\"filter\":{\"channel_name_starts_with\":\"x\"}}]",
                        &a, &app, why),
              OK);
    EXPECT_EQ(app.webhook_count, 2);
    arena_done(&a);
}
