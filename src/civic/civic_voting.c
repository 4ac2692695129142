#include "civic/civic_voting.h"

#include <inttypes.h>

#include "civic/civic_job.h"
#include "civic/civic_row.h"

const char *civic_voting_state_name(enum civic_voting_state state)
{
    static const char *const names[] = {"scheduled", "open", "closed"};
    return names[state];
}

struct str civic_voting_channel(int64_t id, bool is_members_only, struct arena *a)
{
    return arena_printf(a, "%svoting.%" PRId64, is_members_only ? "private-" : "", id);
}

static enum civic_voting_state state_at(int64_t now_ms, int64_t opens_at_ms, int64_t closes_at_ms)
{
    if (now_ms < opens_at_ms)
        return CIVIC_VOTING_SCHEDULED;
    return now_ms < closes_at_ms ? CIVIC_VOTING_OPEN : CIVIC_VOTING_CLOSED;
}

/* ---- creation ---- */
static enum err insert(struct store_tx *tx, const struct civic_voting_new *v, int64_t *id_out)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx,
                      "INSERT INTO voting (proposal_id, title, text, method, opens_at_ms,"
                      " closes_at_ms, created_at_ms) VALUES ($1, $2, $3, 'single', $4, $5, $6)",
                      &st);
    if (err)
        return err;
    store_bind_int(st, 1, v->proposal_id);
    store_bind_text(st, 2, v->title);
    store_bind_text(st, 3, v->text);
    store_bind_int(st, 4, v->opens_at_ms);
    store_bind_int(st, 5, v->closes_at_ms);
    store_bind_int(st, 6, store_now_ms(tx));
    return store_insert(st, id_out);
}

static enum err insert_option(struct store_tx *tx, int64_t voting_id, int64_t position,
                              struct str title)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx, "INSERT INTO voting_option (voting_id, position, title) VALUES ($1, $2, $3)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, voting_id);
    store_bind_int(st, 2, position);
    store_bind_text(st, 3, title);
    return store_run(st, NULL);
}

enum err civic_voting_create(struct store_tx *tx, const struct civic_voting_new *voting,
                             int64_t *id_out)
{
    enum err err = insert(tx, voting, id_out);
    for (size_t i = 0; !err && i < voting->option_count; i++)
        err = insert_option(tx, *id_out, (int64_t)i + 1, voting->options[i]);
    // Open pages are told when it opens and when it closes.
    int64_t now_ms = store_now_ms(tx);
    if (!err && voting->opens_at_ms > now_ms)
        err = civic_job_enqueue_once(tx, "voting.tally", (struct civic_job){.id = *id_out},
                                     voting->opens_at_ms);
    if (!err && voting->closes_at_ms > now_ms)
        err = civic_job_enqueue_once(tx, "voting.tally", (struct civic_job){.id = *id_out},
                                     voting->closes_at_ms);
    return err;
}

/* ---- reading ---- */
static enum err read_voting(struct store_tx *tx, int64_t viewer_id, int64_t id, struct arena *a,
                            struct civic_voting *out)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx,
                      "SELECT v.proposal_id, v.title, v.text, v.opens_at_ms, v.closes_at_ms,"
                      " v.voters, p.is_members_only, (SELECT option_id FROM ballot"
                      " WHERE voting_id = v.id AND user_id = $1)"
                      " FROM voting v JOIN proposal p ON p.id = v.proposal_id WHERE v.id = $2",
                      &st);
    if (err)
        return err;
    store_bind_int(st, 1, viewer_id);
    store_bind_int(st, 2, id);
    err = store_step(st);
    if (!err)
        *out = (struct civic_voting){
            .id = id,
            .proposal_id = store_column_int(st, 0),
            .title = civic_row_text(st, 1, a),
            .text = civic_row_text(st, 2, a),
            .opens_at_ms = store_column_int(st, 3),
            .closes_at_ms = store_column_int(st, 4),
            .voters = store_column_int(st, 5),
            .is_members_only = store_column_int(st, 6) != 0,
            .ballot = store_column_int(st, 7),
            .state = state_at(store_now_ms(tx), store_column_int(st, 3), store_column_int(st, 4)),
        };
    store_finish(st);
    return err;
}

/* Only the newest are looked at, so that the order costs the same however many there are. */
#define LIST_SQL                                                                                   \
    "SELECT v.id, v.proposal_id, v.title, v.text, v.opens_at_ms, v.closes_at_ms, v.voters,"        \
    " p.is_members_only FROM (SELECT * FROM voting ORDER BY id DESC LIMIT 100) v"                  \
    " JOIN proposal p ON p.id = v.proposal_id WHERE p.is_members_only <= $1"                       \
    " ORDER BY v.closes_at_ms <= $2, v.opens_at_ms > $2, abs(v.closes_at_ms - $2), v.id LIMIT $3"

enum err civic_voting_list(struct store_tx *tx, const struct civic_actor *actor, size_t max,
                           struct arena *a, struct civic_voting_list *out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx, LIST_SQL, &st);
    if (err)
        return err;
    store_bind_int(st, 1, civic_policy_allows(actor->role, CIVIC_READ, true));
    store_bind_int(st, 2, store_now_ms(tx));
    store_bind_int(st, 3, (int64_t)max);
    *out = (struct civic_voting_list){arena_alloc(a, max * sizeof(*out->items)), 0};
    while (out->count < max && !(err = store_step(st))) {
        int64_t opens_at_ms = store_column_int(st, 4), closes_at_ms = store_column_int(st, 5);
        out->items[out->count++] = (struct civic_voting){
            .id = store_column_int(st, 0),
            .proposal_id = store_column_int(st, 1),
            .title = civic_row_text(st, 2, a),
            .text = civic_row_text(st, 3, a),
            .opens_at_ms = opens_at_ms,
            .closes_at_ms = closes_at_ms,
            .voters = store_column_int(st, 6),
            .is_members_only = store_column_int(st, 7) != 0,
            .state = state_at(store_now_ms(tx), opens_at_ms, closes_at_ms),
        };
    }
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err read_options(struct store_tx *tx, struct arena *a, struct civic_voting *v)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx, "SELECT id, title, votes FROM voting_option WHERE voting_id = $1 ORDER BY position",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, v->id);
    while (v->option_count < CIVIC_VOTING_MAX_OPTIONS && !(err = store_step(st))) {
        int64_t votes = store_column_int(st, 2);
        v->options[v->option_count++] = (struct civic_voting_option){
            .id = store_column_int(st, 0),
            .title = civic_row_text(st, 1, a),
            .votes = votes,
            .percent = v->voters ? (int)((200 * votes + v->voters) / (2 * v->voters)) : 0,
        };
    }
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err read_whole(struct store_tx *tx, int64_t viewer_id, int64_t id, struct arena *a,
                           struct civic_voting *out)
{
    enum err err = read_voting(tx, viewer_id, id, a, out);
    return err ? err : read_options(tx, a, out);
}

enum err civic_voting_get(struct store_tx *tx, const struct civic_actor *actor, int64_t id,
                          struct arena *a, struct civic_voting *out, const char **why_out)
{
    enum err err = read_whole(tx, actor->id, id, a, out);
    if (!err && !civic_policy_allows(actor->role, CIVIC_READ, out->is_members_only)) {
        *why_out = "members-only";
        err = ERR_DENIED;
    }
    return err;
}

enum err civic_voting_find(struct store_tx *tx, int64_t id, struct arena *a,
                           struct civic_voting *out)
{
    return read_whole(tx, 0, id, a, out);
}

/* ---- ballots ---- */
/* What a ballot is checked against. */
struct booth {
    int64_t proposal_id;
    enum civic_voting_state state;
    int64_t chosen; // before this ballot; 0: none
};

static enum err find_booth(struct store_tx *tx, int64_t user_id, int64_t id, struct booth *out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "SELECT v.proposal_id, v.opens_at_ms, v.closes_at_ms, b.option_id"
                                 " FROM voting v LEFT JOIN ballot b ON b.voting_id = v.id"
                                 " AND b.user_id = $1 WHERE v.id = $2",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, user_id);
    store_bind_int(st, 2, id);
    err = store_step(st);
    if (!err)
        *out = (struct booth){
            .proposal_id = store_column_int(st, 0),
            .state = state_at(store_now_ms(tx), store_column_int(st, 1), store_column_int(st, 2)),
            .chosen = store_column_int(st, 3),
        };
    store_finish(st);
    return err;
}

static enum err enter(struct store_tx *tx, const struct civic_actor *actor, const struct booth *b,
                      const char **why_out)
{
    enum err err = civic_proposal_enter(tx, actor, b->proposal_id, CIVIC_BALLOT, NULL, why_out);
    if (err || b->state == CIVIC_VOTING_OPEN)
        return err;
    *why_out = b->state == CIVIC_VOTING_CLOSED ? "voting-closed" : "voting-not-open";
    return ERR_CONFLICT;
}

/* Adds to the votes of an option of this voting. ERR_NOT_FOUND: it is none of its options. */
static enum err count(struct store_tx *tx, int64_t id, int64_t option_id, int64_t by)
{
    struct store_stmt *st = NULL;
    int64_t changes = 0;
    enum err err = store_prepare(
        tx, "UPDATE voting_option SET votes = votes + $3 WHERE voting_id = $1 AND id = $2", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, option_id);
    store_bind_int(st, 3, by);
    err = store_run(st, &changes);
    return err || changes ? err : ERR_NOT_FOUND;
}

static enum err write_ballot(struct store_tx *tx, int64_t id, int64_t user_id, int64_t option_id)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx,
        "INSERT INTO ballot (voting_id, user_id, option_id, created_at_ms, changed_at_ms)"
        " VALUES ($1, $2, $3, $4, $4) ON CONFLICT (voting_id, user_id)"
        " DO UPDATE SET option_id = $3, changed_at_ms = $4",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, user_id);
    store_bind_int(st, 3, option_id);
    store_bind_int(st, 4, store_now_ms(tx));
    return store_run(st, NULL);
}

static enum err count_voter(struct store_tx *tx, int64_t id)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx, "UPDATE voting SET voters = voters + 1 WHERE id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    return store_run(st, NULL);
}

enum err civic_voting_cast(struct store_tx *tx, const struct civic_actor *actor, int64_t id,
                           int64_t option_id, bool *is_new_out, const char **why_out)
{
    struct booth booth;
    enum err err = find_booth(tx, actor->id, id, &booth);
    if (!err)
        err = enter(tx, actor, &booth, why_out);
    if (err)
        return err;
    *is_new_out = !booth.chosen;
    if (booth.chosen && booth.chosen == option_id)
        return OK;
    err = count(tx, id, option_id, 1);
    if (err == ERR_NOT_FOUND) {
        *why_out = "unknown-option";
        return ERR_INVALID;
    }
    if (!err)
        err = booth.chosen ? count(tx, id, booth.chosen, -1) : count_voter(tx, id);
    if (!err)
        err = write_ballot(tx, id, actor->id, option_id);
    return err ? err : civic_job_enqueue_once(tx, "voting.tally", (struct civic_job){.id = id}, 0);
}
