/* bench_beanstalk -- how many jobs beanstalkd takes and does, each put and each delete on the disk.
 *
 *     bench_beanstalk --port P [--jobs 4000] [--under-way 64]
 *
 * One connection sends --under-way commands before it reads their answers, which is the best for
 * beanstalkd: it has one thread, and so its own fsync for each. Prints one line of JSON: puts a
 * second, then jobs reserved and deleted a second.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"

enum { MAX_UNDER_WAY = 256, MAX_COMMAND = 64, MAX_ANSWERS = 64 * 1024 };

struct talk {
    int fd;
    char in[MAX_ANSWERS];
    size_t start, len; // what was read and not yet taken
};

static void wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    if (poll(&p, 1, 10000) <= 0)
        load_die("beanstalkd does not answer");
}

static void send_all(struct talk *t, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(t->fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            load_die("beanstalkd: %s", strerror(errno));
        if (sent < 0) {
            wait_for(t->fd, POLLOUT);
            continue;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
}

static void fill(struct talk *t)
{
    memmove(t->in, t->in + t->start, t->len);
    t->start = 0;
    wait_for(t->fd, POLLIN);
    ssize_t got = recv(t->fd, t->in + t->len, sizeof t->in - t->len - 1, 0);
    if (got <= 0)
        load_die("beanstalkd: %s", got ? strerror(errno) : "closed");
    t->len += (size_t)got;
}

/* The next line, without its end; good until the next call. */
static const char *take_line(struct talk *t)
{
    for (;;) {
        char *line = t->in + t->start, *end = memmem(line, t->len, "\r\n", 2);
        if (end) {
            *end = 0;
            t->start += (size_t)(end - line) + 2;
            t->len -= (size_t)(end - line) + 2;
            return line;
        }
        fill(t);
    }
}

static void expect(const char *line, const char *begin)
{
    if (strncmp(line, begin, strlen(begin)) != 0)
        load_die("beanstalkd: %s", line);
}

static void put(struct talk *t, long count)
{
    static const char command[] = "put 0 0 60 16\r\n{\"comment_id\":1}\r\n";
    char all[MAX_UNDER_WAY * sizeof command] = "";
    for (long i = 0; i < count; i++)
        memcpy(all + (size_t)i * (sizeof command - 1), command, sizeof command - 1);
    send_all(t, all, (size_t)count * (sizeof command - 1));
    for (long i = 0; i < count; i++)
        expect(take_line(t), "INSERTED ");
}

static void work(struct talk *t, long count)
{
    char all[MAX_UNDER_WAY * MAX_COMMAND] = "";
    size_t len = 0;
    for (long i = 0; i < count; i++)
        len += (size_t)snprintf(all + len, MAX_COMMAND, "reserve\r\n");
    send_all(t, all, len);
    len = 0;
    for (long i = 0; i < count; i++) {
        const char *line = take_line(t);
        expect(line, "RESERVED ");
        long long id = atoll(line + strlen("RESERVED "));
        len += (size_t)snprintf(all + len, MAX_COMMAND, "delete %lld\r\n", id);
        take_line(t); // the job
    }
    send_all(t, all, len);
    for (long i = 0; i < count; i++)
        expect(take_line(t), "DELETED");
}

static double rate(struct talk *t, long jobs, long under_way, void (*fn)(struct talk *, long))
{
    int64_t begin = load_now_ns();
    for (long done = 0, step; done < jobs; done += step) {
        step = jobs - done < under_way ? jobs - done : under_way;
        fn(t, step);
    }
    return (double)jobs * 1e9 / (double)(load_now_ns() - begin);
}

int main(int argc, char **argv)
{
    struct load_args args = {argc, argv};
    static struct talk t;
    long jobs = load_arg_int(&args, "jobs", "4000");
    long under_way = load_arg_int(&args, "under-way", "64");
    if (under_way < 1 || under_way > MAX_UNDER_WAY)
        load_die("--under-way is 1 to %d", MAX_UNDER_WAY);
    t.fd = load_connect((int)load_arg_int(&args, "port", NULL));
    double puts_rate = rate(&t, jobs, under_way, put);
    double work_rate = rate(&t, jobs, under_way, work);
    printf("{\"put_rate\":%.0f,\"work_rate\":%.0f}\n", puts_rate, work_rate);
    return 0;
}
