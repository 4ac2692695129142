#include "civic/civic_notification.h"

#include "civic/civic_cursor.h"
#include "civic/civic_row.h"

#define COLUMNS                                                                                    \
    "SELECT n.id, n.kind, n.actor_id, a.name, n.proposal_id, p.title, n.comment_id,"               \
    " n.created_at_ms, n.read_at_ms, n.user_id FROM notification n"                                \
    " JOIN account a ON a.id = n.actor_id JOIN proposal p ON p.id = n.proposal_id"

static void read_row(struct store_stmt *st, struct arena *a, struct civic_notification *out)
{
    *out = (struct civic_notification){
        .id = store_column_int(st, 0),
        .kind = civic_row_text(st, 1, a),
        .actor = {store_column_int(st, 2), civic_row_text(st, 3, a)},
        .proposal_id = store_column_int(st, 4),
        .proposal_title = civic_row_text(st, 5, a),
        .comment_id = store_column_int(st, 6),
        .created_at_ms = store_column_int(st, 7),
        .is_read = !store_column_is_null(st, 8),
    };
}

/* Moves the bell's number of a person. */
static enum err count(struct store_tx *tx, int64_t user_id, int64_t change)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx,
        "INSERT INTO notification_count (user_id, unread) VALUES ($1, $2)"
        " ON CONFLICT (user_id) DO UPDATE SET unread = notification_count.unread + excluded.unread",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, user_id);
    store_bind_int(st, 2, change);
    return store_run(st, NULL);
}

enum err civic_notification_create(struct store_tx *tx, const struct civic_notification_new *n,
                                   int64_t *id_out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "INSERT INTO notification (user_id, kind, actor_id, proposal_id,"
                                 " comment_id, created_at_ms) VALUES ($1, $2, $3, $4, $5, $6)",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, n->user_id);
    store_bind_text(st, 2, str_of(n->kind));
    store_bind_int(st, 3, n->actor_id);
    store_bind_int(st, 4, n->proposal_id);
    civic_row_bind_id(st, 5, n->comment_id);
    store_bind_int(st, 6, store_now_ms(tx));
    err = store_insert(st, id_out);
    return err ? err : count(tx, n->user_id, 1);
}

static enum err read_page(struct store_tx *tx, const struct civic_notification_query *query,
                          int64_t before_id, struct arena *a, struct civic_notification_list *list)
{
    size_t limit = (size_t)query->limit;
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx, COLUMNS " WHERE n.user_id = $1 AND n.id < $2 ORDER BY n.id DESC LIMIT $3", &st);
    if (err)
        return err;
    store_bind_int(st, 1, query->user_id);
    store_bind_int(st, 2, before_id);
    store_bind_int(st, 3, query->limit + 1);
    list->items = arena_alloc(a, limit * sizeof(*list->items));
    while (!(err = store_step(st)) && list->count < limit)
        read_row(st, a, &list->items[list->count++]);
    if (!err)
        list->next =
            civic_cursor_write((struct civic_cursor){'b', 0, list->items[limit - 1].id}, a);
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err civic_notification_list(struct store_tx *tx, const struct civic_notification_query *query,
                                 struct arena *a, struct civic_notification_list *out,
                                 const char **why_out)
{
    struct civic_cursor start = {'b', 0, INT64_MAX};
    *out = (struct civic_notification_list){0};
    if (query->cursor.len && civic_cursor_parse(query->cursor, 'b', &start)) {
        *why_out = "bad-cursor";
        return ERR_INVALID;
    }
    enum err err = read_page(tx, query, start.id, a, out);
    return err ? err : civic_notification_unread(tx, query->user_id, &out->unread_count);
}

enum err civic_notification_find(struct store_tx *tx, int64_t id, struct arena *a,
                                 struct civic_notification *out, int64_t *user_id_out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx, COLUMNS " WHERE n.id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    err = store_step(st);
    if (!err) {
        read_row(st, a, out);
        if (user_id_out)
            *user_id_out = store_column_int(st, 9);
    }
    store_finish(st);
    return err;
}

enum err civic_notification_unread(struct store_tx *tx, int64_t user_id, int64_t *count_out)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx, "SELECT unread FROM notification_count WHERE user_id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, user_id);
    err = store_step(st);
    *count_out = err ? 0 : store_column_int(st, 0);
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err civic_notification_has_support(struct store_tx *tx, int64_t user_id, int64_t proposal_id,
                                        bool *out)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx,
                      "SELECT 1 FROM notification WHERE user_id = $1 AND proposal_id = $2"
                      " AND kind = 'support' AND read_at_ms IS NULL LIMIT 1",
                      &st);
    if (err)
        return err;
    store_bind_int(st, 1, user_id);
    store_bind_int(st, 2, proposal_id);
    err = store_step(st);
    store_finish(st);
    if (err && err != ERR_NOT_FOUND)
        return err;
    *out = err == OK;
    return OK;
}

static enum err mark(struct store_tx *tx, struct store_stmt *st, int64_t user_id, int64_t id)
{
    store_bind_int(st, 1, user_id);
    store_bind_int(st, 2, id);
    store_bind_int(st, 3, store_now_ms(tx));
    int64_t changes = 0;
    enum err err = store_run(st, &changes);
    return err || changes == 0 ? err : count(tx, user_id, -changes);
}

enum err civic_notification_read_one(struct store_tx *tx, int64_t user_id, int64_t id)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "UPDATE notification SET read_at_ms = $3 WHERE user_id = $1"
                                 " AND id = $2 AND read_at_ms IS NULL",
                                 &st);
    return err ? err : mark(tx, st, user_id, id);
}

enum err civic_notification_read_until(struct store_tx *tx, int64_t user_id, int64_t until_id)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx,
                                 "UPDATE notification SET read_at_ms = $3 WHERE user_id = $1"
                                 " AND id <= $2 AND read_at_ms IS NULL",
                                 &st);
    return err ? err : mark(tx, st, user_id, until_id);
}
