/* app_worker.h -- a process that only runs jobs, beside a server of the same data directory, beside
 * others of its kind, or alone.
 *
 * It claims only kinds that it has handlers for: those of the product stay with the server, whose
 * sockets their announcements go to.
 */
#ifndef APP_WORKER_H
#define APP_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum { APP_WORKER_MAX_QUEUES = 32 };

struct app_worker_options {
    const char *data;      // directory
    const char *queues;    // "mail,images"
    const char *handlers;  // JSON file of handlers of jobs, or ""
    const char *seal_keys; // as app_options
    const char *metrics;   // address or port to serve /metrics on, or ""
    const char *periodic;  // file of periodic jobs (app_periodic.h), or ""
    int concurrency;       // jobs of each queue at once, of handlers in C
    bool has_test_jobs;    // as app_options; else when the database has their table
    int64_t lease_ms;      // how soon others take over what a process that hangs has in hand
    int64_t drain_ms;      // how long jobs may take to finish at the end
    int max_jobs;          // ends after so many; 0: no end
    int max_memory_mib;    // ends when it takes more; 0: no end
};

enum app_worker_end { APP_WORKER_STOP, APP_WORKER_LIMIT, APP_WORKER_RESTART };

/* Works until SIGTERM, SIGINT or one of the limits, or until SIGHUP, after which the caller starts
 * anew. What does not finish in time goes back to its queue, and the process ends with status 1. On
 * failure why_out has one sentence for the operator. */
MUST_USE enum err app_worker_run(const struct app_worker_options *options,
                                 enum app_worker_end *end_out, char *why_out, size_t why_cap);

#endif
