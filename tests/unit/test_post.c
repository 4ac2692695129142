#include "post/post.h"

#include <arpa/inet.h>

#include "core/mem.h"
#include "post/post_address.h"
#include "test.h"

TEST(post_knows_the_addresses_that_are_nobodys_business)
{
    static const struct {
        const char *address;
        bool is_public;
        const char *why;
    } cases[] = {
        {"8.8.8.8", true, "public"},
        {"1.1.1.1", true, "public"},
        {"9.255.255.255", true, "below 10/8"},
        {"11.0.0.0", true, "above 10/8"},
        {"172.15.255.255", true, "below 172.16/12"},
        {"172.32.0.0", true, "above 172.16/12"},
        {"100.63.255.255", true, "below 100.64/10"},
        {"100.128.0.0", true, "above 100.64/10"},
        {"169.253.255.255", true, "below link-local"},
        {"192.167.255.255", true, "below 192.168/16"},
        {"198.17.255.255", true, "below benchmarks"},
        {"198.20.0.0", true, "above benchmarks"},
        {"223.255.255.255", true, "below multicast"},
        {"127.0.0.1", false, "loopback"},
        {"127.255.255.254", false, "loopback"},
        {"0.0.0.0", false, "unspecified: Linux connects to itself"},
        {"0.1.2.3", false, "this network"},
        {"10.0.0.1", false, "private"},
        {"10.255.255.255", false, "private"},
        {"172.16.0.1", false, "private"},
        {"172.31.255.255", false, "private"},
        {"192.168.0.1", false, "private"},
        {"100.64.0.1", false, "CGNAT"},
        {"100.127.255.255", false, "CGNAT"},
        {"169.254.169.254", false, "metadata of clouds"},
        {"192.0.0.8", false, "protocol assignments"},
        {"192.0.2.1", false, "documentation"},
        {"198.51.100.7", false, "documentation"},
        {"203.0.113.7", false, "documentation"},
        {"198.18.0.1", false, "benchmarks"},
        {"198.19.255.255", false, "benchmarks"},
        {"224.0.0.1", false, "multicast"},
        {"239.255.255.255", false, "multicast"},
        {"240.0.0.1", false, "reserved"},
        {"255.255.255.255", false, "broadcast"},
        {"2606:4700::1111", true, "public"},
        {"2a00:1450:4001::1", true, "public"},
        {"::", false, "unspecified"},
        {"::1", false, "loopback"},
        {"::7f00:1", false, "IPv4-compatible, loopback"},
        {"fe80::1", false, "link-local"},
        {"fec0::1", false, "site-local"},
        {"fc00::1", false, "unique local"},
        {"fd12:3456::1", false, "unique local"},
        {"ff02::1", false, "multicast"},
        {"100::1", false, "discard"},
        {"2001::1", false, "Teredo"},
        {"2001:10::1", false, "ORCHID"},
        {"2001:db8::1", false, "documentation"},
        {"3fff::1", false, "documentation"},
        {"4000::1", false, "not given out"},
        {"::ffff:127.0.0.1", false, "mapped loopback"},
        {"::ffff:10.1.2.3", false, "mapped private"},
        {"::ffff:8.8.8.8", true, "mapped public"},
        {"64:ff9b::a9fe:a9fe", false, "NAT64 of 169.254.169.254"},
        {"64:ff9b::808:808", true, "NAT64 of 8.8.8.8"},
        {"64:ff9b:1::1", false, "NAT64 of a local network"},
        {"2002:7f00:1::", false, "6to4 of 127.0.0.1"},
        {"2002:c0a8:1::", false, "6to4 of 192.168.0.1"},
        {"2002:808:808::", true, "6to4 of 8.8.8.8"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sockaddr_storage s = {0};
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        if (inet_pton(AF_INET, cases[i].address, &v4.sin_addr) == 1) {
            memcpy(&s, &v4, sizeof(v4));
        } else {
            EXPECT_EQ(inet_pton(AF_INET6, cases[i].address, &v6.sin6_addr), 1);
            memcpy(&s, &v6, sizeof(v6));
        }
        ck_assert_msg(post_address_is_public((struct sockaddr *)&s) == cases[i].is_public, "%s: %s",
                      cases[i].address, cases[i].why);
    }
    const struct sockaddr local = {.sa_family = AF_UNIX};
    EXPECT(!post_address_is_public(&local));
}

TEST(post_takes_http_and_https_addresses_only)
{
    static const struct {
        const char *url;
        bool is_valid;
    } cases[] = {
        {"https://example.org/hooks?a=b", true},
        {"http://127.0.0.1:8000", true},
        {"http://[::1]:8000/x", true},
        {"HTTPS://example.org", true},
        {"", false},
        {"example.org", false},
        {"/hooks", false},
        {"http://", false},
        {"ftp://example.org/", false},
        {"file:///etc/passwd", false},
        {"gopher://example.org/", false},
        {"javascript:alert(1)", false},
        {"http://example.org/a b", false},
        {"http://example.org/\r\nX: y", false},
        {"http://example.org/\"", false},
        {"http://example.org:99999/", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(post_url_is_valid(str_of(cases[i].url)) == cases[i].is_valid, "%s",
                      cases[i].url);
    char *text = mem_zalloc(POST_MAX_URL_BYTES + 2);
    memset(text, 'a', POST_MAX_URL_BYTES + 1);
    memcpy(text, "http://a/", 9);
    EXPECT(!post_url_is_valid(str_of(text)));
    text[POST_MAX_URL_BYTES] = '\0';
    EXPECT(post_url_is_valid(str_of(text)));
    mem_free(text);
}
