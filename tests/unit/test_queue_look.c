/* What becomes ready before the place to which the queue has come: a priority, a step of a chain.
 */
#include <stdatomic.h>

#include "queue/queue_graph.h"
#include "test_queue.h"

/* Plain jobs, each of which enqueues the next, beside those that are looked for. */
struct flow {
    struct test_store t;
    struct queue *queue;
    _Atomic int plains, others;
    int before, after; // plains at the commit of the others, and when the last of them was done
    store_fn *fn;
    void *arg;
    _Atomic bool is_over;
};

static enum err run_plain(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct flow *flow = ctx;
    (void)job, (void)why_out;
    usleep(2000);
    flow->plains++;
    return OK;
}

static enum err commit_plain(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    struct flow *flow = ctx;
    return flow->is_over ? OK : queue_enqueue(tx, &(struct queue_new){.kind = job->kind}, NULL);
}

static void other_done(struct queue_job *job, void *ctx)
{
    struct flow *flow = ctx;
    (void)job;
    flow->after = flow->plains;
    flow->others++;
}

static enum err add_others(struct store_tx *tx, void *arg)
{
    struct flow *flow = arg;
    flow->before = flow->plains;
    return flow->fn(tx, flow->arg);
}

static void wake(void *ctx)
{
    queue_wake(((struct flow *)ctx)->queue);
}

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    return queue_enqueue(tx, arg, NULL);
}

static enum err chain_fn(struct store_tx *tx, void *arg)
{
    int64_t batch_id;
    (void)arg;
    struct queue_new steps[5];
    for (int i = 0; i < 5; i++)
        steps[i] = (struct queue_new){.kind = STR("other")};
    return queue_graph_chain(tx, &(struct queue_batch_new){.name = STR("chain")}, steps, 5,
                             &batch_id);
}

/* How many plain jobs run until these others have. */
static int plains_beside(store_fn *fn, void *arg, int others)
{
    struct flow flow = {.fn = fn, .arg = arg};
    const struct queue_handler handlers[] = {
        {.kind = "plain", .run = run_plain, .commit = commit_plain, .ctx = &flow},
        {.kind = "other", .done = other_done, .ctx = &flow}};
    const struct queue_options options = {.workers = 1, .is_alone = true};
    test_queue_begin(&flow.t);
    flow.queue = queue_new(flow.t.store, &options, handlers, 2);
    store_on_commit(flow.t.store, wake, &flow);
    EXPECT_EQ(queue_start(flow.queue), OK);
    struct queue_new plain = {.kind = STR("plain")};
    EXPECT_EQ(store_write_wait(flow.t.store, enqueue_fn, &plain), OK);
    while (flow.plains < 10)
        usleep(1000);
    EXPECT_EQ(store_write_wait(flow.t.store, add_others, &flow), OK);
    while (flow.others < others)
        usleep(1000);
    int beside = flow.after - flow.before;
    flow.is_over = true;
    EXPECT(queue_stop(flow.queue, 10000));
    store_on_commit(flow.t.store, NULL, NULL);
    queue_free(flow.queue);
    test_store_end(&flow.t);
    return beside;
}

TEST(queue_look_finds_a_priority_beside_other_jobs_soon)
{
    struct queue_new urgent = {.kind = STR("other"), .priority = 10};
    int beside = plains_beside(enqueue_fn, &urgent, 1);
    ck_assert_msg(beside < 100, "%d other jobs were run before", beside);
}

TEST(queue_look_finds_a_step_of_a_chain_beside_other_jobs_soon)
{
    int beside = plains_beside(chain_fn, NULL, 5);
    ck_assert_msg(beside < 100, "%d other jobs were run beside", beside);
}
