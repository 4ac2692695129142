/* bench_queue -- what the queue can do on this machine and disk: the server's own code, without the
 * server. One measurement a process; prints one line of JSON.
 *
 *     bench_queue --mode fill    --dir DIR --jobs N --as ready|scheduled|tenant
 *     bench_queue --mode enqueue --dir DIR [--under-way 256] [--seconds 2]
 *     bench_queue --mode work    --dir DIR [--jobs 60000]
 *     bench_queue --mode start   --dir DIR [--jobs 300] [--remote 0]
 *     bench_queue --mode fair    --dir DIR [--jobs 100]
 *
 * fill leaves N jobs waiting; the others measure beside them and leave as many as they found.
 * enqueue: each job is a transaction of its own, and so many are under way at once. work: claim, an
 * effect of one row and the acknowledgement, from the commit that enqueues them to the last one.
 * start: from the call that enqueues to the start of the run, the system being idle between;
 * --remote 1: in another process. fair: one worker is busy with a tenant's jobs, and another
 * tenant's single job comes: how many others begin before it, and its wait in job times.
 */
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/app_data.h"
#include "core/clock.h"
#include "core/log.h"
#include "load.h"
#include "queue/queue.h"

enum {
    MAX_UNDER_WAY = 512,
    FILL_STEP = 10000,
    WORKERS = 2, // as `viche serve` has
    DAY_MS = 24 * 3600 * 1000,
    JOB_NS = 5 * 1000 * 1000,   // of a tenant's job
    PAUSE_NS = 5 * 1000 * 1000, // so long the system is idle before a probe
};

/* Shared with the other process. */
struct shared {
    sem_t event; // a probe is done; all jobs are done; no write is under way; the other is ready
    int64_t begun_ns, begun_before; // of the last probe
};

struct bench {
    const char *dir;
    struct shared *shared;
    struct store *store;
    struct queue *queue;
    _Atomic int64_t count;        // jobs done, or begun
    int64_t target;               // event when so many are done
    _Atomic int64_t waiting_done; // of those that were there before
    _Atomic int under_way;
    _Atomic bool is_over;
    struct load_hist hist;
};

static void must(enum err err, const char *what)
{
    if (err)
        load_die("bench_queue: %s: %s", what, err_text(err));
}

static void wait_event(struct bench *b)
{
    while (sem_wait(&b->shared->event))
        ;
}

static void open_data(struct bench *b, bool is_server)
{
    char why[APP_DATA_WHY_BYTES] = "";
    log_set_level(LOG_WARN);
    enum err err = is_server ? app_data_open(b->dir, true, 0, &b->store, why, sizeof(why))
                             : app_data_open_watching(b->dir, 0, &b->store, why, sizeof(why));
    if (!err)
        err = app_data_migrate(b->store, NULL, why, sizeof(why));
    if (err)
        load_die("bench_queue: %s: %s", why, err_text(err));
}

static enum err sql_fn(struct store_tx *tx, void *arg)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, *(const char **)arg, &st);
    return err ? err : store_run(st, NULL);
}

/* A string literal. */
static void run_sql(struct bench *b, const char *sql)
{
    must(store_write_wait(b->store, sql_fn, &sql), sql);
}

static void wake(void *ctx)
{
    queue_wake(((struct bench *)ctx)->queue);
}

/* is_alone: as in a server; otherwise as in a `viche worker`. */
static void start_queue(struct bench *b, const struct queue_handler *handlers, size_t count,
                        int workers, bool is_alone)
{
    const struct queue_options options = {.workers = workers, .is_alone = is_alone};
    b->queue = queue_new(b->store, &options, handlers, count);
    store_on_commit(b->store, wake, b);
    must(queue_start(b->queue), "start");
}

static void stop_queue(struct bench *b)
{
    if (!queue_stop(b->queue, 10000))
        load_die("bench_queue: a handler does not end");
    store_on_commit(b->store, NULL, NULL);
    queue_free(b->queue);
}

/* ---- fill ---- */

struct fill {
    struct queue_new job;
    int count;
    int64_t end_ns, end_cpu_ns; // of the function, before the commit
};

static enum err fill_fn(struct store_tx *tx, void *arg)
{
    struct fill *f = arg;
    enum err err = OK;
    for (int i = 0; i < f->count && !err; i++)
        err = queue_enqueue(tx, &f->job, NULL);
    f->end_ns = clock_mono_ns();
    f->end_cpu_ns = load_own_cpu_ns();
    return err;
}

#define PLAIN_JOB                                                                                  \
    {                                                                                              \
        .kind = STR("bench.job"), .payload = STR("{\"comment_id\":1}")                             \
    }

static void fill(struct bench *b, long jobs, const char *as)
{
    struct fill f = {.job = PLAIN_JOB};
    f.job.priority = -QUEUE_MAX_PRIORITY; // what is measured comes first
    if (!strcmp(as, "scheduled"))
        f.job.delay_ms = DAY_MS;
    else if (!strcmp(as, "tenant"))
        f.job.key = str_of("tenant-a");
    else if (strcmp(as, "ready") != 0)
        load_die("bench_queue: --as ready|scheduled|tenant");
    open_data(b, true);
    for (; jobs > 0; jobs -= f.count) {
        f.count = jobs < FILL_STEP ? (int)jobs : FILL_STEP;
        must(store_write_wait(b->store, fill_fn, &f), "fill");
    }
    store_close(b->store);
    puts("{}");
}

/* ---- enqueue ---- */

struct op {
    struct store_write write; // first: on_enqueued casts back
    struct bench *bench;
    int64_t sent_ns;
};

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    const struct queue_new job = PLAIN_JOB;
    return queue_enqueue(tx, &job, NULL);
}

static void send_op(struct op *op)
{
    op->sent_ns = clock_mono_ns();
    must(store_write(op->bench->store, &op->write), "write");
}

static void on_enqueued(struct store_write *write, enum err err)
{
    struct op *op = (struct op *)(void *)write;
    struct bench *b = op->bench;
    must(err, "enqueue");
    load_hist_add(&b->hist, clock_mono_ns() - op->sent_ns); // on the writer's thread alone
    if (!atomic_load(&b->is_over))
        send_op(op);
    else if (atomic_fetch_sub(&b->under_way, 1) == 1)
        sem_post(&b->shared->event);
}

/* One caller that waits for each commit: nothing is handed to and fro that the caller of a library
 * would not hand over. */
static void enqueue_singly(struct bench *b, int64_t end_ns)
{
    for (int64_t now = clock_mono_ns(), done; now < end_ns; now = done) {
        must(store_write_wait(b->store, enqueue_fn, NULL), "enqueue");
        done = clock_mono_ns();
        load_hist_add(&b->hist, done - now);
    }
}

static void enqueue_grouped(struct bench *b, int under_way, int64_t run_ns)
{
    static struct op ops[MAX_UNDER_WAY];
    if (under_way < 1 || under_way > MAX_UNDER_WAY)
        load_die("bench_queue: --under-way is 1 to %d", MAX_UNDER_WAY);
    atomic_store(&b->under_way, under_way);
    for (int i = 0; i < under_way; i++) {
        ops[i].bench = b;
        ops[i].write = (struct store_write){.fn = enqueue_fn, .on_done = on_enqueued};
        send_op(&ops[i]);
    }
    load_sleep_ns(run_ns);
    atomic_store(&b->is_over, true);
    wait_event(b);
}

static void enqueue(struct bench *b, int under_way, int64_t run_ns)
{
    open_data(b, true);
    run_sql(b, "CREATE TABLE bench_mark AS SELECT max(id) AS id FROM job");
    int64_t cpu_ns = load_own_cpu_ns(), begin_ns = clock_mono_ns();
    if (under_way == 1)
        enqueue_singly(b, begin_ns + run_ns);
    else
        enqueue_grouped(b, under_way, run_ns);
    double seconds = (double)(clock_mono_ns() - begin_ns) / 1e9;
    double cpu = (double)(load_own_cpu_ns() - cpu_ns) / 1e3 / (double)b->hist.count;
    run_sql(b, "DELETE FROM job WHERE id > (SELECT coalesce(id, 0) FROM bench_mark)");
    run_sql(b, "DROP TABLE bench_mark");
    store_close(b->store);
    printf("{\"rate\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"s_per_m\":%.2f}\n",
           (double)b->hist.count / seconds, load_hist_ms(&b->hist, 0.5),
           load_hist_ms(&b->hist, 0.99), cpu);
}

/* ---- work ---- */

static enum err commit_effect(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    struct store_stmt *st;
    enum err err = store_prepare(tx, "INSERT INTO bench_effect (job_id) VALUES ($1)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job->id);
    return store_run(st, NULL);
}

static void on_effect_done(struct queue_job *job, void *ctx)
{
    struct bench *b = ctx;
    if (job->priority < 0)
        atomic_fetch_add(&b->waiting_done, 1);
    else if (atomic_fetch_add(&b->count, 1) + 1 == b->target)
        sem_post(&b->shared->event);
}

static void work(struct bench *b, long jobs)
{
    const struct queue_handler handler = {
        .kind = "bench.job", .commit = commit_effect, .done = on_effect_done, .ctx = b};
    struct fill f = {.job = PLAIN_JOB, .count = (int)jobs};
    open_data(b, true);
    run_sql(b, "CREATE TABLE bench_effect (job_id INTEGER PRIMARY KEY)");
    b->target = jobs;
    start_queue(b, &handler, 1, WORKERS, true); // what is there before is an earlier process's
    must(store_write_wait(b->store, fill_fn, &f), "fill");
    wait_event(b);
    double seconds = (double)(clock_mono_ns() - f.end_ns) / 1e9;
    double cpu = (double)(load_own_cpu_ns() - f.end_cpu_ns) / 1e3 / (double)jobs;
    stop_queue(b);
    f.count = (int)atomic_load(&b->waiting_done);
    f.job.priority = -QUEUE_MAX_PRIORITY;
    must(store_write_wait(b->store, fill_fn, &f), "fill");
    run_sql(b, "DROP TABLE bench_effect");
    store_close(b->store);
    printf("{\"rate\":%.0f,\"s_per_m\":%.2f}\n", (double)jobs / seconds, cpu);
}

/* ---- start ---- */

static enum err run_probe(struct queue_job *job, void *ctx, struct str *why_out)
{
    (void)job;
    (void)why_out;
    struct bench *b = ctx;
    b->shared->begun_ns = clock_mono_ns();
    b->shared->begun_before = atomic_load(&b->count);
    return OK;
}

static void on_probe_done(struct queue_job *job, void *ctx)
{
    (void)job;
    sem_post(&((struct bench *)ctx)->shared->event);
}

/* With .ctx to come. */
#define PROBE_HANDLER .kind = "bench.probe", .run = run_probe, .done = on_probe_done

static enum err enqueue_probe(struct store_tx *tx, void *arg)
{
    return queue_enqueue(tx, arg, NULL);
}

/* In a process of its own: runs probes until it is killed. */
static void serve_probes(struct bench *b)
{
    const struct queue_handler handler = {PROBE_HANDLER, .ctx = b};
    open_data(b, false);
    start_queue(b, &handler, 1, WORKERS, false);
    sem_post(&b->shared->event);
    for (;;)
        pause();
}

static pid_t start_remote(struct bench *b)
{
    pid_t pid = fork();
    if (pid < 0)
        load_die("bench_queue: cannot fork");
    if (pid == 0)
        serve_probes(b);
    wait_event(b);
    return pid;
}

static void start(struct bench *b, long jobs, bool is_remote)
{
    const struct queue_handler handler = {PROBE_HANDLER, .ctx = b};
    struct queue_new probe = {.kind = STR("bench.probe"), .payload = STR("{}")};
    pid_t remote = is_remote ? start_remote(b) : 0;
    open_data(b, !is_remote);
    if (!is_remote)
        start_queue(b, &handler, 1, WORKERS, true);
    for (long i = 0; i < jobs; i++) {
        load_sleep_ns(PAUSE_NS);
        int64_t sent_ns = clock_mono_ns();
        must(store_write_wait(b->store, enqueue_probe, &probe), "enqueue");
        wait_event(b);
        load_hist_add(&b->hist, b->shared->begun_ns - sent_ns);
    }
    if (is_remote) {
        kill(remote, SIGKILL);
        waitpid(remote, NULL, 0);
    } else {
        stop_queue(b);
    }
    store_close(b->store);
    printf("{\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n", load_hist_ms(&b->hist, 0.5),
           load_hist_ms(&b->hist, 0.99), (double)b->hist.max_ns / 1e6);
}

/* ---- fair ---- */

static enum err run_tenants_job(struct queue_job *job, void *ctx, struct str *why_out)
{
    (void)job;
    (void)why_out;
    atomic_fetch_add(&((struct bench *)ctx)->count, 1);
    load_sleep_ns(JOB_NS);
    return OK;
}

static void fair(struct bench *b, long jobs)
{
    const struct queue_handler handlers[] = {
        {.kind = "bench.job", .run = run_tenants_job, .ctx = b},
        {PROBE_HANDLER, .ctx = b},
    };
    struct queue_new probe = {
        .kind = STR("bench.probe"), .payload = STR("{}"), .key = STR("tenant-b")};
    int64_t most_before = 0;
    open_data(b, true);
    start_queue(b, handlers, 2, 1, true);
    int64_t begin_ns = clock_mono_ns();
    for (long i = 0; i < jobs; i++) {
        load_sleep_ns(2 * JOB_NS + i * 7 % 10 * JOB_NS / 10); // at any moment of a job
        must(store_write_wait(b->store, enqueue_probe, &probe), "enqueue");
        int64_t sent_ns = clock_mono_ns(), begun = atomic_load(&b->count);
        wait_event(b);
        int64_t wait_ns = b->shared->begun_ns - sent_ns;
        int64_t before = b->shared->begun_before - begun;
        load_hist_add(&b->hist, wait_ns);
        most_before = before > most_before ? before : most_before;
    }
    double job_ms = (double)(clock_mono_ns() - begin_ns) / 1e6 / (double)atomic_load(&b->count);
    stop_queue(b);
    store_close(b->store);
    printf("{\"job_ms\":%.3f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"most_before\":%lld}\n", job_ms,
           load_hist_ms(&b->hist, 0.5), load_hist_ms(&b->hist, 0.99), (long long)most_before);
}

/* ---- */

int main(int argc, char **argv)
{
    static struct bench bench;
    struct load_args args = {argc, argv};
    const char *mode = load_arg(&args, "mode", NULL);

    bench.dir = load_arg(&args, "dir", NULL);
    bench.shared = mmap(NULL, sizeof(*bench.shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bench.shared == MAP_FAILED || sem_init(&bench.shared->event, 1, 0))
        load_die("bench_queue: no shared memory");
    if (!strcmp(mode, "fill"))
        fill(&bench, load_arg_int(&args, "jobs", NULL), load_arg(&args, "as", NULL));
    else if (!strcmp(mode, "enqueue"))
        enqueue(&bench, (int)load_arg_int(&args, "under-way", "256"),
                load_arg_int(&args, "seconds", "2") * INT64_C(1000000000));
    else if (!strcmp(mode, "work"))
        work(&bench, load_arg_int(&args, "jobs", "60000"));
    else if (!strcmp(mode, "start"))
        start(&bench, load_arg_int(&args, "jobs", "300"), load_arg_int(&args, "remote", "0") != 0);
    else if (!strcmp(mode, "fair"))
        fair(&bench, load_arg_int(&args, "jobs", "100"));
    else
        load_die("bench_queue: no mode %s", mode);
    return 0;
}
