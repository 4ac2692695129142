/* page_queue_batch.c -- the list of batches; cancelling one: the question, and doing it. */
#include "page/page_queue_batch.h"

#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_problem.h"
#include "page/page_queue.h"
#include "queue/queue_admin_batch.h"

enum { LIST_ROWS = 100 };

struct str page_queue_batch_state(struct api_call *call, const struct queue_batch *b)
{
    return locale_text(call->lang, b->is_finished    ? STR("queue.batch.finished")
                                   : b->is_cancelled ? STR("queue.batch.cancelled")
                                   : b->is_closed    ? STR("queue.batch.closed")
                                                     : STR("queue.batch.open"));
}

/* ---- the list ---- */

static void add_batch(struct api_call *call, cJSON *rows, const struct queue_admin_batch *b)
{
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(rows, row);
    page_json_add(row, "id", arena_printf(call->arena, "%lld", (long long)b->batch.id));
    page_json_add(row, "name", b->name);
    page_json_add(row, "state_text", page_queue_batch_state(call, &b->batch));
    page_json_add(row, "total_text", locale_number(call->lang, b->batch.total, call->arena));
    page_json_add(row, "pending_text", locale_number(call->lang, b->batch.pending, call->arena));
    page_json_add(row, "failed_text", locale_number(call->lang, b->batch.failed, call->arena));
    page_queue_add_time(call, row, "created", b->batch.created_at_ms);
}

/* The number of a batch; 0: from the newest on. */
static int64_t asked_before(struct api_call *call)
{
    int64_t id = 0;
    return str_parse_int(page_form_query(call, STR("before")), &id) || id < 0 ? 0 : id;
}

static enum err load_list(struct store_tx *tx, struct api_call *call)
{
    cJSON *view = page_draw_asked(call)->view;
    struct queue_admin_batches list;
    bool is_unfinished = str_eq(page_form_query(call, STR("unfinished")), STR("1"));
    enum err err = page_queue_enter(call, CIVIC_SEE_QUEUES);
    if (!err)
        err = queue_admin_batch_list(tx, asked_before(call), is_unfinished, LIST_ROWS, call->arena,
                                     &list);
    if (err)
        return err;
    cJSON *rows = cJSON_AddArrayToObject(view, "batches");
    for (size_t i = 0; i < list.count; i++)
        add_batch(call, rows, &list.at[i]);
    cJSON_AddBoolToObject(view, "is_unfinished", is_unfinished);
    cJSON_AddBoolToObject(view, "has_batches", list.count > 0);
    if (list.has_more)
        page_json_add(view, "next_url",
                      arena_printf(call->arena, "/admin/queues/batches?before=%lld%s",
                                   (long long)list.at[list.count - 1].batch.id,
                                   is_unfinished ? "&unfinished=1" : ""));
    return OK;
}

static void dress_list(struct api_call *call)
{
    page_draw_title(call, locale_text(call->lang, STR("queue.batch.list")), (struct str){0});
}

static const struct page_kind list_kind = {.template = "queue_batches",
                                           .load = load_list,
                                           .dress = dress_list,
                                           .nav = "is_queues",
                                           .is_admin = true};

static enum err decode_list(struct api_call *call)
{
    return page_draw_ask(call, &list_kind);
}

const struct api_endpoint page_queue_batch_get_list = {
    .auth = API_USER, .decode = decode_list, .read = page_draw_read, .finish = page_draw_finish};

/* ---- the question ---- */

static enum err load(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    struct queue_admin_batch b;
    enum err err = page_queue_enter(call, CIVIC_CHANGE_QUEUES);
    if (!err)
        err = queue_admin_batch_get(tx, ask->id, call->arena, &b);
    if (err)
        return err == ERR_NOT_FOUND ? api_refuse(call, 404, "not-found") : err;
    page_json_add(ask->view, "id", arena_printf(call->arena, "%lld", (long long)ask->id));
    if (b.name.len > 0)
        page_json_add(ask->view, "batch_name", b.name);
    page_json_add(ask->view, "count_text",
                  locale_plural(call->lang, STR("queue.count"), b.batch.pending, call->arena));
    cJSON_AddBoolToObject(ask->view, "is_over", b.batch.is_finished || b.batch.is_cancelled);
    return OK;
}

static void dress(struct api_call *call)
{
    struct str id = arena_printf(call->arena, "%lld", (long long)page_draw_asked(call)->id);
    const struct str pairs[] = {STR("id"), id, {0}};
    struct str title =
        locale_format(call->lang, STR("queue.batch.cancel_title"), call->arena, pairs);
    page_json_add(page_draw_asked(call)->view, "title", title);
    page_draw_title(call, title, (struct str){0});
}

static const struct page_kind kind = {.template = "queue_batch_cancel",
                                      .load = load,
                                      .dress = dress,
                                      .nav = "is_queues",
                                      .is_admin = true};

static enum err decode_question(struct api_call *call)
{
    return page_draw_ask(call, &kind);
}

const struct api_endpoint page_queue_batch_get_cancel = {.auth = API_USER,
                                                         .decode = decode_question,
                                                         .read = page_draw_read,
                                                         .finish = page_draw_finish};

/* ---- doing it ---- */

static enum err decode(struct api_call *call)
{
    enum err err = page_draw_ask(call, &page_problem_kind);
    struct page_ask *ask = page_draw_asked(call);
    ask->path = ask->back =
        arena_printf(call->arena, "/admin/queues/batches/%lld", (long long)ask->id);
    return err ? err : page_form_check(call);
}

/* One that is over meanwhile says so on its page. */
static enum err write(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    enum err err = page_queue_enter(call, CIVIC_CHANGE_QUEUES);
    if (!err)
        err = queue_batch_cancel(tx, ask->id);
    if (err == ERR_NOT_FOUND)
        return api_refuse(call, 404, "not-found");
    ask->location = ask->path;
    return err == ERR_CONFLICT ? OK : err;
}

const struct api_endpoint page_queue_batch_post_cancel = {.auth = API_USER,
                                                          .decode = decode,
                                                          .write = write,
                                                          .changes = API_NOTHING,
                                                          .finish = page_draw_finish_form};
