/* store_writer.c -- the thread that writes: it takes what waits and commits it as one group.
 *
 *     lanes NOW, LATER --> take_group --> BEGIN, each fn, COMMIT --> on_commit, on_dones
 *                                                           '--> tidy (checkpoint)
 *
 * A caller that may block writes on his own thread while nobody else does, a group of one
 * (store_writer_perform): so no thread has to wake for it, there and back. Whoever writes has
 * is_writing; the connection is his alone.
 *
 * There is no artificial delay: while one group is synced the next one gathers, so that the size of
 * the groups follows the load. The checkpoint comes after the answers: only the next group can feel
 * it.
 *
 * When COMMIT fails nothing of the group is acknowledged. When a sync failed, the process ends: see
 * store.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "store/store_internal.h"

enum {
    IDLE_MS = 50,     // nobody wrote for so long: time to checkpoint
    WATCH_MS = 1000,  // how late a server sees another process's writes
    LATER_GROUP = 32, // at most so many of LATER when nothing else waits
    LATER_PART = 8,   // beside answers: one to so many of them,
    LATER_LEAST = 4,  // and so many at least;
    FLOOD = 16,       // but where so many answers wait at once, the machine cannot do both:
    LATER_FLOOD = 2,  // then only so many, and the rest when it is over
};

static void lane_push(struct store_lane *lane, struct store_write *write)
{
    write->next = NULL;
    *lane->last = write;
    lane->last = &write->next;
    lane->count++;
}

static struct store_write *lane_shift(struct store_lane *lane)
{
    struct store_write *write = lane->first;
    if (!write)
        return NULL;
    lane->first = write->next;
    if (!lane->first)
        lane->last = &lane->first;
    lane->count--;
    return write;
}

static bool is_empty(const struct store_writer *w)
{
    return !w->lanes[STORE_NOW].first && !w->lanes[STORE_LATER].first;
}

/* How many of LATER a group takes beside so many answers: few, as answers that come meanwhile wait
 * for the whole group, and never none. */
static int later_share(int answers)
{
    if (answers == 0)
        return LATER_GROUP;
    return answers >= FLOOD ? LATER_FLOOD : answers / LATER_PART + LATER_LEAST;
}

/* Called with the mutex held. */
static void take_group(struct store_writer *w, struct store_lane *group)
{
    struct store_lane *now = &w->lanes[STORE_NOW], *later = &w->lanes[STORE_LATER];
    int max_now = STORE_MAX_GROUP - LATER_GROUP;
    while (group->count < max_now && now->first)
        lane_push(group, lane_shift(now));
    int max_later = later_share(group->count);
    for (int i = 0; i < max_later && later->first; i++)
        lane_push(group, lane_shift(later));
}

/* Runs one write's function. */
static enum err run_fn(struct store_conn *c, struct store_write *write)
{
    struct store_tx tx = {c, clock_unix_ms()};
    c->has_failed = false;
    enum err err = write->fn(&tx, write->arg);
    enum err broken = c->driver->settle(c);
    write->is_broken = c->has_failed;
    return err ? err : broken;
}

/* Runs one write in a savepoint, so that its failure is its own. */
static void run_saved(struct store_conn *c, struct store_write *write)
{
    const struct store_driver *driver = c->driver;
    enum err err = driver->save(c);
    if (err) {
        write->result = err;
        write->is_broken = true;
        return;
    }
    err = run_fn(c, write);
    if (!driver->lost(c)) {
        enum err closed = err ? driver->undo(c) : driver->release(c);
        write->is_broken |= !err && closed;
        if (!err)
            err = closed;
    }
    write->result = err;
}

/* Runs the writes without savepoints, which would copy each page that each of them changes: a write
 * that fails has usually changed nothing yet. False: one failed after it had changed something,
 * which only the end of the transaction can take back. */
static bool run_plain(struct store_conn *c, const struct store_lane *group)
{
    const struct store_driver *driver = c->driver;
    for (struct store_write *write = group->first; write && !driver->lost(c); write = write->next) {
        int64_t before = driver->total_changes(c);
        write->result = run_fn(c, write);
        if (write->result && !driver->lost(c) && driver->total_changes(c) != before)
            return false;
    }
    return true;
}

static void fail_all(const struct store_lane *group, enum err why)
{
    for (struct store_write *write = group->first; write; write = write->next) {
        if (write->result)
            continue;
        write->result = why;
        write->is_broken = true;
    }
}

static void forget_results(const struct store_lane *group)
{
    for (struct store_write *write = group->first; write; write = write->next)
        write->result = OK;
}

/* Begins the transaction of a group and runs its writes. When one of several has to be taken back,
 * all run again, each in a savepoint: store.h says that a function may. */
static enum err run_writes(struct store_conn *c, const struct store_lane *group)
{
    const struct store_driver *driver = c->driver;
    forget_results(group);
    enum err err = driver->begin(c, true);
    if (err || run_plain(c, group) || group->count == 1)
        return err ? err : driver->lost(c);
    driver->rollback(c);
    forget_results(group);
    err = driver->begin(c, true);
    if (err)
        return err;
    for (struct store_write *write = group->first; write && !driver->lost(c); write = write->next)
        run_saved(c, write);
    return driver->lost(c);
}

static bool is_soft(const struct store_lane *group)
{
    for (const struct store_write *write = group->first; write; write = write->next)
        if (!write->is_soft)
            return false;
    return true;
}

/* Runs the writes of a group in one transaction and leaves in each its result. True: the database
 * changed. */
static bool run_group(struct store_conn *c, const struct store_lane *group)
{
    const struct store_driver *driver = c->driver;
    bool is_changed = false;
    enum err err = run_writes(c, group);
    if (err || (group->count == 1 && group->first->result)) {
        driver->rollback(c); // harmless when it did not begin
        fail_all(group, err);
        return false;
    }
    err = is_soft(group) ? driver->commit_soft(c, &is_changed) : driver->commit(c, &is_changed);
    if (err)
        fail_all(group, err);
    return !err && is_changed;
}

static void tell(struct store_lane *group)
{
    for (struct store_write *write = group->first, *next; write; write = next) {
        next = write->next; // on_done may free it
        write->on_done(write, write->result);
    }
}

void store_writer_end_if_sync_lost(struct store_conn *c)
{
    if (!c->driver->is_sync_lost(c))
        return;
    log_error("at=store_writer.sync why=\"fsync failed: stopping, the next start reads the log on "
              "disk\"");
    abort();
}

static void count_group(struct store_writer *w, const struct store_lane *group, bool is_changed)
{
    int failed = 0;
    for (struct store_write *write = group->first; write; write = write->next)
        failed += write->result != OK;
    pthread_mutex_lock(&w->mutex);
    w->stats.groups += is_changed;
    w->stats.writes += group->count - failed;
    w->stats.failed += failed;
    pthread_mutex_unlock(&w->mutex);
}

static void commit_group(struct store_writer *w, struct store_lane *group)
{
    bool is_changed = run_group(w->conn, group);
    store_writer_end_if_sync_lost(w->conn); // before anybody goes on by what he is told
    count_group(w, group, is_changed);
    if (is_changed && w->on_commit)
        w->on_commit(w->on_commit_ctx);
    if (is_changed)
        store_peers_ring(w->peers);
    tell(group);
}

/* True: one was finished. */
static bool checkpoint(struct store_writer *w, bool is_idle)
{
    struct store_conn *c = w->conn;
    if (store_checkpointer_is_busy(&w->checkpointer))
        return false;
    bool is_done = c->driver->tidy(c, is_idle);
    store_writer_end_if_sync_lost(c);
    if (c->driver->must_checkpoint(c)) {
        store_checkpointer_wake(&w->checkpointer);
        return true;
    }
    return is_done;
}

/* Work between the groups: checkpoint, and a look at what other processes did. */
static void tidy(struct store_writer *w, bool is_idle)
{
    struct store_conn *c = w->conn;
    bool is_done = checkpoint(w, is_idle);
    if (is_idle && w->is_watching && c->driver->is_changed_elsewhere(c) && w->on_commit)
        w->on_commit(w->on_commit_ctx);
    pthread_mutex_lock(&w->mutex);
    w->stats.checkpoints += is_done;
    pthread_mutex_unlock(&w->mutex);
}

static int64_t patience_ms(const struct store_writer *w)
{
    if (!w->conn->driver->is_tidy(w->conn))
        return IDLE_MS;
    return w->is_watching ? WATCH_MS : 0;
}

/* With the mutex held, waits for the connection, and for a write or a time to tidy. */
static void wait_for_turn(struct store_writer *w)
{
    while (w->is_writing || (is_empty(w) && !w->is_closing)) {
        uint64_t turns = w->turns;
        int64_t max_ms = w->is_writing ? IDLE_MS : patience_ms(w);
        struct timespec end = thread_deadline(max_ms);
        w->is_waiting = true;
        w->is_resting = max_ms != IDLE_MS;
        int code = max_ms > 0 ? pthread_cond_timedwait(&w->wake, &w->mutex, &end)
                              : pthread_cond_wait(&w->wake, &w->mutex);
        w->is_waiting = false;
        if (code == ETIMEDOUT && !w->is_writing && w->turns == turns)
            return; // nobody wrote meanwhile
    }
}

static void *run(void *arg)
{
    struct store_writer *w = arg;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        struct store_lane group = {.last = &group.first};
        wait_for_turn(w);
        take_group(w, &group);
        if (!group.first && w->is_closing)
            break;
        w->is_writing = true;
        pthread_mutex_unlock(&w->mutex);
        if (group.first)
            commit_group(w, &group);
        tidy(w, !group.first);
        pthread_mutex_lock(&w->mutex);
        w->is_writing = false;
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

enum err store_writer_start(struct store_writer *w, struct store_conn *conn,
                            struct store_conn *reader, struct store_peers *peers, bool is_watching)
{
    *w = (struct store_writer){.conn = conn, .peers = peers, .is_watching = is_watching};
    if (store_checkpointer_start(&w->checkpointer, reader))
        return ERR_IO;
    for (int i = 0; i < STORE_LANES; i++)
        w->lanes[i].last = &w->lanes[i].first;
    pthread_mutex_init(&w->mutex, NULL);
    thread_cond_init(&w->wake);
    if (!thread_start(&w->thread, "writer", run, w))
        return OK;
    store_checkpointer_stop(&w->checkpointer);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mutex);
    return ERR_IO;
}

void store_writer_hear(void *writer)
{
    struct store_writer *w = writer;
    pthread_mutex_lock(&w->mutex);
    void (*fn)(void *ctx) = w->on_commit;
    void *ctx = w->on_commit_ctx;
    pthread_mutex_unlock(&w->mutex);
    if (fn)
        fn(ctx);
}

void store_writer_stop(struct store_writer *w)
{
    pthread_mutex_lock(&w->mutex);
    w->is_closing = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    CHECK(is_empty(w));
    store_checkpointer_stop(&w->checkpointer);
    w->checkpointer.conn->driver->close(w->checkpointer.conn);
    w->conn->driver->close(w->conn);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mutex);
}

enum err store_writer_submit(struct store_writer *w, int lane, struct store_write *write)
{
    enum err err = ERR_AGAIN;
    bool must_wake = false;
    pthread_mutex_lock(&w->mutex);
    if (!w->is_closing && w->lanes[lane].count < STORE_MAX_QUEUED) {
        lane_push(&w->lanes[lane], write);
        must_wake = w->is_waiting && !w->is_writing; // else whoever writes wakes it
        w->is_waiting &= !must_wake;                 // one call is enough
        err = OK;
    }
    pthread_mutex_unlock(&w->mutex);
    if (must_wake)
        pthread_cond_signal(&w->wake);
    return err;
}

enum err store_writer_perform(struct store_writer *w, int lane, struct store_write *write)
{
    struct store_lane group = {.last = &group.first};
    pthread_mutex_lock(&w->mutex);
    bool is_free = !w->is_writing && is_empty(w) && !w->is_closing;
    w->is_writing |= is_free;
    pthread_mutex_unlock(&w->mutex);
    if (!is_free)
        return store_writer_submit(w, lane, write);

    lane_push(&group, write);
    commit_group(w, &group);
    tidy(w, false);
    pthread_mutex_lock(&w->mutex);
    w->is_writing = false;
    w->turns++;
    if (w->is_waiting && (!is_empty(w) || w->is_resting))
        pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    return OK;
}
