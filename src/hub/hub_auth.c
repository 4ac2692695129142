/* hub_auth.c -- what is signed:
 *
 *     subscription   socket_id:channel            with channel_data: socket_id:channel:channel_data
 *     sign-in        socket_id::user::user_data
 *     REST call      METHOD \n path \n k=v&k=v    sorted by key, values unescaped, arrays joined by
 *                                                commas, body_md5 among them
 *
 * All in HMAC-SHA256 with the app's secret, hex, lower case.
 */
#include "hub/hub_auth.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/crypto.h"
#include "http/http.h"

enum { HEX_SHA256_BYTES = 2 * CRYPTO_SHA256_BYTES + 1, HEX_MD5_BYTES = 2 * CRYPTO_MD5_BYTES + 1 };

static void sign_channel(struct str secret, struct str socket_id, struct str channel,
                         struct str channel_data, char out[static HEX_SHA256_BYTES])
{
    struct str parts[] = {socket_id, STR(":"), channel, STR(":"), channel_data};
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_hmac_sha256(secret, parts, channel_data.len > 0 ? 5 : 3, digest);
    crypto_hex(digest, sizeof(digest), out);
}

void hub_auth_sign_channel(struct str secret, struct str key, struct str socket_id,
                           struct str channel, struct str channel_data,
                           char out[static HUB_AUTH_BYTES])
{
    char hex[HEX_SHA256_BYTES];
    sign_channel(secret, socket_id, channel, channel_data, hex);
    snprintf(out, HUB_AUTH_BYTES, "%.*s:%s", STR_ARG(key), hex);
}

/* auth is "key:hex". */
static bool is_signature(const struct hub_app *app, struct str auth, const char *hex)
{
    struct str signature;
    struct str key = str_cut(auth, ':', &signature);
    return crypto_equal(signature, str_of(hex)) && str_eq(key, app->key);
}

bool hub_auth_channel_is_valid(const struct hub_app *app, struct str socket_id, struct str channel,
                               struct str channel_data, struct str auth)
{
    char hex[HEX_SHA256_BYTES];
    sign_channel(app->secret, socket_id, channel, channel_data, hex);
    return is_signature(app, auth, hex);
}

bool hub_auth_user_is_valid(const struct hub_app *app, struct str socket_id, struct str user_data,
                            struct str auth)
{
    struct str parts[] = {socket_id, STR("::user::"), user_data};
    uint8_t digest[CRYPTO_SHA256_BYTES];
    char hex[HEX_SHA256_BYTES];
    crypto_hmac_sha256(app->secret, parts, sizeof(parts) / sizeof(parts[0]), digest);
    crypto_hex(digest, sizeof(digest), hex);
    return is_signature(app, auth, hex);
}

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
    return s.len > 0;
}

bool hub_auth_is_socket_id(struct str s)
{
    struct str second;
    struct str first = str_cut(s, '.', &second);
    return is_digits(first) && is_digits(second);
}

/* ---- REST calls ---- */

enum { MAX_PARAMS = 32 };

struct param {
    struct str name, value; // decoded
};

struct params {
    struct param at[MAX_PARAMS];
    size_t count;
};

static struct str find_param(const struct params *p, struct str name)
{
    for (size_t i = 0; i < p->count; i++)
        if (str_eq(p->at[i].name, name))
            return p->at[i].value;
    return (struct str){0};
}

static enum err decode(struct str text, struct arena *a, struct str *out)
{
    if (str_index(text, '%') == text.len && str_index(text, '+') == text.len) {
        *out = text; // as it stands: the target of a request is visible ASCII
        return OK;
    }
    char *spaced = arena_alloc(a, text.len + 1);
    if (text.len > 0)
        memcpy(spaced, text.at, text.len);
    for (size_t i = 0; i < text.len; i++)
        if (spaced[i] == '+')
            spaced[i] = ' ';
    return http_decode((struct str){spaced, text.len}, a, out);
}

/* PHP's SDK sends an array as info[0]=a&info[1]=b and signs it as info=a,b. False: no such array
 * was begun. */
static bool join_array(struct params *p, struct str *name, struct str value, struct arena *a)
{
    size_t bracket = str_index(*name, '[');
    if (bracket == name->len || name->at[name->len - 1] != ']')
        return false;
    name->len = bracket;
    for (size_t i = 0; i < p->count; i++) {
        struct param *begun = &p->at[i];
        if (!str_eq(begun->name, *name))
            continue;
        begun->value = arena_printf(a, "%.*s,%.*s", STR_ARG(begun->value), STR_ARG(value));
        return true;
    }
    return false;
}

static enum err parse_params(struct str query, struct arena *a, struct params *out)
{
    out->count = 0;
    for (struct str rest = query; rest.len > 0;) {
        struct param p;
        struct str value;
        struct str name = str_cut(str_cut(rest, '&', &rest), '=', &value);
        if (name.len == 0 && value.len == 0)
            continue;
        if (decode(name, a, &p.name) != OK || decode(value, a, &p.value) != OK)
            return ERR_INVALID;
        if (join_array(out, &p.name, p.value, a))
            continue;
        if (out->count == MAX_PARAMS)
            return ERR_TOO_LARGE;
        out->at[out->count++] = p;
    }
    return OK;
}

static int compare_names(const void *left, const void *right)
{
    const struct param *a = left, *b = right;
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = len > 0 ? memcmp(a->name.at, b->name.at, len) : 0;
    return order != 0 ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

/* The parameters that Pusher's servers and SDKs leave out of the signature; body_md5 comes back,
 * made from the body that we have. */
static bool is_signed(struct str name)
{
    static const char *const left_out[] = {"auth_signature", "body_md5", "appId", "appKey",
                                           "channelName"};
    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
        if (str_eq(name, str_of(left_out[i])))
            return false;
    return true;
}

static struct str hex_md5(struct str body, struct arena *a)
{
    uint8_t digest[CRYPTO_MD5_BYTES];
    char *hex = arena_alloc(a, HEX_MD5_BYTES);
    crypto_md5(body, digest);
    crypto_hex(digest, sizeof(digest), hex);
    return str_of(hex);
}

static void sign_call(const struct hub_app *app, const struct hub_auth_call *call,
                      const struct params *all, struct arena *a, char out[static HEX_SHA256_BYTES])
{
    struct param sorted[MAX_PARAMS + 1] __attribute__((uninitialized));
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        if (is_signed(all->at[i].name))
            sorted[count++] = all->at[i];
    if (call->body.len > 0)
        sorted[count++] = (struct param){STR("body_md5"), hex_md5(call->body, a)};
    qsort(sorted, count, sizeof(sorted[0]), compare_names);

    struct str parts[4 + 4 * (MAX_PARAMS + 1)] __attribute__((uninitialized));
    size_t n = 0;
    parts[n++] = call->method;
    parts[n++] = STR("\n");
    parts[n++] = call->path;
    parts[n++] = STR("\n");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            parts[n++] = STR("&");
        parts[n++] = sorted[i].name;
        parts[n++] = STR("=");
        parts[n++] = sorted[i].value;
    }
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_hmac_sha256(app->secret, parts, n, digest);
    crypto_hex(digest, sizeof(digest), out);
}

static bool timestamp_is_near(struct str text, int64_t now_s, int64_t max_skew_s)
{
    int64_t at_s;
    if (max_skew_s == 0)
        return true;
    // Seconds of any real clock are far below 2^40, so the difference cannot overflow.
    return str_parse_int(text, &at_s) == OK && at_s >= 0 && at_s < INT64_C(1) << 40 &&
           llabs(now_s - at_s) <= max_skew_s;
}

enum err hub_auth_check_call(const struct hub_app *app, const struct hub_auth_call *call,
                             int64_t now_s, struct arena *a, const char **why_out)
{
    struct params params __attribute__((uninitialized));
    char hex[HEX_SHA256_BYTES];

    *why_out = "Authentication signature invalid.";
    if (parse_params(call->query, a, &params) != OK)
        return ERR_DENIED;
    sign_call(app, call, &params, a, hex);
    if (!crypto_equal(find_param(&params, STR("auth_signature")), str_of(hex)))
        return ERR_DENIED;
    // From here on the caller knows the secret, so it may be told what else is wrong.
    if (!str_eq(find_param(&params, STR("auth_key")), app->key)) {
        *why_out = "The auth_key is not this app's.";
        return ERR_DENIED;
    }
    if (!str_eq(find_param(&params, STR("auth_version")), STR("1.0"))) {
        *why_out = "The auth_version must be 1.0.";
        return ERR_DENIED;
    }
    if (!timestamp_is_near(find_param(&params, STR("auth_timestamp")), now_s,
                           app->max_timestamp_skew_s)) {
        *why_out = "The auth_timestamp is too far from the server's time.";
        return ERR_DENIED;
    }
    return OK;
}
