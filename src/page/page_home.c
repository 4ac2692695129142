#include "page/page_home.h"

#include "civic/civic_proposal.h"
#include "civic/civic_view.h"
#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_proposals.h"

enum { NEWEST = 8, POPULAR = 4 };

static enum err load(struct store_tx *tx, struct api_call *call)
{
    struct civic_proposal_query newest = {.sort = CIVIC_PROPOSAL_NEW, .limit = NEWEST};
    struct civic_proposal_query popular = {.sort = CIVIC_PROPOSAL_TOP, .limit = POPULAR};
    enum err err = page_proposals_load(tx, call, &newest, "proposals");
    return err ? err : page_proposals_load(tx, call, &popular, "popular");
}

static void dress(struct api_call *call)
{
    page_proposals_dress(call, "proposals");
    page_proposals_dress(call, "popular");
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
