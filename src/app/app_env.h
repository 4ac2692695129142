/* app_env.h -- the environment as Laravel's env() reads it, for the variables of Reverb: quotes
 * around a value are no part of it, and true, false, null and empty are words, in any case, with or
 * without parentheses. */
#ifndef APP_ENV_H
#define APP_ENV_H

#include "core/str.h"

/* NOTHING: not set, empty or null. */
enum app_env_kind { APP_ENV_NOTHING, APP_ENV_TEXT, APP_ENV_TRUE, APP_ENV_FALSE };

struct app_env {
    enum app_env_kind kind;
    struct str text; // without the quotes, empty when there is nothing; the environment's
};

struct app_env app_env_get(const char *name);

#endif
