/* cli_queue_batch.c -- batches and graphs of jobs from the shell: found, seen, cancelled. */
#include <stdio.h>

#include "cli/cli_queue.h"
#include "cli/cli_table.h"
#include "core/clock.h"
#include "queue/queue_admin_batch.h"
#include "queue/queue_admin_json.h"

enum { MAX_JOBS = 200 }; // of a batch that is shown

static const struct conf_option list_options[] = {
    CLI_QUEUE_CONFIG,
    CLI_QUEUE_DATA,
    CLI_QUEUE_SWITCH("unfinished", is_unfinished, "only those that are not finished"),
    {.name = "limit",
     .kind = CONF_INT,
     .value = "100",
     .min = 1,
     .max = QUEUE_ADMIN_BATCH_MAX,
     .help = "at most so many",
     .at = CLI_QUEUE_AT(limit)},
    CLI_QUEUE_TEXT("after", after, "ID", "go on where a list ended"),
    CLI_QUEUE_JSON,
};
const struct conf_table cli_queue_batch_list_options = {list_options, sizeof(list_options) /
                                                                          sizeof(list_options[0])};

/* ---- list ---- */

struct listing {
    struct arena *arena;
    int64_t after;
    bool is_unfinished;
    size_t limit;
    struct queue_admin_batches list;
};

static enum err list_fn(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return queue_admin_batch_list(tx, l->after, l->is_unfinished, l->limit, l->arena, &l->list);
}

static int print_list(const struct cli_queue_call *call, const struct listing *l)
{
    static const char *const names[] = {"id",   "name",   "state",     "total",   "pending",
                                        "done", "failed", "cancelled", "created", NULL};
    cJSON *root = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(root, "batches");
    int64_t last = l->list.count > 0 ? l->list.at[l->list.count - 1].batch.id : 0;
    for (size_t i = 0; i < l->list.count; i++) {
        char created[21];
        cJSON *row = queue_admin_json_batch(&l->list.at[i].batch, l->list.at[i].name);
        clock_iso(l->list.at[i].batch.created_at_ms, created);
        if (!call->target->is_json)
            cJSON_AddStringToObject(row, "created", created);
        cJSON_AddItemToArray(rows, row);
    }
    if (l->list.has_more)
        cJSON_AddNumberToObject(root, "next", (double)last);
    else
        cJSON_AddNullToObject(root, "next");
    int status = CLI_DONE;
    if (call->target->is_json) {
        status = cli_queue_print(root);
    } else {
        cli_table_print(rows, names);
        if (l->list.has_more)
            printf("more: --after %lld\n", (long long)last);
    }
    cJSON_Delete(root);
    return status;
}

static int parse_batch(const char *text, int64_t *out)
{
    if (str_parse_int(str_of(text), out) == OK && *out > 0)
        return CLI_DONE;
    return cli_fail(CLI_USAGE, "'%.100s' is not the number of a batch", text);
}

static int list(struct cli_queue_call *call)
{
    struct listing l = {.arena = call->arena,
                        .is_unfinished = call->target->is_unfinished,
                        .limit = (size_t)call->target->limit};
    if (call->target->after[0]) {
        int status = parse_batch(call->target->after, &l.after);
        if (status != CLI_DONE)
            return status;
    }
    enum err err = store_read(call->store, list_fn, &l);
    return err ? cli_fail(CLI_FAILED, "cannot read: %s", store_err_text(err))
               : print_list(call, &l);
}

/* ---- show ---- */

struct showing {
    struct arena *arena;
    int64_t id;
    struct queue_held held;
    struct queue_admin_batch batch;
    struct queue_admin_list jobs;
    struct queue_admin_show *shows; // of each of them
};

static enum err show_fn(struct store_tx *tx, void *arg)
{
    struct showing *s = arg;
    const struct queue_admin_list_filter filter = {.state = QUEUE_ADMIN_LIST_ANY,
                                                   .batch_id = s->id};
    const struct queue_admin_list_page page = {.limit = MAX_JOBS};
    enum err err = queue_admin_batch_get(tx, s->id, s->arena, &s->batch);
    if (!err)
        err = queue_admin_list(tx, &filter, &s->held, &page, s->arena, &s->jobs);
    s->shows = arena_alloc(s->arena, MAX_JOBS * sizeof(*s->shows));
    for (size_t i = 0; !err && i < s->jobs.count; i++)
        err = queue_admin_show(tx, s->jobs.jobs[i].id, &s->held, s->arena, &s->shows[i]);
    return err;
}

static void add_job(cJSON *rows, const struct queue_admin_show *show)
{
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(rows, row);
    cJSON_AddNumberToObject(row, "id", (double)show->job.id);
    queue_admin_json_add(row, "queue", show->job.queue);
    queue_admin_json_add(row, "kind", show->job.kind);
    queue_admin_json_add(row, "state", str_of(queue_admin_list_state_text(show->job.state)));
    cJSON_AddNumberToObject(row, "attempts", show->job.attempt);
    cJSON *needs = cJSON_AddArrayToObject(row, "needs");
    for (size_t i = 0; i < show->needs.count; i++)
        cJSON_AddItemToArray(needs, cJSON_CreateNumber((double)show->needs.at[i].id));
    if (show->job.error.at)
        queue_admin_json_add(row, "error", show->job.error);
}

static int show(struct cli_queue_call *call)
{
    struct showing s = {.arena = call->arena};
    int status = parse_batch(call->words.at[0], &s.id);
    if (status == CLI_DONE)
        status = cli_queue_held(call, &s.held);
    if (status != CLI_DONE)
        return status;
    enum err err = store_read(call->store, show_fn, &s);
    if (err == ERR_NOT_FOUND)
        return cli_fail(CLI_FAILED, "there is no batch %lld; it may be forgotten", (long long)s.id);
    if (err)
        return cli_fail(CLI_FAILED, "cannot read: %s", store_err_text(err));
    cJSON *root = queue_admin_json_batch(&s.batch.batch, s.batch.name);
    cJSON *rows = cJSON_AddArrayToObject(root, "jobs");
    for (size_t i = 0; i < s.jobs.count; i++)
        add_job(rows, &s.shows[i]);
    cJSON_AddBoolToObject(root, "has_more", s.jobs.has_more);
    return cli_queue_show_print(call, root);
}

/* ---- cancel ---- */

static enum err cancel_fn(struct store_tx *tx, void *arg)
{
    return queue_batch_cancel(tx, *(const int64_t *)arg);
}

static int cancel_one(const struct cli_queue_call *call, const char *word, cJSON *rows)
{
    int64_t id = 0;
    int status = parse_batch(word, &id);
    if (status != CLI_DONE)
        return status;
    enum err err = store_write_wait(call->store, cancel_fn, &id);
    const char *why = err == ERR_NOT_FOUND  ? "there is none; it may be forgotten"
                      : err == ERR_CONFLICT ? "it is finished"
                                            : store_err_text(err);
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(rows, row);
    cJSON_AddNumberToObject(row, "id", (double)id);
    cJSON_AddBoolToObject(row, "done", !err);
    if (!err && !call->target->is_json)
        printf("batch %lld is cancelled\n", (long long)id);
    if (!err)
        return CLI_DONE;
    cJSON_AddStringToObject(row, "why", why);
    return cli_fail(CLI_FAILED, "batch %lld: %s", (long long)id, why);
}

/* All of them, also when one is refused. */
static int cancel(struct cli_queue_call *call)
{
    cJSON *root = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(root, "batches");
    int status = CLI_DONE;
    for (size_t i = 0; i < call->words.count; i++) {
        int one = cancel_one(call, call->words.at[i], rows);
        status = one > status ? one : status;
    }
    if (call->target->is_json)
        (void)cli_queue_print(root); // it has said so
    cJSON_Delete(root);
    return status;
}

int cli_queue_batch_list(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, list);
}

int cli_queue_batch_show(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, show);
}

int cli_queue_batch_cancel(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, cancel);
}
