/* fuzz_http_proxy.c -- whatever a trusted proxy sends, the client is an address in its one
 * spelling; a client that is no proxy stays the client whatever stands further left; and who is not
 * trusted is believed nothing. The first line of the input is the list of networks. */
#include <arpa/inet.h>

#include "core/check.h"
#include "http/http_proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_spelling(const char *peer)
{
    unsigned char bytes[16];
    char text[46];
    int family = strchr(peer, ':') ? AF_INET6 : AF_INET;
    CHECK(inet_pton(family, peer, bytes) == 1);
    CHECK(inet_ntop(family, bytes, text, sizeof(text)) && strcmp(text, peer) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_proxy p;
    struct str value, bad, nets = str_cut((struct str){(const char *)data, size}, '\n', &value);
    if (http_proxy_parse(nets, &p, &bad))
        return 0;
    CHECK(p.count <= HTTP_PROXY_MAX_NETS);

    struct http_exchange x = {.peer = "10.0.0.1"};
    x.req.fields[x.req.field_count++] = (struct http_field){STR("X-Forwarded-For"), value};
    http_proxy_look_behind(&p, &x);
    check_spelling(x.peer);
    if (!http_proxy_trusts(&p, STR("10.0.0.1")))
        CHECK(strcmp(x.peer, "10.0.0.1") == 0);

    // What stands further left changes nothing once the client is found.
    char longer[4096];
    if (strcmp(x.peer, "10.0.0.1") == 0 || http_proxy_trusts(&p, str_of(x.peer)) ||
        value.len > sizeof(longer) - 8)
        return 0;
    memcpy(longer, "forged, ", 8);
    memcpy(longer + 8, value.at, value.len);
    struct http_exchange y = {.peer = "10.0.0.1"};
    y.req.fields[y.req.field_count++] =
        (struct http_field){STR("X-Forwarded-For"), {longer, value.len + 8}};
    http_proxy_look_behind(&p, &y);
    CHECK(strcmp(x.peer, y.peer) == 0);
    return 0;
}
