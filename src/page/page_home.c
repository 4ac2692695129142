#include "page/page_home.h"

#include "civic/civic_proposal.h"
#include "civic/civic_view.h"
#include "civic/civic_voting.h"
#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_proposals.h"

enum { NEWEST = 8, POPULAR = 4, VOTINGS = 4 };

static enum err load_votings(struct store_tx *tx, struct api_call *call)
{
    struct civic_actor actor = api_actor(call);
    struct civic_voting_list list;
    enum err err = civic_voting_list(tx, &actor, VOTINGS, call->arena, &list);
    if (err)
        return err;
    cJSON *items = cJSON_AddArrayToObject(page_draw_asked(call)->view, "votings");
    for (size_t i = 0; i < list.count; i++)
        cJSON_AddItemToArray(items, civic_view_voting(&list.items[i], &actor, call->arena));
    return OK;
}

static void dress_votings(struct api_call *call)
{
    cJSON *view = page_draw_asked(call)->view;
    cJSON *items = cJSON_GetObjectItemCaseSensitive(view, "votings");
    const struct page_dress d = page_draw_dress(call);
    cJSON *voting;
    cJSON_ArrayForEach(voting, items) page_dress_voting(&d, voting);
    cJSON_AddBoolToObject(view, "has_votings", cJSON_GetArraySize(items) > 0);
}

static enum err load(struct store_tx *tx, struct api_call *call)
{
    struct civic_proposal_query newest = {.sort = CIVIC_PROPOSAL_NEW, .limit = NEWEST};
    struct civic_proposal_query popular = {.sort = CIVIC_PROPOSAL_TOP, .limit = POPULAR};
    enum err err = page_proposals_load(tx, call, &newest, "proposals");
    if (!err)
        err = page_proposals_load(tx, call, &popular, "popular");
    return err ? err : load_votings(tx, call);
}

static void dress(struct api_call *call)
{
    page_proposals_dress(call, "proposals");
    page_proposals_dress(call, "popular");
    dress_votings(call);
    page_draw_title(call, (struct str){0}, (struct str){0});
}

static const struct page_kind kind = {.template = "home", .load = load, .dress = dress};

static enum err decode(struct api_call *call)
{
    enum err err = page_draw_ask(call, &kind);
    if (!err)
        page_draw_cacheable(call, PAGE_LISTS, 0);
    return err;
}

const struct api_endpoint page_home_get = {
    .decode = decode, .read = page_draw_read, .finish = page_draw_finish};
