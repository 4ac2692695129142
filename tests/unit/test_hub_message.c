#include "hub/hub_message.h"
#include "test.h"

static struct str text_of(const struct buf *b)
{
    return (struct str){(const char *)buf_head(b), buf_len(b)};
}

TEST(hub_message_writes_the_frames_of_the_protocol)
{
    struct buf out;
    buf_init(&out, 4096);
    hub_message_established(&out, STR("1.2"), 30);
    EXPECT_STR(text_of(&out), "{\"event\":\"pusher:connection_established\",\"data\":"
                              "\"{\\\"socket_id\\\":\\\"1.2\\\",\\\"activity_timeout\\\":30}\"}");
    buf_done(&out);
    hub_message_error(&out, 4009, STR("Connection is unauthorized"));
    EXPECT_STR(text_of(&out), "{\"event\":\"pusher:error\",\"data\":\"{\\\"code\\\":4009,"
                              "\\\"message\\\":\\\"Connection is unauthorized\\\"}\"}");
    buf_done(&out);
    hub_message_subscribed(&out, STR("c\"1"));
    EXPECT_STR(text_of(&out), "{\"event\":\"pusher_internal:subscription_succeeded\","
                              "\"data\":\"{}\",\"channel\":\"c\\\"1\"}");
    buf_done(&out);
    hub_message_event_frame(&out, STR("\"E\""), STR("\"{\\u0022}\""), STR("c"));
    EXPECT_STR(text_of(&out), "\x81-{\"event\":\"E\",\"data\":\"{\\u0022}\",\"channel\":\"c\"}");
    buf_done(&out);
}

static enum err parse_subscribe(const char *text, struct hub_message_subscribe *out)
{
    static struct arena a;
    static struct hub_message m;
    enum err err = hub_message_parse(str_of(text), &a, &m);
    return err ? err : hub_message_parse_subscribe(&m, &a, out);
}

TEST(hub_message_reads_a_subscribe_with_its_data_as_object_or_text)
{
    struct hub_message_subscribe s;
    EXPECT_EQ(
        parse_subscribe("{\"event\":\"x\",\"data\":{\"channel\":\"c\",\"auth\":\"a:b\"}}", &s), OK);
    EXPECT_STR(s.channel, "c");
    EXPECT_STR(s.auth, "a:b");
    EXPECT_EQ(parse_subscribe("{\"event\":\"x\",\"data\":\"{\\\"channel\\\":\\\"d\\\"}\"}", &s),
              OK);
    EXPECT_STR(s.channel, "d");
    EXPECT_EQ(parse_subscribe("{\"event\":\"x\",\"data\":{\"channel\":5}}", &s), OK);
    EXPECT_STR(s.channel, "5");
}

TEST(hub_message_takes_a_member_of_too_many_fields_for_no_member_without_a_name)
{
    struct arena a;
    struct hub_message_user user;
    struct buf json;
    arena_init(&a);
    buf_init(&json, 4096);
    EXPECT_EQ(buf_printf(&json, "{\"user_id\":1"), OK);
    for (int i = 0; i < 63; i++)
        EXPECT_EQ(buf_printf(&json, ",\"f%d\":0", i), OK);
    EXPECT_EQ(buf_append(&json, "}", 1), OK);
    EXPECT_EQ(hub_message_parse_user(text_of(&json), &a, &user), OK);
    EXPECT_STR(user.key, "1");
    buf_trim(&json, 1);
    EXPECT_EQ(buf_printf(&json, ",\"more\":0}"), OK);
    EXPECT_EQ(hub_message_parse_user(text_of(&json), &a, &user), ERR_INVALID);
    buf_done(&json);
    arena_done(&a);
}

TEST(hub_message_refuses_what_is_malformed)
{
    static const char *const bad[] = {
        "Hi",
        "[]",
        "5",
        "null",
        "",
        "{\"event\":[]}",
        "{\"data\":{}}",
        "{\"event\":\"x\"}",
        "{\"event\":\"x\",\"data\":\"\"}",
        "{\"event\":\"x\",\"data\":{}}",
        "{\"event\":\"x\",\"data\":{\"channel\":null}}",
        "{\"event\":\"x\",\"data\":{\"channel\":[]}}",
        "{\"event\":\"x\",\"data\":{\"channel\":\"\"}}",
        "{\"event\":\"x\",\"data\":{\"channel\":\"c\",\"auth\":[]}}",
        "{\"event\":\"x\",\"data\":{\"channel\":\"c\",\"channel_data\":[]}}",
        "{\"event\":\"x\",\"data\":{\"channel\":\"c\",\"channel_data\":\"Hello\"}}",
        "{\"event\":\"x\",\"data\":{\"channel\":\"c\"}",
    };
    struct hub_message_subscribe s;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(parse_subscribe(bad[i], &s) == ERR_INVALID, "%s", bad[i]);
}
