/* civic_text.h -- what people type: trimmed, of bounded length, without control characters. */
#ifndef CIVIC_TEXT_H
#define CIVIC_TEXT_H

#include <stdbool.h>

#include "core/arena.h"

struct civic_text_rule {
    size_t max_chars;  // code points
    bool is_multiline; // LF and TAB are allowed; CR LF becomes LF
    bool is_optional;  // may be empty
};

extern const struct civic_text_rule civic_text_title;   // 140
extern const struct civic_text_rule civic_text_summary; // 300, optional
extern const struct civic_text_rule civic_text_body;    // 20,000
extern const struct civic_text_rule civic_text_comment; // 4,000
extern const struct civic_text_rule civic_text_name;    // 60
extern const struct civic_text_rule civic_text_client;  // 64, optional: client_id

enum {
    CIVIC_TEXT_MIN_PASSWORD_BYTES = 8,
    CIVIC_TEXT_MAX_PASSWORD_BYTES = 1024,
    CIVIC_TEXT_MAX_EMAIL_BYTES = 254
};

/* Checks a valid UTF-8 text and gives it trimmed of white space (Unicode's too), borrowed from in
 * or made in the arena. Returns NULL, or the field code: "required", "too-long", "bad-characters"
 * (controls; in one-line texts also direction overrides, with which a name can pose as another). */
const char *civic_text_check(struct str in, const struct civic_text_rule *rule, struct arena *a,
                             struct str *clean_out);

/* Gives the address in lower case, which is how it is stored. NULL, or "required", "too-long",
 * "not-email". */
const char *civic_text_check_email(struct str in, struct arena *a, struct str *clean_out);

/* NULL, or "required", "too-short", "too-long". */
const char *civic_text_check_password(struct str in);

#endif
