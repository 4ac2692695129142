/* app_runner.h -- the handlers of --handlers FILE: reads the file, and in a server serves the
 * queues that it names beside the default one. */
#ifndef APP_RUNNER_H
#define APP_RUNNER_H

#include <stddef.h>

#include "queue/queue.h"
#include "runner/runner_conf.h"
#include "runner/runner_spawner.h"

struct app_runner;

/* Queues that have the handler of tests (app_test_jobs.h), each a process; the names live on. */
struct app_runner_tests {
    const char *const *queues;
    size_t count;
};
enum { APP_RUNNER_MAX_TEST_QUEUES = RUNNER_SPAWNER_MAX_CHILDREN - RUNNER_CONF_MAX_PROCESSES };

/* Reads the file ("": there are none), adds the handlers of tests, and forks the spawner: before
 * the process has threads. *out is NULL when there is nothing to do. why_out: a sentence for the
 * operator. */
MUST_USE enum err app_runner_new(const char *file, const struct app_runner_tests *tests,
                                 struct app_runner **out, char *why_out, size_t why_cap);
/* As of runner.h. All that follow accept NULL. */
size_t app_runner_kind_count(const struct app_runner *r, const char *queue);
void app_runner_keep_lines(struct app_runner *r);
void app_runner_bind(struct app_runner *r, const char *queue, struct queue_handler *out);
/* In a server: makes the other queues; before the store has its first write. */
void app_runner_build(struct app_runner *r, struct store *store, struct queue_seal *seal,
                      bool has_worker);
/* Starts the thread and the queues that were made; before the caller's queues start. */
MUST_USE enum err app_runner_start(struct app_runner *r, struct store *store);
/* Something may be ready. Any thread. */
void app_runner_wake(struct app_runner *r);
/* Before the caller's queues stop: no job begins any more, and what runs has wait_ms. Does not
 * block. */
void app_runner_stop(struct app_runner *r, int64_t wait_ms);
/* After the caller's queues stopped: stops the others and ends the thread and all processes, while
 * the store still works. False: jobs are left; see queue_stop. */
bool app_runner_end(struct app_runner *r);
/* After the end. */
void app_runner_free(struct app_runner *r);

#endif
