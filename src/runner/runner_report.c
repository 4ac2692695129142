#include "runner/runner_report.h"

#include <string.h>

#include "core/check.h"
#include "runner/runner_line.h"

enum { MAX_LOG_BYTES = 16 * 1024 };

void runner_report_init(struct runner_report *r)
{
    buf_init(&r->progress, RUNNER_LINE_MAX_TEXT_BYTES + 8);
    buf_init(&r->log, MAX_LOG_BYTES);
}

void runner_report_done(struct runner_report *r)
{
    buf_done(&r->progress);
    buf_done(&r->log);
}

void runner_report_progress(struct runner_report *r, int percent, struct str text)
{
    enum err err = OK;
    buf_consume(&r->progress, buf_len(&r->progress));
    if (percent >= 0)
        err = buf_printf(&r->progress, text.len > 0 ? "%d %% " : "%d %%", percent);
    if (!err)
        err = buf_append(&r->progress, text.at, text.len);
    CHECK(err == OK); // the longest text fits
    r->percent = percent;
    r->has_progress = true;
}

static void drop_oldest(struct runner_report *r)
{
    const uint8_t *end = memchr(buf_head(&r->log), '\n', buf_len(&r->log));
    buf_consume(&r->log, (size_t)(end - buf_head(&r->log)) + 1);
    r->dropped++;
}

/* A line break inside it begins a line of its own. */
void runner_report_log(struct runner_report *r, struct str text)
{
    while (text.len + 1 > r->log.max - buf_len(&r->log))
        drop_oldest(r);
    CHECK(buf_append(&r->log, text.at, text.len) == OK && buf_append(&r->log, "\n", 1) == OK);
}

bool runner_report_has_news(const struct runner_report *r)
{
    return r->has_progress || buf_len(&r->log) > 0;
}

static struct str copy_of(const struct buf *b, struct arena *a)
{
    return arena_str(a, (struct str){(const char *)buf_head(b), buf_len(b)});
}

struct queue_report runner_report_take(struct runner_report *r, struct arena *a)
{
    struct queue_report out = {.percent = r->percent};
    if (r->has_progress)
        out.progress = copy_of(&r->progress, a);
    if (buf_len(&r->log) > 0)
        out.log = copy_of(&r->log, a);
    if (r->dropped > 0)
        out.log = arena_printf(a, "(%d lines left out)\n%.*s", r->dropped, STR_ARG(out.log));
    r->has_progress = false;
    r->dropped = 0;
    buf_consume(&r->log, buf_len(&r->log));
    return out;
}
