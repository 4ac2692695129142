#include "civic/civic_proposal.h"

#include <inttypes.h>

#include "civic/civic_cursor.h"
#include "civic/civic_job.h"
#include "civic/civic_row.h"

#define COLUMNS                                                                                    \
    "SELECT p.id, p.author_id, a.name, p.title, p.summary, p.threshold, p.support_count,"          \
    " p.comment_count, p.created_at_ms, p.deadline_at_ms, p.reached_at_ms, p.is_members_only,"     \
    " (SELECT id FROM voting WHERE proposal_id = p.id),"                                           \
    " (SELECT number FROM support WHERE proposal_id = p.id AND user_id = $1),"                     \
    " EXISTS (SELECT 1 FROM follow WHERE proposal_id = p.id AND user_id = $1)"
#define FROM " FROM proposal p JOIN account a ON a.id = p.author_id"

static void read_row(struct store_tx *tx, struct store_stmt *st, struct arena *a,
                     struct civic_proposal *out)
{
    int64_t deadline_at_ms = store_column_int(st, 9);
    *out = (struct civic_proposal){
        .id = store_column_int(st, 0),
        .author = {store_column_int(st, 1), civic_row_text(st, 2, a)},
        .title = civic_row_text(st, 3, a),
        .summary = civic_row_text(st, 4, a),
        .threshold = store_column_int(st, 5),
        .support_count = store_column_int(st, 6),
        .comment_count = store_column_int(st, 7),
        .created_at_ms = store_column_int(st, 8),
        .deadline_at_ms = deadline_at_ms,
        .state =
            civic_proposal_state_at(store_now_ms(tx), deadline_at_ms, store_column_int(st, 10)),
        .is_members_only = store_column_int(st, 11) != 0,
        .voting_id = store_column_int(st, 12),
        .support_number = store_column_int(st, 13),
        .is_following = store_column_int(st, 14) != 0,
    };
}

static enum err insert(struct store_tx *tx, int64_t author_id, const struct civic_proposal_new *p,
                       int64_t *id_out)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx,
                      "INSERT INTO proposal (author_id, title, summary, is_members_only, threshold,"
                      " created_at_ms, deadline_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                      &st);
    if (err)
        return err;
    store_bind_int(st, 1, author_id);
    store_bind_text(st, 2, p->title);
    store_bind_text(st, 3, p->summary.at ? p->summary : STR(""));
    store_bind_int(st, 4, p->is_members_only);
    store_bind_int(st, 5, p->threshold);
    store_bind_int(st, 6, p->created_at_ms ? p->created_at_ms : store_now_ms(tx));
    store_bind_int(st, 7, p->deadline_at_ms);
    return store_insert(st, id_out);
}

static enum err insert_body(struct store_tx *tx, int64_t id, struct str body)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx, "INSERT INTO proposal_body (proposal_id, body) VALUES ($1, $2)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_text(st, 2, body);
    return store_run(st, NULL);
}

enum err civic_proposal_create(struct store_tx *tx, const struct civic_actor *actor,
                               const struct civic_proposal_new *proposal, int64_t *id_out,
                               const char **why_out)
{
    if (!civic_policy_allows(actor->role, CIVIC_PROPOSE, proposal->is_members_only)) {
        *why_out = proposal->is_members_only ? "members-only" : "forbidden";
        return ERR_DENIED;
    }
    enum err err = insert(tx, actor->id, proposal, id_out);
    if (!err)
        err = insert_body(tx, *id_out, proposal->body);
    if (!err &&
        proposal->deadline_at_ms > store_now_ms(tx)) // open pages are told when time is over
        err = civic_job_enqueue_once(tx, "proposal.supported", (struct civic_job){.id = *id_out},
                                     proposal->deadline_at_ms);
    return err;
}

enum err civic_proposal_get(struct store_tx *tx, const struct civic_actor *actor, int64_t id,
                            struct arena *a, struct civic_proposal *out, const char **why_out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx, COLUMNS ", b.body" FROM " JOIN proposal_body b ON b.proposal_id = p.id WHERE p.id = $2",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, actor->id);
    store_bind_int(st, 2, id);
    err = store_step(st);
    if (!err) {
        read_row(tx, st, a, out);
        out->body = civic_row_text(st, 15, a);
        if (!civic_policy_allows(actor->role, CIVIC_READ, out->is_members_only)) {
            *why_out = "members-only";
            err = ERR_DENIED;
        }
    }
    store_finish(st);
    return err;
}

/* The first place of the list: above everything, or where the cursor says. */
static enum err start_of(const struct civic_proposal_query *query, struct civic_cursor *out)
{
    char order = query->sort == CIVIC_PROPOSAL_TOP ? 't' : 'p';
    *out = (struct civic_cursor){order, INT64_MAX, INT64_MAX};
    return query->cursor.len ? civic_cursor_parse(query->cursor, order, out) : OK;
}

static enum err prepare_list(struct store_tx *tx, const struct civic_actor *actor,
                             const struct civic_proposal_query *query, struct civic_cursor start,
                             struct store_stmt **st_out)
{
    enum err err =
        query->sort == CIVIC_PROPOSAL_TOP
            ? store_prepare(tx,
                            COLUMNS FROM " WHERE ($2 = 1 OR p.is_members_only = 0)"
                                         " AND (p.support_count, p.id) < ($3, $4)"
                                         " ORDER BY p.support_count DESC, p.id DESC LIMIT $5",
                            st_out)
            : store_prepare(tx,
                            COLUMNS FROM " WHERE ($2 = 1 OR p.is_members_only = 0)"
                                         " AND $3 >= 0 AND p.id < $4 ORDER BY p.id DESC LIMIT $5",
                            st_out);
    if (err)
        return err;
    store_bind_int(*st_out, 1, actor->id);
    store_bind_int(*st_out, 2, civic_policy_allows(actor->role, CIVIC_READ, true));
    store_bind_int(*st_out, 3, start.key);
    store_bind_int(*st_out, 4, start.id);
    store_bind_int(*st_out, 5, query->limit + 1);
    return OK;
}

enum err civic_proposal_list(struct store_tx *tx, const struct civic_actor *actor,
                             const struct civic_proposal_query *query, struct arena *a,
                             struct civic_proposal_list *out, const char **why_out)
{
    struct civic_cursor start;
    struct store_stmt *st = NULL;
    struct civic_proposal_list list = {0};
    size_t limit = (size_t)query->limit;
    if (start_of(query, &start)) {
        *why_out = "bad-cursor";
        return ERR_INVALID;
    }
    enum err err = prepare_list(tx, actor, query, start, &st);
    if (err)
        return err;
    list.items = arena_alloc(a, limit * sizeof(*list.items));
    while (!(err = store_step(st)) && list.count < limit)
        read_row(tx, st, a, &list.items[list.count++]);
    if (!err) { // one row more than asked: there is a next page
        struct civic_proposal *last = &list.items[limit - 1];
        start.key = start.order == 't' ? last->support_count : 0;
        start.id = last->id;
        list.next = civic_cursor_write(start, a);
    }
    store_finish(st);
    if (err && err != ERR_NOT_FOUND)
        return err;
    *out = list;
    return OK;
}

static bool is_over_when_closed(enum civic_action action)
{
    return action == CIVIC_SUPPORT || action == CIVIC_COMMENT || action == CIVIC_VOTE_COMMENT;
}

static enum err find_gate(struct store_tx *tx, int64_t id, struct civic_proposal_gate *out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "SELECT author_id, is_members_only, deadline_at_ms, reached_at_ms"
                                 " FROM proposal WHERE id = $1",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    err = store_step(st);
    if (!err)
        *out = (struct civic_proposal_gate){
            .id = id,
            .author_id = store_column_int(st, 0),
            .is_members_only = store_column_int(st, 1) != 0,
            .state = civic_proposal_state_at(store_now_ms(tx), store_column_int(st, 2),
                                             store_column_int(st, 3)),
        };
    store_finish(st);
    return err;
}

enum err civic_proposal_enter(struct store_tx *tx, const struct civic_actor *actor, int64_t id,
                              enum civic_action action, struct civic_proposal_gate *out,
                              const char **why_out)
{
    struct civic_proposal_gate gate;
    enum err err = find_gate(tx, id, &gate);
    if (err)
        return err;
    if (!civic_policy_allows(actor->role, action, gate.is_members_only)) {
        *why_out = gate.is_members_only ? "members-only" : "forbidden";
        return ERR_DENIED;
    }
    if (gate.state == CIVIC_PROPOSAL_CLOSED && is_over_when_closed(action)) {
        *why_out = "proposal-closed";
        return ERR_CONFLICT;
    }
    if (out)
        *out = gate;
    return OK;
}

enum civic_proposal_state civic_proposal_state_at(int64_t now_ms, int64_t deadline_at_ms,
                                                  int64_t reached_at_ms)
{
    if (now_ms >= deadline_at_ms)
        return CIVIC_PROPOSAL_CLOSED;
    return reached_at_ms ? CIVIC_PROPOSAL_REACHED : CIVIC_PROPOSAL_OPEN;
}

const char *civic_proposal_state_name(enum civic_proposal_state state)
{
    static const char *const names[] = {"open", "reached", "closed"};
    return names[state];
}

struct str civic_proposal_channel(int64_t id, bool is_members_only, struct arena *a)
{
    return arena_printf(a, "%sproposal.%" PRId64, is_members_only ? "private-" : "", id);
}
