/* runner_push.h -- a job as a POST to somebody's server. For the module's own files.
 *
 * The payload is the body. What the answer means: docs/queue-handlers.md. */
#ifndef RUNNER_PUSH_H
#define RUNNER_PUSH_H

#include "runner/runner_task.h"

/* Posts the task, which has begun; when that cannot be, it goes back to the queue. */
void runner_push_begin(struct runner_task *t);
/* The POST is over; t is gone. */
void runner_push_end(struct runner_task *t, CURLcode result);
/* Gives the POST up; t meets its fate. */
void runner_push_cancel(struct runner_task *t);

#endif
