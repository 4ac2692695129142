/* app_hooks.h -- the key "webhooks" of an app in the apps file. */
#ifndef APP_HOOKS_H
#define APP_HOOKS_H

#include <cjson/cJSON.h>

#include "core/arena.h"
#include "core/err.h"
#include "hub/hub_app.h"

/* Reads [{"url","event_types","filter":{"channel_name_starts_with","channel_name_ends_with"},
 * "headers":{...}}] into app; list may be NULL. No event_types: all of them. Strings live in a.
 * ERR_INVALID: what is not understood, with a sentence: an operator must not believe that it
 * works. */
MUST_USE enum err app_hooks_read(const cJSON *list, struct arena *a, struct hub_app *app,
                                 char *why_out, size_t why_cap);

#endif
