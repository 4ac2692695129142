/* runner_line.h -- the protocol between us and a handler's process: JSON lines, UTF-8, each an
 * object with a "type". docs/queue-handlers.md has it for those who write handlers.
 *
 *     to the process      job, cancel
 *     from the process    progress, log, result, end
 *
 * What comes is as little trusted as what comes from a network: a line that is not one of these is
 * nonsense, and ends the process.
 */
#ifndef RUNNER_LINE_H
#define RUNNER_LINE_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/str.h"
#include "queue/queue.h"

enum {
    RUNNER_LINE_MAX_BYTES = 128 * 1024, // of one that comes, with its end
    RUNNER_LINE_MAX_JOB_BYTES = 6 * QUEUE_MOST_PAYLOAD_BYTES + 4096, // every byte is escaped
    RUNNER_LINE_MAX_TEXT_BYTES = 1000, // of a progress, a log line, an error: longer ones are cut
    RUNNER_LINE_MAX_RESULT_BYTES = 64 * 1024,
};

enum runner_line_type {
    RUNNER_LINE_PROGRESS,
    RUNNER_LINE_LOG,
    RUNNER_LINE_RESULT,
    RUNNER_LINE_END,
};

/* How a handler says that its work ended. */
enum runner_outcome {
    RUNNER_DONE,
    RUNNER_RETRY,   // an error: again, by the back-off or after delay_ms
    RUNNER_SNOOZE,  // not tried at all: again after delay_ms
    RUNNER_DISCARD, // nothing to do any more
    RUNNER_DEAD,    // an error that no other try will mend
};

struct runner_line {
    enum runner_line_type type;
    int64_t id;        // of the job
    int percent;       // of a progress: 0 to 100, or -1
    struct str text;   // of a progress or log line; the error of an end; in the arena
    struct str result; // JSON, as it stands in the line; at NULL: none
    enum runner_outcome outcome;
    int64_t delay_ms; // -1: by the back-off
};

/* line: without its end. ERR_INVALID: nonsense; *why_out says what, in the arena. */
MUST_USE enum err runner_line_parse(struct str line, struct arena *a, struct runner_line *out,
                                    struct str *why_out);
/* Appends the line that gives a job to a process. The payload stands in it as it is when it is
 * JSON, and else as a string. ERR_TOO_LARGE. */
MUST_USE enum err runner_line_write_job(struct buf *out, const struct queue_job *job);
/* Appends the line that asks it to give the job up. */
MUST_USE enum err runner_line_write_cancel(struct buf *out, int64_t id);
/* text, cut to at most max bytes, between two characters; what is not UTF-8 is replaced. In the
 * arena. */
struct str runner_line_clean(struct str text, size_t max, struct arena *a);

#endif
