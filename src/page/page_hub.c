/* page_hub.c -- the operator's pages of the hubs.
 *
 *     loop: /hub, or /hub?socket=ID -> hub_inspect, one question after the other
 *     pool: the answers' JSON + words -> template
 *     loop: reply
 */
#include "page/page_hub.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "hub/hub.h"
#include "hub/hub_inspect.h"
#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_time.h"

enum { MAX_QUESTIONS = 3, MAX_ANSWER_BYTES = 64 << 20 };

struct visit {
    struct io_job job;
    struct http_exchange *x;
    const struct page_hub *hub;
    const struct view *view;
    struct hub_inspect_query query;
    enum locale_lang lang;
    int64_t now_ms;
    size_t asked; // questions that are answered
    struct buf answers[MAX_QUESTIONS];
    struct buf html;
    int status;
};

/* A page: what it asks, and how the answers are dressed. */
struct view {
    const char *template;
    struct {
        enum hub_inspect_what what;
        const char *name; // in the template's view
    } questions[MAX_QUESTIONS];
    void (*dress)(struct visit *v, cJSON *root);
};

/* ---- words ---- */

static struct str words(const struct visit *v, const char *key)
{
    return locale_text(v->lang, str_of(key));
}

static void add_words(const struct visit *v, cJSON *object, const char *name, const char *key)
{
    page_json_add(object, name, words(v, key));
}

static void add_bytes(const struct visit *v, cJSON *object, const char *name, int64_t bytes)
{
    page_json_add(object, name, locale_plural(v->lang, STR("hub.bytes"), bytes, &v->x->arena));
}

static void add_number(const struct visit *v, cJSON *object, const char *name, int64_t n)
{
    page_json_add(object, name, locale_number(v->lang, n, &v->x->arena));
}

/* When: to the millisecond, and how long ago. */
static void add_times(const struct visit *v, cJSON *object, int64_t ms)
{
    struct arena *a = &v->x->arena;
    page_json_add(object, "clock_text", page_time_clock(ms, a));
    page_json_add(object, "full_text", page_time_full(v->lang, ms, a));
    page_json_add(object, "ago_text", page_time_ago(v->lang, v->now_ms, ms, a));
}

static void add_url(const struct visit *v, cJSON *object, const char *name, const char *value)
{
    struct arena *a = &v->x->arena;
    page_json_add(
        object, "url",
        arena_printf(a, "/hub?%s=%.*s", name, STR_ARG(page_form_encode(str_of(value), a))));
}

static cJSON *rows_of(const cJSON *list)
{
    return cJSON_GetObjectItemCaseSensitive(list, "rows");
}

/* A list: how many there are, and that some are not shown. */
static void dress_list(const struct visit *v, cJSON *list)
{
    int64_t total = page_json_int(list, "total"), shown = cJSON_GetArraySize(rows_of(list));
    const struct str pairs[] = {STR("shown"),
                                locale_number(v->lang, shown, &v->x->arena),
                                STR("total"),
                                locale_number(v->lang, total, &v->x->arena),
                                {0}};
    add_number(v, list, "total_text", total);
    cJSON_AddBoolToObject(list, "has_rows", shown > 0);
    if (shown < total)
        page_json_add(list, "cut_text",
                      locale_format(v->lang, STR("hub.cut"), &v->x->arena, pairs));
}

/* ---- refusals ---- */

/* What happened to a client, and what its people can do. The first row that fits. */
static const struct {
    const char *what;
    int code;
    const char *why; // NULL: any
    const char *todo;
} todos[] = {
    {"refused_connection", 4001, NULL, "hub.todo.no_app"},
    {"refused_connection", 4003, NULL, "hub.todo.disabled"},
    {"refused_connection", 4004, "Too many connections from this address", "hub.todo.address"},
    {"refused_connection", 4004, NULL, "hub.todo.quota"},
    {"refused_connection", 4009, NULL, "hub.todo.origin"},
    {"refused_connection", 4100, NULL, "hub.todo.address"},
    {"refused_connection", 4200, NULL, "hub.todo.stopping"},
    {"refused_subscription", 401, NULL, "hub.todo.signature"},
    {"refused_subscription", 4009, "The connection has too many channels.", "hub.todo.channels"},
    {"refused_subscription", 4009, NULL, "hub.todo.name"},
    {"refused_subscription", 4100, NULL, "hub.todo.members"},
    {"refused_subscription", 4301, NULL, "hub.todo.member"},
    {"refused_client_event", 4009, NULL, "hub.todo.not_member"},
    {"refused_client_event", 4301, "Rate limit exceeded", "hub.todo.rate"},
    {"refused_client_event", 4301, NULL, "hub.todo.client_event"},
    {"refused_signin", 0, NULL, "hub.todo.signin"},
    {"refused_message", 4301, NULL, "hub.todo.rate"},
    {"refused_message", 4200, NULL, "hub.todo.message"},
};

static const char *find_todo(const char *what, int64_t code, const char *why)
{
    for (size_t i = 0; i < sizeof todos / sizeof todos[0]; i++)
        if (strcmp(todos[i].what, what) == 0 && (todos[i].code == 0 || todos[i].code == code) &&
            (!todos[i].why || strcmp(todos[i].why, why) == 0))
            return todos[i].todo;
    return "hub.todo.other";
}

static const char *find_what(const char *what)
{
    static const struct {
        const char *what, *key;
    } names[] = {
        {"refused_connection", "hub.what.connection"},
        {"refused_subscription", "hub.what.subscription"},
        {"refused_client_event", "hub.what.client_event"},
        {"refused_signin", "hub.what.signin"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].what, what) == 0)
            return names[i].key;
    return "hub.what.message";
}

static void dress_refusals(const struct visit *v, cJSON *list)
{
    cJSON *row;
    dress_list(v, list);
    cJSON_ArrayForEach(row, rows_of(list))
    {
        const char *what = page_json_text(row, "what"), *why = page_json_text(row, "why");
        add_words(v, row, "what_text", find_what(what));
        add_words(v, row, "todo_text", find_todo(what, page_json_int(row, "code"), why));
        add_times(v, row, page_json_int(row, "at_ms"));
        if (*page_json_text(row, "socket_id"))
            add_url(v, row, "socket", page_json_text(row, "socket_id"));
    }
}

/* ---- all of them ---- */

static void dress_channels(const struct visit *v, cJSON *list)
{
    cJSON *row;
    dress_list(v, list);
    cJSON_ArrayForEach(row, rows_of(list))
    {
        add_number(v, row, "subscribers_text", page_json_int(row, "subscribers"));
        add_number(v, row, "users_text", page_json_int(row, "users"));
        add_bytes(v, row, "cached_text", page_json_int(row, "cached_bytes"));
        add_url(v, row, "channel", page_json_text(row, "channel"));
    }
}

static void dress_connection(const struct visit *v, cJSON *row)
{
    static const struct {
        const char *state, *key;
    } states[] = {{"open", "hub.state.open"},
                  {"pinged", "hub.state.pinged"},
                  {"unauthorized", "hub.state.unauthorized"}};
    const char *state = page_json_text(row, "state");
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(states[i].state, state) == 0)
            add_words(v, row, "state_text", states[i].key);
    bool is_http = strcmp(page_json_text(row, "transport"), "http") == 0;
    add_words(v, row, "transport_text", is_http ? "hub.transport.http" : "hub.transport.websocket");
    add_times(v, row, page_json_int(row, "opened_at_ms"));
    page_json_add(row, "heard_text",
                  page_time_ago(v->lang, v->now_ms, v->now_ms - page_json_int(row, "silent_ms"),
                                &v->x->arena));
    add_number(v, row, "subscriptions_text", page_json_int(row, "subscriptions"));
    add_bytes(v, row, "waiting_text", page_json_int(row, "waiting_bytes"));
    add_bytes(v, row, "max_waiting_text", page_json_int(row, "max_waiting_bytes"));
    add_url(v, row, "socket", page_json_text(row, "socket_id"));
}

static void dress_connections(const struct visit *v, cJSON *list)
{
    cJSON *row;
    dress_list(v, list);
    cJSON_ArrayForEach(row, rows_of(list)) dress_connection(v, row);
}

static void dress_all(struct visit *v, cJSON *root)
{
    bool is_filtered = v->query.app.len > 0 || v->query.channel.len > 0;
    cJSON_AddBoolToObject(root, "is_filtered", is_filtered);
    add_words(v, root, "title", "hub.title");
    dress_connections(v, cJSON_GetObjectItemCaseSensitive(root, "connections"));
    dress_channels(v, cJSON_GetObjectItemCaseSensitive(root, "channels"));
    dress_refusals(v, cJSON_GetObjectItemCaseSensitive(root, "refusals"));
}

static const struct view all = {
    .template = "hub",
    .questions = {{HUB_INSPECT_CONNECTIONS, "connections"},
                  {HUB_INSPECT_CHANNELS, "channels"},
                  {HUB_INSPECT_REFUSALS, "refusals"}},
    .dress = dress_all,
};

/* ---- one of them ---- */

struct findings {
    bool has_pending, has_excluded, has_published;
};

static void dress_subscriptions(const struct visit *v, cJSON *connection, struct findings *f)
{
    cJSON *row, *rows = cJSON_GetObjectItemCaseSensitive(connection, "channels");
    cJSON_AddBoolToObject(connection, "has_channels", cJSON_GetArraySize(rows) > 0);
    cJSON_ArrayForEach(row, rows)
    {
        bool is_pending = page_json_is(row, "is_pending");
        f->has_pending |= is_pending;
        add_words(v, row, "state_text", is_pending ? "hub.channel.pending" : "hub.channel.active");
        add_url(v, row, "channel", page_json_text(row, "channel"));
    }
}

static void dress_frames(const struct visit *v, cJSON *list, struct findings *f)
{
    cJSON *row;
    dress_list(v, list);
    cJSON_ArrayForEach(row, rows_of(list))
    {
        bool is_in = strcmp(page_json_text(row, "way"), "in") == 0;
        bool is_excluded = page_json_is(row, "is_excluded");
        f->has_excluded |= is_excluded;
        f->has_published |= page_json_is(row, "is_published") && !is_excluded;
        add_words(v, row, "way_text",
                  is_excluded ? "hub.way.excluded"
                  : is_in     ? "hub.way.in"
                              : "hub.way.out");
        cJSON_AddBoolToObject(row, "is_in", is_in);
        add_bytes(v, row, "bytes_text", page_json_int(row, "bytes"));
        int64_t shown = (int64_t)strlen(page_json_text(row, "text"));
        cJSON_AddBoolToObject(row, "is_cut", shown < page_json_int(row, "bytes"));
        add_times(v, row, page_json_int(row, "at_ms"));
    }
}

static void add_advice(const struct visit *v, cJSON *advice, bool fits, const char *key)
{
    if (fits)
        cJSON_AddItemToArray(advice, cJSON_CreateString(words(v, key).at));
}

/* Why nothing arrives, as far as the server can tell; there is always something to say. */
static void advise(const struct visit *v, cJSON *root, const struct findings *f)
{
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(root, "connection");
    const cJSON *refusals = cJSON_GetObjectItemCaseSensitive(root, "refusals");
    const char *state = page_json_text(c, "state");
    cJSON *advice = cJSON_AddArrayToObject(root, "advice");
    add_advice(v, advice, !c, "hub.advice.gone");
    add_advice(v, advice, page_json_int(refusals, "total") > 0, "hub.advice.refused");
    add_advice(v, advice, strcmp(state, "unauthorized") == 0, "hub.advice.unauthorized");
    add_advice(v, advice, strcmp(state, "pinged") == 0, "hub.advice.pinged");
    add_advice(v, advice, c && page_json_int(c, "subscriptions") == 0, "hub.advice.no_channels");
    add_advice(v, advice, f->has_pending, "hub.advice.pending");
    add_advice(v, advice, page_json_int(c, "waiting_bytes") > 0, "hub.advice.waiting");
    add_advice(v, advice, f->has_excluded, "hub.advice.excluded");
    if (cJSON_GetArraySize(advice) == 0)
        add_advice(v, advice, true, f->has_published ? "hub.advice.fine" : "hub.advice.quiet");
}

static void dress_one(struct visit *v, cJSON *root)
{
    cJSON *connection = cJSON_GetObjectItemCaseSensitive(root, "connection");
    struct findings findings = {0};
    v->status = connection ? 200 : 404;
    page_json_add(root, "title", v->query.socket_id);
    if (connection) {
        dress_connection(v, connection);
        dress_subscriptions(v, connection, &findings);
    }
    dress_frames(v, cJSON_GetObjectItemCaseSensitive(root, "frames"), &findings);
    dress_refusals(v, cJSON_GetObjectItemCaseSensitive(root, "refusals"));
    advise(v, root, &findings);
}

static const struct view one = {
    .template = "hub_connection",
    .questions = {{HUB_INSPECT_CONNECTION, "connection"},
                  {HUB_INSPECT_FRAMES, "frames"},
                  {HUB_INSPECT_REFUSALS, "refusals"}},
    .dress = dress_one,
};

/* ---- drawing, on the pool ---- */

static void add_asset(cJSON *assets, const char *name, const char *file, struct arena *a)
{
    page_json_add(assets, name, arena_printf(a, "/%s", file));
}

static void add_head(const struct visit *v, cJSON *root)
{
    const struct page *page = v->hub->page;
    struct arena *a = &v->x->arena;
    page_json_refer(root, "t", locale_tree(v->lang));
    page_json_add(root, "lang", str_of(locale_code(v->lang)));
    page_json_add(root, "here", v->x->req.target);
    page_json_add(root, "now_text", page_time_clock(v->now_ms, a));
    cJSON *assets = cJSON_AddObjectToObject(root, "assets");
    add_asset(assets, "css", page->css, a);
    add_asset(assets, "hub_css", page->hub_css, a);
    add_asset(assets, "hub_js", page->hub_js, a);
    cJSON *query = cJSON_AddObjectToObject(root, "query");
    page_json_add(query, "app", v->query.app);
    page_json_add(query, "channel", v->query.channel);
    page_json_add(query, "socket", v->query.socket_id);
}

/* What the hubs answered, under its names. An empty answer is none: no such connection. */
static void add_answers(struct visit *v, cJSON *root)
{
    for (size_t i = 0; i < MAX_QUESTIONS; i++) {
        struct str json = {(const char *)buf_head(&v->answers[i]), buf_len(&v->answers[i])};
        cJSON *answer = NULL;
        if (json.len == 0)
            continue;
        if (json_parse(json, &answer) == OK)
            cJSON_AddItemToObject(root, v->view->questions[i].name, answer);
        else
            v->status = 500;
        buf_done(&v->answers[i]);
    }
}

static const struct mustache *partial(void *ctx, struct str name)
{
    const struct visit *v = ctx;
    return page_template(v->hub->page, name);
}

static void draw(struct io_job *job)
{
    struct visit *v = LIST_ENTRY(job, struct visit, job);
    cJSON *root = cJSON_CreateObject();
    v->now_ms = clock_unix_ms();
    add_answers(v, root);
    if (v->status != 500)
        v->view->dress(v, root);
    add_head(v, root);
    const struct mustache *m = page_template(v->hub->page, str_of(v->view->template));
    CHECK(m);
    if (mustache_render(m, root, partial, v, &v->html) != OK)
        v->status = 500;
    cJSON_Delete(root);
}

/* ---- asking and answering, on the loop ---- */

static void visit_free(struct visit *v)
{
    for (size_t i = 0; i < MAX_QUESTIONS; i++)
        buf_done(&v->answers[i]);
    buf_done(&v->html);
    mem_free(v);
}

static void refuse(struct http_exchange *x, int status, const char *code, const char *detail)
{
    http_problem(x, status, str_of(code), str_of(http_reason(status)), str_of(detail), STR(""));
}

static void on_drawn(struct io_job *job)
{
    struct visit *v = LIST_ENTRY(job, struct visit, job);
    if (v->status == 500) {
        refuse(v->x, 500, "internal", "The page cannot be drawn; ask for fewer rows.");
    } else {
        page_cache_add_policy(v->x);
        http_reply(v->x, v->status, "text/html; charset=utf-8",
                   (struct str){(const char *)buf_head(&v->html), buf_len(&v->html)});
    }
    visit_free(v);
}

static void ask_next(struct visit *v);

static void on_answer(void *ctx, struct str json)
{
    struct visit *v = ctx;
    CHECK(buf_append(&v->answers[v->asked++], json.at, json.len) == OK); // both are as large
    ask_next(v);
}

static void ask_next(struct visit *v)
{
    if (hub_is_over(v->hub->admin->hub)) { // and the pool is gone
        refuse(v->x, 503, "stopping", "The server is stopping.");
        visit_free(v);
        return;
    }
    if (v->asked < MAX_QUESTIONS) {
        v->query.what = v->view->questions[v->asked].what;
        hub_inspect(v->hub->admin->hub, &v->query, on_answer, v);
        return;
    }
    v->job = (struct io_job){.home = v->x->loop, .run = draw, .on_done = on_drawn};
    if (io_pool_run(v->hub->admin->pool, &v->job) == OK)
        return;
    refuse(v->x, 503, "overloaded", "The server is overloaded.");
    visit_free(v);
}

static void get_hub(struct http_exchange *x, void *ctx)
{
    struct hub_inspect_query query = {0};
    if (!api_admin_begin(x) || !api_admin_param(x, "app", &query.app) ||
        !api_admin_param(x, "channel", &query.channel) ||
        !api_admin_param(x, "socket", &query.socket_id) || !api_admin_limit(x, &query.limit))
        return;
    query.app = str_trim(query.app);
    query.channel = str_trim(query.channel);
    query.socket_id = str_trim(query.socket_id);
    struct visit *v = MEM_NEW(struct visit);
    *v = (struct visit){.x = x, .hub = ctx, .query = query, .status = 200};
    v->view = query.socket_id.len > 0 ? &one : &all;
    v->lang = page_draw_lang(&x->req);
    for (size_t i = 0; i < MAX_QUESTIONS; i++)
        buf_init(&v->answers[i], MAX_ANSWER_BYTES);
    buf_init(&v->html, PAGE_MAX_BYTES);
    ask_next(v);
}

const struct http_route page_hub_routes[] = {
    {.method = HTTP_GET, .path = "/hub", .handler = get_hub},
};
const size_t page_hub_route_count = sizeof page_hub_routes / sizeof page_hub_routes[0];
