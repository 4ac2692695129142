/* civic_notification.h -- what a person is told in the bell. */
#ifndef CIVIC_NOTIFICATION_H
#define CIVIC_NOTIFICATION_H

#include "civic/civic.h"
#include "core/arena.h"
#include "store/store.h"

struct civic_notification {
    int64_t id;
    struct str kind; // "comment", "reply", "support", "reached"
    struct civic_person actor;
    int64_t proposal_id;
    struct str proposal_title;
    int64_t comment_id; // 0: none
    int64_t created_at_ms;
    bool is_read;
};

struct civic_notification_new {
    int64_t user_id; // who is told
    const char *kind;
    int64_t actor_id, proposal_id;
    int64_t comment_id; // 0: none
};

MUST_USE enum err civic_notification_create(struct store_tx *tx,
                                            const struct civic_notification_new *n,
                                            int64_t *id_out);

struct civic_notification_list {
    struct civic_notification *items;
    size_t count;
    int64_t unread_count;
    struct str next; // at == NULL: this is the last page
};

struct civic_notification_query {
    int64_t user_id;
    struct str cursor; // empty: from the start
    int limit;         // 1 to CIVIC_MAX_LIMIT
};

/* Newest first. ERR_INVALID "bad-cursor". */
MUST_USE enum err civic_notification_list(struct store_tx *tx,
                                          const struct civic_notification_query *query,
                                          struct arena *a, struct civic_notification_list *out,
                                          const char **why_out);

/* ERR_NOT_FOUND. user_id_out may be NULL. */
MUST_USE enum err civic_notification_find(struct store_tx *tx, int64_t id, struct arena *a,
                                          struct civic_notification *out, int64_t *user_id_out);

MUST_USE enum err civic_notification_unread(struct store_tx *tx, int64_t user_id,
                                            int64_t *count_out);

/* Has the user an unread one that tells of signatures of that proposal? */
MUST_USE enum err civic_notification_has_support(struct store_tx *tx, int64_t user_id,
                                                 int64_t proposal_id, bool *out);

/* Marks the user's notification of that id read, or all of them up to until_id. Others' are not
 * touched. */
MUST_USE enum err civic_notification_read_one(struct store_tx *tx, int64_t user_id, int64_t id);
MUST_USE enum err civic_notification_read_until(struct store_tx *tx, int64_t user_id,
                                                int64_t until_id);

#endif
