/* load.h -- what the load generators share: time, latencies, a process's CPU and memory, options.
 *
 * The generators do not use src/: a fault in the server's own code must not hide in its ruler. They
 * are cheap (one thread, epoll, no allocation per request) because they share a small machine with
 * the server.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Prints one line and exits with 1: a benchmark that cannot do its work has no result. */
__attribute__((noreturn, format(printf, 1, 2))) void load_die(const char *format, ...);

int64_t load_now_ns(void);
void load_sleep_ns(int64_t ns);

/* ---- latencies: 64 steps for each power of two, so a quantile is off by 1.6 % at most ---- */
enum { LOAD_HIST_BUCKETS = 64 * 40 };
struct load_hist {
    uint64_t count;
    int64_t max_ns;
    uint64_t buckets[LOAD_HIST_BUCKETS];
};
void load_hist_add(struct load_hist *h, int64_t ns);
/* The latency below which the share q (0..1) lies, in milliseconds; 0 when empty. */
double load_hist_ms(const struct load_hist *h, double q);

/* ---- the server's costs, from /proc; pids is "12" or "12,13,14" (nginx has several) ---- */
int64_t load_cpu_ns(const char *pids);
int64_t load_rss_bytes(const char *pids);
/* This process's own. */
int64_t load_own_cpu_ns(void);

/* ---- options: --name value ---- */
struct load_args {
    int argc;
    char **argv;
};
/* fallback NULL: the option is required. */
const char *load_arg(const struct load_args *args, const char *name, const char *fallback);
long load_arg_int(const struct load_args *args, const char *name, const char *fallback);

/* Raises the limit of open descriptors to its maximum; dies when that is below need. */
void load_need_fds(size_t need);

/* A connected, non-blocking socket without Nagle's delay to 127.0.0.1:port. */
int load_connect(int port);

/* ---- requests prepared by the driver ----
 * The file holds each request as "LENGTH\n" and its bytes. The first ############ of a request, if
 * any, is overwritten by the running number, so that every request differs. */
enum { LOAD_MARK_LEN = 12 };
struct load_request {
    char *bytes;
    size_t len;
    char *mark; // into bytes, or NULL
};
struct load_requests {
    struct load_request *at;
    size_t count;
};
void load_requests_read(struct load_requests *r, const char *path);
/* The request number n (they are used in turn), marked with n. */
const struct load_request *load_requests_next(struct load_requests *r, uint64_t n);

#endif
