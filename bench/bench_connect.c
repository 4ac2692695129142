/* bench_connect -- what it costs to connect and subscribe, to stay, and to come back.
 *
 *     bench_connect --mode open|idle|back --port P --key K --connections N --pids 1,2
 *                   [--tls-port P] [--warm-up 200] [--channel C] [--own-channels 1] [--signed 1
 * --secret S]
 *
 *     open   connects and subscribes N, a few at a time
 *     idle   the same, and what the server's memory grew by
 *     back   the same, drops all at once, and waits until all have come back
 *
 * Prints one line of JSON.
 */
#include <stdio.h>
#include <string.h>

#include "load_pool.h"

enum { SETTLE_MS = 1500 };

/* A few sockets come and go first, so that what the server allocates once is not counted. */
static void warm_up(struct load_pool *p, size_t count)
{
    load_pool_open(p, count);
    load_pool_drop(p, count);
    load_sleep_ns(500000000);
}

int main(int argc, char **argv)
{
    struct load_args args = {argc, argv};
    struct load_pool pool;
    const char *pids = load_arg(&args, "pids", NULL), *mode = load_arg(&args, "mode", "open");
    size_t count = (size_t)load_arg_int(&args, "connections", "10000");
    size_t first = (size_t)load_arg_int(&args, "warm-up", "200");
    load_pool_init(&pool, &args, count > first ? count : first);
    warm_up(&pool, first);

    int64_t rss = load_rss_bytes(pids);
    if (strcmp(mode, "back") == 0) {
        load_pool_open(&pool, count);
        load_sleep_ns(SETTLE_MS * INT64_C(1000000));
    }
    int64_t server_ns = load_cpu_ns(pids), own_ns = load_own_cpu_ns(), begin = load_now_ns();
    if (strcmp(mode, "back") == 0)
        load_pool_drop(&pool, count);
    load_pool_open(&pool, count);
    double seconds = (double)(load_now_ns() - begin) / 1e9, n = (double)count;
    server_ns = load_cpu_ns(pids) - server_ns;
    own_ns = load_own_cpu_ns() - own_ns;
    if (strcmp(mode, "idle") == 0)
        load_sleep_ns(SETTLE_MS * INT64_C(1000000));
    rss = load_rss_bytes(pids) - rss;
    printf("{\"connections\":%zu,\"seconds\":%.3f,\"per_s\":%.0f,\"server_s_per_m\":%.3f,"
           "\"generator_s_per_m\":%.3f,\"bytes_per_connection\":%.0f}\n",
           count, seconds, n / seconds, (double)server_ns / n / 1e3, (double)own_ns / n / 1e3,
           (double)rss / n);
    return 0;
}
