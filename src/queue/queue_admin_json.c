#include "queue/queue_admin_json.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "queue/queue_admin_batch.h"

static const char *const when_names[] = {
    [QUEUE_ON_SUCCESS] = "success", [QUEUE_ON_FINISH] = "finish", [QUEUE_ON_FAILURE] = "failure"};

/* ---- texts ---- */

/* The caller frees it. */
static char *mend(struct str text)
{
    static const char bad[] = "\xef\xbf\xbd";
    enum { BAD_BYTES = sizeof(bad) - 1 };
    char *out = mem_zalloc(text.len * BAD_BYTES + 1), *end = out;
    while (text.len > 0) {
        uint32_t code = 0;
        size_t len = utf8_first(text, &code), step = len > 0 ? len : 1;
        bool is_bad = len == 0 || code == 0; // cJSON's texts end at a NUL
        memcpy(end, is_bad ? bad : text.at, is_bad ? BAD_BYTES : len);
        end += is_bad ? BAD_BYTES : len;
        text = (struct str){text.at + step, text.len - step};
    }
    return out;
}

void queue_admin_json_add(cJSON *object, const char *name, struct str text)
{
    char *whole = mend(text);
    CHECK(cJSON_AddStringToObject(object, name, whole));
    mem_free(whole);
}

static void add_text(cJSON *object, const char *name, struct str text)
{
    if (text.len > 0)
        queue_admin_json_add(object, name, text);
}

static void add_number(cJSON *object, const char *name, int64_t number)
{
    CHECK(cJSON_AddNumberToObject(object, name, (double)number));
}

static void add_given(cJSON *object, const char *name, int64_t number)
{
    if (number != 0)
        add_number(object, name, number);
}

void queue_admin_json_add_value(cJSON *object, const char *name, struct str text)
{
    if (json_scan_document(text) != OK) {
        queue_admin_json_add(object, name, text);
        return;
    }
    char *raw = str_dup(text);
    CHECK(cJSON_AddRawToObject(object, name, raw));
    mem_free(raw);
}

/* ---- a job ---- */

static void add_state(cJSON *row, const struct queue_admin_job *job)
{
    queue_admin_json_add(row, "state", str_of(queue_admin_list_state_text(job->state)));
    switch (job->state) {
    case QUEUE_RUNNING:
        add_given(row, "lease_until_ms", job->at_ms);
        break;
    case QUEUE_DEAD:
    case QUEUE_DONE_STATE:
    case QUEUE_CANCELLED:
        add_number(row, "kept_until_ms", job->at_ms);
        break;
    case QUEUE_READY:
    case QUEUE_SCHEDULED:
    case QUEUE_WAITING:
        break;
    }
}

cJSON *queue_admin_json_job(const struct queue_admin_job *job)
{
    cJSON *row = cJSON_CreateObject();
    CHECK(row);
    add_number(row, "id", job->id);
    queue_admin_json_add(row, "queue", job->queue);
    queue_admin_json_add(row, "kind", job->kind);
    add_state(row, job);
    add_number(row, "epoch", job->epoch);
    add_number(row, "attempts", job->attempt);
    add_number(row, "crashes", job->crash);
    add_number(row, "created_at_ms", job->created_at_ms);
    add_number(row, "run_at_ms", job->run_at_ms);
    add_text(row, "unique_key", job->unique_key);
    if (!job->is_cut)
        queue_admin_json_add_value(row, "payload", job->payload);
    else
        queue_admin_json_add(row, "payload", job->payload);
    add_number(row, "payload_bytes", (int64_t)job->payload_bytes);
    if (job->error.at)
        queue_admin_json_add(row, "error", job->error);
    return row;
}

/* ---- its story ---- */

static cJSON *add_list(cJSON *root, const char *name)
{
    cJSON *list = cJSON_AddArrayToObject(root, name);
    CHECK(list);
    return list;
}

static cJSON *add_row(cJSON *list)
{
    cJSON *row = cJSON_CreateObject();
    CHECK(row && cJSON_AddItemToArray(list, row));
    return row;
}

/* Mostly there is one. */
static void add_idempotency(cJSON *root, const struct queue_admin_show *show)
{
    if (show->idempotency_count == 0)
        return;
    add_text(root, "idempotency_key", show->idempotency[0].key);
    add_number(root, "idempotency_until_ms", show->idempotency[0].until_ms);
    if (show->idempotency_count == 1)
        return;
    cJSON *others = add_list(root, "other_idempotency_keys");
    for (size_t i = 1; i < show->idempotency_count; i++) {
        cJSON *row = add_row(others);
        add_text(row, "key", show->idempotency[i].key);
        add_number(row, "until_ms", show->idempotency[i].until_ms);
    }
}

static void add_wishes(cJSON *root, const struct queue_admin_show *show)
{
    add_given(root, "priority", show->priority);
    add_text(root, "key", show->key);
    add_given(root, "weight", show->weight);
    add_given(root, "max_attempts", show->max_attempts);
    add_given(root, "deadline_ms", show->deadline_ms);
    add_given(root, "timeout_ms", show->timeout_ms);
    add_given(root, "keep_ms", show->keep_ms);
    add_text(root, "trace", show->trace);
    add_text(root, "seal", show->seal);
    add_given(root, "parent", show->parent_id);
    if (show->job.unique_key.len > 0)
        cJSON_AddBoolToObject(root, "holds_unique_key", show->holds_key);
    add_idempotency(root, show);
    cJSON *tags = add_list(root, "tags");
    for (size_t i = 0; i < show->tag_count; i++) {
        char *tag = mend(show->tags[i]);
        cJSON_AddItemToArray(tags, cJSON_CreateString(tag));
        mem_free(tag);
    }
}

static void add_run(cJSON *root, const struct queue_admin_show *show)
{
    add_given(root, "started_at_ms", show->started_at_ms);
    add_given(root, "finished_at_ms", show->finished_at_ms);
    add_given(root, "cancel_at_ms", show->cancel_at_ms);
    add_text(root, "worker", show->worker);
    if (show->percent >= 0)
        add_number(root, "percent", show->percent);
    add_text(root, "progress", show->progress);
    if (show->result.at)
        queue_admin_json_add_value(root, "result", show->result);
}

static void add_history(cJSON *root, const struct queue_admin_show *show)
{
    cJSON *errors = add_list(root, "errors"), *log = add_list(root, "log"),
          *steps = add_list(root, "steps");
    for (size_t i = 0; i < show->error_count; i++) {
        cJSON *row = add_row(errors);
        add_number(row, "n", show->errors[i].n);
        add_number(row, "at_ms", show->errors[i].at_ms);
        add_number(row, "attempt", show->errors[i].attempt);
        queue_admin_json_add(row, "class", show->errors[i].class);
        queue_admin_json_add(row, "text", show->errors[i].text);
    }
    for (size_t i = 0; i < show->log_count; i++) {
        cJSON *row = add_row(log);
        add_number(row, "at_ms", show->log[i].at_ms);
        queue_admin_json_add(row, "text", show->log[i].text);
    }
    for (size_t i = 0; i < show->step_count; i++) {
        cJSON *row = add_row(steps);
        queue_admin_json_add(row, "name", show->steps[i].name);
        add_number(row, "at_ms", show->steps[i].at_ms);
        if (show->steps[i].result.at)
            queue_admin_json_add_value(row, "result", show->steps[i].result);
    }
}

cJSON *queue_admin_json_batch(const struct queue_batch *b, struct str name)
{
    cJSON *row = cJSON_CreateObject();
    CHECK(row);
    add_number(row, "id", b->id);
    queue_admin_json_add(row, "name", name);
    queue_admin_json_add(row, "state", str_of(queue_admin_batch_state_text(b)));
    add_number(row, "total", b->total);
    add_number(row, "pending", b->pending);
    add_number(row, "done", b->done);
    add_number(row, "failed", b->failed);
    add_number(row, "cancelled", b->cancelled);
    cJSON_AddBoolToObject(row, "is_closed", b->is_closed);
    cJSON_AddBoolToObject(row, "is_finished", b->is_finished);
    cJSON_AddBoolToObject(row, "is_cancelled", b->is_cancelled);
    add_number(row, "created_at_ms", b->created_at_ms);
    add_given(row, "finished_at_ms", b->finished_at_ms);
    return row;
}

static void add_batch(cJSON *root, const struct queue_admin_show *show)
{
    if (show->batch_id == 0)
        return;
    if (show->batch.id > 0)
        cJSON_AddItemToObject(root, "batch",
                              queue_admin_json_batch(&show->batch, show->batch_name));
    else // it is forgotten
        add_number(cJSON_AddObjectToObject(root, "batch"), "id", show->batch_id);
}

static void add_neighbours(cJSON *root, const char *name,
                           const struct queue_admin_neighbours *neighbours)
{
    cJSON *list = add_list(root, name);
    for (size_t i = 0; i < neighbours->count; i++) {
        const struct queue_admin_neighbour *n = &neighbours->at[i];
        cJSON *row = add_row(list);
        add_number(row, "id", n->id);
        if (n->kind.at)
            queue_admin_json_add(row, "kind", n->kind);
        queue_admin_json_add(row, "state",
                             str_of(n->is_gone ? "gone" : queue_admin_list_state_text(n->state)));
        if ((size_t)n->when < sizeof(when_names) / sizeof(when_names[0]))
            queue_admin_json_add(row, "when", str_of(when_names[n->when]));
        queue_admin_json_add(row, "edge",
                             str_of(n->is_met      ? "met"
                                    : n->is_broken ? "broken"
                                                   : "open"));
    }
}

cJSON *queue_admin_json_show(const struct queue_admin_show *show)
{
    cJSON *root = queue_admin_json_job(&show->job);
    add_wishes(root, show);
    add_run(root, show);
    add_history(root, show);
    add_batch(root, show);
    add_neighbours(root, "needs", &show->needs);
    add_neighbours(root, "needed_by", &show->needed_by);
    if (show->has_more_steps || show->needs.has_more || show->needed_by.has_more)
        cJSON_AddBoolToObject(root, "has_more", true);
    return root;
}
