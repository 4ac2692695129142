/* failpoint.h -- named points in the code at which a test ends the process.
 *
 *     enum err err = FAILPOINT("queue.ack", run_ack(tx, job));
 *
 * passes "queue.ack.before", calls run_ack, passes "queue.ack.after". Every call to the disk and
 * every change of a job's state passes one, so that a driver can list what a scenario passes and
 * kill it at each (tests/proof, docs/failpoints.md). They are in every build, the released one too:
 * unarmed a point costs one load and one predictable branch (docs/decisions/0015).
 */
#ifndef CORE_FAILPOINT_H
#define CORE_FAILPOINT_H

#include <stdbool.h>

/* Hears of each pass, on the thread that passes. name is a literal. It must not pass a point. */
typedef void failpoint_fn(const char *name, void *ctx);

/* Tests only, while no other thread passes points: fn hears of every pass from now on; NULL:
 * nobody.
 */
void failpoint_listen(failpoint_fn *fn, void *ctx);

/* Tests only, as failpoint_listen, whose place it takes: the process dies by SIGKILL when it passes
 * name for the nth time (1: the first). name must stay. */
void failpoint_kill_at(const char *name, int nth);

/* Private, for failpoint_pass. */
extern bool failpoint_is_armed;
void failpoint_tell(const char *name);

/* A point of a handler of one's own, for example. Any thread. */
static inline void failpoint_pass(const char *name)
{
    if (__builtin_expect(__atomic_load_n(&failpoint_is_armed, __ATOMIC_RELAXED), false))
        failpoint_tell(name);
}

/* The value of the expression, with a point before and one after it. */
#define FAILPOINT(name, expression)                                                                \
    __extension__({                                                                                \
        failpoint_pass(name ".before");                                                            \
        __typeof__(expression) value_of_point_ = (expression);                                     \
        failpoint_pass(name ".after");                                                             \
        value_of_point_;                                                                           \
    })

#endif
