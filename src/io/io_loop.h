/* io_loop.h -- one event loop (libuv underneath), its timers, and the way into it from other
 * threads.
 *
 * A loop belongs to the thread that runs it. Everything here is for that thread, except
 * io_loop_post and io_loop_stop. One turn: poll for events, run their callbacks, run posted tasks,
 * then the turn-end hooks (gathered writes leave here), then free what was closed.
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <stdint.h>

#include "core/list.h"

struct io_loop;
typedef struct uv_loop_s uv_loop_t; // as <uv.h> says it

/* Work for a loop, embedded in its owner: posting allocates nothing. */
struct io_task {
    struct io_task *next; // private
    void (*run)(struct io_task *task);
};

/* index: 0.. among the loops of this process. */
struct io_loop *io_loop_new(int index);
/* After io_loop_run returned, when no other thread posts any more. Runs what was posted last,
 * closes what is left (their on_closed is called). */
void io_loop_free(struct io_loop *l);

/* Runs until io_loop_stop; the calling thread becomes the owner. */
void io_loop_run(struct io_loop *l);
void io_loop_stop(struct io_loop *l); // any thread

/* Runs task->run on the loop's thread, in the order of posting for each poster. Any thread. The
 * task must not be posted again before it runs. */
void io_loop_post(struct io_loop *l, struct io_task *task);

int io_loop_index(const struct io_loop *l);
/* clock_mono_ms as of this turn. */
int64_t io_loop_now_ms(const struct io_loop *l);
uv_loop_t *io_loop_uv(struct io_loop *l); // io only

/* The shared buffer into which connections of this loop read: IO_LOOP_READ_BYTES. io only. */
enum { IO_LOOP_READ_BYTES = 64 * 1024 };
uint8_t *io_loop_read_buffer(struct io_loop *l);

/* Called at the end of every turn, in the order of registration. The hook is the caller's and lives
 * as long as the loop. */
struct io_hook {
    struct list node;
    void (*run)(struct io_hook *hook);
};
void io_loop_add_hook(struct io_loop *l, struct io_hook *hook);

/* ---- what a higher module keeps once a loop ----
 * The loop's own one of that kind: made when it is first asked for, freed after the loop's
 * connections were. */
struct io_loop_local {
    void *(*make)(void);
    void (*free)(void *local);
};
void *io_loop_get_local(struct io_loop *l, const struct io_loop_local *kind);

/* ---- timers: a wheel; start and stop are O(1) ----
 * One-shot. Granularity IO_TIMER_TICK_MS: fires 0 to 2 ticks late, never early. 40 bytes. */
enum { IO_TIMER_TICK_MS = 50 };

struct io_timer {
    struct list node;
    int64_t due_ms;
    void (*on_due)(struct io_timer *t);
};

void io_timer_init(struct io_timer *t, void (*on_due)(struct io_timer *t));
/* Starts, or moves, the timer. */
void io_timer_start(struct io_loop *l, struct io_timer *t, int64_t delay_ms);
void io_timer_stop(struct io_timer *t);

#endif
