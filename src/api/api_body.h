/* api_body.h -- the JSON body of a request: an object, taken apart into slices, and its fields
 * checked.
 *
 * The getters note a field error and go on, so that one answer names everything that is wrong; the
 * endpoint ends its decode with api_body_verdict. Fields that nobody asks for are not looked at.
 */
#ifndef API_BODY_H
#define API_BODY_H

#include "api/api.h"
#include "civic/civic_text.h"
#include "core/json.h"

struct api_body {
    struct api_call *call;
    struct json_field fields[JSON_MAX_FIELDS];
    size_t count;
};

/* 415: not application/json, or encoded; 400: not JSON; 422: not an object. */
MUST_USE enum err api_body_parse(struct api_call *call, struct api_body *out);

/* Pointers are "/" and the name of the field. A text that was not accepted is empty. */
void api_body_text(struct api_body *b, const char *pointer, const struct civic_text_rule *rule,
                   struct str *out);
/* The text as it came; empty when absent. */
void api_body_raw(struct api_body *b, const char *pointer, struct str *out);
/* An integer; absent or null gives if_absent. */
void api_body_int(struct api_body *b, const char *pointer, int64_t if_absent, int64_t *out);
/* An id, 1 or more; absent gives if_absent, but null is refused. */
void api_body_id(struct api_body *b, const char *pointer, int64_t if_absent, int64_t *out);
/* An array of exactly one integer; absent or null leaves *out. */
void api_body_one_int(struct api_body *b, const char *pointer, int64_t *out);
void api_body_bool(struct api_body *b, const char *pointer, bool *out); // absent: false
bool api_body_has(const struct api_body *b, const char *pointer);

/* Notes a field error. */
void api_body_refuse(struct api_call *call, const char *pointer, const char *code, int64_t limit);

/* OK, or ERR_INVALID when a field was refused. */
MUST_USE enum err api_body_verdict(const struct api_body *b);

/* A query parameter: text (empty when absent), and the limit of a list. Note problems as above. */
void api_body_query(struct api_call *call, const char *name, struct str *out);
void api_body_limit(struct api_call *call, int *out);

#endif
