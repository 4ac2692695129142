#include "civic/civic_session.h"

#include "civic/civic_idempotency.h"
#include "civic/civic_seed.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "test_civic.h"

struct login {
    struct str hash;
    int64_t user_id, count;
    struct civic_user user;
    struct arena *arena;
};
TEST_CIVIC_WRITE(login, return civic_session_create(tx, w->user_id, w->hash, 1000);)

static enum err find(struct store_tx *tx, void *arg)
{
    struct login *l = arg;
    return civic_session_find(tx, l->hash, l->arena, &l->user);
}

static enum err prune(struct store_tx *tx, void *arg)
{
    return civic_session_prune(tx, 10, &((struct login *)arg)->count);
}

TEST(civic_session_ends_by_time_and_is_pruned)
{
    struct test_civic c;
    test_civic_begin(&c);
    struct login l = {
        .hash = STR("01234567890123456789012345678901"), .user_id = c.user.id, .arena = &c.arena};
    EXPECT_EQ(login(&c, &l), OK);
    EXPECT_EQ(store_read(c.t.store, find, &l), OK);
    EXPECT_EQ(l.user.id, c.user.id);
    EXPECT_EQ(store_write_wait(c.t.store, prune, &l), OK);
    EXPECT_EQ(l.count, 0);
    clock_test_advance(1000);
    EXPECT_EQ(store_read(c.t.store, find, &l), ERR_NOT_FOUND);
    EXPECT_EQ(store_write_wait(c.t.store, prune, &l), OK);
    EXPECT_EQ(l.count, 1);
    test_civic_end(&c);
}

TEST(civic_user_has_an_address_of_their_own)
{
    struct test_civic c;
    test_civic_begin(&c);
    struct test_civic_person p = {.email = "user@example.org", .role = CIVIC_USER};
    EXPECT_EQ(store_write_wait(c.t.store, test_civic_person_fn, &p), ERR_CONFLICT);
    test_civic_end(&c);
}

struct answer {
    struct str hash;
    struct civic_answer out;
    struct arena *arena;
    int64_t user_id, count;
};
TEST_CIVIC_WRITE(answer, const struct civic_answer a = {201, STR("/x"), STR("{}")};
                 return civic_idempotency_keep(tx, w->user_id, STR("k"), w->hash, &a);)

static enum err find_answer(struct store_tx *tx, void *arg)
{
    struct answer *w = arg;
    return civic_idempotency_find(tx, w->user_id, STR("k"), w->hash, w->arena, &w->out);
}

static enum err prune_answers(struct store_tx *tx, void *arg)
{
    return civic_idempotency_prune(tx, 10, &((struct answer *)arg)->count);
}

TEST(civic_idempotency_keeps_an_answer_for_a_day)
{
    struct test_civic c;
    test_civic_begin(&c);
    struct answer w = {.hash = STR("one"), .arena = &c.arena, .user_id = c.user.id};
    EXPECT_EQ(store_read(c.t.store, find_answer, &w), ERR_NOT_FOUND);
    EXPECT_EQ(answer(&c, &w), OK);
    EXPECT_EQ(store_read(c.t.store, find_answer, &w), OK);
    EXPECT_EQ(w.out.status, 201);
    EXPECT_STR(w.out.body, "{}");
    w.hash = STR("two");
    EXPECT_EQ(store_read(c.t.store, find_answer, &w), ERR_INVALID);
    w.user_id = c.member.id;
    EXPECT_EQ(store_read(c.t.store, find_answer, &w), ERR_NOT_FOUND);
    clock_test_advance(24 * 3600 * 1000);
    EXPECT_EQ(store_write_wait(c.t.store, prune_answers, &w), OK);
    EXPECT_EQ(w.count, 1);
    test_civic_end(&c);
}

TEST(civic_seed_builds_the_town_once_with_counters_that_match_their_rows)
{
    struct test_store t;
    bool is_new = false;
    crypto_init();
    test_store_begin(&t);
    test_civic_migrate(&t);
    EXPECT_EQ(civic_seed_demo(t.store, &is_new), OK);
    EXPECT(is_new);
    int64_t people = test_store_int(t.store, "SELECT count(*) FROM account");
    EXPECT_EQ(civic_seed_demo(t.store, &is_new), OK);
    EXPECT(!is_new);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM account"), people);
    EXPECT(test_store_int(t.store, "SELECT count(*) FROM proposal") >= 12);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM proposal WHERE is_members_only = 1"),
              1);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM proposal p WHERE support_count <> "
                                      "(SELECT count(*) FROM support WHERE proposal_id = p.id)"),
              0);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM proposal p WHERE comment_count <> "
                                      "(SELECT count(*) FROM comment WHERE proposal_id = p.id)"),
              0);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM comment c WHERE up <> (SELECT count(*) "
                                      "FROM comment_vote WHERE comment_id = c.id AND value = 1)"),
              0);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM voting_option o WHERE votes <> (SELECT "
                                      "count(*) FROM ballot WHERE option_id = o.id)"),
              0);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM comment c JOIN proposal p ON p.id = "
                                      "c.proposal_id WHERE c.created_at_ms < p.created_at_ms"),
              0);
    test_store_end(&t);
}
