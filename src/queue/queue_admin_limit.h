/* queue_admin_limit.h -- what is set for queues and for single keys, for an operator to see. */
#ifndef QUEUE_ADMIN_LIMIT_H
#define QUEUE_ADMIN_LIMIT_H

#include "queue/queue.h"

enum { QUEUE_ADMIN_LIMIT_MAX = 1000 }; // queues; keys of one

/* A key that has limits of its own. */
struct queue_admin_limit_key {
    struct str name;
    struct queue_key_limits limits; // below 0: as its queue says
    int64_t running, waiting;       // jobs that are counted by them; that wait for them
};

struct queue_admin_limit {
    struct str queue;
    struct queue_limits limits;
    struct queue_admin_limit_key *keys; // by name
    size_t key_count;
    bool has_more; // keys
};
struct queue_admin_limits {
    struct queue_admin_limit *at; // by name
    size_t count;
    bool has_more;
};

/* A rate as people write it: "10" or "10/s", "100/5m" (core/conf.h's durations). ERR_INVALID. */
MUST_USE enum err queue_admin_limit_parse_rate(struct str text, int64_t *jobs_out, int64_t *ms_out);
/* The same back, in its largest unit; "0" when there is none. ms 0: a second. */
struct str queue_admin_limit_rate_text(int64_t jobs, int64_t ms, struct arena *a);

/* Reads; what they give lives in the arena. */
/* As queue_get_limits, but what is not set is 0, so that it can be changed and set again. */
MUST_USE enum err queue_admin_limit_get_set(struct store_tx *tx, struct str queue,
                                            struct queue_limits *out);
/* Of one queue, which need not exist. */
MUST_USE enum err queue_admin_limit_get(struct store_tx *tx, struct str queue, struct arena *a,
                                        struct queue_admin_limit *out);
/* Of one key; ERR_NOT_FOUND: it has none of its own. */
MUST_USE enum err queue_admin_limit_get_key(struct store_tx *tx, struct str queue, struct str key,
                                            struct arena *a, struct queue_admin_limit_key *out);
/* Of all queues for which something is set, or for a key of which. */
MUST_USE enum err queue_admin_limit_list(struct store_tx *tx, struct arena *a,
                                         struct queue_admin_limits *out);

#endif
