/* bench_store.c -- how fast the store commits and the queue turns, on this machine and disk.
 *
 *     make V=release build/release/bench_store && build/release/bench_store [FOLDER]
 *
 * Rows, each for SECONDS: one writer that waits for each commit (the baseline: the disk's fsync),
 * then as many writes under way as a group shall have; a write is two rows, a comment-like one with
 * two indexes and a job. Then job cycles: enqueue apart, claim + effect + acknowledgement measured.
 * `cpu s/M` is the CPU time of the whole process for a million operations: it drifts less than the
 * rate.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "queue/queue.h"

enum { SECONDS = 3, MAX_PARALLEL = 512, JOBS = 60000 };

static const char schema[] = "CREATE TABLE note (id INTEGER PRIMARY KEY, parent_id INTEGER NOT "
                             "NULL, author_id INTEGER NOT NULL, "
                             "body TEXT NOT NULL, created_at_ms INTEGER NOT NULL);"
                             "CREATE INDEX note_parent ON note (parent_id, id);"
                             "CREATE INDEX note_author ON note (author_id, id);"
                             "CREATE TABLE effect (job_id INTEGER PRIMARY KEY);";

struct bench {
    struct store *store;
    struct queue *queue;
    _Atomic int64_t done, failed;
    _Atomic int stop, under_way;
    bool has_job;
    int64_t max_ms;
};

struct op {
    struct store_write write;
    struct bench *bench;
    int64_t number, sent_ns;
};

static double cpu_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void print_row(const char *what, int64_t count, int64_t ns, double cpu, const char *note)
{
    printf("%-44s %10.0f /s %8.1f cpu s/M  %s\n", what, (double)count * 1e9 / (double)ns,
           cpu * 1e6 / (double)count, note);
    fflush(stdout);
}

/* ---- writes ---- */

static enum err insert_fn(struct store_tx *tx, void *arg)
{
    static const char body[] =
        "The crossing at the school needs a light: in the morning the cars do not stop "
        "and the children run. We asked twice; here is the third time.";
    struct op *op = arg;
    struct store_stmt *st;
    int64_t id = 0;
    enum err err = store_prepare(tx,
                                 "INSERT INTO note (parent_id, author_id, body, created_at_ms) "
                                 "VALUES ($1, $2, $3, $4) RETURNING id",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, op->number % 20);
    store_bind_int(st, 2, op->number % 997);
    store_bind_text(st, 3, str_of(body));
    store_bind_int(st, 4, store_now_ms(tx));
    err = store_step(st);
    if (!err)
        id = store_column_int(st, 0);
    store_finish(st);
    if (err || !op->bench->has_job)
        return err;
    char payload[64];
    int len = snprintf(payload, sizeof(payload), "{\"comment_id\":%lld}", (long long)id);
    const struct queue_new job = {.kind = STR("note.created"), .payload = {payload, (size_t)len}};
    return queue_enqueue(tx, &job, NULL);
}

static void send_op(struct op *op)
{
    op->number += MAX_PARALLEL;
    op->sent_ns = clock_mono_ns();
    CHECK(!store_write(op->bench->store, &op->write));
}

static void on_inserted(struct store_write *write, enum err err)
{
    struct op *op = (struct op *)(void *)write;
    struct bench *b = op->bench;
    atomic_fetch_add(err ? &b->failed : &b->done, 1);
    int64_t ms = (clock_mono_ns() - op->sent_ns) / 1000000;
    if (ms > b->max_ms)
        b->max_ms = ms;
    if (atomic_load(&b->stop))
        atomic_fetch_sub(&b->under_way, 1);
    else
        send_op(op);
}

static void bench_writes(struct bench *b, int parallel, bool has_job)
{
    static struct op ops[MAX_PARALLEL];
    char what[80], note[120];
    struct store_stats before, after;

    b->has_job = has_job;
    b->max_ms = 0;
    atomic_store(&b->done, 0);
    atomic_store(&b->stop, 0);
    atomic_store(&b->under_way, parallel);
    store_get_stats(b->store, &before);
    double cpu = cpu_seconds();
    int64_t start = clock_mono_ns();
    for (int i = 0; i < parallel; i++) {
        ops[i] = (struct op){.bench = b, .number = i};
        ops[i].write =
            (struct store_write){.fn = insert_fn, .arg = &ops[i], .on_done = on_inserted};
        send_op(&ops[i]);
    }
    sleep(SECONDS);
    atomic_store(&b->stop, 1);
    while (atomic_load(&b->under_way) > 0)
        usleep(1000);
    int64_t ns = clock_mono_ns() - start;
    store_get_stats(b->store, &after);
    snprintf(what, sizeof(what), "%s, %d under way", has_job ? "row + job" : "row", parallel);
    snprintf(note, sizeof(note), "%.1f a group, worst %lld ms, %lld checkpoints",
             (double)(after.writes - before.writes) / (double)(after.groups - before.groups),
             (long long)b->max_ms, (long long)(after.checkpoints - before.checkpoints));
    print_row(what, atomic_load(&b->done), ns, cpu_seconds() - cpu, note);
}

/* ---- jobs ---- */

static enum err job_commit(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    struct store_stmt *st;
    enum err err = store_prepare(tx, "INSERT INTO effect (job_id) VALUES ($1)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job->id);
    return store_run(st, NULL);
}

static void job_done(struct queue_job *job, void *ctx)
{
    (void)job;
    atomic_fetch_add(&((struct bench *)ctx)->done, 1);
}

static void wake(void *ctx)
{
    queue_wake(ctx);
}

static enum err enqueue_many(struct store_tx *tx, void *arg)
{
    (void)arg;
    const struct queue_new job = {.kind = STR("note.created"),
                                  .payload = STR("{\"comment_id\":1}")};
    for (int i = 0; i < JOBS; i++) {
        enum err err = queue_enqueue(tx, &job, NULL);
        if (err)
            return err;
    }
    return OK;
}

static enum err clear_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx, "DELETE FROM job", &st);
    return err ? err : store_run(st, NULL);
}

static void bench_jobs(struct bench *b, int workers, int batch)
{
    struct queue_handler handler = {"note.created", NULL, job_commit, job_done, b, 0, 0};
    struct queue_options options = {.workers = workers, .batch = batch};
    struct store_stats before, after;
    char what[80], note[80];

    CHECK(!store_write_wait(b->store, clear_fn, NULL));
    double cpu = cpu_seconds();
    int64_t start = clock_mono_ns();
    CHECK(!store_write_wait(b->store, enqueue_many, NULL));
    print_row("enqueue, one transaction", JOBS, clock_mono_ns() - start, cpu_seconds() - cpu, "");

    atomic_store(&b->done, 0);
    struct queue *q = queue_new(b->store, &options, &handler, 1);
    store_on_commit(b->store, wake, q);
    store_get_stats(b->store, &before);
    cpu = cpu_seconds();
    start = clock_mono_ns();
    CHECK(!queue_start(q));
    while (atomic_load(&b->done) < JOBS)
        usleep(1000);
    int64_t ns = clock_mono_ns() - start;
    store_get_stats(b->store, &after);
    snprintf(what, sizeof(what), "claim + effect + ack, %d workers, batch %d", workers, batch);
    snprintf(note, sizeof(note), "%.1f a group",
             (double)JOBS / (double)(after.groups - before.groups));
    print_row(what, JOBS, ns, cpu_seconds() - cpu, note);
    CHECK(queue_stop(q, 10000));
    store_on_commit(b->store, NULL, NULL);
    queue_free(q);
}

/* ---- */

static char *read_file(const char *name)
{
    char *text = mem_zalloc(65536);
    FILE *f = fopen(name, "r");
    CHECK(f && fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

static void open_store(struct bench *b, const char *path)
{
    char why[200] = "";
    struct store_options options = {.path = path, .is_server = true};
    char *queue_sql = read_file("migrations/0001_queue.sql");
    char *name_sql = read_file("migrations/0003_queue_name.sql");
    char *whole_sql = read_file("migrations/0004_queue_whole.sql");
    const struct store_migration list[] = {{1, "queue", queue_sql},
                                           {2, "queue_name", name_sql},
                                           {3, "queue_whole", whole_sql},
                                           {4, "bench", schema}};

    log_set_level(LOG_WARN);
    if (store_open(&options, &b->store, why, sizeof(why)) ||
        store_migrate(b->store, list, 4, NULL, why, sizeof(why))) {
        fprintf(stderr, "bench_store: %s\n", why);
        exit(1);
    }
    mem_free(queue_sql);
    mem_free(name_sql);
    mem_free(whole_sql);
}

static void remove_files(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char name[300];
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        unlink(name);
    }
}

int main(int argc, char **argv)
{
    static struct bench bench;
    char path[256];
    struct utsname machine;

    snprintf(path, sizeof(path), "%s/bench_store.db", argc > 1 ? argv[1] : "/tmp");
    remove_files(path);
    uname(&machine);
    printf("%ld cores, %s %s, %s\n", sysconf(_SC_NPROCESSORS_ONLN), machine.sysname,
           machine.release, path);
    open_store(&bench, path);
    static const int parallel[] = {1, 8, 64, 256, 512};
    for (size_t i = 0; i < sizeof(parallel) / sizeof(parallel[0]); i++)
        bench_writes(&bench, parallel[i], false);
    for (size_t i = 0; i < sizeof(parallel) / sizeof(parallel[0]); i++)
        bench_writes(&bench, parallel[i], true);
    bench_jobs(&bench, 1, 32);
    bench_jobs(&bench, 2, 32);
    bench_jobs(&bench, 2, 128);
    store_close(bench.store);
    remove_files(path);
    return atomic_load(&bench.failed) > 0;
}
