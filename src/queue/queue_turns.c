#include "queue/queue_turns.h"

#include "core/clock.h"
#include "core/mem.h"
#include "queue/queue_internal.h"

enum {
    FIRST_CAP = 64,
    MIN_PACE_MS = 5,
    PACE_PART = 4,       // so much of a new measure goes into the pace
    MAX_AWAY_MS = 60000, // the pace may change, and whoever could call back end; longer for a crowd
};

static int64_t take(struct queue_turns *t, int64_t not_before_ms, int64_t pace_ms, int64_t max_ms)
{
    int64_t now_ms = clock_mono_ms();
    if (t->end_ms < now_ms)
        t->end_ms = now_ms;
    if (t->end_ms > now_ms + max_ms)
        t->end_ms = now_ms + max_ms;
    if (t->end_ms < not_before_ms)
        t->end_ms = not_before_ms;
    int64_t delay_ms = t->end_ms - now_ms;
    t->end_ms += pace_ms > MIN_PACE_MS ? pace_ms : MIN_PACE_MS;
    return delay_ms;
}

int64_t queue_turns_take(struct queue_turns *t, int64_t not_before_ms)
{
    return take(t, not_before_ms, t->pace_ms, INT64_MAX / 2);
}

void queue_turns_done(struct queue_turns *t)
{
    mem_free(t->away);
    *t = (struct queue_turns){0};
}

static struct queue_turn *turn_at(const struct queue_turns *t, size_t place)
{
    return &t->away[(t->first + place) % t->cap];
}

static void grow(struct queue_turns *t)
{
    size_t cap = t->cap > 0 ? t->cap * 2 : FIRST_CAP;
    struct queue_turn *away = mem_zalloc(cap * sizeof(*away));
    for (size_t i = 0; i < t->count; i++)
        away[i] = *turn_at(t, i);
    mem_free(t->away);
    t->away = away;
    t->first = 0;
    t->cap = cap;
}

/* They have come by themselves. */
static void forget_due(struct queue_turns *t)
{
    int64_t now_ms = clock_mono_ms();
    while (t->count > 0 && turn_at(t, 0)->due_ms <= now_ms) {
        t->first = (t->first + 1) % t->cap;
        t->count--;
    }
}

int64_t queue_turns_send(struct queue_turns *t, const struct queue_job *job, int64_t not_before_ms,
                         int64_t pace_ms)
{
    forget_due(t);
    int64_t max_ms = MAX_AWAY_MS + (int64_t)t->count * MIN_PACE_MS;
    int64_t delay_ms = take(t, not_before_ms, pace_ms, max_ms);
    if (t->count == t->cap && t->cap < QUEUE_TURNS_MAX_AWAY)
        grow(t);
    if (t->count < t->cap) // queue_release counts the epoch up
        *turn_at(t, t->count++) =
            (struct queue_turn){job->id, job->epoch + 1, clock_mono_ms() + delay_ms};
    return delay_ms;
}

size_t queue_turns_call(struct queue_turns *t, struct queue_turn *out, size_t cap)
{
    size_t count = 0;
    forget_due(t);
    while (t->count > 0 && count < cap) {
        out[count++] = *turn_at(t, 0);
        t->first = (t->first + 1) % t->cap;
        t->count--;
    }
    if (count > 0 && t->count == 0 && t->cap < QUEUE_TURNS_MAX_AWAY)
        t->end_ms = 0; // none is left behind them
    return count;
}

enum err queue_turns_recall(struct store_tx *tx, const struct queue_turn *turn)
{
    struct queue_row row;
    enum err err = queue_row_get(tx, turn->id, &row);
    if (err || row.state != QUEUE_SCHEDULED || row.epoch != turn->epoch)
        return err == ERR_NOT_FOUND ? OK : err;
    err = queue_row_make_due(tx, &row, store_now_ms(tx));
    return err ? err : queue_row_save(tx, &row, (struct str){0});
}

void queue_turns_note(struct queue_turns *t, int64_t took_ms)
{
    t->pace_ms += (took_ms - t->pace_ms) / PACE_PART;
}

bool queue_turns_are_before(const struct queue_turns *t, const struct queue_job *job)
{
    bool is_new = job->attempt == 0 && job->run_at_ms == job->created_at_ms;
    return is_new && clock_mono_ms() < t->end_ms;
}
