/* api_once.h -- a request with an Idempotency-Key is done once and answered as often as it comes.
 */
#ifndef API_ONCE_H
#define API_ONCE_H

#include "api/api.h"

struct api_once {
    struct str key; // empty: the header is not there, and the rest does nothing
    struct str hash;
};

/* 400 when the key is not 1 to 255 visible ASCII characters. */
MUST_USE enum err api_once_decode(struct api_call *call, struct api_once *out);

/* Answers again what was answered, with Idempotent-Replayed: true, and says so; 422
 * "idempotency-mismatch". */
MUST_USE enum err api_once_replay(struct store_tx *tx, struct api_call *call,
                                  const struct api_once *once, bool *is_replay_out);

/* Keeps the answer: status, location and body of the call. */
MUST_USE enum err api_once_keep(struct store_tx *tx, struct api_call *call,
                                const struct api_once *once, struct str location);

#endif
