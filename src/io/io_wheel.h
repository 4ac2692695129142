/* io_wheel.h -- the timers of one loop: a ring of lists, one per tick of IO_TIMER_TICK_MS.
 *
 *     slot 0   1   2   3 ...  2047        one round: 102.4 s
 *          |   |   |   |                  a timer due in a later round stays in its slot
 *          t-t     t                      until its tick has come
 *
 * Time comes in as an argument, so tests need no loop and no waiting. Pure but for the callbacks.
 */
#ifndef IO_WHEEL_H
#define IO_WHEEL_H

#include <stdint.h>

#include "io/io_loop.h"

enum { IO_WHEEL_SLOTS = 2048 };

struct io_wheel {
    struct list slots[IO_WHEEL_SLOTS];
    uint64_t used[IO_WHEEL_SLOTS / 64]; // bit set: the slot may hold timers
    int64_t done_tick;                  // every slot up to this tick has been run
    int64_t next_tick;                  // no timer is due before; INT64_MAX: none at all
};

void io_wheel_init(struct io_wheel *w, int64_t now_ms);

/* Starts or moves t, to be run at due_ms or at most one tick later. */
void io_wheel_start(struct io_wheel *w, struct io_timer *t, int64_t due_ms);

/* Runs every timer that is due at now_ms; they may start and stop any timer. */
void io_wheel_run(struct io_wheel *w, int64_t now_ms);

/* When io_wheel_run has something to look at next; INT64_MAX: never. */
int64_t io_wheel_next_ms(const struct io_wheel *w);

/* Forgets all timers without running them. */
void io_wheel_clear(struct io_wheel *w);

#endif
