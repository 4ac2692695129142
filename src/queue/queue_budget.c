#include "queue/queue_budget.h"

#include "core/clock.h"

enum {
    COST = 100, // of a retry, in hundredths
    MAX_SAVED = 10 * COST * QUEUE_BUDGET_RETRIES_PER_S,
    WINDOW_MS = 1000,
};

static void earn(struct queue_budget *b, int64_t hundredths)
{
    b->earned += hundredths;
    b->saved += hundredths;
    if (b->saved > MAX_SAVED)
        b->saved = MAX_SAVED;
}

static void earn_by_time(struct queue_budget *b)
{
    int64_t now_ms = clock_mono_ms();
    int64_t ms = b->filled_at_ms > 0 ? now_ms - b->filled_at_ms : MAX_SAVED;
    b->filled_at_ms = now_ms;
    earn(b, (ms < MAX_SAVED ? ms : MAX_SAVED) * COST * QUEUE_BUDGET_RETRIES_PER_S / 1000);
    if (now_ms - b->earned_from_ms < WINDOW_MS)
        return;
    int64_t per_s = b->earned * 1000 / (now_ms - b->earned_from_ms);
    b->line.pace_ms =
        per_s > 0 ? INT64_C(1000) * COST / per_s : WINDOW_MS / QUEUE_BUDGET_RETRIES_PER_S;
    b->earned = 0;
    b->earned_from_ms = now_ms;
}

bool queue_budget_take(struct queue_budget *b, bool is_retry, int64_t *delay_ms_out)
{
    if (b->percent == 0)
        return true;
    earn_by_time(b);
    if (!is_retry)
        earn(b, b->percent);
    else if (b->saved >= COST)
        b->saved -= COST;
    else {
        *delay_ms_out = queue_turns_take(&b->line, 0);
        return false;
    }
    return true;
}
