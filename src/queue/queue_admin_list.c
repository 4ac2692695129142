#include "queue/queue_admin_list.h"

#include <stdio.h>

#include "core/json.h"
#include "core/utf8.h"
#include "queue/queue_internal.h"
#include "queue/queue_redact.h"

enum {
    TIME_COLUMN = 13,
    RANK_COLUMN = 14,
    MAX_PAYLOAD_BYTES = 32 * 1024 * 1024 /* that a page reads */
};

/* ---- names of states, cursors ---- */

static const char *const state_names[] = {
    [QUEUE_READY] = "ready",         [QUEUE_RUNNING] = "running", [QUEUE_DEAD] = "dead",
    [QUEUE_SCHEDULED] = "scheduled", [QUEUE_WAITING] = "waiting", [QUEUE_DONE_STATE] = "done",
    [QUEUE_CANCELLED] = "cancelled",
};
enum { STATES = sizeof(state_names) / sizeof(state_names[0]) };

const char *queue_admin_list_state_text(enum queue_state state)
{
    return (size_t)state < STATES ? state_names[state] : "unknown";
}

enum err queue_admin_list_parse_state(struct str text, int *out)
{
    for (int i = 0; i < STATES; i++) {
        if (!str_eq(text, str_of(state_names[i])))
            continue;
        *out = i;
        return OK;
    }
    return ERR_INVALID;
}

/* 1.1790000000000.52.mail */
void queue_admin_list_write_cursor(const struct queue_admin_list_cursor *cursor,
                                   char out[static QUEUE_ADMIN_LIST_CURSOR_BYTES])
{
    snprintf(out, QUEUE_ADMIN_LIST_CURSOR_BYTES, "%d.%lld.%lld.%s", cursor->part,
             (long long)cursor->at, (long long)cursor->id, cursor->queue);
}

enum err queue_admin_list_parse_cursor(struct str text, struct queue_admin_list_cursor *out)
{
    struct queue_admin_list_cursor cursor = {0};
    int64_t part = 0;
    enum err err = str_parse_int(str_cut(text, '.', &text), &part);
    if (!err)
        err = str_parse_int(str_cut(text, '.', &text), &cursor.at);
    if (!err)
        err = str_parse_int(str_cut(text, '.', &text), &cursor.id);
    if (err || part < 0 || part > 1 || text.len > QUEUE_MAX_NAME_BYTES)
        return ERR_INVALID;
    cursor.part = (int)part;
    snprintf(cursor.queue, sizeof(cursor.queue), "%.*s", STR_ARG(text));
    *out = cursor;
    return OK;
}

/* ---- a row ---- */

bool queue_admin_list_is_held(const struct queue_held *held, int64_t id)
{
    for (size_t i = 0; held && i < held->count; i++)
        if (held->ids[i] == id)
            return true;
    return false;
}

static enum queue_state state_of(const struct store_tx *tx, const struct queue_admin_job *job)
{
    if (job->is_held)
        return QUEUE_RUNNING;
    bool is_due = job->state == QUEUE_SCHEDULED && job->at_ms <= store_now_ms(tx);
    return is_due ? QUEUE_READY : job->state;
}

struct queue_admin_job queue_admin_list_read(const struct store_tx *tx, struct store_stmt *st,
                                             const struct queue_held *held)
{
    struct queue_admin_job job = {
        .id = store_column_int(st, 0),
        .epoch = store_column_int(st, 1),
        .state = (enum queue_state)store_column_int(st, 2),
        .queue = store_column_text(st, 3),
        .kind = store_column_text(st, 4),
        .unique_key = store_column_text(st, 5),
        .payload = store_column_text(st, 6),
        .error = store_column_text(st, 7),
        .attempt = (int)store_column_int(st, 8),
        .crash = (int)store_column_int(st, 9),
        .options = (int)store_column_int(st, 10),
        .created_at_ms = store_column_int(st, 11),
        .run_at_ms = store_column_int(st, 12),
        .at_ms = store_column_int(st, 13),
    };
    job.payload_bytes = job.payload.len;
    job.is_held = job.state == QUEUE_READY && queue_admin_list_is_held(held, job.id);
    job.state = state_of(tx, &job);
    return job;
}

void queue_admin_list_keep(struct queue_admin_job *job, size_t cap, struct arena *a)
{
    job->queue = arena_str(a, job->queue);
    job->kind = arena_str(a, job->kind);
    job->unique_key = arena_str(a, job->unique_key);
    job->is_cut = job->payload.len > cap;
    job->payload = arena_str(a, utf8_cut(job->payload, cap));
    if (job->error.at)
        job->error = arena_str(a, utf8_cut(job->error, QUEUE_ADMIN_LIST_EXCERPT_BYTES));
}

/* ---- does the filter want it? ---- */

struct walk {
    struct store_tx *tx;
    const struct queue_admin_list_filter *filter;
    const struct queue_held *held;
    struct arena *arena;
    int64_t key_id;
    cJSON *value; // of the filter, as JSON; NULL: it is none
    size_t limit, payload_bytes;
    struct queue_admin_list *out;
};

static bool is_in(int64_t ms, int64_t from_ms, int64_t before_ms)
{
    return ms >= from_ms && (before_ms == 0 || ms < before_ms);
}

static const cJSON *descend(const cJSON *at, struct str path)
{
    while (at && path.len > 0) {
        char name[QUEUE_MAX_NAME_BYTES + 1];
        int64_t index = 0;
        struct str word = str_cut(path, '.', &path);
        if (word.len >= sizeof(name))
            return NULL;
        snprintf(name, sizeof(name), "%.*s", STR_ARG(word));
        if (cJSON_IsObject(at))
            at = cJSON_GetObjectItemCaseSensitive(at, name);
        else if (cJSON_IsArray(at) && !str_parse_int(word, &index) && index >= 0 &&
                 index <= INT32_MAX)
            at = cJSON_GetArrayItem(at, (int)index);
        else
            return NULL;
    }
    return at;
}

static bool has_field(const struct walk *w, struct str payload)
{
    cJSON *root = NULL;
    if (json_parse(payload, &root) != OK)
        return false;
    const cJSON *field = descend(root, w->filter->path);
    bool is_text = cJSON_IsString(field) && str_eq(str_of(field->valuestring), w->filter->value);
    bool has = is_text || (field && w->value && cJSON_Compare(field, w->value, true));
    cJSON_Delete(root);
    return has;
}

static bool is_over(enum queue_state state)
{
    return state == QUEUE_DEAD || state == QUEUE_DONE_STATE || state == QUEUE_CANCELLED;
}

/* What can be seen without another look. */
static bool is_wanted(const struct walk *w, const struct queue_admin_job *job)
{
    const struct queue_admin_list_filter *f = w->filter;
    if (f->kept_before_ms > 0 && (!is_over(job->state) || job->at_ms >= f->kept_before_ms))
        return false;
    return (f->state == QUEUE_ADMIN_LIST_ANY || (int)job->state == f->state) &&
           (f->queue.len == 0 || str_eq(f->queue, job->queue)) &&
           (f->kind.len == 0 || str_eq(f->kind, job->kind)) &&
           is_in(job->created_at_ms, f->created_from_ms, f->created_before_ms) &&
           is_in(job->run_at_ms, f->due_from_ms, f->due_before_ms);
}

static enum err has_option(struct walk *w, const struct queue_admin_job *job, bool *out)
{
    const struct queue_admin_list_filter *f = w->filter;
    struct store_stmt *st;
    if (!*out || (f->batch_id == 0 && f->key.len == 0))
        return OK;
    enum err err =
        store_prepare(w->tx, "SELECT batch_id, key_id FROM job_option WHERE job_id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job->id);
    err = store_step(st);
    *out = !err && (f->batch_id == 0 || store_column_int(st, 0) == f->batch_id) &&
           (f->key.len == 0 || store_column_int(st, 1) == w->key_id);
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err has_tag(struct walk *w, const struct queue_admin_job *job, bool *out)
{
    struct store_stmt *st;
    if (!*out || w->filter->tag.len == 0)
        return OK;
    enum err err =
        store_prepare(w->tx, "SELECT 1 FROM job_tag WHERE job_id = $1 AND tag = $2", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job->id);
    store_bind_text(st, 2, w->filter->tag);
    err = store_step(st);
    *out = !err;
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* One that has no time of its end (from before it was noted) ended after it was due. */
static enum err has_ended(struct walk *w, const struct queue_admin_job *job, bool *out)
{
    struct store_stmt *st;
    if (!*out || w->filter->ended_before_ms == 0)
        return OK;
    enum err err =
        store_prepare(w->tx, "SELECT finished_at_ms FROM job_run WHERE job_id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job->id);
    err = store_step(st);
    bool is_noted = !err && !store_column_is_null(st, 0);
    int64_t ms = is_noted ? store_column_int(st, 0) : job->run_at_ms;
    *out = is_over(job->state) && ms < w->filter->ended_before_ms;
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* A sealed payload is never shown, whatever the rules. */
static enum err hide(struct walk *w, struct queue_admin_job *job)
{
    struct store_stmt *st;
    enum err err = ERR_NOT_FOUND;
    if (w->filter->hidden.at)
        job->payload = queue_redact(w->filter->hidden, job->payload, w->arena);
    if (job->options & QUEUE_HAS_OPTION)
        err = store_prepare(
            w->tx, "SELECT seal FROM job_option WHERE job_id = $1 AND seal IS NOT NULL", &st);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    store_bind_int(st, 1, job->id);
    err = store_step(st);
    if (!err)
        job->payload = queue_redact_sealed(store_column_text(st, 0), w->arena);
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static bool is_full(const struct walk *w)
{
    return w->out->count == w->limit || w->out->looked >= QUEUE_ADMIN_LIST_MAX_LOOKED ||
           w->payload_bytes >= MAX_PAYLOAD_BYTES;
}

/* The row that the statement is at. */
static enum err take(struct walk *w, struct store_stmt *st, struct queue_admin_list_cursor *at)
{
    struct queue_admin_job job = queue_admin_list_read(w->tx, st, w->held);
    bool is = is_wanted(w, &job);
    enum err err = has_option(w, &job, &is);
    if (!err)
        err = has_tag(w, &job, &is);
    if (!err)
        err = has_ended(w, &job, &is);
    if (is && w->filter->path.len > 0)
        is = has_field(w, job.payload);
    w->payload_bytes += job.payload.len;
    w->out->looked++;
    at->id = job.id;
    if (!err && is)
        err = hide(w, &job);
    if (err || !is)
        return err;
    queue_admin_list_keep(&job, QUEUE_ADMIN_LIST_EXCERPT_BYTES, w->arena);
    w->out->jobs[w->out->count++] = job;
    return OK;
}

/* ---- ways through the jobs ---- */

/* at_column: of the cursor's `at`; below 0: it has none. */
static enum err take_all(struct walk *w, struct store_stmt *st, int at_column,
                         struct queue_admin_list_cursor *at)
{
    enum err err = OK;
    while (!is_full(w) && !(err = store_step(st))) {
        if (at_column >= 0)
            at->at = store_column_int(st, at_column);
        err = take(w, st, at);
        if (err)
            break;
    }
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

#define FROM_OPTION                                                                                \
    "SELECT " QUEUE_ADMIN_LIST_COLUMNS                                                             \
    " FROM job_option AS o JOIN job AS j ON j.id = o.job_id WHERE "
#define LAST_FIRST " AND o.job_id < $1 ORDER BY o.job_id DESC LIMIT $2"

/* By id, from the highest. */
static enum err walk_ids(struct walk *w, struct queue_admin_list_cursor *at)
{
    const struct queue_admin_list_filter *f = w->filter;
    struct store_stmt *st = NULL;
    enum err err;
    if (f->batch_id != 0)
        err = store_prepare(w->tx, FROM_OPTION "o.batch_id = $3" LAST_FIRST, &st);
    else if (f->key.len > 0)
        err = store_prepare(w->tx, FROM_OPTION "o.key_id = $3" LAST_FIRST, &st);
    else if (f->tag.len > 0)
        err = store_prepare(w->tx,
                            "SELECT " QUEUE_ADMIN_LIST_COLUMNS
                            " FROM job_tag AS o JOIN job AS j ON j.id = o.job_id WHERE o.tag = "
                            "$3" LAST_FIRST,
                            &st);
    else
        err = store_prepare(w->tx,
                            "SELECT " QUEUE_ADMIN_LIST_COLUMNS
                            " FROM job AS j WHERE j.id < $1 ORDER BY j.id DESC LIMIT $2",
                            &st);
    if (err)
        return err;
    store_bind_int(st, 1, at->id);
    store_bind_int(st, 2, QUEUE_ADMIN_LIST_MAX_LOOKED);
    if (f->batch_id != 0)
        store_bind_int(st, 3, f->batch_id);
    else if (f->key.len > 0)
        store_bind_int(st, 3, w->key_id);
    else if (f->tag.len > 0)
        store_bind_text(st, 3, f->tag);
    return take_all(w, st, -1, at);
}

/* Those whose rows say READY though they run: from the highest id. */
static enum err walk_held(struct walk *w, struct queue_admin_list_cursor *at)
{
    while (w->held && !is_full(w)) {
        struct store_stmt *st;
        int64_t id = 0;
        for (size_t i = 0; i < w->held->count; i++)
            if (w->held->ids[i] < at->id && w->held->ids[i] > id)
                id = w->held->ids[i];
        if (id == 0)
            return OK;
        at->id = id;
        enum err err = store_prepare(w->tx,
                                     "SELECT " QUEUE_ADMIN_LIST_COLUMNS
                                     " FROM job AS j WHERE j.id = $1 AND j.state = 0",
                                     &st);
        if (err)
            return err;
        store_bind_int(st, 1, id);
        err = store_step(st);
        if (!err)
            err = take(w, st, at);
        store_finish(st);
        if (err && err != ERR_NOT_FOUND)
            return err;
    }
    return OK;
}

/* A state's jobs in one queue. */
static enum err walk_ready(struct walk *w, struct queue_admin_list_cursor *at)
{
    struct store_stmt *st;
    enum err err = store_prepare(w->tx,
                                 "SELECT " QUEUE_ADMIN_LIST_COLUMNS
                                 " FROM job AS j WHERE j.state = 0 AND j.queue = $1 AND (j.rank, "
                                 "j.id) > ($2, $3) ORDER BY j.rank, j.id LIMIT $4",
                                 &st);
    if (err)
        return err;
    store_bind_text(st, 1, str_of(at->queue));
    store_bind_int(st, 2, at->at);
    store_bind_int(st, 3, at->id);
    store_bind_int(st, 4, QUEUE_ADMIN_LIST_MAX_LOOKED);
    return take_all(w, st, RANK_COLUMN, at);
}

/* The first first, up to last_ms. */
static enum err walk_times(struct walk *w, enum queue_state state, int64_t last_ms,
                           struct queue_admin_list_cursor *at)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        w->tx,
        "SELECT " QUEUE_ADMIN_LIST_COLUMNS
        " FROM job AS j WHERE j.state > 0 AND j.state = $1 AND j.queue = $2 AND "
        "(j.at_ms, j.id) > ($3, $4) AND j.at_ms <= $5 ORDER BY j.at_ms, j.id LIMIT $6",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, state);
    store_bind_text(st, 2, str_of(at->queue));
    store_bind_int(st, 3, at->at);
    store_bind_int(st, 4, at->id);
    store_bind_int(st, 5, last_ms);
    store_bind_int(st, 6, QUEUE_ADMIN_LIST_MAX_LOOKED);
    return take_all(w, st, TIME_COLUMN, at);
}

/* The last first. */
static enum err walk_back(struct walk *w, enum queue_state state,
                          struct queue_admin_list_cursor *at)
{
    struct store_stmt *st;
    enum err err = store_prepare(w->tx,
                                 "SELECT " QUEUE_ADMIN_LIST_COLUMNS
                                 " FROM job AS j WHERE j.state > 0 AND j.state = $1 AND j.queue = "
                                 "$2 AND (j.at_ms, j.id) < ($3, $4) ORDER BY j.at_ms DESC, j.id "
                                 "DESC LIMIT $5",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, state);
    store_bind_text(st, 2, str_of(at->queue));
    store_bind_int(st, 3, at->at);
    store_bind_int(st, 4, at->id);
    store_bind_int(st, 5, QUEUE_ADMIN_LIST_MAX_LOOKED);
    return take_all(w, st, TIME_COLUMN, at);
}

/* ---- the parts of a state ---- */

enum way { BY_HELD, BY_RANK, BY_TIME, BY_TIME_BACK };

/* Which rows an operator sees in a state. */
static const struct part {
    enum queue_state seen;
    int number; // of the part
    enum queue_state state;
    enum way way;
    bool is_due; // of the scheduled: those whose time has come, or the others
} parts[] = {
    {QUEUE_READY, 0, QUEUE_READY, BY_RANK, false},
    {QUEUE_READY, 1, QUEUE_SCHEDULED, BY_TIME, true},
    {QUEUE_RUNNING, 0, QUEUE_READY, BY_HELD, false},
    {QUEUE_RUNNING, 1, QUEUE_RUNNING, BY_TIME, false},
    {QUEUE_SCHEDULED, 0, QUEUE_SCHEDULED, BY_TIME, false},
    {QUEUE_WAITING, 0, QUEUE_WAITING, BY_TIME, false},
    {QUEUE_DEAD, 0, QUEUE_DEAD, BY_TIME_BACK, false},
    {QUEUE_DONE_STATE, 0, QUEUE_DONE_STATE, BY_TIME_BACK, false},
    {QUEUE_CANCELLED, 0, QUEUE_CANCELLED, BY_TIME_BACK, false},
};

static void start_queue(const struct walk *w, const struct part *part,
                        struct queue_admin_list_cursor *at)
{
    bool is_later = part->state == QUEUE_SCHEDULED && !part->is_due;
    at->at = part->way == BY_TIME_BACK ? INT64_MAX : is_later ? store_now_ms(w->tx) : INT64_MIN;
    at->id = part->way == BY_RANK || part->way == BY_TIME ? INT64_MIN : INT64_MAX;
    if (is_later)
        at->id = INT64_MAX;
}

/* The first queue behind the cursor's that has rows of the part. ERR_NOT_FOUND: none. */
static enum err next_queue(const struct walk *w, const struct part *part,
                           struct queue_admin_list_cursor *at)
{
    struct store_stmt *st = NULL;
    if (w->filter->queue.len > 0) {
        if (at->queue[0])
            return ERR_NOT_FOUND;
        snprintf(at->queue, sizeof(at->queue), "%.*s", STR_ARG(w->filter->queue));
        return OK;
    }
    enum err err =
        part->state == QUEUE_READY
            ? store_prepare(w->tx,
                            "SELECT queue FROM job WHERE state = 0 AND queue > $1 ORDER BY queue "
                            "LIMIT 1",
                            &st)
            : store_prepare(w->tx,
                            "SELECT queue FROM job WHERE state > 0 AND state = $2 AND queue > $1 "
                            "ORDER BY queue LIMIT 1",
                            &st);
    if (err)
        return err;
    store_bind_text(st, 1, str_of(at->queue));
    if (part->state != QUEUE_READY)
        store_bind_int(st, 2, part->state);
    err = store_step(st);
    if (!err)
        snprintf(at->queue, sizeof(at->queue), "%.*s", STR_ARG(store_column_text(st, 0)));
    store_finish(st);
    return err;
}

static enum err walk_queue(struct walk *w, const struct part *part,
                           struct queue_admin_list_cursor *at)
{
    int64_t last_ms = part->is_due ? store_now_ms(w->tx) : INT64_MAX;
    switch (part->way) {
    case BY_RANK:
        return walk_ready(w, at);
    case BY_TIME:
        return walk_times(w, part->state, last_ms, at);
    case BY_TIME_BACK:
        return walk_back(w, part->state, at);
    case BY_HELD:
        break;
    }
    return walk_held(w, at);
}

static enum err walk_part(struct walk *w, const struct part *part, bool is_new,
                          struct queue_admin_list_cursor *at)
{
    enum err err = OK;
    if (part->way == BY_HELD) {
        if (is_new)
            start_queue(w, part, at);
        return walk_held(w, at);
    }
    if (!is_new)
        err = walk_queue(w, part, at);
    while (!err && !is_full(w) && !(err = next_queue(w, part, at))) {
        start_queue(w, part, at);
        err = walk_queue(w, part, at);
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err walk_state(struct walk *w, struct queue_admin_list_cursor *at)
{
    int first = at->part;
    enum err err = OK;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct part part = parts[i];
        if ((int)part.seen != w->filter->state || part.number < first)
            continue;
        if (err || is_full(w))
            break;
        if (part.way == BY_TIME_BACK && w->filter->is_reversed)
            part.way = BY_TIME;
        bool is_new = part.number > at->part;
        if (is_new)
            *at = (struct queue_admin_list_cursor){.part = part.number};
        err = walk_part(w, &part, is_new, at);
    }
    return err;
}

/* ---- a page ---- */

static enum err find_key(struct walk *w)
{
    const struct queue_admin_list_filter *f = w->filter;
    if (f->key.len == 0)
        return OK;
    if (f->queue.len == 0)
        return ERR_INVALID;
    return queue_turn_find_key(w->tx, f->queue, f->key, &w->key_id);
}

static enum err walk(struct walk *w, const struct queue_admin_list_cursor *after)
{
    const struct queue_admin_list_filter *f = w->filter;
    struct queue_admin_list_cursor at = {.part = -1, .id = INT64_MAX};
    bool is_by_state =
        f->state != QUEUE_ADMIN_LIST_ANY && f->batch_id == 0 && f->key.len == 0 && f->tag.len == 0;
    if (after && after->part >= 0)
        at = *after;
    enum err err = find_key(w);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err; // no job has had it
    err = is_by_state ? walk_state(w, &at) : walk_ids(w, &at);
    if (at.part < 0)
        at.part = 0;
    w->out->has_more = !err && is_full(w);
    w->out->next = at;
    return err;
}

enum err queue_admin_list(struct store_tx *tx, const struct queue_admin_list_filter *filter,
                          const struct queue_held *held, const struct queue_admin_list_page *page,
                          struct arena *a, struct queue_admin_list *out)
{
    struct walk w = {
        .tx = tx, .filter = filter, .held = held, .arena = a, .limit = page->limit, .out = out};
    if (w.limit == 0 || w.limit > QUEUE_ADMIN_LIST_MAX_ROWS)
        w.limit = QUEUE_ADMIN_LIST_MAX_ROWS;
    *out =
        (struct queue_admin_list){.jobs = arena_alloc(a, w.limit * sizeof(struct queue_admin_job))};
    if (filter->path.len > 0 && json_parse(filter->value, &w.value) != OK)
        w.value = NULL;
    enum err err = walk(&w, page->after);
    cJSON_Delete(w.value);
    return err;
}
