#include "civic/civic_support.h"

#include "civic/civic_job.h"

static enum err insert(struct store_tx *tx, int64_t proposal_id, int64_t user_id, bool *is_new_out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "INSERT INTO support (proposal_id, user_id, number, created_at_ms)"
                                 " SELECT id, $2, support_seq + 1, $3 FROM proposal WHERE id = $1"
                                 " ON CONFLICT (proposal_id, user_id) DO NOTHING",
                                 &st);
    if (err)
        return err;
    int64_t changes = 0;
    store_bind_int(st, 1, proposal_id);
    store_bind_int(st, 2, user_id);
    store_bind_int(st, 3, store_now_ms(tx));
    err = store_run(st, &changes);
    *is_new_out = changes == 1;
    return err;
}

static enum err count(struct store_tx *tx, int64_t proposal_id)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx,
                      "UPDATE proposal SET support_count = support_count + 1,"
                      " support_seq = support_seq + 1,"
                      " reached_at_ms = CASE WHEN reached_at_ms IS NULL"
                      " AND support_count + 1 >= threshold THEN $2 ELSE reached_at_ms END"
                      " WHERE id = $1",
                      &st);
    if (err)
        return err;
    store_bind_int(st, 1, proposal_id);
    store_bind_int(st, 2, store_now_ms(tx));
    return store_run(st, NULL);
}

static enum err uncount(struct store_tx *tx, int64_t proposal_id)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx, "UPDATE proposal SET support_count = support_count - 1 WHERE id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, proposal_id);
    return store_run(st, NULL);
}

static enum err read_result(struct store_tx *tx, int64_t proposal_id, int64_t user_id,
                            struct civic_support *out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx,
        "SELECT support_count, threshold, deadline_at_ms, reached_at_ms, (SELECT number FROM"
        " support WHERE proposal_id = p.id AND user_id = $2) FROM proposal p WHERE id = $1",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, proposal_id);
    store_bind_int(st, 2, user_id);
    err = store_step(st);
    if (!err) {
        out->support_count = store_column_int(st, 0);
        out->threshold = store_column_int(st, 1);
        out->state = civic_proposal_state_at(store_now_ms(tx), store_column_int(st, 2),
                                             store_column_int(st, 3));
        out->number = store_column_int(st, 4);
    }
    store_finish(st);
    return err;
}

enum err civic_support_sign(struct store_tx *tx, const struct civic_actor *actor,
                            int64_t proposal_id, struct civic_support *out, const char **why_out)
{
    struct civic_proposal_gate gate;
    *out = (struct civic_support){0};
    enum err err = civic_proposal_enter(tx, actor, proposal_id, CIVIC_SUPPORT, &gate, why_out);
    if (!err)
        err = insert(tx, proposal_id, actor->id, &out->is_new);
    if (!err && out->is_new)
        err = count(tx, proposal_id);
    if (!err)
        err = read_result(tx, proposal_id, actor->id, out);
    if (!err && out->is_new)
        err = civic_job_enqueue_once(tx, "proposal.supported",
                                     (struct civic_job){.id = proposal_id}, 0);
    if (!err && out->is_new && gate.author_id != actor->id)
        err = civic_job_enqueue_once(
            tx, "proposal.signed", (struct civic_job){.id = proposal_id, .actor_id = actor->id}, 0);
    if (!err && out->state == CIVIC_PROPOSAL_REACHED && gate.state == CIVIC_PROPOSAL_OPEN)
        err = civic_job_enqueue(tx, "proposal.reached",
                                (struct civic_job){.id = proposal_id, .actor_id = actor->id});
    return err;
}

static enum err take_out(struct store_tx *tx, int64_t proposal_id, int64_t user_id,
                         bool *is_new_out)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx, "DELETE FROM support WHERE proposal_id = $1 AND user_id = $2", &st);
    if (err)
        return err;
    int64_t changes = 0;
    store_bind_int(st, 1, proposal_id);
    store_bind_int(st, 2, user_id);
    err = store_run(st, &changes);
    *is_new_out = changes == 1;
    return err;
}

enum err civic_support_withdraw(struct store_tx *tx, const struct civic_actor *actor,
                                int64_t proposal_id, struct civic_support *out,
                                const char **why_out)
{
    *out = (struct civic_support){0};
    enum err err = civic_proposal_enter(tx, actor, proposal_id, CIVIC_SUPPORT, NULL, why_out);
    if (!err)
        err = take_out(tx, proposal_id, actor->id, &out->is_new);
    if (!err && out->is_new)
        err = uncount(tx, proposal_id);
    if (!err)
        err = read_result(tx, proposal_id, actor->id, out);
    if (!err && out->is_new)
        err = civic_job_enqueue_once(tx, "proposal.supported",
                                     (struct civic_job){.id = proposal_id}, 0);
    return err;
}
