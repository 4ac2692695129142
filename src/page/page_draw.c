/* page_draw.c -- the stages that all pages share: ask, read, dress, draw. */
#include "page/page_draw.h"

#include "civic/civic_notification.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/json.h"
#include "core/mustache.h"
#include "page/page_form.h"
#include "page/page_problem.h"

struct page_ask *page_draw_asked(const struct api_call *call)
{
    return call->data;
}

bool page_draw_is_anonymous(const struct http_request *req)
{
    return http_cookie_get(req, STR("viche_session")).at == NULL &&
           http_field_get(req, STR("Authorization")).at == NULL;
}

enum locale_lang page_draw_lang(const struct http_request *req)
{
    return locale_choose(http_cookie_get(req, STR("viche_lang")),
                         http_field_get(req, STR("Accept-Language")));
}

static enum err finish_here(struct api_call *call);

enum err page_draw_ask(struct api_call *call, const struct page_kind *kind)
{
    struct http_exchange *x = call->x;
    struct page_ask *ask = ARENA_NEW(call->arena, struct page_ask);
    call->data = ask;
    ask->kind = kind;
    ask->path = x->req.path;
    ask->back = x->req.target;
    ask->view = cJSON_CreateObject();
    ask->form = cJSON_AddObjectToObject(ask->view, "form");
    ask->data = cJSON_CreateObject();
    call->finish_here = finish_here;
    for (size_t i = 0; i < PAGE_CACHE_FIELDS; i++)
        http_reply_field(x, page_cache_fields[i].name, page_cache_fields[i].value);

    return x->params[0].len > 0 ? api_param_id(call, 0, &ask->id) : OK;
}

void page_draw_cacheable(struct api_call *call, enum page_subject subject, int64_t id)
{
    struct page_ask *ask = page_draw_asked(call);
    struct page *page = call->api->page;
    int loop = io_loop_index(call->x->loop);
    if (!page_draw_is_anonymous(&call->x->req) || loop >= page->cache_count)
        return;
    ask->cache = page->caches[loop];
    ask->cache_key = (struct page_cache_key){call->lang, call->x->req.target,
                                             page_version_now(&page->version, subject, id)};
}

enum err page_draw_limit(struct api_call *call, enum civic_rate_kind kind)
{
    int64_t wait_ms = civic_rate_take_id(call->api->civic->rate, kind, call->viewer.id);
    return wait_ms ? api_refuse_rate(call, wait_ms) : OK;
}

struct page_dress page_draw_dress(const struct api_call *call)
{
    return (struct page_dress){call->lang, clock_unix_ms(), call->viewer.id, true, call->arena};
}

void page_draw_typed(struct api_call *call, const char *name, struct str value)
{
    page_json_add(page_draw_asked(call)->form, name, value);
}

void page_draw_data(struct api_call *call, const char *name, cJSON *tree)
{
    cJSON_AddItemToObject(page_draw_asked(call)->data, name, tree);
}

// ---- the root of the view ----

/* Has a session, perhaps, but the store was not asked. */
static bool is_viewer_unknown(const struct api_call *call)
{
    return call->viewer.token_hash.len && !call->viewer.is_known;
}

static void add_head(struct api_call *call, cJSON *view)
{
    const struct page_ask *ask = page_draw_asked(call);
    const struct page *page = call->api->page;

    page_json_refer(view, "t", locale_tree(call->lang));
    page_json_add(view, "lang", str_of(locale_code(call->lang)));
    cJSON_AddBoolToObject(view, "is_uk", call->lang == LOCALE_UK);
    cJSON_AddBoolToObject(view, "is_anonymous", call->viewer.id == 0);
    cJSON_AddBoolToObject(view, "is_viewer_unknown", is_viewer_unknown(call));
    page_json_add(view, "back", page_form_encode(ask->back, call->arena));

    cJSON *assets = cJSON_AddObjectToObject(view, "assets");
    page_json_add(assets, "css", arena_printf(call->arena, "/%s", page->css));
    page_json_add(assets, "js", arena_printf(call->arena, "/%s", page->js));
    page_json_add(assets, "font_latin", arena_printf(call->arena, "/%s", page->font_latin));
    page_json_add(assets, "font_cyrillic", arena_printf(call->arena, "/%s", page->font_cyrillic));

    if (ask->kind->is_admin) {
        page_json_add(assets, "admin_css", arena_printf(call->arena, "/%s", page->admin_css));
        page_json_add(assets, "admin_js", arena_printf(call->arena, "/%s", page->admin_js));
    }

    cJSON *nav = cJSON_AddObjectToObject(view, "nav");
    if (ask->kind->nav)
        cJSON_AddBoolToObject(nav, ask->kind->nav, true);
}

static void add_user(struct api_call *call, cJSON *view)
{
    if (!call->viewer.id) {
        cJSON_AddNullToObject(view, "user");
        return;
    }
    char key[CRYPTO_TOKEN_CHARS + 1];
    crypto_token(key);
    page_json_add(view, "form_key", str_of(key));
    cJSON *user = cJSON_AddObjectToObject(view, "user");
    cJSON_AddNumberToObject(user, "id", (double)call->viewer.id);
    page_json_add(user, "name", call->viewer.name);
    if (civic_policy_may(api_actor(call).role, CIVIC_SEE_QUEUES))
        cJSON_AddBoolToObject(user, "is_operator", true);
}

void page_draw_title(struct api_call *call, struct str title, struct str description)
{
    const struct page_ask *ask = page_draw_asked(call);
    cJSON *page = cJSON_AddObjectToObject(ask->view, "page");
    struct str site = locale_text(call->lang, STR("site.name"));
    if (!title.len)
        title = locale_text(call->lang, STR("site.tagline"));
    if (!description.len)
        description = locale_text(call->lang, STR("site.description"));
    page_json_add(page, "title",
                  arena_printf(call->arena, "%.*s — %.*s", STR_ARG(title), STR_ARG(site)));
    page_json_add(page, "description", description);
    if (call->api->origin && call->problem.status == 0)
        page_json_add(page, "canonical",
                      arena_printf(call->arena, "%s%.*s", call->api->origin, STR_ARG(ask->path)));
}

/* The script's data: JSON in which "<" is escaped, so that no text ends the element. */
static void add_data(struct api_call *call, cJSON *view)
{
    const struct page_ask *ask = page_draw_asked(call);
    const cJSON *user = cJSON_GetObjectItemCaseSensitive(view, "user");
    struct buf json, safe;
    buf_init(&json, PAGE_MAX_BYTES);
    buf_init(&safe, PAGE_MAX_BYTES);

    page_json_add(ask->data, "lang", str_of(locale_code(call->lang)));
    page_json_refer(ask->data, "user", user);
    cJSON *pusher = cJSON_AddObjectToObject(ask->data, "pusher");
    page_json_add(pusher, "key", str_of(call->api->app_key));
    page_json_add(pusher, "path", str_of(call->api->hub_path));

    enum err err = json_print(ask->data, &json);
    struct str rest = {(const char *)buf_head(&json), buf_len(&json)};
    while (!err && rest.len) {
        bool has_more = str_index(rest, '<') < rest.len;
        struct str part = str_cut(rest, '<', &rest);
        err = buf_append(&safe, part.at, part.len);
        if (!err && has_more)
            err = buf_append(&safe, "\\u003c", 6);
    }
    if (!err)
        page_json_add(view, "data_json",
                      (struct str){(const char *)buf_head(&safe), buf_len(&safe)});
    buf_done(&json);
    buf_done(&safe);
}

// ---- drawing ----

static const struct mustache *partial(void *ctx, struct str name)
{
    return page_template(ctx, name);
}

static enum err draw(struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    if (ask->kind->dress)
        ask->kind->dress(call);
    add_head(call, ask->view);
    add_user(call, ask->view);
    add_data(call, ask->view);

    const struct mustache *m = page_template(call->api->page, str_of(ask->kind->template));
    CHECK(m);
    buf_done(&call->body);
    buf_init(&call->body, PAGE_MAX_BYTES);
    call->type = "text/html; charset=utf-8";
    return mustache_render(m, ask->view, partial, call->api->page, &call->body);
}

/* Sends bytes, which stand for what was drawn, compressed. */
static enum err send_gzip(struct api_call *call, struct str bytes)
{
    buf_consume(&call->body, buf_len(&call->body));
    api_add_field(call, STR("Content-Encoding"), STR("gzip"));
    return buf_append(&call->body, bytes.at, bytes.len);
}

static enum err compress(struct api_call *call)
{
    struct buf gzip;
    buf_init(&gzip, PAGE_MAX_BYTES);
    enum err err = page_cache_gzip(
        (struct str){(const char *)buf_head(&call->body), buf_len(&call->body)}, &gzip);
    if (!err)
        err = send_gzip(call, (struct str){(const char *)buf_head(&gzip), buf_len(&gzip)});
    buf_done(&gzip);
    return err;
}

static enum err draw_page(struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    bool wants_gzip = http_accepts_coding(&call->x->req, STR("gzip"));
    struct page_cache_fill *fill = NULL;
    enum err err = draw(call);
    if (err)
        return err;
    if (ask->cache_key.target.len)
        fill = page_cache_fill_new(
            ask->cache, &ask->cache_key,
            (struct str){(const char *)buf_head(&call->body), buf_len(&call->body)});
    if (wants_gzip)
        err = fill ? send_gzip(call, page_cache_fill_gzip(fill)) : compress(call);
    page_cache_fill_post(fill, call->x->loop);
    return err;
}

static void free_views(struct page_ask *ask)
{
    cJSON_Delete(ask->data);
    cJSON_Delete(ask->view);
    ask->data = ask->view = NULL;
}

static enum err see_other(struct api_call *call, struct str location)
{
    call->status = 303;
    call->type = "text/html; charset=utf-8";
    buf_done(&call->body);
    api_add_field(call, STR("Location"), location);
    return OK;
}

static struct str login_url(const struct api_call *call)
{
    struct str back = page_form_encode(page_draw_asked(call)->back, call->arena);
    return arena_printf(call->arena, "/login?next=%.*s", STR_ARG(back));
}

static enum err draw_problem_page(struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    ask->kind = &page_problem_kind;
    cJSON_Delete(ask->view);
    ask->view = cJSON_CreateObject();
    if (!call->viewer.id && !is_viewer_unknown(call))
        page_json_add(ask->view, "login_url", login_url(call));
    call->status = call->problem.status;
    return draw(call);
}

/* Where the answer leads; empty: it is a page. */
static struct str destination(const struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    bool is_form = call->endpoint->finish == page_draw_finish_form;
    if (!is_form && call->problem.status == 401)
        return login_url(call);
    if (call->problem.status)
        return (struct str){0};
    return is_form && !ask->location.len ? ask->path : ask->location;
}

/* Drawing takes no longer than a large request; it is reading that would block. */
static enum err finish_here(struct api_call *call)
{
    struct str to = destination(call);
    if (!to.len)
        (void)api_refuse_busy(call);
    enum err err = to.len ? see_other(call, to) : draw_problem_page(call);
    free_views(page_draw_asked(call));
    return err;
}

enum err page_draw_read(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    if (call->viewer.id) {
        int64_t unread;
        enum err err = civic_notification_unread(tx, call->viewer.id, &unread);
        if (err)
            return err;
        cJSON_AddNumberToObject(ask->view, "unread_count", (double)unread);
    }
    return ask->kind->load ? ask->kind->load(tx, call) : OK;
}

enum err page_draw_finish(struct api_call *call)
{
    struct str to = destination(call);
    enum err err;
    if (to.len)
        err = see_other(call, to);
    else if (call->problem.status)
        err = draw_problem_page(call);
    else
        err = draw_page(call);
    free_views(page_draw_asked(call));
    return err;
}

static enum err read_again(struct store_tx *tx, void *arg)
{
    return page_draw_read(tx, arg);
}

/* The page of a refused form, with the problem on it. */
static enum err draw_again(struct api_call *call)
{
    struct api_problem problem = call->problem;
    call->problem = (struct api_problem){0};
    enum err err = store_read(call->api->store, read_again, call);
    if (!call->problem.status)
        call->problem = problem; // else even the page is out of reach: that is what is told
    if (err)
        return draw_problem_page(call);
    page_problem_add(call, problem.status == 401 ? login_url(call) : (struct str){0});
    call->status = problem.status;
    return draw(call);
}

enum err page_draw_finish_form(struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    struct str to = destination(call);
    enum err err;
    if (to.len)
        err = see_other(call, to);
    else if (call->problem.status >= 500 || !ask->kind)
        err = draw_problem_page(call);
    else
        err = draw_again(call);
    free_views(ask);
    return err;
}
