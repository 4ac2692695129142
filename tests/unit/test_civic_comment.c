#include "civic/civic_comment.h"

#include "civic/civic_cursor.h"
#include "civic/civic_markdown.h"
#include "civic/civic_view.h"
#include "test_civic.h"

struct voting {
    struct civic_actor actor;
    int64_t id;
    int value;
    struct civic_comment_votes out;
    const char *why;
};
TEST_CIVIC_WRITE(voting,
                 return civic_comment_vote(tx, &w->actor, w->id, w->value, &w->out, &w->why);)

struct listing {
    struct civic_actor actor;
    struct civic_comment_query query;
    struct civic_comment_list out;
    struct arena *arena;
    const char *why;
};

static enum err listing_fn(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return civic_comment_list(tx, &l->actor, &l->query, l->arena, &l->out, &l->why);
}

static int64_t add(struct test_civic *c, int64_t proposal_id, int64_t parent_id)
{
    int64_t id = 0;
    EXPECT_EQ(test_civic_comment(c, c->user, proposal_id, parent_id, &id), OK);
    return id;
}

TEST(civic_comment_counts_and_leaves_a_job_in_its_transaction)
{
    struct test_civic c;
    test_civic_begin(&c);
    int64_t proposal_id = test_civic_proposal(&c, false);
    add(&c, proposal_id, 0);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT comment_count FROM proposal"), 1);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT count(*) FROM job WHERE kind = 'comment.created'"),
              1);
    test_civic_end(&c);
}

TEST(civic_comment_refused_leaves_nothing)
{
    struct test_civic c;
    int64_t id;
    test_civic_begin(&c);
    int64_t proposal_id = test_civic_proposal(&c, false);
    EXPECT_EQ(test_civic_comment(&c, c.user, proposal_id, 999, &id), ERR_INVALID);
    EXPECT(strcmp(c.why, "parent-not-found") == 0);
    EXPECT_EQ(test_civic_comment(&c, c.user, 999, 0, &id), ERR_NOT_FOUND);
    EXPECT_EQ(test_civic_comment(&c, (struct civic_actor){0}, proposal_id, 0, &id), ERR_DENIED);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT count(*) FROM comment"), 0);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT comment_count FROM proposal"), 0);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT count(*) FROM job WHERE kind = 'comment.created'"),
              0);
    test_civic_end(&c);
}

TEST(civic_comment_replies_go_to_depth_three_within_their_proposal)
{
    struct test_civic c;
    int64_t id;
    test_civic_begin(&c);
    int64_t proposal_id = test_civic_proposal(&c, false), other_id = test_civic_proposal(&c, false);
    int64_t first = add(&c, proposal_id, 0);
    int64_t third = add(&c, proposal_id, add(&c, proposal_id, first));
    EXPECT_EQ(test_store_int(c.t.store, "SELECT max(depth) FROM comment"), 3);
    EXPECT_EQ(test_civic_comment(&c, c.user, proposal_id, third, &id), ERR_INVALID);
    EXPECT(strcmp(c.why, "too-deep") == 0);
    EXPECT_EQ(test_civic_comment(&c, c.user, other_id, first, &id), ERR_INVALID);
    EXPECT(strcmp(c.why, "parent-not-found") == 0);
    test_civic_end(&c);
}

TEST(civic_comment_vote_counts_a_person_once_and_may_change)
{
    static const struct {
        int value, up, down;
    } steps[] = {{1, 1, 0}, {1, 1, 0}, {-1, 0, 1}, {0, 0, 0}, {0, 0, 0}, {-1, 0, 1}, {1, 1, 0}};
    struct test_civic c;
    test_civic_begin(&c);
    struct voting v = {.actor = c.member, .id = add(&c, test_civic_proposal(&c, false), 0)};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        v.value = steps[i].value;
        EXPECT_EQ(voting(&c, &v), OK);
        EXPECT_EQ(v.out.up, steps[i].up);
        EXPECT_EQ(v.out.down, steps[i].down);
        EXPECT_EQ(test_store_int(c.t.store, "SELECT up FROM comment"), steps[i].up);
        EXPECT_EQ(test_store_int(c.t.store, "SELECT down FROM comment"), steps[i].down);
    }
    EXPECT_EQ(test_store_int(c.t.store, "SELECT count(*) FROM job WHERE kind = 'comment.voted'"),
              1);
    v.id = 999;
    EXPECT_EQ(voting(&c, &v), ERR_NOT_FOUND);
    test_civic_end(&c);
}

static size_t walk(struct test_civic *c, int64_t proposal_id, enum civic_comment_sort sort,
                   int limit, int64_t *ids)
{
    struct listing l = {.actor = c->user,
                        .query = {.proposal_id = proposal_id, .sort = sort, .limit = limit},
                        .arena = &c->arena};
    size_t count = 0;
    do {
        EXPECT_EQ(store_read(c->t.store, listing_fn, &l), OK);
        for (size_t i = 0; i < l.out.count; i++)
            ids[count++] = l.out.items[i].id;
        l.query.cursor = l.out.next;
    } while (l.out.next.at);
    return count;
}

TEST(civic_comment_list_gives_each_once_in_every_order)
{
    struct test_civic c;
    int64_t ids[64];
    test_civic_begin(&c);
    int64_t p = test_civic_proposal(&c, false);
    int64_t a = add(&c, p, 0), b = add(&c, p, 0), a1 = add(&c, p, a), a2 = add(&c, p, a);
    int64_t a11 = add(&c, p, a1), d = add(&c, p, 0), b1 = add(&c, p, b);
    const int64_t new[] = {b1, d, a11, a2, a1, b, a}, threads[] = {d, b, b1, a, a1, a11, a2};
    for (int limit = 1; limit <= 8; limit++) {
        EXPECT_EQ(walk(&c, p, CIVIC_COMMENT_NEW, limit, ids), 7);
        EXPECT(memcmp(ids, new, sizeof(new)) == 0);
        EXPECT_EQ(walk(&c, p, CIVIC_COMMENT_OLD, limit, ids), 7);
        for (int i = 0; i < 7; i++)
            EXPECT_EQ(ids[i], new[6 - i]);
        EXPECT_EQ(walk(&c, p, CIVIC_COMMENT_THREADS, limit, ids), 7);
        EXPECT(memcmp(ids, threads, sizeof(threads)) == 0);
    }
    test_civic_end(&c);
}

static int64_t add_long(struct test_civic *c, int64_t proposal_id, int64_t parent_id)
{
    static char body[16000];
    struct test_civic_comment w = {
        .actor = c->user,
        .new = {.proposal_id = proposal_id, .parent_id = parent_id, .body = {body, sizeof(body)}},
    };
    memset(body, 'a', sizeof(body));
    EXPECT_EQ(store_write_wait(c->t.store, test_civic_comment_fn, &w), OK);
    return w.made.id;
}

static void list_page(struct test_civic *c, struct listing *l)
{
    EXPECT_EQ(store_read(c->t.store, listing_fn, l), OK);
    size_t bytes = 0;
    for (size_t i = 0; i < l->out.count; i++)
        bytes += l->out.items[i].body.len;
    EXPECT(bytes <= 800 * 1024);
}

TEST(civic_comment_list_of_much_text_comes_in_more_pages)
{
    struct test_civic c;
    int64_t ids[64];
    test_civic_begin(&c);
    int64_t p = test_civic_proposal(&c, false);
    for (int i = 0; i < 60; i++)
        add_long(&c, p, 0);
    struct listing l = {c.author, {p, CIVIC_COMMENT_NEW, {0}, 100}, {0}, &c.arena, NULL};
    list_page(&c, &l);
    EXPECT(l.out.count > 40 && l.out.count < 60 && l.out.next.at);
    EXPECT_EQ(walk(&c, p, CIVIC_COMMENT_NEW, 100, ids), 60);
    EXPECT_EQ(walk(&c, p, CIVIC_COMMENT_OLD, 100, ids), 60);
    EXPECT_EQ(walk(&c, p, CIVIC_COMMENT_THREADS, 100, ids), 60);
    test_civic_end(&c);
}

TEST(civic_comment_list_cuts_a_thread_of_much_text_and_tells)
{
    struct test_civic c;
    test_civic_begin(&c);
    int64_t p = test_civic_proposal(&c, false);
    int64_t root = add_long(&c, p, 0), above = add(&c, p, 0);
    for (int i = 0; i < 60; i++)
        add_long(&c, p, root);
    struct listing l = {c.author, {p, CIVIC_COMMENT_THREADS, {0}, 100}, {0}, &c.arena, NULL};
    list_page(&c, &l); // the long thread would not be whole here
    EXPECT_EQ(l.out.count, 1);
    EXPECT_EQ(l.out.items[0].id, above);
    l.query.cursor = l.out.next;
    list_page(&c, &l);
    EXPECT(l.out.count > 40 && l.out.count < 61 && !l.out.next.at);
    int64_t more = 61 - (int64_t)l.out.count, last_id = l.out.items[l.out.count - 1].id;
    EXPECT_EQ(l.out.items[l.out.count - 1].more_replies, more);
    add(&c, p, 0); // of another thread
    l.query.limit = 5;
    l.query.cursor = l.out.items[l.out.count - 1].more_cursor;
    for (; l.query.cursor.at; l.query.cursor = l.out.next) {
        list_page(&c, &l);
        for (size_t i = 0; i < l.out.count; i++) {
            EXPECT_EQ(l.out.items[i].id, ++last_id);
            EXPECT_EQ(l.out.items[i].parent_id, root);
        }
        more -= (int64_t)l.out.count;
    }
    EXPECT_EQ(more, 0);
    test_civic_end(&c);
}

TEST(civic_comment_cursor_within_a_thread_is_of_its_proposal_and_order)
{
    struct test_civic c;
    test_civic_begin(&c);
    int64_t p = test_civic_proposal(&c, false), secret = test_civic_proposal(&c, true);
    int64_t root = 0;
    EXPECT_EQ(test_civic_comment(&c, c.member, secret, 0, &root), OK);
    EXPECT_EQ(test_civic_comment(&c, c.member, secret, root, &root), OK);
    struct str within = civic_cursor_write((struct civic_cursor){'a', root - 1, 0}, &c.arena);
    struct listing l = {c.user, {p, CIVIC_COMMENT_THREADS, within, 10}, {0}, &c.arena, NULL};
    EXPECT_EQ(store_read(c.t.store, listing_fn, &l), OK);
    EXPECT_EQ(l.out.count, 0);
    l.query.sort = CIVIC_COMMENT_OLD;
    EXPECT_EQ(store_read(c.t.store, listing_fn, &l), ERR_INVALID);
    test_civic_end(&c);
}

TEST(civic_comment_list_reads_by_indexes)
{
    struct test_civic c;
    test_civic_begin(&c);
    EXPECT(test_queue_plan_uses_indexes(
        c.t.store,
        "EXPLAIN QUERY PLAN SELECT c.body FROM comment c JOIN account a"
        " ON a.id = c.author_id LEFT JOIN comment_vote v ON v.comment_id = c.id AND v.user_id = 1"
        " WHERE c.proposal_id = 2 AND c.parent_id IS NULL AND c.id < 3 ORDER BY c.id DESC LIMIT "
        "4"));
    EXPECT(test_queue_plan_uses_indexes(c.t.store, "EXPLAIN QUERY PLAN SELECT c.body FROM comment c"
                                                   " WHERE c.root_id = 2 ORDER BY c.id LIMIT 3"));
    EXPECT(test_queue_plan_uses_indexes(
        c.t.store, "EXPLAIN QUERY PLAN SELECT c.body FROM comment c WHERE +c.proposal_id = 1"
                   " AND c.root_id = 2 AND c.id > 5 ORDER BY c.id LIMIT 3"));
    test_civic_end(&c);
}

/* That what was written is the document, which it frees; then empties what was written. */
static void expect_same(struct buf *written, cJSON *document)
{
    cJSON *read = NULL;
    EXPECT_EQ(json_parse((struct str){(const char *)buf_head(written), buf_len(written)}, &read),
              OK);
    EXPECT(cJSON_Compare(read, document, true));
    cJSON_Delete(read);
    cJSON_Delete(document);
    buf_trim(written, buf_len(written));
}

TEST(civic_view_writes_a_comment_as_the_document_would)
{
    struct arena a;
    struct buf direct;
    const struct civic_actor actor = {.id = 2, .role = CIVIC_USER, .name = STR("О\"лена")};
    struct civic_comment rows[] = {
        {.id = 7,
         .proposal_id = 3,
         .depth = 1,
         .author = {2, actor.name},
         .body = STR("**a** \"b\"\n\\"),
         .created_at_ms = 1795600000000},
        {.id = 8,
         .proposal_id = 3,
         .parent_id = 7,
         .depth = 2,
         .author = {2, actor.name},
         .body = STR("<script>"),
         .created_at_ms = 0,
         .client_id = STR("k-1")},
    };
    arena_init(&a);
    for (size_t i = 0; i < 2; i++) {
        struct str html = civic_markdown_html(rows[i].body, &a);
        buf_init(&direct, 65536);
        EXPECT_EQ(civic_view_write_comment(&rows[i], html, CIVIC_VIEW_FOR_AUTHOR, &direct), OK);
        expect_same(&direct, civic_view_comment(&rows[i], &actor, &a));
        EXPECT_EQ(civic_view_write_comment(&rows[i], html, CIVIC_VIEW_FOR_EVERYONE, &direct), OK);
        cJSON *view = civic_view_comment(&rows[i], NULL, &a);
        cJSON_DeleteItemFromObjectCaseSensitive(view, "viewer");
        expect_same(&direct, view);
        buf_done(&direct);
    }
    arena_done(&a);
}

TEST(civic_view_writes_what_is_told_as_the_document_would)
{
    struct buf written;
    const struct civic_notification rows[] = {
        {.id = 5,
         .kind = STR("comment"),
         .actor = {2, STR("О\"лена")},
         .proposal_id = 3,
         .proposal_title = STR("Дерева\n"),
         .comment_id = 9,
         .created_at_ms = 1795600000000},
        {.id = 6, .kind = STR("reached"), .proposal_id = 3, .is_read = true},
    };
    buf_init(&written, 65536);
    for (size_t i = 0; i < 2; i++) {
        cJSON *document = cJSON_CreateObject();
        cJSON_AddItemToObject(document, "notification", civic_view_notification(&rows[i]));
        cJSON_AddNumberToObject(document, "unread_count", 7);
        EXPECT_EQ(civic_view_write_told(&rows[i], 7, &written), OK);
        expect_same(&written, document);
    }
    buf_done(&written);
}
