/* test_civic.h -- a store with the product's tables, some people and a proposal; writes as one-line
 * calls. */
#ifndef TEST_CIVIC_H
#define TEST_CIVIC_H

#include "civic/civic_comment.h"
#include "civic/civic_proposal.h"
#include "civic/civic_user.h"
#include "test_queue.h"

struct test_civic {
    struct test_store t;
    struct arena arena;
    struct civic_actor author, member, user; // author is a member
    const char *why;                         // of the last refusal
};

/* Runs BODY (which may use tx and w) as a write and gives its result. */
#define TEST_CIVIC_WRITE(name, ...)                                                                \
    static enum err name##_fn(struct store_tx *tx, void *arg)                                      \
    {                                                                                              \
        struct name *w = arg;                                                                      \
        __VA_ARGS__                                                                                \
    }                                                                                              \
    static enum err name(struct test_civic *c, struct name *w)                                     \
    {                                                                                              \
        return store_write_wait(c->t.store, name##_fn, w);                                         \
    }

static inline void test_civic_migrate(struct test_store *t)
{
    test_queue_migrate(t, "migrations/*.sql", TEST_QUEUE_MIGRATIONS);
}

struct test_civic_person {
    const char *email;
    enum civic_role role;
    struct civic_actor actor;
};

static inline enum err test_civic_person_fn(struct store_tx *tx, void *arg)
{
    struct test_civic_person *p = arg;
    const struct civic_user_new user = {.email = str_of(p->email),
                                        .name = str_of(p->email),
                                        .password_hash = STR("x"),
                                        .role = p->role};
    p->actor = (struct civic_actor){.role = p->role, .name = str_of(p->email)};
    return civic_user_create(tx, &user, &p->actor.id);
}

static inline struct civic_actor test_civic_person(struct test_civic *c, const char *email,
                                                   enum civic_role role)
{
    struct test_civic_person p = {.email = email, .role = role};
    EXPECT_EQ(store_write_wait(c->t.store, test_civic_person_fn, &p), OK);
    return p.actor;
}

static inline void test_civic_begin(struct test_civic *c)
{
    *c = (struct test_civic){0};
    test_store_begin(&c->t);
    test_civic_migrate(&c->t);
    arena_init(&c->arena);
    c->author = test_civic_person(c, "author@example.org", CIVIC_MEMBER);
    c->member = test_civic_person(c, "member@example.org", CIVIC_MEMBER);
    c->user = test_civic_person(c, "user@example.org", CIVIC_USER);
}

static inline void test_civic_end(struct test_civic *c)
{
    arena_done(&c->arena);
    test_store_end(&c->t);
}

struct test_civic_proposal {
    struct civic_actor actor;
    struct civic_proposal_new new;
    int64_t lasts_ms, id;
    const char *why;
};

static inline enum err test_civic_proposal_fn(struct store_tx *tx, void *arg)
{
    struct test_civic_proposal *p = arg;
    p->new.deadline_at_ms = store_now_ms(tx) + p->lasts_ms;
    return civic_proposal_create(tx, &p->actor, &p->new, &p->id, &p->why);
}

/* A proposal of the author that needs three signatures and lasts a minute. */
static inline int64_t test_civic_proposal(struct test_civic *c, bool is_members_only)
{
    struct test_civic_proposal p = {
        .actor = c->author,
        .new = {.title = STR("Title"),
                .summary = STR("Summary"),
                .body = STR("Body"),
                .threshold = 3,
                .is_members_only = is_members_only},
        .lasts_ms = 60000,
    };
    EXPECT_EQ(store_write_wait(c->t.store, test_civic_proposal_fn, &p), OK);
    return p.id;
}

struct test_civic_comment {
    struct civic_actor actor;
    struct civic_comment_new new;
    struct civic_comment made;
    const char *why;
};

static inline enum err test_civic_comment_fn(struct store_tx *tx, void *arg)
{
    struct test_civic_comment *w = arg;
    return civic_comment_create(tx, &w->actor, &w->new, &w->made, &w->why);
}

/* ERR_...: c->why tells the refusal. */
static inline enum err test_civic_comment(struct test_civic *c, struct civic_actor actor,
                                          int64_t proposal_id, int64_t parent_id, int64_t *id_out)
{
    struct test_civic_comment w = {
        .actor = actor,
        .new = {.proposal_id = proposal_id, .parent_id = parent_id, .body = STR("Text")},
    };
    enum err err = store_write_wait(c->t.store, test_civic_comment_fn, &w);
    *id_out = w.made.id;
    c->why = w.why;
    return err;
}

#endif
