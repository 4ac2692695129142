/* Batches and graphs: by example, then against an oracle in memory. */
#include <time.h>

#include "core/clock.h"
#include "queue/queue_admin_act.h"
#include "queue/queue_graph.h"
#include "queue/queue_internal.h"
#include "test_queue.h"

enum { MAX_NODES = 40, MAX_EDGES = 5, GONE = -1 };

static const struct queue_options alone = {.lease_ms = 30000};

static const struct queue_new on_then = {.kind = {"then", 4}, .payload = {"[1]", 3}};
static const struct queue_new on_catch = {.kind = {"catch", 5}, .queue = {"other", 5}};
static const struct queue_new on_finally = {.kind = {"finally", 7}, .queue = {"other", 5}};
/* Callbacks go to another queue, so that a claim of the first one's is of members alone. */
static const struct queue_new on_then_other = {.kind = {"then", 4}, .queue = {"other", 5}};

static const struct queue_batch_new whole = {
    .name = {"import", 6}, .then = &on_then_other, .catch = &on_catch, .finally = &on_finally};

/* What a test does in one transaction. */
struct call {
    int64_t batch_id, job_id;
    const struct queue_batch_new *batch;
    const struct queue_new *jobs;
    const struct queue_node *nodes;
    size_t count;
    int64_t *ids;
    enum queue_state state;
    struct queue_batch out;
};

static enum err open_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_batch_open(tx, c->batch, &c->batch_id);
}

static enum err add_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_batch_add(tx, c->batch_id, c->jobs, c->count, c->ids);
}

static enum err graph_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_graph_add(tx, c->batch_id, c->nodes, c->count, c->ids);
}

static enum err chain_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_graph_chain(tx, c->batch, c->jobs, c->count, &c->batch_id);
}

static enum err close_fn(struct store_tx *tx, void *arg)
{
    return queue_batch_close(tx, ((struct call *)arg)->batch_id);
}

static enum err cancel_fn(struct store_tx *tx, void *arg)
{
    return queue_batch_cancel(tx, ((struct call *)arg)->batch_id);
}

static enum err get_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_batch_get(tx, c->batch_id, &c->out);
}

static enum err revive_fn(struct store_tx *tx, void *arg)
{
    struct queue_row row;
    enum err err = queue_row_get(tx, ((struct call *)arg)->job_id, &row);
    if (!err)
        err = queue_batch_revived(tx, &row);
    if (!err)
        err = queue_row_make_due(tx, &row, store_now_ms(tx));
    return err ? err : queue_row_save(tx, &row, (struct str){0});
}

static enum err state_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    struct queue_row row;
    enum err err = queue_row_get(tx, c->job_id, &row);
    c->state = err ? (enum queue_state)GONE : row.state;
    return err == ERR_NOT_FOUND ? OK : err;
}

static int state_of(struct test_store *t, int64_t job_id)
{
    struct call c = {.job_id = job_id};
    EXPECT_EQ(store_read(t->store, state_fn, &c), OK);
    return (int)c.state;
}

static struct queue_batch batch_of(struct test_store *t, int64_t batch_id)
{
    struct call c = {.batch_id = batch_id};
    EXPECT_EQ(store_read(t->store, get_fn, &c), OK);
    EXPECT_EQ(c.out.pending + c.out.done + c.out.failed + c.out.cancelled, c.out.total);
    return c.out;
}

static int64_t open_batch(struct test_store *t, const struct queue_batch_new *batch)
{
    struct call c = {.batch = batch};
    EXPECT_EQ(store_write_wait(t->store, open_fn, &c), OK);
    return c.batch_id;
}

static void close_batch(struct test_store *t, int64_t batch_id)
{
    EXPECT_EQ(store_write_wait(t->store, close_fn, &(struct call){.batch_id = batch_id}), OK);
}

static enum err add_jobs(struct test_store *t, int64_t batch_id, const struct queue_new *jobs,
                         size_t count, int64_t *ids)
{
    struct call c = {.batch_id = batch_id, .jobs = jobs, .count = count, .ids = ids};
    return store_write_wait(t->store, add_fn, &c);
}

static enum err add_graph(struct test_store *t, int64_t batch_id, const struct queue_node *nodes,
                          size_t count, int64_t *ids)
{
    struct call c = {.batch_id = batch_id, .nodes = nodes, .count = count, .ids = ids};
    return store_write_wait(t->store, graph_fn, &c);
}

/* ---- ending jobs as workers do ---- */

enum fate { SUCCEED, DIE, TRY_AGAIN, LEAVE };

struct ending {
    int64_t job_id;
    enum fate fate;
    bool was_there;
};

static enum err end_one(struct store_tx *tx, const struct queue_job *job, enum fate fate)
{
    switch (fate) {
    case SUCCEED:
        return queue_ack(tx, job);
    case DIE:
        return queue_fail(tx, job, STR("no"), 0, true);
    case TRY_AGAIN:
        return queue_fail(tx, job, STR("not yet"), 0, false);
    case LEAVE:
        break;
    }
    return queue_release(tx, job, job->run_at_ms);
}

static enum err end_fn(struct store_tx *tx, void *arg)
{
    struct ending *ending = arg;
    struct queue_job jobs[MAX_NODES * 2];
    size_t count = 0;
    int64_t next;
    ending->was_there = false;
    enum err err = queue_claim(tx, &alone, jobs, MAX_NODES * 2, &count, &next);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    for (size_t i = 0; !err && i < count; i++) {
        bool is_it = jobs[i].id == ending->job_id;
        ending->was_there |= is_it;
        err = end_one(tx, &jobs[i], is_it ? ending->fate : LEAVE);
    }
    for (size_t i = 0; i < count; i++)
        arena_done(&jobs[i].arena);
    return err;
}

static void end_job(struct test_store *t, int64_t job_id, enum fate fate)
{
    struct ending ending = {job_id, fate, false};
    EXPECT_EQ(store_write_wait(t->store, end_fn, &ending), OK);
    ck_assert_msg(ending.was_there, "job %lld was not ready", (long long)job_id);
}

static int64_t count_kind(struct test_store *t, const char *kind)
{
    char sql[100];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM job WHERE kind = '%s'", kind);
    static char literals[8][100]; // a statement is known by its address
    static int used;
    for (int i = 0; i < used; i++)
        if (strcmp(literals[i], sql) == 0)
            return test_store_int(t->store, literals[i]);
    strcpy(literals[used], sql);
    return test_store_int(t->store, literals[used++]);
}

static void expect_told(struct test_store *t, int then, int catch, int finally)
{
    EXPECT_EQ(count_kind(t, "then"), then);
    EXPECT_EQ(count_kind(t, "catch"), catch);
    EXPECT_EQ(count_kind(t, "finally"), finally);
}

/* ---- batches ---- */

static const struct queue_new three[] = {
    {.kind = {"a", 1}}, {.kind = {"b", 1}}, {.kind = {"c", 1}, .keep_ms = 60000}};

TEST(queue_batch_counts_its_jobs_and_tells_when_they_have_ended)
{
    struct test_store t;
    int64_t ids[3];
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &whole);
    EXPECT_EQ(add_jobs(&t, batch, three, 3, ids), OK);
    end_job(&t, ids[0], SUCCEED);
    end_job(&t, ids[1], TRY_AGAIN);
    end_job(&t, ids[1], SUCCEED);
    end_job(&t, ids[2], SUCCEED);
    struct queue_batch b = batch_of(&t, batch);
    EXPECT_EQ(b.done, 3);
    EXPECT(!b.is_finished); // more may come
    expect_told(&t, 0, 0, 0);
    close_batch(&t, batch);
    close_batch(&t, batch);
    EXPECT(batch_of(&t, batch).is_finished);
    expect_told(&t, 1, 0, 1);
    EXPECT_EQ(state_of(&t, ids[0]), GONE);
    EXPECT_EQ(state_of(&t, ids[2]), QUEUE_DONE_STATE);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_option WHERE batch_id = 1"), 1);
    test_store_end(&t);
}

TEST(queue_batch_tells_a_failure_at_once_and_the_end_later)
{
    struct test_store t;
    int64_t ids[3];
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &whole);
    EXPECT_EQ(add_jobs(&t, batch, three, 3, ids), OK);
    close_batch(&t, batch);
    end_job(&t, ids[0], DIE);
    expect_told(&t, 0, 1, 0);
    end_job(&t, ids[1], DIE);
    expect_told(&t, 0, 1, 0);
    end_job(&t, ids[2], SUCCEED);
    expect_told(&t, 0, 1, 1);

    // Retried by hand: then may still come, the others have been.
    EXPECT_EQ(store_write_wait(t.store, revive_fn, &(struct call){.job_id = ids[0]}), OK);
    EXPECT_EQ(store_write_wait(t.store, revive_fn, &(struct call){.job_id = ids[1]}), OK);
    EXPECT(!batch_of(&t, batch).is_finished);
    end_job(&t, ids[0], SUCCEED);
    end_job(&t, ids[1], SUCCEED);
    expect_told(&t, 1, 1, 1);
    EXPECT_EQ(batch_of(&t, batch).done, 3);
    test_store_end(&t);
}

TEST(queue_batch_may_allow_failures)
{
    struct test_store t;
    int64_t ids[3];
    struct queue_batch_new batch = whole;
    batch.allows_failures = true;
    test_queue_begin(&t);
    int64_t id = open_batch(&t, &batch);
    EXPECT_EQ(add_jobs(&t, id, three, 1, ids), OK);
    close_batch(&t, id);
    end_job(&t, ids[0], DIE);
    expect_told(&t, 1, 1, 1);
    test_store_end(&t);
}

TEST(queue_batch_without_jobs_is_finished_when_it_is_closed)
{
    struct test_store t;
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &whole);
    expect_told(&t, 0, 0, 0);
    close_batch(&t, batch);
    expect_told(&t, 1, 0, 1);
    EXPECT_EQ(add_jobs(&t, batch, three, 1, NULL), ERR_CONFLICT);
    EXPECT_EQ(add_jobs(&t, 99, three, 1, NULL), ERR_NOT_FOUND);
    test_store_end(&t);
}

TEST(queue_batch_gives_what_follows_its_numbers_and_the_payload)
{
    struct test_store t;
    struct queue_batch_new batch = {.name = {"na\"me", 5}, .then = &on_then};
    test_queue_begin(&t);
    close_batch(&t, open_batch(&t, &batch));
    EXPECT_EQ(test_store_int(t.store, "SELECT payload = '{\"batch\":1,\"name\":\"na\\\"me\","
                                      "\"total\":0,\"failed\":0,\"cancelled\":0,\"payload\":[1]}' "
                                      "AND queue = 'default' FROM job"),
              1);
    test_store_end(&t);
}

TEST(queue_batch_refuses_what_could_not_follow)
{
    struct test_store t;
    static char large[QUEUE_BATCH_MAX_PAYLOAD_BYTES + 1];
    memset(large, '1', sizeof(large));
    const struct {
        struct queue_new then;
        struct str name;
        enum err want;
    } rows[] = {
        {{.kind = {"a b", 3}}, {0}, ERR_INVALID},
        {{.kind = {"a", 1}, .payload = {"{", 1}}, {0}, ERR_INVALID},
        {{.kind = {"\xff", 1}}, {0}, ERR_INVALID},
        {{.kind = {"a", 1}, .payload = {large, sizeof(large)}}, {0}, ERR_TOO_LARGE},
        {{.kind = {"a", 1}}, {large, 101}, ERR_TOO_LARGE},
        {{.kind = {"a", 1}}, {"\xff", 1}, ERR_INVALID},
    };
    test_queue_begin(&t);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct queue_batch_new batch = {.name = rows[i].name, .then = &rows[i].then};
        struct call c = {.batch = &batch};
        ck_assert_msg(store_write_wait(t.store, open_fn, &c) == rows[i].want, "row %zu", i);
    }
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_batch"), 0);
    test_store_end(&t);
}

TEST(queue_batch_does_not_count_a_job_whose_key_is_taken)
{
    struct test_store t;
    const struct queue_new twins[] = {{.kind = {"a", 1}, .unique_key = {"k", 1}},
                                      {.kind = {"a", 1}, .unique_key = {"k", 1}}};
    int64_t ids[2];
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &whole);
    EXPECT_EQ(add_jobs(&t, batch, twins, 2, ids), OK);
    EXPECT_EQ(ids[0], ids[1]);
    EXPECT_EQ(batch_of(&t, batch).total, 1);
    test_store_end(&t);
}

TEST(queue_batch_that_is_cancelled_tells_its_end_alone)
{
    struct test_store t;
    int64_t ids[3];
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &whole);
    EXPECT_EQ(add_jobs(&t, batch, three, 3, ids), OK);
    end_job(&t, ids[0], SUCCEED);
    EXPECT_EQ(store_write_wait(t.store, cancel_fn, &(struct call){.batch_id = batch}), OK);
    EXPECT_EQ(store_write_wait(t.store, cancel_fn, &(struct call){.batch_id = batch}), OK);
    struct queue_batch b = batch_of(&t, batch);
    EXPECT(b.is_cancelled && b.is_finished);
    EXPECT_EQ(b.done, 1);
    EXPECT_EQ(b.cancelled, 2);
    expect_told(&t, 0, 0, 1);
    EXPECT_EQ(state_of(&t, ids[1]), GONE);
    EXPECT_EQ(state_of(&t, ids[2]), QUEUE_CANCELLED);
    EXPECT_EQ(add_jobs(&t, batch, three, 1, NULL), ERR_CONFLICT);
    test_store_end(&t);
}

struct running {
    struct queue_job job;
    enum fate fate;
};

static enum err claim_fn(struct store_tx *tx, void *arg)
{
    size_t count = 0;
    int64_t next;
    return queue_claim(tx, &alone, &((struct running *)arg)->job, 1, &count, &next);
}

static enum err end_running_fn(struct store_tx *tx, void *arg)
{
    struct running *r = arg;
    return end_one(tx, &r->job, r->fate);
}

TEST(queue_batch_waits_for_what_runs_when_it_is_cancelled_and_tries_it_no_more)
{
    struct test_store t;
    static const enum fate fates[] = {SUCCEED, TRY_AGAIN, LEAVE};
    for (size_t i = 0; i < 3; i++) {
        struct running r = {.fate = fates[i]};
        test_queue_begin(&t);
        int64_t batch = open_batch(&t, &whole);
        EXPECT_EQ(add_jobs(&t, batch, three, 1, NULL), OK);
        EXPECT_EQ(store_write_wait(t.store, claim_fn, &r), OK);
        EXPECT_EQ(store_write_wait(t.store, cancel_fn, &(struct call){.batch_id = batch}), OK);
        EXPECT(!batch_of(&t, batch).is_finished);
        EXPECT_EQ(store_write_wait(t.store, end_running_fn, &r), OK);
        EXPECT(batch_of(&t, batch).is_finished);
        EXPECT_EQ(batch_of(&t, batch).done, fates[i] == SUCCEED);
        expect_told(&t, 0, 0, 1);
        arena_done(&r.job.arena);
        test_store_end(&t);
    }
}

static void wake_queue(void *ctx)
{
    queue_wake(ctx);
}

/* Runs until it may end; finally tells how many ran when it came. */
struct slow {
    _Atomic int begun, ended, seen;
    _Atomic bool may_end;
};

static enum err run_slow(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct slow *slow = ctx;
    (void)job, (void)why_out;
    slow->begun++;
    while (!slow->may_end)
        usleep(1000);
    slow->ended++;
    return OK;
}

static enum err run_finally(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct slow *slow = ctx;
    (void)job, (void)why_out;
    slow->seen = slow->begun * 100 + slow->ended;
    return OK;
}

static enum err commit_slow(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    return test_queue_add_effect(tx, job->id);
}

static void check_cancel_beside_workers(bool is_alone)
{
    struct test_store t;
    struct slow slow = {0};
    const struct queue_handler handlers[] = {
        {.kind = "slow", .run = run_slow, .commit = commit_slow, .ctx = &slow},
        {.kind = "finally", .run = run_finally, .ctx = &slow}};
    const struct queue_new finally = {.kind = {"finally", 7}}, jobs[] = {{.kind = {"slow", 4}},
                                                                         {.kind = {"slow", 4}},
                                                                         {.kind = {"slow", 4}}};
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &(struct queue_batch_new){.finally = &finally});
    EXPECT_EQ(add_jobs(&t, batch, jobs, 3, NULL), OK);
    const struct queue_options options = {.workers = 1, .is_alone = is_alone};
    struct queue *q = queue_new(t.store, &options, handlers, 2);
    store_on_commit(t.store, wake_queue, q);
    EXPECT_EQ(queue_start(q), OK);
    while (slow.begun == 0)
        usleep(1000);
    EXPECT_EQ(store_write_wait(t.store, cancel_fn, &(struct call){.batch_id = batch}), OK);
    EXPECT(!batch_of(&t, batch).is_finished); // one runs
    slow.may_end = true;
    while (slow.seen == 0)
        usleep(1000);
    EXPECT_EQ(slow.seen, 101); // the others were not begun
    struct queue_batch b = batch_of(&t, batch);
    EXPECT_EQ(b.done, 1);
    EXPECT_EQ(b.cancelled, 2);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM effect"), 1);
    EXPECT(queue_stop(q, 10000));
    store_on_commit(t.store, NULL, NULL);
    queue_free(q);
    test_store_end(&t);
}

TEST(queue_batch_is_over_after_what_ran_when_it_was_cancelled)
{
    check_cancel_beside_workers(false);
    check_cancel_beside_workers(true);
}

TEST(queue_batch_of_thousands_is_cancelled_in_slices_by_a_job)
{
    struct test_store t;
    enum { MANY = 2500 };
    static struct queue_new jobs[MANY];
    for (int i = 0; i < MANY; i++)
        jobs[i] =
            (struct queue_new){.kind = {"a", 1}, .queue = {"many", 4}, .delay_ms = 3600 * 1000};
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &whole);
    EXPECT_EQ(add_jobs(&t, batch, jobs, MANY, NULL), OK);
    EXPECT_EQ(store_write_wait(t.store, cancel_fn, &(struct call){.batch_id = batch}), OK);
    EXPECT_EQ(batch_of(&t, batch).cancelled, 1000);
    // The handler is the queue's own, also where other kinds are left to other processes.
    const struct queue_options options = {.name = "many", .workers = 1, .leaves_unknown = true};
    struct queue *q = queue_new(t.store, &options, NULL, 0);
    store_on_commit(t.store, wake_queue, q);
    EXPECT_EQ(queue_start(q), OK);
    while (!batch_of(&t, batch).is_finished)
        usleep(1000);
    EXPECT(queue_stop(q, 10000));
    store_on_commit(t.store, NULL, NULL);
    queue_free(q);
    EXPECT_EQ(batch_of(&t, batch).cancelled, MANY);
    expect_told(&t, 0, 0, 1);
    test_store_end(&t);
}

static enum err prune_fn(struct store_tx *tx, void *arg)
{
    return queue_batch_prune(tx, store_now_ms(tx) + 1, 1, arg);
}

TEST(queue_batch_is_forgotten_some_time_after_its_end)
{
    struct test_store t;
    int64_t count = 0;
    test_queue_begin(&t);
    close_batch(&t, open_batch(&t, &whole));
    close_batch(&t, open_batch(&t, &whole));
    open_batch(&t, &whole);
    EXPECT_EQ(store_write_wait(t.store, prune_fn, &count), OK);
    EXPECT_EQ(count, 1);
    EXPECT_EQ(store_write_wait(t.store, prune_fn, &count), OK);
    EXPECT_EQ(store_write_wait(t.store, prune_fn, &count), OK);
    EXPECT_EQ(count, 0);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_batch"), 1);
    test_store_end(&t);
}

/* ---- a batch grows from inside, by real workers ---- */

static int64_t growing_batch;

static enum err commit_seed(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    const struct queue_new leaves[] = {{.kind = {"leaf", 4}}, {.kind = {"leaf", 4}}};
    (void)ctx;
    enum err err = test_queue_add_effect(tx, job->id);
    return err ? err : queue_batch_add(tx, growing_batch, leaves, 2, NULL);
}

static enum err commit_leaf(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    return test_queue_add_effect(tx, job->id);
}

TEST(queue_batch_grows_from_the_commit_of_its_last_job)
{
    struct test_store t;
    static const struct queue_handler handlers[] = {{.kind = "seed", .commit = commit_seed},
                                                    {.kind = "leaf", .commit = commit_leaf},
                                                    {.kind = "then", .commit = commit_leaf}};
    const struct queue_new seed = {.kind = {"seed", 4}};
    const struct queue_batch_new batch = {.then = &on_then};
    for (int is_alone = 0; is_alone < 2; is_alone++) {
        test_queue_begin(&t);
        growing_batch = open_batch(&t, &batch);
        EXPECT_EQ(add_jobs(&t, growing_batch, &seed, 1, NULL), OK);
        close_batch(&t, growing_batch);
        const struct queue_options options = {.workers = 2, .is_alone = is_alone == 1};
        struct queue *q = queue_new(t.store, &options, handlers, 3);
        EXPECT_EQ(queue_start(q), OK);
        while (test_store_int(t.store, "SELECT count(*) FROM effect") < 4) {
            queue_wake(q);
            usleep(1000);
        }
        EXPECT(queue_stop(q, 10000));
        queue_free(q);
        struct queue_batch b = batch_of(&t, growing_batch);
        EXPECT_EQ(b.done, 3);
        EXPECT(b.is_finished);
        EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job"), 0);
        EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_option"), 0);
        test_store_end(&t);
    }
}

/* ---- graphs ---- */

TEST(queue_graph_runs_a_chain_in_order_and_breaks_it_at_a_failure)
{
    struct test_store t;
    struct call c = {.batch = &whole, .jobs = three, .count = 3};
    test_queue_begin(&t);
    EXPECT_EQ(store_write_wait(t.store, chain_fn, &c), OK);
    EXPECT_EQ(state_of(&t, 1), QUEUE_READY);
    EXPECT_EQ(state_of(&t, 2), QUEUE_WAITING);
    EXPECT_EQ(state_of(&t, 3), QUEUE_WAITING);
    end_job(&t, 1, TRY_AGAIN);
    EXPECT_EQ(state_of(&t, 2), QUEUE_WAITING);
    end_job(&t, 1, SUCCEED);
    EXPECT_EQ(state_of(&t, 2), QUEUE_READY);
    EXPECT_EQ(state_of(&t, 3), QUEUE_WAITING);
    end_job(&t, 2, DIE);
    EXPECT_EQ(state_of(&t, 3), QUEUE_CANCELLED);
    expect_told(&t, 0, 1, 1);
    EXPECT_EQ(batch_of(&t, c.batch_id).cancelled, 1);

    EXPECT_EQ(store_write_wait(t.store, revive_fn, &(struct call){.job_id = 2}), OK);
    EXPECT_EQ(state_of(&t, 3), QUEUE_WAITING);
    end_job(&t, 2, SUCCEED);
    end_job(&t, 3, SUCCEED);
    expect_told(&t, 1, 1, 1);
    test_store_end(&t);
}

static enum err retry_fn(struct store_tx *tx, void *arg)
{
    static const struct queue_held nothing;
    struct queue_admin_act act = {
        .id = ((struct call *)arg)->job_id, .epoch = -1, .held = &nothing};
    return queue_admin_act_retry(tx, &act);
}

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    struct call *c = arg;
    return queue_enqueue(tx, c->jobs, &c->job_id);
}

TEST(queue_graph_takes_back_what_nothing_else_holds)
{
    struct test_store t;
    const struct queue_edge both[] = {{.node = 0}, {.node = 1}};
    const struct queue_node nodes[] = {
        {.job = {.kind = {"a", 1}}}, {.job = {.kind = {"b", 1}}}, {{.kind = {"c", 1}}, both, 2}};
    int64_t ids[3];
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &whole);
    EXPECT_EQ(add_graph(&t, batch, nodes, 3, ids), OK);
    close_batch(&t, batch);
    end_job(&t, ids[0], DIE);
    end_job(&t, ids[1], DIE);
    EXPECT_EQ(store_write_wait(t.store, retry_fn, &(struct call){.job_id = ids[0]}), OK);
    EXPECT_EQ(state_of(&t, ids[2]), QUEUE_CANCELLED); // the other edge is broken
    end_job(&t, ids[0], SUCCEED);
    EXPECT(batch_of(&t, batch).is_finished);
    EXPECT_EQ(store_write_wait(t.store, retry_fn, &(struct call){.job_id = ids[1]}), OK);
    EXPECT_EQ(state_of(&t, ids[2]), QUEUE_WAITING);
    end_job(&t, ids[1], SUCCEED);
    end_job(&t, ids[2], SUCCEED);
    EXPECT_EQ(batch_of(&t, batch).done, 3);
    expect_told(&t, 1, 1, 1);
    test_store_end(&t);
}

TEST(queue_graph_takes_back_no_second_job_of_a_unique_key)
{
    struct test_store t;
    const struct queue_new jobs[] = {{.kind = {"a", 1}},
                                     {.kind = {"b", 1}, .unique_key = {"k", 1}}};
    for (int is_taken = 0; is_taken < 2; is_taken++) {
        struct call chain = {.batch = &whole, .jobs = jobs, .count = 2}, other = {.jobs = &jobs[1]};
        test_queue_begin(&t);
        EXPECT_EQ(store_write_wait(t.store, chain_fn, &chain), OK);
        end_job(&t, 1, DIE); // the key of 2 is free
        if (is_taken)
            EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &other), OK);
        EXPECT_EQ(store_write_wait(t.store, retry_fn, &(struct call){.job_id = 1}), OK);
        EXPECT_EQ(state_of(&t, 2), is_taken ? QUEUE_CANCELLED : QUEUE_WAITING);
        if (!is_taken)
            EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &other), OK);
        EXPECT_EQ(other.job_id == 2, !is_taken);
        test_store_end(&t);
    }
}

static enum err end_some_fn(struct store_tx *tx, void *arg)
{
    struct queue_job jobs[MAX_NODES];
    size_t count = 0;
    int64_t next;
    (void)arg;
    enum err err = queue_claim(tx, &alone, jobs, MAX_NODES, &count, &next);
    for (size_t i = 0; i < count; i++) {
        err = err ? err : queue_ack(tx, &jobs[i]);
        arena_done(&jobs[i].arena);
    }
    return err;
}

/* Processor time of some ends of jobs that one job needs, with so many others. */
static int64_t cost_of_ends(size_t needs_count)
{
    enum { ROUNDS = 10 };
    struct test_store t;
    struct queue_node *nodes = calloc(needs_count + 1, sizeof(*nodes));
    struct queue_edge *edges = calloc(needs_count, sizeof(*edges));
    EXPECT(nodes != NULL && edges != NULL);
    for (size_t i = 0; i < needs_count; i++) {
        edges[i].node = i;
        nodes[i].job.kind = STR("a");
    }
    nodes[needs_count] = (struct queue_node){{.kind = {"b", 1}}, edges, needs_count};
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &whole);
    EXPECT_EQ(add_graph(&t, batch, nodes, needs_count + 1, NULL), OK);
    clock_t began = clock();
    for (int i = 0; i < ROUNDS; i++)
        EXPECT_EQ(store_write_wait(t.store, end_some_fn, NULL), OK);
    int64_t cost = (int64_t)(clock() - began);
    EXPECT_EQ(batch_of(&t, batch).done, ROUNDS * MAX_NODES);
    free(nodes);
    free(edges);
    test_store_end(&t);
    return cost;
}

TEST(queue_graph_pays_for_an_end_alone_however_many_more_are_needed)
{
    int64_t few = cost_of_ends(400), many = cost_of_ends(QUEUE_GRAPH_MAX_EDGES - 1);
    ck_assert_msg(many < 3 * few, "an end costs %lld of many, %lld of few", (long long)many,
                  (long long)few);
}

TEST(queue_graph_keeps_the_time_that_a_waiting_job_was_enqueued_for)
{
    struct test_store t;
    clock_test_stop();
    const struct queue_new jobs[] = {{.kind = {"a", 1}}, {.kind = {"b", 1}, .delay_ms = 60000}};
    struct call c = {.batch = &whole, .jobs = jobs, .count = 2};
    test_queue_begin(&t);
    EXPECT_EQ(store_write_wait(t.store, chain_fn, &c), OK);
    end_job(&t, 1, SUCCEED);
    EXPECT_EQ(state_of(&t, 2), QUEUE_SCHEDULED);
    clock_test_advance(60000);
    end_job(&t, 2, SUCCEED);
    expect_told(&t, 1, 0, 1);
    test_store_end(&t);
}

TEST(queue_graph_refuses_what_is_none)
{
    struct test_store t;
    struct queue_node nodes[3] = {
        {.job = {.kind = {"a", 1}}}, {.job = {.kind = {"b", 1}}}, {.job = {.kind = {"c", 1}}}};
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &whole), other = open_batch(&t, &whole), ids[3];
    EXPECT_EQ(add_graph(&t, other, nodes, 1, ids), OK);
    const struct {
        struct queue_edge edges[3][2];
        size_t counts[3];
        enum err want;
        const char *why;
    } rows[] = {
        {{{{.node = 0}}}, {1}, ERR_INVALID, "itself"},
        {{{{.node = 3}}}, {1}, ERR_INVALID, "one that there is not"},
        {{{{.node = 1}}, {{.node = 0}}}, {1, 1}, ERR_INVALID, "a circle of two"},
        {{{{.node = 2}}, {{.node = 0}}, {{.node = 1}}}, {1, 1, 1}, ERR_INVALID, "of three"},
        {{{{.node = 1}, {.node = 1}}}, {2}, ERR_INVALID, "twice"},
        {{{{.node = 1, .when = 3}}}, {1}, ERR_INVALID, "a condition that there is not"},
        {{{{.job_id = 99}}}, {1}, ERR_NOT_FOUND, "a job that there is not"},
        {{{{.job_id = ids[0]}}}, {1}, ERR_NOT_FOUND, "a job of another batch"},
        {{{{.node = 2}}, {{.node = 2}}}, {1, 1}, OK, "none of these"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t j = 0; j < 3; j++) {
            nodes[j].needs = rows[i].edges[j];
            nodes[j].needs_count = rows[i].counts[j];
        }
        ck_assert_msg(add_graph(&t, batch, nodes, 3, NULL) == rows[i].want, "%s", rows[i].why);
        EXPECT_EQ(batch_of(&t, batch).total, rows[i].want ? 0 : 3);
    }
    const struct queue_node keyed = {.job = {.kind = {"k", 1}, .unique_key = {"k", 1}}};
    EXPECT_EQ(add_graph(&t, batch, &keyed, 1, NULL), OK);
    EXPECT_EQ(add_graph(&t, batch, &keyed, 1, NULL), ERR_CONFLICT);
    test_store_end(&t);
}

TEST(queue_graph_is_bounded)
{
    struct test_store t;
    static struct queue_node nodes[QUEUE_GRAPH_MAX_NODES + 1];
    static struct queue_edge edges[QUEUE_GRAPH_MAX_NODES + 1];
    for (size_t i = 0; i <= QUEUE_GRAPH_MAX_NODES; i++) {
        edges[i] = (struct queue_edge){.node = i + 1};
        nodes[i] = (struct queue_node){{.kind = {"a", 1}}, &edges[i], 1};
    }
    test_queue_begin(&t);
    int64_t batch = open_batch(&t, &whole);
    EXPECT_EQ(add_graph(&t, batch, nodes, QUEUE_GRAPH_MAX_NODES + 1, NULL), ERR_TOO_LARGE);
    // Each needs the next: the deepest walk and the longest cascade that there can be.
    nodes[QUEUE_GRAPH_MAX_NODES - 1].needs_count = 0;
    int64_t *ids = calloc(QUEUE_GRAPH_MAX_NODES, sizeof(int64_t));
    EXPECT_EQ(add_graph(&t, batch, nodes, QUEUE_GRAPH_MAX_NODES, ids), OK);
    nodes[1].needs_count = nodes[2].needs_count = 0;
    nodes[0].needs_count = 2;
    nodes[0].needs = (struct queue_edge[]){{.node = 1}, {.node = 2}};
    EXPECT_EQ(add_graph(&t, batch, nodes, 3, NULL), ERR_TOO_LARGE);
    close_batch(&t, batch);
    end_job(&t, ids[QUEUE_GRAPH_MAX_NODES - 1], DIE);
    EXPECT_EQ(batch_of(&t, batch).cancelled, QUEUE_GRAPH_MAX_NODES - 1);
    expect_told(&t, 0, 1, 1);
    free(ids);
    test_store_end(&t);
}

/* ---- against an oracle ---- */

struct model_node {
    int64_t id;
    int state;
    bool is_unwanted; // an operator has cancelled it
    int needs[MAX_EDGES];
    enum queue_when when[MAX_EDGES];
    int edges[MAX_EDGES]; // as edge_of
    int needs_count;
};

struct act {
    queue_admin_act_fn *fn;
    struct queue_admin_act act;
};

struct model {
    struct model_node nodes[MAX_NODES];
    int count;
    bool is_closed, is_cancelled, allows_failures;
    bool then, catch, finally;
};

static unsigned seed;

static int pick(int count)
{
    return rand_r(&seed) % count;
}

/* 1: met, 0: open, -1: broken. By the words of queue_graph.h. */
static int edge_of(int state, enum queue_when when)
{
    if (state != QUEUE_DONE_STATE && state != QUEUE_DEAD && state != QUEUE_CANCELLED)
        return 0;
    if (when == QUEUE_ON_FINISH)
        return 1;
    return state == (when == QUEUE_ON_SUCCESS ? QUEUE_DONE_STATE : QUEUE_DEAD) ? 1 : -1;
}

static int count_state(const struct model *m, int state)
{
    int count = 0;
    for (int i = 0; i < m->count; i++)
        count += m->nodes[i].state == state;
    return count;
}

static bool has_ended(int state)
{
    return state == QUEUE_DONE_STATE || state == QUEUE_DEAD || state == QUEUE_CANCELLED;
}

static int worst_edge(const struct model_node *node)
{
    int worst = 1;
    for (int j = 0; j < node->needs_count; j++)
        worst = node->edges[j] < worst ? node->edges[j] : worst;
    return worst;
}

static bool is_over(const struct model *m)
{
    int ended = count_state(m, QUEUE_DONE_STATE) + count_state(m, QUEUE_DEAD) +
                count_state(m, QUEUE_CANCELLED);
    return m->is_closed && ended == m->count;
}

/* Until nothing moves. An edge that was met stays met. */
static void model_settle(struct model *m)
{
    bool has_moved;
    do {
        has_moved = false;
        for (int i = 0; i < m->count; i++) {
            struct model_node *node = &m->nodes[i];
            for (int j = 0; j < node->needs_count; j++)
                if (node->edges[j] == 0)
                    node->edges[j] = edge_of(m->nodes[node->needs[j]].state, node->when[j]);
            int worst = worst_edge(node);
            if (node->state != QUEUE_WAITING || worst == 0)
                continue;
            node->state = worst > 0 ? QUEUE_READY : QUEUE_CANCELLED;
            has_moved = true;
        }
    } while (has_moved);
    bool has_failed = count_state(m, QUEUE_DEAD) > 0;
    m->catch |= has_failed && !m->is_cancelled;
    m->finally |= is_over(m);
    m->then |= is_over(m) && !m->is_cancelled && (!has_failed || m->allows_failures);
}

static void expect_same(struct test_store *t, const struct model *m, int64_t batch_id, int step)
{
    for (int i = 0; i < m->count; i++)
        ck_assert_msg(state_of(t, m->nodes[i].id) == m->nodes[i].state,
                      "seed %u step %d: node %d is %d, not %d", seed, step, i,
                      state_of(t, m->nodes[i].id), m->nodes[i].state);
    struct queue_batch b = batch_of(t, batch_id);
    EXPECT_EQ(b.total, m->count);
    EXPECT_EQ(b.done, count_state(m, QUEUE_DONE_STATE));
    EXPECT_EQ(b.failed, count_state(m, QUEUE_DEAD));
    EXPECT_EQ(b.cancelled, count_state(m, QUEUE_CANCELLED));
    expect_told(t, m->then, m->catch, m->finally);
}

/* Some nodes more, which need each other in any order of the array, and earlier ones. */
static void add_random(struct test_store *t, struct model *m, int64_t batch_id)
{
    struct queue_node nodes[8] = {{.needs = NULL}};
    struct queue_edge edges[8][MAX_EDGES];
    int64_t ids[8];
    int count = 1 + pick(8), place[8], first = m->count;
    if (first + count > MAX_NODES)
        return;
    for (int i = 0; i < count; i++)
        place[i] = i;
    for (int i = count - 1; i > 0; i--) { // the order of the array says nothing
        int j = pick(i + 1), swap = place[i];
        place[i] = place[j];
        place[j] = swap;
    }
    for (int i = 0; i < count; i++) {
        struct model_node *node = &m->nodes[first + i];
        *node = (struct model_node){.state = QUEUE_WAITING};
        int wanted = pick(MAX_EDGES), at = place[i];
        for (int j = 0; j < wanted && first + i > 0; j++) {
            int other = pick(first + i);
            bool has = false;
            for (int k = 0; k < node->needs_count; k++)
                has |= node->needs[k] == other;
            if (has)
                continue;
            node->when[node->needs_count] = (enum queue_when)pick(3);
            edges[at][node->needs_count] = (struct queue_edge){
                .node = other >= first ? (size_t)place[other - first] : 0,
                .job_id = other < first ? m->nodes[other].id : 0,
                .when = node->when[node->needs_count],
            };
            node->needs[node->needs_count++] = other;
        }
        nodes[at] = (struct queue_node){{.kind = {"n", 1}}, edges[at], (size_t)node->needs_count};
    }
    bool is_taken = !m->is_cancelled && !is_over(m);
    enum err err = add_graph(t, batch_id, nodes, (size_t)count, ids);
    EXPECT_EQ(err, is_taken ? OK : ERR_CONFLICT);
    if (err)
        return;
    for (int i = 0; i < count; i++)
        m->nodes[first + i].id = ids[place[i]];
    m->count += count;
}

static int pick_state(const struct model *m, int state)
{
    int nth = count_state(m, state);
    if (nth == 0)
        return -1;
    nth = pick(nth);
    for (int i = 0;; i++)
        if (m->nodes[i].state == state && nth-- == 0)
            return i;
}

static void end_random(struct test_store *t, struct model *m)
{
    int at = pick_state(m, QUEUE_READY);
    enum fate fate = pick(5) > 0 ? SUCCEED : pick(2) ? DIE : TRY_AGAIN;
    if (at < 0)
        return;
    end_job(t, m->nodes[at].id, fate);
    if (fate == TRY_AGAIN)
        m->nodes[at].state = m->is_cancelled ? QUEUE_CANCELLED : QUEUE_READY;
    else
        m->nodes[at].state = fate == SUCCEED ? QUEUE_DONE_STATE : QUEUE_DEAD;
}

static void cancel_random(struct test_store *t, struct model *m, int64_t batch_id)
{
    bool is_late = is_over(m) && !m->is_cancelled;
    EXPECT_EQ(store_write_wait(t->store, cancel_fn, &(struct call){.batch_id = batch_id}),
              is_late ? ERR_CONFLICT : OK);
    if (is_late)
        return;
    m->is_cancelled = m->is_closed = true;
    for (int i = 0; i < m->count; i++)
        if (m->nodes[i].state == QUEUE_READY || m->nodes[i].state == QUEUE_WAITING)
            m->nodes[i].state = QUEUE_CANCELLED;
}

/* What the end of this one had broken is open again, and goes back with it when nothing else holds
 * it. */
static void model_revive(struct model *m, int at)
{
    m->nodes[at].state = QUEUE_WAITING;
    for (int i = 0; i < m->count; i++) {
        struct model_node *node = &m->nodes[i];
        bool was_broken = false;
        for (int j = 0; j < node->needs_count; j++) {
            if (node->needs[j] != at || node->edges[j] >= 0)
                continue;
            node->edges[j] = 0;
            was_broken = true;
        }
        if (was_broken && node->state == QUEUE_CANCELLED && !node->is_unwanted &&
            worst_edge(node) == 0)
            model_revive(m, i);
    }
}

static enum err act_fn(struct store_tx *tx, void *arg)
{
    static const struct queue_held nothing;
    struct act *act = arg;
    act->act.held = &nothing;
    return act->fn(tx, &act->act);
}

/* By an operator: what is over goes back. */
static void retry_random(struct test_store *t, struct model *m)
{
    if (m->count == 0)
        return;
    int at = pick(m->count);
    struct model_node *node = &m->nodes[at];
    struct act act = {queue_admin_act_retry, {.id = node->id, .epoch = -1}};
    bool may = has_ended(node->state) && worst_edge(node) >= 0 && !m->is_cancelled;
    EXPECT_EQ(store_write_wait(t->store, act_fn, &act), may ? OK : ERR_CONFLICT);
    if (!may)
        return;
    node->is_unwanted = false;
    model_revive(m, at);
}

static void unwant_random(struct test_store *t, struct model *m)
{
    if (m->count == 0)
        return;
    struct model_node *node = &m->nodes[pick(m->count)];
    struct act act = {queue_admin_act_cancel, {.id = node->id, .epoch = -1}};
    bool may = !has_ended(node->state);
    EXPECT_EQ(store_write_wait(t->store, act_fn, &act), may ? OK : ERR_CONFLICT);
    if (!may)
        return;
    node->state = QUEUE_CANCELLED;
    node->is_unwanted = true;
}

static void play(unsigned number)
{
    struct test_store t;
    struct model m = {.allows_failures = number % 3 == 0};
    struct queue_batch_new batch = whole;
    seed = number;
    batch.allows_failures = m.allows_failures;
    test_queue_begin(&t);
    int64_t batch_id = open_batch(&t, &batch);
    for (int step = 0; step < 60; step++) {
        int what = pick(20);
        if (what < 3) {
            add_random(&t, &m, batch_id);
        } else if (what == 3 && step > 20) {
            close_batch(&t, batch_id);
            m.is_closed = true;
        } else if (what == 4 && pick(6) == 0) {
            cancel_random(&t, &m, batch_id);
        } else if (what == 5 || what == 6) {
            retry_random(&t, &m);
        } else if (what == 7 && pick(2)) {
            unwant_random(&t, &m);
        } else {
            end_random(&t, &m);
        }
        model_settle(&m);
        expect_same(&t, &m, batch_id, step);
    }
    test_store_end(&t);
}

TEST(queue_graph_does_as_the_oracle_says)
{
    for (unsigned number = 1; number <= 10; number++)
        play(number);
}
