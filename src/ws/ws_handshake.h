/* ws_handshake.h -- the opening handshake, server side (RFC 6455, section 4.2). */
#ifndef WS_HANDSHAKE_H
#define WS_HANDSHAKE_H

#include "http/http.h"

enum { WS_HANDSHAKE_ACCEPT_BYTES = 29 }; // base64 of a SHA-1, and a NUL

/* Is it a correct request to open a WebSocket? Gives the status to refuse it with: 0 (it is),
 * 426 (no WebSocket, or a version other than 13) or 400 (extensions that break the grammar too). */
int ws_handshake_check(const struct http_request *req);

/* Writes the Sec-WebSocket-Accept value for a client's Sec-WebSocket-Key. */
void ws_handshake_accept_value(struct str key, char out[static WS_HANDSHAKE_ACCEPT_BYTES]);

struct ws_upgrade {
    struct buf early; // bytes that came behind the request; the caller frees it
    int window_bits;  // for ws_conn_use_deflate; 0: permessage-deflate was not agreed to
};

/* Checks the request and answers it: 101 (with fields, whole lines ending in CRLF, added) or a
 * refusal. Returns the connection, ready for ws_conn_init; or NULL when it was refused or the
 * client is gone. The exchange is gone in any case. may_compress: agree to permessage-deflate when
 * the client offers it. No other extension and no subprotocol is ever agreed to. */
struct io_conn *ws_handshake_upgrade(struct http_exchange *x, const char *fields, bool may_compress,
                                     struct ws_upgrade *out);

#endif
