#include "queue/queue_tally.h"

#include "core/mem.h"

/* job_tally.what; they stand in files: never change one. */
enum {
    WHAT_COUNTS = 0,    // + enum queue_meter_counter
    WHAT_WAIT = 100,    // + bucket
    WHAT_WAIT_US = 199, // their sum
    WHAT_RUN = 200,
    WHAT_RUN_US = 299,
    WHAT_FAILED = 300, // of a kind
};

struct queue_tally {
    struct store *store;
    struct arena arena; // of told
    struct queue_meter_copies told;
};

/* Where a queue's meter keeps what; NULL: nowhere. */
static uint64_t *at(struct queue_meter *m, int64_t what)
{
    if (what >= WHAT_COUNTS && what < WHAT_COUNTS + QUEUE_METER_COUNTERS)
        return &m->counts[what - WHAT_COUNTS];
    if (what >= WHAT_WAIT && what < WHAT_WAIT + QUEUE_METER_BUCKETS)
        return &m->wait.buckets[what - WHAT_WAIT];
    if (what >= WHAT_RUN && what < WHAT_RUN + QUEUE_METER_BUCKETS)
        return &m->run.buckets[what - WHAT_RUN];
    if (what == WHAT_WAIT_US)
        return &m->wait.sum_us;
    return what == WHAT_RUN_US ? &m->run.sum_us : NULL;
}

static struct queue_meter_copy *find(const struct queue_meter_copies *copies, struct str queue)
{
    for (size_t i = 0; i < copies->count; i++)
        if (str_eq(copies->at[i].queue, queue))
            return &copies->at[i];
    return NULL;
}

static struct queue_meter_kind *find_kind(const struct queue_meter_copy *copy, struct str kind)
{
    for (size_t i = 0; i < copy->kind_count; i++)
        if (str_eq(copy->kinds[i].kind, kind))
            return &copy->kinds[i];
    return NULL;
}

/* ---- telling ---- */

struct queue_tally *queue_tally_new(struct store *store)
{
    struct queue_tally *t = MEM_NEW(struct queue_tally);
    t->store = store;
    arena_init(&t->arena);
    return t;
}

void queue_tally_free(struct queue_tally *t)
{
    if (!t)
        return;
    arena_done(&t->arena);
    mem_free(t);
}

struct telling {
    const struct queue_meter_copies *told, *now;
};

static enum err add(struct store_tx *tx, struct str queue, struct str kind, int what,
                    uint64_t amount)
{
    struct store_stmt *st;
    if (amount == 0)
        return OK;
    enum err err = store_prepare(tx,
                                 "INSERT INTO job_tally (queue, kind, what, amount) VALUES "
                                 "($1, $2, $3, $4) ON CONFLICT (queue, what, kind) DO UPDATE SET "
                                 "amount = job_tally.amount + excluded.amount",
                                 &st);
    if (err)
        return err;
    store_bind_text(st, 1, queue);
    store_bind_text(st, 2, kind);
    store_bind_int(st, 3, what);
    store_bind_int(st, 4, (int64_t)amount);
    return store_run(st, NULL);
}

static enum err tell_kinds(struct store_tx *tx, const struct queue_meter_copy *now,
                           const struct queue_meter_copy *told)
{
    enum err err = OK;
    for (size_t i = 0; i < now->kind_count && !err; i++) {
        const struct queue_meter_kind *kind = &now->kinds[i];
        const struct queue_meter_kind *was = told ? find_kind(told, kind->kind) : NULL;
        err = add(tx, now->queue, kind->kind, WHAT_FAILED, kind->failed - (was ? was->failed : 0));
    }
    return err;
}

static enum err tell_fn(struct store_tx *tx, void *arg)
{
    const struct telling *t = arg;
    enum err err = OK;
    for (size_t i = 0; i < t->now->count && !err; i++) {
        struct queue_meter_copy *now = &t->now->at[i], *told = find(t->told, now->queue);
        for (int what = 0; what < WHAT_FAILED && !err; what++) {
            const uint64_t *is = at(&now->meter, what), *was = told ? at(&told->meter, what) : NULL;
            err = is ? add(tx, now->queue, STR(""), what, *is - (was ? *was : 0)) : OK;
        }
        if (!err)
            err = tell_kinds(tx, now, told);
    }
    return err;
}

static bool has_news(const struct telling *t)
{
    for (size_t i = 0; i < t->now->count; i++) {
        const struct queue_meter_copy *now = &t->now->at[i], *told = find(t->told, now->queue);
        static const struct queue_meter none;
        if (memcmp(&now->meter, told ? &told->meter : &none, sizeof(none)) != 0)
            return true;
    }
    return false;
}

enum err queue_tally_tell(struct queue_tally *t)
{
    struct arena arena;
    struct queue_meter_copies now;
    struct telling telling = {&t->told, &now};
    arena_init(&arena);
    queue_meter_read(&arena, &now);
    enum err err = OK;
    bool is_new = has_news(&telling);
    if (is_new)
        err = store_write_soft_wait(t->store, tell_fn, &telling);
    if (err || !is_new) {
        arena_done(&arena);
        return err;
    }
    arena_done(&t->arena);
    t->arena = arena;
    t->told = now;
    return OK;
}

/* ---- reading ---- */

enum err queue_tally_reset(struct store_tx *tx)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, "DELETE FROM job_tally", &st);
    return err ? err : store_run(st, NULL);
}

struct sums {
    struct arena *arena;
    struct queue_meter_copies *out;
    size_t cap;
};

static struct queue_meter_copy *copy_of(struct sums *s, struct str queue)
{
    struct queue_meter_copy *copy = find(s->out, queue);
    if (copy)
        return copy;
    if (s->out->count == s->cap) {
        s->cap = s->cap > 0 ? 2 * s->cap : 8;
        struct queue_meter_copy *more = arena_alloc(s->arena, s->cap * sizeof(*more));
        if (s->out->count > 0)
            memcpy(more, s->out->at, s->out->count * sizeof(*more));
        s->out->at = more;
    }
    copy = &s->out->at[s->out->count++];
    *copy = (struct queue_meter_copy){.queue = arena_str(s->arena, queue)};
    return copy;
}

static void add_kind(struct sums *s, struct queue_meter_copy *to, struct str name, uint64_t failed)
{
    struct queue_meter_kind *kind = find_kind(to, name);
    if (!kind) {
        struct queue_meter_kind *more = arena_alloc(s->arena, (to->kind_count + 1) * sizeof(*more));
        if (to->kind_count > 0)
            memcpy(more, to->kinds, to->kind_count * sizeof(*more));
        to->kinds = more;
        kind = &to->kinds[to->kind_count++];
        *kind = (struct queue_meter_kind){.kind = arena_str(s->arena, name)};
    }
    kind->failed += failed;
}

enum err queue_tally_read(struct store_tx *tx, struct arena *a, struct queue_meter_copies *out)
{
    struct store_stmt *st;
    *out = (struct queue_meter_copies){0};
    struct sums sums = {.arena = a, .out = out};
    enum err err = store_prepare(tx, "SELECT queue, kind, what, amount FROM job_tally", &st);
    if (err)
        return err;
    while (!(err = store_step(st))) {
        struct queue_meter_copy *copy = copy_of(&sums, store_column_text(st, 0));
        int64_t what = store_column_int(st, 2);
        uint64_t amount = (uint64_t)store_column_int(st, 3), *to = at(&copy->meter, what);
        if (to)
            *to += amount;
        else if (what == WHAT_FAILED)
            add_kind(&sums, copy, store_column_text(st, 1), amount);
    }
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

static void join(struct sums *s, const struct queue_meter_copies *more)
{
    for (size_t i = 0; i < more->count; i++) {
        struct queue_meter_copy *from = &more->at[i], *to = copy_of(s, from->queue);
        for (int what = 0; what < WHAT_FAILED; what++)
            if (at(&to->meter, what))
                *at(&to->meter, what) += *at(&from->meter, what);
        for (size_t k = 0; k < from->kind_count; k++)
            add_kind(s, to, from->kinds[k].kind, from->kinds[k].failed);
    }
}

enum err queue_tally_read_all(struct store_tx *tx, struct arena *a, struct queue_meter_copies *out)
{
    struct queue_meter_copies told, own;
    enum err err = queue_tally_read(tx, a, &told);
    *out = (struct queue_meter_copies){0};
    if (err)
        return err;
    struct sums sums = {.arena = a, .out = out};
    queue_meter_read(a, &own);
    join(&sums, &own);
    join(&sums, &told);
    return OK;
}
