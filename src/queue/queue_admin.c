#include "queue/queue_admin.h"

/* ---- numbers ---- */

/* By the indexes alone. A scheduled job that is due is as good as ready. */
static const char count_sql[] =
    "SELECT queue, state, count(*), sum(CASE WHEN state = 3 AND at_ms <= $1 THEN 1 ELSE 0 END) "
    "FROM job WHERE state > 0 GROUP BY state, queue "
    "UNION ALL SELECT queue, 0, count(*), 0 FROM job WHERE state = 0 GROUP BY queue";

static int by_name(struct str a, struct str b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

/* The place of name in counts, or where it would be. */
static size_t place_of(const struct queue_admin_counts *counts, struct str name)
{
    size_t low = 0, high = counts->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_name(counts->at[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct queue_admin_count *find_count(const struct queue_admin_counts *counts,
                                            struct str name)
{
    size_t place = place_of(counts, name);
    return place < counts->count && str_eq(counts->at[place].name, name) ? &counts->at[place]
                                                                         : NULL;
}

/* Counts that grow. */
struct counting {
    struct queue_admin_counts *out;
    size_t cap;
    struct arena *arena;
};

static struct queue_admin_count *get_count(struct counting *c, struct str name)
{
    enum { FIRST_CAP = 16 };
    struct queue_admin_counts *out = c->out;
    struct queue_admin_count *found = find_count(out, name);
    if (found)
        return found;
    size_t place = place_of(out, name);
    if (out->count == c->cap) {
        c->cap = c->cap > 0 ? c->cap * 2 : FIRST_CAP;
        struct queue_admin_count *grown = arena_alloc(c->arena, c->cap * sizeof(*grown));
        if (out->count > 0)
            memcpy(grown, out->at, out->count * sizeof(*grown));
        out->at = grown;
    }
    found = &out->at[place];
    memmove(found + 1, found, (out->count - place) * sizeof(*found));
    *found = (struct queue_admin_count){.name = arena_str(c->arena, name)};
    out->count++;
    return found;
}

static void add(struct queue_admin_count *count, int64_t state, int64_t jobs, int64_t due)
{
    switch ((enum queue_state)state) {
    case QUEUE_READY:
        count->ready += jobs;
        break;
    case QUEUE_RUNNING:
        count->running += jobs;
        break;
    case QUEUE_DEAD:
        count->dead += jobs;
        break;
    case QUEUE_SCHEDULED:
        count->ready += due;
        count->scheduled += jobs - due;
        break;
    case QUEUE_WAITING:
        count->waiting += jobs;
        break;
    case QUEUE_DONE_STATE:
        count->done += jobs;
        break;
    case QUEUE_CANCELLED:
        count->cancelled += jobs;
        break;
    }
}

static enum err count_rows(struct store_tx *tx, struct arena *a, struct queue_admin_counts *out)
{
    struct counting counting = {.out = out, .arena = a};
    struct store_stmt *st;
    enum err err = store_prepare(tx, count_sql, &st);
    if (err)
        return err;
    *out = (struct queue_admin_counts){0};
    (void)get_count(&counting, STR(QUEUE_DEFAULT));
    store_bind_int(st, 1, store_now_ms(tx));
    while (!(err = store_step(st)))
        add(get_count(&counting, store_column_text(st, 0)), store_column_int(st, 1),
            store_column_int(st, 2), store_column_int(st, 3));
    return err == ERR_NOT_FOUND ? OK : err;
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

static int64_t older(int64_t a_ms, int64_t b_ms)
{
    return a_ms == 0 || (b_ms > 0 && b_ms < a_ms) ? b_ms : a_ms;
}

/* When the oldest of those was due that are next and do not run; 0: there is none. */
static enum err ask_ready(struct store_tx *tx, const struct queue_held *held, struct str queue,
                          int64_t *out)
{
    enum { NEXT = 100 };
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "SELECT id, run_at_ms FROM job WHERE state = 0 AND queue = $1 "
                                 "ORDER BY rank, id LIMIT $2",
                                 &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_int(st, 2, (int64_t)held->count + NEXT);
    *out = 0;
    while (!(err = store_step(st)))
        if (!is_held(held, store_column_int(st, 0)))
            *out = older(*out, store_column_int(st, 1));
    return err == ERR_NOT_FOUND ? OK : err;
}

/* The first of the scheduled ones; 0: there is none. */
static enum err ask_scheduled(struct store_tx *tx, struct str queue, int64_t *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "SELECT min(at_ms) FROM job WHERE state > 0 AND state = 3 AND queue = $1", &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    return store_get_int(st, out);
}

static enum err find_oldest(struct store_tx *tx, const struct queue_held *held,
                            struct queue_admin_count *count)
{
    int64_t ready_ms = 0, scheduled_ms = 0;
    enum err err = ask_ready(tx, held, count->name, &ready_ms);
    if (!err)
        err = ask_scheduled(tx, count->name, &scheduled_ms);
    int64_t age_ms = store_now_ms(tx) - older(ready_ms, scheduled_ms);
    count->oldest_ready_ms = (ready_ms > 0 || scheduled_ms > 0) && age_ms > 0 ? age_ms : 0;
    return err;
}

enum err queue_admin_count(struct store_tx *tx, const struct queue_held *held, struct arena *a,
                           struct queue_admin_counts *out)
{
    enum err err = count_rows(tx, a, out);
    for (size_t i = 0; i < held->count && !err; i++)
        err = count_held(tx, held->ids[i], out);
    for (size_t i = 0; i < out->count && !err; i++)
        err = find_oldest(tx, held, &out->at[i]);
    return err;
}

enum err queue_admin_find_pauses(struct store_tx *tx, struct queue_admin_counts *counts)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "SELECT name, paused_until_ms FROM job_queue WHERE paused_until_ms > $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, store_now_ms(tx));
    while (!(err = store_step(st))) {
        struct queue_admin_count *count = find_count(counts, store_column_text(st, 0));
        if (count)
            count->paused_until_ms = store_column_int(st, 1);
    }
    return err == ERR_NOT_FOUND ? OK : err;
}
