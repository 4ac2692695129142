/* hub_auth.h -- HMAC-SHA256 signatures of subscriptions and of REST calls. Any thread. */
#ifndef HUB_AUTH_H
#define HUB_AUTH_H

#include "core/arena.h"
#include "core/str.h"
#include "hub/hub_app.h"

enum { HUB_AUTH_BYTES = HUB_APP_MAX_KEY_BYTES + 1 + 64 + 1 }; // "key:hex" and a NUL

/* Signs a subscription of that socket to that channel: writes "key:hex" and a NUL. channel_data is
 * signed byte for byte as it will be sent; an empty str when there is none. */
void hub_auth_sign_channel(struct str secret, struct str key, struct str socket_id,
                           struct str channel, struct str channel_data,
                           char out[static HUB_AUTH_BYTES]);

/* Is auth the signature of that subscription, key part included? Constant time. */
bool hub_auth_channel_is_valid(const struct hub_app *app, struct str socket_id, struct str channel,
                               struct str channel_data, struct str auth);

/* Is auth the signature of that socket's sign-in with user_data, key part included? Constant time.
 */
bool hub_auth_user_is_valid(const struct hub_app *app, struct str socket_id, struct str user_data,
                            struct str auth);

/* Two numbers joined by a dot. Sign nothing for anything else: the parts of what is signed are
 * joined by colons, so a forged socket id could make one subscription look like another. */
bool hub_auth_is_socket_id(struct str s);

/* A REST call as it came. */
struct hub_auth_call {
    struct str method; // "POST"
    struct str path;   // percent-encoded as sent
    struct str query;
    struct str body;
};

/* Checks auth_key, auth_version, auth_timestamp (against now_s) and auth_signature; body_md5 is
 * computed from the body. ERR_DENIED, with a sentence for the caller in *why_out (static). */
MUST_USE enum err hub_auth_check_call(const struct hub_app *app, const struct hub_auth_call *call,
                                      int64_t now_s, struct arena *a, const char **why_out);

#endif
