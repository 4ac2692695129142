/* mustache.h -- logic-less templates, equal to npm `mustache` 4 for what our templates use and
 * more.
 *
 * Variables ({{x}}, {{{x}}}, {{&x}}), dotted names, {{.}}, sections, inverted sections, comments,
 * partials, set delimiters; standalone lines; partial indentation. No lambdas. Views are cJSON;
 * numbers print as JavaScript prints them; null and missing print nothing; false, 0, "", null and
 * [] are falsy as in npm mustache. HTML escaping as in npm mustache (& < > " ' / ` =). A parsed
 * template is read-only and may be shared by threads.
 */
#ifndef CORE_MUSTACHE_H
#define CORE_MUSTACHE_H

#include <cjson/cJSON.h>

#include "core/buf.h"
#include "core/str.h"

struct mustache;

enum { MUSTACHE_MAX_DEPTH = 32 }; // nesting of sections and partials together

/* Copies text. ERR_INVALID: unclosed or mismatched tag; *why_out (static text) says which. */
MUST_USE enum err mustache_parse(struct str text, struct mustache **out, const char **why_out);
void mustache_free(struct mustache *m);

/* Gives the partial of that name, or NULL (renders as nothing). */
typedef const struct mustache *mustache_partial_fn(void *ctx, struct str name);

/* Appends the rendered text. ERR_TOO_LARGE: out is full, nesting is too deep, or more than 2^23
 * tokens would be rendered; out is then as it was. */
MUST_USE enum err mustache_render(const struct mustache *m, const cJSON *view,
                                  mustache_partial_fn *partial, void *ctx, struct buf *out);

#endif
