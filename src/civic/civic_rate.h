/* civic_rate.h -- how often something may be done: per account, per e-mail address, per network
 * address.
 *
 * The generic cell rate algorithm: one time per key, "when the bucket will be empty again", in a
 * table of fixed size. The table is memory only: a restart forgives, and an attack costs no write
 * to the disk. When a set of four places is full, the one that forgives first gives way. A cache
 * with a mutex, held for some 50 ns.
 */
#ifndef CIVIC_RATE_H
#define CIVIC_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"

struct civic_rate;

enum civic_rate_kind {
    CIVIC_RATE_COMMENT,
    CIVIC_RATE_PROPOSAL,
    CIVIC_RATE_SUPPORT,
    CIVIC_RATE_COMMENT_VOTE,
    CIVIC_RATE_BALLOT,
    CIVIC_RATE_FOLLOW,
    CIVIC_RATE_READ_MARK,
    CIVIC_RATE_REGISTER,    // per network address
    CIVIC_RATE_LOGIN_PAIR,  // failed logins for an e-mail from a network address
    CIVIC_RATE_LOGIN_EMAIL, // from all addresses: far more, so that nobody is locked out by others
    CIVIC_RATE_LOGIN_ADDRESS, // for all e-mails
    CIVIC_RATE_COUNT
};

/* is_limited false: everything is allowed. */
struct civic_rate *civic_rate_new(bool is_limited);
void civic_rate_free(struct civic_rate *r);

/* Counts one use of kind by key. Returns 0, or in how many milliseconds it will be allowed (then it
 * is not counted). Any thread. */
int64_t civic_rate_take(struct civic_rate *r, enum civic_rate_kind kind, struct str key);
int64_t civic_rate_take_id(struct civic_rate *r, enum civic_rate_kind kind, int64_t id);

/* Takes one use back: for what counts only when it fails, but is counted before it is tried, so
 * that many at the same time are not too many. */
void civic_rate_give_back(struct civic_rate *r, enum civic_rate_kind kind, struct str key);

#endif
