/* bench_hub -- subscribers of one channel: fan-out by signed publishes, or memory of idle
 * connections.
 *
 *     bench_hub --mode fanout --port P --key K --secret S --app ID --connections N
 *               [--in-flight 1] [--seconds 5] [--pids 1,2] [--data-bytes 200] [--nap-us 500]
 *     bench_hub --mode idle   --port P --key K --connections N --pids 1
 *
 * Each of --in-flight publishers has one request out at a time. With one publisher, a message is
 * read by every subscriber before the next is sent: nothing can be gathered. Between reads the
 * generator naps: a reader that is woken for every message makes the sender's send() pay for the
 * wake-up (up to half again), which is the generator's cost, not the server's. Prints one line of
 * JSON.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "load.h"
#include "load_http.h"
#include "load_ws.h"

enum {
    MAX_EVENTS = 1024,
    MAX_IN_FLIGHT = 32,
    MAX_AHEAD = 128,
    OPENING_AT_ONCE = 128,
    WARM_UP_SOCKETS = 200
};

struct bench {
    struct load_ws_target target;
    const char *app, *key, *secret;
    struct load_ws *sockets;
    size_t count, ready;
    int epoll;
    struct load_http publishers[MAX_IN_FLIGHT];
    size_t in_flight;
    long data_bytes;
    int64_t nap_ns;
    uint64_t published, delivered, refused;
    uint64_t event_bytes; // payload of the last event
    int64_t published_ns[MAX_AHEAD];
    struct load_hist to_all; // from a publish to its last delivery
};

static void on_event(void *ctx, struct load_ws *ws, const char *text, size_t len)
{
    struct bench *b = ctx;
    (void)ws, (void)text;
    b->event_bytes = len;
    b->delivered++;
    if (b->delivered % b->count == 0) {
        size_t slot = (b->delivered / b->count - 1) % MAX_AHEAD;
        load_hist_add(&b->to_all, load_now_ns() - b->published_ns[slot]);
    }
}

/* Reads everything that is there; how many sockets had something. */
static int read_ready(struct bench *b, int wait_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(b->epoll, events, MAX_EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        struct load_ws *ws = events[i].data.ptr;
        enum load_ws_state before = ws->state;
        load_ws_read(ws, &b->target, on_event, b);
        if (before != LOAD_WS_READY && ws->state == LOAD_WS_READY)
            b->ready++;
    }
    return n;
}

static void open_sockets(struct bench *b, size_t count)
{
    int64_t deadline = load_now_ns() + INT64_C(60000000000);
    for (size_t opened = 0; b->ready < count;) {
        for (; opened < count && opened - b->ready < OPENING_AT_ONCE; opened++) {
            load_ws_open(&b->sockets[opened], &b->target);
            struct epoll_event e = {.events = EPOLLIN, .data.ptr = &b->sockets[opened]};
            epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->sockets[opened].fd, &e);
        }
        read_ready(b, 100);
        if (load_now_ns() > deadline)
            load_die("only %zu of %zu sockets subscribed within 60 s", b->ready, count);
    }
}

static void hex(const unsigned char *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* The query of a signed publish (Pusher's REST API). */
static int signed_query(const struct bench *b, const char *body, size_t len, char *out, size_t cap)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    char md5[33], text[512], signature[65];
    EVP_Digest(body, len, digest, &digest_len, EVP_md5(), NULL);
    hex(digest, digest_len, md5);
    int query_len =
        snprintf(out, cap, "auth_key=%s&auth_timestamp=%lld&auth_version=1.0&body_md5=%s", b->key,
                 (long long)time(NULL), md5);
    int text_len = snprintf(text, sizeof text, "POST\n/apps/%s/events\n%s", b->app, out);
    if (query_len >= (int)cap || text_len >= (int)sizeof text)
        load_die("the key is too long");
    HMAC(EVP_sha256(), b->secret, (int)strlen(b->secret), (const unsigned char *)text,
         (size_t)text_len, digest, &digest_len);
    hex(digest, digest_len, signature);
    return query_len +
           snprintf(out + query_len, cap - (size_t)query_len, "&auth_signature=%s", signature);
}

static void publish(struct bench *b, struct load_http *h)
{
    char body[4096], query[512], request[6000], pad[2048];
    size_t pad_len = (size_t)b->data_bytes < sizeof pad ? (size_t)b->data_bytes : sizeof pad - 1;
    memset(pad, 'x', pad_len);
    pad[pad_len] = 0;
    int body_len = snprintf(body, sizeof body,
                            "{\"name\":\"bench.event\",\"channel\":\"%s\",\"data\":\"{\\\"n\\\":%"
                            "08llu,\\\"text\\\":\\\"%s\\\"}\"}",
                            b->target.channel, (unsigned long long)b->published, pad);
    signed_query(b, body, (size_t)body_len, query, sizeof query);
    int len = snprintf(request, sizeof request,
                       "POST /apps/%s/events?%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                       "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                       b->app, query, b->target.port, body_len, body);
    if (len >= (int)sizeof request)
        load_die("the event is too long");
    b->published_ns[b->published % MAX_AHEAD] = load_now_ns();
    load_http_send(h, request, (size_t)len);
    b->published++;
}

/* Each publisher waits for its answer. One alone waits for its deliveries too; many may be ahead of
 * the subscribers by a few messages each, as independent ones would be. */
static void publish_due(struct bench *b)
{
    uint64_t most = b->in_flight == 1 ? 1 : 3 * b->in_flight;
    for (size_t i = 0; i < b->in_flight; i++) {
        struct load_http *h = &b->publishers[i];
        int status = h->is_busy ? load_http_read(h) : 0;
        if (status && status != 200 && b->refused++ == 0)
            load_die("a publish was refused: %.500s", h->head);
        if (!h->is_busy && b->published - b->delivered / b->count < most)
            publish(b, h);
    }
}

static void run_until(struct bench *b, int64_t until_ns)
{
    while (load_now_ns() < until_ns) {
        publish_due(b);
        if (read_ready(b, 0) == 0)
            load_sleep_ns(b->nap_ns);
    }
}

static void drain(struct bench *b)
{
    int64_t deadline = load_now_ns() + INT64_C(10000000000);
    while (b->delivered < b->published * b->count) {
        for (size_t i = 0; i < b->in_flight; i++)
            if (b->publishers[i].is_busy)
                load_http_read(&b->publishers[i]);
        read_ready(b, 10);
        if (load_now_ns() > deadline)
            load_die("%llu of %llu deliveries came", (unsigned long long)b->delivered,
                     (unsigned long long)(b->published * b->count));
    }
}

static void fan_out(struct bench *b, int64_t run_ns, const char *pids)
{
    int64_t started = load_now_ns();
    open_sockets(b, b->count);
    double open_seconds = (double)(load_now_ns() - started) / 1e9;
    for (size_t i = 0; i < b->in_flight; i++)
        load_http_open(&b->publishers[i], b->target.port);
    run_until(b, load_now_ns() + run_ns / 4);
    memset(&b->to_all, 0, sizeof b->to_all);
    uint64_t before = b->delivered;
    int64_t server_ns = load_cpu_ns(pids), own_ns = load_own_cpu_ns(), begin = load_now_ns();
    run_until(b, begin + run_ns);
    double seconds = (double)(load_now_ns() - begin) / 1e9;
    server_ns = load_cpu_ns(pids) - server_ns;
    own_ns = load_own_cpu_ns() - own_ns;
    double done = (double)(b->delivered - before);
    drain(b);
    printf("{\"connections\":%zu,\"in_flight\":%zu,\"deliveries\":%.0f,\"rate\":%.0f,\"server_s_"
           "per_m\":%.3f,"
           "\"generator_s_per_m\":%.3f,\"to_all_p50_ms\":%.3f,\"to_all_p99_ms\":%.3f,"
           "\"event_bytes\":%llu,\"subscribed_per_s\":%.0f}\n",
           b->count, b->in_flight, done, done / seconds, (double)server_ns / done / 1e3,
           (double)own_ns / done / 1e3, load_hist_ms(&b->to_all, 0.5),
           load_hist_ms(&b->to_all, 0.99), (unsigned long long)b->event_bytes,
           (double)b->count / open_seconds);
}

/* A few sockets come and go first, so that what the server allocates once is not counted. */
static void warm_up(struct bench *b)
{
    open_sockets(b, WARM_UP_SOCKETS);
    for (size_t i = 0; i < WARM_UP_SOCKETS; i++)
        load_ws_close(&b->sockets[i]);
    b->ready = 0;
    load_sleep_ns(500000000);
}

static void idle(struct bench *b, const char *pids)
{
    warm_up(b);
    int64_t before = load_rss_bytes(pids), server_ns = load_cpu_ns(pids), started = load_now_ns();
    open_sockets(b, b->count);
    double seconds = (double)(load_now_ns() - started) / 1e9;
    server_ns = load_cpu_ns(pids) - server_ns;
    load_sleep_ns(1500000000);
    int64_t after = load_rss_bytes(pids);
    printf(
        "{\"connections\":%zu,\"rss_before\":%lld,\"rss_after\":%lld,\"bytes_per_connection\":%.0f,"
        "\"subscribed_per_s\":%.0f,\"server_s_per_m\":%.3f}\n",
        b->count, (long long)before, (long long)after, (double)(after - before) / (double)b->count,
        (double)b->count / seconds, (double)server_ns / (double)b->count / 1e3);
}

int main(int argc, char **argv)
{
    struct load_args args = {argc, argv};
    static struct bench b;
    static char path[200];
    b.key = load_arg(&args, "key", NULL);
    snprintf(path, sizeof path, "/app/%s?protocol=7&client=bench&version=1", b.key);
    b.target = (struct load_ws_target){.port = (int)load_arg_int(&args, "port", NULL),
                                       .path = path,
                                       .channel = load_arg(&args, "channel", "bench")};
    b.app = load_arg(&args, "app", "bench");
    b.secret = load_arg(&args, "secret", "");
    b.count = (size_t)load_arg_int(&args, "connections", "1000");
    b.in_flight = (size_t)load_arg_int(&args, "in-flight", "1");
    b.data_bytes = load_arg_int(&args, "data-bytes", "160");
    b.nap_ns = load_arg_int(&args, "nap-us", "500") * 1000;
    if (b.in_flight < 1 || b.in_flight > MAX_IN_FLIGHT)
        load_die("--in-flight is 1 to %d", MAX_IN_FLIGHT);
    size_t most = b.count > WARM_UP_SOCKETS ? b.count : WARM_UP_SOCKETS;
    load_need_fds(most + 100);
    b.sockets = calloc(most, sizeof *b.sockets);
    b.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!b.sockets || b.epoll < 0)
        load_die("no memory");
    if (strcmp(load_arg(&args, "mode", "fanout"), "idle") == 0)
        idle(&b, load_arg(&args, "pids", NULL));
    else
        fan_out(&b, load_arg_int(&args, "seconds", "5") * INT64_C(1000000000),
                load_arg(&args, "pids", ""));
    return 0;
}
