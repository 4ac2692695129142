#include "api/api_once.h"

#include "civic/civic_idempotency.h"
#include "core/crypto.h"

enum err api_once_decode(struct api_call *call, struct api_once *out)
{
    const struct http_request *req = &call->x->req;
    struct str key = http_field_get(req, STR("idempotency-key"));
    *out = (struct api_once){.key = key};
    if (!key.at)
        return OK;
    if (!key.len || key.len > CIVIC_IDEMPOTENCY_MAX_KEY_BYTES)
        return api_refuse(call, 400, "bad-idempotency-key");
    for (size_t i = 0; i < key.len; i++)
        if ((uint8_t)key.at[i] <= 0x20 || (uint8_t)key.at[i] >= 0x7f)
            return api_refuse(call, 400, "bad-idempotency-key");
    uint8_t *hash = arena_alloc(call->arena, CRYPTO_SHA256_BYTES);
    struct str text = arena_printf(call->arena, "%d %.*s\n%.*s", (int)req->method,
                                   STR_ARG(req->path), STR_ARG(req->body));
    crypto_sha256(text, hash);
    out->hash = (struct str){(const char *)hash, CRYPTO_SHA256_BYTES};
    return OK;
}

enum err api_once_replay(struct store_tx *tx, struct api_call *call, const struct api_once *once,
                         bool *is_replay_out)
{
    struct civic_answer answer;
    *is_replay_out = false;
    if (!once->key.len)
        return OK;
    enum err err =
        civic_idempotency_find(tx, call->viewer.id, once->key, once->hash, call->arena, &answer);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err == ERR_INVALID)
        return api_refuse(call, 422, "idempotency-mismatch");
    if (err)
        return err;
    *is_replay_out = true;
    call->status = answer.status;
    api_add_field(call, STR("Location"), answer.location);
    api_add_field(call, STR("Idempotent-Replayed"), STR("true"));
    return buf_append(&call->body, answer.body.at, answer.body.len);
}

enum err api_once_keep(struct store_tx *tx, struct api_call *call, const struct api_once *once,
                       struct str location)
{
    if (!once->key.len)
        return OK;
    const struct civic_answer answer = {
        .status = call->status,
        .location = location,
        .body = {(const char *)buf_head(&call->body), buf_len(&call->body)},
    };
    return civic_idempotency_keep(tx, call->viewer.id, once->key, once->hash, &answer);
}
