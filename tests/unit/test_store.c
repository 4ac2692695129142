#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/mem.h"
#include "test_store.h"

static const char note_schema[] = "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT UNIQUE, "
                                  "size INTEGER CHECK (size >= 0))";

static void open_with_notes(struct test_store *t)
{
    test_store_begin(t);
    EXPECT_EQ(test_store_run(t->store, note_schema), OK);
}

/* A write that inserts a note and ends as told. */
struct note_write {
    struct store_write write;
    int64_t id;
    char text[24];
    enum err verdict;
    _Atomic int is_done;
    enum err err;
};

static enum err insert_note(struct store_tx *tx, void *arg)
{
    struct note_write *n = arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx, "INSERT INTO note (id, text) VALUES ($1, $2)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, n->id);
    store_bind_text(st, 2, str_of(n->text));
    err = store_run(st, NULL);
    return err ? err : n->verdict;
}

static void on_note_done(struct store_write *write, enum err err)
{
    struct note_write *n = (struct note_write *)(void *)write;
    n->err = err;
    atomic_store(&n->is_done, 1);
}

static void note_init(struct note_write *n, int64_t id, enum err verdict)
{
    *n = (struct note_write){.write = {.fn = insert_note, .arg = n, .on_done = on_note_done},
                             .id = id,
                             .verdict = verdict};
    snprintf(n->text, sizeof(n->text), "note %lld", (long long)id);
}

/* Holds the writer inside a write until let go, so that the next writes gather to one group. */
struct gate {
    struct store_write write;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_entered, is_open;
};

static enum err wait_at_gate(struct store_tx *tx, void *arg)
{
    (void)tx;
    struct gate *g = arg;
    pthread_mutex_lock(&g->mutex);
    g->is_entered = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->is_open)
        pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
    return OK;
}

static void on_gate_done(struct store_write *write, enum err err)
{
    (void)write, (void)err;
}

static void gate_close(struct gate *g, struct store *s)
{
    *g = (struct gate){.write = {.fn = wait_at_gate, .arg = g, .on_done = on_gate_done}};
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->changed, NULL);
    EXPECT_EQ(store_write(s, &g->write), OK);
    pthread_mutex_lock(&g->mutex);
    while (!g->is_entered)
        pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->is_open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

static enum err do_nothing(struct store_tx *tx, void *arg)
{
    (void)tx, (void)arg;
    return OK;
}

/* Until everything queued before has been answered. */
static void drain(struct store *s)
{
    EXPECT_EQ(store_write_wait(s, do_nothing, NULL), OK);
}

TEST(store_makes_its_files_for_the_owner_only)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    struct test_store t;
    umask(0);
    open_with_notes(&t);
    for (size_t i = 0; i < 4; i++) {
        char name[128];
        struct stat st;
        snprintf(name, sizeof(name), "%s%s", t.path, ends[i]);
        EXPECT_EQ(stat(name, &st), 0);
        EXPECT_EQ(st.st_mode & 0777, 0600);
    }
    test_store_end(&t);
}

TEST(store_refuses_a_second_server_on_one_file_but_not_a_second_writer)
{
    struct test_store t;
    open_with_notes(&t);
    struct store_options options = {.path = t.path, .is_server = true};
    struct store *second = NULL;
    char why[200] = "";
    EXPECT_EQ(store_open(&options, &second, why, sizeof(why)), ERR_CONFLICT);
    EXPECT(strstr(why, "another server") != NULL);

    options.is_server = false;
    EXPECT_EQ(store_open(&options, &second, why, sizeof(why)), OK);
    EXPECT_EQ(test_store_run(second, "INSERT INTO note (id) VALUES (5)"), OK);
    store_close(second);
    EXPECT_EQ(test_store_int(t.store, "SELECT id FROM note"), 5);
    test_store_end(&t);
}

TEST(store_gives_the_server_lock_back_when_its_process_dies)
{
    struct test_store t;
    open_with_notes(&t);
    store_close(t.store);
    pid_t child = fork();
    if (child == 0)
        _exit(test_store_open(&t, true) == OK ? 0 : 1);
    int status;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(test_store_open(&t, true), OK);
    test_store_end(&t);
}

TEST(store_says_why_it_cannot_open)
{
    static const struct {
        const char *path;
        enum err want;
        const char *part;
    } rows[] = {
        {"/nonexistent/folder/x.db", ERR_NOT_FOUND, "No such file or directory"},
        {"/tmp", ERR_IO, "unable to open database file"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct store *s = NULL;
        char why[200] = "";
        struct store_options options = {.path = rows[i].path};
        EXPECT_EQ(store_open(&options, &s, why, sizeof(why)), rows[i].want);
        EXPECT(strstr(why, rows[i].part) != NULL);
    }
}

TEST(store_refuses_a_file_that_is_no_database)
{
    char dir[TEST_FOLDER_MAX], path[96];
    char page[4096];
    test_make_folder(dir);
    snprintf(path, sizeof(path), "%s/x.db", dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    memset(page, 'x', sizeof(page));
    EXPECT_EQ(write(fd, page, sizeof(page)), sizeof(page));
    close(fd);
    struct store *s = NULL;
    char why[200] = "";
    struct store_options options = {.path = path};
    EXPECT_EQ(store_open(&options, &s, why, sizeof(why)), ERR_INVALID);
    EXPECT(strstr(why, "not a database") != NULL);
    unlink(path);
    rmdir(dir);
}

TEST(store_undoes_only_the_failed_writes_of_a_group)
{
    struct test_store t;
    struct gate gate;
    enum { COUNT = 9 };
    struct note_write notes[COUNT];

    open_with_notes(&t);
    gate_close(&gate, t.store);
    for (int i = 0; i < COUNT; i++) {
        note_init(&notes[i], i + 1, i % 3 == 1 ? ERR_DENIED : OK);
        if (i == 8)
            notes[i].id = 1; // a conflict inside the group
        EXPECT_EQ(store_write(t.store, &notes[i].write), OK);
    }
    gate_open(&gate);
    drain(t.store);
    for (int i = 0; i < COUNT; i++) {
        EXPECT_EQ(atomic_load(&notes[i].is_done), 1);
        EXPECT_EQ(notes[i].err, i == 8 ? ERR_CONFLICT : i % 3 == 1 ? ERR_DENIED : OK);
    }
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM note"), 5);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM note WHERE id IN (2, 5, 8)"), 0);
    struct store_stats stats;
    store_get_stats(t.store, &stats);
    EXPECT_EQ(stats.groups, 2); // the schema; all the notes
    test_store_end(&t);
}

TEST(store_undoes_a_write_that_failed_alone)
{
    struct test_store t;
    struct note_write n;
    open_with_notes(&t);
    note_init(&n, 1, ERR_INVALID);
    EXPECT_EQ(store_write_wait(t.store, insert_note, &n), ERR_INVALID);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM note"), 0);
    test_store_end(&t);
}

TEST(store_reads_what_was_acknowledged)
{
    struct test_store t;
    struct note_write n;
    open_with_notes(&t);
    for (int i = 1; i <= 50; i++) {
        note_init(&n, i, OK);
        EXPECT_EQ(store_write_wait(t.store, insert_note, &n), OK);
        EXPECT_EQ(test_store_int(t.store, "SELECT max(id) FROM note"), i);
    }
    test_store_end(&t);
}

TEST(store_maps_constraints_to_conflict_and_goes_on)
{
    static const char *const rows[] = {
        "INSERT INTO note (text) VALUES ('a')",           // unique
        "INSERT INTO note (text, size) VALUES ('b', -1)", // check
        "INSERT INTO child (note_id) VALUES (99)",        // foreign key
        "INSERT INTO child (note_id) VALUES (NULL)",      // not null
        "INSERT INTO later (note_id) VALUES (98)",        // deferred foreign key
    };
    struct test_store t;
    open_with_notes(&t);
    EXPECT_EQ(
        test_store_run(t.store, "CREATE TABLE child (note_id INTEGER NOT NULL REFERENCES note)"),
        OK);
    EXPECT_EQ(test_store_run(t.store,
                             "CREATE TABLE later (note_id INTEGER REFERENCES note DEFERRABLE "
                             "INITIALLY DEFERRED)"),
              OK);
    EXPECT_EQ(test_store_run(t.store, "INSERT INTO note (text) VALUES ('a')"), OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        EXPECT_EQ(test_store_run(t.store, rows[i]), ERR_CONFLICT);
    EXPECT_EQ(test_store_run(t.store, "INSERT INTO note (text) VALUES ('c')"), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM note"), 2);
    test_store_end(&t);
}

TEST(store_keeps_a_broken_deferred_constraint_from_failing_its_group)
{
    struct test_store t;
    struct gate gate;
    struct note_write good;
    struct note_write bad;
    open_with_notes(&t);
    EXPECT_EQ(test_store_run(t.store,
                             "CREATE TABLE later (note_id INTEGER REFERENCES note DEFERRABLE "
                             "INITIALLY DEFERRED)"),
              OK);
    gate_close(&gate, t.store);
    note_init(&good, 1, OK);
    note_init(&bad, 2, OK);
    bad.write.fn = test_store_run_fn;
    bad.write.arg = &(struct test_store_command){"INSERT INTO later (note_id) VALUES (98)"};
    EXPECT_EQ(store_write(t.store, &bad.write), OK);
    EXPECT_EQ(store_write(t.store, &good.write), OK);
    gate_open(&gate);
    drain(t.store);
    EXPECT_EQ(bad.err, ERR_CONFLICT);
    EXPECT_EQ(good.err, OK);
    test_store_end(&t);
}

static enum err write_in_read(struct store_tx *tx, void *arg)
{
    (void)arg;
    return test_store_run_fn(tx,
                             &(struct test_store_command){"INSERT INTO note (text) VALUES ('x')"});
}

TEST(store_denies_writes_inside_a_read)
{
    struct test_store t;
    open_with_notes(&t);
    EXPECT_EQ(store_read(t.store, write_in_read, NULL), ERR_DENIED);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM note"), 0);
    test_store_end(&t);
}

static enum err bad_sql(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct store_stmt *st;
    return store_prepare(tx, "SELEKT 1", &st);
}

TEST(store_refuses_bad_sql_as_invalid)
{
    struct test_store t;
    open_with_notes(&t);
    EXPECT_EQ(store_write_wait(t.store, bad_sql, NULL), ERR_INVALID);
    test_store_end(&t);
}

static enum err all_types(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct store_stmt *st = NULL;
    EXPECT_EQ(store_prepare(tx, "SELECT $1, $2, $3, $4, $5", &st), OK);
    store_bind_int(st, 1, INT64_MIN);
    store_bind_text(st, 2, STR("\xD1\x97\0x"));
    store_bind_blob(st, 3, "\0\1", 2);
    store_bind_null(st, 4);
    store_bind_text(st, 5, (struct str){NULL, 0});
    EXPECT_EQ(store_step(st), OK);
    EXPECT_EQ(store_column_int(st, 0), INT64_MIN);
    EXPECT(str_eq(store_column_text(st, 1), STR("\xD1\x97\0x")));
    EXPECT(str_eq(store_column_blob(st, 2), STR("\0\1")));
    EXPECT(store_column_is_null(st, 3) && store_column_is_null(st, 4));
    EXPECT(!store_column_is_null(st, 0));
    EXPECT(store_column_text(st, 3).at == NULL);
    EXPECT_EQ(store_column_int(st, 3), 0);
    EXPECT_EQ(store_step(st), ERR_NOT_FOUND);
    // The cache gives the same statement again, empty.
    EXPECT_EQ(store_prepare(tx, "SELECT $1, $2, $3, $4, $5", &st), OK);
    EXPECT_EQ(store_step(st), OK);
    EXPECT(store_column_is_null(st, 0));
    store_finish(st);
    store_finish(NULL);
    return OK;
}

TEST(store_carries_every_type_both_ways)
{
    struct test_store t;
    open_with_notes(&t);
    EXPECT_EQ(store_read(t.store, all_types, NULL), OK);
    test_store_end(&t);
}

static enum err bind_in_any_order(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct store_stmt *st = NULL;
    EXPECT_EQ(store_prepare(tx, "SELECT $2 + $2, $1, $3", &st), OK);
    store_bind_int(st, 1, 10);
    store_bind_int(st, 2, 20);
    store_bind_int(st, 3, 30);
    EXPECT_EQ(store_step(st), OK);
    EXPECT_EQ(store_column_int(st, 0), 40);
    EXPECT_EQ(store_column_int(st, 1), 10);
    EXPECT_EQ(store_column_int(st, 2), 30);
    store_finish(st);
    EXPECT_EQ(store_prepare(tx, "SELECT $1", &st), OK);
    store_bind_int(st, 2, 1); // it has no $2
    EXPECT_EQ(store_step(st), ERR_INVALID);
    return OK;
}

TEST(store_numbers_parameters_by_their_number_wherever_they_stand)
{
    struct test_store t;
    open_with_notes(&t);
    EXPECT_EQ(store_read(t.store, bind_in_any_order, NULL), OK);
    test_store_end(&t);
}

static enum err leave_open(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct store_stmt *st = NULL;
    EXPECT_EQ(store_prepare(tx, "INSERT INTO note (text) VALUES ('a'), ('b') RETURNING id", &st),
              OK);
    EXPECT_EQ(store_step(st), OK);
    return OK;
}

TEST(store_commits_although_a_statement_was_left_open)
{
    struct test_store t;
    open_with_notes(&t);
    EXPECT_EQ(store_write_wait(t.store, leave_open, NULL), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM note"), 2);
    test_store_end(&t);
}

TEST(store_prepares_anew_when_the_schema_changed)
{
    struct test_store t;
    open_with_notes(&t);
    static const char count_sql[] = "SELECT count(*) FROM note";
    EXPECT_EQ(test_store_int(t.store, count_sql), 0);
    EXPECT_EQ(test_store_run(t.store, "ALTER TABLE note ADD COLUMN extra TEXT DEFAULT 'x'"), OK);
    EXPECT_EQ(test_store_run(t.store, "INSERT INTO note (text) VALUES ('a')"), OK);
    EXPECT_EQ(test_store_int(t.store, count_sql), 1);
    EXPECT_EQ(test_store_int(t.store, "SELECT length(extra) FROM note"), 1);
    test_store_end(&t);
}

static void count_commit(void *ctx)
{
    atomic_fetch_add((_Atomic int *)ctx, 1);
}

TEST(store_tells_of_commits_that_changed_something)
{
    struct test_store t;
    _Atomic int commits = 0;
    test_store_begin(&t);
    store_on_commit(t.store, count_commit, &commits);
    EXPECT_EQ(test_store_run(t.store, note_schema), OK);
    EXPECT_EQ(atomic_load(&commits), 1);
    drain(t.store);
    struct note_write n;
    note_init(&n, 1, ERR_DENIED);
    EXPECT_EQ(store_write_wait(t.store, insert_note, &n), ERR_DENIED);
    EXPECT_EQ(atomic_load(&commits), 1);
    n.verdict = OK;
    EXPECT_EQ(store_write_wait(t.store, insert_note, &n), OK);
    EXPECT_EQ(atomic_load(&commits), 2);
    test_store_end(&t);
}

TEST(store_tells_a_server_that_another_process_has_written)
{
    struct test_store t, other;
    _Atomic int commits = 0;
    open_with_notes(&t);
    drain(t.store);
    store_on_commit(t.store, count_commit, &commits);
    other = t;
    EXPECT_EQ(test_store_open(&other, false), OK);
    EXPECT_EQ(test_store_run(other.store, "INSERT INTO note (id) VALUES (1)"), OK);
    for (int i = 0; i < 10000 && atomic_load(&commits) == 0; i++)
        usleep(1000);
    EXPECT(atomic_load(&commits) > 0);
    store_close(other.store);
    test_store_end(&t);
}

/* Records the order in which writes run. */
struct ordered {
    struct store_write write;
    char name;
};
static char order_seen[64];
static size_t order_count;

static enum err note_order(struct store_tx *tx, void *arg)
{
    (void)tx;
    order_seen[order_count++] = ((struct ordered *)arg)->name;
    return OK;
}

/* The end of a group: then all of it is told. */
static void note_end(struct store_write *write, enum err err)
{
    EXPECT_EQ(err, OK);
    (void)write;
    if (order_seen[order_count - 1] != '.')
        order_seen[order_count++] = '.';
}

/* The order in which a writer runs so much work that may wait and so many answers, all of which
 * came before it began; a point after each group. */
static struct str order_of(int later, int answers)
{
    struct test_store t;
    struct gate gate;
    struct ordered writes[64];
    order_count = 0;
    open_with_notes(&t);
    gate_close(&gate, t.store);
    for (int i = 0; i < later + answers; i++) {
        bool is_later = i < later;
        writes[i] = (struct ordered){{.fn = note_order, .arg = &writes[i], .on_done = note_end},
                                     is_later ? 'l' : 'n'};
        EXPECT_EQ(is_later ? store_write_later(t.store, &writes[i].write)
                           : store_write(t.store, &writes[i].write),
                  OK);
    }
    gate_open(&gate);
    drain(t.store);
    test_store_end(&t); // runs what is left
    return (struct str){order_seen, order_count};
}

TEST(store_gives_work_that_may_wait_a_small_part_beside_answers)
{
    EXPECT_STR(order_of(8, 1), "nllll.llll.");
    EXPECT_STR(order_of(8, 10), "nnnnnnnnnnlllll.lll.");
}

TEST(store_leaves_work_that_may_wait_for_after_a_flood_but_not_wholly)
{
    EXPECT_STR(order_of(8, 16), "nnnnnnnnnnnnnnnnll.llllll.");
}

TEST(store_refuses_writes_over_its_limit)
{
    struct test_store t;
    struct gate gate;
    open_with_notes(&t);
    gate_close(&gate, t.store);
    struct note_write *notes = mem_zalloc((STORE_MAX_QUEUED + 1) * sizeof(*notes));
    for (int i = 0; i <= STORE_MAX_QUEUED; i++) {
        note_init(&notes[i], i + 1, OK);
        if (i > 100)
            notes[i].write.fn = do_nothing; // cheaper
        EXPECT_EQ(store_write(t.store, &notes[i].write), i < STORE_MAX_QUEUED ? OK : ERR_AGAIN);
    }
    gate_open(&gate);
    store_close(t.store); // finishes what was taken
    for (int i = 0; i < STORE_MAX_QUEUED; i++)
        EXPECT_EQ(notes[i].err, OK);
    mem_free(notes);
    EXPECT_EQ(test_store_open(&t, true), OK);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM note"), 101);
    test_store_end(&t);
}

enum { CLIENTS = 8, ROUNDS = 40 };

struct client {
    struct store *store;
    int number;
};

/* Writes and at once reads its own write, and sees sums that are whole. */
static void *write_and_read(void *arg)
{
    struct client *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct note_write n;
        note_init(&n, c->number * ROUNDS + i + 1, OK);
        if (i % 2 == 0)
            EXPECT_EQ(store_write_wait(c->store, insert_note, &n), OK);
        else {
            EXPECT_EQ(store_write_soon(c->store, &n.write), OK);
            while (!atomic_load(&n.is_done))
                sched_yield();
            EXPECT_EQ(n.err, OK);
        }
        struct test_store_question q = {"SELECT count(*) FROM note", 0};
        EXPECT_EQ(store_read(c->store, test_store_int_fn, &q), OK);
        EXPECT(q.answer > i);
    }
    return NULL;
}

TEST(store_serves_many_threads)
{
    struct test_store t;
    struct client clients[CLIENTS];
    pthread_t threads[CLIENTS];
    open_with_notes(&t);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){t.store, i};
        EXPECT_EQ(pthread_create(&threads[i], NULL, write_and_read, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM note"), CLIENTS * ROUNDS);
    char why[200] = "";
    EXPECT_EQ(store_check(t.store, why, sizeof(why)), OK);
    test_store_end(&t);
}

static enum err tell_thread(struct store_tx *tx, void *arg)
{
    (void)tx;
    *(pthread_t *)arg = pthread_self();
    return OK;
}

struct caller {
    struct store *store;
    pthread_t wrote;
};

static void *wait_for_thread(void *arg)
{
    struct caller *c = arg;
    EXPECT_EQ(store_write_wait(c->store, tell_thread, &c->wrote), OK);
    return NULL;
}

TEST(store_writes_on_the_thread_that_waits_unless_another_writes)
{
    struct test_store t;
    struct store_stats stats = {0};
    struct gate gate;
    pthread_t wrote, thread;
    test_store_begin(&t);
    EXPECT_EQ(store_write_wait(t.store, tell_thread, &wrote), OK);
    EXPECT(pthread_equal(wrote, pthread_self()));

    gate_close(&gate, t.store);
    struct caller caller = {.store = t.store};
    EXPECT_EQ(pthread_create(&thread, NULL, wait_for_thread, &caller), 0);
    while (stats.waiting == 0)
        store_get_stats(t.store, &stats);
    gate_open(&gate);
    pthread_join(thread, NULL);
    EXPECT(!pthread_equal(caller.wrote, thread));
    drain(t.store);
    test_store_end(&t);
}

TEST(store_checkpoints_when_nobody_writes)
{
    struct test_store t;
    open_with_notes(&t);
    struct store_stats stats = {0};
    for (int i = 0; i < 5000 && stats.checkpoints == 0; i++) {
        usleep(1000);
        store_get_stats(t.store, &stats);
    }
    EXPECT(stats.checkpoints > 0);
    test_store_end(&t);
}

static enum err fill_notes(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "INSERT INTO note (id, text) VALUES (1, randomblob(1000000))"
                                 " ON CONFLICT (id) DO UPDATE SET text = excluded.text",
                                 &st);
    return err ? err : store_run(st, NULL);
}

/* Keeps the writer busy: each write that is done is submitted again. */
struct stream {
    struct store *store;
    int left;
    sem_t ended;
};

static void on_filled(struct store_write *write, enum err err)
{
    struct stream *stream = write->arg;
    EXPECT_EQ(err, OK);
    if (--stream->left == 0)
        sem_post(&stream->ended);
    else
        EXPECT_EQ(store_write(stream->store, write), OK);
}

static enum err add_note(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx, "INSERT INTO note (text) VALUES (randomblob(50000))", &st);
    return err ? err : store_run(st, NULL);
}

static off_t log_bytes(const struct test_store *t)
{
    struct stat log;
    char name[120];
    snprintf(name, sizeof(name), "%s-wal", t->path);
    EXPECT_EQ(stat(name, &log), 0);
    return log.st_size;
}

TEST(store_makes_its_log_longer_before_it_must)
{
    enum { WRITES = 60 }; // 50 KB each and store: more than it is longer at once
    struct test_store t;
    struct store *other;
    char why[200] = "";
    open_with_notes(&t);
    off_t at_first = log_bytes(&t);
    EXPECT(at_first >= 1 << 20);
    EXPECT_EQ(test_store_run(t.store, "INSERT INTO note (text) VALUES ('in place')"), OK);
    EXPECT_EQ(log_bytes(&t), at_first);

    // Two processes do not know of each other how long it is.
    const struct store_options options = {.path = t.path};
    EXPECT_EQ(store_open(&options, &other, why, sizeof(why)), OK);
    for (int i = 0; i < WRITES; i++) {
        EXPECT_EQ(store_write_wait(i % 3 ? t.store : other, add_note, NULL), OK);
        EXPECT_EQ(store_write_wait(i % 3 ? other : t.store, add_note, NULL), OK);
    }
    store_close(other);
    EXPECT_EQ(test_store_int(t.store, "SELECT count(*) FROM note"), 2 * WRITES + 1);
    EXPECT_EQ(store_check(t.store, why, sizeof(why)), OK);
    test_store_end(&t);
}

TEST(store_begins_its_log_anew_while_writers_never_rest)
{
    enum { WRITES = 200, MAX_LOG_BYTES = 100 << 20 }; // 1 MB each
    struct test_store t;
    struct store_stats stats;
    open_with_notes(&t);
    struct stream stream = {t.store, WRITES, {{0}}};
    struct store_write write = {.fn = fill_notes, .arg = &stream, .on_done = on_filled};
    sem_init(&stream.ended, 0, 0);
    EXPECT_EQ(store_write(t.store, &write), OK);
    while (sem_wait(&stream.ended))
        continue;
    EXPECT(log_bytes(&t) < MAX_LOG_BYTES);
    store_get_stats(t.store, &stats);
    EXPECT(stats.checkpoints > 0);
    EXPECT_EQ(test_store_int(t.store, "SELECT length(text) FROM note WHERE id = 1"), 1000000);
    sem_destroy(&stream.ended);
    char why[200] = "";
    EXPECT_EQ(store_check(t.store, why, sizeof(why)), OK);
    test_store_end(&t);
}
