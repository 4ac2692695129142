#include "civic/civic_idempotency.h"

#include "civic/civic_row.h"

static const int64_t keep_ms = INT64_C(24) * 3600 * 1000;

enum err civic_idempotency_find(struct store_tx *tx, int64_t user_id, struct str key,
                                struct str request_hash, struct arena *a, struct civic_answer *out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "SELECT request_hash, status, location, body FROM idempotency"
                                 " WHERE user_id = $1 AND key = $2",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, user_id);
    store_bind_text(st, 2, key);
    err = store_step(st);
    if (!err && !str_eq(store_column_blob(st, 0), request_hash))
        err = ERR_INVALID;
    else if (!err)
        *out = (struct civic_answer){.status = (int)store_column_int(st, 1),
                                     .location = civic_row_text(st, 2, a),
                                     .body = civic_row_text(st, 3, a)};
    store_finish(st);
    return err;
}

enum err civic_idempotency_keep(struct store_tx *tx, int64_t user_id, struct str key,
                                struct str request_hash, const struct civic_answer *answer)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "INSERT INTO idempotency (user_id, key, request_hash, status,"
                                 " location, body, created_at_ms)"
                                 " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, user_id);
    store_bind_text(st, 2, key);
    store_bind_blob(st, 3, request_hash.at, request_hash.len);
    store_bind_int(st, 4, answer->status);
    store_bind_text(st, 5, answer->location.at ? answer->location : STR(""));
    store_bind_text(st, 6, answer->body);
    store_bind_int(st, 7, store_now_ms(tx));
    return store_run(st, NULL);
}

enum err civic_idempotency_prune(struct store_tx *tx, int64_t limit, int64_t *count_out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "DELETE FROM idempotency WHERE (user_id, key) IN (SELECT user_id,"
                                 " key FROM idempotency WHERE created_at_ms <= $1 LIMIT $2)",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, store_now_ms(tx) - keep_ms);
    store_bind_int(st, 2, limit);
    return store_run(st, count_out);
}
