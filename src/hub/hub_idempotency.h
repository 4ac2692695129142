/* hub_idempotency.h -- which keys of publishing were used lately: a backend that does not know
 * whether its call arrived makes it again with the same key, and the event is delivered once.
 *
 * A key counts for its channel and HUB_IDEMPOTENCY_MS. Of the last HUB_IDEMPOTENCY_MAX_KEYS a
 * digest is kept, the oldest goes first: some 13 MiB at most, nothing when no keys are used. A pure
 * data structure of the channels' owner.
 */
#ifndef HUB_IDEMPOTENCY_H
#define HUB_IDEMPOTENCY_H

#include "core/list.h"
#include "core/map.h"

enum { HUB_IDEMPOTENCY_MS = 120000, HUB_IDEMPOTENCY_MAX_KEYS = 100000 };

struct hub_idempotency {
    struct map by_digest;
    struct list keys; // oldest first
    size_t count;
};

void hub_idempotency_init(struct hub_idempotency *i);
void hub_idempotency_done(struct hub_idempotency *i);

/* Notes the key; false when it was used already, on that channel, lately. */
bool hub_idempotency_take(struct hub_idempotency *i, struct str channel, struct str key,
                          int64_t now_ms);
/* Forgets what is too old. */
void hub_idempotency_expire(struct hub_idempotency *i, int64_t now_ms);
/* When the oldest key is; INT64_MAX: there is none. */
int64_t hub_idempotency_due_ms(const struct hub_idempotency *i);

#endif
