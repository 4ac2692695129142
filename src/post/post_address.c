#include "post/post_address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct block {
    uint8_t bytes[16];
    int bits;
};

/* https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast */
static const struct block closed_v4[] = {
    {{0}, 8},             // this network
    {{10}, 8},            // private
    {{100, 64}, 10},      // shared: CGNAT
    {{127}, 8},           // loopback
    {{169, 254}, 16},     // link-local: metadata of clouds
    {{172, 16}, 12},      // private
    {{192, 0, 0}, 24},    // protocol assignments
    {{192, 0, 2}, 24},    // documentation
    {{192, 88, 99}, 24},  // 6to4 relays
    {{192, 168}, 16},     // private
    {{198, 18}, 15},      // benchmarks
    {{198, 51, 100}, 24}, // documentation
    {{203, 0, 113}, 24},  // documentation
    {{224}, 4},           // multicast
    {{240}, 4},           // reserved, broadcast
};

/* Inside 2000::/3, the only part of IPv6 that is given out. */
static const struct block closed_v6[] = {
    {{0x20, 0x01, 0x00}, 23},       // protocol assignments, Teredo
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, // documentation
    {{0x3f, 0xff, 0x00}, 20},       // documentation
};

static const struct block global_v6 = {{0x20}, 3};

/* IPv6 addresses that stand for an IPv4 address. */
static const struct {
    struct block block;
    size_t at; // of the IPv4 address
} holders[] = {
    {{{[10] = 0xff, [11] = 0xff}, 96}, 12}, // ::ffff:0:0, mapped
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},   // 64:ff9b::, NAT64
    {{{0x20, 0x02}, 16}, 2},                // 2002::, 6to4
};

static bool is_in(const uint8_t *address, const struct block *block)
{
    int whole = block->bits / 8, rest = block->bits % 8;
    if (memcmp(address, block->bytes, (size_t)whole) != 0)
        return false;
    return rest == 0 || ((address[whole] ^ block->bytes[whole]) >> (8 - rest)) == 0;
}

static bool is_in_any(const uint8_t *address, const struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(address, &blocks[i]))
            return true;
    return false;
}

static bool is_public_v4(const uint8_t *address)
{
    return !is_in_any(address, closed_v4, sizeof(closed_v4) / sizeof(closed_v4[0]));
}

static bool is_public_v6(const uint8_t *address)
{
    for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++)
        if (is_in(address, &holders[i].block))
            return is_public_v4(address + holders[i].at);
    return is_in(address, &global_v6) &&
           !is_in_any(address, closed_v6, sizeof(closed_v6) / sizeof(closed_v6[0]));
}

bool post_address_is_public(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    switch (address->sa_family) {
    case AF_INET:
        memcpy(&v4, address, sizeof(v4));
        return is_public_v4((const uint8_t *)&v4.sin_addr);
    case AF_INET6:
        memcpy(&v6, address, sizeof(v6));
        return is_public_v6(v6.sin6_addr.s6_addr);
    default:
        return false;
    }
}
