/* bench_disk -- what the disk and SQLite can do, one durable write at a time.
 *
 *     bench_disk --dir DIR [--seconds 2]
 *
 * First 256 bytes appended and fdatasync, again and again; then single-row commits into a table
 * with one index (WAL, synchronous=FULL), which is what a server without group commit could do at
 * most. Prints one line of JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

static double appends(const char *dir, int64_t run_ns, struct load_hist *h)
{
    char path[4096], row[256];
    memset(row, 'x', sizeof row);
    snprintf(path, sizeof path, "%s/bench-disk.log", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        load_die("%s: %s", path, strerror(errno));
    int64_t begin = load_now_ns(), now = begin;
    while (now < begin + run_ns) {
        if (write(fd, row, sizeof row) != (ssize_t)sizeof row || fdatasync(fd))
            load_die("%s: %s", path, strerror(errno));
        int64_t done = load_now_ns();
        load_hist_add(h, done - now);
        now = done;
    }
    close(fd);
    unlink(path);
    return (double)h->count / ((double)(now - begin) / 1e9);
}

static void must(sqlite3 *db, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE)
        load_die("SQLite: %s", sqlite3_errmsg(db));
}

static double commits(const char *dir, int64_t run_ns, struct load_hist *h)
{
    char path[4096], body[160];
    sqlite3 *db;
    sqlite3_stmt *insert;
    memset(body, 'x', sizeof body);
    snprintf(path, sizeof path, "%s/bench-disk.db", dir);
    must(NULL, sqlite3_open(path, &db));
    must(db, sqlite3_exec(db,
                          "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                          "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, body TEXT);"
                          "CREATE INDEX t_a ON t (a, id)",
                          NULL, NULL, NULL));
    must(db, sqlite3_prepare_v2(db, "INSERT INTO t (a, body) VALUES (?1, ?2)", -1, &insert, NULL));
    int64_t begin = load_now_ns(), now = begin;
    while (now < begin + run_ns) {
        sqlite3_bind_int64(insert, 1, (sqlite3_int64)(h->count % 100));
        sqlite3_bind_text(insert, 2, body, sizeof body, SQLITE_STATIC);
        must(db, sqlite3_step(insert));
        sqlite3_reset(insert);
        int64_t done = load_now_ns();
        load_hist_add(h, done - now);
        now = done;
    }
    sqlite3_finalize(insert);
    sqlite3_close(db);
    unlink(path);
    return (double)h->count / ((double)(now - begin) / 1e9);
}

int main(int argc, char **argv)
{
    struct load_args args = {argc, argv};
    static struct load_hist append, commit;
    const char *dir = load_arg(&args, "dir", NULL);
    int64_t run_ns = load_arg_int(&args, "seconds", "2") * INT64_C(1000000000);
    double append_rate = appends(dir, run_ns, &append);
    double commit_rate = commits(dir, run_ns, &commit);
    printf("{\"fsync_rate\":%.0f,\"fsync_p50_ms\":%.3f,\"fsync_p99_ms\":%.3f,\"commit_rate\":%.0f,"
           "\"commit_p50_ms\":%.3f,\"commit_p99_ms\":%.3f,\"sqlite\":\"%s\"}\n",
           append_rate, load_hist_ms(&append, 0.5), load_hist_ms(&append, 0.99), commit_rate,
           load_hist_ms(&commit, 0.5), load_hist_ms(&commit, 0.99), sqlite3_libversion());
    return 0;
}
