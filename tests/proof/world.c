#include "world.h"

#include <fcntl.h>
#include <glob.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "disk.h"

enum {
    PAYLOAD_BYTES = 60000,
    MAX_TAGS = 1000,
    LEASE_MS = 1000,
    SWEEP_MS = 1000,
    CHILD = 500,
    DEAD_ATTEMPTS = 2
};

/* ---- the history ---- */

__attribute__((format(printf, 2, 3))) static void say(struct world *w, const char *format, ...)
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

static char *read_history(const struct world *w)
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

/* The payload is a number, perhaps with spaces behind it. */
static int64_t tag_of(const struct queue_job *job)
{
    char number[24];
    snprintf(number, sizeof(number), "%.*s", STR_ARG(job->payload));
    int64_t tag = atoll(number);
    CHECK(tag > 0 && tag < MAX_TAGS);
    return tag;
}

static enum err on_run(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct world *w = ctx;
    int64_t tag = tag_of(job);
    say(w, "R %lld %lld %lld %d %lld\n", (long long)tag, (long long)job->id, (long long)job->epoch,
        job->attempt, (long long)clock_unix_ms());
    bool is_flaky = str_eq(job->kind, STR("f")) && job->attempt == 0;
    if (!is_flaky && !str_eq(job->kind, STR("d")))
        return OK;
    say(w, "F %lld\n", (long long)tag);
    *why_out = STR("it fails");
    return ERR_IO;
}

static enum err enqueue(struct store_tx *tx, struct world *w, int64_t tag, char kind,
                        struct queue_new job, int64_t *id_out)
{
    char payload[PAYLOAD_BYTES];
    const char name[2] = {kind, '\0'};
    snprintf(payload, sizeof(payload), "%-*lld", w->payload_bytes, (long long)tag);
    job.kind = str_of(name);
    job.payload = str_of(payload);
    say(w, "N %lld %c\n", (long long)tag, kind);
    return queue_enqueue(tx, &job, id_out);
}

static enum err add_effect(struct store_tx *tx, const struct queue_job *job)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "INSERT INTO effect (tag, job_id) VALUES ($1, $2)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, tag_of(job));
    store_bind_int(st, 2, job->id);
    return store_run(st, NULL);
}

static enum err on_commit(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    enum err err = add_effect(tx, job);
    if (err || !str_eq(job->kind, STR("p")))
        return err;
    return enqueue(tx, ctx, tag_of(job) + CHILD, 'o', (struct queue_new){0}, NULL);
}

static void on_done(struct queue_job *job, void *ctx)
{
    if (str_eq(job->kind, STR("p")))
        say(ctx, "E %lld 0\n", (long long)tag_of(job) + CHILD);
    say(ctx, "A %lld %lld\n", (long long)tag_of(job), (long long)job->id);
}

/* o: works. l: works, later. k: works, has a key. p: enqueues a child. f: fails at first. d: fails.
 * w: works, has all that a job can have, and is kept. */
#define HANDLER(name)                                                                              \
    {                                                                                              \
        .kind = name, .run = on_run, .commit = on_commit, .done = on_done                          \
    }
static struct queue_handler handlers[] = {HANDLER("o"), HANDLER("l"), HANDLER("k"), HANDLER("p"),
                                          HANDLER("f"), HANDLER("d"), HANDLER("w")};
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

static void open_world(struct world *w)
{
    const struct queue_options queue = {.lease_ms = LEASE_MS, .is_alone = w->is_alone};
    w->history_fd = open(w->history, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    CHECK(w->history_fd >= 0);
    char *history = read_history(w);
    int64_t before_ms = last_ms(history), now_ms = clock_unix_ms();
    mem_free(history);
    if (before_ms > now_ms)
        clock_test_advance(before_ms - now_ms);
    for (int i = 0; i < HANDLERS; i++) {
        handlers[i].ctx = w;
        handlers[i].max_attempts = handlers[i].kind[0] == 'd' ? DEAD_ATTEMPTS : 0;
    }
    world_open_store(w);
    CHECK(queue_test_begin_with(&w->queue, w->store, &queue, handlers, HANDLERS) == OK);
    say(w, "S %lld\n", (long long)clock_unix_ms());
}

static void close_world(struct world *w)
{
    queue_test_end(&w->queue);
    store_close(w->store);
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
        enum err err = enqueue(tx, b->w, b->first + i, b->kind, b->job, &b->ids[i]);
        if (err)
            return err;
    }
    return b->verdict;
}

/* Enqueues count jobs in one transaction. */
static void add(struct world *w, int64_t first, int64_t count, char kind, struct queue_new job)
{
    struct batch b = {.w = w, .first = first, .count = count, .kind = kind, .job = job};
    CHECK(store_write_wait(w->store, enqueue_fn, &b) == OK);
    for (int64_t i = 0; i < count; i++) {
        if (b.ids[i] > 0)
            say(w, "E %lld %lld\n", (long long)(first + i), (long long)b.ids[i]);
        else
            say(w, "D %lld\n", (long long)(first + i));
    }
}

/* With an option of each kind, a unique key until its end, and an idempotency key. */
static void add_whole(struct world *w, int64_t tag)
{
    static const struct str tags[] = {{"red", 3}, {"green", 5}};
    add(w, tag, 1, 'w',
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

static void add_and_roll_back(struct world *w, int64_t tag)
{
    struct batch b = {.w = w, .first = tag, .count = 1, .kind = 'o', .verdict = ERR_DENIED};
    say(w, "P %lld\n", (long long)tag);
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

/* Two transactions in one group, the second of which is rolled back after it had enqueued. */
static void add_in_a_group(struct world *w, int64_t good, int64_t bad)
{
    struct gate gate = {.write = {.fn = hold_fn, .on_done = on_through}};
    struct batch batches[2] = {
        {.w = w, .first = good, .count = 1, .kind = 'o'},
        {.w = w, .first = bad, .count = 1, .kind = 'o', .verdict = ERR_DENIED},
    };
    struct member members[2];
    sem_init(&gate.open, 0, 0);
    gate.write.arg = &gate.open;
    say(w, "P %lld\n", (long long)bad);
    CHECK(store_write(w->store, &gate.write) == OK);
    for (int i = 0; i < 2; i++) {
        sem_init(&members[i].done, 0, 0);
        members[i].write =
            (struct store_write){.fn = enqueue_fn, .arg = &batches[i], .on_done = on_member};
        CHECK(store_write(w->store, &members[i].write) == OK);
    }
    sem_post(&gate.open);
    for (int i = 0; i < 2; i++) {
        while (sem_wait(&members[i].done))
            continue;
        sem_destroy(&members[i].done);
    }
    sem_destroy(&gate.open);
    CHECK(members[0].err == OK && members[1].err == ERR_DENIED);
    say(w, "E %lld %lld\n", (long long)good, (long long)batches[0].ids[0]);
}

struct hand {
    struct queue_job job;
    size_t count;
};

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

static void claim(struct world *w, struct hand *hand)
{
    *hand = (struct hand){.count = 0};
    CHECK(store_write_wait(w->store, claim_fn, hand) == OK && hand->count == 1);
}

static enum err ack_fn(struct store_tx *tx, void *arg)
{
    struct hand *hand = arg;
    enum err err = queue_ack(tx, &hand->job);
    return err ? err : add_effect(tx, &hand->job);
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

static void run_by_hand(struct world *w, struct hand *hand)
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
    claim(w, &first);
    CHECK(store_write_wait(w->store, renew_fn, &first) == OK);
    CHECK(store_write_wait(w->store, release_fn, &first) == OK);
    arena_done(&first.job.arena);

    claim(w, &first);
    clock_test_advance(LEASE_MS + 1);
    claim(w, &second);
    CHECK(second.job.id == first.job.id);
    CHECK(store_write_wait(w->store, ack_fn, &first) == ERR_CONFLICT);
    CHECK(store_write_wait(w->store, renew_fn, &first) == ERR_CONFLICT);
    CHECK(store_write_wait(w->store, release_fn, &first) == ERR_CONFLICT);
    run_by_hand(w, &second);
    arena_done(&first.job.arena);
    arena_done(&second.job.arena);

    claim(w, &first);
    say(w, "F %lld\n", (long long)tag_of(&first.job));
    CHECK(store_write_wait(w->store, fail_fn, &first) == OK);
    arena_done(&first.job.arena);
}

static void run_all(struct world *w)
{
    CHECK(queue_test_run_until_idle(&w->queue, 100));
}

void world_play(void *world)
{
    struct world *w = world;
    open_world(w);
    for (int64_t tag = 1; tag <= 3; tag++)
        add(w, tag, 1, 'o', (struct queue_new){0});
    if (!w->is_alone) // else the claims of rows are rare
        play_by_hand(w);
    add(w, 20, 8, 'o', (struct queue_new){0});
    add(w, 30, 1, 'l', (struct queue_new){.run_at_ms = clock_unix_ms() + 5000});
    add(w, 31, 1, 'f', (struct queue_new){0});
    add(w, 32, 1, 'd', (struct queue_new){0});
    add(w, 33, 1, 'p', (struct queue_new){0});
    add_and_roll_back(w, 34);
    add_in_a_group(w, 35, 36);
    add(w, 40, 1, 'k', (struct queue_new){.unique_key = STR("k")});
    add(w, 41, 1, 'k', (struct queue_new){.unique_key = STR("k")});
    add_whole(w, 44);
    add_whole(w, 45); // the same keys: no other job
    run_all(w);
    add(w, 50, 2, 'o', (struct queue_new){0});
    close_world(w); // the last one out copies the log into the database
    open_world(w);
    add(w, 60, 1, 'f', (struct queue_new){0});
    run_all(w);
    close_world(w);
}

/* What fails was not enqueued, and other transactions go on. */
static void try_to_add(struct world *w, int64_t tag)
{
    struct batch b = {.w = w, .first = tag, .count = 1, .kind = 'o'};
    enum err err = store_write_wait(w->store, enqueue_fn, &b);
    CHECK(err == OK || err == ERR_AGAIN || err == ERR_IO);
    if (err)
        say(w, "P %lld\n", (long long)tag);
    else
        say(w, "E %lld %lld\n", (long long)tag, (long long)b.ids[0]);
}

void world_play_on_a_bad_disk(void *world)
{
    struct world *w = world;
    w->is_faulty = true;
    open_world(w);
    w->fail();
    for (int64_t tag = 1; tag <= 12; tag++)
        try_to_add(w, tag);
    bool is_idle = queue_test_run_until_idle(&w->queue, 20);
    for (int64_t tag = 13; tag <= 24; tag++)
        try_to_add(w, tag);
    bool has_failed = disk_has_failed();
    CHECK(is_idle || has_failed);
    disk_heal();
    add(w, 25, 1, 'o', (struct queue_new){0}); // at once, without a restart
    run_all(w);
    close_world(w);
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
    open_world(w);
    add(w, 100, 300, 'o', (struct queue_new){0});
    wait_for_checkpoints(w, 1);
    add(w, 400, 20, 'o', (struct queue_new){0});
    wait_for_checkpoints(w, 2);
    run_all(w);
    close_world(w);
}

void world_drain(void *world)
{
    struct world *w = world;
    char why[200] = "";
    open_world(w);
    if (store_check(w->store, why, sizeof(why)))
        log_error("at=world.drain why=\"%s\"", why);
    CHECK(why[0] == '\0');
    run_all(w);
    close_world(w);
}

int world_run(void (*fn)(void *world), struct world *w)
{
    int status = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(freopen(w->log, "a", stderr) != NULL);
        setvbuf(stderr, NULL, _IONBF, 0);
        fn(w);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

/* ---- the check ---- */

struct tag {
    char kind;
    bool is_tried, is_enqueued, is_skipped, is_rolled_back, is_done;
    int64_t id, effects, rows, state, attempt;
    int fails;
};

struct state {
    struct tag tags[MAX_TAGS];
    int64_t began_ms, last_id; // of the process that the line is of
    bool is_faulty;
    char why[300];
};

__attribute__((format(printf, 2, 3))) static void blame(struct state *s, const char *format, ...)
{
    va_list args;
    if (s->why[0])
        return; // the first is enough
    va_start(args, format);
    vsnprintf(s->why, sizeof(s->why), format, args);
    va_end(args);
}

static void check_run(struct state *s, int tag, const char *line)
{
    long long id, epoch, ms;
    int attempt;
    struct tag *t = &s->tags[tag];
    CHECK(sscanf(line, "R %*d %lld %lld %d %lld", &id, &epoch, &attempt, &ms) == 4);
    if (t->is_rolled_back)
        blame(s, "G2: tag %d ran, its transaction was rolled back", tag);
    if (!t->is_tried)
        blame(s, "G2: tag %d ran, nobody enqueued it", tag);
    if (t->is_done)
        blame(s, "G3: tag %d ran again after it was done", tag);
    if (attempt > t->fails && !s->is_faulty) // what the store could not commit counts as an error
        blame(s, "G5: tag %d has %d attempts, but failed %d times", tag, attempt, t->fails);
    if (t->kind != 'l' && t->fails == 0 && !s->is_faulty &&
        ms > s->began_ms + 2 * (LEASE_MS + SWEEP_MS))
        blame(s, "G4: tag %d ran %lld ms after the start", tag, ms - s->began_ms);
    bool is_plain = t->kind == 'o' && t->fails == 0 && !s->is_faulty;
    if (is_plain && id < s->last_id)
        blame(s, "G7: tag %d ran after a job that was enqueued later", tag);
    if (is_plain)
        s->last_id = id;
}

static void check_line(struct state *s, const char *line)
{
    int tag = 0;
    long long number = 0;
    if (line[0] == 'S') {
        CHECK(sscanf(line, "S %lld", &number) == 1);
        s->began_ms = number;
        s->last_id = 0;
        return;
    }
    CHECK(sscanf(line + 1, "%d", &tag) == 1 && tag > 0 && tag < MAX_TAGS);
    struct tag *t = &s->tags[tag];
    switch (line[0]) {
    case 'N':
        t->is_tried = true;
        CHECK(sscanf(line, "N %*d %c", &t->kind) == 1);
        break;
    case 'E':
        CHECK(sscanf(line, "E %*d %lld", &number) == 1);
        t->is_enqueued = true;
        t->id = number;
        break;
    case 'D':
        t->is_skipped = true;
        break;
    case 'P':
        t->is_rolled_back = true;
        break;
    case 'R':
        check_run(s, tag, line);
        break;
    case 'F':
        t->fails++;
        break;
    case 'A':
        if (t->is_done)
            blame(s, "G3: tag %d was done twice", tag);
        t->is_done = true;
        break;
    default:
        blame(s, "no such line: %c", line[0]);
    }
}

static sqlite3_stmt *query(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    CHECK(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK);
    return st;
}

static void read_rows(struct state *s, sqlite3 *db)
{
    sqlite3_stmt *st = query(db, "SELECT tag FROM effect");
    while (sqlite3_step(st) == SQLITE_ROW)
        s->tags[sqlite3_column_int(st, 0)].effects++;
    sqlite3_finalize(st);
    st = query(db, "SELECT CAST(payload AS INTEGER), state, attempt FROM job");
    while (sqlite3_step(st) == SQLITE_ROW) {
        struct tag *t = &s->tags[sqlite3_column_int(st, 0)];
        t->rows++;
        t->state = sqlite3_column_int64(st, 1);
        t->attempt = sqlite3_column_int64(st, 2);
    }
    sqlite3_finalize(st);
    st = query(db, "SELECT "
                   "(SELECT count(*) FROM job_option WHERE job_id NOT IN (SELECT id FROM job)) + "
                   "(SELECT count(*) FROM job_tag WHERE job_id NOT IN (SELECT id FROM job)) + "
                   "(SELECT count(*) FROM job_error WHERE job_id NOT IN (SELECT id FROM job)) + "
                   "(SELECT count(*) FROM job_run WHERE job_id NOT IN (SELECT id FROM job)) + "
                   "(SELECT count(*) FROM job_unique WHERE space = 0)");
    CHECK(sqlite3_step(st) == SQLITE_ROW);
    if (sqlite3_column_int(st, 0) != 0)
        blame(s, "G8: %d rows are of jobs that are gone", sqlite3_column_int(st, 0));
    sqlite3_finalize(st);
    st = query(db, "PRAGMA integrity_check(1)");
    CHECK(sqlite3_step(st) == SQLITE_ROW);
    if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
        blame(s, "integrity_check: %s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
}

static bool is_of_a_twin(const struct state *s, int tag)
{
    for (int other = 1; other < tag; other++)
        if (s->tags[tag].id > 0 && s->tags[other].id == s->tags[tag].id)
            return true;
    return false;
}

static void check_end(struct state *s, int tag)
{
    const struct tag *t = &s->tags[tag];
    bool is_job = t->is_enqueued && !t->is_rolled_back && !is_of_a_twin(s, tag);
    if ((!t->is_tried || t->is_rolled_back || t->is_skipped) && t->effects + t->rows > 0)
        blame(s, "G2: tag %d is there, and should not be", tag);
    if (t->effects > 1)
        blame(s, "G3: tag %d has its effect %d times", tag, (int)t->effects);
    bool is_kept = t->kind == 'w' && t->rows == 1 && t->state == QUEUE_DONE_STATE;
    if (t->effects + t->rows - is_kept > 1)
        blame(s, "G1: tag %d is in several states", tag);
    if (t->kind == 'w' && t->effects != is_kept)
        blame(s, "G1: tag %d has %d effects, kept: %d", tag, (int)t->effects, is_kept);
    if (t->is_done && t->effects == 0)
        blame(s, "G3: tag %d was done, its effect is lost", tag);
    if (t->kind != 'd' && t->rows > 0 && !is_kept)
        blame(s, "G1: tag %d still waits, state %d", tag, (int)t->state);
    if (t->kind != 'd' && is_job && t->effects == 0)
        blame(s, "G1: tag %d was enqueued and is lost", tag);
    if (t->kind == 'd' && is_job && t->rows == 0)
        blame(s, "G1: tag %d was to be dead and is lost", tag);
    if (t->kind == 'd' && t->rows > 0 &&
        (t->state != QUEUE_DEAD || t->attempt != DEAD_ATTEMPTS || t->effects > 0))
        blame(s, "G5: tag %d is in state %d after %d attempts", tag, (int)t->state,
              (int)t->attempt);
}

const char *world_check(struct world *w)
{
    static struct state s;
    sqlite3 *db = NULL;
    char *history = read_history(w);
    s = (struct state){.is_faulty = w->is_faulty};
    for (const char *line = history; *line; line = strchr(line, '\n') + 1)
        check_line(&s, line);
    mem_free(history);
    CHECK(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    read_rows(&s, db);
    CHECK(sqlite3_close(db) == SQLITE_OK);
    for (int tag = 1; tag < MAX_TAGS; tag++)
        check_end(&s, tag);
    return s.why[0] ? s.why : NULL;
}

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

void world_remove(const struct world *w)
{
    static const char *const names[] = {"test.db", "test.db-wal", "test.db-shm", "test.db.lock",
                                        "history", "journal",     "log"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char name[120];
        snprintf(name, sizeof(name), "%s/%s", w->dir, names[i]);
        unlink(name);
    }
    rmdir(w->dir);
}
