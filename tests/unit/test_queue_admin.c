/* What an operator does: lists, stories, changes; and their races with jobs that are held. */
#include <pthread.h>

#include "core/clock.h"
#include "queue/queue_admin_act.h"
#include "queue/queue_admin_show.h"
#include "queue/queue_graph.h"
#include "queue/queue_report.h"
#include "queue/queue_step.h"
#include "test_queue.h"

static const struct queue_admin_list_filter any = {.state = QUEUE_ADMIN_LIST_ANY};

/* What a test does in one transaction. */
struct call {
    const struct queue_new *jobs;
    size_t count;
    struct queue_receipt receipts[64];
    const struct queue_admin_list_filter *filter;
    const struct queue_held *held;
    const struct queue_admin_list_cursor *after;
    size_t limit;
    struct arena arena;
    struct queue_admin_list list;
    queue_admin_act_fn *fn;
    struct queue_admin_act act;
    struct queue_admin_edit edit;
    struct queue_admin_show show;
};

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_enqueue_many(tx, c->jobs, c->count, c->receipts);
}

static int64_t add(struct test_store *t, const struct queue_new *job)
{
    struct call c = {.jobs = job, .count = 1};
    EXPECT_EQ(store_write_wait(t->store, enqueue_fn, &c), OK);
    return c.receipts[0].id;
}

static enum err list_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    const struct queue_admin_list_page page = {c->after, c->limit};
    return queue_admin_list(tx, c->filter, c->held, &page, &c->arena, &c->list);
}

static enum err act_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return c->fn ? c->fn(tx, &c->act) : queue_admin_act_edit(tx, &c->act, &c->edit);
}

/* fn NULL: edit. */
static enum err act(struct test_store *t, queue_admin_act_fn *fn, int64_t id, const char *why)
{
    struct call c = {.fn = fn, .act = {.id = id, .epoch = -1}};
    enum err err = store_write_wait(t->store, act_fn, &c);
    EXPECT_STR(c.act.why.at ? c.act.why : STR(""), why);
    return err;
}

static enum err edit(struct test_store *t, int64_t id, struct queue_admin_edit as)
{
    struct call c = {.act = {.id = id, .epoch = -1}, .edit = as};
    return store_write_wait(t->store, act_fn, &c);
}

static enum err show_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_admin_show(tx, c->act.id, c->held, &c->arena, &c->show);
}

/* The caller frees the arena. */
static struct queue_admin_show show(struct test_store *t, int64_t id, struct call *c)
{
    *c = (struct call){.act = {.id = id}};
    arena_init(&c->arena);
    EXPECT_EQ(store_read(t->store, show_fn, c), OK);
    return c->show;
}

/* A job as a worker has it, and what becomes of it. */
struct run {
    struct queue_job jobs[2];
    size_t count;
    struct queue_look look;
    struct str why;
    bool is_dead;
    int64_t keep_ms;
};

static enum err claim_fn(struct store_tx *tx, void *arg)
{
    struct run *r = arg;
    int64_t next_ms;
    const struct queue_options options = {.lease_ms = 30000};
    return queue_claim(tx, &options, r->jobs, 1, &r->count, &next_ms);
}

/* What it ends stays, though it claims nothing. */
static enum err try_claim_fn(struct store_tx *tx, void *arg)
{
    enum err err = claim_fn(tx, arg);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err find_fn(struct store_tx *tx, void *arg)
{
    struct run *r = arg;
    const struct queue_options options = {.lease_ms = 30000, .is_alone = true};
    r->look = (struct queue_look){.jobs = r->jobs};
    return queue_find(tx, &options, (struct queue_cursor){INT64_MIN, 0}, 1, &r->look);
}

static enum err ack_fn(struct store_tx *tx, void *arg)
{
    struct run *r = arg;
    enum err err = test_queue_add_effect(tx, r->jobs[0].id);
    return err ? err : queue_ack(tx, &r->jobs[0]);
}

static enum err keep_fn(struct store_tx *tx, void *arg)
{
    ((struct run *)arg)->jobs[0].keep_ms = 3600000;
    return queue_ack(tx, &((struct run *)arg)->jobs[0]);
}

static enum err fail_fn(struct store_tx *tx, void *arg)
{
    struct run *r = arg;
    return queue_fail(tx, &r->jobs[0], STR("it broke"), 60000, r->is_dead);
}

static struct run claim(struct test_store *t)
{
    struct run r = {.count = 0};
    EXPECT_EQ(store_write_wait(t->store, claim_fn, &r), OK);
    EXPECT_EQ(r.count, 1);
    return r;
}

static struct run hold(struct test_store *t)
{
    struct run r = {.count = 0};
    EXPECT_EQ(store_read(t->store, find_fn, &r), OK);
    EXPECT_EQ(r.look.count, 1);
    EXPECT(r.jobs[0].is_held);
    return r;
}

static void end(struct test_store *t, struct run *r, store_fn *fn, enum err expected)
{
    EXPECT_EQ(store_write_wait(t->store, fn, r), expected);
    arena_done(&r->jobs[0].arena);
}

static int64_t make_dead(struct test_store *t, const struct queue_new *job)
{
    int64_t id = add(t, job);
    struct run r = claim(t);
    EXPECT_EQ(r.jobs[0].id, id);
    r.is_dead = true;
    end(t, &r, fail_fn, OK);
    return id;
}

#define ASK(t, sql) test_store_int((t)->store, "SELECT " sql)

/* The ids of all pages of the filter, and how many jobs were looked at. */
static size_t list_all(struct test_store *t, const struct queue_admin_list_filter *filter,
                       const struct queue_held *held, size_t limit, int64_t *ids, size_t *looked)
{
    struct queue_admin_list_cursor cursor = {.part = -1};
    size_t count = 0;
    *looked = 0;
    for (bool has_more = true; has_more;) {
        char text[QUEUE_ADMIN_LIST_CURSOR_BYTES];
        struct call c = {.filter = filter, .held = held, .after = &cursor, .limit = limit};
        arena_init(&c.arena);
        EXPECT_EQ(store_read(t->store, list_fn, &c), OK);
        EXPECT(c.list.count <= limit);
        for (size_t i = 0; i < c.list.count; i++)
            ids[count++] = c.list.jobs[i].id;
        *looked += c.list.looked;
        has_more = c.list.has_more;
        queue_admin_list_write_cursor(&c.list.next, text);
        EXPECT_EQ(queue_admin_list_parse_cursor(str_of(text), &cursor), OK);
        arena_done(&c.arena);
    }
    return count;
}

#define EXPECT_IDS(t, filter, held, limit, ...)                                                    \
    do {                                                                                           \
        const int64_t expected_[] = {__VA_ARGS__};                                                 \
        int64_t ids_[128];                                                                         \
        size_t looked_, count_ = list_all(t, filter, held, limit, ids_, &looked_);                 \
        EXPECT_EQ(count_, sizeof(expected_) / sizeof(expected_[0]));                               \
        for (size_t i_ = 0; i_ < count_; i_++)                                                     \
            EXPECT_EQ(ids_[i_], expected_[i_]);                                                    \
    } while (0)

TEST(queue_admin_lists_by_every_filter)
{
    struct test_store t;
    const struct str red = STR("red");
    test_queue_begin(&t);
    int64_t dead = make_dead(&t, &(struct queue_new){.kind = STR("a")});
    int64_t one = add(&t, &(struct queue_new){.kind = STR("a"), .payload = STR("{\"n\":1}")});
    int64_t two = add(&t, &(struct queue_new){.kind = STR("b"),
                                              .queue = STR("mail"),
                                              .payload = STR("{\"to\":[{\"name\":\"Олена\"}]}")});
    int64_t red_job = add(&t, &(struct queue_new){.kind = STR("b"), .tags = &red, .tag_count = 1});
    int64_t keyed = add(&t, &(struct queue_new){.kind = STR("b"), .key = STR("acme")});
    int64_t later = add(&t, &(struct queue_new){.kind = STR("c"), .delay_ms = 100000});
    int64_t last = add(&t, &(struct queue_new){.kind = STR("c"), .delay_ms = 50000});
    for (size_t limit = 1; limit < 9; limit++) {
        struct queue_admin_list_filter f = any;
        EXPECT_IDS(&t, &f, NULL, limit, last, later, keyed, red_job, two, one, dead);
        f.queue = STR("mail");
        EXPECT_IDS(&t, &f, NULL, limit, two);
        f = any;
        f.kind = STR("b");
        EXPECT_IDS(&t, &f, NULL, limit, keyed, red_job, two);
        f.tag = STR("red");
        EXPECT_IDS(&t, &f, NULL, limit, red_job);
        f = (struct queue_admin_list_filter){.state = QUEUE_READY};
        EXPECT_IDS(&t, &f, NULL, limit, one, red_job, keyed, two);
        f = (struct queue_admin_list_filter){.state = QUEUE_SCHEDULED};
        EXPECT_IDS(&t, &f, NULL, limit, last, later);
        f = (struct queue_admin_list_filter){.state = QUEUE_DEAD};
        EXPECT_IDS(&t, &f, NULL, limit, dead);
        f = any;
        f.queue = STR("default");
        f.key = STR("acme");
        EXPECT_IDS(&t, &f, NULL, limit, keyed);
        f = any;
        f.due_from_ms = clock_unix_ms() + 60000;
        EXPECT_IDS(&t, &f, NULL, limit, later);
        f = any;
        f.path = STR("to.0.name");
        f.value = STR("Олена");
        EXPECT_IDS(&t, &f, NULL, limit, two);
        f.path = STR("n");
        f.value = STR("1.0");
        EXPECT_IDS(&t, &f, NULL, limit, one);
    }
    struct queue_admin_list_filter nothing = any;
    struct call c = {.filter = &nothing, .limit = 5};
    nothing.key = STR("acme");
    arena_init(&c.arena);
    EXPECT_EQ(store_read(t.store, list_fn, &c), ERR_INVALID); // keys are a queue's
    arena_done(&c.arena);
    test_store_end(&t);
}

TEST(queue_admin_shows_states_as_they_are)
{
    struct test_store t;
    int64_t ids[8];
    size_t looked;
    clock_test_stop();
    test_queue_begin(&t);
    int64_t ran = add(&t, &(struct queue_new){.kind = STR("a")});
    int64_t due = add(&t, &(struct queue_new){.kind = STR("a"), .delay_ms = 1000});
    int64_t held_id = add(&t, &(struct queue_new){.kind = STR("a")});
    const struct queue_held held = {.ids = &held_id, .count = 1};
    struct run r = claim(&t);
    EXPECT_EQ(r.jobs[0].id, ran);
    clock_test_advance(2000);
    struct queue_admin_list_filter f = {.state = QUEUE_READY};
    EXPECT_IDS(&t, &f, &held, 1, due);
    f.state = QUEUE_RUNNING;
    EXPECT_IDS(&t, &f, &held, 1, held_id, ran);
    f.tag = STR("none");
    EXPECT_EQ(list_all(&t, &f, &held, 1, ids, &looked), 0);
    f = (struct queue_admin_list_filter){.state = QUEUE_SCHEDULED};
    EXPECT_EQ(list_all(&t, &f, &held, 1, ids, &looked), 0);
    arena_done(&r.jobs[0].arena);
    test_store_end(&t);
}

/* A page of a state looks at no job of another, nor does one of a tag, a key or a batch. */
TEST(queue_admin_looks_only_at_jobs_that_an_index_gives)
{
    struct test_store t;
    struct queue_new crowd[64];
    const struct str red = STR("red");
    int64_t ids[8];
    size_t looked;
    test_queue_begin(&t);
    int64_t dead = make_dead(&t, &(struct queue_new){.kind = STR("a")});
    int64_t red_job = add(&t, &(struct queue_new){.kind = STR("b"), .tags = &red, .tag_count = 1});
    for (int i = 0; i < 64; i++)
        crowd[i] = (struct queue_new){.kind = STR("a"), .queue = STR("other")};
    struct call c = {.jobs = crowd, .count = 64};
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &c), OK);
    struct queue_admin_list_filter f = {.state = QUEUE_DEAD};
    EXPECT_EQ(list_all(&t, &f, NULL, 10, ids, &looked), 1);
    EXPECT_EQ(ids[0], dead);
    EXPECT_EQ(looked, 1);
    f = any;
    f.tag = STR("red");
    EXPECT_EQ(list_all(&t, &f, NULL, 10, ids, &looked), 1);
    EXPECT_EQ(ids[0], red_job);
    EXPECT_EQ(looked, 1);
    static const char *const plans[] = {
        "EXPLAIN QUERY PLAN SELECT j.payload FROM job AS j WHERE j.state = 0 AND j.queue = $1 AND "
        "(j.rank, j.id) > ($2, $3) ORDER BY j.rank, j.id LIMIT $4",
        "EXPLAIN QUERY PLAN SELECT j.payload FROM job AS j WHERE j.state > 0 AND j.state = $1 AND "
        "j.queue = $2 AND (j.at_ms, j.id) > ($3, $4) AND j.at_ms <= $5 ORDER BY j.at_ms, j.id "
        "LIMIT $6",
        "EXPLAIN QUERY PLAN SELECT j.payload FROM job AS j WHERE j.state > 0 AND j.state = $1 AND "
        "j.queue = $2 AND (j.at_ms, j.id) < ($3, $4) ORDER BY j.at_ms DESC, j.id DESC LIMIT $5",
        "EXPLAIN QUERY PLAN SELECT j.payload FROM job AS j WHERE j.id < $1 ORDER BY j.id DESC "
        "LIMIT $2",
        "EXPLAIN QUERY PLAN SELECT j.payload FROM job_option AS o JOIN job AS j ON j.id = o.job_id "
        "WHERE o.batch_id = $3 AND o.job_id < $1 ORDER BY o.job_id DESC LIMIT $2",
        "EXPLAIN QUERY PLAN SELECT j.payload FROM job_option AS o JOIN job AS j ON j.id = o.job_id "
        "WHERE o.key_id = $3 AND o.job_id < $1 ORDER BY o.job_id DESC LIMIT $2",
        "EXPLAIN QUERY PLAN SELECT j.payload FROM job_tag AS o JOIN job AS j ON j.id = o.job_id "
        "WHERE o.tag = $3 AND o.job_id < $1 ORDER BY o.job_id DESC LIMIT $2",
        "EXPLAIN QUERY PLAN SELECT queue FROM job WHERE state = 0 AND queue > $1 ORDER BY queue "
        "LIMIT 1",
        "EXPLAIN QUERY PLAN SELECT queue FROM job WHERE state > 0 AND state = $2 AND queue > $1 "
        "ORDER BY queue LIMIT 1",
    };
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
        EXPECT(test_queue_plan_uses_indexes(t.store, plans[i]));
    test_store_end(&t);
}

TEST(queue_admin_page_that_finds_nothing_says_where_to_go_on)
{
    static struct queue_new crowd[60];
    struct test_store t;
    int64_t ids[8];
    size_t looked;
    test_queue_begin(&t);
    int64_t first = add(&t, &(struct queue_new){.kind = STR("rare")});
    for (int i = 0; i < 60; i++)
        crowd[i] = (struct queue_new){.kind = STR("a")};
    struct call c = {.jobs = crowd, .count = 60};
    for (int i = 0; i < QUEUE_ADMIN_LIST_MAX_LOOKED / 60 + 1; i++)
        EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &c), OK);
    struct queue_admin_list_filter f = any;
    f.kind = STR("rare");
    struct call page = {.filter = &f, .limit = 10};
    arena_init(&page.arena);
    EXPECT_EQ(store_read(t.store, list_fn, &page), OK);
    EXPECT_EQ(page.list.count, 0);
    EXPECT_EQ(page.list.looked, QUEUE_ADMIN_LIST_MAX_LOOKED);
    EXPECT(page.list.has_more);
    arena_done(&page.arena);
    EXPECT_EQ(list_all(&t, &f, NULL, 10, ids, &looked), 1);
    EXPECT_EQ(ids[0], first);
    test_store_end(&t);
}

TEST(queue_admin_takes_no_cursor_that_is_not_its_own)
{
    static const char *const bad[] = {
        "",         "0",        "0.1",     "0.1.",
        "x.1.2.q",  "-1.1.2.q", "7.1.2.q", "0.99999999999999999999.1.q",
        "0.1.1e3.q"};
    struct queue_admin_list_cursor cursor;
    char text[QUEUE_MAX_NAME_BYTES + 20];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        EXPECT_EQ(queue_admin_list_parse_cursor(str_of(bad[i]), &cursor), ERR_INVALID);
    snprintf(text, sizeof(text), "0.1.2.%0*d", QUEUE_MAX_NAME_BYTES + 1, 7);
    EXPECT_EQ(queue_admin_list_parse_cursor(str_of(text), &cursor), ERR_INVALID);
    EXPECT_EQ(queue_admin_list_parse_cursor(STR("1.-5.7.a.b"), &cursor), OK);
    EXPECT(cursor.part == 1 && cursor.at == -5 && cursor.id == 7);
    EXPECT_STR(str_of(cursor.queue), "a.b");
}

/* ---- changes ---- */

TEST(queue_admin_retries_what_is_over_with_all_its_attempts)
{
    struct test_store t;
    struct call c;
    test_queue_begin(&t);
    int64_t id = make_dead(&t, &(struct queue_new){.kind = STR("a"), .unique_key = STR("u")});
    EXPECT_EQ(act(&t, queue_admin_act_retry, id, ""), OK);
    struct queue_admin_show s = show(&t, id, &c);
    EXPECT_EQ(s.job.state, QUEUE_READY);
    EXPECT_EQ(s.job.attempt, 0);
    EXPECT(s.holds_key);
    EXPECT_EQ(s.error_count, 1); // its history stays
    EXPECT_STR(s.errors[0].text, "it broke");
    arena_done(&c.arena);
    EXPECT_EQ(act(&t, queue_admin_act_retry, id, "it is ready"), ERR_CONFLICT);
    struct run r = claim(&t);
    EXPECT_EQ(act(&t, queue_admin_act_retry, id, "it runs"), ERR_CONFLICT);
    end(&t, &r, keep_fn, OK);
    EXPECT_EQ(act(&t, queue_admin_act_retry, id, ""), OK); // done and kept: once more
    r = claim(&t);
    end(&t, &r, fail_fn, OK);
    EXPECT_EQ(ASK(&t, "state FROM job"), QUEUE_SCHEDULED); // waits for its next try: now
    EXPECT_EQ(act(&t, queue_admin_act_retry, id, ""), OK);
    r = claim(&t);
    end(&t, &r, ack_fn, OK);
    EXPECT_EQ(ASK(&t, "count(*) FROM effect"), 1);
    EXPECT_EQ(act(&t, queue_admin_act_retry, id, "there is no such job"), ERR_NOT_FOUND);
    test_store_end(&t);
}

TEST(queue_admin_does_not_retry_what_another_does)
{
    const struct queue_new job = {
        .kind = STR("a"), .unique_key = STR("u"), .unique_until = QUEUE_UNTIL_END};
    struct test_store t;
    test_queue_begin(&t);
    int64_t id = make_dead(&t, &job), other = add(&t, &job);
    EXPECT(other != id);
    EXPECT_EQ(act(&t, queue_admin_act_retry, id, "another job has its unique key"), ERR_CONFLICT);
    EXPECT_EQ(ASK(&t, "count(*) FROM job WHERE state = 2"), 1);
    struct run r = claim(&t);
    EXPECT_EQ(r.jobs[0].id, other);
    end(&t, &r, ack_fn, OK);
    EXPECT_EQ(act(&t, queue_admin_act_retry, id, ""), OK);
    EXPECT_EQ(add(&t, &job), id); // it has the key again, until its end
    r = claim(&t);
    EXPECT_EQ(add(&t, &job), id);
    end(&t, &r, ack_fn, OK);
    EXPECT_EQ(ASK(&t, "count(*) FROM job_unique"), 0);
    test_store_end(&t);
}

TEST(queue_admin_drops_a_deadline_that_is_over)
{
    struct test_store t;
    clock_test_stop();
    test_queue_begin(&t);
    int64_t id =
        make_dead(&t, &(struct queue_new){.kind = STR("a"), .deadline_ms = clock_unix_ms() + 1000});
    clock_test_advance(5000);
    EXPECT_EQ(act(&t, queue_admin_act_retry, id, ""), OK);
    struct run r = claim(&t);
    EXPECT_EQ(r.jobs[0].id, id);
    end(&t, &r, ack_fn, OK);
    test_store_end(&t);
}

static enum err open_batch(struct store_tx *tx, void *arg)
{
    static const struct queue_new jobs[] = {{.kind = {"one", 3}}, {.kind = {"two", 3}}};
    static const struct queue_batch_new batch = {.name = {"import", 6}};
    return queue_graph_chain(tx, &batch, jobs, 2, arg);
}

TEST(queue_admin_retry_takes_back_what_a_failure_had_cancelled)
{
    struct test_store t;
    struct call c;
    int64_t batch_id;
    test_queue_begin(&t);
    EXPECT_EQ(store_write_wait(t.store, open_batch, &batch_id), OK);
    struct run r = claim(&t);
    r.is_dead = true;
    end(&t, &r, fail_fn, OK);
    EXPECT_EQ(act(&t, queue_admin_act_retry, 2, "a job that it needs was not done; retry that"),
              ERR_CONFLICT);
    EXPECT_EQ(ASK(&t, "state FROM job WHERE id = 2"), QUEUE_CANCELLED);
    struct queue_admin_show s = show(&t, 2, &c);
    EXPECT_EQ(s.needs.count, 1);
    EXPECT(s.needs.at[0].id == 1 && s.needs.at[0].is_broken && !s.needs.at[0].is_gone);
    EXPECT_EQ(s.batch.failed, 1);
    EXPECT_STR(s.batch_name, "import");
    arena_done(&c.arena);
    EXPECT_EQ(act(&t, queue_admin_act_retry, 1, ""), OK);
    EXPECT_EQ(ASK(&t, "state FROM job WHERE id = 2"), QUEUE_WAITING);
    EXPECT_EQ(act(&t, queue_admin_act_cancel, 2, ""), OK);
    EXPECT_EQ(act(&t, queue_admin_act_retry, 2, ""), OK); // waits as before
    EXPECT_EQ(ASK(&t, "state FROM job WHERE id = 2"), QUEUE_WAITING);
    s = show(&t, 1, &c);
    EXPECT(s.needed_by.count == 1 && s.needed_by.at[0].id == 2);
    arena_done(&c.arena);
    for (int i = 0; i < 2; i++) {
        r = claim(&t);
        end(&t, &r, ack_fn, OK);
    }
    EXPECT_EQ(ASK(&t, "pending * 100 + failed * 10 + cancelled FROM job_batch"), 0);
    EXPECT_EQ(ASK(&t, "finished_at_ms > 0 FROM job_batch"), 1);
    test_store_end(&t);
}

TEST(queue_admin_discards_what_waits_then_what_is_over)
{
    const struct str tag = STR("red");
    struct test_store t;
    test_queue_begin(&t);
    int64_t id = add(
        &t,
        &(struct queue_new){
            .kind = STR("a"), .tags = &tag, .tag_count = 1, .unique_key = STR("u"), .priority = 3});
    EXPECT_EQ(act(&t, queue_admin_act_discard, id, ""), OK);
    EXPECT_EQ(ASK(&t, "state FROM job"), QUEUE_CANCELLED);
    EXPECT_EQ(ASK(&t, "count(*) FROM job_unique"), 0);
    EXPECT_EQ(act(&t, queue_admin_act_cancel, id, "it is over"), ERR_CONFLICT);
    EXPECT_EQ(act(&t, queue_admin_act_discard, id, ""), OK);
    EXPECT_EQ(ASK(&t, "(SELECT count(*) FROM job) + (SELECT count(*) FROM job_tag) + (SELECT "
                      "count(*) FROM job_option) + (SELECT count(*) FROM job_error) + (SELECT "
                      "count(*) FROM job_run)"),
              0);
    EXPECT_EQ(act(&t, queue_admin_act_discard, id, "there is no such job"), ERR_NOT_FOUND);
    test_store_end(&t);
}

static enum err ask_fn(struct store_tx *tx, void *arg)
{
    struct run *r = arg;
    return queue_report_ask(tx, &r->jobs[0], &r->is_dead);
}

TEST(queue_admin_cancel_tells_what_runs_and_it_is_not_tried_again)
{
    struct test_store t;
    test_queue_begin(&t);
    int64_t id = add(&t, &(struct queue_new){.kind = STR("a")});
    struct run r = claim(&t);
    EXPECT_EQ(act(&t, queue_admin_act_discard, id, "it runs; cancel it"), ERR_CONFLICT);
    EXPECT_EQ(store_read(t.store, ask_fn, &r), OK);
    EXPECT(!r.is_dead);
    struct call c = {.fn = queue_admin_act_cancel, .act = {.id = id, .epoch = -1}};
    EXPECT_EQ(store_write_wait(t.store, act_fn, &c), OK);
    EXPECT(c.act.is_pending);
    EXPECT_EQ(store_read(t.store, ask_fn, &r), OK);
    EXPECT(r.is_dead);
    r.is_dead = false;
    end(&t, &r, fail_fn, OK);
    EXPECT_EQ(ASK(&t, "state FROM job"), QUEUE_CANCELLED);
    EXPECT_EQ(act(&t, queue_admin_act_retry, id, ""), OK); // and the wish is forgotten
    r = claim(&t);
    EXPECT_EQ(store_read(t.store, ask_fn, &r), OK);
    EXPECT(!r.is_dead);
    end(&t, &r, ack_fn, OK);
    test_store_end(&t);
}

TEST(queue_admin_edits_what_does_not_run)
{
    struct test_store t;
    struct call c;
    test_queue_begin(&t);
    int64_t id = add(&t, &(struct queue_new){.kind = STR("a"), .payload = STR("1")});
    int64_t next = add(&t, &(struct queue_new){.kind = STR("a"), .payload = STR("2")});
    EXPECT_EQ(edit(&t, next, (struct queue_admin_edit){.has_priority = true, .priority = 1}), OK);
    struct run r = claim(&t);
    EXPECT_EQ(r.jobs[0].id, next); // before the older one
    EXPECT_EQ(edit(&t, next, (struct queue_admin_edit){.payload = STR("3")}), ERR_CONFLICT);
    end(&t, &r, ack_fn, OK);
    struct queue_admin_edit later = {
        .payload = STR("[4]"), .has_time = true, .run_at_ms = clock_unix_ms() + 50000};
    EXPECT_EQ(edit(&t, id, later), OK);
    struct queue_admin_show s = show(&t, id, &c);
    EXPECT_EQ(s.job.state, QUEUE_SCHEDULED);
    EXPECT_EQ(s.job.run_at_ms, later.run_at_ms);
    EXPECT_STR(s.job.payload, "[4]");
    arena_done(&c.arena);
    EXPECT_EQ(edit(&t, id, (struct queue_admin_edit){.payload = STR("{")}), ERR_INVALID);
    EXPECT_EQ(edit(&t, id, (struct queue_admin_edit){.has_priority = true, .priority = 101}),
              ERR_INVALID);
    EXPECT_EQ(edit(&t, id, (struct queue_admin_edit){.has_time = true}), OK); // now
    r = claim(&t);
    EXPECT_STR(r.jobs[0].payload, "[4]");
    r.is_dead = true;
    end(&t, &r, fail_fn, OK);
    EXPECT_EQ(edit(&t, id, later), ERR_CONFLICT); // it is over: no time
    EXPECT_EQ(edit(&t, id, (struct queue_admin_edit){.payload = STR("5")}), OK);
    EXPECT_EQ(ASK(&t, "state FROM job"), QUEUE_DEAD);
    EXPECT_EQ(test_store_run(t.store, "UPDATE job_option SET seal = 'k1'"), OK);
    EXPECT_EQ(test_store_run(t.store, "INSERT INTO job_option (job_id, seal) VALUES (1, 'k1') ON "
                                      "CONFLICT DO NOTHING"),
              OK);
    EXPECT_EQ(test_store_run(t.store, "UPDATE job SET options = options | 1"), OK);
    EXPECT_EQ(edit(&t, id, (struct queue_admin_edit){.payload = STR("6")}), ERR_DENIED);
    test_store_end(&t);
}

TEST(queue_admin_does_not_change_what_has_changed_since_it_was_seen)
{
    struct test_store t;
    test_queue_begin(&t);
    int64_t id = make_dead(&t, &(struct queue_new){.kind = STR("a")});
    int64_t epoch = ASK(&t, "epoch FROM job");
    struct call c = {.fn = queue_admin_act_retry, .act = {.id = id, .epoch = epoch}};
    EXPECT_EQ(store_write_wait(t.store, act_fn, &c), OK);
    struct run r = claim(&t);
    r.is_dead = true;
    end(&t, &r, fail_fn, OK); // dead again, and another than was seen
    EXPECT_EQ(store_write_wait(t.store, act_fn, &c), ERR_CONFLICT);
    EXPECT_STR(c.act.why, "it has changed meanwhile");
    test_store_end(&t);
}

/* ---- races with claims in memory ---- */

TEST(queue_admin_leaves_alone_what_it_knows_to_be_held)
{
    struct test_store t;
    test_queue_begin(&t);
    int64_t id = add(&t, &(struct queue_new){.kind = STR("a")});
    const struct queue_held held = {.ids = &id, .count = 1};
    struct run r = hold(&t);
    struct call c = {.fn = queue_admin_act_discard, .act = {.id = id, .epoch = -1, .held = &held}};
    EXPECT_EQ(store_write_wait(t.store, act_fn, &c), ERR_CONFLICT);
    c.fn = queue_admin_act_cancel;
    EXPECT_EQ(store_write_wait(t.store, act_fn, &c), OK);
    EXPECT(c.act.is_pending);
    EXPECT_EQ(store_read(t.store, ask_fn, &r), OK);
    EXPECT(r.is_dead);
    end(&t, &r, ack_fn, OK); // it does not listen: done
    EXPECT_EQ(ASK(&t, "count(*) FROM effect"), 1);
    EXPECT_EQ(ASK(&t, "(SELECT count(*) FROM job) + (SELECT count(*) FROM job_run)"), 0);
    test_store_end(&t);
}

TEST(queue_admin_a_cancelled_job_is_not_begun_again_after_a_crash)
{
    struct test_store t;
    struct run r = {.count = 0};
    test_queue_begin(&t);
    int64_t id = add(&t, &(struct queue_new){.kind = STR("a")});
    const struct queue_held held = {.ids = &id, .count = 1};
    struct call c = {.fn = queue_admin_act_cancel, .act = {.id = id, .epoch = -1, .held = &held}};
    EXPECT_EQ(store_write_wait(t.store, act_fn, &c), OK);
    EXPECT_EQ(ASK(&t, "state FROM job"), QUEUE_READY); // whoever held it is dead
    EXPECT_EQ(store_write_wait(t.store, try_claim_fn, &r), OK);
    EXPECT_EQ(r.count, 0);
    EXPECT_EQ(ASK(&t, "state FROM job"), QUEUE_CANCELLED);
    test_store_end(&t);
}

/* The same with real workers: a handler that waits until the job was edited under it. */
struct stage {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    int runs;
    bool may_go, is_done;
    char payloads[2][8];
};

static enum err stage_run(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct stage *s = ctx;
    (void)why_out;
    pthread_mutex_lock(&s->mutex);
    if (s->runs < 2)
        snprintf(s->payloads[s->runs], sizeof(s->payloads[0]), "%.*s", STR_ARG(job->payload));
    s->runs++;
    pthread_cond_broadcast(&s->moved);
    while (!s->may_go)
        pthread_cond_wait(&s->moved, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    return OK;
}

static enum err stage_commit(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    return test_queue_add_effect(tx, job->id);
}

static void stage_done(struct queue_job *job, void *ctx)
{
    struct stage *s = ctx;
    (void)job;
    pthread_mutex_lock(&s->mutex);
    s->is_done = true;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->mutex);
}

TEST(queue_admin_a_job_edited_under_a_worker_runs_again_and_counts_once)
{
    struct stage s = {.mutex = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
    const struct queue_handler handler = {
        .kind = "a", .run = stage_run, .commit = stage_commit, .done = stage_done, .ctx = &s};
    const struct queue_options options = {.workers = 2, .lease_ms = 30000, .is_alone = true};
    struct test_store t;
    test_queue_begin(&t);
    struct queue *q = queue_new(t.store, &options, &handler, 1);
    EXPECT_EQ(queue_start(q), OK);
    int64_t id = add(&t, &(struct queue_new){.kind = STR("a"), .payload = STR("1")});
    queue_wake(q);
    pthread_mutex_lock(&s.mutex);
    while (s.runs == 0)
        pthread_cond_wait(&s.moved, &s.mutex);
    pthread_mutex_unlock(&s.mutex);
    EXPECT_EQ(ASK(&t, "state FROM job"), QUEUE_READY); // held
    EXPECT_EQ(edit(&t, id, (struct queue_admin_edit){.payload = STR("2")}), OK);
    pthread_mutex_lock(&s.mutex);
    s.may_go = true;
    pthread_cond_broadcast(&s.moved);
    while (!s.is_done)
        pthread_cond_wait(&s.moved, &s.mutex);
    pthread_mutex_unlock(&s.mutex);
    EXPECT_EQ(s.runs, 2);
    EXPECT_STR(str_of(s.payloads[0]), "1");
    EXPECT_STR(str_of(s.payloads[1]), "2");
    EXPECT_EQ(ASK(&t, "count(*) FROM effect"), 1);
    EXPECT(queue_stop(q, 5000));
    queue_free(q);
    test_store_end(&t);
}

struct many {
    const struct queue_admin_list *list;
    size_t done, refused;
};

static enum err many_fn(struct store_tx *tx, void *arg)
{
    struct many *m = arg;
    return queue_admin_act_slice(tx, queue_admin_act_retry, m->list, NULL, &m->done, &m->refused);
}

TEST(queue_admin_does_to_many_what_it_does_to_one)
{
    const struct queue_admin_list_filter dead = {.state = QUEUE_DEAD};
    struct test_store t;
    test_queue_begin(&t);
    for (int i = 0; i < 3; i++)
        make_dead(&t, &(struct queue_new){.kind = STR("a")});
    struct call c = {.filter = &dead, .limit = 10};
    arena_init(&c.arena);
    EXPECT_EQ(store_read(t.store, list_fn, &c), OK);
    EXPECT_EQ(c.list.count, 3);
    EXPECT_STR(c.list.jobs[0].error, "it broke");
    EXPECT_EQ(act(&t, queue_admin_act_retry, c.list.jobs[1].id, ""), OK);
    struct many m = {.list = &c.list};
    EXPECT_EQ(store_write_wait(t.store, many_fn, &m), OK);
    EXPECT_EQ(m.done, 2);
    EXPECT_EQ(m.refused, 1); // it is retried already
    EXPECT_EQ(ASK(&t, "count(*) FROM job WHERE state = 0"), 3);
    arena_done(&c.arena);
    test_store_end(&t);
}
