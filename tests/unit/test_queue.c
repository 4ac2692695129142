#include "queue/queue.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/clock.h"
#include "queue/queue_report.h"
#include "test_queue.h"

/* ---- the pieces, without workers ---- */

struct pieces {
    struct queue_new job; // to enqueue
    int64_t id;           // enqueued
    int64_t lease_ms;     // to claim
    const char *queue;    // to claim of
    const char *kinds;    // to claim
    struct queue_job jobs[8];
    size_t cap, count;
    int64_t next_ms;
    struct str why; // to fail
    int64_t delay_ms;
    bool is_dead;
    enum err verdict;
};

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    struct pieces *p = arg;
    enum err err = queue_enqueue(tx, &p->job, &p->id);
    return err ? err : p->verdict;
}

static enum err claim_fn(struct store_tx *tx, void *arg)
{
    struct pieces *p = arg;
    p->count = 0;
    const struct queue_options options = {
        .name = p->queue, .lease_ms = p->lease_ms, .kinds = p->kinds};
    return queue_claim(tx, &options, p->jobs, p->cap ? p->cap : 8, &p->count, &p->next_ms);
}

static enum err ack_fn(struct store_tx *tx, void *arg)
{
    enum err err = test_queue_add_effect(tx, ((struct queue_job *)arg)->id);
    return err ? err : queue_ack(tx, arg);
}

static enum err fail_fn(struct store_tx *tx, void *arg)
{
    struct pieces *p = arg;
    return queue_fail(tx, &p->jobs[0], p->why, p->delay_ms, p->is_dead);
}

static enum err release_fn(struct store_tx *tx, void *arg)
{
    const struct queue_job *job = arg;
    return queue_release(tx, job, job->run_at_ms);
}

static enum err renew_fn(struct store_tx *tx, void *arg)
{
    struct pieces *p = arg;
    return queue_renew(tx, &p->jobs[0], p->lease_ms);
}

static void free_jobs(struct pieces *p)
{
    for (size_t i = 0; i < p->count; i++)
        arena_done(&p->jobs[i].arena);
    p->count = 0;
}

static enum err enqueue(struct store *s, struct pieces *p, const char *kind, const char *key,
                        int64_t run_at_ms)
{
    *p = (struct pieces){
        .job = {.kind = str_of(kind),
                .payload = STR("{}"),
                .unique_key = str_of(key),
                .run_at_ms = run_at_ms},
        .lease_ms = 1000,
    };
    return store_write_wait(s, enqueue_fn, p);
}

TEST(queue_forgets_a_job_whose_transaction_rolled_back)
{
    struct test_store t;
    struct pieces p = {.job = {.kind = STR("a")}, .verdict = ERR_DENIED};
    test_queue_begin_still(&t);
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &p), ERR_DENIED);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), ERR_NOT_FOUND);
    EXPECT_EQ(p.next_ms, 0);
    test_store_end(&t);
}

TEST(queue_refuses_jobs_without_kind_or_with_too_much_payload)
{
    static char big[QUEUE_MAX_PAYLOAD_BYTES + 1];
    struct test_store t;
    struct pieces p = {.job = {.kind = STR("")}};
    test_queue_begin_still(&t);
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &p), ERR_INVALID);
    memset(big, '1', sizeof(big));
    p.job = (struct queue_new){.kind = STR("a"), .payload = {big, sizeof(big)}};
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &p), ERR_TOO_LARGE);
    p.job.payload.len--;
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &p), OK);
    test_store_end(&t);
}

TEST(queue_claims_by_time_then_id_with_all_that_was_enqueued)
{
    struct test_store t;
    struct pieces p;
    int64_t now = clock_unix_ms();
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &p, "third", "", now - 10), OK);
    EXPECT_EQ(enqueue(t.store, &p, "second", "", now - 20), OK);
    EXPECT_EQ(enqueue(t.store, &p, "fourth", "", now - 10), OK);
    EXPECT_EQ(enqueue(t.store, &p, "first", "", now - 30), OK);
    EXPECT_EQ(enqueue(t.store, &p, "future", "", now + 60000), OK);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    EXPECT_EQ(p.count, 4);
    EXPECT_STR(p.jobs[0].kind, "first");
    EXPECT_STR(p.jobs[1].kind, "second");
    EXPECT_STR(p.jobs[2].kind, "third");
    EXPECT_STR(p.jobs[3].kind, "fourth");
    EXPECT_STR(p.jobs[0].payload, "{}");
    EXPECT_EQ(p.jobs[0].epoch, 1);
    EXPECT_EQ(p.jobs[0].attempt, 0);
    EXPECT_EQ(p.jobs[0].run_at_ms, now - 30);
    free_jobs(&p);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), ERR_NOT_FOUND);
    test_store_end(&t);
}

TEST(queue_tells_when_the_next_job_is_due)
{
    struct test_store t;
    struct pieces p;
    test_queue_begin_still(&t);
    int64_t due = clock_unix_ms() + 5000;
    EXPECT_EQ(enqueue(t.store, &p, "a", "", due), OK);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), ERR_NOT_FOUND);
    EXPECT_EQ(p.next_ms, due);
    clock_test_advance(6000);
    p.lease_ms = 700;
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    free_jobs(&p);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), ERR_NOT_FOUND);
    EXPECT_EQ(p.next_ms - clock_unix_ms(), 700); // the end of the lease
    test_store_end(&t);
}

TEST(queue_lets_only_the_latest_claimer_have_an_effect)
{
    struct test_store t;
    struct pieces first, second;
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &first, "a", "", 0), OK);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &first), OK);
    clock_test_advance(1001); // the first claimer sleeps over its lease
    second = (struct pieces){.lease_ms = 1000};
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &second), OK);
    EXPECT_EQ(second.jobs[0].id, first.jobs[0].id);
    EXPECT_EQ(second.jobs[0].epoch, first.jobs[0].epoch + 1);
    EXPECT_EQ(second.jobs[0].attempt, 0); // a crash is not a try

    EXPECT_EQ(store_write_wait(t.store, renew_fn, &first), ERR_CONFLICT);
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &first.jobs[0]), ERR_CONFLICT);
    EXPECT_EQ(store_write_wait(t.store, fail_fn, &first), ERR_CONFLICT);
    EXPECT_EQ(store_write_wait(t.store, release_fn, &first.jobs[0]), ERR_CONFLICT);
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &second.jobs[0]), OK);
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &second.jobs[0]), ERR_CONFLICT);
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &first.jobs[0]), ERR_CONFLICT);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM effect"), 1);
    free_jobs(&first);
    free_jobs(&second);
    test_store_end(&t);
}

TEST(queue_never_gives_an_id_twice)
{
    struct test_store t;
    struct pieces p;
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &p, "a", "", 0), OK);
    int64_t old = p.id;
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &p.jobs[0]), OK);
    free_jobs(&p);
    EXPECT_EQ(enqueue(t.store, &p, "a", "", 0), OK);
    EXPECT(p.id > old);
    test_store_end(&t);
}

TEST(queue_keeps_a_renewed_lease)
{
    struct test_store t;
    struct pieces p, other = {.lease_ms = 1000};
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &p, "a", "", 0), OK);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    for (int i = 0; i < 4; i++) {
        clock_test_advance(800);
        EXPECT_EQ(store_write_wait(t.store, renew_fn, &p), OK);
        EXPECT_EQ(store_write_wait(t.store, claim_fn, &other), ERR_NOT_FOUND);
    }
    EXPECT_EQ(store_write_wait(t.store, ack_fn, &p.jobs[0]), OK);
    free_jobs(&p);
    test_store_end(&t);
}

TEST(queue_skips_a_job_while_a_ready_one_has_its_key)
{
    struct test_store t;
    struct pieces p, running;
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &running, "a", "k", 0), OK);
    EXPECT(running.id > 0);
    EXPECT_EQ(enqueue(t.store, &p, "a", "k", 0), OK);
    EXPECT_EQ(p.id, running.id);
    EXPECT_EQ(enqueue(t.store, &p, "a", "other", 0), OK);
    EXPECT(p.id > running.id);
    running.cap = 1;
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &running), OK);
    EXPECT_EQ(enqueue(t.store, &p, "a", "k", 0), OK); // the running one may have read too early
    EXPECT(p.id > running.id);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE unique_key = 'k'"), 2);
    free_jobs(&running);
    test_store_end(&t);
}

/* A job of key k is running and another of that key is ready; the running one goes back as told. */
static void check_twin(store_fn *fn, bool use_job)
{
    struct test_store t;
    struct pieces p, running;
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &running, "a", "k", 0), OK);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &running), OK);
    EXPECT_EQ(enqueue(t.store, &p, "a", "k", 0), OK);
    EXPECT_EQ(store_write_wait(t.store, fn, use_job ? (void *)&running.jobs[0] : &running), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job"), 1);
    EXPECT_EQ(test_store_int(t.store, "SELECT id FROM job WHERE state = 0"), p.id);
    free_jobs(&running);
    test_store_end(&t);
}

TEST(queue_drops_a_failed_job_whose_work_another_will_do)
{
    check_twin(fail_fn, false);
}

TEST(queue_drops_a_released_job_whose_work_another_will_do)
{
    check_twin(release_fn, true);
}

static enum err recover_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    return queue_recover(tx, STR(""), INT64_MAX);
}

TEST(queue_drops_a_recovered_job_whose_work_another_will_do)
{
    check_twin(recover_fn, false);
}

TEST(queue_recovers_one_of_two_running_jobs_of_a_key)
{
    struct test_store t;
    struct pieces p, other;
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &p, "a", "k", 0), OK);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    EXPECT_EQ(enqueue(t.store, &other, "a", "k", 0), OK);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &other), OK);
    EXPECT_EQ(store_write_wait(t.store, recover_fn, NULL), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT id FROM job"), other.id);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job"), 1);
    free_jobs(&p);
    free_jobs(&other);
    test_store_end(&t);
}

TEST(queue_retries_later_and_keeps_the_error)
{
    struct test_store t;
    struct pieces p;
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &p, "a", "", 0), OK);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    p.why = STR("no route");
    p.delay_ms = 3000;
    EXPECT_EQ(store_write_wait(t.store, fail_fn, &p), OK);
    free_jobs(&p);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), ERR_NOT_FOUND);
    clock_test_advance(3001);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    EXPECT_EQ(p.jobs[0].attempt, 1);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE last_error = 'no route'"), 1);
    p.is_dead = true;
    EXPECT_EQ(store_write_wait(t.store, fail_fn, &p), OK);
    free_jobs(&p);
    clock_test_advance(1000000);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), ERR_NOT_FOUND);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state = 2"), 1);
    test_store_end(&t);
}

TEST(queue_cuts_a_long_error_between_characters)
{
    struct test_store t;
    struct pieces p;
    char why[1201];
    for (size_t i = 0; i + 2 < sizeof(why); i += 2)
        memcpy(why + i + 1, "\xD1\x97", 2);
    why[0] = 'x';
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &p, "a", "", 0), OK);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    p.why = (struct str){why, 1199};
    EXPECT_EQ(store_write_wait(t.store, fail_fn, &p), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT length(CAST(last_error AS BLOB)) FROM job"), 999);
    free_jobs(&p);
    test_store_end(&t);
}

TEST(queue_buries_a_job_under_which_the_process_dies_again_and_again)
{
    struct test_store t;
    struct pieces p;
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &p, "a", "", 0), OK);
    for (int i = 0; i < QUEUE_MAX_CRASHES; i++) {
        EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
        free_jobs(&p);
        EXPECT_EQ(store_write_wait(t.store, recover_fn, NULL), OK);
    }
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), ERR_NOT_FOUND);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state = 2 AND "
                                      "last_error = 'poison: the process died while it ran'"),
              1);
    test_store_end(&t);
}

static enum err report_fn(struct store_tx *tx, void *arg)
{
    struct pieces *p = arg;
    return queue_report(tx, &p->jobs[0], &(struct queue_report){.progress = STR("40 % drawing")});
}

TEST(queue_tells_how_far_a_job_was_when_its_process_died)
{
    struct test_store t;
    struct pieces p;
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &p, "a", "", 0), OK);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    EXPECT_EQ(store_write_wait(t.store, report_fn, &p), OK);
    free_jobs(&p);
    EXPECT_EQ(store_write_wait(t.store, recover_fn, NULL), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job_error WHERE class = 'crash' AND "
                                      "text = 'the process died while it ran, at 40 % drawing'"),
              1);
    test_store_end(&t);
}

TEST(queue_claims_only_the_jobs_of_its_name)
{
    struct test_store t;
    struct pieces p, slow;
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &slow, "b", "", 0), OK);
    slow.job.queue = STR("slow");
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &slow), OK);
    EXPECT_EQ(enqueue(t.store, &p, "a", "", 0), OK);

    slow.queue = "slow";
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &slow), OK);
    EXPECT_EQ(slow.count, 1);
    EXPECT_EQ(slow.jobs[0].id, slow.id);
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    EXPECT_EQ(p.count, 2); // the unnamed are of the default queue
    EXPECT_STR(p.jobs[0].kind, "b");
    free_jobs(&p);
    free_jobs(&slow);
    test_store_end(&t);
}

TEST(queue_claims_only_kinds_that_are_exactly_those_it_is_asked_for)
{
    const char *const others[] = {"a", "A_B", "axb", "%", "_", "a_b,c", "b", ""};
    struct test_store t;
    struct pieces p;
    test_queue_begin_still(&t);
    for (int i = 0; others[i][0]; i++)
        EXPECT_EQ(enqueue(t.store, &p, others[i], "", 0), OK);
    p.kinds = " a_b c,d ";
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), ERR_NOT_FOUND);
    EXPECT_EQ(enqueue(t.store, &p, "c,d", "", 0), OK);
    EXPECT_EQ(enqueue(t.store, &p, "a_b", "", 0), OK);
    p.kinds = " a_b c,d ";
    EXPECT_EQ(store_write_wait(t.store, claim_fn, &p), OK);
    EXPECT_EQ(p.count, 2);
    EXPECT_STR(p.jobs[0].kind, "c,d");
    EXPECT_STR(p.jobs[1].kind, "a_b");
    free_jobs(&p);
    test_store_end(&t);
}

static enum err recover_slow_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    return queue_recover(tx, STR("slow"), INT64_MAX);
}

TEST(queue_recovers_the_jobs_of_a_name_alone_when_asked)
{
    struct test_store t;
    struct pieces p;
    test_queue_begin_still(&t);
    EXPECT_EQ(enqueue(t.store, &p, "a", "", 0), OK);
    p.job.queue = STR("slow");
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &p), OK);
    EXPECT_EQ(test_store_run(t.store, "UPDATE job SET state = 1, at_ms = 9000000000000"), OK);
    EXPECT_EQ(store_write_wait(t.store, recover_slow_fn, NULL), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM job WHERE state = 1"), 1);
    EXPECT_EQ(test_store_int(t.store, "SELECT id FROM job WHERE state = 0"), p.id);
    test_store_end(&t);
}

/* The claimers of the running jobs of the default queue, as text. */
static enum err list_claimers_fn(struct store_tx *tx, void *arg)
{
    int64_t ids[QUEUE_CLAIMERS];
    size_t count = 0;
    char *at = arg;
    enum err err = queue_list_claimers(tx, STR("default"), 0, ids, &count);
    for (size_t i = 0; !err && i < count; i++)
        at += sprintf(at, "%lld ", (long long)ids[i]);
    return err;
}

static enum err recover_claims_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    return queue_recover_claims(tx, STR("default"), 5);
}

TEST(queue_recovers_the_claims_of_one_claimer)
{
    struct test_store t;
    struct pieces p;
    char claimers[100] = "";
    test_queue_begin_still(&t);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(enqueue(t.store, &p, "a", "", 0), OK);
    p.job.queue = STR("slow");
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &p), OK);
    EXPECT_EQ(test_store_run(t.store, "UPDATE job SET state = 1, epoch = 1, at_ms = 9000000000000, "
                                      "claimer = CASE WHEN id IN (1, 3, 5) THEN 5 ELSE 2 END"),
              OK);
    EXPECT_EQ(store_read(t.store, list_claimers_fn, claimers), OK);
    EXPECT_STR(str_of(claimers), "2 5 ");
    EXPECT_EQ(store_write_wait(t.store, recover_claims_fn, NULL), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT sum(id) FROM job WHERE state = 0 AND crash = 1"), 4);
    EXPECT_EQ(test_store_int(t.store, "SELECT sum(id) FROM job WHERE state = 1 AND crash = 0"), 11);
    test_store_end(&t);
}

TEST(queue_finds_its_jobs_by_index)
{
    struct test_store t;
    test_queue_begin_still(&t);
    EXPECT_EQ(test_store_run(t.store, "CREATE TABLE plan (detail TEXT)"), OK);
    static const char *const plans[] = {
        "EXPLAIN QUERY PLAN SELECT id FROM job WHERE state = 0 AND queue = $4 AND "
        "(rank, id) > ($1, $2) ORDER BY rank, id LIMIT $3",
        "EXPLAIN QUERY PLAN SELECT min(at_ms) FROM job WHERE state > 0 AND state = 1 AND queue = "
        "$1",
        "EXPLAIN QUERY PLAN SELECT id FROM job WHERE state > 0 AND state = 1 AND ($2 = '' OR queue "
        "= $2) AND "
        "at_ms <= $3 ORDER BY id DESC LIMIT 9",
        "EXPLAIN QUERY PLAN SELECT id FROM job WHERE state > 0 AND state = 3 AND queue = $2 AND "
        "at_ms <= $3 "
        "ORDER BY at_ms LIMIT 9",
        "EXPLAIN QUERY PLAN SELECT count(*) FROM job WHERE state > 0 AND state = 2",
        "EXPLAIN QUERY PLAN SELECT job_id FROM job_unique WHERE key = $1 AND space = $2",
        "EXPLAIN QUERY PLAN DELETE FROM job_error WHERE job_id = $1 AND n > 3",
        "EXPLAIN QUERY PLAN SELECT job_id FROM job_option WHERE key_id = $1 AND waits_for_key = 1 "
        "ORDER BY turn, job_id LIMIT 1",
        "EXPLAIN QUERY PLAN SELECT id FROM job_key WHERE queue = $1 AND (running > 0 OR next_id > "
        "0) LIMIT $2",
    };
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
        EXPECT(test_queue_plan_uses_indexes(t.store, plans[i]));
    test_store_end(&t);
}
