/* civic_proposal.h -- proposals: what people sign, discuss and vote on.
 *
 *     OPEN -- threshold met --> REACHED -- deadline --> CLOSED
 *     OPEN -- deadline ------------------------------> CLOSED
 *
 * The state is not stored: it follows from deadline_at_ms and reached_at_ms at the time of the
 * transaction, so that nothing closes late. A proposal once reached stays so when signatures are
 * withdrawn. A closed one takes no signatures and no comments.
 */
#ifndef CIVIC_PROPOSAL_H
#define CIVIC_PROPOSAL_H

#include "civic/civic.h"
#include "core/arena.h"
#include "store/store.h"

enum civic_proposal_state { CIVIC_PROPOSAL_OPEN, CIVIC_PROPOSAL_REACHED, CIVIC_PROPOSAL_CLOSED };

struct civic_proposal {
    int64_t id;
    struct civic_person author;
    struct str title, summary;
    struct str body; // at == NULL in lists
    enum civic_proposal_state state;
    int64_t support_count, threshold, comment_count;
    int64_t created_at_ms, deadline_at_ms;
    bool is_members_only;
    int64_t voting_id;      // 0: none
    int64_t support_number; // of the signature of the actor who asked; 0: none
    bool is_following;      // by that actor
};

struct civic_proposal_new {
    struct str title, summary, body; // from civic_text_check
    int64_t threshold;
    int64_t deadline_at_ms;
    int64_t created_at_ms; // 0: now
    bool is_members_only;
};

enum civic_proposal_sort { CIVIC_PROPOSAL_NEW, CIVIC_PROPOSAL_TOP };

struct civic_proposal_query {
    enum civic_proposal_sort sort;
    struct str cursor; // empty: from the start
    int limit;         // 1 to CIVIC_MAX_LIMIT
};

struct civic_proposal_list {
    struct civic_proposal *items;
    size_t count;
    struct str next; // the cursor of the next page; at == NULL: this is the last
};

/* ERR_DENIED: "forbidden", "members-only". */
MUST_USE enum err civic_proposal_create(struct store_tx *tx, const struct civic_actor *actor,
                                        const struct civic_proposal_new *proposal, int64_t *id_out,
                                        const char **why_out);

/* ERR_NOT_FOUND; ERR_DENIED "members-only". */
MUST_USE enum err civic_proposal_get(struct store_tx *tx, const struct civic_actor *actor,
                                     int64_t id, struct arena *a, struct civic_proposal *out,
                                     const char **why_out);

/* What the actor may see. ERR_INVALID "bad-cursor". */
MUST_USE enum err civic_proposal_list(struct store_tx *tx, const struct civic_actor *actor,
                                      const struct civic_proposal_query *query, struct arena *a,
                                      struct civic_proposal_list *out, const char **why_out);

/* What a rule about a proposal needs to know. */
struct civic_proposal_gate {
    int64_t id, author_id;
    bool is_members_only;
    enum civic_proposal_state state;
};

/* May the actor do this to the proposal now? ERR_NOT_FOUND; ERR_DENIED "forbidden" or
 * "members-only"; ERR_CONFLICT "proposal-closed" for signing, commenting and voting on comments.
 * out may be NULL. */
MUST_USE enum err civic_proposal_enter(struct store_tx *tx, const struct civic_actor *actor,
                                       int64_t id, enum civic_action action,
                                       struct civic_proposal_gate *out, const char **why_out);

enum civic_proposal_state civic_proposal_state_at(int64_t now_ms, int64_t deadline_at_ms,
                                                  int64_t reached_at_ms);
const char *civic_proposal_state_name(enum civic_proposal_state state);

/* "proposal.7" or "private-proposal.7" */
struct str civic_proposal_channel(int64_t id, bool is_members_only, struct arena *a);

#endif
