/* civic_support.h -- signatures under a proposal: one per person (a primary key), which may be
 * withdrawn. */
#ifndef CIVIC_SUPPORT_H
#define CIVIC_SUPPORT_H

#include "civic/civic_proposal.h"

struct civic_support {
    int64_t number; // of the actor's signature: given once, in order of signing; 0 when withdrawn
    bool is_new;    // this call signed (or withdrew)
    int64_t support_count; // after it
    int64_t threshold;
    enum civic_proposal_state state;
};

/* Signs; signing again changes nothing. Errors of civic_proposal_enter. */
MUST_USE enum err civic_support_sign(struct store_tx *tx, const struct civic_actor *actor,
                                     int64_t proposal_id, struct civic_support *out,
                                     const char **why_out);

/* Takes the signature back; OK when there is none. Errors of civic_proposal_enter. */
MUST_USE enum err civic_support_withdraw(struct store_tx *tx, const struct civic_actor *actor,
                                         int64_t proposal_id, struct civic_support *out,
                                         const char **why_out);

#endif
