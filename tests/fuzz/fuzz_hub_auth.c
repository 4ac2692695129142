/* fuzz_hub_auth.c -- signatures. The input is lines: socket id, channel, channel_data or user_data,
 * auth, query, path, and the rest is a body.
 *
 *  - no auth and no query that came from outside is valid: it would have to be an HMAC
 *  - what was signed here, by a writer of its own, is valid, and stops being so when any byte of it
 *    changes
 */
#include "core/buf.h"
#include "core/check.h"
#include "core/crypto.h"
#include "hub/hub_auth.h"

enum { MAX_PAIRS = 8, MAX_QUERY_BYTES = 512, NOW_S = 1700000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct hub_app app = {
    .key = {"app-key", 7},
    .secret = {"app-secret", 10},
    .max_timestamp_skew_s = 600,
};

/* ---- subscriptions and sign-ins ---- */

static void check_auth(struct str socket_id, struct str channel, struct str data, struct str auth,
                       size_t at)
{
    char good[HUB_AUTH_BYTES];
    hub_auth_sign_channel(app.secret, app.key, socket_id, channel, data, good);
    CHECK(hub_auth_channel_is_valid(&app, socket_id, channel, data, str_of(good)));
    CHECK(str_eq(auth, str_of(good)) ==
          hub_auth_channel_is_valid(&app, socket_id, channel, data, auth));
    CHECK(!hub_auth_channel_is_valid(&app, STR("1.1\n"), channel, data, str_of(good)));
    good[at] ^= 1;
    CHECK(!hub_auth_channel_is_valid(&app, socket_id, channel, data, str_of(good)));

    // A sign-in is signed like the channel ":user::data" without channel_data.
    struct buf user;
    buf_init(&user, 16 + data.len);
    CHECK(buf_append(&user, ":user::", 7) == OK && buf_append(&user, data.at, data.len) == OK);
    struct str as_channel = {(const char *)buf_head(&user), buf_len(&user)};
    hub_auth_sign_channel(app.secret, app.key, socket_id, as_channel, STR(""), good);
    buf_done(&user);
    CHECK(hub_auth_user_is_valid(&app, socket_id, data, str_of(good)));
    CHECK(str_eq(auth, str_of(good)) == hub_auth_user_is_valid(&app, socket_id, data, auth));
    good[at] ^= 1;
    CHECK(!hub_auth_user_is_valid(&app, socket_id, data, str_of(good)));
}

/* ---- calls ---- */

static enum err check_call(struct str query, struct str path, struct str body)
{
    struct hub_auth_call call = {STR("POST"), path, query, body};
    const char *why = NULL;
    struct arena a;
    arena_init(&a);
    enum err err = hub_auth_check_call(&app, &call, NOW_S, &a, &why);
    CHECK(err == OK || (err == ERR_DENIED && why));
    arena_done(&a);
    return err;
}

/* Names of small letters with values of hex digits: what sorts and escapes alike for everybody.
 * They follow auth_version, so the query is sorted as it stands. */
static void write_query(struct buf *out, struct str from, struct str body)
{
    static const char letters[] = "abcdefghijklmnop";
    CHECK(buf_printf(out, "auth_key=app-key&auth_timestamp=%d&auth_version=1.0", NOW_S) == OK);
    if (body.len > 0) {
        uint8_t digest[CRYPTO_MD5_BYTES];
        char hex[2 * CRYPTO_MD5_BYTES + 1];
        crypto_md5(body, digest);
        crypto_hex(digest, sizeof(digest), hex);
        CHECK(buf_printf(out, "&body_md5=%s", hex) == OK);
    }
    for (size_t i = 0; i < from.len && i < MAX_PAIRS; i++)
        CHECK(buf_printf(out, "&p%zu%c=%c", i, letters[from.at[i] & 15],
                         letters[(from.at[i] >> 4) & 15]) == OK);
}

static void sign(struct buf *query, struct str path)
{
    struct str text = {(const char *)buf_head(query), buf_len(query)};
    struct str parts[] = {STR("POST\n"), path, STR("\n"), text};
    uint8_t digest[CRYPTO_SHA256_BYTES];
    char hex[2 * CRYPTO_SHA256_BYTES + 1];
    crypto_hmac_sha256(app.secret, parts, sizeof(parts) / sizeof(parts[0]), digest);
    crypto_hex(digest, sizeof(digest), hex);
    CHECK(buf_printf(query, "&auth_signature=%s", hex) == OK);
}

static void check_signed(struct str from, struct str path, struct str body, size_t at)
{
    struct buf out;
    buf_init(&out, MAX_QUERY_BYTES);
    write_query(&out, from, body);
    sign(&out, path);
    struct str query = {(const char *)buf_head(&out), buf_len(&out)};
    CHECK(check_call(query, path, body) == OK);
    CHECK(check_call(query, STR("/another/path\n"), body) == ERR_DENIED);
    CHECK(check_call(query, path, STR("another body\n")) == ERR_DENIED);

    char changed[MAX_QUERY_BYTES];
    memcpy(changed, query.at, query.len);
    changed[query.len - 1 - at] ^= 1; // of the signature
    CHECK(check_call((struct str){changed, query.len}, path, body) == ERR_DENIED);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { HEX = 64 };
    static bool is_ready;
    struct str rest = {(const char *)data, size};
    struct str socket_id = str_cut(rest, '\n', &rest), channel = str_cut(rest, '\n', &rest);
    struct str channel_data = str_cut(rest, '\n', &rest), auth = str_cut(rest, '\n', &rest);
    struct str query = str_cut(rest, '\n', &rest), path = str_cut(rest, '\n', &rest);
    size_t at = size > 0 ? data[size - 1] % HEX : 0; // which digit is changed

    if (!is_ready)
        crypto_init();
    is_ready = true;
    (void)hub_auth_is_socket_id(socket_id);
    check_auth(socket_id, channel, channel_data, auth, at);
    CHECK(check_call(query, path, rest) == ERR_DENIED);
    check_signed(query, path, rest, at);
    return 0;
}
