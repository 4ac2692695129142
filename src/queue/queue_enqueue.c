/* queue_enqueue.c -- new jobs.
 *
 * A plain job (kind, payload, queue) is one INSERT. What it has besides is written after it, in the
 * same transaction, into the tables that job.options names.
 */
#include <stdio.h>

#include "core/failpoint.h"
#include "queue/queue_internal.h"

static const int64_t last_ms = INT64_C(253402300799999); // of the year 9999

/* ---- limits ---- */

static enum err refuse(enum err err, const char *why, const char **why_out)
{
    if (why_out)
        *why_out = why;
    return err;
}

/* Printable: it goes to logs, pages and shells as it stands. */
static bool is_name(struct str name)
{
    if (name.len > QUEUE_MAX_NAME_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.at[i] <= ' ' || name.at[i] == 0x7f)
            return false;
    return true;
}

static bool is_key(struct str key)
{
    return key.len <= QUEUE_MAX_KEY_BYTES && (key.len == 0 || !memchr(key.at, 0, key.len));
}

static bool is_time(int64_t ms)
{
    return ms >= 0 && ms <= QUEUE_MAX_MS;
}

static bool is_zero(struct str hex)
{
    while (hex.len > 0 && hex.at[hex.len - 1] == '0')
        hex.len--;
    return hex.len == 0;
}

/* W3C Trace Context: version 00, as in 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01. Ids
 * of nothing but zeros are none. */
static bool is_trace(struct str trace)
{
    if (trace.len != QUEUE_TRACE_BYTES || !str_starts(trace, STR("00-")))
        return false;
    for (size_t i = 0; i < trace.len; i++) {
        char c = trace.at[i];
        bool is_dash = i == 2 || i == 35 || i == 52;
        bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (is_dash ? c != '-' : !is_hex)
            return false;
    }
    return !is_zero((struct str){trace.at + 3, 32}) && !is_zero((struct str){trace.at + 36, 16});
}

static enum err check_tags(const struct queue_new *job, const char **why_out)
{
    if (job->tag_count > QUEUE_MAX_TAGS)
        return refuse(ERR_TOO_LARGE, "more than 16 tags", why_out);
    for (size_t i = 0; i < job->tag_count; i++)
        if (job->tags[i].len == 0 || !is_name(job->tags[i]))
            return refuse(ERR_INVALID, "a tag is 1 to 100 bytes without spaces", why_out);
    return OK;
}

static enum err check_times(const struct queue_new *job, const char **why_out)
{
    if (job->run_at_ms != 0 && job->delay_ms != 0)
        return refuse(ERR_INVALID, "a delay and a time to run at exclude each other", why_out);
    if (!is_time(job->delay_ms) || !is_time(job->timeout_ms) || !is_time(job->keep_ms) ||
        !is_time(job->unique_ms) || !is_time(job->idempotency_ms))
        return refuse(ERR_INVALID, "a time is from 0 to 10 years", why_out);
    if (job->run_at_ms < 0 || job->run_at_ms > last_ms || job->deadline_ms < 0 ||
        job->deadline_ms > last_ms)
        return refuse(ERR_INVALID, "a time is from the year 1970 to 9999", why_out);
    return OK;
}

enum err queue_check(const struct queue_new *job, const char **why_out)
{
    size_t max_payload =
        job->max_payload_bytes > 0 ? job->max_payload_bytes : QUEUE_MAX_PAYLOAD_BYTES;
    if (job->kind.len == 0 || !is_name(job->kind))
        return refuse(ERR_INVALID, "a kind is 1 to 100 bytes without spaces", why_out);
    if (!is_name(job->queue))
        return refuse(ERR_INVALID, "the name of a queue is 1 to 100 bytes without spaces", why_out);
    if (job->payload.len > max_payload || job->payload.len > QUEUE_MOST_PAYLOAD_BYTES)
        return refuse(ERR_TOO_LARGE, "the payload is too large", why_out);
    if (!is_key(job->unique_key) || !is_key(job->idempotency_key) || !is_key(job->key))
        return refuse(ERR_INVALID, "a key is up to 255 bytes without NUL", why_out);
    if (job->priority < -QUEUE_MAX_PRIORITY || job->priority > QUEUE_MAX_PRIORITY)
        return refuse(ERR_INVALID, "a priority is from -100 to 100", why_out);
    if (job->weight < 0 || job->weight > QUEUE_MAX_WEIGHT)
        return refuse(ERR_INVALID, "a weight is 1 to 64", why_out);
    if (job->max_attempts < 0 || job->max_attempts > QUEUE_MAX_TRIES)
        return refuse(ERR_INVALID, "the attempts are 1 to 1000", why_out);
    if (job->trace.len > 0 && !is_trace(job->trace))
        return refuse(ERR_INVALID, "the trace is not a W3C traceparent", why_out);
    enum err err = check_times(job, why_out);
    return err ? err : check_tags(job, why_out);
}

/* ---- rows ---- */

static int options_of(const struct queue_new *job)
{
    bool has_option = job->priority != 0 || job->deadline_ms > 0 || job->timeout_ms > 0 ||
                      job->max_attempts > 0 || job->keep_ms > 0 || job->trace.len > 0 ||
                      job->batch_id > 0 || job->key.len > 0 || job->seal;
    bool is_in_flow = job->batch_id > 0 || job->is_tick;
    bool is_by_row = job->deadline_ms > 0 || is_in_flow || job->key.len > 0;
    bool holds_key = job->unique_key.len > 0 && job->unique_until == QUEUE_UNTIL_END;
    return (has_option ? QUEUE_HAS_OPTION : 0) | (job->tag_count > 0 ? QUEUE_HAS_TAGS : 0) |
           (is_by_row ? QUEUE_BY_ROW : 0) | (is_in_flow ? QUEUE_IN_FLOW : 0) |
           (holds_key ? QUEUE_HOLDS_KEY : 0) | (job->key.len > 0 ? QUEUE_HAS_TURN : 0);
}

/* The place of a job in its queue. */
struct place {
    int64_t rank, key_id, turn;
    bool waits_for_key;
    char seal_id[QUEUE_SEAL_MAX_ID_BYTES + 1]; // empty: not sealed
};

static struct str queue_of(const struct queue_new *job)
{
    return job->queue.len > 0 ? job->queue : STR(QUEUE_DEFAULT);
}

static int64_t due_at(const struct store_tx *tx, const struct queue_new *job)
{
    return job->run_at_ms > 0 ? job->run_at_ms : store_now_ms(tx) + job->delay_ms;
}

/* What is not ready yet gets its turn when it is. */
static enum err find_place(struct store_tx *tx, const struct queue_new *job, struct place *out)
{
    int64_t run_at = due_at(tx, job);
    int64_t first = run_at - (int64_t)job->priority * QUEUE_PRIORITY_STEP_MS;
    *out = (struct place){.rank = first * QUEUE_RANKS_PER_MS};
    if (job->key.len == 0)
        return OK;
    enum err err = queue_turn_key(tx, queue_of(job), job->key, job->weight, &out->key_id);
    if (err || run_at > store_now_ms(tx) || job->needs > 0)
        return err;
    err = queue_key_is_limited(tx, out->key_id, &out->waits_for_key);
    if (err || out->waits_for_key) {
        out->turn = out->rank;
        return err;
    }
    return queue_turn_take(tx, queue_of(job), job->priority, out->key_id, &out->turn, &out->rank);
}

static enum err insert_job(struct store_tx *tx, const struct queue_new *job, int options,
                           const struct place *place, int64_t *id_out)
{
    struct store_stmt *st;
    int64_t now = store_now_ms(tx), run_at = due_at(tx, job);
    bool is_due = run_at <= now, is_waiting = job->needs > 0 || place->waits_for_key;
    enum err err = store_prepare(
        tx,
        "INSERT INTO job (kind, payload, unique_key, state, run_at_ms, at_ms, created_at_ms, "
        "queue, rank, options) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &st);
    if (err)
        return err;
    store_bind_text(st, 1, job->kind);
    // One that is sealed needs the id; in clear it never gets near the disk.
    store_bind_text(st, 2, job->payload.at && !job->seal ? job->payload : STR(""));
    if (job->unique_key.len > 0)
        store_bind_text(st, 3, job->unique_key);
    store_bind_int(st, 4, is_waiting ? QUEUE_WAITING : is_due ? QUEUE_READY : QUEUE_SCHEDULED);
    store_bind_int(st, 5, run_at);
    store_bind_int(st, 6, is_due || is_waiting ? 0 : run_at);
    store_bind_int(st, 7, now);
    store_bind_text(st, 8, queue_of(job));
    store_bind_int(st, 9, place->rank);
    store_bind_int(st, 10, options);
    return store_insert(st, id_out);
}

static void bind_positive(struct store_stmt *st, int index, int64_t value)
{
    if (value > 0)
        store_bind_int(st, index, value);
    else
        store_bind_null(st, index);
}

static enum err insert_option(struct store_tx *tx, const struct queue_new *job,
                              const struct place *place, int64_t id)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "INSERT INTO job_option (job_id, priority, deadline_ms, "
                                 "timeout_ms, max_attempts, keep_ms, trace, batch_id, needs, "
                                 "key_id, turn, waits_for_key, seal) VALUES ($1, $2, $3, $4, $5, "
                                 "$6, $7, $8, $9, $10, $11, $12, $13)",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    store_bind_int(st, 2, job->priority);
    bind_positive(st, 3, job->deadline_ms);
    bind_positive(st, 4, job->timeout_ms);
    bind_positive(st, 5, job->max_attempts);
    bind_positive(st, 6, job->keep_ms);
    store_bind_text(st, 7, job->trace.len > 0 ? job->trace : (struct str){0});
    bind_positive(st, 8, job->batch_id);
    store_bind_int(st, 9, job->needs);
    bind_positive(st, 10, place->key_id);
    store_bind_int(st, 11, place->turn);
    store_bind_int(st, 12, place->waits_for_key);
    store_bind_text(st, 13, place->seal_id[0] ? str_of(place->seal_id) : (struct str){0});
    return store_run(st, NULL);
}

static enum err seal(struct store_tx *tx, const struct queue_new *job, int64_t id,
                     struct place *place)
{
    struct store_stmt *st;
    struct arena a;
    enum err err = store_prepare(tx, "UPDATE job SET payload = $2 WHERE id = $1", &st);
    if (err)
        return err;
    arena_init(&a);
    store_bind_int(st, 1, id);
    const struct queue_sealed sealed = queue_seal_write(job->seal, id, job->kind, job->payload, &a);
    store_bind_text(st, 2, sealed.text);
    snprintf(place->seal_id, sizeof(place->seal_id), "%.*s", STR_ARG(sealed.key_id));
    err = store_run(st, NULL);
    arena_done(&a);
    return err;
}

static enum err insert_tags(struct store_tx *tx, const struct queue_new *job, int64_t id)
{
    for (size_t i = 0; i < job->tag_count; i++) {
        struct store_stmt *st;
        enum err err = store_prepare(
            tx, "INSERT INTO job_tag (job_id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING", &st);
        if (err)
            return err;
        store_bind_int(st, 1, id);
        store_bind_text(st, 2, job->tags[i]);
        err = store_run(st, NULL);
        if (err)
            return err;
    }
    return OK;
}

/* ---- keys ---- */

static enum err find_earlier(struct store_tx *tx, const struct queue_new *job, int64_t *id_out)
{
    enum err err = OK;
    *id_out = 0;
    if (job->idempotency_key.len > 0)
        err = queue_row_holder(tx, job->idempotency_key, QUEUE_SPACE_IDEMPOTENCY, id_out);
    if (!err && *id_out == 0 && job->unique_key.len > 0)
        err = queue_row_holder(tx, job->unique_key, QUEUE_SPACE_UNIQUE, id_out);
    return err;
}

/* The idempotency key is taken also for an earlier job that was found by its unique key. */
static enum err take_keys(struct store_tx *tx, const struct queue_new *job, int64_t id, bool is_old)
{
    int64_t now = store_now_ms(tx);
    enum err err = OK;
    if (job->unique_key.len > 0 && !is_old)
        err = queue_row_take_key(tx, job->unique_key, QUEUE_SPACE_UNIQUE, id,
                                 job->unique_until == QUEUE_UNTIL_END ? QUEUE_FREES_AT_END
                                                                      : QUEUE_FREES_AT_START,
                                 job->unique_ms > 0 ? now + job->unique_ms : 0);
    if (err || job->idempotency_key.len == 0)
        return err;
    int64_t ms = job->idempotency_ms > 0 ? job->idempotency_ms : QUEUE_IDEMPOTENCY_MS;
    int64_t holder = 0;
    if (is_old) // its time runs from the first enqueue
        err = queue_row_holder(tx, job->idempotency_key, QUEUE_SPACE_IDEMPOTENCY, &holder);
    if (err || holder != 0)
        return err;
    return queue_row_take_key(tx, job->idempotency_key, QUEUE_SPACE_IDEMPOTENCY, id,
                              QUEUE_FREES_BY_TIME, now + ms);
}

static enum err add(struct store_tx *tx, const struct queue_new *job, struct queue_receipt *out)
{
    int options = options_of(job);
    bool has_key = job->unique_key.len > 0 || job->idempotency_key.len > 0;
    struct place place = {0};
    *out = (struct queue_receipt){0};
    enum err err = queue_check(job, NULL);
    if (!err && has_key)
        err = find_earlier(tx, job, &out->id);
    if (err)
        return err;
    out->is_old = out->id != 0;
    if (!out->is_old)
        err = find_place(tx, job, &place);
    if (err)
        return err;
    if (!out->is_old)
        err = FAILPOINT("queue.enqueue", insert_job(tx, job, options, &place, &out->id));
    if (!err && has_key)
        err = take_keys(tx, job, out->id, out->is_old);
    if (out->is_old)
        return err;
    if (!err && job->seal)
        err = seal(tx, job, out->id, &place);
    if (!err && (options & QUEUE_HAS_OPTION))
        err = insert_option(tx, job, &place, out->id);
    if (!err && (options & QUEUE_HAS_TAGS))
        err = insert_tags(tx, job, out->id);
    if (!err && place.waits_for_key)
        err = queue_key_admit(tx, place.key_id);
    return err;
}

bool queue_may_be_soft(const struct queue_new *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (jobs[i].durability != QUEUE_NORMAL)
            return false;
    return true;
}

enum err queue_enqueue(struct store_tx *tx, const struct queue_new *job, int64_t *id_out)
{
    struct queue_receipt receipt;
    enum err err = add(tx, job, &receipt);
    if (!err && id_out)
        *id_out = receipt.id;
    return err;
}

enum err queue_enqueue_many(struct store_tx *tx, const struct queue_new *jobs, size_t count,
                            struct queue_receipt *out)
{
    for (size_t i = 0; i < count; i++) {
        enum err err = add(tx, &jobs[i], &out[i]);
        if (err)
            return err;
    }
    return OK;
}
