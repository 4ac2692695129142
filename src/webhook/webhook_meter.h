/* webhook_meter.h -- what became of an app's webhooks since the start. Any thread. */
#ifndef WEBHOOK_METER_H
#define WEBHOOK_METER_H

#include <stddef.h>
#include <stdint.h>

#include "core/str.h"

enum webhook_meter_counter {
    WEBHOOK_METER_SENT,    // a POST was answered with 2xx
    WEBHOOK_METER_FAILED,  // a POST that was not
    WEBHOOK_METER_RETRIED, // of those: tried again later
    WEBHOOK_METER_DROPPED, // batches that nobody will get
    WEBHOOK_METER_COUNTERS,
};

struct webhook_meter;

struct webhook_meter *webhook_meter_new(void);
void webhook_meter_free(struct webhook_meter *m);
void webhook_meter_add(struct webhook_meter *m, struct str app_id, enum webhook_meter_counter what);

/* How many jobs of an app wait; "": of no app that is known. */
struct webhook_waiting {
    struct str app_id; // copied
    uint64_t count;
};
/* No job waits of an app that is not named. */
void webhook_meter_set_waiting(struct webhook_meter *m, const struct webhook_waiting *apps,
                               size_t count);

/* An app's; app_id lives as long as the meter. */
struct webhook_counts {
    struct str app_id;
    uint64_t waiting; // as it was told last
    uint64_t counts[WEBHOOK_METER_COUNTERS];
};
/* A copy of all, in no order, which the caller frees with mem_free; how many. */
size_t webhook_meter_read(struct webhook_meter *m, struct webhook_counts **out);

#endif
