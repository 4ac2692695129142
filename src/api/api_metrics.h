/* api_metrics.h -- numbers in Prometheus' text format 0.0.4. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include "core/buf.h"
#include "hub/hub_meter.h"
#include "queue/queue_admin.h"
#include "queue/queue_meter.h"

#define API_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* What became of an app's webhooks since the start, and how many wait; waiting: of all apps, below
 * 0: unknown. */
struct api_metrics_webhook {
    struct str app_id;
    uint64_t waiting, sent, failed, retried, dropped;
};
struct api_metrics_webhooks {
    struct api_metrics_webhook *at;
    size_t count;
    int64_t waiting;
};

/* What is not the hubs'. */
struct api_metrics {
    int loops;                        // below 0: there are none
    bool has_queue;                   // it could be read
    struct queue_admin_counts jobs;   // of all queues
    int64_t jobs_age_ms;              // how long ago they were counted
    struct queue_meter_copies meters; // of this process's queues
    struct queue_meter_copies told;   // of processes that only run jobs (queue_tally.h)
    struct api_metrics_webhooks webhooks;
    int64_t resident_bytes, open_descriptors, max_descriptors; // below 0: unknown
    double cpu_s;
};

/* Fills in what the system says of the process. Blocks. */
void api_metrics_read_process(struct api_metrics *m);
/* Appends what a process has that only runs jobs: its queues' runs and itself. ERR_TOO_LARGE: out
 * is full. */
MUST_USE enum err api_metrics_write_worker(struct buf *out, const struct api_metrics *m);
/* Appends all of it. ERR_TOO_LARGE: out is full. */
MUST_USE enum err api_metrics_write(struct buf *out, const struct api_metrics *m,
                                    const struct hub_meter_app *apps, size_t count);

#endif
