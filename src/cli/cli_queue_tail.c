/* cli_queue_tail.c -- what becomes of jobs, as it happens, whichever process runs them.
 *
 *     a commit of any process --> look: the jobs that run, that are next and that are new
 *                                  '--> compared with the last look: a line for each change
 *
 * It costs the queue nothing. What begins and ends between two looks (LOOK_MS) is seen to end; what
 * comes and goes between them is counted, when all jobs are followed; a job that was far from the
 * head of its queue at the one and gone at the other is not seen.
 */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli_queue.h"
#include "cli/cli_text.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/mem.h"
#include "queue/queue_admin_json.h"

enum {
    MAX_OF_STATE = 500, // jobs of each kind of a look
    PARTS = 4,
    MAX_FOLLOWED = 2 * PARTS * MAX_OF_STATE,
    LOOK_MS = 50, // between two looks
};

static const struct conf_option options[] = {
    CLI_QUEUE_CONFIG,
    CLI_QUEUE_DATA,
    CLI_QUEUE_TEXT("queue", queue, "NAME", "of this queue"),
    CLI_QUEUE_TEXT("kind", kind, "KIND", "of this kind"),
    CLI_QUEUE_SWITCH("json", is_json, "a JSON document in each line"),
};
const struct conf_table cli_queue_tail_options = {options, sizeof(options) / sizeof(options[0])};

/* ---- waking ---- */

static sem_t news;
static volatile sig_atomic_t is_ended;

static void on_commit(void *ctx)
{
    (void)ctx;
    CHECK(sem_post(&news) == 0 || errno == EOVERFLOW);
}

static void on_signal(int number)
{
    int code = errno;
    (void)number;
    is_ended = 1;
    (void)sem_post(&news); // EOVERFLOW: it wakes anyway
    errno = code;
}

/* What comes while it pauses is the next look's. */
static void wait_for_news(void)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    (void)nanosleep(&pause, NULL);
    while (!is_ended && sem_wait(&news) != 0)
        ;
    while (sem_trywait(&news) == 0)
        ;
}

/* ---- a look ---- */

struct look {
    struct queue_admin_list_filter filter;
    struct queue_held held;
    struct arena arena;
    struct queue_admin_job *jobs; // by id, each once
    size_t count;
    int64_t last_id;
    const struct look *before; // of which those that are not found otherwise are read by their id
};

static int by_id(const void *a, const void *b)
{
    const struct queue_admin_job *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static const struct queue_admin_job *find_job(const struct look *l, int64_t id)
{
    const struct queue_admin_job key = {.id = id};
    return l->count == 0 ? NULL : bsearch(&key, l->jobs, l->count, sizeof(key), by_id);
}

static void sort(struct look *l)
{
    size_t kept = 0;
    qsort(l->jobs, l->count, sizeof(l->jobs[0]), by_id);
    for (size_t i = 0; i < l->count; i++)
        if (kept == 0 || l->jobs[kept - 1].id != l->jobs[i].id)
            l->jobs[kept++] = l->jobs[i];
    l->count = kept;
}

static enum err read_state(struct store_tx *tx, struct look *l, int state)
{
    struct queue_admin_list_filter filter = l->filter;
    const struct queue_admin_list_page page = {.limit = MAX_OF_STATE};
    struct queue_admin_list list;
    filter.state = state;
    enum err err = queue_admin_list(tx, &filter, &l->held, &page, &l->arena, &list);
    for (size_t i = 0; !err && i < list.count; i++)
        l->jobs[l->count++] = list.jobs[i];
    return err;
}

static bool is_over(enum queue_state state)
{
    return state == QUEUE_DEAD || state == QUEUE_DONE_STATE || state == QUEUE_CANCELLED;
}

static enum err read_again(struct store_tx *tx, struct look *l)
{
    size_t found = l->count;
    struct look now = {.jobs = l->jobs, .count = found};
    for (size_t i = 0; l->before && i < l->before->count && l->count < MAX_FOLLOWED; i++) {
        struct store_stmt *st;
        if (is_over(l->before->jobs[i].state) || find_job(&now, l->before->jobs[i].id))
            continue;
        enum err err = store_prepare(
            tx, "SELECT " QUEUE_ADMIN_LIST_COLUMNS " FROM job AS j WHERE j.id = $1", &st);
        if (err)
            return err;
        store_bind_int(st, 1, l->before->jobs[i].id);
        err = store_step(st);
        if (!err) {
            struct queue_admin_job job = queue_admin_list_read(tx, st, &l->held);
            queue_admin_list_keep(&job, 0, &l->arena);
            l->jobs[l->count++] = job;
        }
        store_finish(st);
        if (err && err != ERR_NOT_FOUND)
            return err;
    }
    return OK;
}

static enum err look_fn(struct store_tx *tx, void *arg)
{
    static const int states[PARTS] = {QUEUE_RUNNING, QUEUE_READY, QUEUE_SCHEDULED,
                                      QUEUE_ADMIN_LIST_ANY};
    struct look *l = arg;
    l->count = 0;
    l->jobs = arena_alloc(&l->arena, MAX_FOLLOWED * sizeof(*l->jobs));
    enum err err = OK;
    for (size_t i = 0; !err && i < PARTS; i++)
        err = read_state(tx, l, states[i]);
    sort(l);
    if (!err)
        err = read_again(tx, l);
    sort(l);
    return err ? err : queue_last_id(tx, &l->last_id);
}

/* ---- what has changed ---- */

struct tail {
    const struct cli_queue_call *call;
    struct look looks[2]; // the last and this one, by turns
    int turn;
    bool has_begun;
};

/* Else the job's last error is of an earlier run. */
static bool is_of_error(const char *event)
{
    static const char *const events[] = {"failed", "crashed", "dead", "cancelled"};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (strcmp(event, events[i]) == 0)
            return true;
    return false;
}

static void print_event(const struct tail *t, const char *event, const struct queue_admin_job *job)
{
    int64_t now_ms = clock_unix_ms();
    char time[21];
    bool has_error = job->error.at && job->error.len > 0 && is_of_error(event);
    if (t->call->target->is_json) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "at_ms", (double)now_ms);
        cJSON_AddStringToObject(row, "event", event);
        cJSON_AddNumberToObject(row, "id", (double)job->id);
        queue_admin_json_add(row, "queue", job->queue);
        queue_admin_json_add(row, "kind", job->kind);
        cJSON_AddNumberToObject(row, "attempts", job->attempt);
        if (has_error)
            queue_admin_json_add(row, "error", job->error);
        (void)cli_queue_print(row); // it is small
        cJSON_Delete(row);
        return;
    }
    clock_iso(now_ms, time);
    printf("%s %-9s %lld ", time, event, (long long)job->id);
    cli_text_print(stdout, job->queue);
    fputc(' ', stdout);
    cli_text_print(stdout, job->kind);
    if (has_error) {
        fputs(" ", stdout);
        cli_text_print(stdout, job->error);
    }
    fputc('\n', stdout);
}

/* was: at the last look; NULL: not seen then. is: now; NULL: it is gone, which a job is that is
 * done and not kept. */
static void compare(const struct tail *t, const struct queue_admin_job *was,
                    const struct queue_admin_job *is, bool is_new)
{
    const struct queue_admin_job *job = is ? is : was;
    bool is_live = !was || !is_over(was->state);
    if (is_new)
        print_event(t, "enqueued", job);
    if (!is) {
        if (is_live)
            print_event(t, "done", job);
        return;
    }
    if (was ? is->attempt > was->attempt : is_new && is->attempt > 0)
        print_event(t, "failed", is);
    if (was ? is->crash > was->crash : is_new && is->crash > 0)
        print_event(t, "crashed", is);
    if (is->state == QUEUE_RUNNING &&
        (!was || was->state != QUEUE_RUNNING || was->attempt != is->attempt))
        print_event(t, "started", is);
    bool is_again = was && was->at_ms != is->at_ms; // retried, and it has ended once more
    if (is_over(is->state) && (was || is_new) && (is_live || is_again))
        print_event(t, queue_admin_list_state_text(is->state), is);
    if (was && is_over(was->state) && !is_over(is->state))
        print_event(t, "retried", is);
}

static void report(const struct tail *t, const struct look *last, const struct look *now)
{
    for (size_t i = 0; i < last->count; i++)
        if (!find_job(now, last->jobs[i].id))
            compare(t, &last->jobs[i], NULL, false);
    for (size_t i = 0; i < now->count; i++) {
        const struct queue_admin_job *is = &now->jobs[i];
        compare(t, find_job(last, is->id), is, is->id > last->last_id);
    }
}

/* Numbers that were given since the last look to jobs that are gone already. */
static void report_missed(const struct tail *t, const struct look *last, const struct look *now)
{
    int64_t count = now->last_id - last->last_id;
    for (size_t i = 0; i < now->count; i++)
        count -= now->jobs[i].id > last->last_id && now->jobs[i].id <= now->last_id;
    bool is_all = !t->call->target->queue[0] && !t->call->target->kind[0];
    if (!is_all || count <= 0)
        return;
    if (t->call->target->is_json)
        printf("{\"at_ms\":%lld,\"event\":\"missed\",\"count\":%lld}\n", (long long)clock_unix_ms(),
               (long long)count);
    else
        printf("%lld more came, and most are done\n", (long long)count);
}

static int look(struct tail *t)
{
    struct look *last = &t->looks[t->turn], *now = &t->looks[!t->turn];
    arena_done(&now->arena);
    now->filter = (struct queue_admin_list_filter){.queue = str_of(t->call->target->queue),
                                                   .kind = str_of(t->call->target->kind)};
    now->before = t->has_begun ? last : NULL;
    struct cli_queue_call asking = *t->call;
    asking.arena = &now->arena;
    int status = cli_queue_held(&asking, &now->held);
    if (status != CLI_DONE)
        return status;
    enum err err = store_read(t->call->store, look_fn, now);
    if (err)
        return cli_fail(CLI_FAILED, "cannot read the jobs: %s", store_err_text(err));
    if (t->has_begun) {
        report(t, last, now);
        report_missed(t, last, now);
    }
    t->has_begun = true;
    t->turn = !t->turn;
    return CLI_DONE;
}

static int follow(struct cli_queue_call *call)
{
    struct tail t = {.call = call};
    const struct sigaction action = {.sa_handler = on_signal};
    for (int i = 0; i < 2; i++)
        arena_init(&t.looks[i].arena);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int status = look(&t);
    if (status == CLI_DONE)
        fprintf(stderr, "following; Ctrl-C ends it\n");
    while (status == CLI_DONE && !is_ended) {
        wait_for_news();
        if (!is_ended)
            status = look(&t);
        if (fflush(stdout) != 0) // who reads a pipe went away
            break;
    }
    for (int i = 0; i < 2; i++)
        arena_done(&t.looks[i].arena);
    return status;
}

int cli_queue_tail(const struct cli_command *command, int argc, char *const *argv)
{
    CHECK(sem_init(&news, 0, 0) == 0);
    return cli_queue_watch(command, argc, argv, on_commit, NULL, follow);
}
