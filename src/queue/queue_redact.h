/* queue_redact.h -- payloads as people may see them: the values of named fields are hidden.
 *
 * Rules are names with commas. A rule hides the fields of that name wherever they stand; several
 * names joined by dots hide the last one where the others are around it, and * is any name:
 *
 *     password,card.number,*.secret
 *
 *     {"password":"…","card":{"number":"…","year":2030},"keys":[{"secret":"…"}],"secret":1}
 *
 * ASCII case does not matter; the items of an array stand where the array stands. What is kept in
 * the database is not touched: who must hide it there seals it.
 */
#ifndef QUEUE_REDACT_H
#define QUEUE_REDACT_H

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

enum { QUEUE_REDACT_MAX_RULES = 64, QUEUE_REDACT_MAX_RULE_BYTES = 100 };

/* What is hidden when nobody says otherwise. */
#define QUEUE_REDACT_DEFAULT "password,passwd,secret,token,api_key,authorization"

/* ERR_INVALID, ERR_TOO_LARGE: *why_out (static) says why these are no rules. */
MUST_USE enum err queue_redact_check(struct str rules, const char **why_out);

/* The JSON text with "…" for the value of every field that a rule of the list names, else byte for
 * byte as it was: the text itself when nothing is hidden, else in the arena. Where there are rules,
 * a field whose name cannot be read is hidden. A text that is not JSON is never shown: a JSON
 * string with its length stands for it; an empty one stays empty. For payloads, results and
 * whatever else is JSON. */
struct str queue_redact(struct str rules, struct str text, struct arena *a);
/* What stands for a sealed payload (queue_seal.h): a JSON string that names the key. */
struct str queue_redact_sealed(struct str key_id, struct arena *a);

#endif
