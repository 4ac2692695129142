/* runner_process.h -- one process of a lane: what it is given and what it says. For the module's
 * own files.
 *
 *     IDLE <--> BUSY (task != NULL)
 *        \        \
 *         '--------'--> ending: retired (its input is closed, it may go) or killed --> ended
 */
#ifndef RUNNER_PROCESS_H
#define RUNNER_PROCESS_H

#include "runner/runner_task.h"

/* Starts one. NULL: the system refuses (logged). */
struct runner_process *runner_process_new(struct runner_lane *lane);
/* One that has nothing to do and may do something; NULL: none. */
struct runner_process *runner_process_find_idle(struct runner_lane *lane);
/* Gives it the task, which has begun. */
void runner_process_take(struct runner_process *p, struct runner_task *t);
/* Asks it to give up its task. */
void runner_process_cancel(struct runner_process *p);
void runner_process_kill(struct runner_process *p);
/* Hears what it has said by now. False: its task has ended by that. */
bool runner_process_hear(struct runner_process *p);
/* Lets it go: it sees the end of its input, and is killed when it does not end. Not while it has a
 * task. */
void runner_process_retire(struct runner_process *p);
/* Kills those that were let go and stay. Returns the milliseconds until it may have to again. */
int64_t runner_process_sweep(struct runner_lane *lane);
/* It is dead: ends its task and forgets it. False: there is no such process any more. */
bool runner_process_on_end(struct runner *r, const struct runner_end *end);
/* Forgets all of them; their tasks go back to the queue. */
void runner_process_free_all(struct runner_lane *lane);

#endif
