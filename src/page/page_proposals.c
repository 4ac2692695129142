#include "page/page_proposals.h"

#include "civic/civic_text.h"
#include "civic/civic_view.h"
#include "page/page_draw.h"
#include "page/page_form.h"

static const struct {
    const char *code, *key;
} sorts[] = {
    [CIVIC_PROPOSAL_NEW] = {"new", "proposals.sort_new"},
    [CIVIC_PROPOSAL_TOP] = {"top", "proposals.sort_top"},
};
enum { SORT_COUNT = sizeof sorts / sizeof sorts[0] };

enum err page_proposals_load(struct store_tx *tx, struct api_call *call,
                             const struct civic_proposal_query *query, const char *name)
{
    struct civic_actor actor = api_actor(call);
    struct civic_proposal_list list = {0};
    const char *why = NULL;
    enum err err = civic_proposal_list(tx, &actor, query, call->arena, &list, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    cJSON *items = cJSON_AddArrayToObject(page_draw_asked(call)->view, name);
    for (size_t i = 0; i < list.count; i++)
        cJSON_AddItemToArray(items, civic_view_proposal(&list.items[i], &actor, call->arena));
    if (list.next.at)
        page_draw_asked(call)->next_cursor = list.next;
    return OK;
}

void page_proposals_dress(struct api_call *call, const char *name)
{
    cJSON *view = page_draw_asked(call)->view;
    cJSON *items = cJSON_GetObjectItemCaseSensitive(view, name);
    const struct page_dress d = page_draw_dress(call);
    cJSON *proposal;
    cJSON_ArrayForEach(proposal, items) page_dress_proposal(&d, proposal);
    struct str flag = arena_printf(call->arena, "has_%s", name);
    cJSON_AddBoolToObject(view, flag.at, cJSON_GetArraySize(items) > 0);
}

// ---- the list ----

static enum err load(struct store_tx *tx, struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    const struct civic_proposal_query query = {.sort = (enum civic_proposal_sort)ask->sort,
                                               .cursor = ask->cursor,
                                               .limit = PAGE_PROPOSALS};
    return page_proposals_load(tx, call, &query, "proposals");
}

static void dress(struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    page_proposals_dress(call, "proposals");
    cJSON *items = cJSON_AddArrayToObject(ask->view, "sorts");
    for (int i = 0; i < SORT_COUNT; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToArray(items, item);
        page_json_add(item, "code", str_of(sorts[i].code));
        page_json_add(item, "text", locale_text(call->lang, str_of(sorts[i].key)));
        cJSON_AddBoolToObject(item, "is_current", i == ask->sort);
    }
    if (ask->next_cursor.at)
        page_json_add(ask->view, "next_url",
                      arena_printf(call->arena, "/proposals?sort=%s&cursor=%.*s",
                                   sorts[ask->sort].code, STR_ARG(ask->next_cursor)));
    page_draw_title(call, locale_text(call->lang, STR("proposals.title")),
                    locale_text(call->lang, STR("proposals.lead")));
}

static const struct page_kind kind = {
    .template = "proposals", .load = load, .dress = dress, .nav = "is_proposals"};

static enum err decode(struct api_call *call)
{
    enum err err = page_draw_ask(call, &kind);
    if (err)
        return err;
    struct page_ask *ask = page_draw_asked(call);
    struct str sort = page_form_query(call, STR("sort"));
    for (int i = 0; i < SORT_COUNT; i++) {
        if (str_eq(sort, str_of(sorts[i].code)))
            ask->sort = i;
    }
    ask->cursor = page_form_query(call, STR("cursor"));
    page_draw_cacheable(call, PAGE_LISTS, 0);
    return OK;
}

const struct api_endpoint page_proposals_get = {
    .decode = decode, .read = page_draw_read, .finish = page_draw_finish};

// ---- a new one ----

static void dress_new(struct api_call *call)
{
    page_draw_title(call, locale_text(call->lang, STR("new_proposal.title")),
                    locale_text(call->lang, STR("new_proposal.lead")));
}

static const struct page_kind kind_new = {
    .template = "proposal_new", .dress = dress_new, .nav = "is_new"};

static enum err decode_new(struct api_call *call)
{
    return page_draw_ask(call, &kind_new);
}

const struct api_endpoint page_proposals_get_new = {
    .auth = API_USER, .decode = decode_new, .read = page_draw_read, .finish = page_draw_finish};

static enum err decode_text(struct api_call *call, const char *name,
                            const struct civic_text_rule *rule, struct str *out)
{
    struct str typed;
    enum err err = page_form_text(call, str_of(name), &typed);
    if (err)
        return err;
    page_draw_typed(call, name, typed);
    const char *code = civic_text_check(typed, rule, call->arena, out);
    if (!code)
        return OK;
    return api_refuse_field(call, arena_printf(call->arena, "/%s", name).at, code,
                            (int64_t)rule->max_chars);
}

static enum err decode_post(struct api_call *call)
{
    enum err err = page_draw_ask(call, &kind_new);
    if (!err)
        err = page_form_check(call);
    if (err)
        return err;
    struct civic_proposal_new *input = ARENA_NEW(call->arena, struct civic_proposal_new);
    page_draw_asked(call)->path = page_draw_asked(call)->back = STR("/proposals/new");
    page_draw_asked(call)->input = input;
    // every field is looked at, so that all mistakes are told at once
    enum err title = decode_text(call, "title", &civic_text_title, &input->title);
    enum err summary = decode_text(call, "summary", &civic_text_summary, &input->summary);
    enum err body = decode_text(call, "body", &civic_text_body, &input->body);
    return title ? title : summary ? summary : body;
}

static enum err write_post(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    struct civic_proposal_new proposal = *(const struct civic_proposal_new *)ask->input;
    const struct civic_options *options = &call->api->civic->options;
    proposal.threshold = options->threshold;
    proposal.deadline_at_ms = store_now_ms(tx) + options->support_ms;

    struct civic_actor actor = api_actor(call);
    const char *why = NULL;
    int64_t id = 0;
    enum err err = page_draw_limit(call, CIVIC_RATE_PROPOSAL);
    if (!err)
        err = civic_proposal_create(tx, &actor, &proposal, &id, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    ask->location = arena_printf(call->arena, "/proposals/%lld", (long long)id);
    return OK;
}

const struct api_endpoint page_proposals_post = {
    .auth = API_USER, .decode = decode_post, .write = write_post, .finish = page_draw_finish_form};
