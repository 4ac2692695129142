/* app_listen.h -- where we listen: the addresses of --listen, each in clear or under TLS, and the
 * certificate. The operator's thread.
 *
 * A certificate that is loaded does not change; a reload makes a new one, which the loops take for
 * the connections that come after it. Those that are open keep the old one until they end.
 */
#ifndef APP_LISTEN_H
#define APP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "app/app.h"
#include "core/str.h"
#include "io/io_tls.h"

enum { APP_LISTEN_MAX = 8, APP_LISTEN_MAX_LOOPS = 64 };

struct app_listen {
    const struct app_options *options;
    struct {
        struct str address;            // "0.0.0.0:8443"
        bool is_tls;                   // was written as "tls://0.0.0.0:8443"
        int port;                      // that it got
        int fds[APP_LISTEN_MAX_LOOPS]; // one for each loop, which takes it and leaves -1
    } at[APP_LISTEN_MAX];
    size_t count;
    int loops;
    SSL_CTX *certificate; // NULL: no address is under TLS
};

/* Are the addresses of the options written as such, and not too many? ERR_INVALID, with why_out. */
MUST_USE enum err app_listen_check(const struct app_options *options, char *why_out,
                                   size_t why_cap);
/* Reads the options, opens a socket for each address and loop, loads the certificate. On failure
 * why_out has a sentence, and app_listen_done is called all the same. Errors of io_listener_open
 * and io_tls_load; ERR_INVALID: the options do not fit together. */
MUST_USE enum err app_listen_open(struct app_listen *l, const struct app_options *options,
                                  int loops, char *why_out, size_t why_cap);
/* Reads the files again. True: l->certificate is a new one. False: there is none, or it cannot be
 * used; that is logged and the old one stays. */
bool app_listen_reload(struct app_listen *l);
/* "8080,8443" */
void app_listen_ports(const struct app_listen *l, char *out, size_t cap);
void app_listen_done(struct app_listen *l);

#endif
