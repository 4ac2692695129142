/* ws_close.h -- the payload of a close frame (RFC 6455, sections 5.5.1 and 7.4): pure functions. */
#ifndef WS_CLOSE_H
#define WS_CLOSE_H

#include "core/str.h"
#include "ws/ws_frame.h"

enum {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_NO_CODE = 1005, // never on the wire: the payload was empty
    WS_CLOSE_INVALID = 1007,
    WS_CLOSE_TOO_LARGE = 1009,
};

struct ws_close {
    int code;
    struct str reason; // borrowed from the payload
};

/* ERR_PROTOCOL: one byte only, or a code that may not be sent. ERR_INVALID: the reason is not
 * UTF-8. */
MUST_USE enum err ws_close_parse(struct str payload, struct ws_close *out);

/* Writes the payload, the reason cut to what fits, and returns its bytes. */
size_t ws_close_write(const struct ws_close *close, uint8_t out[static WS_FRAME_MAX_CONTROL_BYTES]);

#endif
