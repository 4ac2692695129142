#include "runner/runner_task.h"

#include "core/check.h"
#include "core/clock.h"
#include "runner/runner_line.h"
#include "runner/runner_process.h"
#include "runner/runner_push.h"

struct runner_task *runner_task_new(struct runner_lane *lane, struct queue_job *job)
{
    struct runner_task *t = ARENA_NEW(&job->arena, struct runner_task);
    t->job = job;
    t->lane = lane;
    t->timeout_ms = job->timeout_ms > 0 ? job->timeout_ms : lane->handler->timeout_ms;
    list_init(&t->node);
    runner_report_init(&t->report);
    buf_init(&t->result, RUNNER_LINE_MAX_RESULT_BYTES);
    return t;
}

void runner_task_begin(struct runner_task *t)
{
    t->began_ms = clock_mono_ms();
    t->deadline_ms = t->began_ms + t->timeout_ms;
    list_append(&t->lane->runner->running, &t->node);
    t->lane->running++;
}

/* Where the commit finds it. */
static void keep_for_commit(const struct runner_task *t)
{
    struct str *result = ARENA_NEW(&t->job->arena, struct str);
    *result = arena_str(&t->job->arena,
                        (struct str){(const char *)buf_head(&t->result), buf_len(&t->result)});
    t->job->user = result;
}

/* Also a handler that names the time of its next try has only so many. */
static bool is_last_try(const struct runner_task *t, const struct queue_end *end)
{
    int max = t->job->max_attempts > 0 ? t->job->max_attempts : t->lane->handler->max_attempts;
    return end->verdict == QUEUE_RETRY && end->delay_ms != QUEUE_BACKOFF &&
           t->job->attempt + 1 >= max;
}

void runner_task_finish(struct runner_task *t, const struct queue_end *end)
{
    struct queue_job *job = t->job;
    struct runner_lane *lane = t->lane;
    struct queue_end last = *end;
    if (is_last_try(t, end))
        last.verdict = QUEUE_BURY;
    list_remove(&t->node);
    if (t->began_ms > 0) {
        lane->running--;
        queue_turns_note(&lane->turns,
                         (clock_mono_ms() - t->began_ms) / lane->handler->concurrency);
        runner_beat_write_last(&t->report, lane->runner->store, job);
    }
    job->user = NULL;
    if (end->verdict == QUEUE_DONE && buf_len(&t->result) > 0)
        keep_for_commit(t);
    runner_report_done(&t->report);
    buf_done(&t->result);
    queue_finish(job, &last);
}

void runner_task_send_back(struct runner_task *t, int64_t delay_ms)
{
    runner_task_finish(t, &(struct queue_end){.verdict = QUEUE_SNOOZE, .delay_ms = delay_ms});
}

void runner_task_doom(struct runner_task *t, enum runner_fate fate, int64_t kill_at_ms)
{
    if (t->fate != RUNNER_RUNS)
        return;
    t->fate = fate;
    t->kill_at_ms = kill_at_ms;
    if (!t->process)
        runner_push_cancel(t);
    else if (fate == RUNNER_LOST || fate == RUNNER_TIMED_OUT)
        runner_process_kill(t->process);
    else
        runner_process_cancel(t->process);
}

struct str runner_task_where(const struct runner_task *t)
{
    const struct buf *progress = &t->report.progress;
    if (buf_len(progress) == 0)
        return STR("");
    return arena_printf(&t->job->arena, ", at %.*s", (int)buf_len(progress),
                        (const char *)buf_head(progress));
}

void runner_task_meet_fate(struct runner_task *t)
{
    struct queue_end end = {.verdict = QUEUE_SNOOZE, .why = t->why};
    CHECK(t->fate != RUNNER_RUNS);
    if (t->fate == RUNNER_TIMED_OUT || t->fate == RUNNER_TALKED_NONSENSE) {
        end.verdict = QUEUE_RETRY;
        end.delay_ms = QUEUE_BACKOFF;
    } else if (t->fate == RUNNER_CANCELLED) {
        end.verdict = QUEUE_DISCARD;
        end.why = STR("cancelled by an operator");
    } // else it goes back: stopped; or the fence refuses whatever we say: lost
    runner_task_finish(t, &end);
}

/* ---- what the handler says ---- */

static const enum queue_verdict verdicts[] = {
    [RUNNER_DONE] = QUEUE_DONE,       [RUNNER_RETRY] = QUEUE_RETRY, [RUNNER_SNOOZE] = QUEUE_SNOOZE,
    [RUNNER_DISCARD] = QUEUE_DISCARD, [RUNNER_DEAD] = QUEUE_BURY,
};

static void end(struct runner_task *t, const struct runner_line *line)
{
    const struct queue_end end = {
        .verdict = verdicts[line->outcome],
        .delay_ms =
            line->outcome == RUNNER_RETRY && line->delay_ms < 0 ? QUEUE_BACKOFF : line->delay_ms,
        .why = line->text.len > 0 ? line->text : STR("the handler says no more"),
    };
    if (t->fate != RUNNER_RUNS && line->outcome != RUNNER_DONE) // it gave up, as it was asked to
        runner_task_meet_fate(t);
    else
        runner_task_finish(t, &end);
}

static enum err keep_result(struct runner_task *t, struct str result)
{
    buf_consume(&t->result, buf_len(&t->result));
    return buf_append(&t->result, result.at, result.len);
}

enum err runner_task_hear(struct runner_task *t, struct str text, bool *is_over_out,
                          struct str *why_out)
{
    struct arena a; // a handler may talk for hours
    struct runner_line line;
    struct str why = STR("");
    *is_over_out = false;
    arena_init(&a);
    enum err err = runner_line_parse(text, &a, &line, &why);
    if (!err && line.id != t->job->id) {
        why = STR("nonsense from the handler: the id is of another job");
        err = ERR_INVALID;
    }
    if (!err && line.result.at)
        err = keep_result(t, line.result);
    if (!err && line.type == RUNNER_LINE_PROGRESS)
        runner_report_progress(&t->report, line.percent, line.text);
    if (!err && line.type == RUNNER_LINE_LOG)
        runner_report_log(&t->report, line.text);
    if (err) {
        *why_out = arena_str(&t->job->arena, why);
    } else if (line.type == RUNNER_LINE_END) {
        line.text = arena_str(&t->job->arena, line.text);
        *is_over_out = true;
        end(t, &line);
    }
    arena_done(&a);
    return err;
}
