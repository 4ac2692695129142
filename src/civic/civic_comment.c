#include "civic/civic_comment.h"

#include "civic/civic_cursor.h"
#include "civic/civic_job.h"
#include "civic/civic_row.h"

#define COLUMNS                                                                                    \
    "SELECT c.id, c.proposal_id, c.parent_id, c.depth, c.author_id, a.name, c.body, c.up, c.down," \
    " c.created_at_ms, c.client_id, v.value FROM comment c"                                        \
    " JOIN account a ON a.id = c.author_id"                                                        \
    " LEFT JOIN comment_vote v ON v.comment_id = c.id AND v.user_id = $1"

static void read_row(struct store_stmt *st, struct arena *a, struct civic_comment *out)
{
    *out = (struct civic_comment){
        .id = store_column_int(st, 0),
        .proposal_id = store_column_int(st, 1),
        .parent_id = store_column_int(st, 2),
        .depth = (int)store_column_int(st, 3),
        .author = {store_column_int(st, 4), civic_row_text(st, 5, a)},
        .body = civic_row_text(st, 6, a),
        .up = store_column_int(st, 7),
        .down = store_column_int(st, 8),
        .created_at_ms = store_column_int(st, 9),
        .client_id = civic_row_text(st, 10, a),
        .vote = (int)store_column_int(st, 11),
    };
}

/* Where a new comment stands. */
struct place {
    int64_t root_id; // 0: it begins a thread
    int depth;
};

static enum err find_place(struct store_tx *tx, const struct civic_comment_new *comment,
                           struct place *out, const char **why_out)
{
    struct store_stmt *st = NULL;
    *out = (struct place){.depth = 1};
    if (!comment->parent_id)
        return OK;
    enum err err = store_prepare(
        tx, "SELECT depth, root_id FROM comment WHERE id = $1 AND proposal_id = $2", &st);
    if (err)
        return err;
    store_bind_int(st, 1, comment->parent_id);
    store_bind_int(st, 2, comment->proposal_id);
    err = store_step(st);
    if (!err) {
        int64_t root_id = store_column_int(st, 1);
        out->depth = (int)store_column_int(st, 0) + 1;
        out->root_id = root_id ? root_id : comment->parent_id;
    }
    store_finish(st);
    if (err == ERR_NOT_FOUND) {
        *why_out = "parent-not-found";
        return ERR_INVALID;
    }
    if (!err && out->depth > CIVIC_COMMENT_MAX_DEPTH) {
        *why_out = "too-deep";
        return ERR_INVALID;
    }
    return err;
}

static enum err insert(struct store_tx *tx, const struct civic_comment *c, int64_t root_id,
                       int64_t *id_out)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx,
                      "INSERT INTO comment (proposal_id, parent_id, root_id, depth, author_id,"
                      " created_at_ms, client_id, body)"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                      &st);
    if (err)
        return err;
    store_bind_int(st, 1, c->proposal_id);
    civic_row_bind_id(st, 2, c->parent_id);
    civic_row_bind_id(st, 3, root_id);
    store_bind_int(st, 4, c->depth);
    store_bind_int(st, 5, c->author.id);
    store_bind_int(st, 6, c->created_at_ms);
    store_bind_text(st, 7, c->client_id);
    store_bind_text(st, 8, c->body);
    return store_insert(st, id_out);
}

static enum err count(struct store_tx *tx, int64_t proposal_id)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx, "UPDATE proposal SET comment_count = comment_count + 1 WHERE id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, proposal_id);
    return store_run(st, NULL);
}

enum err civic_comment_create(struct store_tx *tx, const struct civic_actor *actor,
                              const struct civic_comment_new *comment, struct civic_comment *out,
                              const char **why_out)
{
    struct place place;
    enum err err =
        civic_proposal_enter(tx, actor, comment->proposal_id, CIVIC_COMMENT, NULL, why_out);
    if (!err)
        err = find_place(tx, comment, &place, why_out);
    if (err)
        return err;
    *out = (struct civic_comment){
        .proposal_id = comment->proposal_id,
        .parent_id = comment->parent_id,
        .depth = place.depth,
        .author = {actor->id, actor->name},
        .body = comment->body,
        .created_at_ms = comment->created_at_ms ? comment->created_at_ms : store_now_ms(tx),
        .client_id = comment->client_id,
    };
    err = insert(tx, out, place.root_id, &out->id);
    if (!err)
        err = count(tx, comment->proposal_id);
    if (!err)
        err = civic_job_enqueue(tx, "comment.created", (struct civic_job){.id = out->id});
    return err;
}

/* ---- lists ---- */
/* An answer is text and HTML, both escaped: a list with this much text stays below 8 MiB. */
enum { LIST_ROOM_BYTES = 768 * 1024, ITEM_BYTES = 256 };

static void take_room(size_t *room, const struct civic_comment *c)
{
    size_t bytes = c->body.len + ITEM_BYTES;
    *room = bytes < *room ? *room - bytes : 0;
}

/* By the order of a cursor. */
static enum err prepare_list(struct store_tx *tx, char order, struct store_stmt **st_out)
{
    switch (order) {
    case 'n':
        return store_prepare(
            tx, COLUMNS " WHERE c.proposal_id = $2 AND c.id < $3 ORDER BY c.id DESC LIMIT $4",
            st_out);
    case 'o':
        return store_prepare(
            tx, COLUMNS " WHERE c.proposal_id = $2 AND c.id > $3 ORDER BY c.id LIMIT $4", st_out);
    case 'r':
        return store_prepare(tx,
                             COLUMNS " WHERE c.proposal_id = $2 AND c.parent_id IS NULL"
                                     " AND c.id < $3 ORDER BY c.id DESC LIMIT $4",
                             st_out);
    default: // 'a'; the plus keeps the index of replies
        return store_prepare(tx,
                             COLUMNS " WHERE +c.proposal_id = $2 AND c.root_id = $5"
                                     " AND c.id > $3 ORDER BY c.id LIMIT $4",
                             st_out);
    }
}

static enum err read_page(struct store_tx *tx, int64_t viewer_id,
                          const struct civic_comment_query *query, struct civic_cursor start,
                          struct arena *a, struct civic_comment_list *list)
{
    struct store_stmt *st = NULL;
    size_t limit = (size_t)query->limit, room = LIST_ROOM_BYTES;
    enum err err = prepare_list(tx, start.order, &st);
    if (err)
        return err;
    store_bind_int(st, 1, viewer_id);
    store_bind_int(st, 2, query->proposal_id);
    store_bind_int(st, 3, start.id);
    store_bind_int(st, 4, query->limit + 1);
    if (start.order == 'a')
        store_bind_int(st, 5, start.key);
    list->items = arena_alloc(a, limit * sizeof(*list->items));
    while (!(err = store_step(st)) && list->count < limit && room) {
        read_row(st, a, &list->items[list->count]);
        take_room(&room, &list->items[list->count++]);
    }
    if (!err) // one row more than asked or than there is room for: there is a next page
        list->next = civic_cursor_write(
            (struct civic_cursor){start.order, start.key, list->items[list->count - 1].id}, a);
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Puts the replies of a thread behind its first comment, each below what it answers. */
static void append_replies(struct civic_comment_list *list, const struct civic_comment *replies,
                           size_t count, int64_t parent_id)
{
    for (size_t i = 0; i < count; i++) {
        if (replies[i].parent_id != parent_id)
            continue;
        list->items[list->count++] = replies[i];
        if (replies[i].depth < CIVIC_COMMENT_MAX_DEPTH) // a reply's replies come after it in id
            append_replies(list, replies + i + 1, count - i - 1, replies[i].id);
    }
}

/* A list of threads while it is read. */
struct threads {
    struct store_tx *tx;
    int64_t viewer_id;
    struct arena *arena;
    size_t room;
    struct civic_comment_list replies; // of the thread at hand
    bool has_more;                     // than those
};

static enum err read_replies(struct threads *t, int64_t root_id)
{
    struct store_stmt *st = NULL;
    struct civic_comment_list *out = &t->replies;
    enum err err =
        store_prepare(t->tx, COLUMNS " WHERE c.root_id = $2 ORDER BY c.id LIMIT $3", &st);
    if (err)
        return err;
    store_bind_int(st, 1, t->viewer_id);
    store_bind_int(st, 2, root_id);
    store_bind_int(st, 3, CIVIC_COMMENT_MAX_REPLIES + 1);
    out->count = 0;
    while (!(err = store_step(st)) && out->count < CIVIC_COMMENT_MAX_REPLIES && t->room) {
        read_row(st, t->arena, &out->items[out->count]);
        take_room(&t->room, &out->items[out->count++]);
    }
    store_finish(st);
    t->has_more = !err;
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Says on the last comment of a thread how many replies come after those that were read. */
static enum err count_rest(struct threads *t, int64_t root_id, struct civic_comment *last)
{
    struct store_stmt *st = NULL;
    int64_t after_id = t->replies.items[t->replies.count - 1].id;
    enum err err =
        store_prepare(t->tx, "SELECT count(*) FROM comment WHERE root_id = $1 AND id > $2", &st);
    if (err)
        return err;
    store_bind_int(st, 1, root_id);
    store_bind_int(st, 2, after_id);
    err = store_step(st);
    if (!err) {
        last->more_replies = store_column_int(st, 0);
        last->more_cursor =
            civic_cursor_write((struct civic_cursor){'a', root_id, after_id}, t->arena);
    }
    store_finish(st);
    return err;
}

static void append_thread(struct threads *t, struct civic_comment root,
                          struct civic_comment_list *list, size_t *cap)
{
    size_t needed = list->count + 1 + t->replies.count;
    if (needed > *cap) {
        *cap = 2 * needed;
        struct civic_comment *items = arena_alloc(t->arena, *cap * sizeof(*items));
        if (list->count)
            memcpy(items, list->items, list->count * sizeof(*items));
        list->items = items;
    }
    list->items[list->count++] = root;
    append_replies(list, t->replies.items, t->replies.count, root.id);
}

/* The first thread may be cut within, when it alone is too much; a later one is left to the next
 * page then. */
static enum err add_replies(struct threads *t, struct civic_comment_list *list)
{
    const struct civic_comment_list roots = *list;
    size_t cap = 0;
    t->replies.items = arena_alloc(t->arena, CIVIC_COMMENT_MAX_REPLIES * sizeof(*roots.items));
    *list = (struct civic_comment_list){.next = roots.next};
    for (size_t i = 0; i < roots.count; i++) {
        take_room(&t->room, &roots.items[i]);
        enum err err = read_replies(t, roots.items[i].id);
        if (err)
            return err;
        if (i > 0 && !t->room) {
            list->next =
                civic_cursor_write((struct civic_cursor){'r', 0, roots.items[i - 1].id}, t->arena);
            return OK;
        }
        append_thread(t, roots.items[i], list, &cap);
        if (t->has_more)
            err = count_rest(t, roots.items[i].id, &list->items[list->count - 1]);
        if (err)
            return err;
    }
    return OK;
}

/* A cursor of the start's order, or, among threads, one within a thread. */
static enum err parse_cursor(const struct civic_comment_query *query, struct civic_cursor *start)
{
    enum err err = civic_cursor_parse(query->cursor, start->order, start);
    return err && start->order == 'r' ? civic_cursor_parse(query->cursor, 'a', start) : err;
}

enum err civic_comment_list(struct store_tx *tx, const struct civic_actor *actor,
                            const struct civic_comment_query *query, struct arena *a,
                            struct civic_comment_list *out, const char **why_out)
{
    static const char orders[] = {'n', 'o', 'r'};
    bool is_up = query->sort == CIVIC_COMMENT_OLD;
    struct civic_cursor start = {orders[query->sort], 0, is_up ? 0 : INT64_MAX};
    *out = (struct civic_comment_list){0};
    if (query->cursor.len && parse_cursor(query, &start)) {
        *why_out = "bad-cursor";
        return ERR_INVALID;
    }
    enum err err = civic_proposal_enter(tx, actor, query->proposal_id, CIVIC_READ, NULL, why_out);
    if (!err)
        err = read_page(tx, actor->id, query, start, a, out);
    struct threads threads = {tx, actor->id, a, LIST_ROOM_BYTES, {0}, false};
    if (!err && start.order == 'r')
        err = add_replies(&threads, out);
    return err;
}

static enum err find(struct store_tx *tx, int64_t viewer_id, int64_t id, struct arena *a,
                     struct civic_comment *out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx, COLUMNS " WHERE c.id = $2", &st);
    if (err)
        return err;
    store_bind_int(st, 1, viewer_id);
    store_bind_int(st, 2, id);
    err = store_step(st);
    if (!err)
        read_row(st, a, out);
    store_finish(st);
    return err;
}

enum err civic_comment_get(struct store_tx *tx, const struct civic_actor *actor, int64_t id,
                           struct arena *a, struct civic_comment *out, const char **why_out)
{
    enum err err = find(tx, actor->id, id, a, out);
    return err ? err : civic_proposal_enter(tx, actor, out->proposal_id, CIVIC_READ, NULL, why_out);
}

enum err civic_comment_find(struct store_tx *tx, int64_t id, struct arena *a,
                            struct civic_comment *out)
{
    return find(tx, 0, id, a, out);
}

/* ---- votes ---- */
/* The comment's proposal, its author, and the vote that the user has now. */
static enum err find_vote(struct store_tx *tx, int64_t user_id, int64_t id,
                          struct civic_comment_votes *out, int64_t *author_id_out)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx,
                      "SELECT c.proposal_id, c.up, c.down, v.value, c.author_id FROM comment c"
                      " LEFT JOIN comment_vote v ON v.comment_id = c.id"
                      " AND v.user_id = $1 WHERE c.id = $2",
                      &st);
    if (err)
        return err;
    store_bind_int(st, 1, user_id);
    store_bind_int(st, 2, id);
    err = store_step(st);
    if (!err) {
        *out = (struct civic_comment_votes){
            .id = id,
            .proposal_id = store_column_int(st, 0),
            .up = store_column_int(st, 1),
            .down = store_column_int(st, 2),
            .vote = (int)store_column_int(st, 3),
        };
        *author_id_out = store_column_int(st, 4);
    }
    store_finish(st);
    return err;
}

static enum err write_vote(struct store_tx *tx, int64_t user_id, int64_t id, int value)
{
    struct store_stmt *st = NULL;
    enum err err =
        value ? store_prepare(tx,
                              "INSERT INTO comment_vote (comment_id, user_id, value)"
                              " VALUES ($1, $2, $3)"
                              " ON CONFLICT (comment_id, user_id) DO UPDATE SET value = $3",
                              &st)
              : store_prepare(tx, "DELETE FROM comment_vote WHERE comment_id = $1 AND user_id = $2",
                              &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, user_id);
    if (value)
        store_bind_int(st, 3, value);
    return store_run(st, NULL);
}

static enum err write_counts(struct store_tx *tx, const struct civic_comment_votes *v)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx, "UPDATE comment SET up = $2, down = $3 WHERE id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, v->id);
    store_bind_int(st, 2, v->up);
    store_bind_int(st, 3, v->down);
    return store_run(st, NULL);
}

enum err civic_comment_vote(struct store_tx *tx, const struct civic_actor *actor, int64_t id,
                            int value, struct civic_comment_votes *out, const char **why_out)
{
    int64_t author_id = 0;
    enum err err = find_vote(tx, actor->id, id, out, &author_id);
    if (!err)
        err = civic_proposal_enter(tx, actor, out->proposal_id, CIVIC_VOTE_COMMENT, NULL, why_out);
    if (!err && value && author_id == actor->id) {
        *why_out = "own-comment";
        return ERR_DENIED;
    }
    if (err || out->vote == value)
        return err;
    out->up += (value == 1) - (out->vote == 1);
    out->down += (value == -1) - (out->vote == -1);
    out->vote = value;
    err = write_vote(tx, actor->id, id, value);
    if (!err)
        err = write_counts(tx, out);
    if (!err)
        err = civic_job_enqueue_once(tx, "comment.voted", (struct civic_job){.id = id}, 0);
    return err;
}
