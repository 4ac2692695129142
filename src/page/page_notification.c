#include "page/page_notification.h"

#include "civic/civic_notification.h"
#include "civic/civic_view.h"
#include "page/page_draw.h"
#include "page/page_form.h"

static enum err load(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    struct civic_notification_list list = {0};
    const char *why = NULL;
    const struct civic_notification_query query = {call->viewer.id, ask->cursor,
                                                   PAGE_NOTIFICATIONS};
    enum err err = civic_notification_list(tx, &query, call->arena, &list, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    cJSON *items = cJSON_AddArrayToObject(ask->view, "notifications");
    for (size_t i = 0; i < list.count; i++)
        cJSON_AddItemToArray(items, civic_view_notification(&list.items[i]));
    ask->next_cursor = list.next;
    return OK;
}

static void dress(struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    const struct page_dress d = page_draw_dress(call);
    cJSON *items = cJSON_GetObjectItemCaseSensitive(ask->view, "notifications");
    cJSON *item;
    cJSON_ArrayForEach(item, items) page_dress_notification(&d, item);
    cJSON_AddBoolToObject(ask->view, "has_notifications", cJSON_GetArraySize(items) > 0);
    page_json_add(ask->view, "unread_text",
                  locale_plural(call->lang, STR("notification.count"),
                                page_json_int(ask->view, "unread_count"), call->arena));
    if (ask->next_cursor.at)
        page_json_add(
            ask->view, "next_url",
            arena_printf(call->arena, "/notifications?cursor=%.*s", STR_ARG(ask->next_cursor)));
    page_draw_title(call, locale_text(call->lang, STR("notification.title")), (struct str){0});
}

static const struct page_kind kind = {
    .template = "notifications", .load = load, .dress = dress, .nav = "is_notifications"};

static enum err decode(struct api_call *call)
{
    enum err err = page_draw_ask(call, &kind);
    if (!err)
        page_draw_asked(call)->cursor = page_form_query(call, STR("cursor"));
    return err;
}

const struct api_endpoint page_notification_get = {
    .auth = API_USER, .decode = decode, .read = page_draw_read, .finish = page_draw_finish};

// ---- marking all read ----

static enum err decode_read(struct api_call *call)
{
    enum err err = page_draw_ask(call, &kind);
    if (!err)
        err = page_form_check(call);
    if (!err)
        page_draw_asked(call)->path = page_draw_asked(call)->back = STR("/notifications");
    return err;
}

static enum err write_read(struct store_tx *tx, struct api_call *call)
{
    enum err err = page_draw_limit(call, CIVIC_RATE_READ_MARK);
    return err ? err : civic_notification_read_until(tx, call->viewer.id, INT64_MAX);
}

const struct api_endpoint page_notification_post_read = {.auth = API_USER,
                                                         .decode = decode_read,
                                                         .write = write_read,
                                                         .changes = API_NOTHING,
                                                         .finish = page_draw_finish_form};
