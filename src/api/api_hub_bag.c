#include "api/api_hub_bag.h"

/* Words and keys of a full body, many times over: every item of a batch may lack every field. */
enum { MAX_BAG_BYTES = 16 * API_HUB_CALL_MAX_BODY_BYTES };

void api_hub_bag_add(struct api_hub_bag *bag, struct str field, const char *what)
{
    struct arena *a = bag->call->arena;
    char *shown = arena_alloc(a, field.len + 1);
    memcpy(shown, field.at, field.len);
    for (size_t i = 0; i < field.len; i++)
        if (shown[i] == '_')
            shown[i] = ' ';
    if (!bag->json)
        bag->json = cJSON_CreateObject();
    const char *key = arena_str(a, field).at;
    cJSON *list = cJSON_GetObjectItemCaseSensitive(bag->json, key);
    if (!list)
        list = cJSON_AddArrayToObject(bag->json, key);
    cJSON_AddItemToArray(list,
                         cJSON_CreateString(arena_printf(a, "The %s field %s", shown, what).at));
}

bool api_hub_bag_reply(struct api_hub_bag *bag)
{
    struct buf body;
    if (!bag->json)
        return false;
    buf_init(&body, MAX_BAG_BYTES);
    if (json_print(bag->json, &body) == OK)
        api_hub_call_reply_json(bag->call->x, 422,
                                (struct str){(const char *)buf_head(&body), buf_len(&body)});
    else
        api_hub_call_reply_text(bag->call->x, 422, "The given data was invalid.");
    buf_done(&body);
    cJSON_Delete(bag->json);
    bag->json = NULL;
    return true;
}
