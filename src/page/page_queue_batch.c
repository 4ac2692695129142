/* page_queue_batch.c -- cancelling a batch: the question, and doing it. */
#include "page/page_queue_batch.h"

#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_problem.h"
#include "page/page_queue.h"
#include "queue/queue_admin_batch.h"

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
