#include "app/app_apps.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/app_data.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"

enum { MAX_FILE_BYTES = 1024 * 1024, MAX_APPS = 1000 };

/* Numbers of an app that the hub knows: where they go and what they may be. */
static const struct number {
    const char *name;
    size_t at;
    int64_t min, max;
} numbers[] = {
    {"activity_timeout", offsetof(struct hub_app, activity_timeout_s), 1, 86400},
    {"ping_interval", offsetof(struct hub_app, ping_interval_s), 1, 86400},
    {"max_request_size", offsetof(struct hub_app, max_request_bytes), 1, INT64_C(1) << 20},
    {"max_message_size", offsetof(struct hub_app, max_message_bytes), 1, INT64_C(16) << 20},
};

/* Restrictions that are not enforced yet: the operator must not believe that they are. */
static const char *const unsupported[] = {"allowed_origins", "max_connections", "rate_limiting",
                                          "accept_client_events_from"};

static bool set_text(const cJSON *item, const char *name, struct arena *a, struct str *out)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, name);
    char number[32];
    if (cJSON_IsNumber(value)) { // "app_id": 1001, as people write it
        snprintf(number, sizeof(number), "%.0f", value->valuedouble);
        *out = arena_str(a, str_of(number));
        return true;
    }
    if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
        return false;
    *out = arena_str(a, str_of(value->valuestring));
    return true;
}

static bool set_number(const cJSON *item, const struct number *row, struct hub_app *app)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, row->name);
    if (!value || cJSON_IsNull(value))
        return true;
    if (!cJSON_IsNumber(value) || value->valuedouble < (double)row->min ||
        value->valuedouble > (double)row->max)
        return false;
    // All of these fields have eight bytes, whether size_t or int64_t.
    *(int64_t *)(void *)((char *)app + row->at) = (int64_t)value->valuedouble;
    return true;
}

static void warn_of_unsupported(const cJSON *item, const struct hub_app *app)
{
    for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, unsupported[i]);
        bool is_any = cJSON_GetArraySize(value) == 1 && cJSON_IsString(value->child) &&
                      strcmp(value->child->valuestring, "*") == 0;
        char quoted[LOG_QUOTE_BYTES];
        if (value && !cJSON_IsNull(value) && !is_any)
            log_warn("at=app.apps app=%s key=%s why=\"not enforced by this version\"",
                     log_quote(app->id, quoted), unsupported[i]);
    }
}

static enum err read_app(const cJSON *item, struct arena *a, struct hub_app *app, char *why_out,
                         size_t why_cap)
{
    *app = hub_app_defaults;
    bool has_all = set_text(item, "app_id", a, &app->id);
    has_all = set_text(item, "key", a, &app->key) && has_all;
    has_all = set_text(item, "secret", a, &app->secret) && has_all;
    if (!has_all || app->key.len > HUB_APP_MAX_KEY_BYTES) {
        snprintf(why_out, why_cap, "every app needs the strings app_id, key and secret");
        return ERR_INVALID;
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (set_number(item, &numbers[i], app))
            continue;
        snprintf(why_out, why_cap, "app %.*s: %s must be a number from %lld to %lld",
                 STR_ARG(app->id), numbers[i].name, (long long)numbers[i].min,
                 (long long)numbers[i].max);
        return ERR_INVALID;
    }
    warn_of_unsupported(item, app);
    return OK;
}

static enum err read_apps(const cJSON *root, struct app_apps *out, char *why_out, size_t why_cap)
{
    int count = cJSON_GetArraySize(root);
    if (!cJSON_IsArray(root) || count < 1 || count > MAX_APPS) {
        snprintf(why_out, why_cap, "it must be a JSON array of 1 to %d apps", MAX_APPS);
        return ERR_INVALID;
    }
    struct hub_app *apps = arena_alloc(&out->arena, (size_t)count * sizeof(*apps));
    out->apps.at = apps;
    const cJSON *item;
    cJSON_ArrayForEach(item, root)
    {
        struct hub_app *app = &apps[out->apps.count];
        enum err err = read_app(item, &out->arena, app, why_out, why_cap);
        if (err)
            return err;
        app->slot = out->apps.count++;
    }
    return OK;
}

static enum err load_file(const char *file, struct app_apps *out, char *why_out, size_t why_cap)
{
    char *text = NULL, why[256] = "it cannot be read";
    size_t len = 0;
    cJSON *root = NULL;
    enum err err = app_data_read_file(file, MAX_FILE_BYTES, &text, &len);
    if (!err) {
        snprintf(why, sizeof(why), "it is not JSON");
        err = json_parse((struct str){text, len}, &root);
    }
    if (!err)
        err = read_apps(root, out, why, sizeof(why));
    if (err)
        snprintf(why_out, why_cap, "--apps %s: %s", file, why);
    cJSON_Delete(root);
    mem_free(text);
    return err;
}

static enum err load_one(const char *data_dir, struct app_apps *out, char *why_out, size_t why_cap)
{
    struct hub_app *app = ARENA_NEW(&out->arena, struct hub_app);
    *app = hub_app_defaults;
    out->apps = (struct hub_apps){.at = app, .count = 1};

    const char *id = getenv("REVERB_APP_ID"), *key = getenv("REVERB_APP_KEY"),
               *secret = getenv("REVERB_APP_SECRET");
    if (id && key && secret && *id && *key && *secret) {
        if (strlen(key) > HUB_APP_MAX_KEY_BYTES) {
            snprintf(why_out, why_cap, "REVERB_APP_KEY is longer than %d bytes",
                     HUB_APP_MAX_KEY_BYTES);
            return ERR_TOO_LARGE;
        }
        app->id = arena_str(&out->arena, str_of(id));
        app->key = arena_str(&out->arena, str_of(key));
        app->secret = arena_str(&out->arena, str_of(secret));
        return OK;
    }
    if ((id && *id) || (key && *key) || (secret && *secret)) {
        snprintf(why_out, why_cap,
                 "REVERB_APP_ID, REVERB_APP_KEY and REVERB_APP_SECRET must be set together");
        return ERR_INVALID;
    }
    char *made_id = NULL, *made_key = NULL, *made_secret = NULL;
    enum err err = app_data_app(data_dir, &made_id, &made_key, &made_secret, why_out, why_cap);
    if (err)
        return err;
    app->id = arena_str(&out->arena, str_of(made_id));
    mem_free(made_id);
    app->key = arena_str(&out->arena, str_of(made_key));
    mem_free(made_key);
    app->secret = arena_str(&out->arena, str_of(made_secret));
    mem_free(made_secret);
    return OK;
}

enum err app_apps_load(const char *file, const char *data_dir, struct app_apps *out, char *why_out,
                       size_t why_cap)
{
    *out = (struct app_apps){0};
    arena_init(&out->arena);
    enum err err = file[0] ? load_file(file, out, why_out, why_cap)
                           : load_one(data_dir, out, why_out, why_cap);
    if (err)
        app_apps_done(out);
    return err;
}

void app_apps_done(struct app_apps *a)
{
    arena_done(&a->arena);
    a->apps = (struct hub_apps){0};
}
