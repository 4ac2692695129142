#include "civic/civic_job.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/json.h"

enum { PAYLOAD_BYTES = 128, KEY_BYTES = 128 };

static enum err enqueue(struct store_tx *tx, const char *kind, struct civic_job job,
                        struct str unique_key, int64_t run_at_ms)
{
    char payload[PAYLOAD_BYTES];
    int len = snprintf(payload, sizeof(payload),
                       "{\"id\":%" PRId64 ",\"actor_id\":%" PRId64 ",\"after\":%" PRId64 "}",
                       job.id, job.actor_id, job.after);
    const struct queue_new row = {
        .kind = str_of(kind),
        .payload = {payload, (size_t)len},
        .unique_key = unique_key,
        .run_at_ms = run_at_ms,
    };
    return queue_enqueue(tx, &row, NULL);
}

enum err civic_job_enqueue(struct store_tx *tx, const char *kind, struct civic_job job)
{
    return enqueue(tx, kind, job, (struct str){0}, 0);
}

enum err civic_job_enqueue_once(struct store_tx *tx, const char *kind, struct civic_job job,
                                int64_t run_at_ms)
{
    char key[KEY_BYTES];
    int len = snprintf(key, sizeof(key), "%s:%" PRId64 ":%" PRId64, kind, job.id, run_at_ms);
    return enqueue(tx, kind, job, (struct str){key, (size_t)len}, run_at_ms);
}

static enum err read_int(const struct json_field *fields, size_t count, struct str name,
                         int64_t *out)
{
    const struct json_slice *value = json_field_find(fields, count, name);
    return value && value->kind == JSON_NUMBER ? json_slice_int(value, out) : ERR_INVALID;
}

enum err civic_job_parse(struct str payload, struct civic_job *out)
{
    struct json_field fields[8];
    size_t count = 0;
    struct civic_job job;
    if (json_scan_object(payload, fields, 8, &count))
        return ERR_INVALID;
    if (read_int(fields, count, STR("id"), &job.id) ||
        read_int(fields, count, STR("actor_id"), &job.actor_id) ||
        read_int(fields, count, STR("after"), &job.after))
        return ERR_INVALID;
    *out = job;
    return OK;
}
