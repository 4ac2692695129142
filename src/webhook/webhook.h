/* webhook.h -- tells the servers of an app's owner what happens in its channels: signed POSTs, as
 * Pusher sends them.
 *
 *     hub (hub_hook) -- a batch --> webhook_enqueue: a row of the queue "webhook"
 *     worker: run --> the app's key, secret, headers --> sender's thread --> POST --> queue_finish
 *
 * What is in a row: the app's id, the address and the body; the secret is looked up at each try, so
 * that none is at rest beside the jobs and a changed one holds at once.
 *
 * One thread does all transfers. Each receiver (an app's address) gets one POST at a time, in the
 * order of the jobs while all goes well; a receiver that is slow or fails delays no other.
 * Everything but a 2xx answer is a failure, redirects too: the address in the configuration is the
 * one that was agreed to. After a failure the receiver rests, twice as long each time (up to 1 s,
 * 2 s, 4 s, ... 1 min), and its jobs wait without using up attempts. A job is DEAD, with the last
 * error, when its next try would be later than retry_ms after it was made, or after the start of
 * this process. A job may be posted twice (the process died before the acknowledgement was
 * durable): receivers must bear that.
 */
#ifndef WEBHOOK_H
#define WEBHOOK_H

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"
#include "queue/queue.h"
#include "webhook/webhook_meter.h"

struct webhook;

#define WEBHOOK_QUEUE "webhook"
enum { WEBHOOK_MAX_BODY_BYTES = 60 * 1024 };

/* Who signs, and what else is sent. */
struct webhook_target {
    struct str key, secret;
    const struct str *headers; // "Name: value"
    size_t header_count;
};

/* Finds what belongs to an app's webhook; everything in *out lives in the arena or as long as the
 * queue. On a worker thread. ERR_NOT_FOUND: there is no such app, or it has no such webhook any
 * more. */
typedef enum err webhook_find_fn(void *ctx, struct str app_id, struct str url, struct arena *a,
                                 struct webhook_target *out);

struct webhook_options {
    webhook_find_fn *find;
    void *find_ctx;
    bool allows_private; // addresses of private networks too
    int64_t retry_ms;    // how long failures are tried again; 0: 5 min
    struct webhook_meter *meter;
};

/* Starts the sender's thread. NULL: the system refuses (logged). */
struct webhook *webhook_new(const struct webhook_options *options);
/* The handler of the jobs, for a queue with the name WEBHOOK_QUEUE; one worker is enough, and keeps
 * the order. */
struct queue_handler webhook_handler(struct webhook *w);
/* Before queue_stop: posts begin no more, and those on their way have wait_ms. Their jobs go back
 * to the queue. Does not block. */
void webhook_stop(struct webhook *w, int64_t wait_ms);
/* After queue_stop returned true. */
void webhook_free(struct webhook *w);

struct webhook_new {
    struct str app_id, url;
    struct str body; // JSON, sent and signed byte for byte
};
/* Adds the job, in the caller's transaction, with the tag "app:ID" when the id may stand in one.
 * ERR_TOO_LARGE: the body or the address. */
MUST_USE enum err webhook_enqueue(struct store_tx *tx, const struct webhook_new *hook);

/* How many jobs wait or are being posted: of all apps, and of each, which m is told. Blocks. */
MUST_USE enum err webhook_count_waiting(struct store *store, struct webhook_meter *m, int64_t *out);

/* X-Pusher-Signature: HMAC-SHA256 of the body, in hex, and a NUL. */
enum { WEBHOOK_SIGNATURE_BYTES = 65 };
void webhook_sign(struct str secret, struct str body, char out[static WEBHOOK_SIGNATURE_BYTES]);

#endif
