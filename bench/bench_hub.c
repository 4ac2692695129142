/* bench_hub -- subscribers of one channel and signed publishes to it.
 *
 *     bench_hub --mode fanout --port P --key K --secret S --app ID --connections N
 *               [--in-flight 1] [--seconds 5] [--pids 1,2] [--data-bytes 200] [--nap-us 500]
 *               [--tls-port P] [--deflate 1]
 *     bench_hub --mode paced  ... --rate 60 [--stuck 0]
 *
 * fanout: each of --in-flight publishers has one request out at a time. With one publisher, a
 * message is read by every subscriber before the next is sent: nothing can be gathered. Between
 * reads the generator naps: a reader that is woken for every message makes the sender's send() pay
 * for the wake-up (up to half again), which is the generator's cost, not the server's.
 *
 * paced: --rate publishes a second, whatever comes of them, and how long each took from when it was
 * due to each subscriber. --stuck more subscribers never read.
 *
 * Prints one line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load.h"
#include "load_http.h"
#include "load_pool.h"
#include "load_sign.h"

enum { MAX_IN_FLIGHT = 32, MAX_AHEAD = 128, MAX_DATA_BYTES = 9000, MAX_BODY_BYTES = 9500 };

struct bench {
    struct load_pool pool;
    const char *app, *secret;
    int port; // of the publishers
    size_t count;
    struct load_http publishers[MAX_IN_FLIGHT];
    size_t in_flight;
    long data_bytes;
    int64_t nap_ns;
    uint64_t published, delivered, refused;
    uint64_t event_bytes; // payload of the last event
    int64_t published_ns[MAX_AHEAD];
    struct load_hist to_all; // from a publish to its last delivery
    /* paced */
    double begin_ns, interval_ns; // publish number n is due at begin + n * interval
    uint64_t first_counted;       // those before it warm up
    struct load_hist to_each;     // from when a publish was due to a delivery
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

/* The query of a signed publish (Pusher's REST API). */
static int signed_query(const struct bench *b, const char *body, size_t len, char *out, size_t cap)
{
    char md5[33], text[512], signature[LOAD_SIGN_BYTES];
    load_sign_md5(body, len, md5);
    int query_len =
        snprintf(out, cap, "auth_key=%s&auth_timestamp=%lld&auth_version=1.0&body_md5=%s",
                 b->pool.target.key, (long long)time(NULL), md5);
    int text_len = snprintf(text, sizeof text, "POST\n/apps/%s/events\n%s", b->app, out);
    if (query_len >= (int)cap || text_len >= (int)sizeof text)
        load_die("the key is too long");
    load_sign(b->secret, text, (size_t)text_len, signature);
    return query_len +
           snprintf(out + query_len, cap - (size_t)query_len, "&auth_signature=%s", signature);
}

/* Words in no order, another one each time: what compresses as text does, not as zeros do. */
static void write_text(char *out, size_t len, uint64_t seed)
{
    static const char *const words[] = {
        "street",  "light", "repair", "council", "budget", "school", "comment", "vote",
        "support", "city",  "park",   "road",    "the",    "of",     "and",     "42"};
    size_t at = 0;
    for (uint64_t state = seed + 1; at < len;) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        const char *word = words[state >> 60];
        for (size_t i = 0; word[i] && at < len; i++)
            out[at++] = word[i];
        if (at < len)
            out[at++] = ' ';
    }
    out[len] = 0;
}

static void publish(struct bench *b, struct load_http *h)
{
    char body[MAX_BODY_BYTES], query[512], request[MAX_BODY_BYTES + 1000];
    char pad[MAX_DATA_BYTES + 1];
    write_text(pad, (size_t)b->data_bytes, b->published);
    int body_len = snprintf(body, sizeof body,
                            "{\"name\":\"bench.event\",\"channel\":\"%s\",\"data\":\"{\\\"n\\\":%"
                            "08llu,\\\"text\\\":\\\"%s\\\"}\"}",
                            b->pool.target.channel, (unsigned long long)b->published, pad);
    signed_query(b, body, (size_t)body_len, query, sizeof query);
    int len = snprintf(request, sizeof request,
                       "POST /apps/%s/events?%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                       "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                       b->app, query, b->port, body_len, body);
    if (len >= (int)sizeof request)
        load_die("the event is too long");
    b->published_ns[b->published % MAX_AHEAD] = load_now_ns();
    load_http_send(h, request, (size_t)len);
    b->published++;
}

/* ---- fan-out ---- */

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
        if (load_pool_read(&b->pool, 0) == 0)
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
        load_pool_read(&b->pool, 10);
        if (load_now_ns() > deadline)
            load_die("%llu of %llu deliveries came", (unsigned long long)b->delivered,
                     (unsigned long long)(b->published * b->count));
    }
}

static void fan_out(struct bench *b, int64_t run_ns, const char *pids)
{
    b->pool.on_event = on_event;
    int64_t started = load_now_ns();
    load_pool_open(&b->pool, b->count);
    double open_seconds = (double)(load_now_ns() - started) / 1e9;
    for (size_t i = 0; i < b->in_flight; i++)
        load_http_open(&b->publishers[i], b->port);
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

/* ---- paced ---- */

static void on_paced_event(void *ctx, struct load_ws *ws, const char *text, size_t len)
{
    struct bench *b = ctx;
    uint64_t number = ws->events - 1; // each subscriber gets all, in order
    (void)text;
    b->event_bytes = len;
    b->delivered++;
    if (number >= b->first_counted)
        load_hist_add(&b->to_each,
                      load_now_ns() - (int64_t)(b->begin_ns + (double)number * b->interval_ns));
}

static void read_answers(struct bench *b)
{
    for (size_t i = 0; i < b->in_flight; i++) {
        struct load_http *h = &b->publishers[i];
        int status = h->is_busy ? load_http_read(h) : 0;
        if (status && status != 200)
            load_die("a publish was refused: %.500s", h->head);
    }
}

static void publish_paced(struct bench *b, uint64_t total)
{
    double now = (double)load_now_ns();
    for (size_t i = 0; i < b->in_flight && b->published < total; i++) {
        if (b->begin_ns + (double)b->published * b->interval_ns > now)
            return;
        if (!b->publishers[i].is_busy)
            publish(b, &b->publishers[i]);
    }
}

static void paced(struct bench *b, const struct load_args *args)
{
    const char *pids = load_arg(args, "pids", NULL);
    uint64_t rate = (uint64_t)load_arg_int(args, "rate", "60");
    uint64_t total = rate * (uint64_t)load_arg_int(args, "seconds", "5");
    size_t stuck = (size_t)load_arg_int(args, "stuck", "0");
    struct load_pool never_read;
    load_pool_init(&never_read, args, stuck);
    load_pool_open(&never_read, stuck);
    b->pool.on_event = on_paced_event;
    b->in_flight = MAX_IN_FLIGHT;
    for (size_t i = 0; i < b->in_flight; i++)
        load_http_open(&b->publishers[i], b->port);
    load_pool_open(&b->pool, b->count);

    b->first_counted = total / 4;
    b->interval_ns = 1e9 / (double)rate;
    b->begin_ns = (double)load_now_ns();
    int64_t rss = load_rss_bytes(pids), most = rss, server_ns = load_cpu_ns(pids);
    int64_t deadline = (int64_t)(b->begin_ns + (double)total * b->interval_ns + 1e10);
    for (uint64_t looked = 0; b->delivered < total * b->count;) {
        publish_paced(b, total);
        load_pool_read(&b->pool, 1);
        read_answers(b);
        if (b->published / 16 != looked) { // the peak, without much cost
            looked = b->published / 16;
            int64_t now = load_rss_bytes(pids);
            most = now > most ? now : most;
        }
        if (load_now_ns() > deadline)
            load_die("%llu of %llu deliveries came", (unsigned long long)b->delivered,
                     (unsigned long long)(total * b->count));
    }
    server_ns = load_cpu_ns(pids) - server_ns;
    printf("{\"connections\":%zu,\"stuck\":%zu,\"deliveries\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"max_ms\":%.3f,\"server_s_per_m\":%.3f,\"event_bytes\":%llu,\"grown_bytes\":%lld}\n",
           b->count, stuck, (unsigned long long)b->delivered, load_hist_ms(&b->to_each, 0.5),
           load_hist_ms(&b->to_each, 0.99), (double)b->to_each.max_ns / 1e6,
           (double)server_ns / (double)b->delivered / 1e3, (unsigned long long)b->event_bytes,
           (long long)(most - rss));
}

int main(int argc, char **argv)
{
    struct load_args args = {argc, argv};
    static struct bench b;
    b.app = load_arg(&args, "app", "bench");
    b.secret = load_arg(&args, "secret", "");
    b.port = (int)load_arg_int(&args, "port", NULL);
    b.count = (size_t)load_arg_int(&args, "connections", "1000");
    b.in_flight = (size_t)load_arg_int(&args, "in-flight", "1");
    b.data_bytes = load_arg_int(&args, "data-bytes", "160");
    b.nap_ns = load_arg_int(&args, "nap-us", "500") * 1000;
    if (b.in_flight < 1 || b.in_flight > MAX_IN_FLIGHT)
        load_die("--in-flight is 1 to %d", MAX_IN_FLIGHT);
    if (b.data_bytes < 0 || b.data_bytes > MAX_DATA_BYTES)
        load_die("--data-bytes is 0 to %d", MAX_DATA_BYTES);
    load_pool_init(&b.pool, &args, b.count);
    b.pool.ctx = &b;
    if (strcmp(load_arg(&args, "mode", "fanout"), "paced") == 0)
        paced(&b, &args);
    else
        fan_out(&b, load_arg_int(&args, "seconds", "5") * INT64_C(1000000000),
                load_arg(&args, "pids", ""));
    return 0;
}
