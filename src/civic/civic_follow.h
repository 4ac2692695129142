/* civic_follow.h -- who wants to know what happens with a proposal. */
#ifndef CIVIC_FOLLOW_H
#define CIVIC_FOLLOW_H

#include "civic/civic_proposal.h"

/* Follows, or stops; doing it again changes nothing. Errors of civic_proposal_enter. */
MUST_USE enum err civic_follow_set(struct store_tx *tx, const struct civic_actor *actor,
                                   int64_t proposal_id, bool is_following, const char **why_out);

/* Followers after the user of that id, in order of ids, who may still read the proposal, up to cap.
 */
MUST_USE enum err civic_follow_list(struct store_tx *tx, int64_t proposal_id, int64_t after_user_id,
                                    int64_t *ids, size_t cap, size_t *count_out);

#endif
