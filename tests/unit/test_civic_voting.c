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

struct listing {
    struct civic_actor actor;
    size_t max;
    struct civic_voting_list out;
    struct arena *arena;
};

static enum err listing_fn(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return civic_voting_list(tx, &l->actor, l->max, l->arena, &l->out);
}

static int64_t add(struct test_civic *c, bool is_members_only, int64_t opens_in_ms,
                   int64_t closes_in_ms)
{
    struct setup s = {.new = {.proposal_id = test_civic_proposal(c, is_members_only),
                              .title = STR("Which?"),
                              .text = STR(""),
                              .options = {STR("A"), STR("B")},
                              .option_count = 2},
                      .opens_in_ms = opens_in_ms,
                      .closes_in_ms = closes_in_ms};
    EXPECT_EQ(setup(c, &s), OK);
    return s.id;
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

TEST(civic_voting_list_has_what_is_open_first)
{
    struct test_civic c;
    test_civic_begin(&c);
    int64_t closed = add(&c, false, 0, 1000), late = add(&c, false, 0, 9000);
    int64_t scheduled = add(&c, false, 5000, 6000), hidden = add(&c, true, 0, 7000);
    int64_t soon = add(&c, false, 0, 4000);
    clock_test_advance(2000);
    struct listing l = {.actor = c.member, .max = 10, .arena = &c.arena};
    EXPECT_EQ(store_read(c.t.store, listing_fn, &l), OK);
    const int64_t all[] = {soon, hidden, late, scheduled, closed};
    EXPECT_EQ(l.out.count, 5);
    for (size_t i = 0; i < l.out.count; i++)
        EXPECT_EQ(l.out.items[i].id, all[i]);
    EXPECT_EQ(l.out.items[3].state, CIVIC_VOTING_SCHEDULED);
    EXPECT_EQ(l.out.items[4].state, CIVIC_VOTING_CLOSED);
    l.actor = (struct civic_actor){0};
    l.max = 2;
    EXPECT_EQ(store_read(c.t.store, listing_fn, &l), OK);
    EXPECT_EQ(l.out.count, 2);
    EXPECT_EQ(l.out.items[1].id, late);
    test_civic_end(&c);
}
