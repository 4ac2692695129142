/* civic_voting.h -- a single-choice voting about a proposal, with live results.
 *
 *     SCHEDULED -- opens_at --> OPEN -- closes_at --> CLOSED      (by the clock of the transaction)
 *
 * A ballot counts when opens_at <= time of its transaction < closes_at. It may be changed until
 * then; one per person (a primary key). Nothing else of a voting changes once it exists.
 */
#ifndef CIVIC_VOTING_H
#define CIVIC_VOTING_H

#include "civic/civic_proposal.h"

enum civic_voting_state { CIVIC_VOTING_SCHEDULED, CIVIC_VOTING_OPEN, CIVIC_VOTING_CLOSED };
enum { CIVIC_VOTING_MAX_OPTIONS = 20 };

struct civic_voting_option {
    int64_t id;
    struct str title;
    int64_t votes;
    int percent; // of voters, rounded
};

struct civic_voting {
    int64_t id, proposal_id;
    struct str title, text;
    enum civic_voting_state state;
    int64_t opens_at_ms, closes_at_ms;
    int64_t voters;
    struct civic_voting_option options[CIVIC_VOTING_MAX_OPTIONS];
    size_t option_count;
    bool is_members_only;
    int64_t ballot; // the option chosen by the actor who asked; 0: none
};

struct civic_voting_new {
    int64_t proposal_id;
    struct str title, text;
    int64_t opens_at_ms, closes_at_ms;
    struct str options[CIVIC_VOTING_MAX_OPTIONS];
    size_t option_count;
};

/* For seeds and organisers' tools. ERR_CONFLICT: the proposal has one, or the times are the wrong
 * way round. */
MUST_USE enum err civic_voting_create(struct store_tx *tx, const struct civic_voting_new *voting,
                                      int64_t *id_out);

/* ERR_NOT_FOUND; ERR_DENIED "members-only". */
MUST_USE enum err civic_voting_get(struct store_tx *tx, const struct civic_actor *actor, int64_t id,
                                   struct arena *a, struct civic_voting *out, const char **why_out);

struct civic_voting_list {
    struct civic_voting *items; // without options and ballot
    size_t count;
};

/* Up to max (1 to CIVIC_MAX_LIMIT) of the newest votings that the actor may see: what is open
 * first, the one that closes soonest at the top; then what is still to open; then what is closed.
 */
MUST_USE enum err civic_voting_list(struct store_tx *tx, const struct civic_actor *actor,
                                    size_t max, struct arena *a, struct civic_voting_list *out);

/* For jobs: reads without asking who may. ERR_NOT_FOUND. */
MUST_USE enum err civic_voting_find(struct store_tx *tx, int64_t id, struct arena *a,
                                    struct civic_voting *out);

/* Casts or changes the actor's ballot. *is_new_out: it is the first. ERR_NOT_FOUND; ERR_DENIED;
 * ERR_CONFLICT "voting-not-open", "voting-closed"; ERR_INVALID "unknown-option". */
MUST_USE enum err civic_voting_cast(struct store_tx *tx, const struct civic_actor *actor,
                                    int64_t id, int64_t option_id, bool *is_new_out,
                                    const char **why_out);

const char *civic_voting_state_name(enum civic_voting_state state);

/* "voting.3" or "private-voting.3" */
struct str civic_voting_channel(int64_t id, bool is_members_only, struct arena *a);

#endif
