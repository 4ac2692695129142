/* bench_latency -- from POST to the frame at another client, through queue and worker.
 *
 *     bench_latency --port P --key K --requests FILE --channels FILE
 *                   [--rate 100] [--seconds 20] [--warmup 2] [--pids 1,2]
 *
 * One subscriber listens to each channel (a line of the file). The requests carry the mark
 * "viche-bench-" and a running number in the comment's body; the event that brings the same number
 * back ends its measurement, which began when the request was due. Prints one line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "load.h"
#include "load_http.h"
#include "load_ws.h"

enum { MAX_CHANNELS = 64, CONNECTIONS = 128, MAX_SENT = 1 << 20 };

struct bench {
    struct load_requests requests;
    struct load_ws sockets[MAX_CHANNELS];
    struct load_ws_target targets[MAX_CHANNELS];
    size_t channel_count;
    struct load_http conns[CONNECTIONS];
    int epoll;
    uint64_t sent, arrived, failed, first; // first: the number that begins the measured time
    int64_t *due_ns;                       // of every request; 0: has arrived
    struct load_hist answer, event;
    uint64_t measured_answers;
};

static void on_event(void *ctx, struct load_ws *ws, const char *text, size_t len)
{
    static const char mark[] = "viche-bench-";
    struct bench *b = ctx;
    (void)ws;
    const char *at = memmem(text, len, mark, sizeof mark - 1);
    if (!at)
        return; // a counter or another event
    uint64_t n = strtoull(at + sizeof mark - 1, NULL, 10);
    if (n >= b->sent || b->due_ns[n] == 0)
        load_die("event number %llu came twice or never went", (unsigned long long)n);
    if (n >= b->first)
        load_hist_add(&b->event, load_now_ns() - b->due_ns[n]);
    b->due_ns[n] = 0;
    b->arrived++;
}

static void watch(struct bench *b, int fd, uint32_t index)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = index};
    epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &e);
}

static void on_answer(struct bench *b, struct load_http *h)
{
    int status = load_http_read(h);
    if (status != 0 && status != 201 && b->failed++ == 0)
        fprintf(stderr, "first failure: %.500s\n", h->head);
    if (status == 201 && h->tag >= b->first) {
        load_hist_add(&b->answer, load_now_ns() - h->started_ns);
        b->measured_answers++;
    }
}

static void wait_and_read(struct bench *b, int64_t wait_ns)
{
    struct epoll_event events[128];
    struct timespec wait = {.tv_nsec = wait_ns > 0 ? wait_ns : 0};
    int n = epoll_pwait2(b->epoll, events, 128, &wait, NULL);
    for (int i = 0; i < n; i++) {
        uint32_t index = events[i].data.u32;
        if (index < MAX_CHANNELS)
            load_ws_read(&b->sockets[index], &b->targets[index], on_event, b);
        else
            on_answer(b, &b->conns[index - MAX_CHANNELS]);
    }
}

static void send_one(struct bench *b, int64_t due_ns)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct load_http *h = &b->conns[(b->sent + i) % CONNECTIONS];
        if (h->is_busy)
            continue;
        const struct load_request *r = load_requests_next(&b->requests, b->sent);
        h->started_ns = due_ns;
        h->tag = b->sent;
        b->due_ns[b->sent++] = due_ns;
        load_http_send(h, r->bytes, r->len);
        return;
    }
    load_die("the server does not answer: %d requests are out", CONNECTIONS);
}

static void run(struct bench *b, double rate, double seconds)
{
    double begin = (double)load_now_ns(), interval = 1e9 / rate;
    for (double due = begin; due < begin + seconds * 1e9; due += interval) {
        for (double left; (left = due - (double)load_now_ns()) > 0;)
            wait_and_read(b, left < 1e8 ? (int64_t)left : 100000000);
        send_one(b, (int64_t)due);
    }
}

static void open_all(struct bench *b, const char *path, const char *channels, int port)
{
    char line[200];
    FILE *f = fopen(channels, "re");
    while (f && b->channel_count < MAX_CHANNELS && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        size_t i = b->channel_count++;
        b->targets[i] =
            (struct load_ws_target){.port = port, .path = path, .channel = strdup(line)};
        load_ws_open(&b->sockets[i], &b->targets[i]);
        watch(b, b->sockets[i].fd, (uint32_t)i);
        int64_t deadline = load_now_ns() + INT64_C(5000000000);
        while (b->sockets[i].state != LOAD_WS_READY && load_now_ns() < deadline)
            wait_and_read(b, 100000000);
        if (b->sockets[i].state != LOAD_WS_READY)
            load_die("no subscription to %s within 5 s", line);
    }
    if (b->channel_count == 0)
        load_die("%s holds no channel", channels);
    fclose(f);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        load_http_open(&b->conns[i], port);
        watch(b, b->conns[i].fd, (uint32_t)(MAX_CHANNELS + i));
    }
}

int main(int argc, char **argv)
{
    struct load_args args = {argc, argv};
    static struct bench b;
    char path[200];
    const char *pids = load_arg(&args, "pids", "");
    double rate = (double)load_arg_int(&args, "rate", "100");
    double seconds = (double)load_arg_int(&args, "seconds", "20");
    double warmup = (double)load_arg_int(&args, "warmup", "2");
    snprintf(path, sizeof path, "/app/%s?protocol=7&client=bench&version=1",
             load_arg(&args, "key", NULL));
    load_requests_read(&b.requests, load_arg(&args, "requests", NULL));
    b.epoll = epoll_create1(EPOLL_CLOEXEC);
    b.due_ns = calloc(MAX_SENT, sizeof *b.due_ns);
    if (b.epoll < 0 || !b.due_ns || rate * (seconds + warmup) >= MAX_SENT)
        load_die("too much");
    open_all(&b, path, load_arg(&args, "channels", NULL), (int)load_arg_int(&args, "port", NULL));
    b.first = UINT64_MAX;
    run(&b, rate, warmup);
    b.first = b.sent;
    int64_t server_ns = load_cpu_ns(pids);
    run(&b, rate, seconds);
    for (int64_t end = load_now_ns() + INT64_C(5000000000);
         b.arrived < b.sent && load_now_ns() < end;)
        wait_and_read(&b, 100000000);
    server_ns = load_cpu_ns(pids) - server_ns;
    printf("{\"rate\":%.0f,\"seconds\":%.0f,\"sent\":%llu,\"failed\":%llu,\"lost\":%llu,"
           "\"answer_p50_ms\":%.3f,\"answer_p99_ms\":%.3f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_"
           "ms\":%.3f,"
           "\"server_s_per_m\":%.1f}\n",
           rate, seconds, (unsigned long long)b.sent, (unsigned long long)b.failed,
           (unsigned long long)(b.sent - b.arrived), load_hist_ms(&b.answer, 0.5),
           load_hist_ms(&b.answer, 0.99), load_hist_ms(&b.event, 0.5), load_hist_ms(&b.event, 0.99),
           (double)b.event.max_ns / 1e6, (double)server_ns / (double)b.event.count / 1e3);
    return 0;
}
