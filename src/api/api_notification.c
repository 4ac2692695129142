#include "api/api_body.h"
#include "api/api_internal.h"
#include "civic/civic_rate.h"
#include "civic/civic_view.h"

/* ---- GET /api/v1/notifications ---- */
static enum err decode_list(struct api_call *call)
{
    struct civic_notification_query *query =
        ARENA_NEW(call->arena, struct civic_notification_query);
    call->data = query;
    api_body_query(call, "cursor", &query->cursor);
    api_body_limit(call, &query->limit);
    return call->problem.status ? ERR_INVALID : OK;
}

static enum err read_list(struct store_tx *tx, struct api_call *call)
{
    struct civic_notification_query *query = call->data;
    struct civic_notification_list list;
    const char *why = NULL;
    query->user_id = call->viewer.id;
    enum err err = civic_notification_list(tx, query, call->arena, &list, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    return api_answer(call, 200, civic_view_notifications(&list));
}

const struct api_endpoint api_notification_list = {
    .auth = API_USER, .decode = decode_list, .read = read_list};

/* ---- POST /api/v1/notifications/read ---- */
/* {"id":7}: that one; {"until_id":7}: up to it; {}: all. */
struct mark {
    int64_t id, until_id;
};

static enum err decode_read(struct api_call *call)
{
    struct mark *mark = ARENA_NEW(call->arena, struct mark);
    struct api_body body;
    call->data = mark;
    enum err err = api_body_parse(call, &body);
    if (err)
        return err;
    api_body_id(&body, "/id", 0, &mark->id);
    api_body_id(&body, "/until_id", INT64_MAX, &mark->until_id);
    return api_body_verdict(&body);
}

static enum err write_read(struct store_tx *tx, struct api_call *call)
{
    const struct mark *mark = call->data;
    int64_t user_id = call->viewer.id, unread_count = 0;
    int64_t wait_ms = civic_rate_take_id(call->api->civic->rate, CIVIC_RATE_READ_MARK, user_id);
    if (wait_ms)
        return api_refuse_rate(call, wait_ms);
    enum err err = mark->id ? civic_notification_read_one(tx, user_id, mark->id)
                            : civic_notification_read_until(tx, user_id, mark->until_id);
    if (!err)
        err = civic_notification_unread(tx, user_id, &unread_count);
    if (err)
        return err;
    cJSON *view = cJSON_CreateObject();
    cJSON_AddNumberToObject(view, "unread_count", (double)unread_count);
    return api_answer(call, 200, view);
}

const struct api_endpoint api_notification_read = {
    .auth = API_USER, .decode = decode_read, .write = write_read, .changes = API_NOTHING};
