/* queue_admin_show.h -- one job's story: what was asked for, what became of it, its neighbours. */
#ifndef QUEUE_ADMIN_SHOW_H
#define QUEUE_ADMIN_SHOW_H

#include "queue/queue_admin_list.h"
#include "queue/queue_batch.h"
#include "queue/queue_graph.h"

enum {
    QUEUE_ADMIN_SHOW_MAX = 200,
    QUEUE_ADMIN_SHOW_MAX_KEYS = 16
}; // steps, lines of the log, neighbours of each kind

struct queue_admin_error {
    int64_t n, at_ms; // n from 1: the first 3 and the last 5 are kept
    int attempt;
    struct str class, text;
};
struct queue_admin_line {
    int64_t at_ms;
    struct str text;
};
struct queue_admin_step {
    struct str name, result; // at NULL: none
    int64_t at_ms;
};
/* The other job of an edge. */
struct queue_admin_neighbour {
    int64_t id;
    enum queue_state state;
    bool is_gone; // it is not kept any more
    struct str kind;
    enum queue_when when;
    bool is_met, is_broken;
};
/* has_more: there are others. */
struct queue_admin_neighbours {
    struct queue_admin_neighbour *at;
    size_t count;
    bool has_more;
};

/* An idempotency key that leads to the job. */
struct queue_admin_key {
    struct str key;
    int64_t until_ms;
};

struct queue_admin_show {
    struct queue_admin_job job; // with its whole payload
    /* As it was asked for; 0 and at NULL: not given. */
    int priority, weight, max_attempts;
    struct str key, trace, seal;
    int64_t deadline_ms, timeout_ms, keep_ms, batch_id, parent_id;
    bool holds_key; // its unique key is taken now
    /* Those that still lead to it, the longest first. More than one where its unique key was taken
     * when another was given. */
    struct queue_admin_key *idempotency;
    size_t idempotency_count;
    struct str *tags;
    size_t tag_count;
    struct queue_admin_error *errors;
    size_t error_count;
    /* Of its run; 0: not known. */
    int64_t started_at_ms, finished_at_ms, cancel_at_ms;
    struct str worker, progress, result;
    int percent;                  // below 0: not known
    struct queue_admin_line *log; // the newest
    size_t log_count;
    struct queue_admin_step *steps; // the first
    size_t step_count;
    bool has_more_steps;
    struct queue_batch batch; // id 0: none
    struct str batch_name;
    struct queue_admin_neighbours needs, needed_by; // needed_by: whose edge is not met
};

/* A read; what it gives lives in the arena. ERR_NOT_FOUND. */
MUST_USE enum err queue_admin_show(struct store_tx *tx, int64_t id, const struct queue_held *held,
                                   struct arena *a, struct queue_admin_show *out);

#endif
