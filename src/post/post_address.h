/* post_address.h -- which addresses are anybody's, and which are of a network of our own. */
#ifndef POST_ADDRESS_H
#define POST_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Is it an address of the public Internet? Not: loopback, private, link-local, shared (CGNAT),
 * multicast, reserved, documentation (IANA's special-purpose registries), and IPv6 addresses that
 * hold such an IPv4 address (mapped, NAT64, 6to4). Other families are not public. */
bool post_address_is_public(const struct sockaddr *address);

#endif
