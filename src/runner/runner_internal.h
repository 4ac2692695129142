/* runner_internal.h -- what the files of the module share. Everything here belongs to the runner's
 * thread, unless it says otherwise. */
#ifndef RUNNER_INTERNAL_H
#define RUNNER_INTERNAL_H

#include <pthread.h>

#include "core/list.h"
#include "post/post_loop.h"
#include "queue/queue_turns.h"
#include "runner/runner.h"
#include "runner/runner_beat.h"
#include "runner/runner_spawner.h"

/* A handler's entry and what it has in hand. */
struct runner_lane {
    struct runner *runner;
    const struct runner_handler *handler; // with no value left at its default
    size_t what;                          // in the spawner's table
    struct list line;                     // tasks that wait
    int waiting, running;                 // tasks
    struct list processes;                // alive
    int process_count;
    int failures; // in a row: no process could be started
    int64_t rest_until_ms;
    struct queue_turns turns;
    int64_t running_ms;      // how long the oldest runs already
    int coming;              // were called back, and have not come yet
    int64_t coming_until_ms; // nor are expected any more then
};

struct runner {
    struct runner_handler *handlers;
    struct runner_lane *lanes;
    size_t count;
    struct runner_spawn *spawns;
    struct runner_spawner *spawner; // NULL: there are no processes to start
    struct post_watch spawner_watch;
    struct post_loop *loop; // NULL: not started
    struct store *store;
    struct list running; // tasks
    bool keeps_lines;
    uint64_t last_process_id;
    struct runner_beat beat;

    pthread_mutex_t mutex; // guards what follows
    pthread_cond_t beat_done;
    int recalls;       // writes under way
    struct list inbox; // tasks
    bool is_stopping;
    int64_t stop_by_ms; // monotonic
};

#endif
