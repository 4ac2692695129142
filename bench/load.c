#include "load.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void load_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

int64_t load_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void load_sleep_ns(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* Values below 128 have their own bucket; above, 64 for each power of two. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < 128)
        return (size_t)ns;
    unsigned shift = 57 - (unsigned)__builtin_clzll(ns); // leaves 64..127
    size_t index = ((size_t)shift << 6) + (size_t)(ns >> shift);
    return index < LOAD_HIST_BUCKETS ? index : LOAD_HIST_BUCKETS - 1;
}

static double value_of(size_t bucket)
{
    if (bucket < 128)
        return (double)bucket;
    size_t shift = (bucket >> 6) - 1;
    return (double)(((bucket & 63) + 64) << shift);
}

void load_hist_add(struct load_hist *h, int64_t ns)
{
    h->count++;
    if (ns > h->max_ns)
        h->max_ns = ns;
    h->buckets[bucket_of((uint64_t)(ns > 0 ? ns : 0))]++;
}

double load_hist_ms(const struct load_hist *h, double q)
{
    if (h->count == 0)
        return 0;
    uint64_t rank = (uint64_t)(q * (double)h->count), seen = 0;
    for (size_t i = 0; i < LOAD_HIST_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > rank)
            return value_of(i) / 1e6;
    }
    return (double)h->max_ns / 1e6;
}

static void for_each_pid(const char *pids, void (*fn)(int pid, int64_t *sum), int64_t *sum)
{
    for (const char *p = pids; *p;) {
        char *end;
        long pid = strtol(p, &end, 10);
        if (end == p || pid <= 0)
            load_die("not a list of processes: %s", pids);
        fn((int)pid, sum);
        p = *end == ',' ? end + 1 : end;
    }
}

/* The first number of schedstat: nanoseconds on a CPU, exact where stat counts ticks. */
static int64_t thread_cpu_ns(int pid, const char *tid)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, tid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0; // the thread ended since the directory was read
    long long ns = 0;
    if (fscanf(f, "%lld", &ns) != 1)
        load_die("%s is not readable", path);
    fclose(f);
    return ns;
}

static void add_cpu(int pid, int64_t *sum)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        load_die("process %d is gone", pid);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.')
            *sum += thread_cpu_ns(pid, e->d_name);
    closedir(dir);
}

static void add_rss(int pid, int64_t *sum)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *f = fopen(path, "re");
    long size, resident;
    if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
        load_die("process %d is gone", pid);
    fclose(f);
    *sum += resident * sysconf(_SC_PAGESIZE);
}

int64_t load_cpu_ns(const char *pids)
{
    int64_t sum = 0;
    for_each_pid(pids, add_cpu, &sum);
    return sum;
}

int64_t load_rss_bytes(const char *pids)
{
    int64_t sum = 0;
    for_each_pid(pids, add_rss, &sum);
    return sum;
}

int64_t load_own_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

const char *load_arg(const struct load_args *args, const char *name, const char *fallback)
{
    for (int i = 1; i + 1 < args->argc; i++)
        if (strncmp(args->argv[i], "--", 2) == 0 && strcmp(args->argv[i] + 2, name) == 0)
            return args->argv[i + 1];
    if (!fallback)
        load_die("%s needs --%s", args->argv[0], name);
    return fallback;
}

long load_arg_int(const struct load_args *args, const char *name, const char *fallback)
{
    const char *text = load_arg(args, name, fallback);
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end)
        load_die("--%s takes a number, not %s", name, text);
    return value;
}

void load_need_fds(size_t need)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < need)
        load_die("needs %zu descriptors, may have %llu", need, (unsigned long long)limit.rlim_max);
}

int load_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to))
        load_die("cannot connect to port %d: %s", port, strerror(errno));
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

static bool read_one(FILE *f, struct load_request *out)
{
    size_t len;
    if (fscanf(f, "%zu", &len) != 1)
        return false;
    if (fgetc(f) != '\n' || len == 0 || len > 1 << 20)
        load_die("the file of requests is damaged");
    out->len = len;
    out->bytes = calloc(1, len + 1);
    if (!out->bytes || fread(out->bytes, 1, len, f) != len)
        load_die("the file of requests is cut short");
    out->mark = memmem(out->bytes, len, "############", LOAD_MARK_LEN);
    return true;
}

void load_requests_read(struct load_requests *r, const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        load_die("%s: %s", path, strerror(errno));
    *r = (struct load_requests){0};
    for (struct load_request one; read_one(f, &one);) {
        r->at = realloc(r->at, (r->count + 1) * sizeof *r->at);
        if (!r->at)
            load_die("no memory");
        r->at[r->count++] = one;
    }
    fclose(f);
    if (r->count == 0)
        load_die("%s holds no request", path);
}

const struct load_request *load_requests_next(struct load_requests *r, uint64_t n)
{
    struct load_request *one = &r->at[n % r->count];
    for (int i = LOAD_MARK_LEN - 1; one->mark && i >= 0; i--, n /= 10)
        one->mark[i] = (char)('0' + n % 10);
    return one;
}
