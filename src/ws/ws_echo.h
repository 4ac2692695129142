/* ws_echo.h -- a WebSocket that sends back what it gets, for test suites of the protocol. */
#ifndef WS_ECHO_H
#define WS_ECHO_H

#include "http/http.h"

enum { WS_ECHO_MAX_MESSAGE_BYTES = 16 * 1024 * 1024 };

/* Route handler: answers the handshake, then echoes texts and binaries of up to
 * WS_ECHO_MAX_MESSAGE_BYTES. ctx is not used. Long messages pass through, in fragments. */
void ws_echo_handle(struct http_exchange *x, void *ctx);

#endif
