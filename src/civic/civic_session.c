#include "civic/civic_session.h"

#include "civic/civic_row.h"

enum err civic_session_create(struct store_tx *tx, int64_t user_id, struct str token_hash,
                              int64_t lasts_ms)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx,
                      "INSERT INTO session (token_hash, user_id, created_at_ms, expires_at_ms)"
                      " VALUES ($1, $2, $3, $4)",
                      &st);
    if (err)
        return err;
    store_bind_blob(st, 1, token_hash.at, token_hash.len);
    store_bind_int(st, 2, user_id);
    store_bind_int(st, 3, store_now_ms(tx));
    store_bind_int(st, 4, store_now_ms(tx) + lasts_ms);
    return store_run(st, NULL);
}

enum err civic_session_find(struct store_tx *tx, struct str token_hash, struct arena *a,
                            struct civic_user *out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "SELECT a.id, a.name, a.email, a.role FROM session s"
                                 " JOIN account a ON a.id = s.user_id"
                                 " WHERE s.token_hash = $1 AND s.expires_at_ms > $2",
                                 &st);
    if (err)
        return err;
    store_bind_blob(st, 1, token_hash.at, token_hash.len);
    store_bind_int(st, 2, store_now_ms(tx));
    err = store_step(st);
    if (!err)
        *out = (struct civic_user){
            .id = store_column_int(st, 0),
            .name = civic_row_text(st, 1, a),
            .email = civic_row_text(st, 2, a),
            .role = civic_policy_role(store_column_text(st, 3)),
        };
    store_finish(st);
    return err;
}

enum err civic_session_end(struct store_tx *tx, struct str token_hash)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx, "DELETE FROM session WHERE token_hash = $1", &st);
    if (err)
        return err;
    store_bind_blob(st, 1, token_hash.at, token_hash.len);
    return store_run(st, NULL);
}

enum err civic_session_prune(struct store_tx *tx, int64_t limit, int64_t *count_out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "DELETE FROM session WHERE token_hash IN (SELECT token_hash FROM"
                                 " session WHERE expires_at_ms <= $1 LIMIT $2)",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, store_now_ms(tx));
    store_bind_int(st, 2, limit);
    return store_run(st, count_out);
}
