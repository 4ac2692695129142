/* http_proxy.h -- who a request comes from when proxies of ours stand before the server.
 *
 *     client --> proxy 10.0.0.2 --> proxy 10.0.0.1 --> we
 *     X-Forwarded-For: forged, CLIENT, 10.0.0.2                  the peer is 10.0.0.1
 *
 * Each proxy adds, at the right, the address that it was spoken to from. So the list is read from
 * the right, as long as who wrote the entry is trusted: the first address that is not one of ours
 * is the client's, and what it claims further left is not looked at. Only what a trusted peer sends
 * is read at all; a list with rubbish on the way leaves the peer.
 */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

#include "http/http.h"

enum { HTTP_PROXY_MAX_NETS = 32, HTTP_PROXY_ADDRESS_BYTES = 16 };

/* Networks of trusted proxies; all zero: there is none. */
struct http_proxy {
    struct {
        uint8_t address[HTTP_PROXY_ADDRESS_BYTES]; // IPv4 as in ::ffff:0:0/96
        int prefix_bits;                           // of the 128
    } nets[HTTP_PROXY_MAX_NETS];
    size_t count;
};

/* Reads "10.0.0.1, 192.168.0.0/16, fd00::/8"; may be empty. ERR_INVALID: *bad_out is what is no
 * address or network, or the first that is one too many. */
MUST_USE enum err http_proxy_parse(struct str list, struct http_proxy *out, struct str *bad_out);

/* Whether the address is one of a trusted proxy. */
bool http_proxy_trusts(const struct http_proxy *p, struct str address);

/* When x->peer is a trusted proxy, sets x->peer to the client's address and x->is_https by the last
 * X-Forwarded-Proto, if there is one. */
void http_proxy_look_behind(const struct http_proxy *p, struct http_exchange *x);

#endif
