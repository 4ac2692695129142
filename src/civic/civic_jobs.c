#include "civic/civic_jobs.h"

#include <inttypes.h>

#include "civic/civic_follow.h"
#include "civic/civic_idempotency.h"
#include "civic/civic_job.h"
#include "civic/civic_markdown.h"
#include "civic/civic_session.h"
#include "civic/civic_view.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "queue/queue_periodic.h"

enum {
    MAX_EVENT_BYTES = 512 * 1024, // a comment's text, its HTML, escaped
    PRUNE_LIMIT = 1000,
};

/* Who is told, and what the bell says then. */
struct told {
    struct civic_notification_new notification;
    int64_t id, unread;
};

/* What a commit found out for its announcement; in the job's arena. */
struct task {
    struct civic_jobs *jobs;
    struct arena *arena;
    struct civic_job job;
    struct civic_comment comment;
    struct civic_proposal_gate gate;
    struct told *told;
    struct civic_notification first; // of told; the others differ in id and kind
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
    for (size_t i = 0; i < task->told_count && i < 2; i++) // followers are unlike each other
        if (task->told[i].notification.user_id == user_id)
            return;
    task->told[task->told_count++].notification = (struct civic_notification_new){
        .user_id = user_id,
        .kind = kind,
        .actor_id = actor_id,
        .proposal_id = task->gate.id,
        .comment_id = task->comment.id,
    };
}

/* Two who are concerned themselves (0: nobody), then the next slice of the followers. */
struct audience {
    struct {
        int64_t user_id;
        const char *kind;
    } first[2];
    const char *kind; // for followers
    int64_t actor_id;
    bool is_slice; // the first two were told before
};

static enum err tell_all(struct store_tx *tx, struct task *task, const struct audience *who)
{
    int64_t ids[CIVIC_JOBS_SLICE];
    size_t count = 0;
    enum err err =
        civic_follow_list(tx, task->gate.id, task->job.after, ids, CIVIC_JOBS_SLICE, &count);
    if (err)
        return err;
    task->told = arena_alloc(task->arena, (count + 2) * sizeof(*task->told));
    task->told_count = 0;
    task->after = count == CIVIC_JOBS_SLICE ? ids[count - 1] : 0;
    for (size_t i = 0; i < 2 && !who->is_slice; i++)
        tell(task, who->first[i].user_id, who->first[i].kind, who->actor_id);
    for (size_t i = 0; i < count; i++)
        if (ids[i] != who->first[0].user_id && ids[i] != who->first[1].user_id)
            tell(task, ids[i], who->kind, who->actor_id);
    return OK;
}

/* Writes the notifications, and reads what their announcement says while the rows are at hand: a
 * reader would have to fetch them again, for every job. */
static enum err write_told(struct store_tx *tx, struct task *task)
{
    for (size_t i = 0; i < task->told_count; i++) {
        struct told *t = &task->told[i];
        enum err err = civic_notification_create(tx, &t->notification, &t->id);
        if (!err)
            err = civic_notification_unread(tx, t->notification.user_id, &t->unread);
        if (err)
            return err;
    }
    return task->told_count == 0
               ? OK
               : civic_notification_find(tx, task->told[0].id, task->arena, &task->first, NULL);
}

/* ---- announcing ---- */
static struct str text_of(const struct buf *text)
{
    return (struct str){(const char *)buf_head(text), buf_len(text)};
}

static void log_too_large(void)
{
    log_error("at=civic_jobs.print why=\"event too large\"");
}

/* Takes data. */
static struct str print(cJSON *data, struct arena *a)
{
    struct buf text;
    struct str out = {0};
    buf_init(&text, MAX_EVENT_BYTES);
    if (json_print(data, &text))
        log_too_large();
    else
        out = arena_str(a, text_of(&text));
    buf_done(&text);
    cJSON_Delete(data);
    return out;
}

static void announce_told(struct task *task)
{
    const struct civic_announcer *announcer = task->jobs->announcer;
    struct buf text;
    buf_init(&text, MAX_EVENT_BYTES);
    for (size_t i = 0; i < task->told_count; i++) {
        const struct told *t = &task->told[i];
        struct civic_notification n = task->first;
        n.id = t->id;
        n.kind = str_of(t->notification.kind);
        struct str channel =
            arena_printf(task->arena, "private-user.%" PRId64, t->notification.user_id);
        buf_trim(&text, buf_len(&text));
        if (civic_view_write_told(&n, t->unread, &text))
            log_too_large();
        else
            announcer->event(announcer->ctx, channel, STR("notification.created"), text_of(&text));
    }
    buf_done(&text);
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

/* Nothing slow to do before the commit: rows are read there, values when they are announced. */
static enum err run(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct task *task = NULL;
    return begin(job, ctx, &task, why_out);
}

/* ---- comment.created, comment.notify ---- */
static enum err find_comment(struct store_tx *tx, struct task *task, struct str kind)
{
    struct civic_comment parent = {0};
    const char *why = NULL;
    enum err err = civic_comment_find(tx, task->job.id, task->arena, &task->comment);
    if (!err)
        err = civic_proposal_enter(tx, &reader, task->comment.proposal_id, CIVIC_READ, &task->gate,
                                   &why);
    if (!err && task->comment.parent_id)
        err = civic_comment_find(tx, task->comment.parent_id, task->arena, &parent);
    if (err)
        return err;
    const struct audience who = {
        .first = {{parent.author.id, "reply"}, {task->gate.author_id, "comment"}},
        .kind = "comment",
        .actor_id = task->comment.author.id,
        .is_slice = str_eq(kind, STR("comment.notify")),
    };
    return tell_all(tx, task, &who);
}

static enum err commit_comment(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    struct task *task = job->user;
    enum err err = find_comment(tx, task, job->kind);
    if (!err)
        err = write_told(tx, task);
    if (!err && task->after)
        err = civic_job_enqueue(tx, "comment.notify",
                                (struct civic_job){.id = task->job.id, .after = task->after});
    return err;
}

static void done_comment_created(struct queue_job *job, void *ctx)
{
    struct civic_jobs *jobs = ctx;
    struct task *task = job->user;
    const struct civic_comment *comment = &task->comment;
    struct str html = civic_markdown_html(comment->body, task->arena);
    struct buf text;
    buf_init(&text, MAX_EVENT_BYTES);
    if (civic_view_write_comment(comment, html, CIVIC_VIEW_FOR_EVERYONE, &text))
        log_too_large();
    else
        jobs->announcer->event(
            jobs->announcer->ctx,
            civic_proposal_channel(task->gate.id, task->gate.is_members_only, task->arena),
            STR("comment.created"), text_of(&text));
    buf_done(&text);
    announce_told(task);
}

static void done_told(struct queue_job *job, void *ctx)
{
    (void)ctx;
    announce_told(job->user);
}

/* ---- proposal.reached, proposal.signed ---- */
static enum err find_reached(struct store_tx *tx, struct task *task)
{
    const char *why = NULL;
    enum err err = civic_proposal_enter(tx, &reader, task->job.id, CIVIC_READ, &task->gate, &why);
    if (err)
        return err;
    const struct audience who = {
        .first = {{task->gate.author_id, "reached"}},
        .kind = "reached",
        .actor_id = task->job.actor_id,
        .is_slice = task->job.after != 0,
    };
    return tell_all(tx, task, &who);
}

static enum err commit_reached(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    (void)ctx;
    struct task *task = job->user;
    enum err err = find_reached(tx, task);
    if (!err)
        err = write_told(tx, task);
    struct civic_job next = task->job;
    next.after = task->after;
    return !err && next.after ? civic_job_enqueue(tx, "proposal.reached", next) : err;
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
        err = civic_notification_has_support(tx, task->gate.author_id, task->gate.id, &is_waiting);
    if (err || is_waiting)
        return err;
    task->told = ARENA_NEW(task->arena, struct told);
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
    return is_more ? civic_job_enqueue(tx, "civic.prune", (struct civic_job){0}) : OK;
}

/* ---- what comes again ---- */
static const struct queue_periodic periodic[] = {
    {.name = {"civic.prune", 11},
     .cron = {"*/10 * * * *", 12},
     .kind = {"civic.prune", 11},
     .payload = {"{\"id\":0,\"actor_id\":0,\"after\":0}", 31},
     .overlap = QUEUE_OVERLAP_SKIP},
};

static enum err declare(struct store_tx *tx, void *arg)
{
    const bool *runs_jobs = arg;
    struct str why;
    size_t bad, count = sizeof(periodic) / sizeof(periodic[0]);
    return queue_periodic_sync(tx, STR("viche"), periodic, *runs_jobs ? count : 0, &why, &bad);
}

enum err civic_jobs_start(struct store *store, bool runs_jobs)
{
    return store_write_wait(store, declare, &runs_jobs);
}

/* clang-format off */
const struct queue_handler civic_jobs_table[] = {
    {.kind = "comment.created",    .run = run, .commit = commit_comment, .done = done_comment_created},
    {.kind = "comment.notify",     .run = run, .commit = commit_comment, .done = done_told},
    {.kind = "comment.voted",      .run = run,                            .done = done_voted},
    {.kind = "proposal.supported", .run = run,                            .done = done_supported},
    {.kind = "proposal.signed",    .run = run,  .commit = commit_signed,  .done = done_told},
    {.kind = "proposal.reached",   .run = run, .commit = commit_reached, .done = done_told},
    {.kind = "voting.tally",       .run = run,                            .done = done_tally},
    {.kind = "civic.prune",        .run = run,  .commit = commit_prune},
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
