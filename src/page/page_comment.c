#include "page/page_comment.h"

#include "civic/civic_comment.h"
#include "civic/civic_idempotency.h"
#include "civic/civic_text.h"
#include "core/crypto.h"
#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_proposal.h"

struct input {
    struct civic_comment_new comment;
    struct str key;                    // of this drawing of the form; empty: none
    uint8_t hash[CRYPTO_SHA256_BYTES]; // of what was typed
};

static enum err decode_body(struct api_call *call, struct input *input)
{
    struct str typed;
    enum err err = page_form_text(call, STR("body"), &typed);
    if (err)
        return err;
    page_draw_typed(call, "body", typed);
    const char *code =
        civic_text_check(typed, &civic_text_comment, call->arena, &input->comment.body);
    if (code)
        return api_refuse_field(call, "/body", code, (int64_t)civic_text_comment.max_chars);
    return OK;
}

static enum err decode_parent(struct api_call *call, struct input *input)
{
    enum err err = page_form_int(call, STR("parent_id"), &input->comment.parent_id);
    if (err || !input->comment.parent_id)
        return err;
    page_draw_typed(call, "parent_id",
                    arena_printf(call->arena, "%lld", (long long)input->comment.parent_id));
    return OK;
}

/* A form that is sent twice (a double click, a reload) is the same key with the same text. The same
 * page may send another text, so the text is part of the key. */
static enum err decode_key(struct api_call *call, struct input *input)
{
    struct str key;
    enum err err = page_form_text(call, STR("key"), &key);
    if (err || !key.len || key.len > CRYPTO_TOKEN_CHARS)
        return err;
    char hex[2 * CRYPTO_SHA256_BYTES + 1];
    crypto_sha256(call->x->req.body, input->hash);
    crypto_hex(input->hash, CRYPTO_SHA256_BYTES, hex);
    input->key = arena_printf(call->arena, "form:%.*s:%s", STR_ARG(key), hex);
    return OK;
}

static enum err decode(struct api_call *call)
{
    enum err err = page_proposal_ask_form(call);
    if (err)
        return err;
    struct page_ask *ask = page_draw_asked(call);
    struct input *input = ARENA_NEW(call->arena, struct input);
    ask->input = input;
    ask->back = arena_printf(call->arena, "%.*s#discussion", STR_ARG(ask->path));
    input->comment.proposal_id = ask->id;
    err = decode_parent(call, input);
    if (!err)
        err = decode_key(call, input);
    return err ? err : decode_body(call, input);
}

/* The address at which the comment is seen, whatever page of the discussion it is on. */
static struct str address(const struct api_call *call, int64_t proposal_id, int64_t id)
{
    return arena_printf(call->arena, "/proposals/%lld?comment=%lld#comment-%lld",
                        (long long)proposal_id, (long long)id, (long long)id);
}

static enum err create(struct store_tx *tx, struct api_call *call, const struct input *input)
{
    struct page_ask *ask = page_draw_asked(call);
    struct civic_actor actor = api_actor(call);
    struct civic_comment comment;
    const char *why = NULL;
    enum err err = page_draw_limit(call, CIVIC_RATE_COMMENT);
    if (err)
        return err;
    err = civic_comment_create(tx, &actor, &input->comment, &comment, &why);
    if (err == ERR_INVALID && why && strcmp(why, "parent-not-found") == 0)
        cJSON_DeleteItemFromObject(page_draw_asked(call)->form, "parent_id"); // so it can be sent
    if (err)
        return api_refuse_civic(call, err, why);
    ask->location = address(call, ask->id, comment.id);
    if (!input->key.len)
        return OK;
    const struct civic_answer answer = {303, ask->location, {"", 0}};
    return civic_idempotency_keep(tx, actor.id, input->key,
                                  (struct str){(const char *)input->hash, sizeof input->hash},
                                  &answer);
}

static enum err write(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    const struct input *input = ask->input;
    struct civic_answer before;
    if (!input->key.len)
        return create(tx, call, input);
    enum err err = civic_idempotency_find(
        tx, call->viewer.id, input->key,
        (struct str){(const char *)input->hash, sizeof input->hash}, call->arena, &before);
    if (err == ERR_NOT_FOUND)
        return create(tx, call, input);
    if (!err)
        ask->location = before.location;
    return err;
}

const struct api_endpoint page_comment_post = {.auth = API_USER,
                                               .changes = API_PROPOSAL,
                                               .decode = decode,
                                               .write = write,
                                               .finish = page_draw_finish_form};

// ---- votes ----

struct vote {
    int64_t value;
};

static enum err decode_vote(struct api_call *call)
{
    enum err err = page_proposal_ask_form(call);
    if (err)
        return err;
    struct page_ask *ask = page_draw_asked(call);
    struct vote *vote = ARENA_NEW(call->arena, struct vote);
    ask->input = vote;
    ask->comment_id = ask->id; // the page to draw is its proposal's, found by page_proposal_kind
    ask->id = 0;
    ask->path = ask->back = arena_printf(call->arena, "/comments/%lld", (long long)ask->comment_id);
    err = page_form_int(call, STR("value"), &vote->value);
    if (!err && (vote->value < -1 || vote->value > 1))
        return api_refuse(call, 400, "malformed");
    return err;
}

static enum err write_vote(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    const struct vote *vote = ask->input;
    struct civic_actor actor = api_actor(call);
    struct civic_comment_votes votes;
    const char *why = NULL;
    enum err err = page_draw_limit(call, CIVIC_RATE_COMMENT_VOTE);
    if (err)
        return err;
    err = civic_comment_vote(tx, &actor, ask->comment_id, (int)vote->value, &votes, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    ask->location = address(call, votes.proposal_id, votes.id);
    call->change = (struct api_change){API_PROPOSAL, votes.proposal_id};
    return OK;
}

const struct api_endpoint page_comment_post_vote = {
    .auth = API_USER, .decode = decode_vote, .write = write_vote, .finish = page_draw_finish_form};

// ---- an address for each comment ----

static enum err load_address(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    struct civic_actor actor = api_actor(call);
    struct civic_comment comment;
    const char *why = NULL;
    enum err err = civic_comment_get(tx, &actor, ask->id, call->arena, &comment, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    ask->location = address(call, comment.proposal_id, comment.id);
    return OK;
}

static const struct page_kind address_kind = {.template = "error", .load = load_address};

static enum err decode_address(struct api_call *call)
{
    return page_draw_ask(call, &address_kind);
}

const struct api_endpoint page_comment_get = {
    .decode = decode_address, .read = page_draw_read, .finish = page_draw_finish};
