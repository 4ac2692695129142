/* civic_idempotency.h -- answers kept for a day, so that a request repeated with the same
 * Idempotency-Key is answered again and not done again.
 *
 * The answer is written in the transaction it answers for. Keys belong to a user. Two requests with
 * one key at the same time: the writer takes them one after the other, the second one is a replay.
 */
#ifndef CIVIC_IDEMPOTENCY_H
#define CIVIC_IDEMPOTENCY_H

#include "core/arena.h"
#include "store/store.h"

enum { CIVIC_IDEMPOTENCY_MAX_KEY_BYTES = 255 };

struct civic_answer {
    int status;
    struct str location, body;
};

/* ERR_NOT_FOUND: the key is new. ERR_INVALID: it was used with another request_hash (32 bytes). */
MUST_USE enum err civic_idempotency_find(struct store_tx *tx, int64_t user_id, struct str key,
                                         struct str request_hash, struct arena *a,
                                         struct civic_answer *out);

MUST_USE enum err civic_idempotency_keep(struct store_tx *tx, int64_t user_id, struct str key,
                                         struct str request_hash,
                                         const struct civic_answer *answer);

/* Removes up to limit answers older than a day; *count_out: how many. */
MUST_USE enum err civic_idempotency_prune(struct store_tx *tx, int64_t limit, int64_t *count_out);

#endif
