/* queue_tally.h -- what the queues of processes that only run jobs (`viche worker`) have counted,
 * added up in a table, so that the server shows it beside its own.
 *
 * A process tells what came since it last told: a soft write of a few rows, a second apart at
 * most, and none when nothing ran. One that is killed takes what it had not told with it; its jobs
 * are the queue's and are not lost. The sums begin anew with the server, as its own counts do.
 */
#ifndef QUEUE_TALLY_H
#define QUEUE_TALLY_H

#include "queue/queue_meter.h"
#include "store/store.h"

struct queue_tally;

struct queue_tally *queue_tally_new(struct store *store);
void queue_tally_free(struct queue_tally *t);

/* Adds what this process's queues have counted since. One thread; blocks. On failure it is added
 * the next time. */
MUST_USE enum err queue_tally_tell(struct queue_tally *t);

/* ---- for the server ---- */
/* A write: the sums begin with nothing. */
MUST_USE enum err queue_tally_reset(struct store_tx *tx);
/* A read: the sums of all who told, by queue. They live in the arena. */
MUST_USE enum err queue_tally_read(struct store_tx *tx, struct arena *a,
                                   struct queue_meter_copies *out);
/* The same with what this process's queues have counted: each queue is there once. */
MUST_USE enum err queue_tally_read_all(struct store_tx *tx, struct arena *a,
                                       struct queue_meter_copies *out);

#endif
