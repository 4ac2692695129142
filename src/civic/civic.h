/* civic.h -- the product: people, proposals, signatures, comments, votings, follows, notifications.
 *
 * One file an aggregate. Its functions take a transaction (store_tx) and an actor, check the rules
 * with the rows of that same transaction and write; what should happen afterwards is a job enqueued
 * in it (civic_jobs). Nothing here knows HTTP. Rows read go into the caller's arena; JSON is made
 * by civic_view.
 *
 *     actor, input -> civic_text, civic_policy -> rows + counter + job -> (commit) -> civic_jobs ->
 * announcer
 *
 * A refusal is an enum err and, through the last parameter, a static code that names the rule
 * ("proposal-closed"): problem types and the locales (problem.CODE) use the same words.
 *     ERR_NOT_FOUND   no such thing                    ERR_DENIED    civic_policy says no
 *     ERR_CONFLICT    the state of things says no      ERR_INVALID   the input does not fit the
 * rows
 *
 * Roles come from the one community: who registers is a "user", who belongs to the town is made
 * a "member" by an organiser (viche user add --role member). What is for members only is neither
 * shown to others nor announced on public channels.
 */
#ifndef CIVIC_H
#define CIVIC_H

#include "civic/civic_policy.h"
#include "core/str.h"

struct civic_rate;

struct civic_options {
    bool is_limited;    // rate limits hold; false for benchmarks only
    int64_t session_ms; // a session ends this long after login
    int64_t threshold;  // signatures that a new proposal needs
    int64_t support_ms; // how long a new proposal can be signed and discussed
};

extern const struct civic_options civic_default_options;

/* One per process, read-only but for its rate limits, which any thread may use. */
struct civic {
    struct civic_options options;
    struct civic_rate *rate;
};

/* options may be NULL: the defaults. */
struct civic *civic_new(const struct civic_options *options);
void civic_free(struct civic *c);

/* Who acts. id 0: a visitor. */
struct civic_actor {
    int64_t id;
    enum civic_role role;
    struct str name;
};

/* A person as others see them. */
struct civic_person {
    int64_t id;
    struct str name;
};

enum {
    CIVIC_MAX_LIMIT = 100, // items in a list
    CIVIC_DEFAULT_LIMIT = 20,
};

#endif
