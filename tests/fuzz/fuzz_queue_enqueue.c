/* fuzz_queue_enqueue.c -- for any kind, payload, unique key and name of a queue: what was taken is
 * claimed with the same bytes, from that queue and no other; what was refused is not there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "queue/queue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store *store;
static char dir[] = "/dev/shm/viche-fuzz-XXXXXX", path[64];

static void add_file(char *sql, size_t cap, const char *name)
{
    FILE *f = fopen(name, "r");
    CHECK(f != NULL);
    size_t len = strlen(sql);
    CHECK(fread(sql + len, 1, cap - len - 1, f) > 0);
    fclose(f);
}

static void remove_store(void)
{
    static const char *const names[] = {"fuzz.db-wal", "fuzz.db-shm", "fuzz.db"};
    store_close(store);
    for (int i = 0; i < 3; i++) {
        char name[80];
        snprintf(name, sizeof(name), "%s/%s", dir, names[i]);
        unlink(name);
    }
    rmdir(dir);
}

/* Migrations of the queue, in the order of their names. */
static void open_store(void)
{
    static char sql[262144];
    char why[200] = "", name[128];
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/fuzz.db", dir);
    const struct store_options options = {.path = path, .readers = 1};
    CHECK(store_open(&options, &store, why, sizeof(why)) == OK);
    FILE *names = popen("ls migrations/*queue*.sql", "r");
    CHECK(names != NULL);
    while (fgets(name, sizeof(name), names)) {
        name[strcspn(name, "\n")] = '\0';
        add_file(sql, sizeof(sql), name);
    }
    CHECK(pclose(names) == 0);
    CHECK(atexit(remove_store) == 0);
    CHECK(store_migrate(store, &(struct store_migration){1, "queue", sql}, 1, NULL, why,
                        sizeof(why)) == OK);
}

/* The next piece: its length is the first byte, or what there is. */
static struct str take(const uint8_t **at, size_t *left)
{
    if (*left == 0)
        return STR("");
    size_t len = **at < *left - 1 ? **at : *left - 1;
    struct str piece = {(const char *)*at + 1, len};
    *at += len + 1;
    *left -= len + 1;
    return piece;
}

struct job {
    struct queue_new asked;
    int64_t id;
    struct queue_job claimed[2];
    size_t count;
    enum err refused;
};

/* Enqueues and claims in one transaction, which is then rolled back: nothing stays. */
static enum err play(struct store_tx *tx, void *arg)
{
    struct job *job = arg;
    char name[300];
    int64_t next_ms;
    struct str queue = job->asked.queue;
    job->count = 0;
    job->refused = queue_enqueue(tx, &job->asked, &job->id);
    if (job->refused)
        return job->refused;
    if (memchr(queue.at, 0, queue.len)) // a worker has no such name
        return ERR_DENIED;
    snprintf(name, sizeof(name), "%.*s", STR_ARG(queue));
    const struct queue_options options = {.name = queue.len > 0 ? name : NULL, .lease_ms = 1000};
    CHECK(queue_claim(tx, &options, job->claimed, 2, &job->count, &next_ms) == OK);
    return ERR_DENIED;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct job job = {.id = 0};
    if (!store)
        open_store();
    job.asked.kind = take(&data, &size);
    job.asked.unique_key = take(&data, &size);
    job.asked.queue = take(&data, &size);
    job.asked.payload = (struct str){(const char *)data, size};
    enum err err = store_write_wait(store, play, &job);
    CHECK(err == ERR_DENIED || (err == job.refused && err != ERR_IO && err != ERR_AGAIN));
    if (job.count > 0) {
        CHECK(job.count == 1 && job.claimed[0].id == job.id);
        CHECK(str_eq(job.claimed[0].kind, job.asked.kind));
        CHECK(str_eq(job.claimed[0].payload, job.asked.payload));
        arena_done(&job.claimed[0].arena);
    }
    return 0;
}
