/* queue_internal.h -- what the files of the queue need of each other. */
#ifndef QUEUE_INTERNAL_H
#define QUEUE_INTERNAL_H

#include "queue/queue.h"

/* ---- queue_row.c: the changes of one job, whatever leads to them ---- */
enum { QUEUE_RANKS_PER_MS = 64 };
enum { QUEUE_KEEP_CANCELLED_MS = 24 * 3600 * 1000 }; // by an operator; or by their handlers

/* A row of `job`, without what never changes. */
struct queue_row {
    int64_t id, epoch, run_at_ms, at_ms, rank;
    enum queue_state state;
    int attempt, crash, options;
    int64_t moved_key; // whose next job may be admitted when this is written; 0: none's
    char queue[QUEUE_MAX_NAME_BYTES + 1], unique_key[QUEUE_MAX_KEY_BYTES + 1];
};
/* ERR_NOT_FOUND. */
MUST_USE enum err queue_row_get(struct store_tx *tx, int64_t id, struct queue_row *out);
/* That of a job which the caller has claimed. ERR_CONFLICT: it is not his any more. */
MUST_USE enum err queue_row_claimed(struct store_tx *tx, const struct queue_job *job,
                                    struct queue_row *out);
/* Writes what was changed in it. why: its new last_error; at == NULL: as before. */
MUST_USE enum err queue_row_save(struct store_tx *tx, const struct queue_row *row, struct str why);
/* Adds an error to its history; sets QUEUE_HAS_ERRORS in the row, which the caller saves. */
MUST_USE enum err queue_row_note(struct store_tx *tx, struct queue_row *row, const char *class,
                                 struct str text);
/* Makes it READY, SCHEDULED when run_at_ms is to come, or WAITING when its key has limits; the
 * caller saves it. */
MUST_USE enum err queue_row_make_due(struct store_tx *tx, struct queue_row *row, int64_t run_at_ms);
/* It is WAITING for its key, and for no other job. */
MUST_USE enum err queue_row_waits_for_key(struct store_tx *tx, const struct queue_row *row,
                                          bool *out);
/* One that its key's limits have admitted: READY, with a turn; or SCHEDULED for due_ms. The caller
 * saves it. */
MUST_USE enum err queue_row_begin_turn(struct store_tx *tx, struct queue_row *row, int64_t due_ms);
/* As make_due, for one that had begun. ERR_NOT_FOUND: it is over: an operator has cancelled it (it
 * is kept), or another has its unique key and will do the work (it is gone). */
MUST_USE enum err queue_row_put_back(struct store_tx *tx, struct queue_row *row, int64_t run_at_ms);
/* An operator has cancelled it while it ran. */
MUST_USE enum err queue_row_is_cancelled(struct store_tx *tx, const struct queue_row *row,
                                         bool *out);
/* Makes it DONE, DEAD or CANCELLED for keep_ms, or with 0 removes it with all that belongs to it;
 * frees what it held. why as for queue_row_save. */
MUST_USE enum err queue_row_end(struct store_tx *tx, struct queue_row *row, enum queue_state state,
                                int64_t keep_ms, struct str why);
/* Makes it DEAD, for as long as its queue keeps those. */
MUST_USE enum err queue_row_bury(struct store_tx *tx, struct queue_row *row, struct str why);
/* The same, and moves no other job: for those that are moved. */
MUST_USE enum err queue_row_close(struct store_tx *tx, struct queue_row *row,
                                  enum queue_state state, int64_t keep_ms, struct str why);
static inline bool queue_row_is_over(const struct queue_row *row)
{
    return row->state == QUEUE_DONE_STATE || row->state == QUEUE_DEAD ||
           row->state == QUEUE_CANCELLED;
}
/* At the claim: the key is free for the next job, unless it is held to the end. */
MUST_USE enum err queue_row_free_key_at_start(struct store_tx *tx, struct str key, int64_t job_id);
/* A statement with one parameter. */
MUST_USE enum err queue_row_run(struct store_tx *tx, const char *sql, int64_t value);
/* One that gives a number; *out stays as it was where it gives no row. */
MUST_USE enum err queue_row_ask(struct store_tx *tx, const char *sql, int64_t value, int64_t *out);

/* The taken key's job, for an enqueue; 0: it is free. */
enum { QUEUE_SPACE_UNIQUE, QUEUE_SPACE_IDEMPOTENCY };
enum { QUEUE_FREES_AT_START, QUEUE_FREES_AT_END, QUEUE_FREES_BY_TIME };
MUST_USE enum err queue_row_holder(struct store_tx *tx, struct str key, int space,
                                   int64_t *job_id_out);
/* The unique key of a job that had begun, or was over. ERR_CONFLICT: another has it now. */
MUST_USE enum err queue_row_take_key_back(struct store_tx *tx, const struct queue_row *row);
MUST_USE enum err queue_row_take_key(struct store_tx *tx, struct str key, int space, int64_t job_id,
                                     int frees, int64_t until_ms);

/* ---- queue_turn.c: whose turn it is ---- */
/* The id of the queue's key, which is made when it is new. weight 0: as it was. */
MUST_USE enum err queue_turn_key(struct store_tx *tx, struct str queue, struct str key, int weight,
                                 int64_t *key_id_out);
/* ERR_NOT_FOUND: no job has had it. */
MUST_USE enum err queue_turn_find_key(struct store_tx *tx, struct str queue, struct str key,
                                      int64_t *id_out);
/* The rank of a job of the key that becomes ready now; *turn_out goes into job_option.turn. */
MUST_USE enum err queue_turn_take(struct store_tx *tx, struct str queue, int priority,
                                  int64_t key_id, int64_t *turn_out, int64_t *rank_out);
/* A job with this turn was claimed: nobody new comes before it. */
MUST_USE enum err queue_turn_serve(struct store_tx *tx, struct str queue, int priority,
                                   int64_t turn);

/* Whether the queue has had jobs with a key. */
MUST_USE enum err queue_turn_is_used(struct store_tx *tx, struct str queue, bool *out);

/* ---- queue_key.c: limits of keys; of jobs with QUEUE_HAS_TURN ---- */
MUST_USE enum err queue_key_is_limited(struct store_tx *tx, int64_t key_id, bool *out);
/* The job, whose row says WAITING, is admitted when it is the first by its rank and there is room.
 */
MUST_USE enum err queue_key_wait(struct store_tx *tx, int64_t job_id, int64_t rank);
/* Admits what there is room for. Call it when one has begun to wait or has left. */
MUST_USE enum err queue_key_admit(struct store_tx *tx, int64_t key_id);
/* It runs and waits no more. slot: its job_option.has_slot. */
MUST_USE enum err queue_key_leave(struct store_tx *tx, int64_t key_id, int64_t job_id, int slot);
/* At the claim of its row. False: it waits again, since the limit came after it was ready. */
MUST_USE enum err queue_key_begin(struct store_tx *tx, struct queue_job *job, bool *may_out);
/* After the settings of the queue have changed. */
MUST_USE enum err queue_key_apply_limits(struct store_tx *tx, struct str queue);

/* ---- queue_limit.c: what a queue may do now ---- */
/* A rate as GCRA (ITU-T I.371) has it. */
struct queue_rate {
    int64_t jobs, in_ms, burst; // jobs == 0: no limit
    int64_t tat_us;             // when the next one is due by the rate alone
};
enum { QUEUE_RATE_MS = 1000 }; // in_ms where nobody says it
/* When the next one may begin; at most now_ms: at once. */
int64_t queue_limit_due_ms(const struct queue_rate *rate, int64_t now_ms);
/* So many begin now. */
void queue_limit_note(struct queue_rate *rate, int64_t now_ms, int64_t count);
struct queue_room {
    size_t cap;      // at most so many may be claimed
    int64_t next_ms; // when more; QUEUE_WHEN_ONE_ENDS; 0: the cap that was asked for is no limit
    bool is_limited; // claims count: by rows only
    int retry_percent;
    struct queue_rate rate;
};
MUST_USE enum err queue_limit_ask(struct store_tx *tx, struct str queue, size_t cap,
                                  struct queue_room *out);
/* So many were claimed. */
MUST_USE enum err queue_limit_take(struct store_tx *tx, struct str queue,
                                   const struct queue_room *room, size_t count);

/* ---- queue_worker.c; the contracts are those of queue.h ---- */
struct queue *queue_worker_new(struct store *store, const struct queue_options *options,
                               const struct queue_handler *handlers, size_t count);
MUST_USE enum err queue_worker_start(struct queue *q);
void queue_worker_drain(struct queue *q);
bool queue_worker_stop(struct queue *q, int64_t drain_ms);
void queue_worker_free(struct queue *q);
void queue_worker_wake(struct queue *q);
/* Without workers: the calling thread runs what is due, and what that makes due at once, about
 * max_runs at most. Gives when the next job is due; 0: none waits, or that is not known; now: there
 * may be more than it ran; INT64_MAX: the queue is paused for good. */
int64_t queue_worker_run_due(struct queue *q, int64_t max_runs);
void queue_worker_finish(struct queue_job *job, const struct queue_end *end);

/* queue_watch.c */
bool queue_watch_is_given_up(const struct queue_job *job);

/* queue_keeper.c */
void queue_keeper_give_back(struct queue *q);

struct store *queue_worker_store(struct queue *q);
/* Fills in done, failed and refused. */
void queue_worker_count(struct queue *q, struct queue_stats *out);
size_t queue_worker_list_held(struct queue *q, int64_t *ids, size_t cap);

#endif
