/* api_channel.c -- POST /broadcasting/auth: who may listen on which private channel.
 *
 *     private-proposal.7    members      the events of a members-only proposal
 *     private-voting.3      members      those of its voting
 *     private-user.5        that user    the bell
 *     private-admin.queues  moderators   that something happened to jobs
 *
 * Everything else is refused with 403, as Laravel does, without telling what exists. The body is a
 * form (pusher-js) or JSON (axios).
 */
#include "api/api_body.h"
#include "api/api_internal.h"
#include "civic/civic_voting.h"
#include "hub/hub_auth.h"

struct subscription {
    struct str socket_id, channel;
};

static enum err decode(struct api_call *call)
{
    const struct http_request *req = &call->x->req;
    struct subscription *s = ARENA_NEW(call->arena, struct subscription);
    struct str rest, type = str_cut(http_field_get(req, STR("content-type")), ';', &rest);
    struct api_body body;
    call->data = s;
    if (str_eq_nocase(str_trim(type), STR("application/x-www-form-urlencoded"))) {
        if (http_form_get(req->body, STR("socket_id"), call->arena, &s->socket_id) ||
            http_form_get(req->body, STR("channel_name"), call->arena, &s->channel))
            return api_refuse(call, 400, "malformed");
        return OK;
    }
    enum err err = api_body_parse(call, &body);
    if (err)
        return err;
    api_body_raw(&body, "/socket_id", &s->socket_id);
    api_body_raw(&body, "/channel_name", &s->channel);
    return api_body_verdict(&body);
}

static enum err may_hear_proposal(struct store_tx *tx, const struct civic_actor *actor, int64_t id)
{
    const char *why = NULL;
    if (!civic_policy_allows(actor->role, CIVIC_READ, true))
        return ERR_DENIED;
    return civic_proposal_enter(tx, actor, id, CIVIC_READ, NULL, &why);
}

static enum err may_hear_voting(struct store_tx *tx, const struct civic_actor *actor, int64_t id)
{
    struct arena arena;
    struct civic_voting v;
    const char *why = NULL;
    if (!civic_policy_allows(actor->role, CIVIC_READ, true))
        return ERR_DENIED;
    arena_init(&arena);
    enum err err = civic_voting_get(tx, actor, id, &arena, &v, &why);
    arena_done(&arena);
    return err;
}

static enum err may_hear_user(struct store_tx *tx, const struct civic_actor *actor, int64_t id)
{
    (void)tx;
    return actor->id && actor->id == id ? OK : ERR_DENIED;
}

static enum err check(struct store_tx *tx, const struct civic_actor *actor, struct str channel)
{
    static const struct {
        const char *prefix;
        enum err (*may_hear)(struct store_tx *tx, const struct civic_actor *actor, int64_t id);
    } kinds[] = {{"private-proposal.", may_hear_proposal},
                 {"private-voting.", may_hear_voting},
                 {"private-user.", may_hear_user}};
    int64_t id = 0;
    if (str_eq(channel, STR(API_QUEUES_CHANNEL)))
        return civic_policy_may(actor->role, CIVIC_SEE_QUEUES) ? OK : ERR_DENIED;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct str prefix = str_of(kinds[i].prefix);
        if (!str_starts(channel, prefix))
            continue;
        struct str rest = {channel.at + prefix.len, channel.len - prefix.len};
        // "07" is the channel of no one: only the name that events go to may be signed.
        if (!rest.len || rest.at[0] < '1' || rest.at[0] > '9' || str_parse_int(rest, &id))
            return ERR_DENIED;
        return kinds[i].may_hear(tx, actor, id);
    }
    return ERR_DENIED;
}

static enum err read(struct store_tx *tx, struct api_call *call)
{
    const struct subscription *s = call->data;
    struct civic_actor actor = api_actor(call);
    char auth[HUB_AUTH_BYTES];
    enum err err = hub_auth_is_socket_id(s->socket_id) ? check(tx, &actor, s->channel) : ERR_DENIED;
    if (err == ERR_DENIED || err == ERR_NOT_FOUND)
        return api_refuse(call, 403, "forbidden");
    if (err)
        return err;
    hub_auth_sign_channel(str_of(call->api->app_secret), str_of(call->api->app_key), s->socket_id,
                          s->channel, STR(""), auth);
    cJSON *view = cJSON_CreateObject();
    cJSON_AddStringToObject(view, "auth", auth);
    return api_answer(call, 200, view);
}

const struct api_endpoint api_channel_authorise = {.decode = decode, .read = read};
