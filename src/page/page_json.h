/* page_json.h -- short words for reading and filling views. */
#ifndef PAGE_JSON_H
#define PAGE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"

/* The object's text of that name; "" when it is absent or no text. object may be NULL. */
const char *page_json_text(const cJSON *object, const char *name);
/* 0 when absent or no number. */
int64_t page_json_int(const cJSON *object, const char *name);
/* Is it true? */
bool page_json_is(const cJSON *object, const char *name);

/* Adds a text field; value is copied and NUL-free. */
void page_json_add(cJSON *object, const char *name, struct str value);

/* Adds a read-only tree that outlives the object, without copying it. */
void page_json_refer(cJSON *object, const char *name, const cJSON *tree);

#endif
