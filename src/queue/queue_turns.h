/* queue_turns.h -- when a job shall come again that an async handler has no room for now.
 *
 * What a handler takes in hand is bounded, so that a crowd for one receiver leaves room for others'
 * jobs. Who finds no room goes back to the queue until its turn should be: the line's end moves on
 * by the time that a job takes, so that each goes back about once, and the order stays.
 */
#ifndef QUEUE_TURNS_H
#define QUEUE_TURNS_H

#include "queue/queue.h"

struct queue_turns {
    int64_t end_ms;  // when whoever is sent back now has its turn; monotonic
    int64_t pace_ms; // what a job takes
};

/* The delay until the next turn, at not_before_ms (monotonic) or later. */
int64_t queue_turns_take(struct queue_turns *t, int64_t not_before_ms);
/* A job took so long, or made room after so long. */
void queue_turns_note(struct queue_turns *t, int64_t took_ms);
/* Are there turns before a job that comes now? A new one waits behind those who were sent back. */
bool queue_turns_are_before(const struct queue_turns *t, const struct queue_job *job);

#endif
