/* io_pool.h -- threads for calls that block (password hashing, reads of the store, rendering).
 *
 * A task runs on some thread of the pool, then its on_done is run on the loop it came from.
 */
#ifndef IO_POOL_H
#define IO_POOL_H

#include "core/err.h"
#include "io/io_loop.h"

struct io_pool;

struct io_job {
    struct io_job *next;  // private
    struct io_loop *home; // where on_done runs; NULL: on_done runs on the pool thread
    void (*run)(struct io_job *job);
    void (*on_done)(struct io_job *job);
    struct io_task back; // private
};

struct io_pool *io_pool_new(int threads, const char *name);
/* Runs what is queued, then joins the threads. The homes must still run. */
void io_pool_free(struct io_pool *p);

/* How many jobs may wait, instead of IO_POOL_MAX_QUEUED; before the first. */
void io_pool_limit(struct io_pool *p, size_t max_queued);

/* Any thread. ERR_AGAIN: as many jobs wait as may (answer 503). */
enum { IO_POOL_MAX_QUEUED = 10000 };
MUST_USE enum err io_pool_run(struct io_pool *p, struct io_job *job);

#endif
