#include "runner/runner_recall.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

enum {
    MAX_LINE = 32,   // of a lane: the queue's other kinds need places in hand too
    LINE_MS = 1000,  // so long does the last in line wait
    COMING_MS = 300, // so long are those expected that were called; others may take them
};

struct recall {
    struct store_write write; // first: on_done casts back
    struct runner_lane *lane;
    size_t count;
    struct queue_turn turns[MAX_LINE];
};

int64_t runner_recall_pace_ms(const struct runner_lane *lane)
{
    int64_t running_ms = lane->running_ms / lane->handler->concurrency;
    return lane->turns.pace_ms > running_ms ? lane->turns.pace_ms : running_ms;
}

int runner_recall_line(const struct runner_lane *lane)
{
    int64_t pace_ms = lane->runner->keeps_lines ? 0 : runner_recall_pace_ms(lane);
    int64_t line = pace_ms > 0 ? LINE_MS / pace_ms : MAX_LINE;
    return line < 1 ? 1 : line < MAX_LINE ? (int)line : MAX_LINE;
}

static enum err recall_fn(struct store_tx *tx, void *arg)
{
    const struct recall *call = arg;
    enum err err = OK;
    for (size_t i = 0; i < call->count && !err; i++)
        err = queue_turns_recall(tx, &call->turns[i]);
    return err;
}

static void on_recalled(struct store_write *write, enum err err)
{
    struct recall *call = (struct recall *)(void *)write;
    struct runner *r = call->lane->runner;
    if (err)
        log_warn("at=runner_recall.write why=\"%s\"", err_text(err)); // they come when they are due
    mem_free(call);
    pthread_mutex_lock(&r->mutex);
    r->recalls--;
    pthread_cond_signal(&r->beat_done);
    pthread_mutex_unlock(&r->mutex);
}

static void count_recall(struct runner *r, int change)
{
    pthread_mutex_lock(&r->mutex);
    r->recalls += change;
    pthread_mutex_unlock(&r->mutex);
}

static void call_back(struct runner_lane *lane, size_t cap)
{
    struct runner *r = lane->runner;
    struct recall *call = MEM_NEW(struct recall);
    call->lane = lane;
    call->count = queue_turns_call(&lane->turns, call->turns, cap);
    if (call->count == 0) { // they have come by themselves
        mem_free(call);
        return;
    }
    lane->coming = (int)call->count;
    lane->coming_until_ms = clock_mono_ms() + COMING_MS;
    // What a loss of power takes back comes when it is due.
    call->write =
        (struct store_write){.fn = recall_fn, .arg = call, .on_done = on_recalled, .is_soft = true};
    count_recall(r, 1);
    if (store_write_later(r->store, &call->write) == OK)
        return;
    count_recall(r, -1); // the store is closing
    mem_free(call);
}

int64_t runner_recall_some(struct runner_lane *lane)
{
    int64_t now_ms = clock_mono_ms();
    int line = runner_recall_line(lane);
    if (now_ms >= lane->coming_until_ms)
        lane->coming = 0;
    if (lane->turns.count == 0 || lane->waiting > line / 2) // the end of one comes first
        return INT64_MAX;
    if (now_ms < lane->rest_until_ms)
        return lane->rest_until_ms - now_ms;
    if (lane->waiting + lane->coming > line / 2)
        return lane->coming_until_ms - now_ms;
    call_back(lane, (size_t)(line - lane->waiting));
    return COMING_MS;
}

void runner_recall_note(struct runner_lane *lane)
{
    if (lane->coming > 0)
        lane->coming--;
}

void runner_recall_end(struct runner *r)
{
    pthread_mutex_lock(&r->mutex);
    while (r->recalls > 0)
        pthread_cond_wait(&r->beat_done, &r->mutex);
    pthread_mutex_unlock(&r->mutex);
}
