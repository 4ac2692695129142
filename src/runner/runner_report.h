/* runner_report.h -- what a handler has said of its job and the store does not have yet. For the
 * module's own files. */
#ifndef RUNNER_REPORT_H
#define RUNNER_REPORT_H

#include "core/arena.h"
#include "core/buf.h"
#include "queue/queue_report.h"

struct runner_report {
    struct buf progress; // text; empty: nothing was said yet
    int percent;         // -1: none
    bool has_progress;   // that the store does not have yet
    struct buf log;      // lines that the store does not have yet, each with its end
    int dropped;         // older lines for which there was no room
};

void runner_report_init(struct runner_report *r);
void runner_report_done(struct runner_report *r);
/* percent: -1: none. text: of at most RUNNER_LINE_MAX_TEXT_BYTES, as for the log. */
void runner_report_progress(struct runner_report *r, int percent, struct str text);
void runner_report_log(struct runner_report *r, struct str text);
bool runner_report_has_news(const struct runner_report *r);
/* What is new, in the arena; from then on it is not. */
struct queue_report runner_report_take(struct runner_report *r, struct arena *a);

#endif
