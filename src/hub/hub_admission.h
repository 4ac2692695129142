/* hub_admission.h -- who may connect: origins, and how many connections there are. For the hub's
 * own files. */
#ifndef HUB_ADMISSION_H
#define HUB_ADMISSION_H

#include "hub/hub_internal.h"

/* Why a connection is refused: a code of the protocol and its text; code 0: it is not. */
struct hub_refusal {
    int code;
    struct str why;
};

/* Does an Origin field (RFC 6454; at NULL: absent) fit the app's list? Its host is compared, scheme
 * and port are not, as Reverb does. */
bool hub_admission_allows_origin(const struct hub_app *app, struct str origin);

/* The address that connections are counted by: an IPv6 one by its first 64 bits, which one customer
 * has. */
enum { HUB_ADMISSION_ADDRESS_BYTES = 48 };
void hub_admission_address(const char *peer, char out[static HUB_ADMISSION_ADDRESS_BYTES]);

struct hub_admissions;
struct hub_admissions *hub_admission_new(void);
void hub_admission_free(struct hub_admissions *a);

/* A connection that is counted; it stays so until it leaves. */
struct hub_admitted {
    struct hub_counted_address *address; // NULL: its address is not counted
    bool is_counted;
};

/* Counts a new connection, over all hubs, or says why it may not come. Any loop. */
struct hub_refusal hub_admission_enter(struct hub_admissions *a, const struct hub_app *app,
                                       const char *address, struct hub_admitted *out);
void hub_admission_leave(struct hub_admissions *a, const struct hub_app *app,
                         const struct hub_admitted *admitted);
/* Open connections of the app, over all hubs. Any thread. */
int64_t hub_admission_count(const struct hub_admissions *a, const struct hub_app *app);

#endif
