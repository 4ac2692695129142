#include "core/crypto.h"
#include "hub/hub_auth.h"
#include "test.h"

static struct hub_app pusher_app(void)
{
    struct hub_app app = hub_app_defaults;
    app.id = STR("3");
    app.key = STR("278d425bdf160c739803");
    app.secret = STR("7ad3773142a6692b25b8");
    return app;
}

static void expect_signature(const char *secret, const char *channel, const char *data,
                             const char *socket_id, const char *want)
{
    char out[HUB_AUTH_BYTES];
    crypto_init();
    hub_auth_sign_channel(str_of(secret), STR("k"), str_of(socket_id), str_of(channel),
                          str_of(data), out);
    EXPECT_STR(str_of(out), want);
}

TEST(hub_auth_signs_the_published_examples)
{
    expect_signature("7ad3773142a6692b25b8", "private-foobar", "", "1234.1234",
                     "k:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4");
    expect_signature("7ad3773142a6692b25b8", "presence-foobar",
                     "{\"user_id\":10,\"user_info\":{\"name\":\"Mr. Channels\"}}", "1234.1234",
                     "k:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80");
    expect_signature("tofu", "test", "", "123.456",
                     "k:efa6cf7644a0b35cba36aa0f776f3cbf7bb60e95ea2696bde1dbe8403b61bd7c");
    expect_signature("tofu", "test", "{\"foo\":\"bar\"}", "123.456",
                     "k:f41faf9ead2ea76772cc6b1168363057459f02499ae4d92e88229dc7f4efa2d4");
}

TEST(hub_auth_accepts_a_subscription_only_with_key_and_signature)
{
    struct hub_app app = pusher_app();
    static const struct {
        const char *auth;
        bool is_valid;
    } cases[] = {
        {"278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
         true},
        {"wrong-key:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4", false},
        {"278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a5",
         false},
        {"58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4", false},
        {"278d425bdf160c739803:", false},
        {"", false},
    };
    crypto_init();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        EXPECT_EQ(hub_auth_channel_is_valid(&app, STR("1234.1234"), STR("private-foobar"), STR(""),
                                            str_of(cases[i].auth)),
                  cases[i].is_valid);
}

TEST(hub_auth_knows_a_socket_id)
{
    EXPECT(hub_auth_is_socket_id(STR("1234.1234")));
    EXPECT(!hub_auth_is_socket_id(STR("1234")));
    EXPECT(!hub_auth_is_socket_id(STR("1.2.3")));
    EXPECT(!hub_auth_is_socket_id(STR("1.2:private-x")));
    EXPECT(!hub_auth_is_socket_id(STR(".")));
    EXPECT(!hub_auth_is_socket_id(STR("")));
}

/* The worked example of Pusher's REST reference. */
static const char BODY[] =
    "{\"name\":\"foo\",\"channels\":[\"project-3\"],\"data\":\"{\\\"some\\\":\\\"data\\\"}\"}";
enum { SIGNED_AT_S = 1353088179 };

static enum err check(const struct hub_app *app, const char *query, const char *body, int64_t now_s)
{
    struct hub_auth_call call = {STR("POST"), STR("/apps/3/events"), str_of(query), str_of(body)};
    const char *why;
    struct arena a;
    crypto_init();
    arena_init(&a);
    enum err err = hub_auth_check_call(app, &call, now_s, &a, &why);
    arena_done(&a);
    return err;
}

TEST(hub_auth_checks_a_rest_call)
{
    struct hub_app app = pusher_app();
    static const char query[] =
        "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0"
        "&body_md5=ec365a775a4cd0599faeb73354201b6f"
        "&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";
    EXPECT_EQ(check(&app, query, BODY, SIGNED_AT_S), OK);
    EXPECT_EQ(check(&app, query, BODY, SIGNED_AT_S + 600), OK);
    EXPECT_EQ(check(&app, query, BODY, SIGNED_AT_S + 601), ERR_DENIED);
    EXPECT_EQ(check(&app, query, BODY, SIGNED_AT_S - 601), ERR_DENIED);
    EXPECT_EQ(check(&app, query, "{}", SIGNED_AT_S), ERR_DENIED);
    EXPECT_EQ(check(&app, query, "", SIGNED_AT_S), ERR_DENIED);
    EXPECT_EQ(check(&app, "", BODY, SIGNED_AT_S), ERR_DENIED);
    EXPECT_EQ(check(&app, "a=%zz", BODY, SIGNED_AT_S), ERR_DENIED);

    app.max_timestamp_skew_s = 0;
    EXPECT_EQ(check(&app, query, BODY, 1), OK);
    app.key = STR("another");
    EXPECT_EQ(check(&app, query, BODY, SIGNED_AT_S), ERR_DENIED);
}

TEST(hub_auth_checks_the_signature_of_the_node_sdk)
{
    struct hub_app app = {.key = STR("f00d"), .secret = STR("tofu"), .max_timestamp_skew_s = 600};
    struct hub_auth_call call = {
        .method = STR("GET"),
        .path = STR("/event"),
        .query = STR("auth_key=f00d&auth_timestamp=1234567890&auth_version=1.0&foo=bar"
                     "&baz=123454321&auth_signature="
                     "d8bdbd31911fb7400a14fbd36fd7de053494725b64400ae5856deafe304b34a9"),
    };
    struct arena a;
    const char *why;
    crypto_init();
    arena_init(&a);
    EXPECT_EQ(hub_auth_check_call(&app, &call, 1234567890, &a, &why), OK);
    call.method = STR("POST");
    EXPECT_EQ(hub_auth_check_call(&app, &call, 1234567890, &a, &why), ERR_DENIED);
    arena_done(&a);
}

TEST(hub_auth_checks_the_published_sign_in)
{
    struct hub_app app = pusher_app();
    struct str user = STR("{\"id\":\"12345\"}");
    struct str auth = STR("278d425bdf160c739803:"
                          "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba");
    crypto_init();
    EXPECT(hub_auth_user_is_valid(&app, STR("1234.1234"), user, auth));
    EXPECT(!hub_auth_user_is_valid(&app, STR("1234.1235"), user, auth));
    EXPECT(!hub_auth_user_is_valid(&app, STR("1234.1234"), STR("{\"id\":\"1\"}"), auth));
}
