/* ws_offer.h -- what a client offers in Sec-WebSocket-Extensions (RFC 6455 §9.1) and what of it we
 * take: permessage-deflate (RFC 7692 §7.1), the first offer that we can honour. Pure functions.
 *
 * No context is taken over, in either direction, so the answer always has
 * server_no_context_takeover and client_no_context_takeover. client_max_window_bits is never
 * answered: every window of a client's is inflated. A server_max_window_bits is honoured exactly, 8
 * too: see ws_deflate.
 */
#ifndef WS_OFFER_H
#define WS_OFFER_H

#include "http/http.h"

enum { WS_OFFER_MIN_WINDOW_BITS = 8, WS_OFFER_MAX_WINDOW_BITS = 15 };

struct ws_offer {
    int window_bits;      // the window that we may use in what we send
    bool is_window_asked; // so the answer must name it
};

/* Reads all fields of that name and gives the first offer that can be honoured. ERR_NOT_FOUND:
 * there is none. ERR_INVALID: a field breaks the grammar, and the handshake fails. */
MUST_USE enum err ws_offer_choose(const struct http_request *req, struct ws_offer *out);

/* The whole field line of the answer, with its CRLF. */
enum { WS_OFFER_ANSWER_BYTES = 160 }; // with a NUL
void ws_offer_answer(const struct ws_offer *o, char out[static WS_OFFER_ANSWER_BYTES]);

#endif
