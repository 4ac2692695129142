#include "test_stream.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "core/mem.h"
#include "stream/stream_internal.h"

static const struct stream_limits *const limits = &test_stream_limits;

/* Appends "1", "2", ... up to count more. */
static void append_numbers(struct stream *s, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        char text[24];
        snprintf(text, sizeof(text), "%llu", (unsigned long long)s->head + 1);
        uint64_t serial = stream_append(s, (struct str){0}, str_of(text));
        EXPECT_EQ(serial, strtoull(text, NULL, 10));
    }
}

/* The messages after that serial are numbers, up to the head. */
static void expect_numbers(const struct stream *s, uint64_t after)
{
    struct stream_message m;
    EXPECT_EQ(stream_check(s, stream_id(s), after), STREAM_OK);
    for (; stream_next(s, after, &m); after = m.serial) {
        char text[24];
        snprintf(text, sizeof(text), "%llu", (unsigned long long)after + 1);
        EXPECT_EQ(m.serial, after + 1);
        EXPECT_STR(m.frame, text);
    }
    EXPECT_EQ(after, stream_head(s));
}

static struct stream_log *new_log(void)
{
    return stream_log_new(&stream_log_defaults);
}

TEST(stream_gives_what_came_after_a_position)
{
    struct stream_log *l = new_log();
    struct stream *s = stream_log_open(l, STR("1"), STR("news"), limits);
    EXPECT_EQ(stream_head(s), 0);
    append_numbers(s, 100);
    for (uint64_t after = 0; after <= 100; after++)
        expect_numbers(s, after);
    EXPECT_EQ(stream_check(s, stream_id(s) + 1, 5), STREAM_RESET);
    EXPECT_EQ(stream_check(s, stream_id(s), 101), STREAM_POSITION_AHEAD);
    EXPECT(stream_log_find(l, STR("2"), STR("news")) == NULL);
    EXPECT(stream_log_find(l, STR("1"), STR("news")) == s);
    stream_log_free(l);
}

TEST(stream_says_whom_a_message_is_not_for)
{
    struct stream_log *l = new_log();
    struct stream *s = stream_log_open(l, STR("1"), STR("news"), limits);
    struct stream_message m;
    stream_append(s, STR("12.34"), STR("frame"));
    EXPECT(stream_next(s, 0, &m));
    EXPECT_STR(m.excluded, "12.34");
    EXPECT_STR(m.frame, "frame");
    stream_log_free(l);
}

TEST(stream_forgets_the_oldest_beyond_its_limits_and_says_so)
{
    struct stream_log *l = new_log();
    struct stream_limits few = *limits;
    few.max_messages = 10;
    struct stream *s = stream_log_open(l, STR("1"), STR("news"), &few);
    append_numbers(s, 25);
    EXPECT_EQ(stream_oldest(s), 16);
    EXPECT_EQ(stream_check(s, stream_id(s), 14), STREAM_POSITION_EXPIRED);
    expect_numbers(s, 15);

    few.max_bytes = 1; // not even one has place
    s = stream_log_open(l, STR("1"), STR("news"), &few);
    append_numbers(s, 1);
    EXPECT_EQ(stream_check(s, stream_id(s), 25), STREAM_POSITION_EXPIRED);
    EXPECT_EQ(stream_check(s, stream_id(s), 26), STREAM_OK);
    EXPECT_EQ(stream_log_bytes(l), 0);
    stream_log_free(l);
}

TEST(stream_log_keeps_its_memory_and_forgets_the_oldest_of_all)
{
    struct stream_log_options options = stream_log_defaults;
    options.max_bytes = 100000;
    struct stream_log *l = stream_log_new(&options);
    struct stream *quiet = stream_log_open(l, STR("1"), STR("quiet"), limits);
    struct stream_limits many = *limits;
    many.max_messages = 100000;
    struct stream *busy = stream_log_open(l, STR("1"), STR("busy"), &many);
    append_numbers(quiet, 1);
    for (int i = 0; i < 1000; i++) {
        append_numbers(busy, 1);
        EXPECT(stream_log_bytes(l) <= options.max_bytes);
    }
    EXPECT_EQ(stream_check(quiet, stream_id(quiet), 0), STREAM_OK);
    for (int i = 0; i < 1000; i++)
        append_numbers(busy, 1);
    EXPECT_EQ(stream_check(quiet, stream_id(quiet), 0), STREAM_POSITION_EXPIRED);
    EXPECT_EQ(stream_check(quiet, stream_id(quiet), 1), STREAM_OK);
    expect_numbers(busy, 1999);
    stream_log_free(l);
}

TEST(stream_expires_when_nobody_needs_it)
{
    struct stream_log *l = new_log();
    struct stream *held = stream_log_open(l, STR("1"), STR("held"), limits);
    stream_hold(held);
    append_numbers(held, 3);
    stream_log_open(l, STR("1"), STR("idle"), limits);
    for (int i = 0; i < 119; i++) {
        clock_test_advance(1000);
        stream_log_tick(l);
    }
    EXPECT(stream_log_find(l, STR("1"), STR("idle")) != NULL);
    expect_numbers(held, 0);
    for (int i = 0; i < 3; i++) {
        clock_test_advance(1000);
        stream_log_tick(l);
    }
    EXPECT(stream_log_find(l, STR("1"), STR("idle")) == NULL);
    EXPECT(stream_log_find(l, STR("1"), STR("held")) == held);
    EXPECT_EQ(stream_check(held, stream_id(held), 2), STREAM_POSITION_EXPIRED); // too old
    EXPECT_EQ(stream_check(held, stream_id(held), 3), STREAM_OK);
    stream_release(held);
    clock_test_advance(122000);
    stream_log_tick(l);
    EXPECT_EQ(stream_log_count(l), 0);
    stream_log_free(l);
}

TEST(stream_log_forgets_many_streams_in_slices)
{
    enum { STREAMS = 10000 };
    struct stream_log *l = new_log();
    for (int i = 0; i < STREAMS; i++) {
        char name[24];
        snprintf(name, sizeof(name), "c%d", i);
        append_numbers(stream_log_open(l, STR("1"), str_of(name), limits), 1);
    }
    clock_test_advance(130000);
    size_t before = stream_log_count(l);
    int ticks = 0;
    while (before > 0 && ticks < 100) {
        stream_log_tick(l);
        EXPECT(before - stream_log_count(l) <= 4096);
        before = stream_log_count(l);
        ticks++;
    }
    EXPECT_EQ(before, 0);
    EXPECT(ticks > 2);
    stream_log_free(l);
}

TEST(stream_log_gives_the_place_of_the_longest_unused_but_of_no_held_one)
{
    struct stream_log_options options = stream_log_defaults;
    options.max_streams = 3;
    struct stream_log *l = stream_log_new(&options);
    stream_hold(stream_log_open(l, STR("1"), STR("a"), limits));
    stream_log_open(l, STR("1"), STR("b"), limits);
    stream_log_open(l, STR("1"), STR("c"), limits);
    stream_hold(stream_log_open(l, STR("1"), STR("d"), limits));
    EXPECT(stream_log_find(l, STR("1"), STR("b")) == NULL);
    stream_hold(stream_log_open(l, STR("1"), STR("c"), limits));
    EXPECT(stream_log_open(l, STR("1"), STR("e"), limits) == NULL);
    stream_release(stream_log_find(l, STR("1"), STR("a")));
    EXPECT(stream_log_open(l, STR("1"), STR("e"), limits) != NULL);
    EXPECT(stream_log_find(l, STR("1"), STR("a")) == NULL);
    stream_release(stream_log_find(l, STR("1"), STR("c")));
    stream_release(stream_log_find(l, STR("1"), STR("d")));
    stream_log_free(l);
}

/* ---- on disk ---- */

TEST(stream_store_brings_back_what_was_flushed_before_a_kill)
{
    struct test_stream t;
    char copy[96];
    test_stream_begin(&t, 2);
    snprintf(copy, sizeof(copy), "%s/copy", t.dir);
    struct stream *a = test_stream_get(&t, "a", limits), *b = test_stream_get(&t, "b", limits);
    uint64_t a_id = stream_id(a), b_id = stream_id(b);
    append_numbers(a, 10);
    append_numbers(b, 20);
    test_stream_flush(&t);
    append_numbers(a, 1); // nobody saw it
    test_stream_copy(&t, copy);
    test_stream_come_back(&t, copy);

    a = test_stream_find(&t, "a");
    b = test_stream_find(&t, "b");
    EXPECT_EQ(stream_id(a), a_id);
    EXPECT_EQ(stream_id(b), b_id);
    EXPECT_EQ(stream_head(a), 10);
    expect_numbers(a, 0);
    expect_numbers(b, 3);
    append_numbers(a, 5);
    test_stream_flush(&t);
    test_stream_copy(&t, copy);
    test_stream_come_back(&t, copy);
    expect_numbers(test_stream_find(&t, "a"), 7);
    test_stream_end(&t);
}

TEST(stream_store_may_have_another_number_of_logs_at_each_start)
{
    static const size_t counts[] = {3, 1, 4, 2};
    struct test_stream t;
    test_stream_begin(&t, 2);
    for (char c = 'a'; c <= 'h'; c++)
        append_numbers(test_stream_get(&t, (char[]){c, 0}, limits), (uint64_t)c);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        stream_store_close(t.store);
        t.options.log_count = counts[i];
        test_stream_open(&t);
        for (char c = 'a'; c <= 'h'; c++)
            expect_numbers(test_stream_find(&t, (char[]){c, 0}), 0);
    }
    test_stream_end(&t);
}

TEST(stream_store_lets_no_second_process_in)
{
    struct test_stream t;
    struct stream_store *second;
    char why[300] = "";
    test_stream_begin(&t, 1);
    EXPECT_EQ(stream_store_open(&t.options, &second, why, sizeof(why)), ERR_CONFLICT);
    EXPECT(strstr(why, "another server"));
    test_stream_end(&t);
}

/* The system wrote some of the last bytes, or all, or none. */
TEST(stream_store_survives_a_cut_at_every_byte_of_the_last_write)
{
    struct test_stream t;
    char copy[96], dir[200], path[220];
    struct stat before, after;
    test_stream_begin(&t, 1);
    snprintf(copy, sizeof(copy), "%s/copy", t.dir);
    append_numbers(test_stream_get(&t, "a", limits), 3);
    test_stream_flush(&t);
    test_stream_log_dir(t.hub, 0, dir, sizeof(dir));
    snprintf(path, sizeof(path), "%s/00000001.log", dir);
    EXPECT_EQ(stat(path, &before), 0);
    append_numbers(test_stream_find(&t, "a"), 2);
    append_numbers(test_stream_get(&t, "b", limits), 1);
    test_stream_flush(&t);
    EXPECT_EQ(stat(path, &after), 0);
    test_stream_copy(&t, copy);
    stream_store_close(t.store);

    uint64_t head = 3;
    for (off_t size = before.st_size; size <= after.st_size; size++) {
        test_stream_copy_dir(copy, t.hub);
        EXPECT_EQ(truncate(path, size), 0);
        test_stream_open(&t);
        const struct stream *a = test_stream_find(&t, "a");
        EXPECT(a && stream_head(a) >= head && stream_head(a) <= 5);
        head = stream_head(a); // more bytes, no less messages
        expect_numbers(a, 0);
        stream_store_close(t.store);
    }
    EXPECT_EQ(head, 5);
    test_stream_open(&t);
    EXPECT(test_stream_find(&t, "b") != NULL);
    test_stream_end(&t);
}

/* A bit that tipped over in what was whole: the log is refused, not misread. */
TEST(stream_store_trusts_nothing_of_a_damaged_log)
{
    struct test_stream t;
    char copy[96], dir[200], path[220];
    struct stat st;
    test_stream_begin(&t, 1);
    snprintf(copy, sizeof(copy), "%s/copy", t.dir);
    append_numbers(test_stream_get(&t, "a", limits), 4);
    test_stream_flush(&t);
    test_stream_log_dir(t.hub, 0, dir, sizeof(dir));
    snprintf(path, sizeof(path), "%s/00000001.log", dir);
    EXPECT_EQ(stat(path, &st), 0);
    test_stream_copy(&t, copy);
    stream_store_close(t.store);
    for (off_t at = 0; at < st.st_size; at += 3) {
        uint8_t byte;
        test_stream_copy_dir(copy, t.hub);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        EXPECT(pread(fd, &byte, 1, at) == 1);
        byte ^= (uint8_t)(1 << (at % 8));
        EXPECT(pwrite(fd, &byte, 1, at) == 1);
        close(fd);
        test_stream_open(&t);
        EXPECT(test_stream_find(&t, "a") == NULL);
        stream_store_close(t.store);
    }
    test_stream_open(&t);
    test_stream_end(&t);
}

TEST(stream_store_believes_after_a_host_crash_only_what_was_synced)
{
    struct test_stream t;
    char copy[96];
    test_stream_begin(&t, 1);
    snprintf(copy, sizeof(copy), "%s/copy", t.dir);
    struct stream_limits synced = *limits;
    synced.ack = STREAM_FSYNC;
    append_numbers(test_stream_get(&t, "written", limits), 3);
    struct stream *s = test_stream_get(&t, "synced", &synced);
    stream_append(s, (struct str){0}, STR("1"));
    EXPECT_EQ(stream_head(s), 0); // not to be seen before the sync
    test_stream_flush(&t);
    EXPECT_EQ(stream_head(s), 1);
    test_stream_copy(&t, copy);
    t.options.boot_id = "boot-2";
    test_stream_come_back(&t, copy);
    EXPECT(test_stream_find(&t, "written") == NULL);
    expect_numbers(test_stream_find(&t, "synced"), 0);

    // The next start is on the same host again, and a clean stop survives a new boot.
    append_numbers(test_stream_get(&t, "written", limits), 3);
    stream_store_close(t.store);
    t.options.boot_id = "boot-3";
    test_stream_open(&t);
    expect_numbers(test_stream_find(&t, "written"), 0);
    test_stream_end(&t);
}

TEST(stream_store_forgets_what_expired_meanwhile_but_not_a_held_quiet_stream)
{
    struct test_stream t;
    char copy[96];
    test_stream_begin(&t, 1);
    snprintf(copy, sizeof(copy), "%s/copy", t.dir);
    struct stream *held = test_stream_get(&t, "held", limits);
    stream_hold(held);
    append_numbers(held, 3);
    test_stream_flush(&t);
    for (int i = 0; i < 600; i++) { // ten quiet minutes
        clock_test_advance(1000);
        stream_log_tick(stream_store_log(t.store, 0));
    }
    test_stream_copy(&t, copy);
    stream_release(held);
    test_stream_come_back(&t, copy);
    held = test_stream_find(&t, "held");
    EXPECT(held && stream_check(held, stream_id(held), 3) == STREAM_OK);
    test_stream_copy(&t, copy);
    clock_test_advance(121000);
    test_stream_come_back(&t, copy);
    EXPECT(test_stream_find(&t, "held") == NULL);
    test_stream_end(&t);
}

/* What was published when no stream counted must not be missing from one that comes back. */
TEST(stream_store_takes_no_ended_stream_for_whole_when_the_clock_goes_back)
{
    struct test_stream t;
    char copy[96];
    test_stream_begin(&t, 1);
    snprintf(copy, sizeof(copy), "%s/copy", t.dir);
    append_numbers(test_stream_get(&t, "a", limits), 3);
    test_stream_flush(&t);
    clock_test_advance(125000);
    stream_log_tick(stream_store_log(t.store, 0));
    EXPECT(test_stream_find(&t, "a") == NULL);
    test_stream_copy(&t, copy);
    clock_test_advance(-120000);
    test_stream_come_back(&t, copy);
    EXPECT(test_stream_find(&t, "a") == NULL);
    test_stream_end(&t);
}

static size_t count_segments(const struct test_stream *t)
{
    char dir[200];
    size_t count = 0;
    test_stream_log_dir(t->hub, 0, dir, sizeof(dir));
    DIR *listing = opendir(dir);
    const struct dirent *entry;
    while ((entry = readdir(listing)))
        count += strstr(entry->d_name, ".log") != NULL;
    closedir(listing);
    return count;
}

TEST(stream_log_deletes_segments_that_nobody_needs_and_keeps_quiet_streams)
{
    struct test_stream t;
    char copy[96];
    test_stream_begin(&t, 1);
    stream_store_close(t.store);
    t.options.log.segment_bytes = 4096;
    test_stream_open(&t);
    snprintf(copy, sizeof(copy), "%s/copy", t.dir);
    struct stream *quiet = test_stream_get(&t, "quiet", limits);
    uint64_t id = stream_id(quiet);
    stream_hold(quiet);
    append_numbers(quiet, 1);
    struct stream_limits few = *limits;
    few.max_messages = 50;
    struct stream *busy = test_stream_get(&t, "busy", &few);
    for (int i = 0; i < 200; i++) {
        append_numbers(busy, 20);
        test_stream_flush(&t);
        clock_test_advance(1000);
        stream_log_tick(stream_store_log(t.store, 0));
    }
    EXPECT(count_segments(&t) <= 4);
    test_stream_copy(&t, copy);
    stream_release(quiet);
    test_stream_come_back(&t, copy);
    quiet = test_stream_find(&t, "quiet");
    EXPECT(quiet && stream_id(quiet) == id && stream_head(quiet) == 1);
    busy = test_stream_find(&t, "busy");
    expect_numbers(busy, 3950);
    test_stream_end(&t);
}

TEST(stream_log_keeps_its_place_on_disk)
{
    struct test_stream t;
    test_stream_begin(&t, 1);
    stream_store_close(t.store);
    t.options.log.segment_bytes = 4096;
    t.options.log.max_disk_bytes = 20000;
    test_stream_open(&t);
    struct stream *s = test_stream_get(&t, "a", limits);
    for (int i = 0; i < 100; i++) {
        append_numbers(s, 20);
        test_stream_flush(&t);
        stream_log_tick(stream_store_log(t.store, 0));
        EXPECT(count_segments(&t) <= 6);
    }
    EXPECT_EQ(stream_check(s, stream_id(s), 0), STREAM_POSITION_EXPIRED);
    EXPECT_EQ(stream_head(s), 2000);
    test_stream_end(&t);
}

TEST(stream_store_purges_what_nobody_keeps_up)
{
    struct test_stream t;
    char why[300] = "";
    test_stream_begin(&t, 1);
    append_numbers(test_stream_get(&t, "a", limits), 3);
    stream_store_close(t.store);
    EXPECT_EQ(stream_store_purge(t.hub, why, sizeof(why)), OK);
    EXPECT_EQ(stream_store_purge("/nonexistent/hub", why, sizeof(why)), OK);
    test_stream_open(&t);
    EXPECT(test_stream_find(&t, "a") == NULL);
    test_stream_end(&t);
}

/* ---- a disk that fails ---- */

/* Writes behind so many bytes of a file fail. No EXPECT meanwhile: Check writes to a file, too. */
static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void append_and_flush_on_a_full_disk(const struct test_stream *t, struct stream *s,
                                            int count)
{
    uint64_t head = stream_head(s);
    limit_file_size(1000);
    for (int i = 1; i <= count; i++) {
        char text[24];
        snprintf(text, sizeof(text), "%llu", (unsigned long long)head + (unsigned)i);
        stream_append(s, (struct str){0}, str_of(text));
    }
    test_stream_flush(t);
    limit_file_size(RLIM_INFINITY);
}

TEST(stream_log_goes_on_in_memory_when_the_disk_is_full_and_comes_back_to_it)
{
    struct test_stream t;
    char copy[96];
    test_stream_begin(&t, 1);
    log_set_level(LOG_ERROR + 1);
    signal(SIGXFSZ, SIG_IGN);
    snprintf(copy, sizeof(copy), "%s/copy", t.dir);
    struct stream *s = test_stream_get(&t, "a", limits);
    uint64_t id = stream_id(s);
    append_numbers(s, 10);
    test_stream_flush(&t);
    append_and_flush_on_a_full_disk(&t, s, 20);
    EXPECT_EQ(stream_id(s), id); // the files are gone, so positions stay good
    expect_numbers(s, 0);
    test_stream_copy(&t, copy);

    clock_test_advance(31000);
    stream_log_tick(stream_store_log(t.store, 0));
    append_numbers(s, 5);
    test_stream_flush(&t);
    char later[96];
    snprintf(later, sizeof(later), "%s/later", t.dir);
    test_stream_copy(&t, later);
    test_stream_come_back(&t, copy);
    EXPECT(test_stream_find(&t, "a") == NULL); // it was in memory only
    test_stream_come_back(&t, later);
    s = test_stream_find(&t, "a");
    EXPECT_EQ(stream_id(s), id);
    EXPECT_EQ(stream_head(s), 35);
    expect_numbers(s, 30);
    EXPECT_EQ(stream_check(s, id, 29), STREAM_POSITION_EXPIRED); // was never on the disk
    test_stream_end(&t);
}

TEST(stream_log_changes_its_ids_when_the_old_files_cannot_be_taken_away)
{
    struct test_stream t;
    char dir[200], blocker[260];
    test_stream_begin(&t, 1);
    log_set_level(LOG_ERROR + 1);
    signal(SIGXFSZ, SIG_IGN);
    struct stream *s = test_stream_get(&t, "a", limits);
    uint64_t id = stream_id(s);
    append_numbers(s, 10);
    test_stream_flush(&t);
    // A name that cannot be replaced stands where the files would go.
    test_stream_log_dir(t.hub, 0, dir, sizeof(dir));
    snprintf(blocker, sizeof(blocker), "%s.dropped", dir);
    EXPECT_EQ(mkdir(blocker, 0700), 0);
    snprintf(blocker, sizeof(blocker), "%s.dropped/other", dir);
    EXPECT_EQ(mkdir(blocker, 0700), 0);
    append_and_flush_on_a_full_disk(&t, s, 20);
    EXPECT(stream_id(s) != id);
    EXPECT_EQ(stream_check(s, id, 10), STREAM_RESET);
    test_stream_end(&t);
}

TEST(stream_store_starts_in_memory_on_a_full_disk)
{
    struct test_stream t;
    char copy[96];
    test_stream_begin(&t, 1);
    signal(SIGXFSZ, SIG_IGN);
    snprintf(copy, sizeof(copy), "%s/copy", t.dir);
    append_numbers(test_stream_get(&t, "a", limits), 10);
    stream_store_close(t.store);
    log_set_level(LOG_ERROR + 1);
    char why[300];
    limit_file_size(3);
    enum err err = stream_store_open(&t.options, &t.store, why, sizeof(why));
    limit_file_size(RLIM_INFINITY);
    EXPECT_EQ(err, OK);
    struct stream *s = test_stream_find(&t, "a");
    expect_numbers(s, 0);
    append_numbers(s, 1);
    test_stream_flush(&t);
    test_stream_copy(&t, copy);
    test_stream_come_back(&t, copy); // what it knew of serial 11 was in memory
    EXPECT(test_stream_find(&t, "a") == NULL);
    test_stream_end(&t);
}

/* ---- syncing in the pool ---- */

struct synced {
    struct io_loop *loop;
    const struct stream *stream;
    uint64_t want;
};

static void on_synced(void *ctx)
{
    const struct synced *d = ctx;
    if (stream_head(d->stream) == d->want)
        io_loop_stop(d->loop);
}

TEST(stream_log_shows_messages_after_a_sync_in_the_pool)
{
    struct test_stream t;
    test_stream_begin(&t, 1);
    struct synced d = {.loop = io_loop_new(0), .want = 300};
    struct io_pool *pool = io_pool_new(1, "sync");
    stream_log_on_synced(stream_store_log(t.store, 0), pool, d.loop, on_synced, &d);
    struct stream_limits synced = *limits;
    synced.ack = STREAM_FSYNC;
    struct stream *s = test_stream_get(&t, "a", &synced);
    d.stream = s;
    for (int i = 0; i < 3; i++) {
        append_numbers(s, 100);
        test_stream_flush(&t);
    }
    EXPECT_EQ(stream_head(s), 0);
    io_loop_run(d.loop);
    EXPECT_EQ(stream_head(s), 300);
    expect_numbers(s, 0);
    io_pool_free(pool);
    io_loop_free(d.loop);
    test_stream_end(&t);
}

TEST(stream_log_begins_the_next_segment_within_a_turn)
{
    struct test_stream t;
    test_stream_begin(&t, 1);
    struct stream_log *l = stream_store_log(t.store, 0);
    l->file.segment_bytes = 4096;
    struct stream *s = test_stream_get(&t, "a", limits);
    append_numbers(s, 900); // some 45 bytes each, and no flush between them
    EXPECT(stream_file_newest(&l->file)->number >= 10);
    test_stream_flush(&t);
    char copy[96];
    snprintf(copy, sizeof(copy), "%s/copy", t.dir);
    test_stream_copy(&t, copy);
    test_stream_come_back(&t, copy);
    s = test_stream_find(&t, "a");
    EXPECT(s != NULL);
    expect_numbers(s, 0);
    test_stream_end(&t);
}

struct filling {
    struct io_loop *loop;
    struct stream_log *log;
    struct stream *stream;
};

static void fill_segment(struct filling *f)
{
    uint32_t number = stream_file_newest(&f->log->file)->number;
    while (stream_file_newest(&f->log->file)->number == number) {
        append_numbers(f->stream, 10);
        stream_log_flush(f->log);
    }
    EXPECT(f->log->is_syncing);
    EXPECT(!stream_file_has_full(&f->log->file)); // its descriptor went along
    EXPECT_EQ(stream_head(f->stream), f->stream->head);
}

static void on_segment_synced(void *ctx)
{
    struct filling *f = ctx;
    EXPECT(!f->log->is_syncing);
    if (stream_file_newest(&f->log->file)->number < 8)
        fill_segment(f);
    else
        io_loop_stop(f->loop);
}

TEST(stream_log_syncs_full_segments_in_the_pool_though_nobody_waits)
{
    struct test_stream t;
    test_stream_begin(&t, 1);
    struct filling f = {.loop = io_loop_new(0), .log = stream_store_log(t.store, 0)};
    struct io_pool *pool = io_pool_new(1, "sync");
    stream_log_on_synced(f.log, pool, f.loop, on_segment_synced, &f);
    f.log->file.segment_bytes = 4096;
    f.stream = test_stream_get(&t, "a", limits);
    fill_segment(&f);
    io_loop_run(f.loop);
    EXPECT_EQ(stream_file_newest(&f.log->file)->number, 8);
    io_pool_free(pool);
    io_loop_free(f.loop);
    test_stream_end(&t);
}

TEST(stream_shows_a_written_message_when_it_was_handed_to_the_system)
{
    struct test_stream t;
    struct stream_message m;
    test_stream_begin(&t, 1);
    struct stream *s = test_stream_get(&t, "a", limits);
    append_numbers(s, 1);
    EXPECT_EQ(stream_head(s), 0);
    EXPECT(!stream_next(s, 0, &m));
    test_stream_flush(&t);
    EXPECT_EQ(stream_head(s), 1);
    test_stream_end(&t);
}
