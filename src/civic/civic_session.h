/* civic_session.h -- who is logged in: a random token of 256 bits, of which only the SHA-256 is
 * stored.
 *
 * A session ends a fixed time after login (civic_options.session_ms) or at logout. Its row is read
 * in the transaction it authorises.
 */
#ifndef CIVIC_SESSION_H
#define CIVIC_SESSION_H

#include "civic/civic_user.h"

MUST_USE enum err civic_session_create(struct store_tx *tx, int64_t user_id, struct str token_hash,
                                       int64_t lasts_ms);

/* The person of a session that has not ended. ERR_NOT_FOUND: there is none. */
MUST_USE enum err civic_session_find(struct store_tx *tx, struct str token_hash, struct arena *a,
                                     struct civic_user *out);

/* Ends it; OK when it had ended before. */
MUST_USE enum err civic_session_end(struct store_tx *tx, struct str token_hash);

/* Removes up to limit ended sessions; *count_out: how many. */
MUST_USE enum err civic_session_prune(struct store_tx *tx, int64_t limit, int64_t *count_out);

#endif
