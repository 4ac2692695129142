/* runner_recall.h -- those who were sent back come sooner when there is room for them sooner. */
#ifndef RUNNER_RECALL_H
#define RUNNER_RECALL_H

#include "runner/runner_internal.h"

/* What a job takes: those that ended lately, and those that run. */
int64_t runner_recall_pace_ms(const struct runner_lane *lane);
/* How many may wait in line: no more than begin within about a second, since other processes could
 * run them meanwhile. */
int runner_recall_line(const struct runner_lane *lane);
/* Calls back as many as there is room for, if any are away. Returns the milliseconds until it has
 * to look again. */
int64_t runner_recall_some(struct runner_lane *lane);
/* One has come, called or not. */
void runner_recall_note(struct runner_lane *lane);
/* Waits for the writes that are under way. */
void runner_recall_end(struct runner *r);

#endif
