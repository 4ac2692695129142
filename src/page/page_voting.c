#include "page/page_voting.h"

#include "civic/civic_view.h"
#include "civic/civic_voting.h"
#include "page/page_draw.h"
#include "page/page_form.h"

static enum err load(struct store_tx *tx, struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    struct civic_actor actor = api_actor(call);
    struct civic_voting *voting = ARENA_NEW(call->arena, struct civic_voting);
    const char *why = NULL;
    enum err err = civic_voting_get(tx, &actor, ask->id, call->arena, voting, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    cJSON_AddItemToObject(ask->view, "voting", civic_view_voting(voting, &actor, call->arena));
    return OK;
}

static void dress(struct api_call *call)
{
    cJSON *voting = cJSON_GetObjectItemCaseSensitive(page_draw_asked(call)->view, "voting");
    const struct page_dress d = page_draw_dress(call);
    page_draw_data(call, "voting", cJSON_Duplicate(voting, true));
    page_dress_voting(&d, voting);
    page_draw_title(call, str_of(page_json_text(voting, "title")),
                    str_of(page_json_text(voting, "text")));
}

static const struct page_kind kind = {.template = "voting", .load = load, .dress = dress};

static enum err decode(struct api_call *call)
{
    enum err err = page_draw_ask(call, &kind);
    if (!err)
        page_draw_cacheable(call, PAGE_VOTING, page_draw_asked(call)->id);
    return err;
}

const struct api_endpoint page_voting_get = {
    .decode = decode, .read = page_draw_read, .finish = page_draw_finish};

// ---- the ballot ----

struct ballot {
    int64_t option_id;
};

static enum err decode_ballot(struct api_call *call)
{
    enum err err = page_draw_ask(call, &kind);
    if (!err)
        err = page_form_check(call);
    if (err)
        return err;
    struct page_ask *ask = page_draw_asked(call);
    struct ballot *ballot = ARENA_NEW(call->arena, struct ballot);
    ask->input = ballot;
    ask->path = arena_printf(call->arena, "/votings/%lld", (long long)ask->id);
    ask->location = arena_printf(call->arena, "/votings/%lld#ballot", (long long)ask->id);
    ask->back = ask->location;
    err = page_form_int(call, STR("option_id"), &ballot->option_id);
    if (!err && !ballot->option_id)
        return api_refuse_field(call, "/option_id", "required", 0);
    return err;
}

static enum err write_ballot(struct store_tx *tx, struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    const struct ballot *ballot = ask->input;
    struct civic_actor actor = api_actor(call);
    const char *why = NULL;
    bool is_new;
    enum err err = page_draw_limit(call, CIVIC_RATE_BALLOT);
    if (err)
        return err;
    err = civic_voting_cast(tx, &actor, ask->id, ballot->option_id, &is_new, &why);
    if (err == ERR_INVALID)
        return api_refuse_field(call, "/option_id", why ? why : "unknown-option", 0);
    return err ? api_refuse_civic(call, err, why) : OK;
}

const struct api_endpoint page_voting_post_ballot = {.auth = API_USER,
                                                     .decode = decode_ballot,
                                                     .write = write_ballot,
                                                     .changes = API_VOTING,
                                                     .finish = page_draw_finish_form};
