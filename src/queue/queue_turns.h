/* queue_turns.h -- when a job shall come again that an async handler has no room for now.
 *
 * What a handler takes in hand is bounded, so that a crowd for one receiver leaves room for others'
 * jobs. Who finds no room goes back to the queue until its turn should be: the line's end moves on
 * by the time that a job takes, so that each goes back about once, and the order stays. When there
 * is room sooner than was thought, those who would come first are called back.
 */
#ifndef QUEUE_TURNS_H
#define QUEUE_TURNS_H

#include "queue/queue.h"

/* One that was sent back. */
struct queue_turn {
    int64_t id, epoch, due_ms; // its epoch since then; monotonic
};

/* 0 at the beginning. */
struct queue_turns {
    int64_t end_ms;  // when whoever is sent back now has its turn; monotonic
    int64_t pace_ms; // what a job takes
    // private: a ring of those who are away, in order
    struct queue_turn *away;
    size_t first, count, cap;
};
enum { QUEUE_TURNS_MAX_AWAY = 64 * 1024 }; // those behind them come when they are due

void queue_turns_done(struct queue_turns *t);

/* The delay until the next turn, at not_before_ms (monotonic) or later. */
int64_t queue_turns_take(struct queue_turns *t, int64_t not_before_ms);
/* The same for a job that is sent back now and can be called back, by a pace that may be guessed;
 * up to a minute and 5 ms for each that is away. */
int64_t queue_turns_send(struct queue_turns *t, const struct queue_job *job, int64_t not_before_ms,
                         int64_t pace_ms);
/* Takes out up to cap of the first who are away; how many. */
size_t queue_turns_call(struct queue_turns *t, struct queue_turn *out, size_t cap);
/* Makes such a job ready now, if it is as it was then. */
MUST_USE enum err queue_turns_recall(struct store_tx *tx, const struct queue_turn *turn);
/* A job took so long, or made room after so long. */
void queue_turns_note(struct queue_turns *t, int64_t took_ms);
/* Are there turns before a job that comes now? A new one waits behind those who were sent back. */
bool queue_turns_are_before(const struct queue_turns *t, const struct queue_job *job);

#endif
