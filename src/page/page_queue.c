#include "page/page_queue.h"

#include "core/clock.h"
#include "core/mem.h"
#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_queue_limit.h"
#include "page/page_time.h"
#include "queue/queue_census.h"
#include "queue/queue_history.h"
#include "queue/queue_redact.h"
#include "queue/queue_tally.h"

enum { MAX_KINDS = 20, MAX_CHARTED_KINDS = 6, MAX_CHOICE = 200 }; // on the page

/* ---- what the pages share ---- */

enum err page_queue_enter(struct api_call *call, enum civic_operation operation)
{
    enum civic_role role = api_actor(call).role;
    if (!civic_policy_may(role, operation))
        return api_refuse(call, 403, "forbidden");
    cJSON *view = page_draw_asked(call)->view;
    cJSON_DeleteItemFromObjectCaseSensitive(view, "may_act"); // a write may run again
    cJSON_AddBoolToObject(view, "may_act", civic_policy_may(role, CIVIC_CHANGE_QUEUES));
    call->api->queues->seen_at_ms = clock_mono_ms();
    return OK;
}

struct queue_held page_queue_held(struct api_call *call)
{
    int64_t *ids;
    struct queue_held held;
    queue_meter_list_held(call->arena, &ids, &held.count);
    held.ids = ids;
    return held;
}

struct str page_queue_duration(struct api_call *call, int64_t ms)
{
    static const struct {
        int64_t below_ms, unit_ms;
        const char *key;
    } units[] = {
        {1000, 1, "queue.time.ms"},
        {60000, 1000, "queue.time.s"},
        {3600000, 60000, "queue.time.min"},
        {INT64_C(48) * 3600000, 3600000, "queue.time.h"},
        {INT64_MAX, INT64_C(24) * 3600000, "queue.time.d"},
    };
    size_t i = 0;
    while (ms >= units[i].below_ms && i + 1 < sizeof units / sizeof units[0])
        i++;
    const struct str pairs[] = {
        STR("n"), locale_number(call->lang, ms / units[i].unit_ms, call->arena), {0}};
    return locale_format(call->lang, str_of(units[i].key), call->arena, pairs);
}

void page_queue_add_time(struct api_call *call, cJSON *object, const char *name, int64_t ms)
{
    if (ms <= 0)
        return;
    int64_t left_ms = ms - clock_unix_ms();
    struct str ago = page_time_ago(call->lang, clock_unix_ms(), ms, call->arena);
    const struct str pairs[] = {STR("n"), page_queue_duration(call, left_ms), {0}};
    struct str text =
        left_ms > 0 ? locale_format(call->lang, STR("queue.time.in"), call->arena, pairs) : ago;
    page_json_add(object, arena_printf(call->arena, "%s_text", name).at, text);
    page_json_add(object, arena_printf(call->arena, "%s_full", name).at,
                  page_time_full(call->lang, ms, call->arena));
}

struct str page_queue_state(struct api_call *call, enum queue_state state)
{
    static const char *const keys[] = {
        [QUEUE_READY] = "queue.is.ready",         [QUEUE_RUNNING] = "queue.is.running",
        [QUEUE_DEAD] = "queue.is.dead",           [QUEUE_SCHEDULED] = "queue.is.scheduled",
        [QUEUE_WAITING] = "queue.is.waiting",     [QUEUE_DONE_STATE] = "queue.is.done",
        [QUEUE_CANCELLED] = "queue.is.cancelled",
    };
    return locale_text(call->lang, str_of(keys[state]));
}

struct str page_queue_hide(struct api_call *call, struct str json)
{
    return queue_redact(str_of(call->api->queues->hidden), json, call->arena);
}

static struct str number(const struct api_call *call, int64_t n)
{
    return locale_number(call->lang, n, call->arena);
}

cJSON *page_queue_add_job(struct api_call *call, cJSON *jobs, const struct queue_admin_job *job)
{
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(jobs, row);
    page_json_add(row, "id", arena_printf(call->arena, "%lld", (long long)job->id));
    page_json_add(
        row, "seen",
        arena_printf(call->arena, "%lld.%lld", (long long)job->id, (long long)job->epoch));
    page_json_add(row, "queue", job->queue);
    page_json_add(row, "kind", job->kind);
    page_json_add(row, "queue_query", page_form_encode(job->queue, call->arena));
    page_json_add(row, "kind_query", page_form_encode(job->kind, call->arena));
    page_json_add(row, "state", str_of(queue_admin_list_state_text(job->state)));
    page_json_add(row, "state_text", page_queue_state(call, job->state));
    cJSON_AddBoolToObject(row, "is_dead", job->state == QUEUE_DEAD);
    page_json_add(row, "attempt_text", number(call, job->attempt));
    if (job->error.len > 0)
        page_json_add(row, "error", job->error);
    page_queue_add_time(call, row, "created", job->created_at_ms);
    page_queue_add_time(call, row, "run", job->run_at_ms);
    return row;
}

static void add_count_of(struct api_call *call, const char *name, const char *key)
{
    int64_t n = 0;
    struct str text = page_form_query(call, str_of(name));
    if (text.len == 0 || str_parse_int(text, &n) || n < 0)
        return;
    cJSON *view = page_draw_asked(call)->view;
    cJSON_AddBoolToObject(view, "has_notice", true);
    if (n > 0 || strcmp(name, "done") == 0)
        page_json_add(view, arena_printf(call->arena, "%s_text", name).at,
                      locale_plural(call->lang, str_of(key), n, call->arena));
}

void page_queue_add_notice(struct api_call *call)
{
    if (cJSON_HasObjectItem(page_draw_asked(call)->view, "has_notice"))
        return;
    add_count_of(call, "done", "queue.notice.done");
    add_count_of(call, "refused", "queue.notice.refused");
}

/* ---- the overview ---- */

static void add_state(struct api_call *call, cJSON *row, const char *state, struct str queue,
                      int64_t n)
{
    struct arena *a = call->arena;
    page_json_add(row, arena_printf(a, "%s_text", state).at, number(call, n));
    if (n > 0)
        page_json_add(row, arena_printf(a, "%s_url", state).at,
                      arena_printf(a, "/admin/queues/jobs?queue=%.*s&state=%s",
                                   STR_ARG(page_form_encode(queue, a)), state));
}

static void add_queue(struct api_call *call, cJSON *queues, const struct queue_admin_count *c)
{
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(queues, row);
    page_json_add(row, "name", c->name);
    page_json_add(row, "url",
                  arena_printf(call->arena, "/admin/queues/jobs?queue=%.*s",
                               STR_ARG(page_form_encode(c->name, call->arena))));
    page_json_add(row, "limits_url", page_queue_limit_path(call, c->name));
    add_state(call, row, "ready", c->name, c->ready);
    add_state(call, row, "running", c->name, c->running);
    add_state(call, row, "scheduled", c->name, c->scheduled);
    add_state(call, row, "waiting", c->name, c->waiting);
    add_state(call, row, "dead", c->name, c->dead);
    cJSON_AddBoolToObject(row, "has_dead", c->dead > 0);
    if (c->oldest_ready_ms > 0)
        page_json_add(row, "oldest_text", page_queue_duration(call, c->oldest_ready_ms));
    cJSON_AddBoolToObject(row, "is_paused", c->paused_until_ms > 0);
}

/* The next number of failures below the last; 0: there is none. */
static uint64_t most_below(const struct queue_meter_copies *meters, uint64_t last)
{
    uint64_t most = 0;
    for (size_t i = 0; i < meters->count; i++)
        for (size_t k = 0; k < meters->at[i].kind_count; k++)
            if (meters->at[i].kinds[k].failed < last && meters->at[i].kinds[k].failed > most)
                most = meters->at[i].kinds[k].failed;
    return most;
}

static void add_failure(struct api_call *call, cJSON *list, struct str queue,
                        const struct queue_meter_kind *kind)
{
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(list, row);
    page_json_add(row, "kind", kind->kind);
    page_json_add(row, "queue", queue);
    page_json_add(row, "failed_text", number(call, (int64_t)kind->failed));
    if (kind->kind.len > 0)
        page_json_add(row, "url",
                      arena_printf(call->arena, "/admin/queues/jobs?kind=%.*s&state=dead",
                                   STR_ARG(page_form_encode(kind->kind, call->arena))));
}

/* The kinds whose runs fail, most first. */
static void add_failures(struct api_call *call, const struct queue_meter_copies *meters)
{
    cJSON *list = cJSON_AddArrayToObject(page_draw_asked(call)->view, "failures");
    uint64_t last = UINT64_MAX;
    for (int rows = 0; rows < MAX_KINDS && last > 0;) {
        uint64_t most = most_below(meters, last);
        for (size_t i = 0; most > 0 && i < meters->count; i++)
            for (size_t k = 0; k < meters->at[i].kind_count && rows < MAX_KINDS; k++)
                if (meters->at[i].kinds[k].failed == most) {
                    add_failure(call, list, meters->at[i].queue, &meters->at[i].kinds[k]);
                    rows++;
                }
        last = most;
    }
    cJSON_AddBoolToObject(page_draw_asked(call)->view, "has_failures",
                          cJSON_GetArraySize(list) > 0);
}

/* Columns, as uPlot takes them; times in seconds. What no run tells is null. */
static cJSON *chart_columns(const struct queue_history_view *history)
{
    static const char *const names[] = {"at",   "done",      "failed", "ready",   "oldest",
                                        "wait", "slow_wait", "run",    "slow_run"};
    enum { COLUMNS = sizeof names / sizeof names[0] };
    cJSON *root = cJSON_CreateObject(), *columns[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++)
        columns[c] = cJSON_AddArrayToObject(root, names[c]);
    for (size_t i = 0; i < history->count; i++) {
        const struct queue_sample *s = &history->samples[i];
        double seconds = s->span_ms > 0 ? (double)s->span_ms / 1e3 : 1;
        bool has_runs = s->slow_run_us > 0;
        const double values[COLUMNS] = {(double)s->at_ms / 1e3,        (double)s->done / seconds,
                                        (double)s->failed / seconds,   (double)s->ready,
                                        (double)s->oldest_ms / 1e3,    (double)s->wait_us / 1e6,
                                        (double)s->slow_wait_us / 1e6, (double)s->run_us / 1e6,
                                        (double)s->slow_run_us / 1e6};
        for (size_t c = 0; c < COLUMNS; c++)
            cJSON_AddItemToArray(columns[c], c >= 5 && !has_runs ? cJSON_CreateNull()
                                                                 : cJSON_CreateNumber(values[c]));
    }
    return root;
}

/* Failed runs in the time of each sample, of the kinds with most. */
static void chart_kinds(struct api_call *call, bool has_queue,
                        const struct queue_history_view *history, cJSON *charts)
{
    cJSON *kinds = cJSON_AddArrayToObject(charts, "kinds");
    for (size_t k = 0; k < history->kind_count && k < MAX_CHARTED_KINDS; k++) {
        const struct queue_history_kind *kind = &history->kinds[k];
        struct str name =
            kind->kind.len > 0 ? kind->kind : locale_text(call->lang, STR("queue.unknown_kind"));
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(kinds, row);
        page_json_add(row, "label",
                      has_queue ? name
                                : arena_printf(call->arena, "%.*s · %.*s", STR_ARG(name),
                                               STR_ARG(kind->queue)));
        cJSON *failed = cJSON_AddArrayToObject(row, "failed");
        for (size_t i = 0; i < history->count; i++)
            cJSON_AddItemToArray(failed, cJSON_CreateNumber(kind->failed[i]));
    }
}

static void add_lately(struct api_call *call, const struct queue_history_view *history)
{
    if (history->count == 0)
        return;
    const struct queue_sample *last = &history->samples[history->count - 1];
    cJSON *now = cJSON_AddObjectToObject(page_draw_asked(call)->view, "lately");
    page_json_add(now, "done_text", number(call, last->done));
    page_json_add(now, "failed_text", number(call, last->failed));
    page_json_add(now, "span_text", page_queue_duration(call, last->span_ms));
    page_json_add(now, "wait_text", page_queue_duration(call, last->slow_wait_us / 1000));
    page_json_add(now, "run_text", page_queue_duration(call, last->slow_run_us / 1000));
}

static void add_span_url(struct api_call *call, const char *name, struct str queue, bool is_day)
{
    struct arena *a = call->arena;
    page_json_add(page_draw_asked(call)->view, name,
                  arena_printf(a, "/admin/queues%s%s%.*s", is_day ? "?span=day" : "",
                               queue.len == 0 ? ""
                               : is_day       ? "&queue="
                                              : "?queue=",
                               STR_ARG(page_form_encode(queue, a))));
}

static void add_option(cJSON *options, struct str name, struct str chosen)
{
    const cJSON *other;
    cJSON_ArrayForEach(other, options)
    {
        if (str_eq(str_of(cJSON_GetObjectItemCaseSensitive(other, "name")->valuestring), name))
            return;
    }
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(options, row);
    page_json_add(row, "name", name);
    cJSON_AddBoolToObject(row, "is_chosen", str_eq(name, chosen));
}

/* The choice of the queue: those that have jobs, those that ran some, and the one asked for. */
static void add_choice(struct api_call *call, struct str chosen,
                       const struct queue_admin_counts *counts,
                       const struct queue_meter_copies *meters)
{
    cJSON *options = cJSON_AddArrayToObject(page_draw_asked(call)->view, "choice");
    for (size_t i = 0; i < counts->count && i < MAX_CHOICE; i++)
        add_option(options, counts->at[i].name, chosen);
    for (size_t i = 0; i < meters->count && i < MAX_CHOICE; i++)
        add_option(options, meters->at[i].queue, chosen);
    if (chosen.len > 0)
        add_option(options, chosen, chosen);
}

static struct str asked_queue(struct api_call *call)
{
    struct str queue = page_form_query(call, STR("queue"));
    return queue.len <= QUEUE_MAX_NAME_BYTES ? queue : STR("");
}

static void add_charts(struct api_call *call, struct str queue)
{
    cJSON *view = page_draw_asked(call)->view;
    struct queue_history_view history;
    bool is_day = str_eq(page_form_query(call, STR("span")), STR("day"));
    queue_history_read(call->api->queues->history, is_day ? QUEUE_HISTORY_DAY : QUEUE_HISTORY_HOUR,
                       queue, call->arena, &history);
    cJSON_AddBoolToObject(view, "is_day", is_day);
    cJSON_AddBoolToObject(view, "has_history", history.count > 1);
    if (queue.len > 0) {
        page_json_add(view, "of_queue", queue);
        page_json_add(view, "of_queue_limits_url", page_queue_limit_path(call, queue));
    }
    add_span_url(call, "hour_url", queue, false);
    add_span_url(call, "day_url", queue, true);
    cJSON *charts = chart_columns(&history);
    chart_kinds(call, queue.len > 0, &history, charts);
    page_draw_data(call, "charts", charts);
    add_lately(call, &history);
}

/* Leaves those of the queue; empty: all. */
static void choose(struct queue_meter_copies *meters, struct str queue)
{
    size_t count = 0;
    for (size_t i = 0; i < meters->count; i++)
        if (queue.len == 0 || str_eq(meters->at[i].queue, queue))
            meters->at[count++] = meters->at[i];
    meters->count = count;
}

static enum err load(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    struct queue_admin_counts counts;
    struct queue_meter_copies meters;
    struct str queue = asked_queue(call);
    int64_t age_ms;
    enum err err = page_queue_enter(call, CIVIC_SEE_QUEUES);
    if (!err)
        err = queue_census_read_in(call->api->queues->census, tx, call->arena, &counts, &age_ms);
    if (!err)
        err = queue_admin_find_pauses(tx, &counts);
    if (!err)
        err = queue_tally_read_all(tx, call->arena, &meters);
    if (err)
        return err;
    cJSON *queues = cJSON_AddArrayToObject(ask->view, "queues");
    for (size_t i = 0; i < counts.count; i++)
        add_queue(call, queues, &counts.at[i]);
    add_choice(call, queue, &counts, &meters);
    choose(&meters, queue);
    add_failures(call, &meters);
    add_charts(call, queue);
    page_queue_add_notice(call);
    return OK;
}

static void dress(struct api_call *call)
{
    page_draw_title(call, locale_text(call->lang, STR("queue.title")), (struct str){0});
}

static const struct page_kind kind = {
    .template = "queues", .load = load, .dress = dress, .nav = "is_queues", .is_admin = true};

static enum err decode(struct api_call *call)
{
    return page_draw_ask(call, &kind);
}

const struct api_endpoint page_queue_get = {
    .auth = API_USER, .decode = decode, .read = page_draw_read, .finish = page_draw_finish};

/* ---- pausing ---- */

struct pausing {
    struct str queue;
    bool is_paused;
};

static enum err decode_pause(struct api_call *call)
{
    struct pausing *p = ARENA_NEW(call->arena, struct pausing);
    struct str action;
    enum err err = page_draw_ask(call, &kind);
    if (!err)
        err = page_form_check(call);
    if (!err)
        err = page_form_text(call, STR("queue"), &p->queue);
    if (!err)
        err = page_form_text(call, STR("action"), &action);
    if (err)
        return err;
    p->is_paused = str_eq(action, STR("pause"));
    page_draw_asked(call)->input = p;
    page_draw_asked(call)->path = page_draw_asked(call)->back = STR("/admin/queues");
    bool is_known = p->is_paused || str_eq(action, STR("resume"));
    return is_known && p->queue.len > 0 && p->queue.len <= QUEUE_MAX_NAME_BYTES
               ? OK
               : api_refuse(call, 400, "malformed");
}

static enum err write_pause(struct store_tx *tx, struct api_call *call)
{
    const struct pausing *p = page_draw_asked(call)->input;
    enum err err = page_queue_enter(call, CIVIC_CHANGE_QUEUES);
    return err ? err : queue_pause(tx, p->queue, p->is_paused ? INT64_MAX : 0);
}

const struct api_endpoint page_queue_post_pause = {.auth = API_USER,
                                                   .decode = decode_pause,
                                                   .write = write_pause,
                                                   .changes = API_NOTHING,
                                                   .finish = page_draw_finish_form};
