/* queue_seal.h -- payloads that only those can read who have the key.
 *
 * A payload is sealed by AEAD (crypto_seal) in the transaction that enqueues its job, bound to the
 * job's id and kind: copied to another job it does not open. In its row stands the result as a JSON
 * string in base64, in job_option.seal the id of the key. It is opened when the job is run and
 * wiped when the run is over. Results, steps, progress, log lines, errors, keys and tags are not
 * sealed (docs/decisions/0017).
 *
 * The keys come from a text of lines
 *
 *     # the first seals, all open
 *     2026-11=64 hex digits
 *     2026-05=64 hex digits
 */
#ifndef QUEUE_SEAL_H
#define QUEUE_SEAL_H

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

enum {
    QUEUE_SEAL_MAX_KEYS = 32,
    QUEUE_SEAL_MAX_ID_BYTES = 32,
    QUEUE_SEAL_MAX_TEXT_BYTES = 64 * 1024, // of the file
};

/* Keys, for any thread. */
struct queue_seal;

/* ERR_INVALID: *why_out (static; without any part of the text) says what is wrong. */
MUST_USE enum err queue_seal_read(struct str text, struct queue_seal **out, const char **why_out);
/* Wipes them. */
void queue_seal_free(struct queue_seal *s);

/* From now on s has the keys of with, which is freed; its own are wiped. Any thread. */
void queue_seal_use(struct queue_seal *s, struct queue_seal *with);

/* A payload as its job's row has it, and the id of the key. */
struct queue_sealed {
    struct str text, key_id;
};

/* Seals the payload of the job; in the arena. */
struct queue_sealed queue_seal_write(struct queue_seal *s, int64_t job_id, struct str kind,
                                     struct str payload, struct arena *a);
/* And back. s may be NULL: no keys. ERR_NOT_FOUND: not this key; ERR_DENIED: the payload is not
 * this job's, or was changed. */
MUST_USE enum err queue_seal_open(struct queue_seal *s, int64_t job_id, struct str kind,
                                  struct queue_sealed sealed, struct arena *a,
                                  struct str *payload_out);

#endif
