#include "queue/queue_periodic.h"

#include "core/failpoint.h"
#include "core/log.h"
#include "queue/queue_cron.h"
#include "queue/queue_internal.h"

enum {
    ROWS_AT_ONCE = 64,
    TICKS_AT_ONCE = 64, // of one of them
    MAX_COUNTED = 1000, // missed ticks; more are passed over
    TICK_KEEP_MS = 24 * 3600 * 1000,
    RETRY_MS = 60 * 1000,
};

static const char *const overlaps[QUEUE_OVERLAP_COUNT] = {
    [QUEUE_OVERLAP_ALLOW] = "allow",
    [QUEUE_OVERLAP_SKIP] = "skip",
    [QUEUE_OVERLAP_BUFFER_ONE] = "buffer-one",
    [QUEUE_OVERLAP_CANCEL_OTHER] = "cancel-other",
};

enum err queue_periodic_overlap(struct str text, enum queue_overlap *out)
{
    for (int i = 0; i < QUEUE_OVERLAP_COUNT; i++) {
        if (str_eq(text, str_of(overlaps[i]))) {
            *out = (enum queue_overlap)i;
            return OK;
        }
    }
    return ERR_INVALID;
}

const char *queue_periodic_overlap_text(enum queue_overlap overlap)
{
    return overlaps[overlap];
}

/* ---- the clock of a declaration ---- */

struct clockwork {
    struct queue_cron cron;
    struct queue_zone *zone;
};

static enum err open_clockwork(const struct queue_periodic *p, struct clockwork *out,
                               struct str *why_out)
{
    enum err err = queue_cron_parse(p->cron, &out->cron, why_out);
    if (err)
        return err;
    err = queue_zone_open(p->zone, &out->zone);
    if (err)
        *why_out = STR("there is no such time zone here");
    return err ? ERR_INVALID : OK;
}

static enum err next_tick(const struct clockwork *c, int64_t after_ms, int64_t *out)
{
    return queue_cron_next(&c->cron, c->zone, after_ms, out);
}

/* ---- rows ---- */

#define COLUMNS                                                                                    \
    "name, spec, zone, queue, kind, payload, source, overlap, catch_up_ms, next_at_ms, "           \
    "last_at_ms, paused_until_ms, last_job_id, waiting_at_ms, skipped, missed"

static void state_of_row(struct store_stmt *st, struct arena *a, struct queue_periodic_state *out)
{
    struct str texts[7];
    for (int i = 0; i < 7; i++)
        texts[i] = arena_str(a, store_column_text(st, i));
    *out = (struct queue_periodic_state){
        .periodic = {.name = texts[0],
                     .cron = texts[1],
                     .zone = texts[2],
                     .queue = texts[3],
                     .kind = texts[4],
                     .payload = texts[5],
                     .source = texts[6],
                     .overlap = (enum queue_overlap)store_column_int(st, 7),
                     .catch_up_ms = store_column_int(st, 8)},
        .next_at_ms = store_column_int(st, 9),
        .last_at_ms = store_column_int(st, 10),
        .paused_until_ms = store_column_int(st, 11),
        .last_job_id = store_column_int(st, 12),
        .waiting_at_ms = store_column_int(st, 13),
        .skipped = store_column_int(st, 14),
        .missed = store_column_int(st, 15),
    };
}

static enum err find(struct store_tx *tx, struct str name, struct arena *a,
                     struct queue_periodic_state *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "SELECT " COLUMNS " FROM job_period WHERE name = $1", &st);
    if (err)
        return err;
    store_bind_text(st, 1, name);
    err = store_step(st);
    if (!err)
        state_of_row(st, a, out);
    store_finish(st);
    return err;
}

enum err queue_periodic_list(struct store_tx *tx, struct arena *a,
                             struct queue_periodic_state **out, size_t *count_out)
{
    struct store_stmt *st;
    struct queue_periodic_state *list = arena_alloc(a, QUEUE_PERIODIC_MAX * sizeof(*list));
    size_t count = 0;
    enum err err =
        store_prepare(tx, "SELECT " COLUMNS " FROM job_period ORDER BY name LIMIT $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, QUEUE_PERIODIC_MAX);
    while (!(err = store_step(st)))
        state_of_row(st, a, &list[count++]);
    *out = list;
    *count_out = count;
    return err == ERR_NOT_FOUND ? OK : err;
}

/* What its ticks change. */
static enum err save(struct store_tx *tx, const struct queue_periodic_state *s)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "UPDATE job_period SET next_at_ms = $2, last_at_ms = $3, paused_until_ms = $4, "
        "last_job_id = $5, waiting_at_ms = $6, skipped = $7, missed = $8 WHERE name = $1",
        &st);
    if (err)
        return err;
    store_bind_text(st, 1, s->periodic.name);
    store_bind_int(st, 2, s->next_at_ms);
    store_bind_int(st, 3, s->last_at_ms);
    store_bind_int(st, 4, s->paused_until_ms);
    if (s->last_job_id > 0)
        store_bind_int(st, 5, s->last_job_id);
    if (s->waiting_at_ms > 0)
        store_bind_int(st, 6, s->waiting_at_ms);
    store_bind_int(st, 7, s->skipped);
    store_bind_int(st, 8, s->missed);
    return FAILPOINT("queue.periodic", store_run(st, NULL));
}

/* ---- declaring ---- */

static struct queue_new job_of(const struct queue_periodic *p)
{
    return (struct queue_new){
        .kind = p->kind, .payload = p->payload, .queue = p->queue, .is_tick = true};
}

static enum err check(const struct queue_periodic *p, struct str *why_out)
{
    struct queue_new job = job_of(p);
    const char *why = NULL;
    struct queue_new name = {.kind = p->name}; // the same rule
    *why_out = STR("its name is 1 to 100 bytes without spaces");
    enum err err = queue_check(&name, NULL);
    if (err)
        return err;
    *why_out = STR("no such overlap");
    if ((int)p->overlap < 0 || p->overlap >= QUEUE_OVERLAP_COUNT)
        return ERR_INVALID;
    *why_out = STR("catch-up is from 0 to 10 years");
    if (p->catch_up_ms < 0 || p->catch_up_ms > QUEUE_MAX_MS)
        return ERR_INVALID;
    err = queue_check(&job, &why);
    *why_out = str_of(why);
    return err;
}

static enum err upsert(struct store_tx *tx, const struct queue_periodic *p, int64_t next_at_ms)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx,
        "INSERT INTO job_period (name, spec, zone, queue, kind, payload, source, overlap, "
        "catch_up_ms, next_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT "
        "(name) DO UPDATE SET spec = excluded.spec, zone = excluded.zone, queue = excluded.queue, "
        "kind = excluded.kind, payload = excluded.payload, source = excluded.source, overlap = "
        "excluded.overlap, catch_up_ms = excluded.catch_up_ms, next_at_ms = excluded.next_at_ms, "
        "waiting_at_ms = CASE WHEN job_period.overlap = excluded.overlap THEN "
        "job_period.waiting_at_ms END",
        &st);
    if (err)
        return err;
    store_bind_text(st, 1, p->name);
    store_bind_text(st, 2, p->cron);
    store_bind_text(st, 3, p->zone.len > 0 ? p->zone : STR("UTC"));
    store_bind_text(st, 4, p->queue.len > 0 ? p->queue : STR(QUEUE_DEFAULT));
    store_bind_text(st, 5, p->kind);
    store_bind_text(st, 6, p->payload.at ? p->payload : STR(""));
    store_bind_text(st, 7, p->source.at ? p->source : STR(""));
    store_bind_int(st, 8, p->overlap);
    store_bind_int(st, 9, p->catch_up_ms > 0 ? p->catch_up_ms : QUEUE_PERIODIC_CATCH_UP_MS);
    store_bind_int(st, 10, next_at_ms);
    return FAILPOINT("queue.periodic", store_run(st, NULL));
}

static enum err count_rows(struct store_tx *tx, int64_t *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "SELECT count(*) FROM job_period", &st);
    if (err)
        return err;
    return store_get_int(st, out);
}

/* The next tick of a declaration: with those that are late, when it is the old one. The clock may
 * have been set back since that was computed. */
static enum err first_tick(struct store_tx *tx, const struct queue_periodic *p,
                           const struct clockwork *c, int64_t *out, struct str *why_out)
{
    struct queue_periodic_state old;
    struct arena a;
    int64_t count = 0;
    struct str zone = p->zone.len > 0 ? p->zone : STR("UTC");
    enum err err = next_tick(c, store_now_ms(tx), out);
    if (err)
        return err;
    arena_init(&a);
    err = find(tx, p->name, &a, &old);
    if (!err && str_eq(old.periodic.cron, p->cron) && str_eq(old.periodic.zone, zone) &&
        old.next_at_ms < *out)
        *out = old.next_at_ms;
    arena_done(&a);
    if (err != ERR_NOT_FOUND)
        return err;
    err = count_rows(tx, &count);
    *why_out = STR("there are 1000 already");
    return err ? err : count < QUEUE_PERIODIC_MAX ? OK : ERR_TOO_LARGE;
}

enum err queue_periodic_declare(struct store_tx *tx, const struct queue_periodic *periodic,
                                struct str *why_out)
{
    struct clockwork c;
    int64_t next_at_ms = 0;
    enum err err = check(periodic, why_out);
    if (!err)
        err = open_clockwork(periodic, &c, why_out);
    if (err)
        return err;
    err = first_tick(tx, periodic, &c, &next_at_ms, why_out);
    queue_zone_close(c.zone);
    return err ? err : upsert(tx, periodic, next_at_ms);
}

static bool is_listed(const struct queue_periodic *list, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(list[i].name, name))
            return true;
    return false;
}

enum err queue_periodic_sync(struct store_tx *tx, struct str source,
                             const struct queue_periodic *list, size_t count, struct str *why_out,
                             size_t *bad_out)
{
    struct queue_periodic_state *old = NULL;
    struct arena a;
    size_t old_count = 0;
    arena_init(&a);
    enum err err = queue_periodic_list(tx, &a, &old, &old_count);
    for (size_t i = 0; !err && i < old_count; i++)
        if (str_eq(old[i].periodic.source, source) && !is_listed(list, count, old[i].periodic.name))
            err = queue_periodic_remove(tx, old[i].periodic.name);
    for (size_t i = 0; !err && i < count; i++) {
        struct queue_periodic periodic = list[i];
        periodic.source = source;
        *bad_out = i;
        err = queue_periodic_declare(tx, &periodic, why_out);
    }
    arena_done(&a);
    return err;
}

/* sql takes the name; ERR_NOT_FOUND: it changed nothing. */
static enum err change(struct store_tx *tx, const char *sql, struct str name)
{
    struct store_stmt *st;
    int64_t changes = 0;
    enum err err = store_prepare(tx, sql, &st);
    if (err)
        return err;
    store_bind_text(st, 1, name);
    err = store_run(st, &changes);
    return err ? err : changes > 0 ? OK : ERR_NOT_FOUND;
}

enum err queue_periodic_remove(struct store_tx *tx, struct str name)
{
    enum err err = change(tx, "DELETE FROM job_period WHERE name = $1", name);
    if (err)
        return err;
    err = change(tx, "DELETE FROM job_tick WHERE name = $1", name);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err queue_periodic_pause(struct store_tx *tx, struct str name, int64_t until_ms)
{
    struct queue_periodic_state s;
    struct arena a;
    arena_init(&a);
    enum err err = find(tx, name, &a, &s);
    if (!err) {
        // What came while it was paused stays missed.
        int64_t now = store_now_ms(tx);
        bool ends_now = until_ms == 0 && s.paused_until_ms > now;
        s.paused_until_ms = ends_now ? now : until_ms;
        err = save(tx, &s);
    }
    arena_done(&a);
    return err;
}

/* ---- ticks ---- */

/* Notes the tick. False: it had its job before. */
static enum err take_tick(struct store_tx *tx, struct str name, int64_t at_ms, bool *is_taken_out)
{
    struct store_stmt *st;
    int64_t changes = 0;
    enum err err = store_prepare(
        tx, "INSERT INTO job_tick (name, fire_at_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING", &st);
    if (err)
        return err;
    store_bind_text(st, 1, name);
    store_bind_int(st, 2, at_ms);
    err = store_run(st, &changes);
    *is_taken_out = changes > 0;
    return err;
}

static enum err set_tick(struct store_tx *tx, struct str name, int64_t at_ms, int64_t job_id)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "UPDATE job_tick SET job_id = $3 WHERE name = $1 AND fire_at_ms = $2", &st);
    if (err)
        return err;
    store_bind_text(st, 1, name);
    store_bind_int(st, 2, at_ms);
    store_bind_int(st, 3, job_id);
    return store_run(st, NULL);
}

/* Those that cannot come again: older than what is caught up, and than a clock may go back. */
static enum err forget_ticks(struct store_tx *tx, const struct queue_periodic *p, int64_t at_ms)
{
    struct store_stmt *st;
    int64_t keep_ms = p->catch_up_ms > TICK_KEEP_MS ? p->catch_up_ms : TICK_KEEP_MS;
    enum err err =
        store_prepare(tx, "DELETE FROM job_tick WHERE name = $1 AND fire_at_ms < $2", &st);
    if (err)
        return err;
    store_bind_text(st, 1, p->name);
    store_bind_int(st, 2, at_ms - keep_ms);
    return store_run(st, NULL);
}

static enum err start(struct store_tx *tx, struct queue_periodic_state *s, int64_t at_ms)
{
    struct queue_new job = job_of(&s->periodic);
    bool is_taken = false;
    int64_t job_id = 0;
    enum err err = take_tick(tx, s->periodic.name, at_ms, &is_taken);
    if (err || !is_taken)
        return err;
    job.run_at_ms = at_ms;
    err = queue_enqueue(tx, &job, &job_id);
    if (!err)
        err = set_tick(tx, s->periodic.name, at_ms, job_id);
    if (!err)
        err = forget_ticks(tx, &s->periodic, at_ms);
    s->last_job_id = job_id;
    s->last_at_ms = at_ms;
    return err;
}

/* The job of an earlier tick, when it has not ended. row->id 0: there is none. */
static enum err find_other(struct store_tx *tx, const struct queue_periodic_state *s,
                           struct queue_row *row)
{
    row->id = 0;
    if (s->last_job_id == 0)
        return OK;
    enum err err = queue_row_get(tx, s->last_job_id, row);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    if (queue_row_is_over(row))
        row->id = 0;
    return OK;
}

static enum err start_waiting(struct store_tx *tx, struct queue_periodic_state *s)
{
    int64_t at_ms = s->waiting_at_ms;
    s->waiting_at_ms = 0;
    return start(tx, s, at_ms);
}

static enum err tick(struct store_tx *tx, struct queue_periodic_state *s, int64_t at_ms)
{
    struct queue_row other;
    enum err err = find_other(tx, s, &other);
    if (!err && other.id == 0 && s->waiting_at_ms > 0) { // the other was taken away
        err = start_waiting(tx, s);
        if (!err)
            err = find_other(tx, s, &other);
    }
    if (err)
        return err;
    if (other.id == 0)
        return start(tx, s, at_ms);
    switch (s->periodic.overlap) {
    case QUEUE_OVERLAP_ALLOW:
        return start(tx, s, at_ms);
    case QUEUE_OVERLAP_BUFFER_ONE:
        if (s->waiting_at_ms == 0) {
            s->waiting_at_ms = at_ms;
            return OK;
        }
        break;
    case QUEUE_OVERLAP_CANCEL_OTHER:
        err = queue_row_end(tx, &other, QUEUE_CANCELLED, 0, (struct str){0});
        return err ? err : start(tx, s, at_ms);
    case QUEUE_OVERLAP_SKIP:
    case QUEUE_OVERLAP_COUNT:
        break;
    }
    s->skipped++;
    return OK;
}

/* Passes over the ticks before from_ms. */
static enum err miss(const struct clockwork *c, struct queue_periodic_state *s, int64_t from_ms)
{
    enum err err = OK;
    for (int i = 0; !err && i < MAX_COUNTED && s->next_at_ms < from_ms; i++) {
        s->missed++;
        err = next_tick(c, s->next_at_ms, &s->next_at_ms);
    }
    return err || s->next_at_ms >= from_ms ? err : next_tick(c, from_ms - 1, &s->next_at_ms);
}

static enum err run_one(struct store_tx *tx, struct queue_periodic_state *s)
{
    struct clockwork c;
    struct str why;
    int64_t now = store_now_ms(tx), from = now - s->periodic.catch_up_ms;
    enum err err = open_clockwork(&s->periodic, &c, &why);
    if (err) { // declared where the zone was known
        log_error("at=queue_periodic.run name=%.*s zone=%.*s why=\"%.*s\"",
                  STR_ARG(s->periodic.name), STR_ARG(s->periodic.zone), STR_ARG(why));
        s->paused_until_ms = now + RETRY_MS;
        return save(tx, s);
    }
    err = miss(&c, s, from > s->paused_until_ms ? from : s->paused_until_ms);
    for (int i = 0; !err && i < TICKS_AT_ONCE && s->next_at_ms <= now; i++) {
        err = FAILPOINT("queue.tick", tick(tx, s, s->next_at_ms));
        if (!err)
            err = next_tick(&c, s->next_at_ms, &s->next_at_ms);
    }
    queue_zone_close(c.zone);
    return err ? err : save(tx, s);
}

static enum err find_due(struct store_tx *tx, struct arena *a, struct queue_periodic_state *out,
                         size_t *count_out)
{
    struct store_stmt *st;
    size_t count = 0;
    enum err err = store_prepare(
        tx,
        "SELECT " COLUMNS " FROM job_period WHERE next_at_ms <= $1 AND paused_until_ms <= $1 ORDER "
        "BY next_at_ms LIMIT $2",
        &st);
    if (err)
        return err;
    store_bind_int(st, 1, store_now_ms(tx));
    store_bind_int(st, 2, ROWS_AT_ONCE);
    while (!(err = store_step(st)))
        state_of_row(st, a, &out[count++]);
    *count_out = count;
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err queue_periodic_ask_next(struct store_tx *tx, int64_t *next_at_ms_out)
{
    struct store_stmt *st;
    *next_at_ms_out = 0;
    enum err err = store_prepare(
        tx,
        "SELECT min(CASE WHEN paused_until_ms > next_at_ms THEN paused_until_ms ELSE next_at_ms "
        "END) FROM job_period",
        &st);
    if (err)
        return err;
    return store_get_int(st, next_at_ms_out);
}

enum err queue_periodic_run_due(struct store_tx *tx, int64_t *next_at_ms_out)
{
    struct queue_periodic_state due[ROWS_AT_ONCE];
    struct arena a;
    size_t count = 0;
    arena_init(&a);
    enum err err = find_due(tx, &a, due, &count);
    for (size_t i = 0; !err && i < count; i++)
        err = run_one(tx, &due[i]);
    arena_done(&a);
    return err ? err : queue_periodic_ask_next(tx, next_at_ms_out);
}

enum err queue_periodic_trigger(struct store_tx *tx, struct str name, int64_t *job_id_out)
{
    struct queue_periodic_state s;
    struct arena a;
    arena_init(&a);
    enum err err = find(tx, name, &a, &s);
    if (!err) {
        struct queue_new job = job_of(&s.periodic);
        job.is_tick = false;
        err = queue_enqueue(tx, &job, job_id_out);
    }
    arena_done(&a);
    return err;
}

enum err queue_periodic_tick_of(struct store_tx *tx, int64_t job_id, int64_t *at_ms_out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "SELECT fire_at_ms FROM job_tick WHERE job_id = $1", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job_id);
    return store_get_int(st, at_ms_out);
}

/* ---- the end of a job ---- */

static enum err find_by_job(struct store_tx *tx, int64_t job_id, struct arena *a,
                            struct queue_periodic_state *out)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "SELECT " COLUMNS " FROM job_period WHERE last_job_id = $1 AND "
                                 "waiting_at_ms IS NOT NULL",
                                 &st);
    if (err)
        return err;
    store_bind_int(st, 1, job_id);
    err = store_step(st);
    if (!err)
        state_of_row(st, a, out);
    store_finish(st);
    return err;
}

enum err queue_periodic_ended(struct store_tx *tx, int64_t job_id)
{
    struct queue_periodic_state s;
    struct arena a;
    arena_init(&a);
    enum err err = find_by_job(tx, job_id, &a, &s);
    if (!err)
        err = start_waiting(tx, &s);
    if (!err)
        err = save(tx, &s);
    arena_done(&a);
    return err == ERR_NOT_FOUND ? OK : err;
}
