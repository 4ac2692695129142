/* webhook_sender.h -- the thread that posts, and the lines of what waits for each receiver. For the
 * module's own files. */
#ifndef WEBHOOK_SENDER_H
#define WEBHOOK_SENDER_H

#include "core/list.h"
#include "webhook/webhook_post.h"

struct webhook_sender;
struct webhook_receiver;

/* A job whose POST the sender owes; in the job's arena. */
struct webhook_delivery {
    struct queue_job *job;
    struct str app_id;
    struct webhook_target target;
    struct post post; // url and body are filled in
    // private:
    struct list node;
    struct webhook_receiver *receiver;
    int64_t began_ms;
};

/* NULL: the thread cannot start (logged). */
struct webhook_sender *webhook_sender_new(const struct webhook_options *options);
/* Takes the job; queue_finish is called when it is decided. Any thread. */
void webhook_sender_add(struct webhook_sender *s, struct webhook_delivery *d);
void webhook_sender_stop(struct webhook_sender *s, int64_t wait_ms);
/* No job is left with it. */
void webhook_sender_free(struct webhook_sender *s);

#endif
