/* app_test_jobs.h -- jobs for black-box tests of the queue (serve --test-jobs).
 *
 *     test.effect {"id","sleep_ms"}  sleeps, then writes a row of test_effect as its effect
 *     test.fail   {"times"}          fails so often, then succeeds
 *     test.sleep  {"ms"}             sleeps
 *     test.crash  {"signal"}         ends its process by the signal, 9 or "SIGKILL": a process of
 * its own (runner/runner.h), as handlers that may crash should have
 */
#ifndef APP_TEST_JOBS_H
#define APP_TEST_JOBS_H

#include "queue/queue.h"
#include "runner/runner.h"

extern const struct queue_handler app_test_jobs[];
extern const size_t app_test_jobs_count;
extern const struct runner_handler app_test_jobs_crash;

/* Makes the table test_effect (job_id, id, at): at in unix milliseconds, no key, so that an effect
 * that happens twice shows. */
MUST_USE enum err app_test_jobs_start(struct store *store);
/* Has the database that table? */
MUST_USE enum err app_test_jobs_find(struct store *store, bool *out);

#endif
