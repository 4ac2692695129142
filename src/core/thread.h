/* thread.h -- what every thread of ours needs beside pthread.h. */
#ifndef CORE_THREAD_H
#define CORE_THREAD_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "core/err.h"

/* Starts fn(arg) on a thread that no signal is given to: those are for the operator's thread. name:
 * at most 15 bytes, for ps and gdb. Join it. ERR_IO (logged): the system has no thread for us. */
MUST_USE enum err thread_start(pthread_t *out, const char *name, void *(*fn)(void *arg), void *arg);

/* A condition whose timed waits take thread_deadline's times, which no operator's hand on the clock
 * moves. */
void thread_cond_init(pthread_cond_t *cond);
struct timespec thread_deadline(int64_t wait_ms);

#endif
