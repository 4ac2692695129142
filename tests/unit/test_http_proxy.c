#include "http/http_proxy.h"
#include "test.h"

static struct http_proxy trusting(const char *list)
{
    struct http_proxy p;
    struct str bad = {0};
    EXPECT_EQ(http_proxy_parse(str_of(list), &p, &bad), OK);
    return p;
}

TEST(http_proxy_trusts_the_addresses_within_its_networks)
{
    static const struct {
        const char *list, *address;
        bool is_trusted;
    } rows[] = {
        {"", "127.0.0.1", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"127.0.0.1", "::ffff:127.0.0.1", true}, // the same, on a socket of both families
        {"::ffff:127.0.0.1", "127.0.0.1", true},
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3/8", "10.9.9.9", true},
        {"192.168.4.0/22", "192.168.7.255", true},
        {"192.168.4.0/22", "192.168.8.0", false},
        {"192.168.4.6/31", "192.168.4.7", true},
        {"0.0.0.0/0", "203.0.113.5", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "203.0.113.5", true},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1, 10.0.0.0/8,192.168.0.1", "192.168.0.1", true},
        {"10.0.0.0/8", "unknown", false},
        {"10.0.0.0/8", "", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_proxy p = trusting(rows[i].list);
        ck_assert_msg(http_proxy_trusts(&p, str_of(rows[i].address)) == rows[i].is_trusted,
                      "%s in %s", rows[i].address, rows[i].list);
    }
}

TEST(http_proxy_refuses_a_list_with_what_is_no_network)
{
    static const struct {
        const char *list, *bad;
    } rows[] = {
        {"10.0.0.0/33", "10.0.0.0/33"},
        {"10.0.0.1, proxy.example", "proxy.example"},
        {"10.0.0.1,,10.0.0.2", ""},
        {"::1/129", "::1/129"},
        {"10.0.0.0/-1", "10.0.0.0/-1"},
        {"10.0.0.0/", "10.0.0.0/"},
        {"10.0.0.0/8/8", "10.0.0.0/8/8"},
        {"10.0.0", "10.0.0"},
        {"[::1]", "[::1]"},
        {"/8", "/8"},
    };
    struct http_proxy p;
    struct str bad;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EXPECT_EQ(http_proxy_parse(str_of(rows[i].list), &p, &bad), ERR_INVALID);
        EXPECT_STR(bad, rows[i].bad);
    }
    char many[33 * 4 + 1] = "";
    for (int i = 0; i < 33; i++)
        strcat(many, "::1,");
    EXPECT_EQ(http_proxy_parse(str_of(many), &p, &bad), ERR_INVALID);
}

/* The client as it is found for a request of peer with these fields. */
static void look(struct http_exchange *x, const char *peer, const char *const lists[2])
{
    static const struct str name = {"X-Forwarded-For", 15};
    struct http_proxy p = trusting("10.0.0.0/8, fd00::/8");
    *x = (struct http_exchange){0};
    strcpy(x->peer, peer);
    for (int i = 0; i < 2 && lists[i]; i++)
        x->req.fields[x->req.field_count++] = (struct http_field){name, str_of(lists[i])};
    http_proxy_look_behind(&p, x);
}

TEST(http_proxy_finds_the_client_and_believes_no_other)
{
    static const struct {
        const char *peer, *lists[2], *client;
    } rows[] = {
        // who is no proxy is believed nothing
        {"203.0.113.1", {"198.51.100.9"}, "203.0.113.1"},
        {"unknown", {"198.51.100.9"}, "unknown"},
        // a proxy without the field speaks for itself
        {"10.0.0.1", {NULL}, "10.0.0.1"},
        {"10.0.0.1", {"203.0.113.1"}, "203.0.113.1"},
        {"fd00::1", {"2001:DB8:0::1"}, "2001:db8::1"},
        // the same client has one name
        {"10.0.0.1", {"::ffff:203.0.113.1"}, "203.0.113.1"},
        {"10.0.0.1", {"203.0.113.1:5678"}, "203.0.113.1"},
        {"10.0.0.1", {"[2001:db8::1]:5678"}, "2001:db8::1"},
        {"10.0.0.1", {"[2001:db8::1]"}, "2001:db8::1"},
        // what the client sent stands on the left of what proxies added
        {"10.0.0.1", {"198.51.100.9, 203.0.113.1"}, "203.0.113.1"},
        {"10.0.0.1", {"10.0.0.7, 203.0.113.1"}, "203.0.113.1"},
        {"10.0.0.1", {"rubbish, 203.0.113.1"}, "203.0.113.1"},
        {"10.0.0.1", {",,, 203.0.113.1"}, "203.0.113.1"},
        {"10.0.0.1", {"198.51.100.9", "203.0.113.1"}, "203.0.113.1"},
        // more proxies of ours
        {"10.0.0.1", {"198.51.100.9, 203.0.113.1,10.0.0.3 , 10.0.0.2"}, "203.0.113.1"},
        {"10.0.0.1", {"203.0.113.1", "10.0.0.2"}, "203.0.113.1"},
        {"10.0.0.1", {"10.0.0.3, 10.0.0.2"}, "10.0.0.3"}, // a request from within
        // rubbish from a proxy: its own address counts
        {"10.0.0.1", {""}, "10.0.0.1"},
        {"10.0.0.1", {"unknown"}, "10.0.0.1"},
        {"10.0.0.1", {"203.0.113.1, "}, "10.0.0.1"},
        {"10.0.0.1", {"203.0.113.1, unknown, 10.0.0.2"}, "10.0.0.1"},
        {"10.0.0.1", {"203.0.113.300"}, "10.0.0.1"},
        {"10.0.0.1", {"203.0.113.1;x"}, "10.0.0.1"},
        {"10.0.0.1", {"[2001:db8::1]x"}, "10.0.0.1"},
        {"10.0.0.1", {"fe80::1%eth0"}, "10.0.0.1"},
        {"10.0.0.1", {"2001:db8:0000:0000:0000:0000:0000:0000:0000:0001:0001"}, "10.0.0.1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_exchange x;
        look(&x, rows[i].peer, rows[i].lists);
        EXPECT_STR(str_of(x.peer), rows[i].client);
    }
}

TEST(http_proxy_says_https_only_for_the_last_word_of_a_trusted_one)
{
    static const struct {
        const char *peer, *value;
        bool is_https;
    } rows[] = {
        {"10.0.0.1", "https", true},        {"10.0.0.1", "HTTPS", true},
        {"10.0.0.1", "http, https", true},  {"10.0.0.1", "http", false},
        {"10.0.0.1", "https, http", false}, {"10.0.0.1", "", false},
        {"203.0.113.1", "https", false},
    };
    struct http_proxy p = trusting("10.0.0.0/8");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_exchange x = {0};
        strcpy(x.peer, rows[i].peer);
        x.req.fields[x.req.field_count++] =
            (struct http_field){STR("x-forwarded-proto"), str_of(rows[i].value)};
        http_proxy_look_behind(&p, &x);
        EXPECT_EQ(x.is_https, rows[i].is_https);
    }
}
