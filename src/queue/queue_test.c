#include "queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/failpoint.h"
#include "queue/queue_internal.h"
#include "queue/queue_worker.h"

/* ---- begin, run, end ---- */

enum err queue_test_begin_with(struct queue_test *t, struct store *store,
                               const struct queue_options *options,
                               const struct queue_handler *handlers, size_t count)
{
    CHECK(options->workers == 0);
    clock_test_stop();
    *t =
        (struct queue_test){store, queue_new(store, options, handlers, count), QUEUE_TEST_MAX_RUNS};
    enum err err = queue_start(t->queue);
    if (err)
        queue_test_end(t);
    return err;
}

enum err queue_test_begin(struct queue_test *t, struct store *store,
                          const struct queue_handler *handlers, size_t count)
{
    return queue_test_begin_with(t, store, &(struct queue_options){0}, handlers, count);
}

void queue_test_end(struct queue_test *t)
{
    queue_free(t->queue);
    t->queue = NULL;
}

int64_t queue_test_run_due(struct queue_test *t)
{
    return queue_worker_run_due(t->queue, t->max_runs);
}

bool queue_test_run_until_idle(struct queue_test *t, int max_steps)
{
    int64_t next_ms = queue_test_run_due(t), now_ms = clock_unix_ms();
    for (int i = 0; next_ms > 0 && next_ms < INT64_MAX && i < max_steps; i++) {
        if (t->queue->is_sated)
            return false;
        queue_test_advance(next_ms > now_ms ? next_ms - now_ms : 0); // due now: put off by 0 ms
        next_ms = queue_test_run_due(t);
        now_ms = clock_unix_ms();
    }
    return next_ms == 0;
}

void queue_test_advance(int64_t ms)
{
    clock_test_advance(ms);
}

/* ---- what is in the queue ---- */

struct count {
    const struct queue_test_like *like;
    int found;
};

static enum err count_fn(struct store_tx *tx, void *arg)
{
    struct count *count = arg;
    const struct queue_test_like *like = count->like;
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "SELECT count(*) FROM job WHERE state <= 4 AND "
                                 "($1 = '' OR kind = $1) AND ($2 = '' OR payload = $2) AND "
                                 "($3 = '' OR unique_key = $3) AND ($4 = '' OR queue = $4) AND "
                                 "run_at_ms >= $5",
                                 &st);
    if (err)
        return err;
    const char *texts[] = {like->kind, like->payload, like->unique_key, like->queue};
    for (int i = 0; i < 4; i++)
        store_bind_text(st, i + 1, texts[i] ? str_of(texts[i]) : STR(""));
    store_bind_int(st, 5, like->run_at_min_ms);
    err = store_step(st);
    if (!err)
        count->found = (int)store_column_int(st, 0);
    store_finish(st);
    return err;
}

int queue_test_count(struct queue_test *t, const struct queue_test_like *like)
{
    struct count count = {.like = like};
    enum err err = store_read(t->store, count_fn, &count);
    CHECK(err == OK);
    return count.found;
}

static enum err print_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "SELECT id, queue, kind, state, attempt, crash, run_at_ms, "
                                 "unique_key, payload, last_error FROM job ORDER BY id LIMIT 100",
                                 &st);
    while (!err && !(err = store_step(st)))
        fprintf(stderr,
                "job %lld queue=%.*s kind=%.*s state=%lld attempt=%lld crash=%lld due_in_ms=%lld "
                "key=%.*s payload=%.*s error=%.*s\n",
                (long long)store_column_int(st, 0), STR_ARG(store_column_text(st, 1)),
                STR_ARG(store_column_text(st, 2)), (long long)store_column_int(st, 3),
                (long long)store_column_int(st, 4), (long long)store_column_int(st, 5),
                (long long)(store_column_int(st, 6) - clock_unix_ms()),
                STR_ARG(store_column_text(st, 7)), STR_ARG(store_column_text(st, 8)),
                STR_ARG(store_column_text(st, 9)));
    return err == ERR_NOT_FOUND ? OK : err;
}

void queue_test_print(struct queue_test *t)
{
    enum err err = store_read(t->store, print_fn, NULL);
    CHECK(err == OK);
}

static const char *shown(const char *text)
{
    return text ? text : "(any)";
}

void queue_test_assert_enqueued(struct queue_test *t, const struct queue_test_like *like)
{
    if (queue_test_count(t, like) > 0)
        return;
    fprintf(stderr, "no job like kind=%s payload=%s key=%s queue=%s; there is:\n",
            shown(like->kind), shown(like->payload), shown(like->unique_key), shown(like->queue));
    queue_test_print(t);
    abort();
}

/* ---- crashes ---- */

bool queue_test_crash(const char *point, int nth, void (*play)(void *arg), void *arg)
{
    int status = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        failpoint_kill_at(point, nth);
        play(arg);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    CHECK(is_killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0)); // else play went wrong
    return is_killed;
}
