/* json.h -- JSON: cJSON documents for the domain, a slice scanner and a writer for hot paths.
 *
 * Documents (cJSON) are for bodies and views. The scanner (json_scan) splits one object into slices
 * without allocation, so that values can be forwarded byte for byte. The writer (json_write_*)
 * appends to a buf. Everything read is checked: UTF-8, depth <= JSON_MAX_DEPTH, no trailing bytes,
 * no NUL.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/str.h"

enum { JSON_MAX_DEPTH = 64, JSON_MAX_FIELDS = 64 };

/* Parses one whole document; the caller frees it with cJSON_Delete. ERR_INVALID: as
 * json_scan_document. Duplicate keys in an object are allowed (the last wins is NOT guaranteed). An
 * integer past INT_MAX is exact only in valuedouble, up to 2^53. */
MUST_USE enum err json_parse(struct str text, cJSON **out);

/* Appends the compact text of v; numbers as JavaScript prints them. ERR_TOO_LARGE: out is full, and
 * as it was. */
MUST_USE enum err json_print(const cJSON *v, struct buf *out);

/* ---- slices ---- */
enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_slice {
    enum json_kind kind;
    struct str text; // the value as it stands, with its quotes when it is a string
};

struct json_field {
    struct json_slice key, value;
};

/* Checks that text is one whole JSON value and tells its kind. No allocation. */
MUST_USE enum err json_scan(struct str text, struct json_slice *out);

/* Checks that text is one whole JSON value that a document can hold: besides the grammar, no half
 * surrogate, no \u0000 (cJSON strings end at a NUL), no number longer than 63 characters. */
MUST_USE enum err json_scan_document(struct str text);

/* Splits an object into its fields, in order. ERR_INVALID: not one whole object.
 * ERR_TOO_LARGE: more than cap fields. */
MUST_USE enum err json_scan_object(struct str text, struct json_field *fields, size_t cap,
                                   size_t *count_out);

/* Splits an array into its values. Errors as json_scan_object. */
MUST_USE enum err json_scan_array(struct str text, struct json_slice *items, size_t cap,
                                  size_t *count_out);

/* The field of that (unescaped, ASCII, at most 85 characters) name, the last if repeated; NULL when
 * absent. */
const struct json_slice *json_field_find(const struct json_field *fields, size_t count,
                                         struct str name);

/* The characters of a string slice with escapes resolved. Borrowed from the slice when it has no
 * escapes, else made in the arena. ERR_INVALID: not a string, half a surrogate pair, \u0000. */
MUST_USE enum err json_unescape(const struct json_slice *string, struct arena *a, struct str *out);

/* An integer slice without fraction or exponent. ERR_INVALID otherwise or on overflow. */
MUST_USE enum err json_slice_int(const struct json_slice *number, int64_t *out);

/* ---- writing; ERR_TOO_LARGE when out is full, and as it was ---- */
/* "text" with quotes; control characters, quote and backslash escaped; UTF-8 left as it is. text
 * must be valid UTF-8. */
MUST_USE enum err json_write_string(struct buf *out, struct str text);
MUST_USE enum err json_write_int(struct buf *out, int64_t value);
/* As JavaScript prints it (the shortest text that reads back); infinite: null. */
MUST_USE enum err json_write_number(struct buf *out, double value);

#endif
