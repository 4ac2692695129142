/* test_model.c -- the conformance suite of a backend of the queue: random commands through queue.h,
 * each of whose answers must be that of a model in memory, which knows the contract and nothing of
 * SQL.
 *
 * A backend is a way to open a store (struct backend); all others are to be put into the table
 * below. PROOF=all: many seeds, long runs; SEED=n: that one alone, told command by command. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/log.h"
#include "test.h"
#include "world.h"

struct backend {
    const char *name;
    struct store *(*open)(struct world *w);
};

static const struct backend backends[] = {
    {"sqlite", world_open_store},
};

enum { MAX_JOBS = 2000, MAX_HANDLES = 2000, LEASE_MS = 1000, CAP = 4, QUEUES = 2 };
static const char *const queues[QUEUES] = {"default", "slow"};
static const char *const keys[] = {"", "", "", "one", "two"};

/* ---- the model ---- */

enum state {
    GONE = -1,
    READY = QUEUE_READY,
    RUNNING = QUEUE_RUNNING,
    DEAD = QUEUE_DEAD,
    SCHEDULED = QUEUE_SCHEDULED,
};

struct model_job {
    int64_t id, run_at_ms, lease_until_ms, epoch;
    enum state state;
    int queue, attempt, crash;
    const char *key;
};

struct model {
    struct model_job jobs[MAX_JOBS]; // in the order of their ids
    int count;
};

static struct model_job *find_job(struct model *m, int64_t id)
{
    for (int i = 0; i < m->count; i++)
        if (m->jobs[i].id == id)
            return &m->jobs[i];
    return NULL;
}

/* By the time it is to run at. */
static enum state waiting(int64_t run_at_ms, int64_t now_ms)
{
    return run_at_ms <= now_ms ? READY : SCHEDULED;
}

static bool is_waiting(const struct model_job *job)
{
    return job->state == READY || job->state == SCHEDULED;
}

static const struct model_job *waiting_of_key(const struct model *m, const char *key)
{
    for (int i = 0; i < m->count; i++)
        if (key[0] && is_waiting(&m->jobs[i]) && m->jobs[i].key == key)
            return &m->jobs[i];
    return NULL;
}

/* Of two of a key that come back at once the newest does the work. */
static bool has_newer_twin(const struct model *m, const struct model_job *job, int queue,
                           int64_t then_ms)
{
    for (int i = 0; i < m->count; i++) {
        const struct model_job *other = &m->jobs[i];
        if (job->key[0] && other->key == job->key && other->id > job->id &&
            (queue < 0 || other->queue == queue) && other->state == RUNNING &&
            other->lease_until_ms <= then_ms && other->crash + 1 < QUEUE_MAX_CRASHES)
            return true;
    }
    return false;
}

/* queue: -1 for all, one after the other. */
static void model_recover(struct model *m, int queue, int64_t then_ms)
{
    for (int i = 0; i < m->count; i++) { // a newer twin comes later in this loop
        struct model_job *job = &m->jobs[i];
        if (job->state != RUNNING || job->lease_until_ms > then_ms ||
            (queue >= 0 && job->queue != queue))
            continue;
        if (job->crash + 1 >= QUEUE_MAX_CRASHES)
            job->state = DEAD;
        else if (waiting_of_key(m, job->key) || has_newer_twin(m, job, queue, then_ms))
            job->state = GONE;
        else
            job->state = READY;
        job->crash++;
    }
}

/* What is due becomes ready when somebody claims. */
static void model_promote(struct model *m, int queue, int64_t now_ms)
{
    for (int i = 0; i < m->count; i++) {
        struct model_job *job = &m->jobs[i];
        if (job->state == SCHEDULED && job->queue == queue)
            job->state = waiting(job->run_at_ms, now_ms);
    }
}

/* The oldest ready job of the queue. */
static struct model_job *model_next(struct model *m, int queue)
{
    struct model_job *best = NULL;
    for (int i = 0; i < m->count; i++) {
        struct model_job *job = &m->jobs[i];
        bool is_due = job->state == READY && job->queue == queue;
        if (is_due && (!best || job->run_at_ms < best->run_at_ms))
            best = job;
    }
    return best;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 || (b > 0 && b < a) ? b : a;
}

/* When something of the queue will be due: a job, or the end of a lease. */
static int64_t model_next_ms(const struct model *m, int queue)
{
    int64_t next = 0;
    for (int i = 0; i < m->count; i++) {
        const struct model_job *job = &m->jobs[i];
        if (job->state == SCHEDULED && job->queue == queue)
            next = earlier(next, job->run_at_ms);
        if (job->state == RUNNING && job->queue == queue)
            next = earlier(next, job->lease_until_ms);
    }
    return next;
}

/* ---- the run ---- */

struct run {
    const struct backend *backend;
    struct world world;
    struct store *store;
    struct model model;
    struct queue_job handles[MAX_HANDLES]; // of every claim, the stale ones too; no arena
    int handles_count;
    unsigned seed, dice;
    bool is_told;
};

static int roll(struct run *r, int sides)
{
    return (int)((unsigned)rand_r(&r->dice) % (unsigned)sides);
}

__attribute__((format(printf, 2, 3))) static void tell(const struct run *r, const char *format, ...)
{
    va_list args;
    if (!r->is_told)
        return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

#define AGREE(r, got, want)                                                                        \
    do {                                                                                           \
        int64_t got_ = (int64_t)(got), want_ = (int64_t)(want);                                    \
        ck_assert_msg(got_ == want_, "SEED=%u on %s: %s is %lld, the model says %lld", (r)->seed,  \
                      (r)->backend->name, #got, (long long)got_, (long long)want_);                \
    } while (0)

struct order {
    struct queue_new job;
    enum err verdict;
    int64_t id;
};

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    struct order *order = arg;
    enum err err = queue_enqueue(tx, &order->job, &order->id);
    return err ? err : order->verdict;
}

static void do_enqueue(struct run *r)
{
    static const int delays[] = {0, 0, -300, 400, 2500};
    const char *key = keys[roll(r, 5)];
    int queue = roll(r, QUEUES);
    int64_t run_at_ms = clock_unix_ms() + delays[roll(r, 5)];
    struct order order = {.job = {.kind = STR("a"),
                                  .payload = STR("{}"),
                                  .unique_key = str_of(key),
                                  .run_at_ms = run_at_ms,
                                  .queue = str_of(queues[queue])},
                          .verdict = roll(r, 6) == 0 ? ERR_DENIED : OK};
    const struct model_job *twin = waiting_of_key(&r->model, key);
    tell(r, "enqueue queue=%d key=%s verdict=%d", queue, key, order.verdict);
    AGREE(r, store_write_wait(r->store, enqueue_fn, &order), order.verdict);
    if (order.verdict)
        return;
    if (twin) {
        EXPECT(order.id == twin->id);
        return;
    }
    EXPECT(r->model.count == 0 || order.id > r->model.jobs[r->model.count - 1].id);
    CHECK(r->model.count < MAX_JOBS);
    r->model.jobs[r->model.count++] =
        (struct model_job){.id = order.id,
                           .run_at_ms = run_at_ms,
                           .state = waiting(run_at_ms, clock_unix_ms()),
                           .queue = queue,
                           .key = key};
}

struct claim {
    struct queue_options options;
    struct queue_job jobs[CAP];
    size_t cap, count;
    int64_t next_ms;
};

static enum err claim_fn(struct store_tx *tx, void *arg)
{
    struct claim *claim = arg;
    claim->count = 0;
    enum err err =
        queue_claim(tx, &claim->options, claim->jobs, claim->cap, &claim->count, &claim->next_ms);
    return err == ERR_NOT_FOUND ? OK : err;
}

static void take(struct run *r, struct queue_job *job)
{
    CHECK(r->handles_count < MAX_HANDLES);
    arena_done(&job->arena);
    job->kind = job->payload = (struct str){NULL, 0};
    r->handles[r->handles_count++] = *job;
}

static void do_claim(struct run *r)
{
    int64_t now_ms = clock_unix_ms();
    int queue = roll(r, QUEUES);
    struct claim claim = {.options = {.name = queues[queue], .lease_ms = LEASE_MS},
                          .cap = 1 + (size_t)roll(r, CAP)};
    tell(r, "claim queue=%d cap=%zu", queue, claim.cap);
    AGREE(r, store_write_wait(r->store, claim_fn, &claim), OK);
    model_recover(&r->model, queue, now_ms);
    model_promote(&r->model, queue, now_ms);
    for (size_t i = 0; i < claim.cap; i++) {
        struct model_job *want = model_next(&r->model, queue);
        if (!want) {
            AGREE(r, claim.count, i);
            break;
        }
        EXPECT(i < claim.count);
        AGREE(r, claim.jobs[i].id, want->id);
        AGREE(r, claim.jobs[i].epoch, want->epoch + 1);
        AGREE(r, claim.jobs[i].attempt, want->attempt);
        AGREE(r, claim.jobs[i].run_at_ms, want->run_at_ms);
        want->state = RUNNING;
        want->epoch++;
        want->lease_until_ms = now_ms + LEASE_MS;
        take(r, &claim.jobs[i]);
    }
    if (claim.count == 0)
        AGREE(r, claim.next_ms, model_next_ms(&r->model, queue));
}

struct look {
    struct queue_options options;
    struct queue_job jobs[MAX_JOBS];
    struct queue_look found;
};

static enum err look_fn(struct store_tx *tx, void *arg)
{
    struct look *look = arg;
    look->found = (struct queue_look){.jobs = look->jobs};
    return queue_find(tx, &look->options, (struct queue_cursor){INT64_MIN, 0}, MAX_JOBS,
                      &look->found);
}

/* What an owner of the file would hold in memory: some of it is then ended as such. */
static void do_look(struct run *r)
{
    static struct look look;
    int64_t now_ms = clock_unix_ms();
    int queue = roll(r, QUEUES);
    size_t at = 0;
    struct model copy = r->model;
    struct model_job *want;
    look.options = (struct queue_options){.name = queues[queue], .is_alone = true};
    tell(r, "look queue=%d", queue);
    AGREE(r, store_read(r->store, look_fn, &look), OK);
    while ((want = model_next(&copy, queue))) {
        want->state = GONE;
        if (want->key[0])
            continue;
        EXPECT(at < look.found.count);
        AGREE(r, look.jobs[at].id, want->id);
        AGREE(r, look.jobs[at].epoch, want->epoch);
        if (roll(r, 8) == 0)
            take(r, &look.jobs[at]);
        else
            arena_done(&look.jobs[at].arena);
        at++;
    }
    AGREE(r, look.found.count, at);
    int64_t next_ms = model_next_ms(&r->model, queue);
    EXPECT(look.found.needs_claim || next_ms == 0 || next_ms > now_ms);
}

/* ---- the ends ---- */

struct end {
    const struct queue_job *job;
    int64_t ms;
    bool is_dead;
};

static enum err ack_fn(struct store_tx *tx, void *arg)
{
    return queue_ack(tx, ((struct end *)arg)->job);
}

static enum err fail_fn(struct store_tx *tx, void *arg)
{
    const struct end *end = arg;
    return queue_fail(tx, end->job, STR("why"), end->ms, end->is_dead);
}

static enum err renew_fn(struct store_tx *tx, void *arg)
{
    const struct end *end = arg;
    return queue_renew(tx, end->job, end->ms);
}

static enum err release_fn(struct store_tx *tx, void *arg)
{
    const struct end *end = arg;
    return queue_release(tx, end->job, store_now_ms(tx) + end->ms);
}

static void model_end(struct model *m, struct model_job *job, int kind, const struct end *end)
{
    int64_t now_ms = clock_unix_ms();
    if (kind == 0) {
        job->state = GONE;
    } else if (kind == 2) {
        job->lease_until_ms = now_ms + end->ms;
    } else if (kind == 1 && end->is_dead) {
        job->state = DEAD;
        job->attempt++;
    } else if (waiting_of_key(m, job->key)) {
        job->state = GONE;
    } else {
        job->epoch++;
        job->attempt += kind == 1;
        job->run_at_ms = now_ms + end->ms;
        job->state = waiting(job->run_at_ms, now_ms);
    }
}

static void do_end(struct run *r)
{
    static store_fn *const fns[] = {ack_fn, fail_fn, renew_fn, release_fn};
    static const char *const names[] = {"ack", "fail", "renew", "release"};
    if (r->handles_count == 0)
        return;
    // Mostly of late claims; but any stale one may come.
    int back = roll(r, 5) == 0 ? roll(r, r->handles_count) : roll(r, 6);
    int at = back < r->handles_count ? r->handles_count - 1 - back : 0;
    int kind = roll(r, 4);
    struct end end = {&r->handles[at], roll(r, 3) * 700, roll(r, 5) == 0};
    if (kind == 2 && end.job->is_held) // a lease is a matter of rows
        return;
    struct model_job *job = find_job(&r->model, end.job->id);
    enum state running = end.job->is_held ? READY : RUNNING;
    bool is_valid = job->state == running && job->epoch == end.job->epoch;
    tell(r, "%s id=%lld epoch=%lld valid=%d", names[kind], (long long)end.job->id,
         (long long)end.job->epoch, is_valid);
    AGREE(r, store_write_wait(r->store, fns[kind], &end), is_valid ? OK : ERR_CONFLICT);
    if (is_valid)
        model_end(&r->model, job, kind, &end);
}

/* ---- time, death, numbers ---- */

static enum err recover_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    return queue_recover(tx, STR(""), INT64_MAX);
}

static void do_restart(struct run *r)
{
    tell(r, "restart");
    store_close(r->store);
    r->store = r->backend->open(&r->world);
    AGREE(r, store_write_wait(r->store, recover_fn, NULL), OK);
    model_recover(&r->model, -1, INT64_MAX);
}

static void do_advance(struct run *r)
{
    static const int steps[] = {1, 100, 450, 1001};
    int ms = steps[roll(r, 4)];
    tell(r, "advance %d", ms);
    clock_test_advance(ms);
}

static void check_numbers(struct run *r)
{
    struct queue_stats got, want = {0};
    struct queue *q = queue_new(r->store, &(struct queue_options){0}, NULL, 0);
    AGREE(r, queue_get_stats(q, &got), OK);
    queue_free(q);
    for (int i = 0; i < r->model.count; i++) {
        const struct model_job *job = &r->model.jobs[i];
        want.ready += is_waiting(job) && job->run_at_ms <= clock_unix_ms();
        want.scheduled += is_waiting(job) && job->run_at_ms > clock_unix_ms();
        want.running += job->state == RUNNING;
        want.dead += job->state == DEAD;
    }
    AGREE(r, got.ready, want.ready);
    AGREE(r, got.scheduled, want.scheduled);
    AGREE(r, got.running, want.running);
    AGREE(r, got.dead, want.dead);
}

static void step(struct run *r)
{
    int what = roll(r, 100);
    if (what < 30)
        do_enqueue(r);
    else if (what < 50)
        do_claim(r);
    else if (what < 85)
        do_end(r);
    else if (what < 90)
        do_look(r);
    else if (what < 98)
        do_advance(r);
    else
        do_restart(r);
}

static void play(const struct backend *backend, unsigned seed, int steps, bool is_told)
{
    static struct run r;
    r = (struct run){.backend = backend, .seed = seed, .dice = seed, .is_told = is_told};
    world_make(&r.world, false);
    r.store = backend->open(&r.world);
    for (int i = 0; i < steps; i++) {
        step(&r);
        if (i % 8 == 0)
            check_numbers(&r);
    }
    check_numbers(&r);
    store_close(r.store);
    world_remove(&r.world);
}

TEST(proof_model_agrees_with_every_backend)
{
    const char *proof = getenv("PROOF"), *seed = getenv("SEED");
    bool is_all = proof && strcmp(proof, "all") == 0;
    unsigned first = seed ? (unsigned)atoi(seed) : 1, seeds = seed ? 1 : is_all ? 400 : 12;
    log_set_level(LOG_ERROR);
    clock_test_stop();
    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
        for (unsigned s = first; s < first + seeds; s++)
            play(&backends[i], s, is_all ? 600 : 150, seed != NULL);
}
