/* queue_scheduler.h -- the thread that watches the clock for periodic jobs.
 *
 * Each process that runs jobs has one; none leads (queue_periodic.h). It sleeps until the next
 * tick, and looks once a second whether another process has declared something: one read of a small
 * table.
 */
#ifndef QUEUE_SCHEDULER_H
#define QUEUE_SCHEDULER_H

#include "store/store.h"

struct queue_scheduler;

struct queue_scheduler *queue_scheduler_new(struct store *store);
MUST_USE enum err queue_scheduler_start(struct queue_scheduler *s);
/* Blocks until a look that is under way has ended. */
void queue_scheduler_stop(struct queue_scheduler *s);
void queue_scheduler_free(struct queue_scheduler *s); // stopped, or never started; NULL is accepted

#endif
