/* runner_conf.h -- handlers from a file, for those who have no C: docs/queue-handlers.md.
 *
 * A JSON array of objects, each with "kind" and one of "program" and "url". A key that is unknown
 * is refused: a misspelt limit must not pass for one.
 */
#ifndef RUNNER_CONF_H
#define RUNNER_CONF_H

#include "runner/runner.h"

/* Processes of all programs together: a few of RUNNER_SPAWNER_MAX_CHILDREN are for handlers in C.
 */
enum {
    RUNNER_CONF_MAX_BYTES = 1024 * 1024,
    RUNNER_CONF_MAX_HANDLERS = 200,
    RUNNER_CONF_MAX_PROCESSES = 90,
};

/* text: the file. What *out points to lives in the arena. ERR_INVALID: *why_out (in the arena) says
 * in a sentence what is wrong. */
MUST_USE enum err runner_conf_read(struct str text, struct arena *a, struct runner_handler **out,
                                   size_t *count_out, struct str *why_out);

#endif
