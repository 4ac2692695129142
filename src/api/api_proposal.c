#include "api/api_body.h"
#include "api/api_internal.h"
#include "api/api_once.h"
#include "civic/civic_follow.h"
#include "civic/civic_rate.h"
#include "civic/civic_view.h"

/* ---- GET /api/v1/proposals ---- */
static enum err decode_list(struct api_call *call)
{
    struct civic_proposal_query *query = ARENA_NEW(call->arena, struct civic_proposal_query);
    struct str sort;
    call->data = query;
    api_body_query(call, "sort", &sort);
    api_body_query(call, "cursor", &query->cursor);
    api_body_limit(call, &query->limit);
    if (str_eq(sort, STR("top")))
        query->sort = CIVIC_PROPOSAL_TOP;
    else if (sort.len && !str_eq(sort, STR("new")))
        return api_refuse_field(call, "/sort", "invalid", 0);
    return call->problem.status ? ERR_INVALID : OK;
}

static enum err read_list(struct store_tx *tx, struct api_call *call)
{
    struct civic_actor actor = api_actor(call);
    struct civic_proposal_list list;
    const char *why = NULL;
    enum err err = civic_proposal_list(tx, &actor, call->data, call->arena, &list, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    return api_answer(call, 200, civic_view_proposals(&list, &actor, call->arena));
}

const struct api_endpoint api_proposal_list = {.decode = decode_list, .read = read_list};

/* ---- one proposal ---- */
static enum err read_one(struct store_tx *tx, struct api_call *call)
{
    struct civic_actor actor = api_actor(call);
    struct civic_proposal p;
    const char *why = NULL;
    enum err err = civic_proposal_get(tx, &actor, *(int64_t *)call->data, call->arena, &p, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    return api_answer(call, 200, civic_view_proposal(&p, &actor, call->arena));
}

const struct api_endpoint api_proposal_get = {.decode = api_decode_id, .read = read_one};

/* ---- POST /api/v1/proposals ---- */
struct creation {
    struct civic_proposal_new proposal;
    struct api_once once;
};

static enum err decode_create(struct api_call *call)
{
    struct creation *c = ARENA_NEW(call->arena, struct creation);
    struct api_body body;
    call->data = c;
    enum err err = api_body_parse(call, &body);
    if (err)
        return err;
    api_body_text(&body, "/title", &civic_text_title, &c->proposal.title);
    api_body_text(&body, "/summary", &civic_text_summary, &c->proposal.summary);
    api_body_text(&body, "/body", &civic_text_body, &c->proposal.body);
    api_body_bool(&body, "/is_members_only", &c->proposal.is_members_only);
    err = api_body_verdict(&body);
    return err ? err : api_once_decode(call, &c->once);
}

static enum err create(struct store_tx *tx, struct api_call *call, struct creation *c)
{
    const struct civic_options *options = &call->api->civic->options;
    struct civic_actor actor = api_actor(call);
    struct civic_proposal p;
    const char *why = NULL;
    int64_t id = 0;
    c->proposal.threshold = options->threshold;
    c->proposal.deadline_at_ms = store_now_ms(tx) + options->support_ms;
    enum err err = civic_proposal_create(tx, &actor, &c->proposal, &id, &why);
    if (!err)
        err = civic_proposal_get(tx, &actor, id, call->arena, &p, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    struct str location = arena_printf(call->arena, "/api/v1/proposals/%lld", (long long)id);
    api_add_field(call, STR("Location"), location);
    err = api_answer(call, 201, civic_view_proposal(&p, &actor, call->arena));
    return err ? err : api_once_keep(tx, call, &c->once, location);
}

static enum err write_create(struct store_tx *tx, struct api_call *call)
{
    struct creation *c = call->data;
    bool is_replay = false;
    enum err err = api_once_replay(tx, call, &c->once, &is_replay);
    if (err || is_replay)
        return err;
    int64_t wait_ms =
        civic_rate_take_id(call->api->civic->rate, CIVIC_RATE_PROPOSAL, call->viewer.id);
    return wait_ms ? api_refuse_rate(call, wait_ms) : create(tx, call, c);
}

const struct api_endpoint api_proposal_create = {
    .auth = API_USER, .decode = decode_create, .write = write_create};

/* ---- /api/v1/proposals/{id}/support ---- */
static enum err answer_support(struct api_call *call, const struct civic_support *s,
                               bool is_signing)
{
    return api_answer(call, is_signing && s->is_new ? 201 : 200, civic_view_support(s));
}

static enum err change_support(struct store_tx *tx, struct api_call *call, bool is_signing)
{
    struct civic_actor actor = api_actor(call);
    struct civic_support s;
    const char *why = NULL;
    int64_t id = *(int64_t *)call->data;
    int64_t wait_ms = civic_rate_take_id(call->api->civic->rate, CIVIC_RATE_SUPPORT, actor.id);
    if (wait_ms)
        return api_refuse_rate(call, wait_ms);
    enum err err = is_signing ? civic_support_sign(tx, &actor, id, &s, &why)
                              : civic_support_withdraw(tx, &actor, id, &s, &why);
    return err ? api_refuse_civic(call, err, why) : answer_support(call, &s, is_signing);
}

static enum err write_support(struct store_tx *tx, struct api_call *call)
{
    return change_support(tx, call, true);
}

static enum err write_withdraw(struct store_tx *tx, struct api_call *call)
{
    return change_support(tx, call, false);
}

const struct api_endpoint api_proposal_support = {
    .auth = API_USER, .decode = api_decode_id, .write = write_support, .changes = API_PROPOSAL};
const struct api_endpoint api_proposal_withdraw = {
    .auth = API_USER, .decode = api_decode_id, .write = write_withdraw, .changes = API_PROPOSAL};

/* ---- /api/v1/proposals/{id}/follow ---- */
static enum err change_follow(struct store_tx *tx, struct api_call *call, bool is_following)
{
    struct civic_actor actor = api_actor(call);
    const char *why = NULL;
    int64_t wait_ms = civic_rate_take_id(call->api->civic->rate, CIVIC_RATE_FOLLOW, actor.id);
    if (wait_ms)
        return api_refuse_rate(call, wait_ms);
    enum err err = civic_follow_set(tx, &actor, *(int64_t *)call->data, is_following, &why);
    call->status = 204;
    return api_refuse_civic(call, err, why);
}

static enum err write_follow(struct store_tx *tx, struct api_call *call)
{
    return change_follow(tx, call, true);
}

static enum err write_unfollow(struct store_tx *tx, struct api_call *call)
{
    return change_follow(tx, call, false);
}

const struct api_endpoint api_proposal_follow = {
    .auth = API_USER, .decode = api_decode_id, .write = write_follow, .changes = API_NOTHING};
const struct api_endpoint api_proposal_unfollow = {
    .auth = API_USER, .decode = api_decode_id, .write = write_unfollow, .changes = API_NOTHING};
