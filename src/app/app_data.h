/* app_data.h -- the data directory: viche.db, its lock, and app.json (the Pusher app made at first
 * start).
 *
 * The directory is created with mode 0700, files with 0600: they hold password hashes and the app's
 * secret.
 */
#ifndef APP_DATA_H
#define APP_DATA_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "store/store.h"

enum { APP_DATA_WHY_BYTES = 512 };

/* Makes sure that dir is there and writable. why_out: a sentence that says what to do. */
MUST_USE enum err app_data_prepare(const char *dir, char *why_out, size_t why_cap);

/* Opens the database in dir; is_server takes the lock that keeps a second server away. Does not
 * migrate. The caller closes it with store_close. */
MUST_USE enum err app_data_open(const char *dir, bool is_server, int readers, struct store **out,
                                char *why_out, size_t why_cap);

/* The same for a process beside the server that is told of every commit (store_on_commit). */
MUST_USE enum err app_data_open_watching(const char *dir, int readers, struct store **out,
                                         char *why_out, size_t why_cap);

/* Is there a database in dir? ERR_NOT_FOUND; ERR_DENIED: this user cannot see it. why_out as
 * above. */
MUST_USE enum err app_data_look(const char *dir, char *why_out, size_t why_cap);

/* Is the database of a later version than this binary? */
MUST_USE enum err app_data_is_newer(struct store *store, bool *out);

/* Applies the migrations that are missing. applied_out may be NULL. */
MUST_USE enum err app_data_migrate(struct store *store, int *applied_out, char *why_out,
                                   size_t why_cap);

/* Reads the app made at first start, or makes it: random id, key and secret. The strings are the
 * caller's (mem_free). */
MUST_USE enum err app_data_app(const char *dir, char **id_out, char **key_out, char **secret_out,
                               char *why_out, size_t why_cap);

/* The whole file, NUL-terminated, for the caller to free; ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_IO. */
MUST_USE enum err app_data_read_file(const char *path, size_t max_bytes, char **out,
                                     size_t *len_out);

#endif
