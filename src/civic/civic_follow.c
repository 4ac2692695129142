#include "civic/civic_follow.h"

static enum err run(struct store_stmt *st, int64_t proposal_id, int64_t user_id)
{
    store_bind_int(st, 1, proposal_id);
    store_bind_int(st, 2, user_id);
    return store_run(st, NULL);
}

enum err civic_follow_set(struct store_tx *tx, const struct civic_actor *actor, int64_t proposal_id,
                          bool is_following, const char **why_out)
{
    struct store_stmt *st = NULL;
    enum err err = civic_proposal_enter(tx, actor, proposal_id, CIVIC_FOLLOW, NULL, why_out);
    if (err)
        return err;
    if (is_following) {
        err = store_prepare(tx,
                            "INSERT INTO follow (proposal_id, user_id, created_at_ms)"
                            " VALUES ($1, $2, $3) ON CONFLICT (proposal_id, user_id) DO NOTHING",
                            &st);
        if (!err)
            store_bind_int(st, 3, store_now_ms(tx));
    } else {
        err = store_prepare(tx, "DELETE FROM follow WHERE proposal_id = $1 AND user_id = $2", &st);
    }
    return err ? err : run(st, proposal_id, actor->id);
}

enum err civic_follow_list(struct store_tx *tx, int64_t proposal_id, int64_t after_user_id,
                           int64_t *ids, size_t cap, size_t *count_out)
{
    struct store_stmt *st = NULL;
    size_t count = 0;
    enum err err = store_prepare(
        tx,
        "SELECT f.user_id FROM follow f JOIN account a ON a.id = f.user_id"
        " JOIN proposal p ON p.id = f.proposal_id WHERE f.proposal_id = $1 AND f.user_id > $2"
        " AND (p.is_members_only = 0 OR a.role <> 'user') ORDER BY f.user_id LIMIT $3",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, proposal_id);
    store_bind_int(st, 2, after_user_id);
    store_bind_int(st, 3, (int64_t)cap);
    while (count < cap && !(err = store_step(st)))
        ids[count++] = store_column_int(st, 0);
    store_finish(st);
    if (err && err != ERR_NOT_FOUND)
        return err;
    *count_out = count;
    return OK;
}
