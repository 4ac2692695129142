#include "api/api_body.h"
#include "api/api_internal.h"
#include "api/api_once.h"
#include "civic/civic_markdown.h"
#include "civic/civic_rate.h"
#include "civic/civic_view.h"

/* ---- GET /api/v1/proposals/{id}/comments ---- */
static enum err decode_list(struct api_call *call)
{
    static const struct {
        const char *name;
        enum civic_comment_sort sort;
    } sorts[] = {{"", CIVIC_COMMENT_NEW},
                 {"new", CIVIC_COMMENT_NEW},
                 {"old", CIVIC_COMMENT_OLD},
                 {"threads", CIVIC_COMMENT_THREADS}};
    struct civic_comment_query *query = ARENA_NEW(call->arena, struct civic_comment_query);
    struct str sort;
    call->data = query;
    if (api_param_id(call, 0, &query->proposal_id))
        return ERR_INVALID;
    api_body_query(call, "sort", &sort);
    api_body_query(call, "cursor", &query->cursor);
    api_body_limit(call, &query->limit);
    for (size_t i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++)
        if (str_eq(sort, str_of(sorts[i].name))) {
            query->sort = sorts[i].sort;
            return call->problem.status ? ERR_INVALID : OK;
        }
    return api_refuse_field(call, "/sort", "invalid", 0);
}

static enum err read_list(struct store_tx *tx, struct api_call *call)
{
    struct civic_actor actor = api_actor(call);
    struct civic_comment_list list;
    const char *why = NULL;
    enum err err = civic_comment_list(tx, &actor, call->data, call->arena, &list, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    return api_answer(call, 200, civic_view_comments(&list, &actor, call->arena));
}

const struct api_endpoint api_comment_list = {.decode = decode_list, .read = read_list};

/* ---- GET /api/v1/comments/{id} ---- */
static enum err read_one(struct store_tx *tx, struct api_call *call)
{
    struct civic_actor actor = api_actor(call);
    struct civic_comment c;
    const char *why = NULL;
    enum err err = civic_comment_get(tx, &actor, *(int64_t *)call->data, call->arena, &c, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    return api_answer(call, 200, civic_view_comment(&c, &actor, call->arena));
}

const struct api_endpoint api_comment_get = {.decode = api_decode_id, .read = read_one};

/* ---- POST /api/v1/proposals/{id}/comments: the hot path ---- */
struct creation {
    struct civic_comment_new comment;
    struct str body_html; // rendered on the loop: the writer is the one thread that is never idle
    struct api_once once;
    struct civic_comment made;
};

static enum err decode_create(struct api_call *call)
{
    struct creation *c = ARENA_NEW(call->arena, struct creation);
    struct api_body body;
    call->data = c;
    enum err err = api_param_id(call, 0, &c->comment.proposal_id);
    if (!err)
        err = api_body_parse(call, &body);
    if (err)
        return err;
    api_body_text(&body, "/body", &civic_text_comment, &c->comment.body);
    size_t complaints = call->problem.field_count;
    api_body_int(&body, "/parent_id", 0, &c->comment.parent_id);
    bool is_read = api_body_has(&body, "/parent_id") && call->problem.field_count == complaints;
    if (is_read && c->comment.parent_id <= 0)
        api_body_refuse(call, "/parent_id", "not-found", 0);
    api_body_text(&body, "/client_id", &civic_text_client, &c->comment.client_id);
    if (!c->comment.client_id.len)
        c->comment.client_id = (struct str){0};
    if ((err = api_body_verdict(&body)) || (err = api_once_decode(call, &c->once)))
        return err;
    c->body_html = civic_markdown_html(c->comment.body, call->arena);
    return OK;
}

static enum err write_answer(struct api_call *call, const struct creation *c)
{
    return civic_view_write_comment(&c->made, c->body_html, CIVIC_VIEW_FOR_AUTHOR, &call->body);
}

static enum err create(struct store_tx *tx, struct api_call *call, struct creation *c)
{
    struct civic_actor actor = api_actor(call);
    const char *why = NULL;
    enum err err = civic_comment_create(tx, &actor, &c->comment, &c->made, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    struct str location = arena_printf(call->arena, "/api/v1/comments/%lld", (long long)c->made.id);
    api_add_field(call, STR("Location"), location);
    call->status = 201;
    if (!c->once.key.len)
        return OK; // render_create does the rest
    err = write_answer(call, c);
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
        civic_rate_take_id(call->api->civic->rate, CIVIC_RATE_COMMENT, call->viewer.id);
    return wait_ms ? api_refuse_rate(call, wait_ms) : create(tx, call, c);
}

/* An answer that is kept was written with the comment. */
static enum err render_create(struct api_call *call)
{
    const struct creation *c = call->data;
    return c->once.key.len ? OK : write_answer(call, c);
}

const struct api_endpoint api_comment_create = {.auth = API_USER,
                                                .decode = decode_create,
                                                .write = write_create,
                                                .render = render_create,
                                                .changes = API_PROPOSAL};

/* ---- PUT /api/v1/comments/{id}/vote ---- */
struct vote {
    int64_t comment_id, value;
};

static enum err decode_vote(struct api_call *call)
{
    struct vote *vote = ARENA_NEW(call->arena, struct vote);
    struct api_body body;
    call->data = vote;
    enum err err = api_param_id(call, 0, &vote->comment_id);
    if (!err)
        err = api_body_parse(call, &body);
    if (err)
        return err;
    api_body_int(&body, "/value", 0, &vote->value);
    if (!api_body_has(&body, "/value"))
        api_body_refuse(call, "/value", "required", 0);
    else if (vote->value < -1 || vote->value > 1)
        api_body_refuse(call, "/value", "invalid", 0);
    return api_body_verdict(&body);
}

static enum err write_vote(struct store_tx *tx, struct api_call *call)
{
    const struct vote *vote = call->data;
    struct civic_actor actor = api_actor(call);
    struct civic_comment_votes votes;
    const char *why = NULL;
    int64_t wait_ms = civic_rate_take_id(call->api->civic->rate, CIVIC_RATE_COMMENT_VOTE, actor.id);
    if (wait_ms)
        return api_refuse_rate(call, wait_ms);
    enum err err = civic_comment_vote(tx, &actor, vote->comment_id, (int)vote->value, &votes, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    call->change = (struct api_change){API_PROPOSAL, votes.proposal_id};
    return api_answer(call, 200, civic_view_votes(&votes));
}

const struct api_endpoint api_comment_vote = {
    .auth = API_USER, .decode = decode_vote, .write = write_vote};
