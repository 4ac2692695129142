#include "queue/queue_admin_limit.h"

#include <stdio.h>

#include "core/conf.h"
#include "queue/queue_internal.h"

#define COLUMNS "id, name, max_running, rate, rate_ms, burst, running"
#define HAS_OWN "(max_running IS NOT NULL OR rate IS NOT NULL)"

enum { SECOND_MS = 1000, MAX_TIME_BYTES = 15 };

enum err queue_admin_limit_parse_rate(struct str text, int64_t *jobs_out, int64_t *ms_out)
{
    char one[1 + MAX_TIME_BYTES + 1]; // "1m" of "m"
    struct str time, jobs = str_cut(text, '/', &time);
    bool has_time = jobs.len < text.len;
    if (str_parse_int(jobs, jobs_out) || *jobs_out < 0 || *jobs_out > INT32_MAX ||
        time.len > MAX_TIME_BYTES)
        return ERR_INVALID;
    *ms_out = SECOND_MS;
    if (!has_time)
        return OK;
    snprintf(one, sizeof(one), "1%.*s", STR_ARG(time));
    bool is_unit = time.len > 0 && (time.at[0] < '0' || time.at[0] > '9');
    enum err err = conf_parse_duration(is_unit ? str_of(one) : time, ms_out);
    return err || *ms_out <= 0 || *ms_out > QUEUE_MAX_MS ? ERR_INVALID : OK;
}

struct str queue_admin_limit_rate_text(int64_t jobs, int64_t ms, struct arena *a)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {SECOND_MS, "s"}, {1, "ms"}};
    size_t i = 0;
    if (jobs == 0)
        return STR("0");
    ms = ms > 0 ? ms : SECOND_MS;
    while (ms % units[i].ms != 0)
        i++;
    int64_t count = ms / units[i].ms;
    return count == 1
               ? arena_printf(a, "%lld/%s", (long long)jobs, units[i].name)
               : arena_printf(a, "%lld/%lld%s", (long long)jobs, (long long)count, units[i].name);
}

static int or_queue(struct store_stmt *st, int column)
{
    return store_column_is_null(st, column) ? -1 : (int)store_column_int(st, column);
}

static int64_t read_key(struct store_stmt *st, struct arena *a, struct queue_admin_limit_key *out)
{
    *out = (struct queue_admin_limit_key){
        .name = arena_str(a, store_column_text(st, 1)),
        .limits = {.max_running = or_queue(st, 2),
                   .rate = or_queue(st, 3),
                   .rate_ms = store_column_int(st, 4),
                   .burst = (int)store_column_int(st, 5)},
        .running = store_column_int(st, 6),
    };
    return store_column_int(st, 0);
}

static enum err count_waiting(struct store_tx *tx, int64_t key_id, int64_t *out)
{
    return queue_row_ask(
        tx, "SELECT count(*) FROM job_option WHERE key_id = $1 AND waits_for_key = 1", key_id, out);
}

enum err queue_admin_limit_get_key(struct store_tx *tx, struct str queue, struct str key,
                                   struct arena *a, struct queue_admin_limit_key *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "SELECT " COLUMNS " FROM job_key WHERE queue = $1 AND name = $2 AND " HAS_OWN, &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_text(st, 2, key);
    err = store_step(st);
    int64_t id = err ? 0 : read_key(st, a, out);
    store_finish(st);
    return err ? err : count_waiting(tx, id, &out->waiting);
}

static enum err read_keys(struct store_tx *tx, struct arena *a, struct queue_admin_limit *out)
{
    enum { MAX = QUEUE_ADMIN_LIMIT_MAX };
    struct store_stmt *st;
    int64_t *ids = arena_alloc(a, MAX * sizeof(*ids));
    enum err err = store_prepare(
        tx, "SELECT " COLUMNS " FROM job_key WHERE queue = $1 AND " HAS_OWN " ORDER BY name", &st);
    if (err)
        return err;
    store_bind_text(st, 1, out->queue);
    out->keys = arena_alloc(a, MAX * sizeof(*out->keys));
    while (!(err = store_step(st))) {
        out->has_more = out->key_count == MAX;
        if (out->has_more)
            break;
        ids[out->key_count] = read_key(st, a, &out->keys[out->key_count]);
        out->key_count++;
    }
    store_finish(st);
    err = err == ERR_NOT_FOUND ? OK : err;
    for (size_t i = 0; i < out->key_count && !err; i++)
        err = count_waiting(tx, ids[i], &out->keys[i].waiting);
    return err;
}

enum err queue_admin_limit_get_set(struct store_tx *tx, struct str queue, struct queue_limits *out)
{
    enum err err = queue_get_limits(tx, queue, out);
    if (!err && out->keep_dead_ms == QUEUE_KEEP_DEAD_MS)
        out->keep_dead_ms = 0;
    return err;
}

enum err queue_admin_limit_get(struct store_tx *tx, struct str queue, struct arena *a,
                               struct queue_admin_limit *out)
{
    *out = (struct queue_admin_limit){.queue = arena_str(a, queue)};
    enum err err = queue_get_limits(tx, queue, &out->limits);
    return err ? err : read_keys(tx, a, out);
}

enum err queue_admin_limit_list(struct store_tx *tx, struct arena *a,
                                struct queue_admin_limits *out)
{
    enum { MAX = QUEUE_ADMIN_LIMIT_MAX };
    struct store_stmt *st;
    *out = (struct queue_admin_limits){.at = arena_alloc(a, MAX * sizeof(*out->at))};
    enum err err = store_prepare(
        tx,
        "SELECT name FROM job_queue WHERE max_running > 0 OR rate > 0 OR key_max_running > 0 OR "
        "key_rate > 0 OR keep_done_count > 0 OR keep_dead_count > 0 OR keep_dead_ms > 0 OR "
        "retry_percent > 0 UNION SELECT queue FROM job_key WHERE " HAS_OWN " ORDER BY 1",
        &st);
    if (err)
        return err;
    while (!(err = store_step(st))) {
        out->has_more = out->count == MAX;
        if (out->has_more)
            break;
        out->at[out->count++].queue = arena_str(a, store_column_text(st, 0));
    }
    store_finish(st);
    err = err == ERR_NOT_FOUND ? OK : err;
    for (size_t i = 0; i < out->count && !err; i++)
        err = queue_admin_limit_get(tx, out->at[i].queue, a, &out->at[i]);
    return err;
}
