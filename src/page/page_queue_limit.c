/* page_queue_limit.c -- the limits of one queue: two forms, of the queue (and what holds for each
 * of its keys) and of a key of its own. What is kept and how often is retried stays as it is. */
#include "page/page_queue_limit.h"

#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_problem.h"
#include "page/page_queue.h"
#include "queue/queue_admin_limit.h"

enum { AS_QUEUE = -1 }; // struct queue_key_limits

enum action { SET, CLEAR, SET_KEY, CLEAR_KEY, ACTIONS };

/* What a form asks for, and its page shows. */
struct order {
    struct str queue, key;
    enum action action;
    struct queue_limits limits; // those of running and rates alone
    struct queue_key_limits own;
};

/* ---- the page ---- */

/* Below 0: nothing, as its queue says. 0: no limit. */
static void add_number(struct api_call *call, cJSON *row, const char *name, int n)
{
    if (n > 0)
        page_json_add(row, name, locale_number(call->lang, n, call->arena));
    else if (n == 0)
        page_json_add(row, name, locale_text(call->lang, STR("queue.limit.none")));
}

static void add_rate(struct api_call *call, cJSON *row, const char *name, int rate, int64_t rate_ms)
{
    if (rate > 0)
        page_json_add(row, name, queue_admin_limit_rate_text(rate, rate_ms, call->arena));
    else
        add_number(call, row, name, rate);
}

static void add_key(struct api_call *call, cJSON *keys, const struct queue_admin_limit_key *key)
{
    const struct queue_key_limits *l = &key->limits;
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(keys, row);
    page_json_add(row, "name", key->name);
    add_number(call, row, "running_text", l->max_running);
    add_rate(call, row, "rate_text", l->rate, l->rate_ms);
    if (l->rate > 0)
        add_number(call, row, "burst_text", l->burst > 0 ? l->burst : 1);
    page_json_add(row, "now_text", locale_number(call->lang, key->running, call->arena));
    page_json_add(row, "waiting_text", locale_number(call->lang, key->waiting, call->arena));
}

static void add_limits(struct api_call *call, const struct queue_limits *l)
{
    cJSON *now = cJSON_AddObjectToObject(page_draw_asked(call)->view, "limits");
    add_number(call, now, "running_text", l->max_running);
    add_rate(call, now, "rate_text", l->rate, l->rate_ms);
    if (l->rate > 0)
        add_number(call, now, "burst_text", l->burst > 0 ? l->burst : 1);
    add_number(call, now, "key_running_text", l->key_max_running);
    add_rate(call, now, "key_rate_text", l->key_rate, l->key_rate_ms);
    if (l->key_rate > 0)
        add_number(call, now, "key_burst_text", l->key_burst > 0 ? l->key_burst : 1);
}

static void fill_number(struct api_call *call, const char *name, int n)
{
    if (n > 0)
        page_draw_typed(call, name, arena_printf(call->arena, "%d", n));
}

static void fill_rate(struct api_call *call, const char *name, int rate, int64_t rate_ms)
{
    if (rate > 0)
        page_draw_typed(call, name, queue_admin_limit_rate_text(rate, rate_ms, call->arena));
}

/* The form says what is set, until something else was typed. */
static void fill_form(struct api_call *call, const struct queue_limits *l)
{
    if (cJSON_HasObjectItem(page_draw_asked(call)->form, "running"))
        return;
    fill_number(call, "running", l->max_running);
    fill_rate(call, "rate", l->rate, l->rate_ms);
    fill_number(call, "burst", l->rate > 0 ? l->burst : 0);
    fill_number(call, "key_running", l->key_max_running);
    fill_rate(call, "key_rate", l->key_rate, l->key_rate_ms);
    fill_number(call, "key_burst", l->key_rate > 0 ? l->key_burst : 0);
}

static enum err load(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    const struct order *o = ask->input;
    struct queue_admin_limit limit;
    enum err err = page_queue_enter(call, CIVIC_SEE_QUEUES);
    if (!err)
        err = queue_admin_limit_get(tx, o->queue, call->arena, &limit);
    if (err)
        return err;
    page_json_add(ask->view, "queue", o->queue);
    page_json_add(ask->view, "queue_query", page_form_encode(o->queue, call->arena));
    add_limits(call, &limit.limits);
    cJSON *keys = cJSON_AddArrayToObject(ask->view, "keys");
    for (size_t i = 0; i < limit.key_count; i++)
        add_key(call, keys, &limit.keys[i]);
    cJSON_AddBoolToObject(ask->view, "has_keys", limit.key_count > 0);
    cJSON_AddBoolToObject(ask->view, "has_more", limit.has_more);
    fill_form(call, &limit.limits);
    return OK;
}

static void dress(struct api_call *call)
{
    const struct order *o = page_draw_asked(call)->input;
    const struct str pairs[] = {STR("queue"), o->queue, {0}};
    struct str title = locale_format(call->lang, STR("queue.limit.title"), call->arena, pairs);
    page_json_add(page_draw_asked(call)->view, "title", title);
    page_draw_title(call, title, (struct str){0});
}

static const struct page_kind kind = {
    .template = "queue_limits", .load = load, .dress = dress, .nav = "is_queues", .is_admin = true};

struct str page_queue_limit_path(struct api_call *call, struct str queue)
{
    return arena_printf(call->arena, "/admin/queues/limits?queue=%.*s",
                        STR_ARG(page_form_encode(queue, call->arena)));
}

/* key may be empty. */
static bool are_names(struct str queue, struct str key)
{
    const struct queue_new job = {.kind = STR("limit"), .queue = queue, .key = key};
    return queue.len > 0 && queue_check(&job, NULL) == OK;
}

/* Whose limits; without a name a page of the problem is all there is. */
static enum err set_queue(struct api_call *call, struct order *o, struct str queue)
{
    struct page_ask *ask = page_draw_asked(call);
    o->queue = queue;
    if (!are_names(queue, STR(""))) {
        ask->kind = &page_problem_kind;
        return api_refuse(call, 400, "malformed");
    }
    ask->back = ask->path = ask->location = page_queue_limit_path(call, queue);
    return OK;
}

static enum err decode_get(struct api_call *call)
{
    struct order *o = ARENA_NEW(call->arena, struct order);
    enum err err = page_draw_ask(call, &kind);
    page_draw_asked(call)->input = o;
    err = err ? err : set_queue(call, o, page_form_query(call, STR("queue")));
    page_draw_asked(call)->location = (struct str){0};
    return err;
}

const struct api_endpoint page_queue_limit_get = {
    .auth = API_USER, .decode = decode_get, .read = page_draw_read, .finish = page_draw_finish};

/* ---- the forms ---- */

static const char *pointer_of(struct api_call *call, const char *name)
{
    return arena_printf(call->arena, "/%s", name).at;
}

static enum err read_text(struct api_call *call, const char *name, struct str *out)
{
    enum err err = page_form_text(call, str_of(name), out);
    if (err)
        return err;
    *out = str_trim(*out);
    page_draw_typed(call, name, *out);
    return OK;
}

/* Empty leaves what is in *out. */
static enum err read_number(struct api_call *call, const char *name, int *out)
{
    struct str text;
    int64_t n = 0;
    enum err err = read_text(call, name, &text);
    if (err || text.len == 0)
        return err;
    if (str_parse_int(text, &n) || n < 0)
        (void)api_refuse_field(call, pointer_of(call, name), "not-number", 0);
    else if (n > INT32_MAX)
        (void)api_refuse_field(call, pointer_of(call, name), "too-large", INT32_MAX);
    else
        *out = (int)n;
    return OK;
}

static enum err read_rate(struct api_call *call, const char *name, int *rate, int64_t *rate_ms)
{
    struct str text;
    int64_t n = 0, ms = 0;
    enum err err = read_text(call, name, &text);
    if (err || text.len == 0)
        return err;
    if (queue_admin_limit_parse_rate(text, &n, &ms)) {
        (void)api_refuse_field(call, pointer_of(call, name), "not-rate", 0);
        return OK;
    }
    *rate = (int)n;
    *rate_ms = ms;
    return OK;
}

/* A burst of no rate would say nothing. name: of the rate's field. */
static void need_rate(struct api_call *call, const char *name, int rate, int burst)
{
    if (burst > 0 && rate <= 0)
        (void)api_refuse_field(call, pointer_of(call, name), "required", 0);
}

static enum err read_limits(struct api_call *call, struct queue_limits *l)
{
    enum err err = read_number(call, "running", &l->max_running);
    if (!err)
        err = read_rate(call, "rate", &l->rate, &l->rate_ms);
    if (!err)
        err = read_number(call, "burst", &l->burst);
    if (!err)
        err = read_number(call, "key_running", &l->key_max_running);
    if (!err)
        err = read_rate(call, "key_rate", &l->key_rate, &l->key_rate_ms);
    if (!err)
        err = read_number(call, "key_burst", &l->key_burst);
    if (err || call->problem.status) // perhaps a rate that is none
        return err;
    need_rate(call, "rate", l->rate, l->burst);
    need_rate(call, "key_rate", l->key_rate, l->key_burst);
    return OK;
}

static enum err read_own(struct api_call *call, struct order *o)
{
    o->own = (struct queue_key_limits){.max_running = AS_QUEUE, .rate = AS_QUEUE};
    enum err err = read_text(call, "key", &o->key);
    if (!err && o->action == SET_KEY)
        err = read_number(call, "own_running", &o->own.max_running);
    if (!err && o->action == SET_KEY)
        err = read_rate(call, "own_rate", &o->own.rate, &o->own.rate_ms);
    if (!err && o->action == SET_KEY)
        err = read_number(call, "own_burst", &o->own.burst);
    if (err)
        return err;
    if (!call->problem.status)
        need_rate(call, "own_rate", o->own.rate, o->own.burst);
    if (o->key.len == 0)
        (void)api_refuse_field(call, "/key", "required", 0);
    else if (!are_names(o->queue, o->key))
        (void)api_refuse_field(call, "/key", "invalid", 0);
    return OK;
}

static enum err read_action(struct api_call *call, enum action *out)
{
    static const char *const names[ACTIONS] = {"set", "clear", "set_key", "clear_key"};
    struct str name;
    enum err err = page_form_text(call, STR("action"), &name);
    if (err)
        return err;
    for (*out = SET; *out < ACTIONS; (*out)++)
        if (str_eq(name, str_of(names[*out])))
            return OK;
    return api_refuse(call, 400, "malformed");
}

static enum err decode_post(struct api_call *call)
{
    struct order *o = ARENA_NEW(call->arena, struct order);
    struct str queue;
    enum err err = page_draw_ask(call, &page_problem_kind);
    page_draw_asked(call)->input = o;
    if (!err)
        err = page_form_check(call);
    if (!err)
        err = page_form_text(call, STR("queue"), &queue);
    if (!err)
        err = set_queue(call, o, queue);
    if (!err)
        err = read_action(call, &o->action);
    if (err)
        return err;
    page_draw_asked(call)->kind = &kind; // from here on there is a page to show it again on
    if (o->action == SET)
        err = read_limits(call, &o->limits);
    else if (o->action != CLEAR)
        err = read_own(call, o);
    return err ? err : call->problem.status ? ERR_INVALID : OK;
}

static enum err write_queue(struct store_tx *tx, const struct order *o)
{
    struct queue_limits l;
    enum err err = queue_admin_limit_get_set(tx, o->queue, &l);
    if (err)
        return err;
    l.max_running = o->limits.max_running;
    l.rate = o->limits.rate;
    l.rate_ms = o->limits.rate_ms;
    l.burst = o->limits.burst;
    l.key_max_running = o->limits.key_max_running;
    l.key_rate = o->limits.key_rate;
    l.key_rate_ms = o->limits.key_rate_ms;
    l.key_burst = o->limits.key_burst;
    return queue_set_limits(tx, o->queue, &l);
}

/* To clear those of a key that is not there would make one. */
static enum err write_key(struct store_tx *tx, struct api_call *call, const struct order *o)
{
    struct queue_admin_limit_key key;
    enum err err = o->action == CLEAR_KEY
                       ? queue_admin_limit_get_key(tx, o->queue, o->key, call->arena, &key)
                       : OK;
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    return queue_set_key_limits(tx, o->queue, o->key, &o->own);
}

static enum err write_post(struct store_tx *tx, struct api_call *call)
{
    const struct order *o = page_draw_asked(call)->input;
    enum err err = page_queue_enter(call, CIVIC_CHANGE_QUEUES);
    if (err)
        return err;
    bool is_of_queue = o->action == SET || o->action == CLEAR;
    return is_of_queue ? write_queue(tx, o) : write_key(tx, call, o);
}

const struct api_endpoint page_queue_limit_post = {.auth = API_USER,
                                                   .decode = decode_post,
                                                   .write = write_post,
                                                   .changes = API_NOTHING,
                                                   .finish = page_draw_finish_form};
