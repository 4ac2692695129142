#include "queue/queue_turns.h"

#include "core/clock.h"

enum { MIN_PACE_MS = 5, PACE_PART = 4 /* how much of a new measure goes into the pace */ };

int64_t queue_turns_take(struct queue_turns *t, int64_t not_before_ms)
{
    int64_t now_ms = clock_mono_ms();
    if (t->end_ms < now_ms)
        t->end_ms = now_ms;
    if (t->end_ms < not_before_ms)
        t->end_ms = not_before_ms;
    int64_t delay_ms = t->end_ms - now_ms;
    t->end_ms += t->pace_ms > MIN_PACE_MS ? t->pace_ms : MIN_PACE_MS;
    return delay_ms;
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
