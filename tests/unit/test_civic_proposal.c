#include "civic/civic_proposal.h"

#include "civic/civic_follow.h"
#include "civic/civic_support.h"
#include "core/clock.h"
#include "test_civic.h"

struct signing {
    struct civic_actor actor;
    int64_t id;
    bool is_withdrawal;
    struct civic_support out;
    const char *why;
};
TEST_CIVIC_WRITE(signing,
                 return w->is_withdrawal
                            ? civic_support_withdraw(tx, &w->actor, w->id, &w->out, &w->why)
                            : civic_support_sign(tx, &w->actor, w->id, &w->out, &w->why);)

struct listing {
    struct civic_actor actor;
    struct civic_proposal_query query;
    struct civic_proposal_list out;
    struct arena *arena;
    const char *why;
};

static enum err listing_fn(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return civic_proposal_list(tx, &l->actor, &l->query, l->arena, &l->out, &l->why);
}

TEST(civic_support_counts_a_person_once)
{
    struct test_civic c;
    test_civic_begin(&c);
    struct signing s = {.actor = c.member, .id = test_civic_proposal(&c, false)};
    EXPECT_EQ(signing(&c, &s), OK);
    EXPECT(s.out.is_new);
    EXPECT_EQ(s.out.number, 1);
    EXPECT_EQ(signing(&c, &s), OK);
    EXPECT(!s.out.is_new);
    EXPECT_EQ(s.out.number, 1);
    EXPECT_EQ(s.out.support_count, 1);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT count(*) FROM support"), 1);
    test_civic_end(&c);
}

TEST(civic_support_is_withdrawn_once_and_numbers_are_not_given_again)
{
    struct test_civic c;
    test_civic_begin(&c);
    struct signing s = {.actor = c.member, .id = test_civic_proposal(&c, false)};
    EXPECT_EQ(signing(&c, &s), OK);
    s.is_withdrawal = true;
    EXPECT_EQ(signing(&c, &s), OK);
    EXPECT_EQ(s.out.number, 0);
    EXPECT_EQ(s.out.support_count, 0);
    EXPECT_EQ(signing(&c, &s), OK);
    EXPECT_EQ(s.out.support_count, 0);
    s.is_withdrawal = false;
    EXPECT_EQ(signing(&c, &s), OK);
    EXPECT_EQ(s.out.number, 2);
    EXPECT_EQ(s.out.support_count, 1);
    test_civic_end(&c);
}

TEST(civic_support_reaches_the_threshold_once_for_good)
{
    struct test_civic c;
    test_civic_begin(&c);
    struct civic_actor people[] = {c.author, c.member, c.user};
    int64_t id = test_civic_proposal(&c, false);
    struct signing s = {.id = id};
    for (int i = 0; i < 3; i++) {
        s.actor = people[i];
        EXPECT_EQ(signing(&c, &s), OK);
        EXPECT_EQ(s.out.state, i < 2 ? CIVIC_PROPOSAL_OPEN : CIVIC_PROPOSAL_REACHED);
    }
    s.is_withdrawal = true;
    EXPECT_EQ(signing(&c, &s), OK);
    EXPECT_EQ(s.out.state, CIVIC_PROPOSAL_REACHED);
    s.is_withdrawal = false;
    EXPECT_EQ(signing(&c, &s), OK);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT count(*) FROM job WHERE kind = 'proposal.reached'"),
              1);
    test_civic_end(&c);
}

TEST(civic_proposal_closes_at_the_millisecond_of_its_deadline)
{
    struct test_civic c;
    int64_t comment_id;
    test_civic_begin(&c);
    struct signing s = {.actor = c.user, .id = test_civic_proposal(&c, false)};
    EXPECT_EQ(test_civic_comment(&c, c.user, s.id, 0, &comment_id), OK);
    clock_test_advance(60000);
    EXPECT_EQ(signing(&c, &s), ERR_CONFLICT);
    EXPECT(strcmp(s.why, "proposal-closed") == 0);
    EXPECT_EQ(test_civic_comment(&c, c.user, s.id, 0, &comment_id), ERR_CONFLICT);
    EXPECT(strcmp(c.why, "proposal-closed") == 0);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT count(*) FROM support"), 0);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT comment_count FROM proposal"), 1);
    test_civic_end(&c);
}

TEST(civic_proposal_for_members_is_neither_shown_to_others_nor_usable_by_them)
{
    struct test_civic c;
    int64_t comment_id;
    test_civic_begin(&c);
    struct signing s = {.actor = c.user, .id = test_civic_proposal(&c, true)};
    EXPECT_EQ(signing(&c, &s), ERR_DENIED);
    EXPECT(strcmp(s.why, "members-only") == 0);
    EXPECT_EQ(test_civic_comment(&c, c.user, s.id, 0, &comment_id), ERR_DENIED);
    struct listing l = {.actor = c.user, .query = {.limit = 10}, .arena = &c.arena};
    EXPECT_EQ(store_read(c.t.store, listing_fn, &l), OK);
    EXPECT_EQ(l.out.count, 0);
    l.actor = c.member;
    EXPECT_EQ(store_read(c.t.store, listing_fn, &l), OK);
    EXPECT_EQ(l.out.count, 1);
    s.actor = c.member;
    EXPECT_EQ(signing(&c, &s), OK);
    test_civic_end(&c);
}

TEST(civic_proposal_for_members_is_made_by_members)
{
    struct test_civic c;
    test_civic_begin(&c);
    struct test_civic_proposal p = {
        .actor = c.user,
        .new = {.title = STR("T"), .body = STR("B"), .threshold = 1, .is_members_only = true},
        .lasts_ms = 1000};
    EXPECT_EQ(store_write_wait(c.t.store, test_civic_proposal_fn, &p), ERR_DENIED);
    EXPECT(strcmp(p.why, "members-only") == 0);
    p.actor = (struct civic_actor){0};
    p.new.is_members_only = false;
    EXPECT_EQ(store_write_wait(c.t.store, test_civic_proposal_fn, &p), ERR_DENIED);
    test_civic_end(&c);
}

/* Walks a list by its cursors; gives the ids in order. */
static size_t walk(struct test_civic *c, enum civic_proposal_sort sort, int limit, int64_t *ids)
{
    struct listing l = {
        .actor = c->user, .query = {.sort = sort, .limit = limit}, .arena = &c->arena};
    size_t count = 0;
    do {
        EXPECT_EQ(store_read(c->t.store, listing_fn, &l), OK);
        for (size_t i = 0; i < l.out.count; i++)
            ids[count++] = l.out.items[i].id;
        l.query.cursor = l.out.next;
    } while (l.out.next.at);
    return count;
}

TEST(civic_proposal_list_gives_each_once_whatever_the_page_size)
{
    struct test_civic c;
    int64_t all[32], ids[32];
    test_civic_begin(&c);
    for (int i = 0; i < 7; i++)
        all[i] = test_civic_proposal(&c, false);
    struct signing s = {.actor = c.user, .id = all[2]};
    EXPECT_EQ(signing(&c, &s), OK);
    for (int limit = 1; limit <= 8; limit++) {
        EXPECT_EQ(walk(&c, CIVIC_PROPOSAL_NEW, limit, ids), 7);
        for (int i = 0; i < 7; i++)
            EXPECT_EQ(ids[i], all[6 - i]);
        EXPECT_EQ(walk(&c, CIVIC_PROPOSAL_TOP, limit, ids), 7);
        EXPECT_EQ(ids[0], all[2]);
        EXPECT_EQ(ids[1], all[6]);
    }
    test_civic_end(&c);
}

TEST(civic_proposal_list_refuses_a_cursor_of_another_order)
{
    struct test_civic c;
    test_civic_begin(&c);
    test_civic_proposal(&c, false);
    test_civic_proposal(&c, false);
    struct listing l = {.actor = c.user, .query = {.limit = 1}, .arena = &c.arena};
    EXPECT_EQ(store_read(c.t.store, listing_fn, &l), OK);
    l.query =
        (struct civic_proposal_query){.sort = CIVIC_PROPOSAL_TOP, .cursor = l.out.next, .limit = 1};
    EXPECT_EQ(store_read(c.t.store, listing_fn, &l), ERR_INVALID);
    EXPECT(strcmp(l.why, "bad-cursor") == 0);
    test_civic_end(&c);
}
