/* queue_keeper.c -- the renewer's thread. It extends the leases of what is in hand at a third of
 * the lease, prunes, and sees to it that other processes can join and that their jobs come back.
 */
#include <errno.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "queue/queue_worker.h"

enum {
    RENEW_PART = 3,
    PRUNE_MAX = 256,     // at once
    PRUNE_MORE_MS = 10,  // as long as there is more
    SHARE_MS = 1000,     // how often it looks for other processes
    JOIN_MS = 10,        // while it waits for one
    CLOCK_STEP_MS = 100, // less is drift
};
#define LATE_NS (SHARE_MS * INT64_C(1000000))

/* ---- leases ---- */

static enum err renew_fn(struct store_tx *tx, void *arg)
{
    const struct queue_hand *hand = arg;
    return queue_renew_many(tx, hand->jobs, hand->count, hand->lease_ms);
}

void queue_keeper_list_claimed(const struct queue *q, struct queue_hand *r)
{
    r->count = 0;
    r->lease_ms = q->options.lease_ms;
    r->jobs = mem_zalloc((size_t)(q->hand_count + 1) * sizeof(struct queue_job));
    for (struct list *node = q->hand.next; node != &q->hand; node = node->next) {
        const struct queue_run *run = LIST_ENTRY(node, struct queue_run, in_hand);
        if (!run->job.is_held || run->is_claimed)
            r->jobs[r->count++] = (struct queue_job){
                .id = run->job.id, .epoch = run->job.epoch, .run_at_ms = run->job.run_at_ms};
    }
}

static void renew_hand(struct queue *q)
{
    struct queue_hand r;
    queue_keeper_list_claimed(q, &r);
    pthread_mutex_unlock(&q->mutex);
    if (r.count > 0 && store_write_wait(q->store, renew_fn, &r))
        log_warn("at=queue_keeper.renew why=\"the store failed\"");
    mem_free(r.jobs);
    pthread_mutex_lock(&q->mutex);
}

struct pruning {
    struct str name;
    int64_t count;
};

static enum err prune_fn(struct store_tx *tx, void *arg)
{
    struct pruning *p = arg;
    return queue_prune(tx, p->name, PRUNE_MAX, &p->count);
}

/* A slice of what was kept long enough. Called with the mutex held, which it lets go of meanwhile.
 */
static void prune(struct queue *q)
{
    struct pruning p = {.name = str_of(q->options.name)};
    pthread_mutex_unlock(&q->mutex);
    enum err err = store_write_wait(q->store, prune_fn, &p);
    pthread_mutex_lock(&q->mutex);
    if (err)
        log_warn("at=queue_keeper.prune why=\"the store failed\"");
    q->is_pruning = !err && p.count >= PRUNE_MAX;
}

/* ---- the clock ---- */

int64_t queue_keeper_set_forward_ms(struct queue *q)
{
    struct queue_clock *c = &q->clock;
    int64_t now_ms = clock_mono_ms(), ahead_ms = clock_unix_ms() - now_ms;
    if (ahead_ms > c->seen_ms + CLOCK_STEP_MS)
        c->set_at_ms = now_ms;
    c->seen_ms = ahead_ms;
    if (now_ms - c->set_at_ms >= q->options.lease_ms || ahead_ms < c->base_ms)
        c->base_ms = ahead_ms;
    return ahead_ms - c->base_ms;
}

/* ---- other processes ---- */

static enum err recover_fn(struct store_tx *tx, void *arg)
{
    struct queue *q = arg;
    enum err err = queue_recover(tx, str_of(q->options.name), INT64_MAX);
    return err ? err : queue_last_id(tx, &q->options.last_id);
}

static enum err release_fn(struct store_tx *tx, void *arg)
{
    const struct list *ready = arg;
    for (struct list *node = ready->next; node != ready; node = node->next) {
        const struct queue_job *job = &LIST_ENTRY(node, struct queue_run, place)->job;
        if (job->is_held)
            continue;
        enum err err = queue_release(tx, job, job->run_at_ms);
        if (err && err != ERR_CONFLICT)
            return err;
    }
    return OK;
}

void queue_keeper_release_ready(struct queue *q)
{
    struct list unbegun, *node;
    list_init(&unbegun);
    while ((node = list_shift(&q->ready)))
        list_append(&unbegun, node);
    q->ready_count = 0;
    pthread_mutex_unlock(&q->mutex);
    if (store_write_wait(q->store, release_fn, &unbegun))
        log_warn(
            "at=queue_keeper.release why=\"the store failed: they come back at the next start\"");
    pthread_mutex_lock(&q->mutex);
    while ((node = list_shift(&unbegun)))
        queue_worker_end_run(q, LIST_ENTRY(node, struct queue_run, place));
}

static bool has_claimed(const struct list *ready)
{
    for (struct list *node = ready->next; node != ready; node = node->next)
        if (!LIST_ENTRY(node, struct queue_run, place)->job.is_held)
            return true;
    return false;
}

/* What was claimed behind jobs that turn out to be slow goes back: others may be free for it, and
 * nobody shall be told that it runs. */
static void release_late(struct queue *q)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms - q->late_at_ms < SHARE_MS)
        return;
    if (q->begun == q->late_begun && q->busy >= q->options.workers && q->run_ns < LATE_NS)
        q->run_ns = LATE_NS; // none has ended for so long
    q->late_at_ms = now_ms;
    q->late_begun = q->begun;
    if (q->run_ns * q->ready_count < LATE_NS * q->options.workers || !has_claimed(&q->ready))
        return;
    queue_keeper_release_ready(q);
    queue_look_anew(q);
    q->may_be_ready = true;
    queue_look_maybe(q);
}

static enum err claim_held_fn(struct store_tx *tx, void *arg)
{
    const struct queue_hand *r = arg;
    for (size_t i = 0; i < r->count; i++) {
        enum err err = queue_claim_held(tx, &r->jobs[i], r->lease_ms, r->claimer);
        if (err && err != ERR_CONFLICT) // it ended
            return err;
    }
    return OK;
}

/* Called with the mutex held, which it lets go of meanwhile. */
static enum err claim_held(struct queue *q)
{
    struct queue_hand r = {.lease_ms = q->options.lease_ms, .claimer = q->options.claimer};
    r.jobs = mem_zalloc((size_t)(q->hand_count + 1) * sizeof(struct queue_job));
    for (struct list *node = q->hand.next; node != &q->hand; node = node->next) {
        struct queue_run *run = LIST_ENTRY(node, struct queue_run, in_hand);
        if (!run->job.is_held || run->is_claimed)
            continue;
        run->is_claimed = true; // at the latest before it counts
        r.jobs[r.count++] =
            (struct queue_job){.id = run->job.id, .epoch = run->job.epoch, .is_held = true};
    }
    pthread_mutex_unlock(&q->mutex);
    enum err err = r.count > 0 ? store_write_wait(q->store, claim_held_fn, &r) : OK;
    mem_free(r.jobs);
    pthread_mutex_lock(&q->mutex);
    return err;
}

/* Ends what nobody has begun, claims by row what runs, and lets others in. */
static void give_way(struct queue *q)
{
    q->is_switching = true;
    if (q->is_claiming) // what it finds comes first; called again soon
        return;
    queue_keeper_release_ready(q);
    if (claim_held(q)) {
        log_warn("at=queue_keeper.give_way why=\"the store failed\"");
        for (struct list *node = q->hand.next; node != &q->hand; node = node->next)
            LIST_ENTRY(node, struct queue_run, in_hand)->is_claimed = false;
        return;
    }
    queue_share_give(&q->share);
    q->is_switching = false;
    q->is_crowded = true;
    log_info("at=queue_keeper.share queue=%s", q->options.name);
}

struct heritage {
    struct queue_hand mine;
    struct str name;
    int64_t last_id;
};

/* Returns the running jobs of the dead: ours are lifted above what their leases can be, by whatever
 * clock. */
static enum err inherit_fn(struct store_tx *tx, void *arg)
{
    struct heritage *h = arg;
    int64_t lease_ms = h->mine.lease_ms;
    h->mine.lease_ms = QUEUE_MAX_MS;
    enum err err = renew_fn(tx, &h->mine);
    h->mine.lease_ms = lease_ms;
    if (!err)
        err = queue_recover(tx, h->name, store_now_ms(tx) + QUEUE_MAX_MS - 1);
    if (!err)
        err = renew_fn(tx, &h->mine);
    return err ? err : queue_last_id(tx, &h->last_id);
}

/* Nobody else is there any more. */
static void be_alone(struct queue *q)
{
    struct heritage h = {.name = str_of(q->options.name)};
    q->is_switching = true;
    queue_keeper_list_claimed(q, &h.mine);
    pthread_mutex_unlock(&q->mutex);
    enum err err = store_write_wait(q->store, inherit_fn, &h);
    mem_free(h.mine.jobs);
    pthread_mutex_lock(&q->mutex);
    q->is_switching = false;
    if (err || !q->options.is_alone)
        queue_share_give(&q->share); // claims by row, as before
    if (err)
        return;
    q->options.last_id = h.last_id;
    queue_look_anew(q);
    log_info("at=queue_keeper.alone queue=%s", q->options.name);
}

/* Who is alone and does not answer for a lease hangs: what it has in hand is refused when its jobs
 * are claimed by their rows. True: it is so far. */
static bool lose_patience(struct queue *q)
{
    if (q->is_impatient || clock_mono_ms() - q->joining_at_ms < q->options.lease_ms)
        return false;
    q->is_impatient = true;
    log_warn("at=queue_keeper.impatient queue=%s why=\"the process that runs it does not answer\"",
             q->options.name);
    return true;
}

struct claimers {
    struct str name;
    int64_t ids[QUEUE_CLAIMERS], after;
    size_t count;
};

static enum err list_claimers_fn(struct store_tx *tx, void *arg)
{
    struct claimers *c = arg;
    return queue_list_claimers(tx, c->name, c->after, c->ids, &c->count);
}

struct legacy {
    struct str name;
    int64_t claimer;
};

static enum err recover_claims_fn(struct store_tx *tx, void *arg)
{
    const struct legacy *l = arg;
    return queue_recover_claims(tx, l->name, l->claimer);
}

/* Several may see one death: the first finds its jobs. */
static enum err recover_if_dead(struct queue *q, int64_t claimer)
{
    struct legacy legacy = {str_of(q->options.name), claimer};
    if (claimer == q->options.claimer || !queue_share_is_dead(q->store, claimer))
        return OK;
    log_info("at=queue_keeper.recover queue=%s claimer=%lld", q->options.name, (long long)claimer);
    return store_write_wait(q->store, recover_claims_fn, &legacy);
}

/* Returns the running jobs of those who died while others, too, are there. Called with the mutex
 * held, which it lets go of meanwhile. */
static void recover_dead(struct queue *q)
{
    struct claimers c = {.name = str_of(q->options.name), .count = QUEUE_CLAIMERS};
    enum err err = OK;
    pthread_mutex_unlock(&q->mutex);
    while (!err && c.count == QUEUE_CLAIMERS) {
        err = store_read(q->store, list_claimers_fn, &c);
        for (size_t i = 0; !err && i < c.count; i++)
            err = recover_if_dead(q, c.after = c.ids[i]);
    }
    pthread_mutex_lock(&q->mutex);
    if (err)
        log_warn("at=queue_keeper.recover why=\"the store failed\"");
}

/* Looks after the lock that says who runs jobs. Called with the mutex held, which it lets go of
 * meanwhile. */
static void share(struct queue *q)
{
    bool was_crowded = q->is_crowded;
    switch (q->share.mode) {
    case QUEUE_SHARE_JOINING:
        if (!queue_share_join(&q->share) && !lose_patience(q))
            return;
        break;
    case QUEUE_SHARE_ALONE:
        if (!q->is_switching && !queue_share_is_wished(&q->share))
            return;
        give_way(q);
        break;
    case QUEUE_SHARE_SHARED:
        recover_dead(q); // its commit wakes the workers
        q->is_crowded = queue_share_has_others(&q->share);
        if (q->is_crowded && !was_crowded)
            queue_keeper_release_ready(q); // they may begin it sooner
        if ((q->options.is_alone || was_crowded) && !q->is_crowded && !q->is_claiming &&
            queue_share_take(&q->share))
            be_alone(q);
        else if (q->is_crowded == was_crowded)
            return;
        break;
    }
    q->may_be_ready = true;
    queue_look_maybe(q);
}

static int64_t pause_of(const struct queue *q)
{
    bool is_joining = q->share.mode == QUEUE_SHARE_JOINING && !q->is_impatient;
    bool is_waiting = is_joining || q->is_switching;
    return is_waiting ? JOIN_MS : q->is_pruning ? PRUNE_MORE_MS : SHARE_MS;
}

void *queue_keeper_run(void *arg)
{
    struct queue *q = arg;
    int64_t period_ms = q->options.lease_ms / RENEW_PART, renewed_at_ms = clock_mono_ms();
    pthread_mutex_lock(&q->mutex);
    while (!q->is_over) {
        int64_t pause_ms = pause_of(q);
        struct timespec end = thread_deadline(pause_ms < period_ms ? pause_ms : period_ms);
        int code = 0;
        while (!q->is_over && code != ETIMEDOUT)
            code = pthread_cond_timedwait(&q->tick, &q->mutex, &end);
        if (!q->is_over && clock_mono_ms() - renewed_at_ms >= period_ms) {
            renewed_at_ms = clock_mono_ms();
            renew_hand(q);
            q->is_pruning = true;
        }
        if (!q->is_over && q->is_pruning)
            prune(q);
        (void)queue_keeper_set_forward_ms(q); // notices a step when it happens
        if (!q->is_over)
            queue_watch_hand(q);
        if (!q->is_over)
            release_late(q);
        if (!q->is_over)
            share(q);
    }
    pthread_mutex_unlock(&q->mutex);
    return NULL;
}

/* ---- start, stop ---- */

enum err queue_keeper_open(struct queue *q)
{
    q->clock.base_ms = q->clock.seen_ms = clock_unix_ms() - clock_mono_ms();
    enum err err = queue_share_open(&q->share, q->store, str_of(q->options.name));
    if (err)
        return err;
    q->options.claimer = q->share.id;
    if (queue_share_take(&q->share)) {
        err = store_write_wait(q->store, recover_fn, q);
        if (!err && !q->options.is_alone)
            queue_share_give(&q->share);
    } else {
        (void)queue_share_join(&q->share);
        q->joining_at_ms = clock_mono_ms();
        q->is_crowded = true;
        log_info("at=queue_keeper.join queue=%s shared=%d", q->options.name,
                 q->share.mode == QUEUE_SHARE_SHARED);
    }
    return err;
}

static enum err give_back_fn(struct store_tx *tx, void *arg)
{
    const struct queue_hand *r = arg;
    for (size_t i = 0; i < r->count; i++) {
        enum err err = queue_release(tx, &r->jobs[i], r->jobs[i].run_at_ms);
        if (err && err != ERR_CONFLICT) // it ended
            return err;
    }
    return OK;
}

void queue_keeper_give_back(struct queue *q)
{
    struct queue_hand r;
    pthread_mutex_lock(&q->mutex);
    queue_keeper_list_claimed(q, &r);
    pthread_mutex_unlock(&q->mutex);
    if (r.count > 0 && store_write_wait(q->store, give_back_fn, &r))
        log_warn(
            "at=queue_keeper.give_back why=\"the store failed: they come back by their lease\"");
    mem_free(r.jobs);
}
