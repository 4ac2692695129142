/* load_ws.h -- one WebSocket subscriber of a load generator, speaking the Pusher protocol.
 *
 *     OPENING -- 101 and connection_established --> SUBSCRIBING -- subscription_succeeded --> READY
 *
 * With TLS a handshake comes first. Frames are not inflated: what counts is how many bytes came.
 *
 * Frames are walked in the read buffer; only the part of a frame that was cut off is kept, so ten
 * thousand subscribers cost the generator little.
 */
#ifndef LOAD_WS_H
#define LOAD_WS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum load_ws_state { LOAD_WS_OPENING, LOAD_WS_SUBSCRIBING, LOAD_WS_READY };

struct load_ws {
    int fd;
    SSL *tls; // NULL: in clear
    enum load_ws_state state;
    char *rest; // the beginning of a frame (or of the handshake's answer) that is not whole yet
    size_t rest_len;
    const char *channel; // what it subscribes to; load_ws_open sets the target's
    uint64_t events;     // of the channel that came
};

struct load_ws_target {
    int port;
    const char *path; // "/app/KEY?protocol=7&client=bench"
    const char *channel;
    const char *key, *secret; // sign the subscription; secret NULL: a public channel
    SSL_CTX *tls;             // NULL: in clear
    bool offers_deflate;      // permessage-deflate
};

/* One event that was published to the channel; text is the frame's payload, not terminated. */
typedef void load_ws_event_fn(void *ctx, struct load_ws *ws, const char *text, size_t len);

void load_ws_open(struct load_ws *ws, const struct load_ws_target *target);

/* Reads once what has come and answers what the protocol asks for. on_event sees the events of the
 * channel. The number of bytes read; 0: nothing was there. Dies when the server closes. */
size_t load_ws_read(struct load_ws *ws, const struct load_ws_target *target,
                    load_ws_event_fn *on_event, void *ctx);

void load_ws_close(struct load_ws *ws);

#endif
