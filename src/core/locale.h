/* locale.h -- texts of the interface, from web/locales/{uk,en}.json (embedded), with plural forms.
 *
 * A locale file is a nested object; a key is its path with dots: "proposal.sign". A text may hold
 * {name} places. A plural text is an object of CLDR categories: {"one","few","many","other"} for
 * Ukrainian, {"one","other"} for English; {n} is the number, grouped as the language does ("1 284",
 * "1,284").
 */
#ifndef CORE_LOCALE_H
#define CORE_LOCALE_H

#include <cjson/cJSON.h>

#include "core/arena.h"
#include "core/str.h"

enum locale_lang { LOCALE_UK, LOCALE_EN, LOCALE_COUNT };

/* Loads one language from JSON text, replacing it; at start, before threads. ERR_INVALID: not an
 * object of texts and such objects; what was loaded stays. */
MUST_USE enum err locale_load(enum locale_lang lang, struct str json);

/* "uk", "en" */
const char *locale_code(enum locale_lang lang);
/* The whole tree, for templates ({{t.proposal.sign}}). Read-only. */
const cJSON *locale_tree(enum locale_lang lang);

/* The language of a cookie value ("uk"/"en") if valid, else the one Accept-Language prefers (RFC
 * 9110 §12.5.4, q values; the earlier of equals), else English. Ukrainian when nothing is said. */
enum locale_lang locale_choose(struct str cookie, struct str accept_language);

/* The text of key; the key itself when it is missing (a test finds those). */
struct str locale_text(enum locale_lang lang, struct str key);
/* With {name} replaced by the value: names and values alternate, ended by (struct str){0}. */
struct str locale_format(enum locale_lang lang, struct str key, struct arena *a,
                         const struct str *pairs);
/* The plural form for n, {n} replaced. */
struct str locale_plural(enum locale_lang lang, struct str key, int64_t n, struct arena *a);
/* "1 284" (no-break space) or "1,284" */
struct str locale_number(enum locale_lang lang, int64_t n, struct arena *a);

#endif
