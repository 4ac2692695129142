#include "api/api_body.h"
#include "api/api_internal.h"
#include "civic/civic_rate.h"
#include "civic/civic_view.h"

struct ballot {
    int64_t voting_id, option_id;
    bool is_by_choices; // said as the only one of several
};

static enum err answer(struct store_tx *tx, struct api_call *call, int status)
{
    const struct ballot *ballot = call->data;
    struct civic_actor actor = api_actor(call);
    struct civic_voting *v = ARENA_NEW(call->arena, struct civic_voting);
    const char *why = NULL;
    enum err err = civic_voting_get(tx, &actor, ballot->voting_id, call->arena, v, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    return api_answer(call, status, civic_view_voting(v, &actor, call->arena));
}

/* ---- GET /api/v1/votings/{id} ---- */
static enum err decode_get(struct api_call *call)
{
    struct ballot *ballot = ARENA_NEW(call->arena, struct ballot);
    call->data = ballot;
    return api_param_id(call, 0, &ballot->voting_id);
}

static enum err read_one(struct store_tx *tx, struct api_call *call)
{
    return answer(tx, call, 200);
}

const struct api_endpoint api_voting_get = {.decode = decode_get, .read = read_one};

/* ---- PUT /api/v1/votings/{id}/ballot ---- */
static void read_choices(struct api_body *body, struct ballot *ballot)
{
    ballot->is_by_choices = true;
    api_body_one_int(body, "/choices", &ballot->option_id);
}

static enum err decode_cast(struct api_call *call)
{
    struct api_body body;
    enum err err = decode_get(call);
    if (!err)
        err = api_body_parse(call, &body);
    if (err)
        return err;
    struct ballot *ballot = call->data;
    if (api_body_has(&body, "/option_id"))
        api_body_int(&body, "/option_id", 0, &ballot->option_id);
    else if (api_body_has(&body, "/choices"))
        read_choices(&body, ballot);
    else
        api_body_refuse(call, "/option_id", "required", 0);
    return api_body_verdict(&body);
}

static enum err write_cast(struct store_tx *tx, struct api_call *call)
{
    const struct ballot *ballot = call->data;
    struct civic_actor actor = api_actor(call);
    const char *why = NULL;
    bool is_new = false;
    int64_t wait_ms = civic_rate_take_id(call->api->civic->rate, CIVIC_RATE_BALLOT, actor.id);
    if (wait_ms)
        return api_refuse_rate(call, wait_ms);
    enum err err =
        civic_voting_cast(tx, &actor, ballot->voting_id, ballot->option_id, &is_new, &why);
    if (err == ERR_INVALID && ballot->is_by_choices && why && strcmp(why, "unknown-option") == 0)
        return api_refuse_field(call, "/choices", "unknown-option", 0);
    return err ? api_refuse_civic(call, err, why) : answer(tx, call, is_new ? 201 : 200);
}

const struct api_endpoint api_voting_cast = {
    .auth = API_USER, .decode = decode_cast, .write = write_cast, .changes = API_VOTING};
