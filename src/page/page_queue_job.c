/* page_queue_job.c -- one job's story, and the batch that it belongs to. */
#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_queue.h"
#include "page/page_queue_batch.h"
#include "page/page_time.h"

enum { GRAPH_ROWS = 100 }; // jobs of a batch on its page

/* ---- a job ---- */

static void add_text(cJSON *object, const char *name, struct str text)
{
    if (text.len > 0)
        page_json_add(object, name, text);
}

static void add_number(struct api_call *call, cJSON *object, const char *name, int64_t n)
{
    if (n != 0)
        page_json_add(object, name, locale_number(call->lang, n, call->arena));
}

static void add_duration(struct api_call *call, cJSON *object, const char *name, int64_t ms)
{
    if (ms > 0)
        page_json_add(object, name, page_queue_duration(call, ms));
}

static cJSON *add_row(cJSON *list)
{
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(list, row);
    return row;
}

static cJSON *add_list(cJSON *object, const char *name, size_t count)
{
    cJSON *part = cJSON_AddObjectToObject(object, name);
    cJSON *rows = cJSON_AddArrayToObject(part, "rows");
    if (count == 0)
        cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    return count > 0 ? rows : NULL;
}

static void add_errors(struct api_call *call, cJSON *job, const struct queue_admin_show *show)
{
    static const struct {
        const char *class, *key;
    } classes[] = {
        {"error", "queue.class.error"},     {"crash", "queue.class.crash"},
        {"timeout", "queue.class.timeout"}, {"deadline", "queue.class.deadline"},
        {"discard", "queue.class.discard"},
    };
    cJSON *rows = add_list(job, "errors", show->error_count);
    for (size_t i = 0; i < show->error_count; i++) {
        const struct queue_admin_error *e = &show->errors[i];
        cJSON *row = add_row(rows);
        page_json_add(row, "class_text", e->class);
        for (size_t c = 0; c < sizeof classes / sizeof classes[0]; c++)
            if (str_eq(e->class, str_of(classes[c].class)))
                page_json_add(row, "class_name", locale_text(call->lang, str_of(classes[c].key)));
        page_json_add(row, "attempt_text", locale_number(call->lang, e->attempt, call->arena));
        page_queue_add_time(call, row, "at", e->at_ms);
        page_json_add(row, "error", e->text);
    }
}

static void add_log(struct api_call *call, cJSON *job, const struct queue_admin_show *show)
{
    cJSON *rows = add_list(job, "log", show->log_count);
    for (size_t i = 0; i < show->log_count; i++) {
        cJSON *row = add_row(rows);
        page_json_add(row, "clock", page_time_clock(show->log[i].at_ms, call->arena));
        page_json_add(row, "line", show->log[i].text);
    }
}

static void add_steps(struct api_call *call, cJSON *job, const struct queue_admin_show *show)
{
    cJSON *rows = add_list(job, "steps", show->step_count);
    for (size_t i = 0; i < show->step_count; i++) {
        cJSON *row = add_row(rows);
        page_json_add(row, "name", show->steps[i].name);
        page_queue_add_time(call, row, "at", show->steps[i].at_ms);
        // also when there is none: a template would find the job's
        page_json_add(row, "result",
                      show->steps[i].result.at ? page_queue_hide(call, show->steps[i].result)
                                               : STR(""));
    }
}

static void add_neighbours(struct api_call *call, cJSON *job, const char *name,
                           const struct queue_admin_neighbours *them)
{
    static const char *const when[] = {[QUEUE_ON_SUCCESS] = "queue.when.success",
                                       [QUEUE_ON_FINISH] = "queue.when.finish",
                                       [QUEUE_ON_FAILURE] = "queue.when.failure"};
    cJSON *rows = add_list(job, name, them->count);
    for (size_t i = 0; i < them->count; i++) {
        const struct queue_admin_neighbour *n = &them->at[i];
        cJSON *row = add_row(rows);
        page_json_add(row, "id", arena_printf(call->arena, "%lld", (long long)n->id));
        page_json_add(row, "kind", n->kind.at ? n->kind : STR(""));
        page_json_add(row, "when_text", locale_text(call->lang, str_of(when[n->when])));
        page_json_add(row, "state_text",
                      n->is_gone ? locale_text(call->lang, STR("queue.gone"))
                                 : page_queue_state(call, n->state));
        cJSON_AddBoolToObject(row, "is_gone", n->is_gone);
        cJSON_AddBoolToObject(row, "is_met", n->is_met);
    }
}

static void add_facts(struct api_call *call, cJSON *job, const struct queue_admin_show *show)
{
    add_number(call, job, "priority_text", show->priority);
    add_number(call, job, "crash_text", show->job.crash);
    add_number(call, job, "max_attempts_text", show->max_attempts);
    add_text(job, "key", show->key);
    add_text(job, "trace", show->trace);
    add_text(job, "unique_key", show->job.unique_key);
    cJSON_AddBoolToObject(job, "is_key_free", show->job.unique_key.len > 0 && !show->holds_key);
    cJSON *keys = add_list(job, "idempotency_keys", show->idempotency_count);
    for (size_t i = 0; i < show->idempotency_count; i++) {
        cJSON *row = add_row(keys);
        page_json_add(row, "idempotency_key", show->idempotency[i].key);
        page_queue_add_time(call, row, "until", show->idempotency[i].until_ms);
    }
    page_queue_add_time(call, job, "deadline", show->deadline_ms);
    page_queue_add_time(call, job, "started", show->started_at_ms);
    page_queue_add_time(call, job, "finished", show->finished_at_ms);
    page_queue_add_time(call, job, "cancel", show->cancel_at_ms);
    add_duration(call, job, "timeout_text", show->timeout_ms);
    add_text(job, "worker", show->worker);
    add_text(job, "progress", show->progress);
    if (show->progress.len > 0 && show->percent >= 0) {
        page_json_add(job, "percent", arena_printf(call->arena, "%d", show->percent));
        cJSON_AddBoolToObject(job, "has_percent", true);
    }
    if (show->result.len > 0)
        page_json_add(job, "result", page_queue_hide(call, show->result));
    if (show->batch_id > 0)
        page_json_add(job, "batch", arena_printf(call->arena, "%lld", (long long)show->batch_id));
    cJSON *tags = add_list(job, "tags", show->tag_count);
    for (size_t i = 0; i < show->tag_count; i++) {
        cJSON *row = add_row(tags);
        page_json_add(row, "tag", show->tags[i]);
        page_json_add(row, "tag_query", page_form_encode(show->tags[i], call->arena));
    }
}

/* What may be done with it in its state. */
static void add_choices(struct api_call *call, cJSON *job, const struct queue_admin_job *j)
{
    bool may_act = page_json_is(page_draw_asked(call)->view, "may_act");
    bool is_over =
        j->state == QUEUE_DEAD || j->state == QUEUE_DONE_STATE || j->state == QUEUE_CANCELLED;
    bool is_retry = j->state == QUEUE_SCHEDULED && j->attempt > 0;
    cJSON_AddBoolToObject(job, "may_retry", may_act && (is_over || is_retry));
    cJSON_AddBoolToObject(job, "may_discard", may_act && is_over);
    cJSON_AddBoolToObject(job, "may_cancel", may_act && !is_over);
}

static enum err load(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    struct queue_admin_show show;
    enum err err = page_queue_enter(call, CIVIC_SEE_QUEUES);
    struct queue_held held = page_queue_held(call);
    if (!err)
        err = queue_admin_show(tx, ask->id, &held, call->arena, &show);
    if (err)
        return err == ERR_NOT_FOUND ? api_refuse(call, 404, "not-found") : err;
    cJSON *list = cJSON_CreateArray();
    cJSON *job = page_queue_add_job(call, list, &show.job);
    cJSON_DetachItemViaPointer(list, job);
    cJSON_Delete(list);
    cJSON_AddItemToObject(ask->view, "job", job);
    page_json_add(job, "payload", page_queue_hide(call, show.job.payload));
    add_facts(call, job, &show);
    add_errors(call, job, &show);
    add_log(call, job, &show);
    add_steps(call, job, &show);
    add_neighbours(call, job, "needs", &show.needs);
    add_neighbours(call, job, "needed_by", &show.needed_by);
    add_choices(call, job, &show.job);
    page_queue_add_notice(call);
    return OK;
}

static struct str titled(struct api_call *call, const char *key)
{
    const struct str pairs[] = {
        STR("id"), arena_printf(call->arena, "%lld", (long long)page_draw_asked(call)->id), {0}};
    return locale_format(call->lang, str_of(key), call->arena, pairs);
}

static void dress(struct api_call *call)
{
    struct str title = titled(call, "queue.job.title");
    page_json_add(page_draw_asked(call)->view, "title", title);
    page_draw_title(call, title, (struct str){0});
}

static const struct page_kind job_kind = {
    .template = "queue_job", .load = load, .dress = dress, .nav = "is_queues", .is_admin = true};

static enum err decode(struct api_call *call)
{
    return page_draw_ask(call, &job_kind);
}

const struct api_endpoint page_queue_job_get = {
    .auth = API_USER, .decode = decode, .read = page_draw_read, .finish = page_draw_finish};

/* ---- a batch ---- */

static void add_batch(struct api_call *call, const struct queue_batch *b)
{
    cJSON *view = page_draw_asked(call)->view;
    cJSON *batch = cJSON_AddObjectToObject(view, "batch");
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {{"total_text", b->total},
                  {"pending_text", b->pending},
                  {"done_text", b->done},
                  {"failed_text", b->failed},
                  {"cancelled_text", b->cancelled}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        page_json_add(batch, counts[i].name,
                      locale_number(call->lang, counts[i].value, call->arena));
    int64_t ended = b->total - b->pending;
    page_json_add(
        batch, "percent",
        arena_printf(call->arena, "%lld", (long long)(b->total > 0 ? ended * 100 / b->total : 0)));
    page_json_add(batch, "state_text", page_queue_batch_state(call, b));
    page_json_add(batch, "id", arena_printf(call->arena, "%lld", (long long)b->id));
    cJSON_AddBoolToObject(batch, "may_cancel",
                          page_json_is(view, "may_act") && !b->is_finished && !b->is_cancelled);
    page_queue_add_time(call, batch, "created", b->created_at_ms);
    page_queue_add_time(call, batch, "finished", b->finished_at_ms);
}

/* The jobs, each with those that it needs: the graph, as far as there is one. */
static enum err add_members(struct store_tx *tx, struct api_call *call,
                            const struct queue_held *held, int64_t batch_id)
{
    cJSON *view = page_draw_asked(call)->view;
    const struct queue_admin_list_filter filter = {.state = QUEUE_ADMIN_LIST_ANY,
                                                   .batch_id = batch_id};
    const struct queue_admin_list_page page = {.limit = GRAPH_ROWS};
    struct queue_admin_list list;
    enum err err = queue_admin_list(tx, &filter, held, &page, call->arena, &list);
    cJSON *jobs = cJSON_AddArrayToObject(view, "jobs");
    for (size_t i = 0; !err && i < list.count; i++) {
        struct queue_admin_show show;
        cJSON *row = page_queue_add_job(call, jobs, &list.jobs[i]);
        err = queue_admin_show(tx, list.jobs[i].id, held, call->arena, &show);
        if (!err)
            add_neighbours(call, row, "needs", &show.needs);
        if (!err && i == 0)
            add_text(view, "batch_name", show.batch_name);
    }
    cJSON_AddBoolToObject(view, "has_jobs", !err && list.count > 0);
    cJSON_AddBoolToObject(view, "has_more", !err && list.has_more);
    return err;
}

static enum err load_batch(struct store_tx *tx, struct api_call *call)
{
    struct queue_batch batch;
    enum err err = page_queue_enter(call, CIVIC_SEE_QUEUES);
    struct queue_held held = page_queue_held(call);
    if (!err)
        err = queue_batch_get(tx, page_draw_asked(call)->id, &batch);
    if (err)
        return err == ERR_NOT_FOUND ? api_refuse(call, 404, "not-found") : err;
    add_batch(call, &batch);
    return add_members(tx, call, &held, batch.id);
}

static void dress_batch(struct api_call *call)
{
    struct str title = titled(call, "queue.batch.title");
    page_json_add(page_draw_asked(call)->view, "title", title);
    page_draw_title(call, title, (struct str){0});
}

static const struct page_kind batch_kind = {.template = "queue_batch",
                                            .load = load_batch,
                                            .dress = dress_batch,
                                            .nav = "is_queues",
                                            .is_admin = true};

static enum err decode_batch(struct api_call *call)
{
    return page_draw_ask(call, &batch_kind);
}

const struct api_endpoint page_queue_job_get_batch = {
    .auth = API_USER, .decode = decode_batch, .read = page_draw_read, .finish = page_draw_finish};
