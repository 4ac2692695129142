/* queue_watch.c -- runs on worker threads that nobody wants any more: told to give up, since a
 * thread cannot be stopped.
 *
 * Once a second the renewer asks for the jobs that have run so long already; so quick jobs cost
 * nothing. Async handlers look for themselves.
 */
#include <stdatomic.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "queue/queue_report.h"
#include "queue/queue_worker.h"

struct watch {
    struct {
        struct queue_job job; // only id and epoch
        enum queue_unwanted unwanted;
    } * runs;
    size_t count;
};

static int64_t ran_ms(const struct queue_run *run)
{
    return (clock_mono_ns() - run->begun_ns) / 1000000;
}

bool queue_watch_is_over_time(const struct queue_run *run)
{
    int64_t timeout_ms = run->job.timeout_ms;
    return timeout_ms > 0 && ran_ms(run) >= timeout_ms;
}

bool queue_watch_is_given_up(const struct queue_job *job)
{
    const struct queue_run *run = (const struct queue_run *)((
        const void *)((const char *)job - offsetof(struct queue_run, job)));
    return atomic_load(&run->unwanted) != QUEUE_IS_WANTED || queue_watch_is_over_time(run);
}

static enum err ask_fn(struct store_tx *tx, void *arg)
{
    struct watch *w = arg;
    for (size_t i = 0; i < w->count; i++) {
        bool is_cancelled = false;
        enum err err = queue_report_ask(tx, &w->runs[i].job, &is_cancelled);
        if (err && err != ERR_CONFLICT)
            return err;
        w->runs[i].unwanted = err            ? QUEUE_IS_LOST
                              : is_cancelled ? QUEUE_IS_CANCELLED
                                             : QUEUE_IS_WANTED;
    }
    return OK;
}

/* Those that have run for so long; tells of those whose time is over. */
static void list_runs(struct queue *q, struct watch *out)
{
    out->runs = mem_zalloc((size_t)(q->hand_count + 1) * sizeof(out->runs[0]));
    for (struct list *node = q->hand.next; node != &q->hand; node = node->next) {
        struct queue_run *run = LIST_ENTRY(node, struct queue_run, in_hand);
        if (!run->is_watched || ran_ms(run) < QUEUE_WATCH_MS)
            continue;
        out->runs[out->count++].job =
            (struct queue_job){.id = run->job.id, .epoch = run->job.epoch};
        if (run->is_told_late || !queue_watch_is_over_time(run))
            continue;
        run->is_told_late = true;
        log_warn("at=queue_watch.late job=%lld timeout_ms=%lld why=\"its thread goes on\"",
                 (long long)run->job.id, (long long)run->job.timeout_ms);
    }
}

/* One that has ended meanwhile is not in hand any more. */
static void tell(struct queue *q, const struct watch *w)
{
    for (struct list *node = q->hand.next; node != &q->hand; node = node->next) {
        struct queue_run *run = LIST_ENTRY(node, struct queue_run, in_hand);
        for (size_t i = 0; i < w->count; i++)
            if (w->runs[i].job.id == run->job.id && w->runs[i].job.epoch == run->job.epoch)
                atomic_store(&run->unwanted, w->runs[i].unwanted);
    }
}

void queue_watch_hand(struct queue *q)
{
    struct watch w = {0};
    int64_t now_ms = clock_mono_ms();
    if (q->busy == 0 || now_ms - q->watched_at_ms < QUEUE_WATCH_MS)
        return;
    q->watched_at_ms = now_ms;
    list_runs(q, &w);
    pthread_mutex_unlock(&q->mutex);
    enum err err = w.count > 0 ? store_read(q->store, ask_fn, &w) : OK;
    pthread_mutex_lock(&q->mutex);
    if (!err)
        tell(q, &w);
    mem_free(w.runs);
}
