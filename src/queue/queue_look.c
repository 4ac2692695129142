/* queue_look.c -- finds jobs that are due, and claims them.
 *
 * A worker looks by reading whether something is due. Alone (queue_share.h) it then holds the jobs
 * in memory; those with a unique key, or of an earlier process, and all when other processes run
 * jobs of the queue, are claimed as follows.
 *
 * The claim is one store_write of the queue, never two at once. It fetches what the workers can
 * begin soon (reserve_of), a look what is held in memory up to a batch, while half of that is left
 * to do. A flag, may_be_ready, says that a claim could find something: set by queue_wake, by a full
 * batch and by the clock; so an idle queue does nothing at all.
 */
#include <stdatomic.h>

#include "core/clock.h"
#include "core/failpoint.h"
#include "core/log.h"
#include "core/mem.h"
#include "queue/queue_worker.h"

enum {
    HAND_BATCHES = 4, // at most so many batches from claim to end
    LOOK_ALL_MS = 20, // so long does wait at most what became ready out of order
    FULL_MS = 1000,
    AHEAD_NS = 5000000,
    REST_MS = 10, // what follows so long after the last job is not of the same crowd
};

static const struct queue_cursor from_the_first = {INT64_MIN, 0};

/* ---- claiming ---- */

static enum err claim_fn(struct store_tx *tx, void *arg)
{
    struct queue *q = arg;
    for (size_t i = 0; i < q->claimed_count; i++) // of an earlier try
        arena_done(&q->claimed[i].arena);
    q->claimed_count = 0;
    enum err err = queue_claim(tx, &q->look_options, q->claimed, (size_t)q->look_options.batch,
                               &q->claimed_count, &q->claimed_next_ms);
    return err == ERR_NOT_FOUND ? OK : err; // what it recovered stays
}

/* Called with the mutex held. */
static void claim_later(struct queue *q)
{
    q->due_at_ms = clock_unix_ms() + QUEUE_STORE_RETRY_MS;
}

static void on_claimed(struct store_write *write, enum err err)
{
    struct queue *q = write->arg;
    pthread_mutex_lock(&q->mutex);
    size_t got = q->claimed_count;
    q->is_full = !err && got == 0 && q->claimed_next_ms == QUEUE_WHEN_ONE_ENDS;
    q->is_claiming = false;
    q->claimed_count = 0;
    mem_free(q->claim_hand.jobs);
    for (size_t i = 0; i < got; i++) {
        if (err)
            arena_done(&q->claimed[i].arena);
        else
            queue_worker_add_run(q, &q->claimed[i]);
    }
    if (!err && q->claimed_next_ms > 0 && q->claimed_next_ms <= clock_unix_ms())
        q->looked_all_at_ms = 0; // what became ready may be before the cursor
    if (err)
        claim_later(q); // the store has logged it
    else if (got == 0 && q->claimed_next_ms == QUEUE_WHEN_ONE_ENDS)
        q->due_at_ms = clock_unix_ms() + FULL_MS; // another process's, which does not tell
    else if (got == 0)
        q->due_at_ms = q->claimed_next_ms;
    else
        q->may_be_ready = true; // more, or the time of the next one
    queue_look_maybe(q);
    pthread_cond_broadcast(&q->work);
    pthread_cond_signal(&q->ended);
    pthread_mutex_unlock(&q->mutex);
}

/* How many jobs to have at hand that no worker has begun: no more than the workers here begin at
 * once, since others could run them meanwhile, and they are not running; where keys take turns,
 * which a claim is, no more than workers are free. */
static int reserve_of(const struct queue *q)
{
    int batch = q->options.batch, workers = q->options.workers;
    if (workers <= 0) // inline
        return batch;
    int64_t ahead = q->run_ns > 0 && !q->is_fair ? (int64_t)workers * AHEAD_NS / q->run_ns : 0;
    int64_t reserve = workers - q->busy + ahead;
    return reserve < batch ? (int)reserve : batch;
}

/* Inline (without workers) it claims by row, as if it shared. */
static bool is_joining(const struct queue *q)
{
    return q->share.mode == QUEUE_SHARE_JOINING && q->options.workers > 0 && !q->is_impatient;
}

static bool is_spent(const struct queue *q)
{
    return q->options.left && atomic_load(q->options.left) <= 0;
}

static bool is_alone(const struct queue *q)
{
    return q->options.is_alone && q->share.mode == QUEUE_SHARE_ALONE;
}

static bool has_room(const struct queue *q)
{
    // What is held in memory is ready for everybody else.
    int reserve = is_alone(q) && !q->is_fair ? q->options.batch : reserve_of(q);
    return reserve > 0 && q->ready_count <= reserve / 2 &&
           q->hand_count <= (HAND_BATCHES - 1) * q->options.batch;
}

/* Who stops leaves the share without the mutex: it is not asked then. */
bool queue_look_is_wanted(const struct queue *q)
{
    return q->is_started && !q->is_stopping && !q->is_sated && !q->is_claiming && q->may_be_ready &&
           clock_mono_ms() >= q->paused_until_ms && !q->is_switching && !is_joining(q) &&
           !is_spent(q) && has_room(q);
}

/* Called with the mutex held, which it lets go of meanwhile. */
static void claim(struct queue *q)
{
    queue_keeper_list_claimed(q, &q->claim_hand);
    q->look_options.hand = q->claim_hand.jobs;
    q->look_options.hand_count = q->claim_hand.count;
    if (q->hand_count == 0 && clock_mono_ms() - q->emptied_at_ms >= REST_MS)
        q->run_ns = 0; // what comes now may be of another kind
    q->look_options.batch = reserve_of(q) - q->ready_count;
    if (q->look_options.batch < 1) // taken by a look meanwhile
        q->look_options.batch = 1;
    // A claim that a loss of power takes back was nobody's: soft, so that a job waits for no sync.
    q->claim =
        (struct store_write){.fn = claim_fn, .arg = q, .on_done = on_claimed, .is_soft = true};
    if (!q->look_options.is_alone) // else it does not see all that may have woken us since the look
        q->may_be_ready = false;
    q->is_claiming = true;
    pthread_mutex_unlock(&q->mutex);
    enum err err = store_write_soon(q->store, &q->claim);
    pthread_mutex_lock(&q->mutex);
    if (err) {
        q->is_claiming = false;
        mem_free(q->claim_hand.jobs);
        claim_later(q);
    }
}

void queue_look_maybe(struct queue *q)
{
    if (queue_look_is_wanted(q))
        pthread_cond_signal(&q->work); // a worker looks
}

/* ---- claims in memory ---- */

struct look {
    struct queue *queue;
    struct queue_cursor after;
    size_t cap;
    struct queue_look found;
};

static void forget_found(struct queue_look *found)
{
    for (size_t i = 0; i < found->count; i++)
        arena_done(&found->jobs[i].arena);
    found->count = 0;
}

static enum err look_fn(struct store_tx *tx, void *arg)
{
    struct look *look = arg;
    return queue_find(tx, &look->queue->look_options, look->after, look->cap, &look->found);
}

static bool has_job(const struct list *runs, int64_t id)
{
    for (struct list *node = runs->next; node != runs; node = node->next)
        if (LIST_ENTRY(node, struct queue_run, in_hand)->job.id == id)
            return true;
    return false;
}

static void end_look(struct queue *q)
{
    struct list *node;
    q->is_looking = false;
    while ((node = list_shift(&q->gone)))
        mem_free(LIST_ENTRY(node, struct queue_run, in_hand));
}

static bool is_behind(struct queue_cursor cursor, const struct queue_job *job)
{
    return job->rank > cursor.rank || (job->rank == cursor.rank && job->id > cursor.id);
}

/* Called with the mutex held. The rows of jobs in hand are found again, and those of jobs that
 * ended since the look began; they are left out. */
static void take_found(struct queue *q, const struct look *look, bool is_all)
{
    const struct queue_look *found = &look->found;
    size_t taken = 0, left = 0, max = (size_t)q->options.batch;
    for (size_t i = 0; i < found->count; i++) {
        struct queue_job *job = &found->jobs[i];
        bool is_known = has_job(&q->hand, job->id) || has_job(&q->gone, job->id);
        if (is_known || taken == max) {
            left += !is_known;
            arena_done(&job->arena);
            continue;
        }
        queue_worker_add_run(q, job);
        taken++;
        if (is_behind(q->cursor, job)) // it never goes back
            q->cursor = (struct queue_cursor){job->rank, job->id};
    }
    if (left > 0 || found->count == look->cap)
        q->may_be_ready = true;
    else
        q->due_at_ms = found->next_run_at_ms;
    q->budget.percent = found->retry_percent;
    int64_t all_at_ms = clock_unix_ms() + LOOK_ALL_MS;
    if (!is_all && (q->due_at_ms == 0 || q->due_at_ms > all_at_ms))
        q->due_at_ms = all_at_ms;
}

/* Finds jobs and takes them. Behind the last one that was found, mostly; but what has a priority,
 * waited for another job or came back is before it, so every LOOK_ALL_MS, and before it rests, from
 * the beginning. */
void queue_look_once(struct queue *q)
{
    int64_t now_ms = clock_mono_ms();
    bool is_all =
        !is_alone(q) || now_ms - q->looked_all_at_ms >= LOOK_ALL_MS || q->looked_all_at_ms == 0;
    struct look look = {.queue = q, .after = is_all ? from_the_first : q->cursor};
    if (is_alone(q))
        look.cap = (size_t)q->options.batch + (is_all ? (size_t)q->hand_count : 0);
    else
        look.cap = 1; // to know whether to claim
    q->look_options = q->options;
    q->look_options.is_alone = is_alone(q);
    // The clock may be set between this and the claim's transaction.
    q->look_options.asked_at_ms = clock_unix_ms();
    q->look_options.set_forward_ms = queue_keeper_set_forward_ms(q);
    q->look_options.kinds = q->options.leaves_unknown || q->is_crowded ? q->kinds : NULL;
    q->is_claiming = q->is_looking = true;
    q->may_be_ready = false;
    if (is_all)
        q->looked_all_at_ms = now_ms;
    pthread_mutex_unlock(&q->mutex);
    look.found.jobs = mem_zalloc(look.cap * sizeof(struct queue_job));
    enum err err = FAILPOINT("queue.look", store_read(q->store, look_fn, &look));
    pthread_mutex_lock(&q->mutex);
    q->is_claiming = false;
    if (err) {
        forget_found(&look.found);
        log_warn("at=queue_look.look why=\"%s\"", err_text(err));
        claim_later(q);
    } else
        take_found(q, &look, is_all);
    end_look(q); // before the claim, which lets go of the mutex
    mem_free(look.found.jobs);
    pthread_cond_broadcast(&q->work);
    pthread_cond_signal(&q->ended);
    if (!err && look.found.needs_claim && !q->is_stopping)
        claim(q);
}

void queue_look_anew(struct queue *q)
{
    q->cursor = from_the_first;
    q->looked_all_at_ms = 0;
}
