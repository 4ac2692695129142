/* page_queue_jobs.c -- finding jobs, and what is done to them.
 *
 *     GET jobs?filter --> list --- POST jobs (ids or the whole filter) --> "do it?" --.
 *                          ^                                                          |
 *                          '---- 303 ---- POST jobs/apply: one transaction <----------'
 *
 * What is not asked for twice (a retry on a job's own page) goes to apply at once. Each id comes
 * with the epoch that the operator saw: a job that has changed since is left alone.
 */
#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_problem.h"
#include "page/page_queue.h"
#include "queue/queue_admin_act.h"

enum { ROWS = 50 };

/* ---- the filter ---- */

/* What a form may say, in the order of an address. */
static const char *const names[] = {"queue", "state", "kind", "tag", "key", "field", "value"};
enum { QUEUE, STATE, KIND, TAG, KEY, FIELD, VALUE, NAMES };

struct search {
    struct str texts[NAMES];
    struct queue_admin_list_filter filter;
};

/* From the query or a form. Refuses what is no state. */
static enum err read_search(struct api_call *call, struct str encoded, struct search *s)
{
    for (size_t i = 0; i < NAMES; i++) {
        if (http_form_get(encoded, str_of(names[i]), call->arena, &s->texts[i]))
            return api_refuse(call, 400, "malformed");
        s->texts[i] = s->texts[i].at ? str_trim(s->texts[i]) : STR("");
    }
    s->filter = (struct queue_admin_list_filter){
        .queue = s->texts[QUEUE],
        .kind = s->texts[KIND],
        .tag = s->texts[TAG],
        .key = s->texts[KEY],
        .state = QUEUE_ADMIN_LIST_ANY,
        .path = s->texts[FIELD],
        .value = s->texts[VALUE],
    };
    if (s->filter.key.len > 0 && s->filter.queue.len == 0)
        s->filter.queue = STR(QUEUE_DEFAULT);
    if (s->texts[STATE].len > 0 &&
        queue_admin_list_parse_state(s->texts[STATE], &s->filter.state) != OK)
        return api_refuse(call, 400, "malformed");
    return OK;
}

/* "queue=mail&state=dead&", for an address. */
static struct str search_query(const struct search *s, struct arena *a)
{
    struct str query = STR("");
    for (size_t i = 0; i < NAMES; i++)
        if (s->texts[i].len > 0)
            query = arena_printf(a, "%.*s%s=%.*s&", STR_ARG(query), names[i],
                                 STR_ARG(page_form_encode(s->texts[i], a)));
    return query;
}

static void add_search(struct api_call *call, const struct search *s)
{
    cJSON *view = page_draw_asked(call)->view;
    cJSON *search = cJSON_AddObjectToObject(view, "search");
    for (size_t i = 0; i < NAMES; i++)
        page_json_add(search, names[i], s->texts[i]);
    cJSON_AddBoolToObject(view, "is_filtered", search_query(s, call->arena).len > 0);
    cJSON *states = cJSON_AddArrayToObject(view, "states");
    for (int state = QUEUE_READY; state <= QUEUE_CANCELLED; state++) {
        const char *code = queue_admin_list_state_text((enum queue_state)state);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(states, row);
        page_json_add(row, "code", str_of(code));
        page_json_add(row, "text", page_queue_state(call, (enum queue_state)state));
        cJSON_AddBoolToObject(row, "is_chosen", s->filter.state == state);
    }
}

/* ---- the list ---- */

static enum err load(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    const struct search *s = ask->input;
    struct queue_admin_list_cursor after;
    struct queue_admin_list list;
    bool has_cursor = ask->cursor.len > 0;
    enum err err = page_queue_enter(call, CIVIC_SEE_QUEUES);
    if (!err && has_cursor && queue_admin_list_parse_cursor(ask->cursor, &after) != OK)
        return api_refuse(call, 400, "malformed");
    struct queue_held held = page_queue_held(call);
    if (!err)
        err = queue_admin_list(
            tx, &s->filter, &held,
            &(struct queue_admin_list_page){.after = has_cursor ? &after : NULL, .limit = ROWS},
            call->arena, &list);
    if (err)
        return err;
    cJSON *jobs = cJSON_AddArrayToObject(ask->view, "jobs");
    for (size_t i = 0; i < list.count; i++)
        page_queue_add_job(call, jobs, &list.jobs[i]);
    cJSON_AddBoolToObject(ask->view, "has_jobs", list.count > 0);
    cJSON_AddBoolToObject(ask->view, "is_cut_short", list.count == 0 && list.has_more);
    if (list.has_more) {
        char cursor[QUEUE_ADMIN_LIST_CURSOR_BYTES];
        queue_admin_list_write_cursor(&list.next, cursor);
        page_json_add(ask->view, "next_url",
                      arena_printf(call->arena, "/admin/queues/jobs?%.*scursor=%.*s",
                                   STR_ARG(search_query(s, call->arena)),
                                   STR_ARG(page_form_encode(str_of(cursor), call->arena))));
    }
    add_search(call, s);
    page_queue_add_notice(call);
    return OK;
}

static void dress(struct api_call *call)
{
    page_draw_title(call, locale_text(call->lang, STR("queue.jobs.title")), (struct str){0});
}

static const struct page_kind list_kind = {
    .template = "queue_jobs", .load = load, .dress = dress, .nav = "is_queues", .is_admin = true};

static enum err decode(struct api_call *call)
{
    struct search *s = ARENA_NEW(call->arena, struct search);
    enum err err = page_draw_ask(call, &list_kind);
    page_draw_asked(call)->input = s;
    page_draw_asked(call)->cursor = page_form_query(call, STR("cursor"));
    return err ? err : read_search(call, call->x->req.query, s);
}

const struct api_endpoint page_queue_jobs_get = {
    .auth = API_USER, .decode = decode, .read = page_draw_read, .finish = page_draw_finish};

/* ---- what is to be done ---- */

static const struct {
    const char *name, *text, *about;
    queue_admin_act_fn *fn;
} actions[] = {
    {"retry", "queue.act.retry", "queue.about.retry", queue_admin_act_retry},
    {"discard", "queue.act.discard", "queue.about.discard", queue_admin_act_discard},
    {"cancel", "queue.act.cancel", "queue.about.cancel", queue_admin_act_cancel},
};

struct order {
    struct search search;
    size_t action;
    bool is_all;                  // what the search finds, else jobs
    struct str back;              // a job's page; empty: the list
    struct queue_admin_job *jobs; // id and epoch
    size_t count;
};

/* "id=12.3&id=13.0": of jobs 12 and 13, as they were seen. */
static enum err read_jobs(struct api_call *call, struct order *o)
{
    struct str rest = call->x->req.body;
    o->jobs = arena_alloc(call->arena, QUEUE_ADMIN_ACT_SLICE * sizeof(*o->jobs));
    while (rest.len > 0) {
        struct str value, epoch;
        struct str name = str_cut(str_cut(rest, '&', &rest), '=', &value);
        if (!str_eq(name, STR("id")))
            continue;
        struct queue_admin_job *job = &o->jobs[o->count];
        struct str id = str_cut(value, '.', &epoch);
        if (o->count == QUEUE_ADMIN_ACT_SLICE || str_parse_int(id, &job->id) ||
            str_parse_int(epoch, &job->epoch) || job->epoch < 0)
            return api_refuse(call, 400, "malformed");
        o->count++;
    }
    return OK;
}

static enum err read_action(struct api_call *call, struct order *o)
{
    struct str name;
    enum err err = page_form_text(call, STR("action"), &name);
    if (err)
        return err;
    for (o->action = 0; o->action < sizeof actions / sizeof actions[0]; o->action++)
        if (str_eq(name, str_of(actions[o->action].name)))
            return OK;
    return api_refuse(call, 400, "malformed");
}

static enum err decode_order(struct api_call *call, const struct page_kind *kind)
{
    struct order *o = ARENA_NEW(call->arena, struct order);
    struct str scope, back;
    enum err err = page_draw_ask(call, kind);
    page_draw_asked(call)->input = o;
    page_draw_asked(call)->path = page_draw_asked(call)->back = STR("/admin/queues/jobs");
    if (!err)
        err = page_form_check(call);
    if (!err)
        err = read_search(call, call->x->req.body, &o->search);
    if (!err)
        err = read_action(call, o);
    if (!err)
        err = read_jobs(call, o);
    if (!err)
        err = page_form_text(call, STR("scope"), &scope);
    if (!err)
        err = page_form_text(call, STR("back"), &back);
    if (err)
        return err;
    o->is_all = str_eq(scope, STR("all"));
    o->back = back.len > 0 ? page_form_safe_path(back) : back;
    return OK;
}

/* ---- the question ---- */

static enum err load_question(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    const struct order *o = ask->input;
    struct arena *a = call->arena;
    (void)tx;
    enum err err = page_queue_enter(call, CIVIC_CHANGE_QUEUES);
    if (err)
        return err;
    add_search(call, &o->search);
    page_json_add(ask->view, "action", str_of(actions[o->action].name));
    page_json_add(ask->view, "action_text",
                  locale_text(call->lang, str_of(actions[o->action].text)));
    page_json_add(ask->view, "about_text",
                  locale_text(call->lang, str_of(actions[o->action].about)));
    cJSON_AddBoolToObject(ask->view, "is_all", o->is_all);
    cJSON_AddBoolToObject(ask->view, "is_nothing", !o->is_all && o->count == 0);
    page_json_add(ask->view, "count_text",
                  locale_plural(call->lang, STR("queue.count"), (int64_t)o->count, a));
    page_json_add(ask->view, "back_path", o->back);
    page_json_add(ask->view, "back_url",
                  o->back.len > 0 ? o->back
                                  : arena_printf(a, "/admin/queues/jobs?%.*s",
                                                 STR_ARG(search_query(&o->search, a))));
    cJSON *jobs = cJSON_AddArrayToObject(ask->view, "jobs");
    for (size_t i = 0; i < o->count; i++)
        cJSON_AddItemToArray(
            jobs, cJSON_CreateString(arena_printf(a, "%lld.%lld", (long long)o->jobs[i].id,
                                                  (long long)o->jobs[i].epoch)
                                         .at));
    return OK;
}

static void dress_question(struct api_call *call)
{
    page_draw_title(call, locale_text(call->lang, STR("queue.confirm.title")), (struct str){0});
}

static const struct page_kind question_kind = {.template = "queue_confirm",
                                               .load = load_question,
                                               .dress = dress_question,
                                               .nav = "is_queues",
                                               .is_admin = true};

static enum err decode_question(struct api_call *call)
{
    return decode_order(call, &question_kind);
}

const struct api_endpoint page_queue_jobs_confirm = {.auth = API_USER,
                                                     .decode = decode_question,
                                                     .read = page_draw_read,
                                                     .finish = page_draw_finish};

/* ---- doing it ---- */

/* What is malformed is no order that could be shown again. */
static enum err decode_apply(struct api_call *call)
{
    return decode_order(call, &page_problem_kind);
}

static enum err write_apply(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    const struct order *o = ask->input;
    const struct queue_admin_list_page slice = {.limit = QUEUE_ADMIN_ACT_SLICE};
    struct queue_admin_list list = {.jobs = o->jobs, .count = o->count};
    size_t done = 0, refused = 0;
    enum err err = page_queue_enter(call, CIVIC_CHANGE_QUEUES);
    struct queue_held held = page_queue_held(call);
    if (!err && o->is_all)
        err = queue_admin_list(tx, &o->search.filter, &held, &slice, call->arena, &list);
    if (!err)
        err = queue_admin_act_slice(tx, actions[o->action].fn, &list, &held, &done, &refused);
    if (err)
        return err;
    struct str to = o->back.len > 0 ? arena_printf(call->arena, "%.*s?", STR_ARG(o->back))
                                    : arena_printf(call->arena, "/admin/queues/jobs?%.*s",
                                                   STR_ARG(search_query(&o->search, call->arena)));
    ask->location =
        arena_printf(call->arena, "%.*sdone=%zu&refused=%zu", STR_ARG(to), done, refused);
    return OK;
}

const struct api_endpoint page_queue_jobs_apply = {.auth = API_USER,
                                                   .decode = decode_apply,
                                                   .write = write_apply,
                                                   .changes = API_NOTHING,
                                                   .finish = page_draw_finish_form};
