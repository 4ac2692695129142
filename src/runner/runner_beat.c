#include "runner/runner_beat.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "runner/runner_task.h"

enum { BEAT_MS = 1000 };

/* ---- a write: one for a beat or for the end of a job ---- */

struct entry {
    struct queue_job job; // id and epoch
    struct queue_report report;
    bool is_lost, is_cancelled; // what the store says
};

struct runner_beat_write {
    struct store_write write; // first: on_done casts back
    struct runner *runner;    // NULL: nobody waits for what the store says
    struct arena arena;
    size_t count;
    struct entry entries[];
};

static enum err write_entry(struct store_tx *tx, struct entry *e)
{
    enum err err = OK;
    e->is_lost = e->is_cancelled = false;
    if (e->report.progress.at || e->report.log.len > 0)
        err = queue_report(tx, &e->job, &e->report);
    if (!err)
        err = queue_report_ask(tx, &e->job, &e->is_cancelled);
    e->is_lost = err == ERR_CONFLICT;
    return e->is_lost ? OK : err;
}

static enum err write_fn(struct store_tx *tx, void *arg)
{
    struct runner_beat_write *w = arg;
    enum err err = OK;
    for (size_t i = 0; i < w->count && !err; i++)
        err = write_entry(tx, &w->entries[i]);
    return err;
}

static void write_free(struct runner_beat_write *w)
{
    arena_done(&w->arena);
    mem_free(w);
}

static void on_written(struct store_write *write, enum err err)
{
    struct runner_beat_write *w = (struct runner_beat_write *)(void *)write;
    struct runner *r = w->runner;
    if (err)
        log_warn("at=runner_beat.write why=\"%s\"", err_text(err));
    if (!r) {
        write_free(w);
        return;
    }
    for (size_t i = 0; i < w->count && err; i++) // it was not asked
        w->entries[i].is_lost = w->entries[i].is_cancelled = false;
    pthread_mutex_lock(&r->mutex);
    r->beat.is_done = true;
    pthread_cond_signal(&r->beat_done);
    // Under the mutex, so that the runner cannot be freed between the two.
    post_loop_wake(r->loop);
    pthread_mutex_unlock(&r->mutex);
}

static struct runner_beat_write *write_new(struct runner *r, size_t cap)
{
    struct runner_beat_write *w = mem_zalloc(sizeof(*w) + cap * sizeof(w->entries[0]));
    w->runner = r;
    w->write =
        (struct store_write){.fn = write_fn, .arg = w, .on_done = on_written, .is_soft = true};
    arena_init(&w->arena);
    return w;
}

static void add_entry(struct runner_beat_write *w, struct runner_report *from,
                      const struct queue_job *job)
{
    struct entry *e = &w->entries[w->count++];
    e->job = (struct queue_job){.id = job->id, .epoch = job->epoch};
    e->report = runner_report_take(from, &w->arena);
}

void runner_beat_write_last(struct runner_report *r, struct store *store,
                            const struct queue_job *job)
{
    if (!runner_report_has_news(r))
        return;
    struct runner_beat_write *w = write_new(NULL, 1);
    add_entry(w, r, job);
    if (store_write_later(store, &w->write) == OK)
        return;
    log_warn("at=runner_beat.write why=\"the store is closing\"");
    write_free(w);
}

/* ---- the beat ---- */

static struct runner_task *find_task(struct runner *r, const struct queue_job *job)
{
    for (struct list *node = r->running.next; node != &r->running; node = node->next) {
        struct runner_task *t = LIST_ENTRY(node, struct runner_task, node);
        if (t->job->id == job->id && t->job->epoch == job->epoch)
            return t;
    }
    return NULL;
}

static void obey(struct runner *r, const struct runner_beat_write *w)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < w->count; i++) {
        const struct entry *e = &w->entries[i];
        struct runner_task *t = e->is_lost || e->is_cancelled ? find_task(r, &e->job) : NULL;
        if (!t)
            continue;
        log_info("at=runner_beat.end job=%lld why=%s", (long long)e->job.id,
                 e->is_lost ? "lost" : "cancelled");
        runner_task_doom(t, e->is_lost ? RUNNER_LOST : RUNNER_CANCELLED,
                         now_ms + t->lane->handler->grace_ms);
    }
}

/* The write that is over; NULL: none. */
static struct runner_beat_write *take_done(struct runner *r)
{
    struct runner_beat_write *w = NULL;
    pthread_mutex_lock(&r->mutex);
    if (r->beat.is_done) {
        w = r->beat.write;
        r->beat.write = NULL;
        r->beat.is_done = false;
    }
    pthread_mutex_unlock(&r->mutex);
    return w;
}

static void start(struct runner *r)
{
    size_t count = 0;
    for (struct list *node = r->running.next; node != &r->running; node = node->next)
        count++;
    struct runner_beat_write *w = write_new(r, count);
    for (struct list *node = r->running.next; node != &r->running; node = node->next) {
        struct runner_task *t = LIST_ENTRY(node, struct runner_task, node);
        add_entry(w, &t->report, t->job);
    }
    r->beat.write = w;
    if (store_write_later(r->store, &w->write) == OK)
        return;
    r->beat.write = NULL;
    write_free(w);
}

int64_t runner_beat_turn(struct runner *r)
{
    int64_t now_ms = clock_mono_ms();
    struct runner_beat_write *w = take_done(r);
    if (w) {
        obey(r, w);
        write_free(w);
    }
    if (list_is_empty(&r->running)) {
        r->beat.due_ms = 0;
        return INT64_MAX;
    }
    if (r->beat.due_ms == 0) // the first of them has just begun
        r->beat.due_ms = now_ms + BEAT_MS;
    if (now_ms >= r->beat.due_ms) {
        r->beat.due_ms = now_ms + BEAT_MS;
        if (!r->beat.write)
            start(r);
    }
    return r->beat.due_ms - now_ms;
}

void runner_beat_end(struct runner *r)
{
    pthread_mutex_lock(&r->mutex);
    while (r->beat.write && !r->beat.is_done)
        pthread_cond_wait(&r->beat_done, &r->mutex);
    pthread_mutex_unlock(&r->mutex);
    if (r->beat.write)
        write_free(r->beat.write);
    r->beat.write = NULL;
}
