/* test_stream.h -- what the tests of stream share: a folder, a store in it, its files. */
#ifndef TEST_STREAM_H
#define TEST_STREAM_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "stream/stream_store.h"
#include "test.h"

struct test_stream {
    char dir[64], hub[96];
    struct stream_store_options options;
    struct stream_store *store;
};

static const struct stream_limits test_stream_limits = {
    .ttl_ms = 120000, .max_messages = 1000, .max_bytes = 1 << 20, .ack = STREAM_WRITE};

/* By the last character of the name. */
static inline size_t test_stream_log_of(struct str app_id, struct str channel, size_t log_count)
{
    (void)app_id;
    return (size_t)channel.at[channel.len - 1] % log_count;
}

static inline void test_stream_open(struct test_stream *t)
{
    char why[300] = "";
    t->options.dir = t->hub;
    EXPECT_EQ(stream_store_open(&t->options, &t->store, why, sizeof(why)), OK);
}

static inline void test_stream_begin(struct test_stream *t, size_t log_count)
{
    log_set_level(LOG_ERROR);
    *t = (struct test_stream){0};
    // Many starts, each with its syncs: in memory, where there is such a file system.
    snprintf(t->dir, sizeof(t->dir), "%s/viche-test-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    EXPECT(mkdtemp(t->dir) != NULL);
    snprintf(t->hub, sizeof(t->hub), "%s/hub", t->dir);
    t->options = (struct stream_store_options){.log_count = log_count,
                                               .log = stream_log_defaults,
                                               .log_of = test_stream_log_of,
                                               .boot_id = "boot-1"};
    test_stream_open(t);
}

static inline int test_stream_remove_entry(const char *path, const struct stat *st, int kind,
                                           struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void test_stream_remove(const char *path)
{
    nftw(path, test_stream_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void test_stream_end(struct test_stream *t)
{
    stream_store_close(t->store);
    test_stream_remove(t->dir);
}

static inline void test_stream_copy_dir(const char *from, const char *to)
{
    char command[1000];
    snprintf(command, sizeof(command), "rm -rf %s && cp -a %s %s", to, from, to);
    EXPECT_EQ(system(command), 0);
}

/* The state of the files now, as a killed process would leave it, at path. */
static inline void test_stream_copy(const struct test_stream *t, const char *path)
{
    test_stream_copy_dir(t->hub, path);
}

/* As if the process had been killed when the files were copied to path. */
static inline void test_stream_come_back(struct test_stream *t, const char *path)
{
    stream_store_close(t->store);
    test_stream_remove(t->hub);
    EXPECT_EQ(rename(path, t->hub), 0);
    test_stream_open(t);
}

/* The directory of that log in the only generation under hub. */
static inline void test_stream_log_dir(const char *hub, size_t log, char *out, size_t cap)
{
    DIR *dir = opendir(hub);
    const struct dirent *entry;
    EXPECT(dir != NULL);
    int found = 0;
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] != '0')
            continue;
        snprintf(out, cap, "%s/%.8s/%zu", hub, entry->d_name, log);
        found++;
    }
    closedir(dir);
    EXPECT_EQ(found, 1);
}

static inline struct stream *test_stream_find(const struct test_stream *t, const char *channel)
{
    size_t log = test_stream_log_of((struct str){0}, str_of(channel), t->options.log_count);
    return stream_log_find(stream_store_log(t->store, log), STR("app"), str_of(channel));
}

static inline struct stream *test_stream_get(const struct test_stream *t, const char *channel,
                                             const struct stream_limits *limits)
{
    size_t log = test_stream_log_of((struct str){0}, str_of(channel), t->options.log_count);
    return stream_log_open(stream_store_log(t->store, log), STR("app"), str_of(channel), limits);
}

static inline void test_stream_flush(const struct test_stream *t)
{
    for (size_t i = 0; i < t->options.log_count; i++)
        stream_log_flush(stream_store_log(t->store, i));
}

#endif
