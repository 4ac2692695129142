/* runner_code.h -- what a handler in C that runs in a process of its own calls there.
 *
 * A bad pointer, a leak or an endless loop of such a handler ends or costs its own process only. It
 * has no database: what it finds out it hands over as a result, whose effects are written by the
 * commit of its struct runner_handler, in the server.
 */
#ifndef RUNNER_CODE_H
#define RUNNER_CODE_H

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

/* A job, as its handler's process has it. */
struct runner_call {
    int64_t id, epoch;
    int attempt; // 0 at the first run
    struct str kind, payload;
    struct arena arena; // the handler's memory for this run
    // private:
    struct runner_code_pipe *pipe;
};

/* OK: done. Else: tried again, and *why_out (in the arena or static) says why. */
typedef enum err runner_code_fn(struct runner_call *call, struct str *why_out);

/* Where the job stands; percent: 0 to 100, or -1. Shown to operators, and in the report of a crash.
 */
void runner_code_progress(struct runner_call *call, int percent, struct str text);
/* One line for the job's log. */
void runner_code_log(struct runner_call *call, struct str text);
/* JSON of at most 64 KiB; the last one counts. */
void runner_code_result(struct runner_call *call, struct str json);
/* Shall it be given up? Cheap; ask between two pieces of work. */
bool runner_code_is_cancelled(struct runner_call *call);

/* Takes jobs from descriptor 0 until its end; answers go to descriptor 1. For the spawner. ctx: the
 * runner_code_fn, through a pointer to it. */
void runner_code_serve(const void *ctx);

#endif
