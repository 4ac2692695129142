/* queue_agent.c -- one process of the queue's chaos: it enqueues, or it works, and writes down what
 * it does before and after, each line by one call. queue.test.mjs starts, stops and kills many of
 * them on one file.
 *
 *     queue_agent migrate  DB
 *     queue_agent producer DB HISTORY FIRST COUNT BATCH   (tags FIRST..; ends when done)
 *     queue_agent worker   DB HISTORY THREADS LEASE_MS    (until SIGTERM)
 *
 *     N <first> <count>  will enqueue these tags in one transaction
 *     P <first> <count>  the same, and roll back
 *     E <tag> <id>       it is committed
 *     R <tag> <id> <epoch> <attempt>  runs
 *     F <tag>            is about to fail
 *     A <tag> <id> <epoch>  is done
 *     Z <count>          so many ends were refused, because the job is another's by now
 */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "queue/queue.h"

enum {
    MAX_BATCH = 200,
    WAKE_MS = 20,
    WORK_MS = 3,
    DRAIN_MS = 5000,
    BUSY_MS = 60000,
    TELL_EVERY = 5
};

static int history_fd = -1;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[120];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    CHECK(write(history_fd, line, (size_t)len) == len);
}

static void open_history(const char *path)
{
    history_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    CHECK(history_fd >= 0);
}

static struct store *open_store(const char *path)
{
    struct store *store = NULL;
    char why[200] = "";
    const struct store_options options = {.path = path, .readers = 1, .busy_ms = BUSY_MS};
    if (store_open(&options, &store, why, sizeof(why))) {
        fprintf(stderr, "queue_agent: %s\n", why);
        exit(1);
    }
    return store;
}

/* ---- migrate ---- */

static int migrate(const char *path)
{
    struct store_migration list[20];
    char why[200] = "";
    size_t count = 0;
    glob_t files;
    struct store *store = open_store(path);
    CHECK(glob("migrations/*queue*.sql", 0, NULL, &files) == 0 && files.gl_pathc < 20);
    for (; count < files.gl_pathc; count++) {
        FILE *f = fopen(files.gl_pathv[count], "r");
        char *text = mem_zalloc(65536);
        CHECK(f != NULL && fread(text, 1, 65535, f) > 0);
        fclose(f);
        list[count] = (struct store_migration){(int)count + 1, "queue", text};
    }
    // no constraint: an effect that happens twice must show
    list[count] = (struct store_migration){
        (int)count + 1, "effect",
        "CREATE TABLE effect (tag INTEGER NOT NULL, job_id INTEGER NOT NULL, epoch INTEGER);"};
    CHECK(store_migrate(store, list, count + 1, NULL, why, sizeof(why)) == OK);
    for (size_t i = 0; i < count; i++)
        mem_free((void *)(uintptr_t)list[i].sql);
    globfree(&files);
    store_close(store);
    return 0;
}

/* ---- producer ---- */

struct batch {
    int64_t first;
    int count;
    bool is_rolled_back;
    int64_t ids[MAX_BATCH];
};

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    struct batch *b = arg;
    for (int i = 0; i < b->count; i++) {
        char payload[24];
        int64_t tag = b->first + i;
        snprintf(payload, sizeof(payload), "%lld", (long long)tag);
        struct queue_new job = {
            .kind = tag % 13 == 0 ? STR("flaky") : STR("plain"),
            .payload = str_of(payload),
            .run_at_ms = tag % 11 == 0 ? store_now_ms(tx) + tag % 200 : 0,
        };
        enum err err = queue_enqueue(tx, &job, &b->ids[i]);
        if (err)
            return err;
    }
    return b->is_rolled_back ? ERR_DENIED : OK;
}

static int produce(char **args)
{
    struct store *store = open_store(args[0]);
    int64_t first = atoll(args[2]), end = first + atoll(args[3]);
    int max = atoi(args[4]);
    CHECK(max > 0 && max <= MAX_BATCH);
    open_history(args[1]);
    while (first < end) {
        struct batch b = {.first = first, .count = end - first < max ? (int)(end - first) : max};
        b.is_rolled_back = first / max % 10 == 9;
        say("%c %lld %d\n", b.is_rolled_back ? 'P' : 'N', (long long)first, b.count);
        enum err err = store_write_wait(store, enqueue_fn, &b);
        CHECK(err == (b.is_rolled_back ? ERR_DENIED : OK));
        for (int i = 0; i < b.count && !b.is_rolled_back; i++)
            say("E %lld %lld\n", (long long)(first + i), (long long)b.ids[i]);
        first += b.count;
    }
    store_close(store);
    return 0;
}

/* ---- worker ---- */

static long long tag_of(const struct queue_job *job)
{
    int64_t tag = 0;
    CHECK(str_parse_int(job->payload, &tag) == OK);
    return tag;
}

static enum err on_run(struct queue_job *job, void *ctx, struct str *why_out)
{
    (void)ctx;
    say("R %lld %lld %lld %d\n", tag_of(job), (long long)job->id, (long long)job->epoch,
        job->attempt);
    nanosleep(&(struct timespec){.tv_nsec = WORK_MS * 1000000}, NULL); // the work, not a wait
    if (str_eq(job->kind, STR("plain")) || job->attempt > 0)
        return OK;
    say("F %lld\n", tag_of(job));
    *why_out = STR("flaky");
    return ERR_IO;
}

static enum err on_commit(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    struct store_stmt *st;
    enum err err =
        store_prepare(tx, "INSERT INTO effect (tag, job_id, epoch) VALUES ($1, $2, $3)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, tag_of(job));
    store_bind_int(st, 2, job->id);
    store_bind_int(st, 3, job->epoch);
    return store_run(st, NULL);
}

static void on_done(struct queue_job *job, void *ctx)
{
    (void)ctx;
    say("A %lld %lld %lld\n", tag_of(job), (long long)job->id, (long long)job->epoch);
}

static volatile sig_atomic_t is_over;

static void on_signal(int number)
{
    (void)number;
    is_over = 1;
}

/* What was refused since it was told last; it may be killed before its end. */
static void say_refused(struct queue *q, int64_t *told)
{
    struct queue_stats stats;
    CHECK(queue_get_stats(q, &stats) == OK);
    if (stats.refused > *told)
        say("Z %lld\n", (long long)(stats.refused - *told));
    *told = stats.refused;
}

static int work(char **args)
{
    static const struct queue_handler handlers[] = {
        {.kind = "plain", .run = on_run, .commit = on_commit, .done = on_done},
        {.kind = "flaky", .run = on_run, .commit = on_commit, .done = on_done, .backoff_ms = 50},
    };
    signal(SIGTERM, on_signal);
    struct store *store = open_store(args[0]);
    const struct queue_options options = {.workers = atoi(args[2]), .lease_ms = atoi(args[3])};
    open_history(args[1]);
    struct queue *q = queue_new(store, &options, handlers, 2);
    CHECK(queue_start(q) == OK);
    int64_t refused = 0;
    for (int i = 1; !is_over; i++) { // others enqueue: nobody tells us
        nanosleep(&(struct timespec){.tv_nsec = WAKE_MS * 1000000}, NULL);
        queue_wake(q);
        if (i % TELL_EVERY == 0)
            say_refused(q, &refused);
    }
    if (!queue_stop(q, DRAIN_MS))
        _exit(3);
    say_refused(q, &refused);
    queue_free(q);
    store_close(store);
    return 0;
}

int main(int argc, char **argv)
{
    log_set_level(LOG_ERROR);
    if (argc == 3 && strcmp(argv[1], "migrate") == 0)
        return migrate(argv[2]);
    if (argc == 7 && strcmp(argv[1], "producer") == 0)
        return produce(argv + 2);
    if (argc == 6 && strcmp(argv[1], "worker") == 0)
        return work(argv + 2);
    fprintf(stderr, "usage: see the top of queue_agent.c\n");
    return 2;
}
