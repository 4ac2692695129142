/* api_metrics.c -- a family for each row of the tables below:
 *
 *     # HELP viche_hub_connections Open connections.
 *     # TYPE viche_hub_connections gauge
 *     viche_hub_connections{app="1001"} 12
 *
 * The label app is the app's id; empty: connections that asked for an app that does not exist.
 * What processes that only run jobs have told has the label process="workers".
 */
#include "api/api_metrics.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

struct out {
    struct buf *buf;
    enum err err; // the first
};

#define PUT(o, ...)                                                                                \
    do {                                                                                           \
        if (!(o)->err)                                                                             \
            (o)->err = buf_printf((o)->buf, __VA_ARGS__);                                          \
    } while (0)

static void put_head(struct out *o, const char *name, const char *type, const char *help)
{
    PUT(o, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void put_value(struct out *o, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '\n')
            PUT(o, "\\n");
        else if (s.at[i] == '\\' || s.at[i] == '"')
            PUT(o, "\\%c", s.at[i]);
        else
            PUT(o, "%c", s.at[i]);
    }
}

/* "NAME{LABEL="VALUE"", to be followed by more labels or a brace. */
static void put_labelled(struct out *o, const char *name, const char *label, struct str value)
{
    PUT(o, "%s{%s=\"", name, label);
    put_value(o, value);
    PUT(o, "\"");
}

static void put_app_id(struct out *o, const char *name, struct str app_id)
{
    put_labelled(o, name, "app", app_id);
}

static void put_app(struct out *o, const char *name, const struct hub_meter_app *a)
{
    put_app_id(o, name, a->app ? a->app->id : STR(""));
}

/* How long something took, with one label. */
struct histogram {
    const char *name, *label;
    struct str value;
    const char *more;         // labels behind it, or ""
    const int64_t *bounds_us; // of all buckets but the last
    const uint64_t *buckets;  // each alone
    size_t count;
    uint64_t sum_us;
};

static void put_buckets(struct out *o, const struct histogram *h)
{
    char name[64];
    uint64_t sum = 0;
    snprintf(name, sizeof(name), "%s_bucket", h->name);
    for (size_t i = 0; i < h->count; i++) {
        sum += h->buckets[i];
        put_labelled(o, name, h->label, h->value);
        PUT(o, "%s", h->more);
        if (i + 1 < h->count)
            PUT(o, ",le=\"%g\"} %llu\n", (double)h->bounds_us[i] / 1e6, (unsigned long long)sum);
        else
            PUT(o, ",le=\"+Inf\"} %llu\n", (unsigned long long)sum);
    }
    snprintf(name, sizeof(name), "%s_sum", h->name);
    put_labelled(o, name, h->label, h->value);
    PUT(o, "%s} %.6f\n", h->more, (double)h->sum_us / 1e6);
    snprintf(name, sizeof(name), "%s_count", h->name);
    put_labelled(o, name, h->label, h->value);
    PUT(o, "%s} %llu\n", h->more, (unsigned long long)sum);
}

/* ---- of the hubs ---- */

static const struct {
    const char *name;
    enum hub_meter_counter counter;
    const char *help;
} counters[] = {
    {"viche_hub_connections_opened_total", HUB_METER_OPENED, "Connections that were accepted."},
    {"viche_hub_connections_closed_total", HUB_METER_CLOSED, "Accepted connections that ended."},
    {"viche_hub_received_messages_total", HUB_METER_RECEIVED, "Messages of clients."},
    {"viche_hub_received_bytes_total", HUB_METER_RECEIVED_BYTES, "Bytes of messages of clients."},
    {"viche_hub_sent_messages_total", HUB_METER_SENT,
     "Messages sent to clients, each subscriber counted."},
    {"viche_hub_sent_bytes_total", HUB_METER_SENT_BYTES,
     "Bytes of frames sent to clients, before compression."},
    {"viche_hub_published_events_total", HUB_METER_PUBLISHED,
     "Events that backends published, each channel counted."},
    {"viche_hub_refused_publishes_total", HUB_METER_REFUSED_CALLS,
     "Calls that would publish, refused with 503 because the disk is behind."},
    {"viche_hub_client_events_total", HUB_METER_CLIENT_EVENTS,
     "Client events that were forwarded."},
    {"viche_hub_subscriptions_total", HUB_METER_SUBSCRIBED, "Subscriptions that were made."},
    {"viche_hub_slow_readers_total", HUB_METER_SLOW_READERS,
     "Connections cut off because they read too slowly."},
    {"viche_hub_rate_limited_messages_total", HUB_METER_RATE_LIMITED,
     "Messages of clients past a rate limit."},
    {"viche_hub_recoveries_asked_total", HUB_METER_RECOVERY_ASKED,
     "Subscriptions of clients that asked for what they missed."},
    {"viche_hub_recoveries_total", HUB_METER_RECOVERED, "Those that get all they missed."},
    {"viche_hub_replayed_messages_total", HUB_METER_REPLAYED, "Messages that they missed."},
};

static const struct {
    const char *reason; // as the client is told
    enum hub_meter_counter counter;
} refused_recoveries[] = {
    {"stream_reset", HUB_METER_RECOVERY_RESET},
    {"position_expired", HUB_METER_RECOVERY_EXPIRED},
    {"position_ahead", HUB_METER_RECOVERY_AHEAD},
    {"store_unavailable", HUB_METER_RECOVERY_UNAVAILABLE},
};

static const char *const whats[HUB_METER_CODED] = {
    [HUB_METER_REFUSED_CONNECTION] = "connection",
    [HUB_METER_REFUSED_SUBSCRIPTION] = "subscription",
    [HUB_METER_REFUSED_CLIENT_EVENT] = "client_event",
    [HUB_METER_REFUSED_SIGNIN] = "signin",
    [HUB_METER_REFUSED_MESSAGE] = "message",
};

static uint64_t connections(const struct hub_meter_app *a)
{
    return a->meter.counts[HUB_METER_OPENED] - a->meter.counts[HUB_METER_CLOSED];
}

static uint64_t subscriptions(const struct hub_meter_app *a)
{
    return a->meter.counts[HUB_METER_SUBSCRIBED] - a->meter.counts[HUB_METER_UNSUBSCRIBED];
}

static uint64_t channels(const struct hub_meter_app *a)
{
    return a->channels;
}

static uint64_t cached_bytes(const struct hub_meter_app *a)
{
    return a->cached_bytes;
}

static uint64_t log_bytes(const struct hub_meter_app *a)
{
    return a->log_bytes;
}

static uint64_t unsynced_bytes(const struct hub_meter_app *a)
{
    return a->unsynced_bytes;
}

static const struct {
    const char *name;
    uint64_t (*read)(const struct hub_meter_app *a);
    const char *help;
} gauges[] = {
    {"viche_hub_connections", connections, "Open connections."},
    {"viche_hub_subscriptions", subscriptions, "Subscriptions of open connections."},
    {"viche_hub_channels", channels, "Channels that somebody is on or that keep an event."},
    {"viche_hub_cached_bytes", cached_bytes, "Bytes of events that cache channels keep."},
    {"viche_hub_recovery_log_bytes", log_bytes, "Memory of what clients may recover."},
    {"viche_hub_unsynced_bytes", unsynced_bytes, "Published events that wait for the disk."},
};

static void put_codes(struct out *o, const char *name, const char *what,
                      const struct hub_meter_app *a, const uint64_t *counts)
{
    for (size_t i = 0; i < HUB_METER_CODES; i++) {
        if (counts[i] == 0)
            continue;
        char code[12] = "other";
        if (hub_meter_codes[i] != 0)
            snprintf(code, sizeof(code), "%d", hub_meter_codes[i]);
        put_app(o, name, a);
        if (what)
            PUT(o, ",what=\"%s\"", what);
        PUT(o, ",code=\"%s\"} %llu\n", code, (unsigned long long)counts[i]);
    }
}

static void put_refusals(struct out *o, const struct hub_meter_app *apps, size_t count)
{
    static const char refusals[] = "viche_hub_refusals_total", closes[] = "viche_hub_closes_total";
    put_head(o, refusals, "counter", "What was refused to clients, by the protocol's code.");
    for (size_t i = 0; i < count; i++)
        for (size_t what = 0; what < HUB_METER_CODED; what++)
            if (whats[what])
                put_codes(o, refusals, whats[what], &apps[i], apps[i].meter.coded[what]);
    put_head(o, closes, "counter", "Connections that the server closed, by the protocol's code.");
    for (size_t i = 0; i < count; i++)
        put_codes(o, closes, NULL, &apps[i], apps[i].meter.coded[HUB_METER_ENDED]);
}

static void put_refused_recoveries(struct out *o, const struct hub_meter_app *apps, size_t count)
{
    static const char name[] = "viche_hub_recoveries_refused_total";
    put_head(o, name, "counter", "Clients that do not get what they missed, by the reason.");
    for (size_t i = 0; i < count; i++)
        for (size_t row = 0; row < sizeof(refused_recoveries) / sizeof(refused_recoveries[0]);
             row++) {
            put_app(o, name, &apps[i]);
            PUT(o, ",reason=\"%s\"} %llu\n", refused_recoveries[row].reason,
                (unsigned long long)apps[i].meter.counts[refused_recoveries[row].counter]);
        }
}

static void put_histogram(struct out *o, const struct hub_meter_app *a)
{
    const struct hub_histogram *h = &a->meter.delivery;
    const struct histogram values = {.name = "viche_hub_delivery_seconds",
                                     .label = "app",
                                     .value = a->app ? a->app->id : STR(""),
                                     .more = "",
                                     .bounds_us = hub_meter_bounds_us,
                                     .buckets = h->buckets,
                                     .count = HUB_METER_BUCKETS,
                                     .sum_us = h->sum_us};
    put_buckets(o, &values);
}

static void put_hubs(struct out *o, const struct hub_meter_app *apps, size_t count)
{
    for (size_t row = 0; row < sizeof(counters) / sizeof(counters[0]); row++) {
        put_head(o, counters[row].name, "counter", counters[row].help);
        for (size_t i = 0; i < count; i++) {
            put_app(o, counters[row].name, &apps[i]);
            PUT(o, "} %llu\n", (unsigned long long)apps[i].meter.counts[counters[row].counter]);
        }
    }
    for (size_t row = 0; row < sizeof(gauges) / sizeof(gauges[0]); row++) {
        put_head(o, gauges[row].name, "gauge", gauges[row].help);
        for (size_t i = 0; i < count; i++) {
            put_app(o, gauges[row].name, &apps[i]);
            PUT(o, "} %llu\n", (unsigned long long)gauges[row].read(&apps[i]));
        }
    }
    put_refusals(o, apps, count);
    put_refused_recoveries(o, apps, count);
    put_head(o, "viche_hub_delivery_seconds", "histogram",
             "From publishing to the last send of the loop's turn; of each turn the longest.");
    for (size_t i = 0; i < count; i++)
        put_histogram(o, &apps[i]);
}

/* ---- of the process ---- */

static int64_t read_resident(void)
{
    long long pages = -1;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return -1;
    if (fscanf(file, "%*s %lld", &pages) != 1) // NOLINT(cert-err34-c): the kernel wrote it
        pages = -1;
    fclose(file);
    return pages < 0 ? -1 : pages * sysconf(_SC_PAGESIZE);
}

static int64_t count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return -1;
    int64_t count = -3; // ".", ".." and that of dir
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

void api_metrics_read_process(struct api_metrics *m)
{
    struct rusage usage = {0};
    struct rlimit limit;
    m->resident_bytes = read_resident();
    m->open_descriptors = count_descriptors();
    m->max_descriptors = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (int64_t)limit.rlim_cur : -1;
    (void)getrusage(RUSAGE_SELF, &usage);
    m->cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void put_one(struct out *o, const char *name, const char *type, const char *help,
                    int64_t value)
{
    if (value < 0)
        return;
    put_head(o, name, type, help);
    PUT(o, "%s %lld\n", name, (long long)value);
}

/* ---- of the queues ---- */

enum { MAX_QUEUES = 200 }; // by name; what the others have is one row, whose name is empty

static const struct {
    const char *state;
    size_t at; // in queue_admin_count
} states[] = {
    {"ready", offsetof(struct queue_admin_count, ready)},
    {"scheduled", offsetof(struct queue_admin_count, scheduled)},
    {"running", offsetof(struct queue_admin_count, running)},
    {"waiting", offsetof(struct queue_admin_count, waiting)},
    {"dead", offsetof(struct queue_admin_count, dead)},
};
enum { STATES = sizeof(states) / sizeof(states[0]) };

static int64_t count_at(const struct queue_admin_count *c, size_t state)
{
    int64_t value;
    memcpy(&value, (const char *)c + states[state].at, sizeof(value));
    return value;
}

static void put_jobs_of(struct out *o, struct str queue, const int64_t *values)
{
    for (size_t state = 0; state < STATES; state++) {
        put_labelled(o, "viche_queue_jobs", "queue", queue);
        PUT(o, ",state=\"%s\"} %lld\n", states[state].state, (long long)values[state]);
    }
}

static void put_jobs(struct out *o, const struct queue_admin_counts *jobs)
{
    int64_t others[STATES] = {0};
    put_head(o, "viche_queue_jobs", "gauge", "Jobs by their queue and state.");
    for (size_t i = 0; i < jobs->count; i++) {
        int64_t values[STATES];
        for (size_t state = 0; state < STATES; state++) {
            values[state] = count_at(&jobs->at[i], state);
            if (i >= MAX_QUEUES)
                others[state] += values[state];
        }
        if (i < MAX_QUEUES)
            put_jobs_of(o, jobs->at[i].name, values);
    }
    if (jobs->count > MAX_QUEUES)
        put_jobs_of(o, STR(""), others);
}

static void put_oldest(struct out *o, const struct queue_admin_counts *jobs)
{
    static const char name[] = "viche_queue_oldest_ready_seconds";
    int64_t others_ms = 0;
    put_head(o, name, "gauge", "How long the oldest job has been due that does not run; 0: none.");
    for (size_t i = 0; i < jobs->count; i++) {
        int64_t ms = jobs->at[i].oldest_ready_ms;
        if (i >= MAX_QUEUES) {
            others_ms = ms > others_ms ? ms : others_ms;
            continue;
        }
        put_labelled(o, name, "queue", jobs->at[i].name);
        PUT(o, "} %.3f\n", (double)ms / 1e3);
    }
    if (jobs->count > MAX_QUEUES)
        PUT(o, "%s{queue=\"\"} %.3f\n", name, (double)others_ms / 1e3);
}

/* Whose counts they are: this process's, and of those who told. */
static const struct {
    size_t at; // in api_metrics
    const char *label;
} counted[] = {
    {offsetof(struct api_metrics, meters), ""},
    {offsetof(struct api_metrics, told), ",process=\"workers\""},
};
enum { COUNTED = sizeof(counted) / sizeof(counted[0]) };

static const struct queue_meter_copies *counted_by(const struct api_metrics *m, size_t who)
{
    return (const void *)((const char *)m + counted[who].at);
}

static void put_counter(struct out *o, const struct api_metrics *m, const char *name,
                        enum queue_meter_counter counter)
{
    for (size_t who = 0; who < COUNTED; who++) {
        const struct queue_meter_copies *queues = counted_by(m, who);
        for (size_t i = 0; i < queues->count; i++) {
            put_labelled(o, name, "queue", queues->at[i].queue);
            PUT(o, "%s} %llu\n", counted[who].label,
                (unsigned long long)queues->at[i].meter.counts[counter]);
        }
    }
}

static void put_runs(struct out *o, const struct api_metrics *m)
{
    static const struct {
        const char *name;
        enum queue_meter_counter counter;
        const char *help;
    } rows[] = {
        {"viche_queue_done_total", QUEUE_METER_DONE, "Jobs that were done."},
        {"viche_queue_retried_total", QUEUE_METER_RETRIED, "Failed runs of jobs tried again."},
        {"viche_queue_buried_total", QUEUE_METER_BURIED, "Failed runs after which a job was dead."},
        {"viche_queue_discarded_total", QUEUE_METER_DISCARDED,
         "Failed runs of jobs that their handlers cancelled."},
        {"viche_queue_crashed_total", QUEUE_METER_CRASHED, "Runs whose own process died."},
        {"viche_queue_snoozed_total", QUEUE_METER_SNOOZED, "Runs that put their job off."},
        {"viche_queue_put_off_total", QUEUE_METER_PUT_OFF, "Retries without a budget."},
        {"viche_queue_refused_total", QUEUE_METER_REFUSED,
         "Ends of runs that were refused: the job was somebody else's by then."},
        {"viche_queue_lost_total", QUEUE_METER_LOST, "Ends of runs that the store did not take."},
    };
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        put_head(o, rows[row].name, "counter", rows[row].help);
        put_counter(o, m, rows[row].name, rows[row].counter);
    }
}

static void put_failures_of(struct out *o, const char *name, const struct queue_meter_copy *q,
                            const char *more)
{
    for (size_t k = 0; k < q->kind_count; k++) {
        put_labelled(o, name, "queue", q->queue);
        PUT(o, ",kind=\"");
        put_value(o, q->kinds[k].kind);
        PUT(o, "\"%s} %llu\n", more, (unsigned long long)q->kinds[k].failed);
    }
}

static void put_failures(struct out *o, const struct api_metrics *m)
{
    static const char name[] = "viche_queue_failed_total";
    put_head(o, name, "counter",
             "Runs that failed or crashed, by the kind of their job; empty: without a handler.");
    for (size_t who = 0; who < COUNTED; who++) {
        const struct queue_meter_copies *queues = counted_by(m, who);
        for (size_t i = 0; i < queues->count; i++)
            put_failures_of(o, name, &queues->at[i], counted[who].label);
    }
}

static void put_times_of(struct out *o, const char *name, const struct queue_meter_copy *q,
                         size_t at, const char *more)
{
    struct queue_meter_times h;
    memcpy(&h, (const char *)&q->meter + at, sizeof(h));
    const struct histogram values = {.name = name,
                                     .label = "queue",
                                     .value = q->queue,
                                     .more = more,
                                     .bounds_us = queue_meter_bounds_us,
                                     .buckets = h.buckets,
                                     .count = QUEUE_METER_BUCKETS,
                                     .sum_us = h.sum_us};
    put_buckets(o, &values);
}

static void put_times(struct out *o, const struct api_metrics *m, const char *name, size_t at,
                      const char *help)
{
    put_head(o, name, "histogram", help);
    for (size_t who = 0; who < COUNTED; who++) {
        const struct queue_meter_copies *queues = counted_by(m, who);
        for (size_t i = 0; i < queues->count; i++)
            put_times_of(o, name, &queues->at[i], at, counted[who].label);
    }
}

static void put_queues(struct out *o, const struct api_metrics *m)
{
    if (m->has_queue) {
        put_jobs(o, &m->jobs);
        put_oldest(o, &m->jobs);
        put_head(o, "viche_queue_jobs_age_seconds", "gauge", "How long ago jobs were counted.");
        PUT(o, "viche_queue_jobs_age_seconds %.3f\n", (double)m->jobs_age_ms / 1e3);
    }
    put_runs(o, m);
    put_failures(o, m);
    put_times(o, m, "viche_queue_wait_seconds", offsetof(struct queue_meter, wait),
              "From when a job was due to the begin of its run.");
    put_times(o, m, "viche_queue_run_seconds", offsetof(struct queue_meter, run),
              "From the begin of a run to its end, as durable as that is.");
}

static void put_webhooks(struct out *o, const struct api_metrics_webhooks *w)
{
    static const struct {
        const char *name;
        size_t at; // in api_metrics_webhook
        const char *type, *help;
    } rows[] = {
        {"viche_webhook_sent_total", offsetof(struct api_metrics_webhook, sent), "counter",
         "POSTs of webhooks that were answered with 2xx."},
        {"viche_webhook_failed_total", offsetof(struct api_metrics_webhook, failed), "counter",
         "POSTs of webhooks that failed."},
        {"viche_webhook_retried_total", offsetof(struct api_metrics_webhook, retried), "counter",
         "Of those: that are made again later."},
        {"viche_webhook_dropped_total", offsetof(struct api_metrics_webhook, dropped), "counter",
         "Batches of webhooks that nobody will get."},
        {"viche_webhook_queue_depth", offsetof(struct api_metrics_webhook, waiting), "gauge",
         "Batches of webhooks in the queue."},
    };
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        put_head(o, rows[row].name, rows[row].type, rows[row].help);
        for (size_t i = 0; i < w->count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&w->at[i] + rows[row].at, sizeof(value));
            put_app_id(o, rows[row].name, w->at[i].app_id);
            PUT(o, "} %llu\n", (unsigned long long)value);
        }
    }
    put_one(o, "viche_webhook_waiting", "gauge", "Batches of webhooks in the queue, of all apps.",
            w->waiting);
}

static void put_process(struct out *o, const struct api_metrics *m)
{
    put_one(o, "viche_loops", "gauge", "Event loops.", m->loops);
    put_one(o, "process_resident_memory_bytes", "gauge", "Resident memory.", m->resident_bytes);
    put_one(o, "process_open_fds", "gauge", "Open descriptors.", m->open_descriptors);
    put_one(o, "process_max_fds", "gauge", "Descriptors that may be open.", m->max_descriptors);
    put_head(o, "process_cpu_seconds_total", "counter", "Processor time, user and system.");
    PUT(o, "process_cpu_seconds_total %.2f\n", m->cpu_s);
}

enum err api_metrics_write_worker(struct buf *out, const struct api_metrics *m)
{
    struct out o = {.buf = out};
    put_queues(&o, m);
    put_process(&o, m);
    return o.err;
}

enum err api_metrics_write(struct buf *out, const struct api_metrics *m,
                           const struct hub_meter_app *apps, size_t count)
{
    struct out o = {.buf = out};
    put_hubs(&o, apps, count);
    put_queues(&o, m);
    put_webhooks(&o, &m->webhooks);
    put_process(&o, m);
    return o.err;
}
