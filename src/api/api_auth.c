#include "api/api_auth.h"

#include "api/api_body.h"
#include "api/api_internal.h"
#include "civic/civic_rate.h"
#include "civic/civic_session.h"
#include "civic/civic_view.h"

/* ---- sessions ---- */
static void set_cookie(struct api_call *call, const char *token, int64_t age_s)
{
    api_add_field(call, STR("Set-Cookie"),
                  arena_printf(call->arena,
                               "viche_session=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Lax%s",
                               token, (long long)age_s, api_cookie_end(call)));
}

struct find_login {
    struct api_call *call;
    struct api_auth_login *login;
};

static enum err find_login(struct store_tx *tx, void *arg)
{
    struct find_login *find = arg;
    return civic_user_find_login(tx, find->login->email, find->call->arena, &find->login->user);
}

static bool is_password_right(const struct api_auth_login *login, bool is_known)
{
    char unused[CRYPTO_PASSWORD_HASH_BYTES];
    if (is_known)
        return crypto_password_matches(login->user.password_hash.at, login->password);
    crypto_password_hash(login->password, unused); // the time must not tell who has an account
    return false;
}

/* What a failed login counts for. */
enum { LOGIN_RATES = 3 };
struct login_rate {
    enum civic_rate_kind kind;
    struct str key;
};

static void name_rates(struct api_call *call, const struct api_auth_login *login,
                       struct login_rate out[static LOGIN_RATES])
{
    const char *peer = call->x->peer;
    out[0] = (struct login_rate){CIVIC_RATE_LOGIN_PAIR,
                                 arena_printf(call->arena, "%.*s %s", STR_ARG(login->email), peer)};
    out[1] = (struct login_rate){CIVIC_RATE_LOGIN_EMAIL, login->email};
    out[2] = (struct login_rate){CIVIC_RATE_LOGIN_ADDRESS, str_of(peer)};
}

static void give_back(struct civic_rate *rate, const struct login_rate *rates, int count)
{
    for (int i = 0; i < count; i++)
        civic_rate_give_back(rate, rates[i].kind, rates[i].key);
}

/* All or none. */
static int64_t take_rates(struct civic_rate *rate, const struct login_rate *rates)
{
    for (int i = 0; i < LOGIN_RATES; i++) {
        int64_t wait_ms = civic_rate_take(rate, rates[i].kind, rates[i].key);
        if (!wait_ms)
            continue;
        give_back(rate, rates, i);
        return wait_ms;
    }
    return 0;
}

static enum err check_password(struct api_call *call, struct api_auth_login *login)
{
    struct find_login find = {call, login};
    enum err err = store_read(call->api->store, find_login, &find);
    if (err && err != ERR_NOT_FOUND)
        return err;
    return is_password_right(login, !err) ? OK : api_refuse(call, 401, "login-failed");
}

enum err api_auth_check(struct api_call *call, struct api_auth_login *login)
{
    struct civic_rate *rate = call->api->civic->rate;
    struct login_rate rates[LOGIN_RATES];
    name_rates(call, login, rates);
    int64_t wait_ms = take_rates(rate, rates);
    if (wait_ms)
        return api_refuse_rate(call, wait_ms);
    enum err err = check_password(call, login);
    if (call->problem.status != 401)
        give_back(rate, rates, LOGIN_RATES);
    return err;
}

enum err api_auth_begin(struct store_tx *tx, struct api_call *call, struct api_auth_login *login)
{
    int64_t lasts_ms = call->api->civic->options.session_ms;
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_token(login->token);
    crypto_sha256(str_of(login->token), hash);
    enum err err = civic_session_create(tx, login->user.id,
                                        (struct str){(const char *)hash, sizeof(hash)}, lasts_ms);
    if (!err)
        set_cookie(call, login->token, lasts_ms / 1000);
    return err;
}

enum err api_auth_end(struct store_tx *tx, struct api_call *call)
{
    set_cookie(call, "", 0);
    return civic_session_end(tx, call->viewer.token_hash);
}

/* ---- POST /api/v1/session ---- */
static enum err decode_login(struct api_call *call)
{
    struct api_auth_login *login = ARENA_NEW(call->arena, struct api_auth_login);
    struct api_body body;
    struct str email;
    call->data = login;
    enum err err = api_body_parse(call, &body);
    if (err)
        return err;
    api_body_raw(&body, "/email", &email);
    api_body_raw(&body, "/password", &login->password);
    if ((err = api_body_verdict(&body)))
        return err;
    const char *code = civic_text_check_email(email, call->arena, &login->email);
    if (code)
        err = api_refuse_field(call, "/email", code, CIVIC_TEXT_MAX_EMAIL_BYTES);
    code = civic_text_check_password(login->password);
    if (code && strcmp(code, "too-short") != 0) // a short one is just wrong
        err = api_refuse_field(call, "/password", code, CIVIC_TEXT_MAX_PASSWORD_BYTES);
    return err;
}

static enum err work_login(struct api_call *call)
{
    return api_auth_check(call, call->data);
}

static enum err write_login(struct store_tx *tx, struct api_call *call)
{
    struct api_auth_login *login = call->data;
    enum err err = api_auth_begin(tx, call, login);
    if (err)
        return err;
    cJSON *view = cJSON_CreateObject();
    cJSON_AddStringToObject(view, "token", login->token);
    cJSON_AddItemToObject(view, "user", civic_view_own_user(&login->user));
    return api_answer(call, 201, view);
}

const struct api_endpoint api_auth_login = {
    .decode = decode_login, .work = work_login, .write = write_login, .changes = API_NOTHING};

/* ---- GET, DELETE /api/v1/session ---- */
static enum err read_whoami(struct store_tx *tx, struct api_call *call)
{
    (void)tx;
    const struct civic_user user = {
        .id = call->viewer.id,
        .name = call->viewer.name,
        .email = call->viewer.email,
        .role = civic_policy_role(call->viewer.role),
    };
    cJSON *view = cJSON_CreateObject();
    cJSON_AddItemToObject(view, "user", civic_view_own_user(&user));
    return api_answer(call, 200, view);
}

static enum err write_logout(struct store_tx *tx, struct api_call *call)
{
    call->status = 204;
    return api_auth_end(tx, call);
}

const struct api_endpoint api_auth_whoami = {.auth = API_USER, .read = read_whoami};
const struct api_endpoint api_auth_logout = {
    .auth = API_USER, .write = write_logout, .changes = API_NOTHING};

/* ---- POST /api/v1/users ---- */
enum err api_auth_prepare(struct api_call *call, struct api_auth_account *account)
{
    int64_t wait_ms =
        civic_rate_take(call->api->civic->rate, CIVIC_RATE_REGISTER, str_of(call->x->peer));
    if (wait_ms)
        return api_refuse_rate(call, wait_ms);
    crypto_password_hash(account->password, account->password_hash);
    return OK;
}

enum err api_auth_create(struct store_tx *tx, struct api_call *call,
                         struct api_auth_account *account)
{
    const struct civic_user_new user = {
        .email = account->email,
        .name = account->name,
        .password_hash = str_of(account->password_hash),
        .role = CIVIC_USER,
    };
    account->user = (struct civic_user){.name = arena_str(call->arena, account->name),
                                        .email = arena_str(call->arena, account->email),
                                        .role = CIVIC_USER};
    enum err err = civic_user_create(tx, &user, &account->user.id);
    return err == ERR_CONFLICT ? api_refuse_field(call, "/email", "taken", 0) : err;
}

void api_auth_check_email(struct api_call *call, struct str in, struct str *clean_out)
{
    const char *code = civic_text_check_email(in, call->arena, clean_out);
    if (code)
        api_body_refuse(call, "/email", code, CIVIC_TEXT_MAX_EMAIL_BYTES);
}

void api_auth_check_password(struct api_call *call, struct str password)
{
    const char *code = civic_text_check_password(password);
    if (code)
        api_body_refuse(call, "/password", code,
                        strcmp(code, "too-short") == 0 ? CIVIC_TEXT_MIN_PASSWORD_BYTES
                                                       : CIVIC_TEXT_MAX_PASSWORD_BYTES);
}

static enum err decode_register(struct api_call *call)
{
    struct api_auth_account *account = ARENA_NEW(call->arena, struct api_auth_account);
    struct api_body body;
    struct str email;
    call->data = account;
    enum err err = api_body_parse(call, &body);
    if (err)
        return err;
    api_body_raw(&body, "/email", &email);
    api_body_text(&body, "/name", &civic_text_name, &account->name);
    api_body_raw(&body, "/password", &account->password);
    api_auth_check_email(call, email, &account->email);
    api_auth_check_password(call, account->password);
    return api_body_verdict(&body);
}

static enum err work_register(struct api_call *call)
{
    return api_auth_prepare(call, call->data);
}

static enum err write_register(struct store_tx *tx, struct api_call *call)
{
    struct api_auth_account *account = call->data;
    enum err err = api_auth_create(tx, call, account);
    return err ? err : api_answer(call, 201, civic_view_own_user(&account->user));
}

const struct api_endpoint api_auth_register = {.decode = decode_register,
                                               .work = work_register,
                                               .write = write_register,
                                               .changes = API_NOTHING};
