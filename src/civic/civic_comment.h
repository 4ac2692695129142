/* civic_comment.h -- the discussion of a proposal: comments, replies up to depth 3, votes on
 * comments.
 *
 *     depth 1                  root_id NULL
 *       depth 2  parent = 1    root_id = 1
 *         depth 3  parent = 2  root_id = 1     a reply to it is refused ("too-deep"): the client
 * quotes and replies one level up, knowingly, instead of being moved.
 */
#ifndef CIVIC_COMMENT_H
#define CIVIC_COMMENT_H

#include "civic/civic_proposal.h"

enum { CIVIC_COMMENT_MAX_DEPTH = 3 };

struct civic_comment {
    int64_t id, proposal_id;
    int64_t parent_id; // 0: none
    int depth;
    struct civic_person author;
    struct str body;
    int64_t up, down;
    int64_t created_at_ms;
    struct str client_id;   // at == NULL: none
    int vote;               // of the actor who asked: -1, 0, 1
    int64_t more_replies;   // that the list leaves out of this thread: said on its last comment
    struct str more_cursor; // where they begin, in CIVIC_COMMENT_THREADS
};

struct civic_comment_new {
    int64_t proposal_id;
    int64_t parent_id;     // 0: none
    struct str body;       // from civic_text_check
    struct str client_id;  // at == NULL: none
    int64_t created_at_ms; // 0: now
};

/* Writes the comment, its proposal's counter and the job comment.created. *out has no vote and
 * borrows the texts. Errors of civic_proposal_enter; ERR_INVALID "parent-not-found" (not a comment
 * of this proposal), "too-deep". */
MUST_USE enum err civic_comment_create(struct store_tx *tx, const struct civic_actor *actor,
                                       const struct civic_comment_new *comment,
                                       struct civic_comment *out, const char **why_out);

enum civic_comment_sort {
    CIVIC_COMMENT_NEW,     // all, newest first
    CIVIC_COMMENT_OLD,     // all, oldest first
    CIVIC_COMMENT_THREADS, // comments of depth 1, newest first, each followed by its replies,
                           // oldest first
};

enum { CIVIC_COMMENT_MAX_REPLIES = 200 }; // of a thread in CIVIC_COMMENT_THREADS

struct civic_comment_query {
    int64_t proposal_id;
    enum civic_comment_sort sort;
    struct str cursor; // empty: from the start; within a thread: the rest of it, oldest first
    int limit;         // 1 to CIVIC_MAX_LIMIT; of CIVIC_COMMENT_THREADS: threads, or replies of one
};

struct civic_comment_list {
    struct civic_comment *items;
    size_t count;
    struct str next; // at == NULL: this is the last page
};

/* A list of much text ends before its limit, with next, and a long thread within, so that what is
 * made of it stays below 8 MiB. Errors of civic_proposal_enter for reading; ERR_INVALID
 * "bad-cursor". */
MUST_USE enum err civic_comment_list(struct store_tx *tx, const struct civic_actor *actor,
                                     const struct civic_comment_query *query, struct arena *a,
                                     struct civic_comment_list *out, const char **why_out);

/* One comment. ERR_NOT_FOUND; ERR_DENIED "members-only". */
MUST_USE enum err civic_comment_get(struct store_tx *tx, const struct civic_actor *actor,
                                    int64_t id, struct arena *a, struct civic_comment *out,
                                    const char **why_out);

/* For jobs: reads without asking who may. ERR_NOT_FOUND. */
MUST_USE enum err civic_comment_find(struct store_tx *tx, int64_t id, struct arena *a,
                                     struct civic_comment *out);

struct civic_comment_votes {
    int64_t id, proposal_id, up, down;
    int vote; // the actor's, after it
};

/* Sets the actor's vote: -1, 1, or 0 for none. Voting the same again changes nothing.
 * ERR_NOT_FOUND; ERR_DENIED ("own-comment"): a vote, not none, on the actor's own; errors of
 * civic_proposal_enter. */
MUST_USE enum err civic_comment_vote(struct store_tx *tx, const struct civic_actor *actor,
                                     int64_t id, int value, struct civic_comment_votes *out,
                                     const char **why_out);

#endif
