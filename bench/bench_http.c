/* bench_http -- HTTP load over keep-alive connections: closed loop, or open loop at a fixed rate.
 *
 *     bench_http --port P --requests FILE [--connections 64] [--seconds 5] [--warmup 1] [--rate 0]
 * [--pids 1,2]
 *
 * Closed loop (rate 0): every connection sends its next request when the answer to the last is
 * whole. Open loop: requests fall due at fixed times whether or not earlier ones were answered, and
 * their latency counts from when they were due, so a stalled server cannot hide its stall. Prints
 * one line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "load.h"
#include "load_http.h"

enum { MAX_EVENTS = 256 };

struct bench {
    struct load_requests requests;
    struct load_http *conns;
    struct load_http **idle; // a stack
    size_t count, idle_count;
    int epoll;
    uint64_t sent, measured, failed;
    int64_t begin_ns, end_ns; // of the measured time
    double interval_ns;       // between requests; 0: closed loop
    double due_ns;
    struct load_hist latency;
};

static void open_all(struct bench *b, int port)
{
    b->conns = calloc(b->count, sizeof *b->conns);
    b->idle = calloc(b->count, sizeof(struct load_http *));
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!b->conns || !b->idle || b->epoll < 0)
        load_die("no memory");
    for (size_t i = 0; i < b->count; i++) {
        load_http_open(&b->conns[i], port);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &b->conns[i]};
        epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->conns[i].fd, &e);
        b->idle[b->idle_count++] = &b->conns[i];
    }
}

static void send_next(struct bench *b, struct load_http *h, int64_t started_ns)
{
    const struct load_request *r = load_requests_next(&b->requests, b->sent++);
    h->started_ns = started_ns;
    load_http_send(h, r->bytes, r->len);
}

/* Sends what is due; the closed loop is always due. */
static void send_due(struct bench *b, int64_t now)
{
    while (b->idle_count > 0 && now < b->end_ns) {
        if (b->interval_ns > 0 && b->due_ns > (double)now)
            return;
        int64_t started = b->interval_ns > 0 ? (int64_t)b->due_ns : now;
        b->due_ns += b->interval_ns;
        send_next(b, b->idle[--b->idle_count], started);
    }
}

static void note(struct bench *b, struct load_http *h, int status, int64_t now)
{
    if (status / 100 != 2) {
        if (b->failed++ == 0)
            fprintf(stderr, "first failure: %.500s\n", h->head);
    } else if (h->started_ns >= b->begin_ns && now <= b->end_ns) {
        b->measured++;
        load_hist_add(&b->latency, now - h->started_ns);
    }
}

static void wait_and_read(struct bench *b)
{
    struct epoll_event events[MAX_EVENTS];
    struct timespec wait = {.tv_nsec = 100000000};
    double left = b->due_ns - (double)load_now_ns();
    if (b->interval_ns > 0 && b->idle_count > 0 && left < 1e8)
        wait.tv_nsec = left > 0 ? (long)left : 0;
    int n = epoll_pwait2(b->epoll, events, MAX_EVENTS, &wait, NULL);
    int64_t now = load_now_ns();
    for (int i = 0; i < n; i++) {
        struct load_http *h = events[i].data.ptr;
        int status = load_http_read(h);
        if (status == 0)
            continue;
        note(b, h, status, now);
        b->idle[b->idle_count++] = h;
    }
}

static void run_until(struct bench *b, int64_t until_ns)
{
    for (int64_t now; (now = load_now_ns()) < until_ns;) {
        send_due(b, now);
        wait_and_read(b);
    }
}

static void print_result(const struct bench *b, double seconds, int64_t server_ns, int64_t own_ns)
{
    double done = (double)(b->measured ? b->measured : 1);
    uint64_t bytes = 0;
    for (size_t i = 0; i < b->count; i++)
        bytes += b->conns[i].bytes_in;
    printf("{\"connections\":%zu,\"seconds\":%.2f,\"requests\":%llu,\"failed\":%llu,\"rate\":%.0f,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"server_s_per_m\":%.3f,"
           "\"generator_s_per_m\":%.3f,\"bytes_per_answer\":%.0f}\n",
           b->count, seconds, (unsigned long long)b->measured, (unsigned long long)b->failed,
           (double)b->measured / seconds, load_hist_ms(&b->latency, 0.5),
           load_hist_ms(&b->latency, 0.99), (double)b->latency.max_ns / 1e6,
           (double)server_ns / done / 1e3, (double)own_ns / done / 1e3,
           (double)bytes / (double)(b->sent ? b->sent : 1));
}

int main(int argc, char **argv)
{
    struct load_args args = {argc, argv};
    static struct bench b;
    const char *pids = load_arg(&args, "pids", "");
    double rate = (double)load_arg_int(&args, "rate", "0");
    int64_t warmup_ns = load_arg_int(&args, "warmup", "1") * INT64_C(1000000000);
    int64_t run_ns = load_arg_int(&args, "seconds", "5") * INT64_C(1000000000);
    b.count = (size_t)load_arg_int(&args, "connections", "64");
    load_requests_read(&b.requests, load_arg(&args, "requests", NULL));
    load_need_fds(b.count + 64);
    open_all(&b, (int)load_arg_int(&args, "port", NULL));
    b.interval_ns = rate > 0 ? 1e9 / rate : 0;
    b.due_ns = (double)load_now_ns();
    b.begin_ns = load_now_ns() + warmup_ns;
    b.end_ns = b.begin_ns + run_ns;

    run_until(&b, b.begin_ns);
    int64_t server_ns = load_cpu_ns(pids), own_ns = load_own_cpu_ns();
    run_until(&b, b.end_ns);
    server_ns = load_cpu_ns(pids) - server_ns;
    own_ns = load_own_cpu_ns() - own_ns;
    while (b.idle_count < b.count && load_now_ns() < b.end_ns + INT64_C(5000000000))
        wait_and_read(&b); // nobody is cut off in the middle
    b.failed += b.count - b.idle_count;
    print_result(&b, (double)run_ns / 1e9, server_ns, own_ns);
    return 0;
}
