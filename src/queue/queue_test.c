#include "queue/queue_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/failpoint.h"
#include "core/mem.h"
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

enum { MAX_POINTS = 1000, NEVER_PASSED = 70 };

/* What a play is killed at, and what it passes. */
struct passing {
    const char *point;
    int left; // passes of the point to the end
    bool is_passed;
    pthread_mutex_t mutex;
    const char *names[MAX_POINTS]; // literals, each once
    size_t count;
};

static void on_pass(const char *name, void *ctx)
{
    struct passing *p = ctx;
    size_t i = 0;
    pthread_mutex_lock(&p->mutex);
    while (i < p->count && strcmp(p->names[i], name) != 0)
        i++;
    if (i == p->count && i < MAX_POINTS)
        p->names[p->count++] = name;
    if (strcmp(name, p->point) == 0) {
        p->is_passed = true;
        if (--p->left == 0)
            kill(getpid(), SIGKILL);
    }
    pthread_mutex_unlock(&p->mutex);
}

/* Points that a play has passed: one of these may be passed no more, and is not misspelt. */
struct known {
    struct known *next;
    char name[];
};
static struct known *known_points;

static bool is_known(const char *point)
{
    const struct known *k = known_points;
    while (k && strcmp(k->name, point) != 0)
        k = k->next;
    return k != NULL;
}

static void know(const char *point)
{
    if (is_known(point))
        return;
    struct known *k = mem_zalloc(sizeof(*k) + strlen(point) + 1);
    memcpy(k->name, point, strlen(point) + 1);
    k->next = known_points;
    known_points = k;
}

/* In the child; the status to end with. */
static int play_to_end(struct passing *p, void (*play)(void *arg), void *arg)
{
    failpoint_listen(on_pass, p);
    play(arg);
    if (p->is_passed || is_known(p->point))
        return 0;
    fprintf(stderr, "nothing passes the point \"%s\"; what was passed:\n", p->point);
    for (size_t i = 0; i < p->count; i++)
        fprintf(stderr, "%s\n", p->names[i]);
    return NEVER_PASSED;
}

bool queue_test_crash(const char *point, int nth, void (*play)(void *arg), void *arg)
{
    int status = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct passing passing = {.point = point, .left = nth, .mutex = PTHREAD_MUTEX_INITIALIZER};
        _exit(play_to_end(&passing, play, arg));
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NEVER_PASSED)
        abort(); // it has said why
    bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    CHECK(is_killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0)); // else play went wrong
    know(point);
    return is_killed;
}
