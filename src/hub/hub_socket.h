/* hub_socket.h -- one client of the hub. For the hub's own files. */
#ifndef HUB_SOCKET_H
#define HUB_SOCKET_H

#include "core/buf.h"
#include "hub/hub_admission.h"
#include "hub/hub_channel.h"
#include "hub/hub_internal.h"
#include "hub/hub_limit.h"
#include "hub/hub_transport.h"

enum { HUB_SOCKET_ID_BYTES = 22 }; // two numbers up to 10^9, a dot and a NUL

/* Error codes of the protocol that several files send. */
enum {
    HUB_ERROR_NO_APP = 4001,
    HUB_ERROR_DISABLED = 4003,
    HUB_ERROR_QUOTA = 4004,
    HUB_ERROR_BAD_PROTOCOL = 4006,
    HUB_ERROR_OTHER_PROTOCOL = 4007,
    HUB_ERROR_NO_PROTOCOL = 4008,
    HUB_ERROR_UNAUTHORIZED = 4009,
    HUB_ERROR_OVER_CAPACITY = 4100, // pusher-js comes back after a second
    HUB_ERROR_RECONNECT = 4200,
    HUB_ERROR_NO_PONG = 4201,
    HUB_ERROR_CLIENT_EVENT = 4301,
    HUB_ERROR_WATCHLIST = 4302,
};

/* What it sent within the windows of its app's limits. */
struct hub_limits {
    struct hub_limit messages, client_events;
};

struct hub_user;

struct hub_socket {
    const struct hub_transport *transport;
    bool takes_deflated;      // compressed frames with a window of 32 KiB (permessage-deflate)
    bool is_counted;          // by hub_admission
    bool is_pinged;           // and silent since
    bool uses_control_frames; // so it is pinged by one: clients that know no pusher:ping do
    bool is_authorized;       // signed in, or on a channel that needs a signature
    bool is_closing;          // it was told why
    char id[HUB_SOCKET_ID_BYTES];
    uint8_t address[16]; // of the client, as hub_admission_address has it; zero: unknown
    uint32_t subscription_count;
    uint32_t waiting_count; // answers of channels' owners that are owed to it
    uint32_t last_ticket;
    struct list node; // in hub->sockets or hub->stopping
    struct hub *hub;
    struct hub_tenant *tenant;              // NULL: was refused
    struct hub_subscription *subscriptions; // newest first
    int64_t opened_at_ms;                   // of clock_unix_ms
    int64_t active_at_ms;                   // when it last said something
    int64_t authorize_by_ms;                // 0: it need not
    struct hub_user *user;                  // NULL: did not sign in
    struct hub_limits *limits;              // NULL: no message was counted yet
    struct hub_counted_address *counted_address;
};

/* ---- of the transports ---- */

/* Puts the socket into the hub; tenant NULL: it is about to be refused. The transport is ready to
 * send. */
void hub_socket_init(struct hub_socket *s, const struct hub_transport *transport, struct hub *h,
                     struct hub_tenant *tenant);
/* Gives it an id and greets it. */
struct hub_hello {
    bool is_pusher_js;   // it understands pusher:ping
    const char *address; // of hub_admission_address; NULL: unknown
    struct hub_admitted admitted;
};
void hub_socket_open(struct hub_socket *s, const struct hub_hello *hello);
/* A message of the client. */
void hub_socket_receive(struct hub_socket *s, struct str text);
/* A ping or pong of the client's WebSocket code. */
void hub_socket_on_control(struct hub_socket *s);
void hub_socket_on_timer(struct hub_socket *s);
/* The connection is gone: leaves all channels and the hub. The transport frees it then. */
void hub_socket_done(struct hub_socket *s);

/* ---- of the hub ---- */

/* NULL: no such socket on this hub. */
struct hub_socket *hub_socket_find(const struct hub *h, struct str id);
/* NULL: it is not on the channel. */
struct hub_subscription *hub_socket_find_subscription(const struct hub_socket *s,
                                                      const struct hub_channel *c);
struct hub_subscription *hub_socket_find_by_name(const struct hub_socket *s, struct str channel);

/* It reads too slowly: it is told, and let go. */
void hub_socket_cut_off(struct hub_socket *s);
/* Sends whole frames, or a text. A socket that reads too slowly for them is cut off. */
void hub_socket_send_frames(struct hub_socket *s, const void *frames, size_t len);
void hub_socket_send_text(struct hub_socket *s, struct str text);

/* Room for any one protocol message: a text of the client's may come back, escaped. */
void hub_socket_init_out(const struct hub_socket *s, struct buf *out);
/* Sends what was written there, and frees it. */
void hub_socket_send_out(struct hub_socket *s, struct buf *out);

void hub_socket_send_error(struct hub_socket *s, int code, struct str why);
/* "Invalid message format". */
void hub_socket_send_bad_message(struct hub_socket *s);

/* Its client's address, in out; empty: unknown. */
const char *hub_socket_address(const struct hub_socket *s,
                               char out[static HUB_ADMISSION_ADDRESS_BYTES]);

/* Counts of the socket's limits, made when asked for. */
struct hub_limits *hub_socket_limits(struct hub_socket *s);

/* Sends pusher:error with the code, then closes with it. */
void hub_socket_close(struct hub_socket *s, int code, struct str why);

#endif
