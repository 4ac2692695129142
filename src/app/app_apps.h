/* app_apps.h -- which apps of the Pusher protocol there are: from a file in the shape of Laravel's
 * config('reverb.apps.apps'), or REVERB_APP_ID, _KEY and _SECRET, or the app made at first start.
 */
#ifndef APP_APPS_H
#define APP_APPS_H

#include <stddef.h>

#include "core/arena.h"
#include "core/err.h"
#include "hub/hub_app.h"

struct app_apps {
    const struct hub_apps *apps; // apps->at[0] is the app of our own pages
    struct hub_app *mine;        // the same; changed only before they are handed out
    size_t slot_count;           // slots given so far
    struct arena arena;          // holds them
    struct app_apps *older;      // what a reload replaced; somebody may still read it
};

/* file: a path, or "" for the environment and the data directory. why_out: a sentence. */
MUST_USE enum err app_apps_load(const char *file, const char *data_dir, struct app_apps *out,
                                char *why_out, size_t why_cap);

/* Loads them anew. An app that keeps its id keeps its slot. ERR_CONFLICT: the first app, whose keys
 * our own pages use, has other ones; that needs a restart. On failure *a is as it was. */
MUST_USE enum err app_apps_reload(const char *file, const char *data_dir, struct app_apps *a,
                                  char *why_out, size_t why_cap);
void app_apps_done(struct app_apps *a);

#endif
