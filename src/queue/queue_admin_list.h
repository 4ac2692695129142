/* queue_admin_list.h -- finds jobs for an operator, a page at a time.
 *
 * Where a page is looked for, by the first of these that the filter names; each has an index:
 *
 *     batch, key, tag   newest first, by id
 *     state             ready: as they are claimed; scheduled: the next first; running, waiting:
 * the oldest first; dead, done, cancelled: those that are kept longest first. Without a queue:
 * queue after queue, by name none of them      newest first, by id
 *
 * Whatever else the filter names is compared job by job. A page ends when it is full or has looked
 * at QUEUE_ADMIN_LIST_MAX_LOOKED jobs (or at so many bytes of payloads), and says where to go on;
 * so a page may be empty and yet not the last.
 *
 * States are what an operator sees: a scheduled job whose time has come is READY, and so is none
 * that runs, though its row may say so (queue_held).
 */
#ifndef QUEUE_ADMIN_LIST_H
#define QUEUE_ADMIN_LIST_H

#include "queue/queue_admin.h"

enum {
    QUEUE_ADMIN_LIST_ANY = -1, // state
    QUEUE_ADMIN_LIST_MAX_ROWS = 1000,
    QUEUE_ADMIN_LIST_MAX_LOOKED = 10000,
    QUEUE_ADMIN_LIST_EXCERPT_BYTES = 1024, // of a payload, of an error
};

struct queue_admin_list_filter {
    struct str queue, kind, tag; // empty: any
    struct str key;              // of the queue, which must be named
    int state;                   // enum queue_state, or QUEUE_ADMIN_LIST_ANY
    int64_t batch_id;            // 0: any
    /* Unix times, from and before; 0: any. ended_before_ms, kept_before_ms: jobs that are over, and
     * ended or will be removed before. */
    int64_t created_from_ms, created_before_ms, due_from_ms, due_before_ms;
    int64_t ended_before_ms, kept_before_ms;
    bool is_reversed; // of a state of what is over: those first that are kept shortest
    /* A field of the payload, "user.id" or "items.0", and its value: a text, a number, true, false
     * or null. Empty: any. */
    struct str path, value;
    /* Rules of queue_redact for the payloads that are given; at NULL: as they are. */
    struct str hidden;
};

/* Where a page ends and the next begins. */
struct queue_admin_list_cursor {
    int part; // of the parts that a state has; below 0: with the first job
    char queue[QUEUE_MAX_NAME_BYTES + 1];
    int64_t at, id;
};
enum { QUEUE_ADMIN_LIST_CURSOR_BYTES = 160 };

struct queue_admin_job {
    int64_t id, epoch;
    enum queue_state state; // as an operator sees it
    bool is_held;           // it runs, and its row says READY
    struct str queue, kind, unique_key;
    struct str payload;   // as people may see it (queue_redact.h); in a list: its beginning
    size_t payload_bytes; // of the whole, as it is kept
    bool is_cut;          // the payload is not whole
    struct str error;     // the last; its beginning. at NULL: none
    int attempt, crash, options;
    int64_t created_at_ms, run_at_ms;
    int64_t at_ms; // of a running one: the end of its lease; of one that is over: until when it is
                   // kept
};

struct queue_admin_list {
    struct queue_admin_job *jobs;
    size_t count, looked;
    bool has_more;
    struct queue_admin_list_cursor next;
};

/* Which of those that match. */
struct queue_admin_list_page {
    const struct queue_admin_list_cursor *after; // NULL: from the first
    size_t limit;                                // up to QUEUE_ADMIN_LIST_MAX_ROWS; 0: so many
};

/* A read: the page, in the arena. ERR_INVALID: a key without a queue. */
MUST_USE enum err queue_admin_list(struct store_tx *tx,
                                   const struct queue_admin_list_filter *filter,
                                   const struct queue_held *held,
                                   const struct queue_admin_list_page *page, struct arena *a,
                                   struct queue_admin_list *out);

/* "ready", "running", ... */
const char *queue_admin_list_state_text(enum queue_state state);
/* ERR_INVALID: no such state. */
MUST_USE enum err queue_admin_list_parse_state(struct str text, int *out);

/* The cursor as a text, for a URL's parameter or a shell. ERR_INVALID: not one of ours. */
void queue_admin_list_write_cursor(const struct queue_admin_list_cursor *cursor,
                                   char out[static QUEUE_ADMIN_LIST_CURSOR_BYTES]);
MUST_USE enum err queue_admin_list_parse_cursor(struct str text,
                                                struct queue_admin_list_cursor *out);

/* ---- for queue_admin_show.c ---- */
/* The job of a row with these columns of `job AS j`. Its texts are the statement's: keep copies
 * them, with up to cap bytes of the payload. */
#define QUEUE_ADMIN_LIST_COLUMNS                                                                   \
    "j.id, j.epoch, j.state, j.queue, j.kind, j.unique_key, j.payload, j.last_error, j.attempt, "  \
    "j.crash, j.options, j.created_at_ms, j.run_at_ms, j.at_ms, j.rank"
struct queue_admin_job queue_admin_list_read(const struct store_tx *tx, struct store_stmt *st,
                                             const struct queue_held *held);
void queue_admin_list_keep(struct queue_admin_job *job, size_t cap, struct arena *a);
bool queue_admin_list_is_held(const struct queue_held *held, int64_t id);

#endif
