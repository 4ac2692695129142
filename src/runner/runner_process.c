#include "runner/runner_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "runner/runner_line.h"

enum {
    MAX_IN_BYTES = RUNNER_LINE_MAX_JOB_BYTES,
    MAX_WORDS_BYTES = 4096, // of a line on descriptor 2
    READ_BYTES = 16 * 1024,
    READS = 8, // of one descriptor before the others have their turn
    FIRST_REST_MS = 1000,
    MAX_REST_MS = 60 * 1000,
};

/* One of its descriptors; what it is comes with its watch. */
struct end {
    struct post_watch watch; // fd -1: closed
    struct runner_process *process;
    struct buf bytes;
    bool is_watched;
};

struct runner_process {
    struct list node; // in the lane's processes
    struct runner_lane *lane;
    uint64_t id;
    struct end in, out, words; // its descriptors 0, 1 and 2
    struct runner_task *task;  // NULL: it has none
    int jobs;
    bool is_killed;
    int64_t kill_at_ms;                        // it was let go; 0: it was not
    char last[RUNNER_LINE_MAX_TEXT_BYTES + 1]; // of its lines on descriptor 2
};

static const char *name_of(const struct runner_process *p)
{
    return p->lane->handler->kinds[0];
}

/* ---- descriptors ---- */

static void unwatch(struct end *e)
{
    if (e->is_watched)
        post_loop_unwatch(e->process->lane->runner->loop, &e->watch);
    e->is_watched = false;
}

static void close_end(struct end *e)
{
    unwatch(e);
    if (e->watch.fd >= 0)
        close(e->watch.fd);
    e->watch.fd = -1;
}

static void watch(struct end *e, bool for_write)
{
    if (!e->is_watched && e->watch.fd >= 0)
        e->is_watched = post_loop_watch(e->process->lane->runner->loop, &e->watch, for_write) == OK;
}

/* Writes what it takes now; the rest when there is room. */
static void flush(struct runner_process *p)
{
    struct end *e = &p->in;
    while (e->watch.fd >= 0 && buf_len(&e->bytes) > 0) {
        ssize_t sent = write(e->watch.fd, buf_head(&e->bytes), buf_len(&e->bytes));
        if (sent < 0 && errno == EAGAIN) {
            watch(e, true);
            return;
        }
        if (sent < 0 && errno != EINTR) // it reads no more: its end will say why
            close_end(e);
        else if (sent > 0)
            buf_consume(&e->bytes, (size_t)sent);
    }
    unwatch(e);
}

static void on_writable(struct post_watch *w)
{
    flush(LIST_ENTRY(w, struct end, watch)->process);
}

/* ---- what it says ---- */

static void end_badly(struct runner_process *p, enum runner_fate fate, struct str why)
{
    char quoted[LOG_QUOTE_BYTES];
    if (p->task && p->task->fate == RUNNER_RUNS) {
        p->task->fate = fate;
        p->task->why = why;
    }
    log_warn("at=runner_process.kill kind=%s why=%s", name_of(p), log_quote(why, quoted));
    runner_process_kill(p);
}

static void on_job_end(struct runner_process *p)
{
    p->task = NULL;
    if (++p->jobs >= p->lane->handler->max_jobs)
        runner_process_retire(p);
}

static void on_line(struct runner_process *p, struct str line)
{
    struct str why = STR("");
    bool is_over = false;
    if (!p->task) {
        end_badly(p, RUNNER_TALKED_NONSENSE, STR("it spoke without a job"));
        return;
    }
    if (runner_task_hear(p->task, line, &is_over, &why) != OK)
        end_badly(p, RUNNER_TALKED_NONSENSE, why);
    else if (is_over)
        on_job_end(p);
}

/* A line of descriptor 2: for the job's log, or for ours. */
static void on_words(struct runner_process *p, struct str line)
{
    struct arena a;
    char quoted[LOG_QUOTE_BYTES];
    arena_init(&a);
    struct str clean = runner_line_clean(line, RUNNER_LINE_MAX_TEXT_BYTES, &a);
    if (clean.len > 0)
        snprintf(p->last, sizeof(p->last), "%.*s", STR_ARG(clean));
    if (p->task)
        runner_report_log(&p->task->report, clean);
    else
        log_info("at=runner_process.says kind=%s text=%s", name_of(p), log_quote(clean, quoted));
    arena_done(&a);
}

static void take_lines(struct end *e, void (*on)(struct runner_process *p, struct str line))
{
    struct runner_process *p = e->process;
    while (buf_len(&e->bytes) > 0 && !p->is_killed) {
        struct str all = {(const char *)buf_head(&e->bytes), buf_len(&e->bytes)};
        size_t len = str_index(all, '\n');
        if (len == all.len)
            return;
        on(p, (struct str){all.at, len});
        buf_consume(&e->bytes, len + 1);
    }
}

/* Reads what is there, in pieces that fit. False: a line is longer than it may be. */
static bool read_lines(struct end *e, void (*on)(struct runner_process *p, struct str line))
{
    char bytes[READ_BYTES];
    for (int i = 0; i < READS && e->watch.fd >= 0; i++) {
        size_t room = e->bytes.max - buf_len(&e->bytes);
        ssize_t got = read(e->watch.fd, bytes, room < READ_BYTES ? room : READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return true;
        if (got <= 0) {
            close_end(e);
            return true;
        }
        CHECK(buf_append(&e->bytes, bytes, (size_t)got) == OK);
        take_lines(e, on);
        if (buf_len(&e->bytes) == e->bytes.max)
            return false;
    }
    return true;
}

static void read_out(struct runner_process *p)
{
    if (!read_lines(&p->out, on_line) && !p->is_killed)
        end_badly(p, RUNNER_TALKED_NONSENSE, STR("nonsense from the handler: an endless line"));
    if (p->is_killed)
        buf_consume(&p->out.bytes, buf_len(&p->out.bytes));
}

/* A long line is cut where it fills the buffer. */
static void read_words(struct runner_process *p)
{
    struct buf *bytes = &p->words.bytes;
    if (!read_lines(&p->words, on_words)) {
        on_words(p, (struct str){(const char *)buf_head(bytes), buf_len(bytes)});
        buf_consume(bytes, buf_len(bytes));
    }
    if (p->is_killed)
        buf_consume(bytes, buf_len(bytes));
}

static void on_readable_out(struct post_watch *w)
{
    read_out(LIST_ENTRY(w, struct end, watch)->process);
}

static void on_readable_words(struct post_watch *w)
{
    read_words(LIST_ENTRY(w, struct end, watch)->process);
}

/* ---- birth ---- */

static void init_end(struct runner_process *p, struct end *e, int fd, size_t max,
                     void (*on_ready)(struct post_watch *w))
{
    e->process = p;
    e->watch = (struct post_watch){.fd = fd, .on_ready = on_ready};
    buf_init(&e->bytes, max);
}

/* Three pipes; theirs are the child's descriptors, ours do not block. False, with all closed. */
static bool open_pipes(int ours[static 3], int theirs[static 3])
{
    for (int i = 0; i < 3; i++) {
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) != 0) {
            log_error("at=runner_process.pipe errno=%d", errno);
            while (--i >= 0) {
                close(ours[i]);
                close(theirs[i]);
            }
            return false;
        }
        ours[i] = pair[i == 0];
        theirs[i] = pair[i != 0];
        CHECK(fcntl(ours[i], F_SETFL, O_NONBLOCK) == 0);
    }
    return true;
}

/* Forgets it; it has no task any more. */
static void process_free(struct runner_process *p)
{
    close_end(&p->in);
    close_end(&p->out);
    close_end(&p->words);
    buf_done(&p->in.bytes);
    buf_done(&p->out.bytes);
    buf_done(&p->words.bytes);
    list_remove(&p->node);
    p->lane->process_count--;
    mem_free(p);
}

struct runner_process *runner_process_new(struct runner_lane *lane)
{
    struct runner *r = lane->runner;
    int ours[3], theirs[3];
    if (!open_pipes(ours, theirs))
        return NULL;
    struct runner_process *p = MEM_NEW(struct runner_process);
    p->lane = lane;
    p->id = ++r->last_process_id;
    init_end(p, &p->in, ours[0], MAX_IN_BYTES, on_writable);
    init_end(p, &p->out, ours[1], RUNNER_LINE_MAX_BYTES, on_readable_out);
    init_end(p, &p->words, ours[2], MAX_WORDS_BYTES, on_readable_words);
    list_append(&lane->processes, &p->node);
    lane->process_count++;
    enum err err = runner_spawner_start(r->spawner, p->id, lane->what, theirs);
    for (int i = 0; i < 3; i++)
        close(theirs[i]);
    watch(&p->out, false);
    watch(&p->words, false);
    if (!err && p->out.is_watched && p->words.is_watched)
        return p;
    if (!err)
        runner_process_kill(p);
    process_free(p);
    return NULL;
}

/* ---- work ---- */

struct runner_process *runner_process_find_idle(struct runner_lane *lane)
{
    for (struct list *node = lane->processes.next; node != &lane->processes; node = node->next) {
        struct runner_process *p = LIST_ENTRY(node, struct runner_process, node);
        if (!p->task && !p->is_killed && p->kill_at_ms == 0)
            return p;
    }
    return NULL;
}

void runner_process_take(struct runner_process *p, struct runner_task *t)
{
    p->task = t;
    t->process = p;
    CHECK(runner_line_write_job(&p->in.bytes, t->job) == OK);
    flush(p);
}

void runner_process_cancel(struct runner_process *p)
{
    if (runner_line_write_cancel(&p->in.bytes, p->task->job->id) == OK)
        flush(p); // else it has not even read its job, and is killed soon
}

void runner_process_kill(struct runner_process *p)
{
    if (p->is_killed)
        return;
    p->is_killed = true;
    if (runner_spawner_kill(p->lane->runner->spawner, p->id) != OK)
        log_error("at=runner_process.kill kind=%s why=\"the spawner is gone\"", name_of(p));
}

bool runner_process_hear(struct runner_process *p)
{
    read_out(p);
    return p->task != NULL;
}

void runner_process_retire(struct runner_process *p)
{
    CHECK(!p->task);
    if (p->is_killed || p->kill_at_ms > 0)
        return;
    close_end(&p->in);
    p->kill_at_ms = clock_mono_ms() + p->lane->handler->grace_ms;
}

int64_t runner_process_sweep(struct runner_lane *lane)
{
    int64_t now_ms = clock_mono_ms(), next_ms = INT64_MAX;
    for (struct list *node = lane->processes.next; node != &lane->processes; node = node->next) {
        struct runner_process *p = LIST_ENTRY(node, struct runner_process, node);
        if (p->kill_at_ms == 0 || p->is_killed)
            continue;
        if (p->kill_at_ms <= now_ms)
            runner_process_kill(p);
        else if (p->kill_at_ms - now_ms < next_ms)
            next_ms = p->kill_at_ms - now_ms;
    }
    return next_ms;
}

/* ---- death ---- */

static struct runner_process *find(struct runner *r, uint64_t id)
{
    for (size_t i = 0; i < r->count; i++) {
        struct list *all = &r->lanes[i].processes;
        for (struct list *node = all->next; node != all; node = node->next)
            if (LIST_ENTRY(node, struct runner_process, node)->id == id)
                return LIST_ENTRY(node, struct runner_process, node);
    }
    return NULL;
}

/* What a process did that ended without an answer. */
static struct str describe(const struct runner_process *p, int status, struct arena *a)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        return arena_printf(a, "killed by signal %d (SIG%s)", WTERMSIG(status), name ? name : "?");
    }
    return arena_printf(a, "ended with status %d and no answer%s%s", WEXITSTATUS(status),
                        p->last[0] ? ": " : "", p->last);
}

/* The lane rests: what cannot be started now will hardly be in the next moment. */
static void on_not_started(struct runner_lane *lane, int error)
{
    char quoted[LOG_QUOTE_BYTES];
    int64_t rest_ms = FIRST_REST_MS;
    for (int i = 0; i < lane->failures && rest_ms < MAX_REST_MS; i++)
        rest_ms *= 2;
    rest_ms = rest_ms < MAX_REST_MS ? rest_ms : MAX_REST_MS;
    lane->failures++;
    lane->rest_until_ms = clock_mono_ms() + rest_ms;
    log_error("at=runner_process.start kind=%s why=%s again_ms=%lld", lane->handler->kinds[0],
              log_quote(str_of(strerrordesc_np(error)), quoted), (long long)rest_ms);
}

static void end_task(struct runner_process *p, const struct runner_end *end)
{
    struct runner_task *t = p->task;
    if (t->fate != RUNNER_RUNS) {
        runner_task_meet_fate(t);
    } else if (end->error != 0) {
        runner_task_send_back(t, queue_turns_take(&p->lane->turns, p->lane->rest_until_ms));
    } else {
        struct arena *a = &t->job->arena;
        struct str how = describe(p, end->status, a), where = runner_task_where(t);
        struct str why = arena_printf(a, "%.*s%.*s", STR_ARG(how), STR_ARG(where));
        runner_task_finish(t, &(struct queue_end){.verdict = QUEUE_CRASHED, .why = why});
    }
}

bool runner_process_on_end(struct runner *r, const struct runner_end *end)
{
    struct runner_process *p = find(r, end->id);
    if (!p)
        return false;
    read_out(p); // what is left in its pipes, before we judge: they hold less than one round
    read_words(p);
    if (end->error != 0)
        on_not_started(p->lane, end->error);
    else
        p->lane->failures = 0;
    if (p->task)
        end_task(p, end);
    else if (!p->is_killed && p->kill_at_ms == 0)
        log_warn("at=runner_process.end kind=%s status=%d why=\"it had no job\"", name_of(p),
                 end->status);
    process_free(p);
    return true;
}

void runner_process_free_all(struct runner_lane *lane)
{
    while (!list_is_empty(&lane->processes)) {
        struct runner_process *p = LIST_ENTRY(lane->processes.next, struct runner_process, node);
        if (p->task)
            runner_task_send_back(p->task, 0);
        process_free(p);
    }
}
