#include "queue/queue_admin.h"

/* ---- numbers ---- */

static const char count_sql[] =
    "SELECT queue, sum(ready), sum(scheduled), sum(running), sum(dead), min(first_ms) FROM ("
    "SELECT queue, count(*) AS ready, 0 AS scheduled, 0 AS running, 0 AS dead, min(rank) / 64 AS "
    "first_ms FROM job WHERE state = 0 GROUP BY queue "
    "UNION ALL SELECT queue, sum(CASE WHEN at_ms <= $1 THEN 1 ELSE 0 END), "
    "sum(CASE WHEN at_ms > $1 THEN 1 ELSE 0 END), 0, 0, "
    "CASE WHEN min(at_ms) <= $1 THEN min(at_ms) END "
    "FROM job WHERE state > 0 AND state = 3 GROUP BY queue "
    "UNION ALL SELECT queue, 0, 0, count(*), 0, NULL FROM job WHERE state > 0 AND state = 1 GROUP "
    "BY queue "
    "UNION ALL SELECT queue, 0, 0, 0, count(*), NULL FROM job WHERE state > 0 AND state = 2 GROUP "
    "BY queue "
    "UNION ALL SELECT $2, 0, 0, 0, 0, NULL) AS part GROUP BY queue ORDER BY queue";

static int64_t age_ms(const struct store_tx *tx, int64_t since_ms)
{
    int64_t age = store_now_ms(tx) - since_ms;
    return since_ms > 0 && age > 0 ? age : 0;
}

static enum err count_rows(struct store_tx *tx, struct arena *a, struct queue_admin_counts *out)
{
    enum { FIRST_CAP = 16 };
    struct store_stmt *st;
    size_t cap = 0;
    enum err err = store_prepare(tx, count_sql, &st);
    if (err)
        return err;
    *out = (struct queue_admin_counts){0};
    store_bind_int(st, 1, store_now_ms(tx));
    store_bind_text(st, 2, STR(QUEUE_DEFAULT));
    while (!(err = store_step(st))) {
        if (out->count == cap) {
            cap = cap > 0 ? cap * 2 : FIRST_CAP;
            struct queue_admin_count *grown = arena_alloc(a, cap * sizeof(*grown));
            if (out->count > 0)
                memcpy(grown, out->at, out->count * sizeof(*grown));
            out->at = grown;
        }
        out->at[out->count++] = (struct queue_admin_count){
            .name = arena_str(a, store_column_text(st, 0)),
            .ready = store_column_int(st, 1),
            .scheduled = store_column_int(st, 2),
            .running = store_column_int(st, 3),
            .dead = store_column_int(st, 4),
            .oldest_ready_ms = age_ms(tx, store_column_int(st, 5)),
        };
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

static struct queue_admin_count *find_count(const struct queue_admin_counts *counts,
                                            struct str name)
{
    for (size_t i = 0; i < counts->count; i++)
        if (str_eq(counts->at[i].name, name))
            return &counts->at[i];
    return NULL;
}

/* A job that runs, though its row is ready. */
static enum err count_held(struct store_tx *tx, int64_t id, const struct queue_admin_counts *counts)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "SELECT queue FROM job WHERE id = $1 AND state = 0", &st);
    if (err)
        return err;
    store_bind_int(st, 1, id);
    err = store_step(st);
    if (!err) {
        struct queue_admin_count *count = find_count(counts, store_column_text(st, 0));
        if (count && count->ready > 0) {
            count->ready--;
            count->running++;
        }
    }
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err; // it ended meanwhile
}

static bool is_held(const struct queue_held *held, int64_t id)
{
    for (size_t i = 0; i < held->count; i++)
        if (held->ids[i] == id)
            return true;
    return false;
}

/* The age of the oldest ready job that does not run. */
static enum err find_oldest(struct store_tx *tx, const struct queue_held *held,
                            struct queue_admin_count *count)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "SELECT id, run_at_ms FROM job WHERE state = 0 AND queue = $1 "
                                 "ORDER BY rank, id LIMIT $2",
                                 &st);
    if (err)
        return err;
    store_bind_text(st, 1, count->name);
    store_bind_int(st, 2, (int64_t)held->count + 1);
    count->oldest_ready_ms = 0;
    while (!(err = store_step(st))) {
        if (is_held(held, store_column_int(st, 0)))
            continue;
        count->oldest_ready_ms = age_ms(tx, store_column_int(st, 1));
        break;
    }
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err queue_admin_count(struct store_tx *tx, const struct queue_held *held, struct arena *a,
                           struct queue_admin_counts *out)
{
    enum err err = count_rows(tx, a, out);
    for (size_t i = 0; i < held->count && !err; i++)
        err = count_held(tx, held->ids[i], out);
    for (size_t i = 0; i < out->count && held->count > 0 && !err; i++)
        err = find_oldest(tx, held, &out->at[i]);
    return err;
}
