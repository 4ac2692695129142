#include <fcntl.h>
#include <glob.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "disk.h"
#include "queue/queue_report.h"
#include "world_internal.h"

enum { PAYLOAD_BYTES = 60000, CHILD = 500, GROUP = 3 };

/* ---- the history ---- */

void world_say(struct world *w, const char *format, ...)
{
    char line[120];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    CHECK(len > 0 && (size_t)len < sizeof(line));
    CHECK(write(w->history_fd, line, (size_t)len) == len);
    if (w->is_marked)
        disk_mark(lseek(w->history_fd, 0, SEEK_CUR));
}

/* The time of the last line that has one, so that the clock of the next process is not behind. */
static int64_t last_ms(const char *text)
{
    int64_t latest = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        long long ms = 0;
        if (sscanf(line, "S %lld", &ms) == 1 || sscanf(line, "R %*d %*d %*d %*d %lld", &ms) == 1)
            latest = ms > latest ? ms : latest;
    }
    return latest;
}

char *world_history(const struct world *w)
{
    FILE *f = fopen(w->history, "r");
    CHECK(f != NULL);
    char *text = mem_zalloc(1 << 20);
    size_t len = fread(text, 1, (1 << 20) - 1, f);
    CHECK(feof(f));
    fclose(f);
    while (len > 0 && text[len - 1] != '\n') // cut by the kill
        text[--len] = '\0';
    return text;
}

/* ---- the handlers ---- */

/* The payload is a number, perhaps with spaces behind it; or it is in the field of what follows a
 * batch. */
static int64_t number_of(const struct queue_job *job)
{
    char text[200];
    snprintf(text, sizeof(text), "%.*s", STR_ARG(job->payload));
    const char *field = strstr(text, "\"payload\":");
    return atoll(field ? field + strlen("\"payload\":") : text);
}

/* Set by on_run: a tick's depends on its time. */
static int64_t tag_of(const struct queue_job *job)
{
    return (int64_t)(intptr_t)job->user;
}

static enum err fail_run(struct world *w, const struct queue_job *job, struct str *why_out)
{
    world_say(w, "F %lld\n", (long long)tag_of(job));
    *why_out = STR("it fails");
    return ERR_IO;
}

static enum err on_run(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct world *w = ctx;
    int64_t tag = number_of(job);
    if (str_eq(job->kind, STR("y")))
        tag = world_flow_tick(w, job, tag);
    CHECK(tag > 0 && tag < MAX_TAGS);
    job->user = (void *)(intptr_t)tag;
    world_say(w, "R %lld %lld %lld %d %lld\n", (long long)tag, (long long)job->id,
              (long long)job->epoch, job->attempt, (long long)clock_unix_ms());
    switch (job->kind.at[0]) {
    case 'f':
    case 'z':
        return job->attempt == 0 ? fail_run(w, job, why_out) : OK;
    case 'd':
        return fail_run(w, job, why_out);
    case 's':
        return world_flow_steps(w, job, tag) ? fail_run(w, job, why_out) : OK;
    case 'n':
        return world_flow_snooze(w, job);
    default:
        return OK;
    }
}

enum err world_enqueue(struct store_tx *tx, struct world *w, int64_t tag, char kind,
                       struct queue_new job, int64_t *id_out)
{
    char payload[PAYLOAD_BYTES];
    const char name[2] = {kind, '\0'};
    snprintf(payload, sizeof(payload), "%-*lld%s", w->payload_bytes, (long long)tag,
             job.seal ? " " WORLD_SECRET : "");
    job.kind = str_of(name);
    job.payload = str_of(payload);
    world_say(w, "N %lld %c\n", (long long)tag, kind);
    return queue_enqueue(tx, &job, id_out);
}

enum err world_effect(struct store_tx *tx, int64_t tag, int64_t job_id)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "INSERT INTO effect (tag, job_id) VALUES ($1, $2)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, tag);
    store_bind_int(st, 2, job_id);
    return store_run(st, NULL);
}

static enum err on_commit(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    enum err err = world_effect(tx, tag_of(job), job->id);
    if (err || !str_eq(job->kind, STR("p")))
        return err;
    return world_enqueue(tx, ctx, tag_of(job) + CHILD, 'o', (struct queue_new){0}, NULL);
}

static void on_done(struct queue_job *job, void *ctx)
{
    if (str_eq(job->kind, STR("p")))
        world_say(ctx, "E %lld 0\n", (long long)tag_of(job) + CHILD);
    world_say(ctx, "A %lld %lld\n", (long long)tag_of(job), (long long)job->id);
}

/* o: works. l: works, later. k: works, has a key. p: enqueues a child. f: fails at first. d: fails.
 * w: works, has all that a job can have, and is kept. Those of world_flow.c: q: works, and is kept.
 * v: works, is kept, and pruned. c: works, follows a batch. t: works, by turns. y: works, a tick's.
 * s: works, in steps, and fails between them. n: is put off at first. g: is discarded, or works. x:
 * must not run. z: as f, sealed, and kept. */
#define HANDLER(name)                                                                              \
    {                                                                                              \
        .kind = name, .run = on_run, .commit = on_commit, .done = on_done                          \
    }
static struct queue_handler handlers[] = {
    HANDLER("o"), HANDLER("l"), HANDLER("k"), HANDLER("p"), HANDLER("f"), HANDLER("d"),
    HANDLER("w"), HANDLER("q"), HANDLER("v"), HANDLER("c"), HANDLER("t"), HANDLER("y"),
    HANDLER("s"), HANDLER("n"), HANDLER("g"), HANDLER("x"), HANDLER("z")};
enum { HANDLERS = sizeof(handlers) / sizeof(handlers[0]) };

/* ---- opening ---- */

static void migrate(struct world *w)
{
    struct store_migration list[20];
    char *texts[20], why[200] = "";
    size_t count = 0;
    glob_t files;
    CHECK(glob("migrations/*queue*.sql", 0, NULL, &files) == 0 && files.gl_pathc < 20);
    for (; count < files.gl_pathc; count++) {
        FILE *f = fopen(files.gl_pathv[count], "r");
        CHECK(f != NULL);
        texts[count] = mem_zalloc(65536);
        CHECK(fread(texts[count], 1, 65535, f) > 0);
        fclose(f);
        list[count] = (struct store_migration){(int)count + 1, "queue", texts[count]};
    }
    // no constraint: an effect that happens twice must show
    list[count] = (struct store_migration){(int)count + 1, "effect",
                                           "CREATE TABLE effect (id INTEGER PRIMARY KEY, "
                                           "tag INTEGER NOT NULL, job_id INTEGER NOT NULL);"};
    CHECK(store_migrate(w->store, list, count + 1, NULL, why, sizeof(why)) == OK);
    for (size_t i = 0; i < count; i++)
        mem_free(texts[i]);
    globfree(&files);
}

struct store *world_open_store(struct world *w)
{
    char why[200] = "";
    const struct store_options options = {.path = w->path, .readers = 1, .is_server = true};
    CHECK(store_open(&options, &w->store, why, sizeof(why)) == OK);
    migrate(w);
    return w->store;
}

static void open_seal(struct world *w, bool is_first)
{
#define DIGITS "00112233445566778899aabbccddeeff00112233445566778899aabbccddeef"
    const char *why = "";
    struct str keys = is_first ? STR("a=" DIGITS "1\n") : STR("b=" DIGITS "2\na=" DIGITS "1\n");
    CHECK(queue_seal_read(keys, &w->seal, &why) == OK);
#undef DIGITS
}

void world_open(struct world *w)
{
    w->history_fd = open(w->history, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    CHECK(w->history_fd >= 0);
    char *history = world_history(w);
    int64_t before_ms = last_ms(history), now_ms = clock_unix_ms();
    open_seal(w, history[0] == '\0');
    mem_free(history);
    if (before_ms > now_ms)
        clock_test_advance(before_ms - now_ms);
    for (int i = 0; i < HANDLERS; i++) {
        handlers[i].ctx = w;
        handlers[i].max_attempts = handlers[i].kind[0] == 'd' ? DEAD_ATTEMPTS : 0;
    }
    world_open_store(w);
    const struct queue_options queue = {
        .lease_ms = LEASE_MS, .is_alone = w->is_alone, .seal = w->seal};
    CHECK(queue_test_begin_with(&w->queue, w->store, &queue, handlers, HANDLERS) == OK);
    world_say(w, "S %lld\n", (long long)clock_unix_ms());
}

void world_close(struct world *w)
{
    queue_test_end(&w->queue);
    store_close(w->store);
    queue_seal_free(w->seal);
    close(w->history_fd);
}

/* ---- the scenario ---- */

struct batch {
    struct world *w;
    int64_t first, count; // tags
    char kind;
    struct queue_new job;
    enum err verdict;
    int64_t ids[300];
};

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    struct batch *b = arg;
    for (int64_t i = 0; i < b->count; i++) {
        enum err err = world_enqueue(tx, b->w, b->first + i, b->kind, b->job, &b->ids[i]);
        if (err)
            return err;
    }
    return b->verdict;
}

/* Enqueues count jobs in one transaction. */
void world_add(struct world *w, int64_t first, int64_t count, char kind, struct queue_new job)
{
    struct batch b = {.w = w, .first = first, .count = count, .kind = kind, .job = job};
    CHECK(store_write_wait(w->store, enqueue_fn, &b) == OK);
    for (int64_t i = 0; i < count; i++) {
        if (b.ids[i] > 0)
            world_say(w, "E %lld %lld\n", (long long)(first + i), (long long)b.ids[i]);
        else
            world_say(w, "D %lld\n", (long long)(first + i));
    }
}

void world_add_softly(struct world *w, int64_t first, int64_t count, char kind)
{
    struct batch b = {
        .w = w, .first = first, .count = count, .kind = kind, .job = {.durability = QUEUE_NORMAL}};
    CHECK(queue_may_be_soft(&b.job, 1));
    CHECK(store_write_soft_wait(w->store, enqueue_fn, &b) == OK);
    for (int64_t i = 0; i < count; i++)
        world_say(w, "M %lld %lld\n", (long long)(first + i), (long long)b.ids[i]);
}

/* With an option of each kind, a unique key until its end, and an idempotency key. */
static void add_whole(struct world *w, int64_t tag)
{
    static const struct str tags[] = {{"red", 3}, {"green", 5}};
    world_add(w, tag, 1, 'w',
              (struct queue_new){.unique_key = STR("w"),
                                 .unique_until = QUEUE_UNTIL_END,
                                 .idempotency_key = STR("once"),
                                 .priority = -1,
                                 .timeout_ms = 5000,
                                 .max_attempts = 5,
                                 .keep_ms = 3600 * 1000,
                                 .tags = tags,
                                 .tag_count = 2});
}

/* Has a key of another's: it is no other job. */
static void say_same(struct world *w, int64_t first, int64_t second)
{
    world_say(w, "U %lld %lld\n", (long long)first, (long long)second);
}

static void add_and_roll_back(struct world *w, int64_t tag)
{
    struct batch b = {.w = w, .first = tag, .count = 1, .kind = 'o', .verdict = ERR_DENIED};
    world_say(w, "P %lld\n", (long long)tag);
    CHECK(store_write_wait(w->store, enqueue_fn, &b) == ERR_DENIED);
}

/* Holds the writer until others wait, so that they are one group. */
struct gate {
    struct store_write write;
    sem_t open;
};

static enum err hold_fn(struct store_tx *tx, void *arg)
{
    (void)tx;
    while (sem_wait(arg))
        continue;
    sem_post(arg); // it may run twice
    return OK;
}

static void on_through(struct store_write *write, enum err err)
{
    (void)write;
    CHECK(err == OK);
}

struct member {
    struct store_write write; // first: on_member casts back
    enum err err;
    sem_t done;
};

static void on_member(struct store_write *write, enum err err)
{
    struct member *member = (struct member *)(void *)write;
    member->err = err;
    sem_post(&member->done);
}

/* Transactions in one group: a soft one, which is as durable as the next; that; and one which is
 * rolled back after it had enqueued. */
static void add_in_a_group(struct world *w, int64_t soft, int64_t good, int64_t bad)
{
    struct gate gate = {.write = {.fn = hold_fn, .on_done = on_through}};
    struct batch batches[GROUP] = {
        {.w = w, .first = soft, .count = 1, .kind = 'o', .job = {.durability = QUEUE_NORMAL}},
        {.w = w, .first = good, .count = 1, .kind = 'o'},
        {.w = w, .first = bad, .count = 1, .kind = 'o', .verdict = ERR_DENIED},
    };
    struct member members[GROUP];
    sem_init(&gate.open, 0, 0);
    gate.write.arg = &gate.open;
    world_say(w, "P %lld\n", (long long)bad);
    CHECK(store_write(w->store, &gate.write) == OK);
    for (int i = 0; i < GROUP; i++) {
        sem_init(&members[i].done, 0, 0);
        members[i].write = (struct store_write){
            .fn = enqueue_fn, .arg = &batches[i], .on_done = on_member, .is_soft = i == 0};
        CHECK(store_write(w->store, &members[i].write) == OK);
    }
    sem_post(&gate.open);
    for (int i = 0; i < GROUP; i++) {
        while (sem_wait(&members[i].done))
            continue;
        sem_destroy(&members[i].done);
    }
    sem_destroy(&gate.open);
    CHECK(members[0].err == OK && members[1].err == OK && members[2].err == ERR_DENIED);
    world_say(w, "M %lld %lld\n", (long long)soft, (long long)batches[0].ids[0]);
    world_say(w, "E %lld %lld\n", (long long)good, (long long)batches[1].ids[0]);
}

static enum err claim_fn(struct store_tx *tx, void *arg)
{
    struct hand *hand = arg;
    int64_t next_ms;
    const struct queue_options options = {.lease_ms = LEASE_MS};
    if (hand->count > 0)
        arena_done(&hand->job.arena);
    hand->count = 0;
    return queue_claim(tx, &options, &hand->job, 1, &hand->count, &next_ms);
}

void world_claim(struct world *w, struct hand *hand)
{
    *hand = (struct hand){.count = 0};
    CHECK(store_write_wait(w->store, claim_fn, hand) == OK && hand->count == 1);
}

static enum err ack_fn(struct store_tx *tx, void *arg)
{
    struct hand *hand = arg;
    enum err err = queue_ack(tx, &hand->job);
    if (!err && hand->job.keep_ms > 0)
        err = queue_report_result(tx, hand->job.id, STR("true"));
    return err ? err : world_effect(tx, tag_of(&hand->job), hand->job.id);
}

static enum err renew_fn(struct store_tx *tx, void *arg)
{
    return queue_renew(tx, &((struct hand *)arg)->job, LEASE_MS);
}

static enum err release_fn(struct store_tx *tx, void *arg)
{
    const struct queue_job *job = &((struct hand *)arg)->job;
    return queue_release(tx, job, job->run_at_ms);
}

static enum err fail_fn(struct store_tx *tx, void *arg)
{
    return queue_fail(tx, &((struct hand *)arg)->job, STR("by hand"), 0, false);
}

void world_run_by_hand(struct world *w, struct hand *hand)
{
    struct str why;
    CHECK(on_run(&hand->job, w, &why) == OK);
    CHECK(store_write_wait(w->store, ack_fn, hand) == OK);
    on_done(&hand->job, w);
}

/* Renewed, released, taken over after its lease, failed: by the pieces that workers are made of. */
static void play_by_hand(struct world *w)
{
    struct hand first, second;
    world_claim(w, &first);
    CHECK(store_write_wait(w->store, renew_fn, &first) == OK);
    CHECK(store_write_wait(w->store, release_fn, &first) == OK);
    arena_done(&first.job.arena);

    world_claim(w, &first);
    clock_test_advance(LEASE_MS + 1);
    world_claim(w, &second);
    CHECK(second.job.id == first.job.id);
    CHECK(store_write_wait(w->store, ack_fn, &first) == ERR_CONFLICT);
    CHECK(store_write_wait(w->store, renew_fn, &first) == ERR_CONFLICT);
    CHECK(store_write_wait(w->store, release_fn, &first) == ERR_CONFLICT);
    world_run_by_hand(w, &second);
    arena_done(&first.job.arena);
    arena_done(&second.job.arena);

    world_claim(w, &first);
    world_say(w, "F %lld\n", (long long)number_of(&first.job));
    CHECK(store_write_wait(w->store, fail_fn, &first) == OK);
    arena_done(&first.job.arena);
}

void world_run_all(struct world *w)
{
    CHECK(queue_test_run_until_idle(&w->queue, 1000));
}

void world_play(void *world)
{
    struct world *w = world;
    world_open(w);
    for (int64_t tag = 1; tag <= 3; tag++)
        world_add(w, tag, 1, 'o', (struct queue_new){0});
    if (!w->is_alone) // else the claims of rows are rare
        play_by_hand(w);
    world_add(w, 20, 8, 'o', (struct queue_new){0});
    world_add(w, 30, 1, 'l', (struct queue_new){.run_at_ms = clock_unix_ms() + 5000});
    world_add(w, 31, 1, 'f', (struct queue_new){0});
    world_add(w, 32, 1, 'd', (struct queue_new){0});
    world_add(w, 33, 1, 'p', (struct queue_new){0});
    add_and_roll_back(w, 37);
    add_in_a_group(w, 34, 35, 36);
    world_add(w, 40, 1, 'k', (struct queue_new){.unique_key = STR("k")});
    say_same(w, 40, 41);
    world_add(w, 41, 1, 'k', (struct queue_new){.unique_key = STR("k")});
    add_whole(w, 44);
    say_same(w, 44, 45);
    add_whole(w, 45);
    world_add(w, 48, 1, 'o', (struct queue_new){.idempotency_key = STR("again")});
    world_add_softly(w, 46, 1, 'o');
    world_add(w, 47, 1, 'z', (struct queue_new){.seal = w->seal, .keep_ms = 3600 * 1000});
    world_run_all(w);
    world_add(w, 50, 2, 'o', (struct queue_new){0});
    world_add_softly(w, 52, 2, 'o');
    world_close(w); // the last one out copies the log into the database
    world_open(w);
    say_same(w, 48, 62); // which may be done by now
    world_add(w, 62, 1, 'o', (struct queue_new){.idempotency_key = STR("again")});
    world_add(w, 60, 1, 'f', (struct queue_new){0});
    world_add(w, 61, 1, 'z', (struct queue_new){.seal = w->seal, .keep_ms = 3600 * 1000});
    world_run_all(w);
    world_close(w);
}

/* What fails was not enqueued, and other transactions go on. */
static void try_to_add(struct world *w, int64_t tag)
{
    struct batch b = {.w = w, .first = tag, .count = 1, .kind = 'o'};
    enum err err = store_write_wait(w->store, enqueue_fn, &b);
    CHECK(err == OK || err == ERR_AGAIN || err == ERR_IO);
    if (err)
        world_say(w, "P %lld\n", (long long)tag);
    else
        world_say(w, "E %lld %lld\n", (long long)tag, (long long)b.ids[0]);
}

void world_play_on_a_bad_disk(void *world)
{
    struct world *w = world;
    w->is_faulty = true;
    world_open(w);
    w->fail();
    for (int64_t tag = 1; tag <= 12; tag++)
        try_to_add(w, tag);
    bool is_idle = queue_test_run_until_idle(&w->queue, 20);
    for (int64_t tag = 13; tag <= 24; tag++)
        try_to_add(w, tag);
    bool has_failed = disk_has_failed();
    CHECK(is_idle || has_failed);
    disk_heal();
    world_add(w, 25, 1, 'o', (struct queue_new){0}); // at once, without a restart
    world_run_all(w);
    world_close(w);
    if (has_failed)
        _exit(WORLD_HAS_FAILED);
}

static void wait_for_checkpoints(struct world *w, int64_t count)
{
    struct store_stats stats = {0};
    int64_t end_s = time(NULL) + 50;
    while (stats.checkpoints < count) {
        CHECK(time(NULL) < end_s);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        store_get_stats(w->store, &stats);
    }
}

/* So much that the log is copied beside the writer, and then by the writer when it rests. */
void world_play_long(void *world)
{
    struct world *w = world;
    w->payload_bytes = PAYLOAD_BYTES - 1;
    world_open(w);
    world_add(w, 100, 300, 'o', (struct queue_new){0});
    wait_for_checkpoints(w, 1);
    world_add(w, 400, 20, 'o', (struct queue_new){0});
    wait_for_checkpoints(w, 2);
    world_run_all(w);
    world_close(w);
}

void world_drain(void *world)
{
    struct world *w = world;
    char why[200] = "";
    world_open(w);
    if (store_check(w->store, why, sizeof(why)))
        log_error("at=world.drain why=\"%s\"", why);
    CHECK(why[0] == '\0');
    world_flow_drain(w);
    world_close(w);
}

pid_t world_start(void (*fn)(void *world), struct world *w)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0)
        return child;
    CHECK(freopen(w->log, "a", stderr) != NULL);
    setvbuf(stderr, NULL, _IONBF, 0);
    fn(w);
    _exit(0);
}

int world_run(void (*fn)(void *world), struct world *w)
{
    int status = 0;
    pid_t child = world_start(fn, w);
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

/* ---- to look at ---- */

void world_show(const struct world *w)
{
    const char *const paths[] = {w->history, w->log};
    for (int i = 0; i < 2; i++) {
        char line[1000];
        FILE *f = fopen(paths[i], "r");
        while (f && fgets(line, sizeof(line), f))
            fputs(line, stderr);
        if (f)
            fclose(f);
    }
}

bool world_has_logged(const struct world *w, const char *text)
{
    char line[1000];
    bool has = false;
    FILE *f = fopen(w->log, "r");
    CHECK(f != NULL);
    while (!has && fgets(line, sizeof(line), f))
        has = strstr(line, text) != NULL;
    fclose(f);
    return has;
}

/* ---- folders ---- */

void world_make(struct world *w, bool is_alone)
{
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    *w = (struct world){.is_alone = is_alone};
    snprintf(w->dir, sizeof(w->dir), "%s/viche-proof-XXXXXX", root);
    CHECK(mkdtemp(w->dir) != NULL);
    snprintf(w->path, sizeof(w->path), "%s/test.db", w->dir);
    snprintf(w->history, sizeof(w->history), "%s/history", w->dir);
    snprintf(w->log, sizeof(w->log), "%s/log", w->dir);
}

/* Those that matter to who comes next are the first WORLD_FILES. SQLite's index of the log
 * (-shm) is not: the first that opens a database makes it anew. */
static const char *const names[] = {
    "test.db",       "test.db-wal",          "test.db-journal", "test.db.lock", "history",
    "test.db.peers", "test.db-wal.unsynced", "test.db-shm",     "journal",      "log"};

static void path_of(const struct world *w, int file, char out[static 120])
{
    snprintf(out, 120, "%s/%s", w->dir, names[file]);
}

void world_remove(const struct world *w)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char name[120];
        path_of(w, (int)i, name);
        unlink(name);
    }
    CHECK(rmdir(w->dir) == 0); // thousands of them are made
}

char *world_read(const struct world *w, int file, size_t *len_out)
{
    char path[120];
    struct stat about;
    path_of(w, file, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    CHECK(fstat(fd, &about) == 0);
    char *bytes = mem_zalloc((size_t)about.st_size + 1);
    CHECK(pread(fd, bytes, (size_t)about.st_size, 0) == about.st_size);
    close(fd);
    *len_out = (size_t)about.st_size;
    return bytes;
}

void world_copy(const struct world *from, struct world *to)
{
    world_make(to, from->is_alone);
    for (int i = 0; i < WORLD_FILES; i++) {
        char path[120];
        size_t len = 0;
        char *bytes = world_read(from, i, &len);
        if (!bytes)
            continue;
        path_of(to, i, path);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && close(fd) == 0);
        mem_free(bytes);
    }
}
