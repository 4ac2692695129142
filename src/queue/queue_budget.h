/* queue_budget.h -- how many of the runs that begin may be retries, so that a crowd of them, when
 * something is broken, does not take the place of jobs that would succeed.
 *
 * Each first run earns a part of a retry, time earns a few, each retry takes one (as the retry
 * budgets of RPC libraries do). Who finds none comes again when its turn should be. Each process
 * counts its own runs, in memory: nothing is written for those that go.
 */
#ifndef QUEUE_BUDGET_H
#define QUEUE_BUDGET_H

#include "queue/queue_turns.h"

enum { QUEUE_BUDGET_RETRIES_PER_S = 10 }; // go always

struct queue_budget {
    int percent;                          // of the first runs may be retried; 0: there is no budget
    int64_t saved;                        // in hundredths of a retry
    int64_t earned;                       // of those, since earned_from_ms: the pace of the line
    int64_t earned_from_ms, filled_at_ms; // monotonic
    struct queue_turns line;
};

/* May the run begin? False: again after *delay_ms_out. */
bool queue_budget_take(struct queue_budget *b, bool is_retry, int64_t *delay_ms_out);

#endif
