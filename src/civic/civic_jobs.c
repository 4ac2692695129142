#include "civic/civic_jobs.h"

#include <inttypes.h>

#include "civic/civic_follow.h"
#include "civic/civic_idempotency.h"
#include "civic/civic_job.h"
#include "civic/civic_session.h"
#include "civic/civic_view.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"

enum {
    MAX_EVENT_BYTES = 512 * 1024, // a comment's text, its HTML, escaped
    PRUNE_LIMIT = 1000,
    PRUNE_EVERY_MS = 10 * 60 * 1000,
};

/* What a run found out for its commit and its announcement; in the job's arena. */
struct task {
    struct civic_jobs *jobs;
    struct arena *arena;
    struct civic_job job;
    bool is_slice; // only followers: authors were told before
    struct civic_comment comment;
    struct civic_proposal_gate gate;
    struct civic_notification_new told[CIVIC_JOBS_SLICE + 2];
    int64_t told_ids[CIVIC_JOBS_SLICE + 2]; // of the notifications
    size_t told_count;
    int64_t after; // the last follower of a full slice; 0: there are no more
};

/* For reading what everyone may see and what only members may. */
static const struct civic_actor reader = {.role = CIVIC_ADMIN};

static enum err begin(struct queue_job *job, void *ctx, struct task **out, struct str *why_out)
{
    struct task *task = ARENA_NEW(&job->arena, struct task);
    task->jobs = ctx;
    task->arena = &job->arena;
    job->user = task;
    if (civic_job_parse(job->payload, &task->job)) {
        *why_out = STR("bad payload");
        return ERR_INVALID;
    }
    *out = task;
    return OK;
}

/* ---- who is told ---- */
static void tell(struct task *task, int64_t user_id, const char *kind, int64_t actor_id)
{
    if (!user_id || user_id == actor_id)
        return;
    for (size_t i = 0; i < task->told_count; i++)
        if (task->told[i].user_id == user_id)
            return;
    task->told[task->told_count++] = (struct civic_notification_new){
        .user_id = user_id,
        .kind = kind,
        .actor_id = actor_id,
        .proposal_id = task->gate.id,
        .comment_id = task->comment.id,
    };
}

/* The next slice of followers; skip are those who are told as authors. */
static enum err tell_followers(struct store_tx *tx, struct task *task, const char *kind,
                               int64_t actor_id, const int64_t skip[2])
{
    int64_t *ids = arena_alloc(task->arena, CIVIC_JOBS_SLICE * sizeof(*ids));
    size_t count = 0;
    enum err err =
        civic_follow_list(tx, task->gate.id, task->job.after, ids, CIVIC_JOBS_SLICE, &count);
    if (err)
        return err;
    for (size_t i = 0; i < count; i++)
        if (ids[i] != skip[0] && ids[i] != skip[1])
            tell(task, ids[i], kind, actor_id);
    task->after = count == CIVIC_JOBS_SLICE ? ids[count - 1] : 0;
    return OK;
}

static enum err write_told(struct store_tx *tx, struct task *task)
{
    for (size_t i = 0; i < task->told_count; i++) {
        enum err err = civic_notification_create(tx, &task->told[i], &task->told_ids[i]);
        if (err)
            return err;
    }
    return OK;
}

/* ---- announcing ---- */
/* Takes data. */
static struct str print(cJSON *data, struct arena *a)
{
    struct buf text;
    struct str out = {0};
    buf_init(&text, MAX_EVENT_BYTES);
    if (json_print(data, &text))
        log_error("at=civic_jobs.print why=\"event too large\"");
    else
        out = arena_str(a, (struct str){(const char *)buf_head(&text), buf_len(&text)});
    buf_done(&text);
    cJSON_Delete(data);
    return out;
}

struct told {
    struct task *task;
    size_t index;
    struct str channel, data;
};

static enum err read_told(struct store_tx *tx, void *arg)
{
    struct told *told = arg;
    struct arena *a = told->task->arena;
    struct civic_notification n;
    int64_t user_id = told->task->told[told->index].user_id, unread_count = 0;
    enum err err = civic_notification_find(tx, told->task->told_ids[told->index], a, &n, NULL);
    if (!err)
        err = civic_notification_unread(tx, user_id, &unread_count);
    if (err)
        return err;
    cJSON *data = cJSON_CreateObject();
    cJSON_AddItemToObject(data, "notification", civic_view_notification(&n));
    cJSON_AddNumberToObject(data, "unread_count", (double)unread_count);
    told->channel = arena_printf(a, "private-user.%" PRId64, user_id);
    told->data = print(data, a);
    return OK;
}

static void announce_told(struct task *task)
{
    struct civic_jobs *jobs = task->jobs;
    for (size_t i = 0; i < task->told_count; i++) {
        struct told told = {.task = task, .index = i};
        pthread_mutex_lock(&jobs->mutex);
        enum err err = store_read(jobs->store, read_told, &told);
        if (!err && told.data.len)
            jobs->announcer->event(jobs->announcer->ctx, told.channel, STR("notification.created"),
                                   told.data);
        pthread_mutex_unlock(&jobs->mutex);
        if (err && err != ERR_NOT_FOUND)
            log_error("at=civic_jobs.announce_told err=\"%s\"", err_text(err));
    }
}

/* The newest value of a counter. */
struct value {
    struct task *task;
    struct str channel, key, data;
};

static void announce_value(struct queue_job *job, store_fn *read, struct str event)
{
    struct value value = {.task = job->user};
    struct civic_jobs *jobs = value.task->jobs;
    pthread_mutex_lock(&jobs->mutex);
    enum err err = store_read(jobs->store, read, &value);
    if (!err && value.data.len)
        jobs->announcer->counter(jobs->announcer->ctx, value.channel, event, value.key, value.data);
    pthread_mutex_unlock(&jobs->mutex);
    if (err && err != ERR_NOT_FOUND)
        log_error("at=civic_jobs.announce_value err=\"%s\"", err_text(err));
}

/* ---- comment.created, comment.notify ---- */
static enum err read_comment(struct store_tx *tx, void *arg)
{
    struct task *task = arg;
    struct civic_comment parent = {0};
    const char *why = NULL;
    task->told_count = 0;
    enum err err = civic_comment_find(tx, task->job.id, task->arena, &task->comment);
    if (!err)
        err = civic_proposal_enter(tx, &reader, task->comment.proposal_id, CIVIC_READ, &task->gate,
                                   &why);
    if (!err && task->comment.parent_id)
        err = civic_comment_find(tx, task->comment.parent_id, task->arena, &parent);
    if (err)
        return err;
    int64_t skip[2] = {parent.author.id, task->gate.author_id}, actor_id = task->comment.author.id;
    if (!task->is_slice) {
        tell(task, parent.author.id, "reply", actor_id);
        tell(task, task->gate.author_id, "comment", actor_id);
    }
    return tell_followers(tx, task, "comment", actor_id, skip);
}

static enum err run_comment(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct task *task = NULL;
    enum err err = begin(job, ctx, &task, why_out);
    if (err)
        return err;
    task->is_slice = str_eq(job->kind, STR("comment.notify"));
    err = store_read(task->jobs->store, read_comment, task);
    if (err)
        *why_out = STR("comment not read");
    return err;
}

static enum err commit_comment(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    struct task *task = job->user;
    enum err err = write_told(tx, task);
    if (!err && task->after)
        err = civic_job_enqueue(tx, "comment.notify",
                                (struct civic_job){.id = task->job.id, .after = task->after});
    return err;
}

static void done_comment_created(struct queue_job *job, void *ctx)
{
    struct civic_jobs *jobs = ctx;
    struct task *task = job->user;
    cJSON *view = civic_view_comment(&task->comment, NULL, task->arena);
    cJSON_DeleteItemFromObjectCaseSensitive(view, "viewer"); // the reader's, whoever it is
    struct str data = print(view, task->arena);
    if (data.len)
        jobs->announcer->event(
            jobs->announcer->ctx,
            civic_proposal_channel(task->gate.id, task->gate.is_members_only, task->arena),
            STR("comment.created"), data);
    announce_told(task);
}

static void done_told(struct queue_job *job, void *ctx)
{
    (void)ctx;
    announce_told(job->user);
}

/* ---- proposal.reached, proposal.signed ---- */
static enum err read_reached(struct store_tx *tx, void *arg)
{
    struct task *task = arg;
    const char *why = NULL;
    task->told_count = 0;
    enum err err = civic_proposal_enter(tx, &reader, task->job.id, CIVIC_READ, &task->gate, &why);
    if (err)
        return err;
    int64_t skip[2] = {task->gate.author_id, 0};
    if (!task->job.after)
        tell(task, task->gate.author_id, "reached", task->job.actor_id);
    return tell_followers(tx, task, "reached", task->job.actor_id, skip);
}

static enum err run_reached(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct task *task = NULL;
    enum err err = begin(job, ctx, &task, why_out);
    if (err)
        return err;
    err = store_read(task->jobs->store, read_reached, task);
    if (err)
        *why_out = STR("proposal not read");
    return err;
}

static enum err commit_reached(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    struct task *task = job->user;
    enum err err = write_told(tx, task);
    struct civic_job next = task->job;
    next.after = task->after;
    return !err && next.after ? civic_job_enqueue(tx, "proposal.reached", next) : err;
}

/* Nothing to find out before: the value is read when it is announced. */
static enum err run_simple(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct task *task = NULL;
    return begin(job, ctx, &task, why_out);
}

static enum err commit_signed(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    struct task *task = job->user;
    const char *why = NULL;
    bool is_waiting = false;
    task->told_count = 0;
    enum err err = civic_proposal_enter(tx, &reader, task->job.id, CIVIC_READ, &task->gate, &why);
    if (!err)
        err = civic_notification_is_waiting(tx, task->gate.author_id, "support", task->gate.id,
                                            &is_waiting);
    if (err || is_waiting)
        return err;
    tell(task, task->gate.author_id, "support", task->job.actor_id);
    return write_told(tx, task);
}

/* ---- counters ---- */
static enum err read_supported(struct store_tx *tx, void *arg)
{
    struct value *value = arg;
    struct arena *a = value->task->arena;
    struct civic_proposal p;
    const char *why = NULL;
    enum err err = civic_proposal_get(tx, &reader, value->task->job.id, a, &p, &why);
    if (err)
        return err;
    value->channel = civic_proposal_channel(p.id, p.is_members_only, a);
    value->data = print(civic_view_supported(&p), a);
    return OK;
}

static void done_supported(struct queue_job *job, void *ctx)
{
    (void)ctx;
    announce_value(job, read_supported, STR("proposal.supported"));
}

static enum err read_voted(struct store_tx *tx, void *arg)
{
    struct value *value = arg;
    struct arena *a = value->task->arena;
    struct civic_comment c;
    struct civic_proposal_gate gate;
    const char *why = NULL;
    enum err err = civic_comment_find(tx, value->task->job.id, a, &c);
    if (!err)
        err = civic_proposal_enter(tx, &reader, c.proposal_id, CIVIC_READ, &gate, &why);
    if (err)
        return err;
    value->channel = civic_proposal_channel(gate.id, gate.is_members_only, a);
    value->key = arena_printf(a, "%" PRId64, c.id);
    value->data = print(civic_view_voted(&c), a);
    return OK;
}

static void done_voted(struct queue_job *job, void *ctx)
{
    (void)ctx;
    announce_value(job, read_voted, STR("comment.voted"));
}

static enum err read_tally(struct store_tx *tx, void *arg)
{
    struct value *value = arg;
    struct arena *a = value->task->arena;
    struct civic_voting *v = ARENA_NEW(a, struct civic_voting);
    enum err err = civic_voting_find(tx, value->task->job.id, a, v);
    if (err)
        return err;
    value->channel = civic_voting_channel(v->id, v->is_members_only, a);
    value->data = print(civic_view_tally(v), a);
    return OK;
}

static void done_tally(struct queue_job *job, void *ctx)
{
    (void)ctx;
    announce_value(job, read_tally, STR("voting.tally"));
}

/* ---- civic.prune ---- */
static enum err commit_prune(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)job, (void)ctx;
    int64_t sessions = 0, answers = 0;
    enum err err = civic_session_prune(tx, PRUNE_LIMIT, &sessions);
    if (!err)
        err = civic_idempotency_prune(tx, PRUNE_LIMIT, &answers);
    if (err)
        return err;
    bool is_more = sessions == PRUNE_LIMIT || answers == PRUNE_LIMIT;
    return civic_job_enqueue_once(tx, "civic.prune", (struct civic_job){0},
                                  is_more ? 0 : store_now_ms(tx) + PRUNE_EVERY_MS);
}

static enum err enqueue_prune(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx, "SELECT 1 FROM job WHERE kind = 'civic.prune' AND state IN (0, 1) LIMIT 1", &st);
    if (err)
        return err;
    err = store_step(st);
    store_finish(st);
    return err == ERR_NOT_FOUND
               ? civic_job_enqueue_once(tx, "civic.prune", (struct civic_job){0}, 0)
               : err;
}

enum err civic_jobs_start(struct store *store)
{
    return store_write_wait(store, enqueue_prune, NULL);
}

/* clang-format off */
const struct queue_handler civic_jobs_table[] = {
    {.kind = "comment.created",    .run = run_comment, .commit = commit_comment, .done = done_comment_created},
    {.kind = "comment.notify",     .run = run_comment, .commit = commit_comment, .done = done_told},
    {.kind = "comment.voted",      .run = run_simple,                            .done = done_voted},
    {.kind = "proposal.supported", .run = run_simple,                            .done = done_supported},
    {.kind = "proposal.signed",    .run = run_simple,  .commit = commit_signed,  .done = done_told},
    {.kind = "proposal.reached",   .run = run_reached, .commit = commit_reached, .done = done_told},
    {.kind = "voting.tally",       .run = run_simple,                            .done = done_tally},
    {.kind = "civic.prune",        .run = run_simple,  .commit = commit_prune},
};
/* clang-format on */
const size_t civic_jobs_count = sizeof(civic_jobs_table) / sizeof(civic_jobs_table[0]);

void civic_jobs_bind(struct civic_jobs *jobs, struct queue_handler *out)
{
    pthread_mutex_init(&jobs->mutex, NULL);
    for (size_t i = 0; i < civic_jobs_count; i++) {
        out[i] = civic_jobs_table[i];
        out[i].ctx = jobs;
    }
}
