/* ws_handshake.h -- the opening handshake, server side (RFC 6455, section 4.2). */
#ifndef WS_HANDSHAKE_H
#define WS_HANDSHAKE_H

#include "http/http.h"

enum { WS_HANDSHAKE_ACCEPT_BYTES = 29 }; // base64 of a SHA-1, and a NUL

/* Is it a correct request to open a WebSocket? Gives the status to refuse it with: 0 (it is),
 * 426 (no WebSocket, or a version other than 13) or 400. */
int ws_handshake_check(const struct http_request *req);

/* Writes the Sec-WebSocket-Accept value for a client's Sec-WebSocket-Key. */
void ws_handshake_accept_value(struct str key, char out[static WS_HANDSHAKE_ACCEPT_BYTES]);

/* Checks the request and answers it: 101 (with fields, whole lines ending in CRLF, added) or a
 * refusal. Returns the connection, ready for ws_conn_init, with the bytes that came behind the
 * request in *early, which the caller frees; or NULL when it was refused or the client is gone. The
 * exchange is gone in any case. No extension and no subprotocol is ever agreed to. */
struct io_conn *ws_handshake_upgrade(struct http_exchange *x, const char *fields,
                                     struct buf *early);

#endif
