/* app_texts.h -- loads the embedded texts of both languages into core/locale. */
#ifndef APP_TEXTS_H
#define APP_TEXTS_H

#include <stddef.h>

#include "core/err.h"

/* Once, before threads. Each language is locales/XX.json with the parts of locales/problems.XX.json
 * added to it. ERR_INVALID: a file is missing or wrong (our bug; tests find it). */
MUST_USE enum err app_texts_load(char *why_out, size_t why_cap);

#endif
