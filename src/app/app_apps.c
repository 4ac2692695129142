#include "app/app_apps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_data.h"
#include "app/app_env.h"
#include "app/app_hooks.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"

enum {
    MAX_FILE_BYTES = 1024 * 1024,
    MAX_APPS = 1000,
    MAX_ORIGINS = 1000,
    MAX_REQUEST_BYTES = 1024 * 1024,
    MAX_RECOVERY_CHANNELS = 1000
};

/* ---- the keys of an app: where they go and what they may be ----
 * Reverb's own where it has one. A key of a table that is absent or null keeps its default. */

#define AT(field) offsetof(struct hub_app, field)
#define MAX_SIZE (INT64_C(16) << 20)

/* The fields have eight bytes each, whether size_t or int64_t. */
static const struct number {
    const char *name;
    size_t at;
    int64_t min, max;
    int64_t factor; // 1,000 for seconds that become milliseconds; 0: whole numbers
} numbers[] = {
    {"activity_timeout", AT(activity_timeout_s), 1, 86400, 0},
    {"ping_interval", AT(ping_interval_s), 1, 86400, 0},
    {"max_connections", AT(max_connections), 0, INT64_C(1) << 40, 0},
    {"max_connections_per_address", AT(max_connections_per_address), 0, INT64_C(1) << 40, 0},
    {"authorized_connection_timeout", AT(authorized_timeout_s), 1, 86400, 0},
    {"max_message_size", AT(max_message_bytes), 1, MAX_SIZE, 0},
    {"max_client_events_per_second", AT(max_client_events_per_s), 0, 1000000, 0},
    {"max_client_event_name_length", AT(max_client_event_name_bytes), 0, MAX_SIZE, 0},
    {"max_client_event_payload_size", AT(max_client_event_payload_bytes), 0, MAX_SIZE, 0},
    {"max_channel_name_length", AT(max_channel_name_bytes), 1, 4096, 0},
    {"max_presence_members", AT(max_presence_members), 0, 1000000, 0},
    {"max_presence_member_size", AT(max_presence_member_bytes), 0, MAX_SIZE, 0},
    {"presence_leave_delay", AT(presence_leave_delay_ms), 0, 3600, 1000},
    {"cache_ttl", AT(cache_ttl_s), 1, 86400, 0},
    {"timestamp_tolerance", AT(max_timestamp_skew_s), 0, INT64_C(1) << 40, 0},
    {"max_request_size", AT(max_request_bytes), 1, INT64_C(1) << 40, 0},
    {"max_event_name_length", AT(max_event_name_bytes), 0, MAX_SIZE, 0},
    {"max_event_payload_size", AT(max_event_payload_bytes), 0, MAX_SIZE, 0},
    {"max_event_channels", AT(max_event_channels), 0, 1000, 0},
    {"max_batch_items", AT(max_batch_items), 0, 1000, 0},
};

static const struct flag {
    const char *name;
    size_t at;
    bool is_negated;
} flags[] = {
    {"enabled", AT(is_disabled), true},
    {"strict", AT(is_strict), false},
    {"require_authorized_connections", AT(requires_authorized), false},
    {"subscription_count", AT(has_subscription_count), false},
};

/* Of the object rate_limiting. */
static const struct number rate_numbers[] = {
    {"max_attempts", AT(rate.max_attempts), 1, 1000000, 0},
    {"decay_seconds", AT(rate.decay_s), 1, 86400, 0},
};

/* Of the object recovery. */
static const struct number recovery_numbers[] = {
    {"ttl", AT(recovery.limits.ttl_ms), 1, STREAM_MAX_TTL_MS / 1000, 1000},
    {"max_messages", AT(recovery.limits.max_messages), 1, STREAM_MAX_MESSAGES, 0},
    {"max_bytes", AT(recovery.limits.max_bytes), 1, STREAM_MAX_BYTES, 0},
};

/* Pusher's own numbers, for apps that say strict; what the file says stands above them. */
static void be_strict(struct hub_app *app)
{
    app->max_channel_name_bytes = 164;
    app->max_presence_members = 100;
    app->max_presence_member_bytes = 1024;
    app->max_event_name_bytes = 200;
    app->max_event_payload_bytes = 10240;
    app->max_event_channels = 100;
    app->max_batch_items = 10;
    app->max_client_event_name_bytes = 200;
    app->max_client_event_payload_bytes = 10240;
    app->max_client_events_per_s = 10;
}

/* ---- reading one ---- */

struct reader {
    struct arena *arena;
    struct hub_app *app;
    char *why;
    size_t why_cap;
};

/* NULL: absent or null. */
static const cJSON *get(const cJSON *item, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, name);
    return cJSON_IsNull(value) ? NULL : value;
}

static enum err complain(const struct reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum err complain(const struct reader *r, const char *format, ...)
{
    va_list args;
    int len = snprintf(r->why, r->why_cap, "app %.*s: ", STR_ARG(r->app->id));
    va_start(args, format);
    if (len > 0 && (size_t)len < r->why_cap)
        vsnprintf(r->why + len, r->why_cap - (size_t)len, format, args);
    va_end(args);
    return ERR_INVALID;
}

static bool set_text(const cJSON *item, const char *name, struct arena *a, struct str *out)
{
    const cJSON *value = get(item, name);
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

static enum err set_number(const struct reader *r, const cJSON *item, const struct number *row)
{
    const cJSON *value = get(item, row->name);
    if (!value)
        return OK;
    if (!cJSON_IsNumber(value) || value->valuedouble < (double)row->min ||
        value->valuedouble > (double)row->max)
        return complain(r, "%s must be a number from %lld to %lld", row->name, (long long)row->min,
                        (long long)row->max);
    int64_t number = row->factor > 0 ? (int64_t)(value->valuedouble * (double)row->factor)
                                     : (int64_t)value->valuedouble;
    *(int64_t *)(void *)((char *)r->app + row->at) = number;
    return OK;
}

static enum err set_numbers(const struct reader *r, const cJSON *item, const struct number *rows,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum err err = set_number(r, item, &rows[i]);
        if (err)
            return err;
    }
    return OK;
}

/* within: of the inner object, with a dot, or empty. */
static enum err read_flag(const struct reader *r, const cJSON *item, const char *within,
                          const char *name, bool *out)
{
    const cJSON *value = get(item, name);
    if (value && !cJSON_IsBool(value))
        return complain(r, "%s%s must be true or false", within, name);
    if (value)
        *out = cJSON_IsTrue(value);
    return OK;
}

static enum err set_flags(const struct reader *r, const cJSON *item)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        bool *field = (bool *)(void *)((char *)r->app + flags[i].at);
        bool value = *field != flags[i].is_negated;
        enum err err = read_flag(r, item, "", flags[i].name, &value);
        if (err)
            return err;
        *field = value != flags[i].is_negated;
    }
    return OK;
}

static enum err set_rate(const struct reader *r, const cJSON *item)
{
    const cJSON *rate = get(item, "rate_limiting");
    bool is_enabled = false;
    if (!rate)
        return OK;
    if (!cJSON_IsObject(rate))
        return complain(r, "rate_limiting must be an object");
    r->app->rate.max_attempts = 60;
    r->app->rate.decay_s = 60;
    enum err err =
        set_numbers(r, rate, rate_numbers, sizeof(rate_numbers) / sizeof(rate_numbers[0]));
    if (!err)
        err = read_flag(r, rate, "rate_limiting.", "enabled", &is_enabled);
    if (!err)
        err = read_flag(r, rate, "rate_limiting.", "terminate_on_limit", &r->app->rate.terminates);
    if (!is_enabled)
        r->app->rate.max_attempts = 0;
    return err;
}

static enum err set_store(const struct reader *r, const cJSON *recovery)
{
    static const char *const names[] = {"memory", "write", "fsync"}; // as enum stream_ack
    const cJSON *store = get(recovery, "store");
    if (!store)
        return OK;
    for (int i = 0; i < 3 && cJSON_IsString(store); i++) {
        if (strcmp(store->valuestring, names[i]) == 0) {
            r->app->recovery.limits.ack = (enum stream_ack)i;
            return OK;
        }
    }
    return complain(r, "recovery.store must be \"memory\", \"write\" or \"fsync\"");
}

static enum err set_recovery_channels(const struct reader *r, const cJSON *recovery)
{
    const cJSON *list = get(recovery, "channels"), *channel;
    int count = cJSON_GetArraySize(list);
    if (!list)
        return OK;
    if (!cJSON_IsArray(list) || count > MAX_RECOVERY_CHANNELS)
        return complain(r, "recovery.channels must be a list of up to %d names",
                        MAX_RECOVERY_CHANNELS);
    struct str *channels = arena_alloc(r->arena, (size_t)count * sizeof(*channels) + 1);
    size_t used = 0;
    cJSON_ArrayForEach(channel, list)
    {
        if (!cJSON_IsString(channel))
            return complain(r, "recovery.channels must hold strings");
        channels[used++] = arena_str(r->arena, str_of(channel->valuestring));
    }
    r->app->recovery.channels = channels;
    r->app->recovery.channel_count = used;
    return OK;
}

/* An object, or false: nothing can be recovered. */
static enum err set_recovery(const struct reader *r, const cJSON *item)
{
    const cJSON *recovery = get(item, "recovery");
    if (!recovery || cJSON_IsTrue(recovery))
        return OK;
    if (cJSON_IsFalse(recovery)) {
        r->app->recovery.is_off = true;
        return OK;
    }
    if (!cJSON_IsObject(recovery))
        return complain(r, "recovery must be an object, or false");
    enum err err = set_numbers(r, recovery, recovery_numbers,
                               sizeof(recovery_numbers) / sizeof(recovery_numbers[0]));
    if (!err)
        err = set_store(r, recovery);
    return err ? err : set_recovery_channels(r, recovery);
}

/* A list with "*" in it allows any origin, as no list does. */
static enum err set_origins(const struct reader *r, const cJSON *item)
{
    const cJSON *list = get(item, "allowed_origins"), *origin;
    int count = cJSON_GetArraySize(list);
    if (!list)
        return OK;
    if (!cJSON_IsArray(list) || count < 1 || count > MAX_ORIGINS)
        return complain(r, "allowed_origins must be a list of 1 to %d hosts", MAX_ORIGINS);
    struct str *origins = arena_alloc(r->arena, (size_t)count * sizeof(*origins));
    size_t used = 0;
    cJSON_ArrayForEach(origin, list)
    {
        if (!cJSON_IsString(origin))
            return complain(r, "allowed_origins must hold strings");
        if (strcmp(origin->valuestring, "*") == 0)
            return OK;
        origins[used++] = arena_str(r->arena, str_of(origin->valuestring));
    }
    r->app->allowed_origins = origins;
    r->app->allowed_origin_count = used;
    return OK;
}

static enum err set_client_events(const struct reader *r, const cJSON *item)
{
    const cJSON *from = get(item, "accept_client_events_from");
    if (!from)
        return OK;
    if (!cJSON_IsString(from))
        return complain(r, "accept_client_events_from must be \"members\", \"all\" or \"none\"");
    r->app->client_events = strcmp(from->valuestring, "members") == 0 ? HUB_CLIENT_EVENTS_MEMBERS
                            : strcmp(from->valuestring, "all") == 0   ? HUB_CLIENT_EVENTS_ALL
                                                                      : HUB_CLIENT_EVENTS_NONE;
    return OK;
}

static enum err set_webhooks(const struct reader *r, const cJSON *item)
{
    char why[200] = "";
    enum err err = app_hooks_read(get(item, "webhooks"), r->arena, r->app, why, sizeof(why));
    return err ? complain(r, "%s", why) : OK;
}

/* A misspelt limit must not pass for one. */
static void warn_of_unknown(const cJSON *item, const struct hub_app *app)
{
    static const char *const others[] = {"app_id",
                                         "key",
                                         "secret",
                                         "name",
                                         "options",
                                         "capacity",
                                         "rate_limiting",
                                         "webhooks",
                                         "recovery",
                                         "allowed_origins",
                                         "accept_client_events_from"};
    const cJSON *value;
    cJSON_ArrayForEach(value, item)
    {
        bool is_known = false;
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
            is_known = is_known || strcmp(value->string, numbers[i].name) == 0;
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
            is_known = is_known || strcmp(value->string, flags[i].name) == 0;
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
            is_known = is_known || strcmp(value->string, others[i]) == 0;
        char id[LOG_QUOTE_BYTES], key[LOG_QUOTE_BYTES];
        if (!is_known)
            log_warn("at=app.apps app=%s key=%s why=\"no such setting\"", log_quote(app->id, id),
                     log_quote(str_of(value->string), key));
    }
}

/* People give Reverb any number, to be rid of its 413. More is not read: an event of that size
 * would fill the queue of each of its subscribers. */
static void limit_requests(struct hub_app *app)
{
    char id[LOG_QUOTE_BYTES];
    if (app->max_request_bytes <= MAX_REQUEST_BYTES)
        return;
    app->max_request_bytes = MAX_REQUEST_BYTES;
    log_warn("at=app.apps app=%s key=max_request_size why=\"more than 1 MiB is not read\"",
             log_quote(app->id, id));
}

static enum err read_app(const cJSON *item, struct arena *a, struct hub_app *app, char *why_out,
                         size_t why_cap)
{
    const struct reader r = {a, app, why_out, why_cap};
    *app = hub_app_defaults;
    bool has_all = set_text(item, "app_id", a, &app->id);
    has_all = set_text(item, "key", a, &app->key) && has_all;
    has_all = set_text(item, "secret", a, &app->secret) && has_all;
    if (!has_all || app->key.len > HUB_APP_MAX_KEY_BYTES) {
        snprintf(why_out, why_cap,
                 "every app needs the strings app_id, key (up to %d bytes) and secret",
                 HUB_APP_MAX_KEY_BYTES);
        return ERR_INVALID;
    }
    enum err err = set_flags(&r, item);
    if (!err && app->is_strict)
        be_strict(app);
    if (!err)
        err = set_numbers(&r, item, numbers, sizeof(numbers) / sizeof(numbers[0]));
    if (!err)
        err = set_rate(&r, item);
    if (!err)
        err = set_origins(&r, item);
    if (!err)
        err = set_client_events(&r, item);
    if (!err)
        err = set_webhooks(&r, item);
    if (!err)
        err = set_recovery(&r, item);
    limit_requests(app);
    warn_of_unknown(item, app);
    return err;
}

/* ---- a file of them ---- */

static const struct hub_app *find_twin(const struct hub_app *apps, size_t count)
{
    const struct hub_apps before = {apps, count};
    const struct hub_app *twin = hub_app_find_by_id(&before, apps[count].id);
    return twin ? twin : hub_app_find_by_key(&before, apps[count].key);
}

static void set_apps(struct app_apps *out, struct hub_app *apps, size_t count)
{
    struct hub_apps *set = ARENA_NEW(&out->arena, struct hub_apps);
    *set = (struct hub_apps){apps, count};
    out->apps = set;
    out->mine = apps;
    out->slot_count = count;
}

static enum err read_apps(const cJSON *root, struct app_apps *out, char *why_out, size_t why_cap)
{
    int count = cJSON_GetArraySize(root);
    if (!cJSON_IsArray(root) || count < 1 || count > MAX_APPS) {
        snprintf(why_out, why_cap, "it must be a JSON array of 1 to %d apps", MAX_APPS);
        return ERR_INVALID;
    }
    struct hub_app *apps = arena_alloc(&out->arena, (size_t)count * sizeof(*apps));
    size_t used = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, root)
    {
        struct hub_app *app = &apps[used];
        enum err err = read_app(item, &out->arena, app, why_out, why_cap);
        if (err)
            return err;
        if (find_twin(apps, used)) {
            snprintf(why_out, why_cap, "app %.*s: another app has its app_id or its key",
                     STR_ARG(app->id));
            return ERR_INVALID;
        }
        app->slot = used++;
    }
    set_apps(out, apps, used);
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

/* ---- one app from the environment ---- */

/* Reverb's variables and the keys that they stand for; those of an inner object with a dot. */
enum kind { TEXT, NUMBER, FLAG };
static const struct variable {
    const char *name, *object, *key;
    enum kind kind;
} variables[] = {
    {"REVERB_APP_ID", NULL, "app_id", TEXT},
    {"REVERB_APP_KEY", NULL, "key", TEXT},
    {"REVERB_APP_SECRET", NULL, "secret", TEXT},
    {"REVERB_APP_PING_INTERVAL", NULL, "ping_interval", NUMBER},
    {"REVERB_APP_ACTIVITY_TIMEOUT", NULL, "activity_timeout", NUMBER},
    {"REVERB_APP_MAX_CONNECTIONS", NULL, "max_connections", NUMBER},
    {"REVERB_APP_MAX_MESSAGE_SIZE", NULL, "max_message_size", NUMBER},
    {"REVERB_MAX_REQUEST_SIZE", NULL, "max_request_size", NUMBER},
    {"REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM", NULL, "accept_client_events_from", TEXT},
    {"REVERB_APP_RATE_LIMITING_ENABLED", "rate_limiting", "enabled", FLAG},
    {"REVERB_APP_RATE_LIMIT_MAX_ATTEMPTS", "rate_limiting", "max_attempts", NUMBER},
    {"REVERB_APP_RATE_LIMIT_DECAY_SECONDS", "rate_limiting", "decay_seconds", NUMBER},
    {"REVERB_APP_RATE_LIMIT_TERMINATE", "rate_limiting", "terminate_on_limit", FLAG},
};

static bool is_any(struct str text, const char *const *words)
{
    while (*words && !str_eq_nocase(text, str_of(*words)))
        words++;
    return *words != NULL;
}

/* What is neither stays a text, of which read_app complains. "off" is true to PHP, so it is
 * neither. */
static cJSON *make_flag(const struct app_env *env, const char *text)
{
    static const char *const on[] = {"1", "on", "yes", NULL}, *const off[] = {"0", NULL};
    if (env->kind == APP_ENV_TRUE || is_any(env->text, on))
        return cJSON_CreateTrue();
    if (env->kind == APP_ENV_FALSE || is_any(env->text, off))
        return cJSON_CreateFalse();
    return cJSON_CreateString(text);
}

static cJSON *make_value(enum kind kind, const struct app_env *env, struct arena *a)
{
    const char *text = arena_str(a, env->text).at;
    int64_t number;
    if (kind == FLAG)
        return make_flag(env, text);
    if (kind == NUMBER && str_parse_int(str_trim(env->text), &number) == OK)
        return cJSON_CreateNumber((double)number);
    return cJSON_CreateString(text);
}

/* An app as a file would hold it; the caller deletes it. */
static cJSON *read_environment(struct arena *a)
{
    cJSON *item = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        const struct variable *v = &variables[i];
        const struct app_env env = app_env_get(v->name);
        if (env.kind == APP_ENV_NOTHING)
            continue;
        cJSON *home = item;
        if (v->object && !(home = cJSON_GetObjectItemCaseSensitive(item, v->object)))
            home = cJSON_AddObjectToObject(item, v->object);
        cJSON_AddItemToObject(home, v->key, make_value(v->kind, &env, a));
    }
    return item;
}

/* Id, key and secret that were made at the first start. */
static enum err add_made(cJSON *item, const char *data_dir, char *why_out, size_t why_cap)
{
    char *id = NULL, *key = NULL, *secret = NULL;
    enum err err = app_data_app(data_dir, &id, &key, &secret, why_out, why_cap);
    if (!err) {
        cJSON_AddStringToObject(item, "app_id", id);
        cJSON_AddStringToObject(item, "key", key);
        cJSON_AddStringToObject(item, "secret", secret);
    }
    mem_free(id);
    mem_free(key);
    mem_free(secret);
    return err;
}

static enum err load_one(const char *data_dir, struct app_apps *out, char *why_out, size_t why_cap)
{
    struct hub_app *app = ARENA_NEW(&out->arena, struct hub_app);
    cJSON *item = read_environment(&out->arena);
    int given = 0;
    for (int i = 0; i < 3; i++)
        given += cJSON_HasObjectItem(item, variables[i].key);
    enum err err = OK;
    if (given == 0) {
        err = add_made(item, data_dir, why_out, why_cap);
    } else if (given < 3) {
        snprintf(why_out, why_cap,
                 "REVERB_APP_ID, REVERB_APP_KEY and REVERB_APP_SECRET must be set together");
        err = ERR_INVALID;
    }
    if (!err)
        err = read_app(item, &out->arena, app, why_out, why_cap);
    cJSON_Delete(item);
    set_apps(out, app, 1);
    return err;
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

/* ---- again ---- */

/* The app of that id in any set that there was. */
static const struct hub_app *find_ever(const struct app_apps *a, struct str id)
{
    const struct hub_app *found = NULL;
    for (; a && !found; a = a->older)
        found = hub_app_find_by_id(a->apps, id);
    return found;
}

static bool has_same_keys(const struct hub_app *a, const struct hub_app *b)
{
    return str_eq(a->id, b->id) && str_eq(a->key, b->key) && str_eq(a->secret, b->secret);
}

enum err app_apps_reload(const char *file, const char *data_dir, struct app_apps *a, char *why_out,
                         size_t why_cap)
{
    struct app_apps fresh;
    enum err err = app_apps_load(file, data_dir, &fresh, why_out, why_cap);
    if (err)
        return err;
    if (a->slot_count + fresh.apps->count > HUB_APP_MAX_SLOTS) {
        snprintf(why_out, why_cap, "too many different apps since the start: restart the server");
        app_apps_done(&fresh);
        return ERR_TOO_LARGE;
    }
    if (!has_same_keys(&fresh.apps->at[0], &a->apps->at[0])) {
        snprintf(why_out, why_cap, "the first app is that of our own pages: a restart changes it");
        app_apps_done(&fresh);
        return ERR_CONFLICT;
    }
    fresh.slot_count = a->slot_count;
    for (size_t i = 0; i < fresh.apps->count; i++) {
        const struct hub_app *known = find_ever(a, fresh.mine[i].id);
        fresh.mine[i].slot = known ? known->slot : fresh.slot_count++;
    }
    fresh.older = MEM_NEW(struct app_apps);
    *fresh.older = *a;
    *a = fresh;
    return OK;
}

void app_apps_done(struct app_apps *a)
{
    struct app_apps *older = a->older;
    arena_done(&a->arena);
    *a = (struct app_apps){0};
    while (older) {
        struct app_apps next = *older;
        arena_done(&next.arena);
        mem_free(older);
        older = next.older;
    }
}
