#include "civic/civic_voting.h"

#include "core/clock.h"
#include "test_civic.h"

struct setup {
    struct civic_voting_new new;
    int64_t opens_in_ms, closes_in_ms, id;
};
TEST_CIVIC_WRITE(setup, w->new.opens_at_ms = store_now_ms(tx) + w->opens_in_ms;
                 w->new.closes_at_ms = store_now_ms(tx) + w->closes_in_ms;
                 return civic_voting_create(tx, &w->new, &w->id);)

struct cast {
    struct civic_actor actor;
    int64_t id, option_id;
    bool is_new;
    const char *why;
};
TEST_CIVIC_WRITE(cast,
                 return civic_voting_cast(tx, &w->actor, w->id, w->option_id, &w->is_new, &w->why);)

struct look {
    struct civic_actor actor;
    int64_t id;
    struct civic_voting out;
    struct arena *arena;
    const char *why;
};

static enum err look_fn(struct store_tx *tx, void *arg)
{
    struct look *l = arg;
    return civic_voting_get(tx, &l->actor, l->id, l->arena, &l->out, &l->why);
}

static struct look begin(struct test_civic *c, bool is_members_only)
{
    test_civic_begin(c);
    struct setup s = {.new = {.proposal_id = test_civic_proposal(c, is_members_only),
                              .title = STR("Which?"),
                              .text = STR(""),
                              .options = {STR("A"), STR("B"), STR("C")},
                              .option_count = 3},
                      .opens_in_ms = 1000,
                      .closes_in_ms = 5000};
    EXPECT_EQ(setup(c, &s), OK);
    struct look l = {.actor = c->member, .id = s.id, .arena = &c->arena};
    EXPECT_EQ(store_read(c->t.store, look_fn, &l), OK);
    return l;
}

TEST(civic_voting_takes_ballots_from_its_opening_until_its_close)
{
    struct test_civic c;
    struct look l = begin(&c, false);
    struct cast v = {.actor = c.user, .id = l.id, .option_id = l.out.options[0].id};
    EXPECT_EQ(l.out.state, CIVIC_VOTING_SCHEDULED);
    EXPECT_EQ(cast(&c, &v), ERR_CONFLICT);
    EXPECT(strcmp(v.why, "voting-not-open") == 0);
    clock_test_advance(1000);
    EXPECT_EQ(cast(&c, &v), OK);
    clock_test_advance(4000);
    v.option_id = l.out.options[1].id;
    EXPECT_EQ(cast(&c, &v), ERR_CONFLICT);
    EXPECT(strcmp(v.why, "voting-closed") == 0);
    EXPECT_EQ(store_read(c.t.store, look_fn, &l), OK);
    EXPECT_EQ(l.out.state, CIVIC_VOTING_CLOSED);
    EXPECT_EQ(l.out.options[0].votes, 1);
    EXPECT_EQ(l.out.options[1].votes, 0);
    test_civic_end(&c);
}

TEST(civic_voting_counts_a_person_once_however_often_they_change)
{
    struct test_civic c;
    struct look l = begin(&c, false);
    clock_test_advance(1000);
    struct cast v = {.actor = c.user, .id = l.id};
    for (int i = 0; i < 7; i++) {
        v.option_id = l.out.options[i % 3].id;
        EXPECT_EQ(cast(&c, &v), OK);
        EXPECT_EQ(v.is_new, i == 0);
    }
    v = (struct cast){.actor = c.member, .id = l.id, .option_id = l.out.options[1].id};
    EXPECT_EQ(cast(&c, &v), OK);
    EXPECT_EQ(store_read(c.t.store, look_fn, &l), OK);
    EXPECT_EQ(l.out.voters, 2);
    EXPECT_EQ(l.out.options[0].votes, 1);
    EXPECT_EQ(l.out.options[0].percent, 50);
    EXPECT_EQ(l.out.options[2].votes, 0);
    EXPECT_EQ(l.out.ballot, l.out.options[1].id);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT count(*) FROM ballot"), 2);
    test_civic_end(&c);
}

TEST(civic_voting_refuses_options_of_others_and_people_without_right)
{
    struct test_civic c;
    struct look l = begin(&c, true);
    clock_test_advance(1000);
    struct cast v = {.actor = c.member, .id = l.id, .option_id = 9999};
    EXPECT_EQ(cast(&c, &v), ERR_INVALID);
    EXPECT(strcmp(v.why, "unknown-option") == 0);
    v.option_id = 0;
    EXPECT_EQ(cast(&c, &v), ERR_INVALID);
    v.actor = c.user;
    v.option_id = l.out.options[0].id;
    EXPECT_EQ(cast(&c, &v), ERR_DENIED);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT count(*) FROM ballot"), 0);
    EXPECT_EQ(test_store_int(c.t.store, "SELECT sum(votes) FROM voting_option"), 0);
    l.actor = c.user;
    EXPECT_EQ(store_read(c.t.store, look_fn, &l), ERR_DENIED);
    test_civic_end(&c);
}
