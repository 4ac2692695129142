#include "civic/civic_seed.h"

#include <stdio.h>

#include "civic/civic_comment.h"
#include "civic/civic_follow.h"
#include "civic/civic_seed_texts.h"
#include "civic/civic_support.h"
#include "civic/civic_user.h"
#include "civic/civic_voting.h"
#include "core/arena.h"
#include "core/crypto.h"

static const int64_t hour_ms = INT64_C(3600) * 1000;
static const int64_t day_ms = INT64_C(24) * 3600 * 1000;

/* Things are closed last: until then people may act on them. */
static const int64_t open_days = 365;

struct seed {
    struct arena arena;
    char password_hash[CRYPTO_PASSWORD_HASH_BYTES];
    struct civic_actor *people; // the named ones first, then the residents
    size_t person_count;
    int64_t *proposal_ids, *comment_ids, *voting_ids;
    bool is_new;
    const char *why; // of a refusal: our texts break a rule
};

/* ---- people ---- */
static enum err add_person(struct store_tx *tx, struct seed *s, const char *email, struct str name,
                           enum civic_role role)
{
    const struct civic_user_new user = {
        .email = str_of(email),
        .name = name,
        .password_hash = str_of(s->password_hash),
        .role = role,
    };
    struct civic_actor *person = &s->people[s->person_count];
    *person = (struct civic_actor){.role = role, .name = name};
    enum err err = civic_user_create(tx, &user, &person->id);
    if (!err)
        s->person_count++;
    return err;
}

static enum err add_people(struct store_tx *tx, struct seed *s)
{
    size_t first = civic_seed_texts_first_count, family = civic_seed_texts_family_count;
    enum err err = OK;
    s->people = arena_alloc(&s->arena,
                            (civic_seed_texts_people_count + first * family) * sizeof(*s->people));
    for (size_t i = 0; i < civic_seed_texts_people_count && !err; i++) {
        const struct civic_seed_person *p = &civic_seed_texts_people[i];
        err = add_person(tx, s, p->email, str_of(p->name), p->role);
    }
    for (size_t i = 0; i < first * family && !err; i++) {
        struct str name = arena_printf(&s->arena, "%s %s", civic_seed_texts_first[i % first],
                                       civic_seed_texts_family[i / first]);
        struct str email = arena_printf(&s->arena, "resident%zu@example.org", i + 1);
        err = add_person(tx, s, email.at, name, CIVIC_MEMBER);
    }
    return err;
}

/* Different people for different things, the same ones each time. */
static const struct civic_actor *resident(const struct seed *s, size_t thing, size_t i)
{
    size_t residents = s->person_count - civic_seed_texts_people_count;
    return &s->people[civic_seed_texts_people_count + (thing * 37 + i) % residents];
}

/* ---- proposals ---- */
static enum err add_supports(struct store_tx *tx, struct seed *s, size_t index)
{
    struct civic_support support;
    for (int i = 0; i < civic_seed_texts_proposals[index].supports; i++) {
        enum err err = civic_support_sign(tx, resident(s, index, (size_t)i), s->proposal_ids[index],
                                          &support, &s->why);
        if (err)
            return err;
    }
    return OK;
}

static enum err add_proposal(struct store_tx *tx, struct seed *s, size_t index)
{
    const struct civic_seed_proposal *p = &civic_seed_texts_proposals[index];
    int64_t now_ms = store_now_ms(tx);
    const struct civic_actor *author = &s->people[p->author];
    const struct civic_proposal_new proposal = {
        .title = str_of(p->title),
        .summary = str_of(p->summary),
        .body = str_of(p->body),
        .threshold = p->threshold,
        .created_at_ms = now_ms - p->days_old * day_ms,
        .deadline_at_ms = now_ms + (p->days_left > 0 ? p->days_left : open_days) * day_ms,
        .is_members_only = p->is_members_only,
    };
    enum err err = civic_proposal_create(tx, author, &proposal, &s->proposal_ids[index], &s->why);
    if (!err)
        err = civic_follow_set(tx, &s->people[(p->author + 1) % 3], s->proposal_ids[index], true,
                               &s->why);
    return err ? err : add_supports(tx, s, index);
}

/* ---- comments ---- */
static enum err add_votes(struct store_tx *tx, struct seed *s, size_t index)
{
    const struct civic_seed_comment *c = &civic_seed_texts_comments[index];
    struct civic_comment_votes votes;
    for (int i = 0; i < c->up + c->down; i++) {
        enum err err =
            civic_comment_vote(tx, resident(s, index + 5, (size_t)i), s->comment_ids[index],
                               i < c->up ? 1 : -1, &votes, &s->why);
        if (err)
            return err;
    }
    return OK;
}

static enum err add_comment(struct store_tx *tx, struct seed *s, size_t index)
{
    const struct civic_seed_comment *c = &civic_seed_texts_comments[index];
    struct civic_comment made;
    const struct civic_comment_new comment = {
        .proposal_id = s->proposal_ids[c->proposal],
        .parent_id = c->parent >= 0 ? s->comment_ids[c->parent] : 0,
        .body = str_of(c->body),
        .created_at_ms = store_now_ms(tx) - c->hours_ago * hour_ms,
    };
    enum err err = civic_comment_create(tx, &s->people[c->author], &comment, &made, &s->why);
    if (err)
        return err;
    s->comment_ids[index] = made.id;
    return add_votes(tx, s, index);
}

/* ---- votings ---- */
static enum err add_ballots(struct store_tx *tx, struct seed *s, const struct civic_seed_voting *v,
                            int64_t id)
{
    struct civic_voting voting;
    enum err err = civic_voting_find(tx, id, &s->arena, &voting);
    size_t voter = 0;
    for (size_t option = 0; option < voting.option_count && !err; option++)
        for (int i = 0; i < v->votes[option] && !err; i++) {
            bool is_new = false;
            err = civic_voting_cast(tx, resident(s, 3, voter++), id, voting.options[option].id,
                                    &is_new, &s->why);
        }
    return err;
}

static enum err add_voting(struct store_tx *tx, struct seed *s, size_t index)
{
    const struct civic_seed_voting *v = &civic_seed_texts_votings[index];
    int64_t now_ms = store_now_ms(tx);
    struct civic_voting_new voting = {
        .proposal_id = s->proposal_ids[v->proposal],
        .title = str_of(v->title),
        .text = str_of(v->text),
        .opens_at_ms = now_ms - v->days_old * day_ms,
        .closes_at_ms = now_ms + (v->days_left > 0 ? v->days_left : open_days) * day_ms,
    };
    while (v->options[voting.option_count]) {
        voting.options[voting.option_count] = str_of(v->options[voting.option_count]);
        voting.option_count++;
    }
    enum err err = civic_voting_create(tx, &voting, &s->voting_ids[index]);
    return err ? err : add_ballots(tx, s, v, s->voting_ids[index]);
}

/* ---- the end of what is over ---- */
static enum err close_proposal(struct store_tx *tx, int64_t id, int64_t at_ms)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx, "UPDATE proposal SET deadline_at_ms = $2 WHERE id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, at_ms);
    return store_run(st, NULL);
}

static enum err close_voting(struct store_tx *tx, int64_t id, int64_t at_ms)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx, "UPDATE voting SET closes_at_ms = $2 WHERE id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, at_ms);
    return store_run(st, NULL);
}

static enum err close_all(struct store_tx *tx, const struct seed *s)
{
    int64_t now_ms = store_now_ms(tx);
    enum err err = OK;
    for (size_t i = 0; i < civic_seed_texts_proposal_count && !err; i++) {
        int days_left = civic_seed_texts_proposals[i].days_left;
        if (days_left < 0)
            err = close_proposal(tx, s->proposal_ids[i], now_ms + days_left * day_ms);
    }
    for (size_t i = 0; i < civic_seed_texts_voting_count && !err; i++) {
        int days_left = civic_seed_texts_votings[i].days_left;
        if (days_left < 0)
            err = close_voting(tx, s->voting_ids[i], now_ms + days_left * day_ms);
    }
    return err;
}

/* ---- all of it ---- */
static enum err add_all(struct store_tx *tx, struct seed *s)
{
    enum err err = add_people(tx, s);
    for (size_t i = 0; i < civic_seed_texts_proposal_count && !err; i++)
        err = add_proposal(tx, s, i);
    for (size_t i = 0; i < civic_seed_texts_comment_count && !err; i++)
        err = add_comment(tx, s, i);
    for (size_t i = 0; i < civic_seed_texts_voting_count && !err; i++)
        err = add_voting(tx, s, i);
    return err ? err : close_all(tx, s);
}

static enum err seed(struct store_tx *tx, void *arg)
{
    struct seed *s = arg;
    struct civic_user olena;
    s->person_count = 0;
    s->is_new = false;
    enum err err =
        civic_user_find_login(tx, str_of(civic_seed_texts_people[0].email), &s->arena, &olena);
    if (err != ERR_NOT_FOUND)
        return err; // OK: the town is there
    s->is_new = true;
    return add_all(tx, s);
}

enum err civic_seed_demo(struct store *store, bool *is_new_out)
{
    struct seed s = {0};
    arena_init(&s.arena);
    s.proposal_ids = arena_alloc(&s.arena, civic_seed_texts_proposal_count * sizeof(int64_t));
    s.comment_ids = arena_alloc(&s.arena, civic_seed_texts_comment_count * sizeof(int64_t));
    s.voting_ids = arena_alloc(&s.arena, civic_seed_texts_voting_count * sizeof(int64_t));
    crypto_password_hash(STR(CIVIC_SEED_PASSWORD), s.password_hash);
    enum err err = store_write_wait(store, seed, &s);
    if (!err)
        *is_new_out = s.is_new;
    arena_done(&s.arena);
    return err;
}
