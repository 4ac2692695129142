#include "page/page_account.h"

#include "api/api_auth.h"
#include "civic/civic_text.h"
#include "page/page_draw.h"
#include "page/page_form.h"

/* Where a log-in leads: the next of the query or of the form, when it is a page of ours. */
static void set_next(struct api_call *call, struct str next)
{
    struct page_ask *ask = page_draw_asked(call);
    next = page_form_safe_path(next);
    ask->back = next;
    ask->location = (struct str){0};
    page_draw_typed(call, "next", next);
    if (next.len > 1)
        page_draw_typed(call, "next_encoded", page_form_encode(next, call->arena));
}

static void dress_titled(struct api_call *call, struct str section)
{
    struct str title = arena_printf(call->arena, "%.*s.title", STR_ARG(section));
    struct str lead = arena_printf(call->arena, "%.*s.lead", STR_ARG(section));
    cJSON *view = page_draw_asked(call)->view;
    cJSON_AddBoolToObject(view, "is_needed",
                          *page_json_text(page_draw_asked(call)->form, "next_encoded") != '\0');
    page_draw_title(call, locale_text(call->lang, title), locale_text(call->lang, lead));
}

static void dress_login(struct api_call *call)
{
    dress_titled(call, STR("login"));
}

static void dress_register(struct api_call *call)
{
    dress_titled(call, STR("register"));
}

static const struct page_kind login_kind = {
    .template = "login", .dress = dress_login, .nav = "is_login"};
static const struct page_kind register_kind = {.template = "register", .dress = dress_register};

// ---- logging in ----

static enum err decode_get_login(struct api_call *call)
{
    enum err err = page_draw_ask(call, &login_kind);
    if (!err)
        set_next(call, page_form_query(call, STR("next")));
    return err;
}

const struct api_endpoint page_account_get_login = {
    .decode = decode_get_login, .read = page_draw_read, .finish = page_draw_finish};

/* Begins a form of this file: checks it, and where it leads. */
static enum err ask_form(struct api_call *call, const struct page_kind *kind)
{
    struct str next;
    enum err err = page_draw_ask(call, kind);
    if (!err)
        err = page_form_check(call);
    if (!err)
        err = page_form_text(call, STR("next"), &next);
    if (err)
        return err;
    set_next(call, next);
    page_draw_asked(call)->location = page_draw_asked(call)->back;
    return OK;
}

static enum err typed_text(struct api_call *call, const char *name, struct str *out)
{
    enum err err = page_form_text(call, str_of(name), out);
    if (!err)
        page_draw_typed(call, name, *out);
    return err;
}

static enum err decode_post_login(struct api_call *call)
{
    struct api_auth_login *login = ARENA_NEW(call->arena, struct api_auth_login);
    struct str email;
    enum err err = ask_form(call, &login_kind);
    page_draw_asked(call)->input = login;
    if (!err)
        err = typed_text(call, "email", &email);
    if (!err)
        err = page_form_text(call, STR("password"), &login->password);
    if (err)
        return err;
    api_auth_check_email(call, email, &login->email);
    if (!login->password.len)
        (void)api_refuse_field(call, "/password", "required", 0);
    else if (login->password.len > CIVIC_TEXT_MAX_PASSWORD_BYTES)
        (void)api_refuse_field(call, "/password", "too-long", CIVIC_TEXT_MAX_PASSWORD_BYTES);
    return call->problem.status ? ERR_INVALID : OK;
}

static enum err work_login(struct api_call *call)
{
    return api_auth_check(call, page_draw_asked(call)->input);
}

static enum err write_login(struct store_tx *tx, struct api_call *call)
{
    return api_auth_begin(tx, call, page_draw_asked(call)->input);
}

const struct api_endpoint page_account_post_login = {.decode = decode_post_login,
                                                     .work = work_login,
                                                     .write = write_login,
                                                     .changes = API_NOTHING,
                                                     .finish = page_draw_finish_form};

// ---- registering: makes the account and logs in ----

static enum err decode_get_register(struct api_call *call)
{
    enum err err = page_draw_ask(call, &register_kind);
    if (!err)
        set_next(call, page_form_query(call, STR("next")));
    return err;
}

const struct api_endpoint page_account_get_register = {
    .decode = decode_get_register, .read = page_draw_read, .finish = page_draw_finish};

static enum err decode_post_register(struct api_call *call)
{
    struct api_auth_account *account = ARENA_NEW(call->arena, struct api_auth_account);
    struct str name, email;
    enum err err = ask_form(call, &register_kind);
    page_draw_asked(call)->input = account;
    if (!err)
        err = typed_text(call, "name", &name);
    if (!err)
        err = typed_text(call, "email", &email);
    if (!err)
        err = page_form_text(call, STR("password"), &account->password);
    if (err)
        return err;
    const char *code = civic_text_check(name, &civic_text_name, call->arena, &account->name);
    if (code)
        (void)api_refuse_field(call, "/name", code, (int64_t)civic_text_name.max_chars);
    api_auth_check_email(call, email, &account->email);
    api_auth_check_password(call, account->password);
    return call->problem.status ? ERR_INVALID : OK;
}

static enum err work_register(struct api_call *call)
{
    return api_auth_prepare(call, page_draw_asked(call)->input);
}

static enum err write_register(struct store_tx *tx, struct api_call *call)
{
    struct api_auth_account *account = page_draw_asked(call)->input;
    struct api_auth_login *login = ARENA_NEW(call->arena, struct api_auth_login);
    enum err err = api_auth_create(tx, call, account);
    if (err)
        return err;
    login->user = account->user;
    return api_auth_begin(tx, call, login);
}

const struct api_endpoint page_account_post_register = {.decode = decode_post_register,
                                                        .work = work_register,
                                                        .write = write_register,
                                                        .changes = API_NOTHING,
                                                        .finish = page_draw_finish_form};

// ---- logging out: works with an ended session too ----

static enum err decode_logout(struct api_call *call)
{
    enum err err = page_draw_ask(call, &login_kind);
    page_draw_asked(call)->path = page_draw_asked(call)->back = STR("/");
    return err ? err : page_form_check(call);
}

static enum err write_logout(struct store_tx *tx, struct api_call *call)
{
    if (call->viewer.id && call->claimed_id && call->claimed_id != call->viewer.id)
        return api_refuse(call, 409, "other-user");
    return api_auth_end(tx, call);
}

const struct api_endpoint page_account_post_logout = {.decode = decode_logout,
                                                      .write = write_logout,
                                                      .changes = API_NOTHING,
                                                      .finish = page_draw_finish_form};

// ---- the language ----

static enum err decode_language(struct api_call *call)
{
    enum err err = page_draw_ask(call, &login_kind);
    if (err)
        return err;
    struct page_ask *ask = page_draw_asked(call);
    struct str to = page_form_query(call, STR("to"));
    ask->location = page_form_safe_path(page_form_query(call, STR("back")));
    for (int lang = 0; lang < LOCALE_COUNT; lang++) {
        const char *code = locale_code((enum locale_lang)lang);
        if (str_eq(to, str_of(code)))
            api_add_field(call, STR("Set-Cookie"),
                          arena_printf(call->arena,
                                       "viche_lang=%s; Path=/; Max-Age=31536000; SameSite=Lax%s",
                                       code, api_cookie_end(call)));
    }
    return OK;
}

const struct api_endpoint page_account_language = {.decode = decode_language,
                                                   .finish = page_draw_finish};
