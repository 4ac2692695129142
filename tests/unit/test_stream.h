/* test_stream.h -- what the tests of stream share: a folder, a store in it, its files. */
#ifndef TEST_STREAM_H
#define TEST_STREAM_H

#include <dirent.h>
#include <fcntl.h>
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
    char dir[TEST_FOLDER_MAX], hub[96];
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
    test_make_folder(t->dir);
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

static inline void test_stream_copy_file(const char *from, const char *to)
{
    char bytes[4096];
    ssize_t len;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    EXPECT(in >= 0 && out >= 0);
    while ((len = read(in, bytes, sizeof(bytes))) > 0)
        EXPECT_EQ(write(out, bytes, (size_t)len), len);
    EXPECT_EQ(len, 0);
    close(in);
    close(out);
}

static inline void test_stream_copy_tree(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    const struct dirent *entry;
    EXPECT(dir != NULL);
    EXPECT_EQ(mkdir(to, 0700), 0);
    while ((entry = readdir(dir))) {
        char entry_from[400], entry_to[400];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(entry_from, sizeof(entry_from), "%s/%s", from, entry->d_name);
        snprintf(entry_to, sizeof(entry_to), "%s/%s", to, entry->d_name);
        EXPECT_EQ(lstat(entry_from, &st), 0);
        EXPECT(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode));
        if (S_ISDIR(st.st_mode))
            test_stream_copy_tree(entry_from, entry_to);
        else
            test_stream_copy_file(entry_from, entry_to);
    }
    closedir(dir);
}

/* to becomes as from. In this process: tests copy a thousand times, and cp would cost most. */
static inline void test_stream_copy_dir(const char *from, const char *to)
{
    test_stream_remove(to);
    test_stream_copy_tree(from, to);
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
