/* world_flow.c -- the scenario of what belongs together: batches, chains, graphs, steps; turns,
 * limits, a pause; ticks; what is pruned; what an operator does; and the ends that a job can come
 * to by hand.
 *
 * Tags: 200 by hand, 210 many at once, 220 and 240 batches, 260 a chain, 270 a graph, 290 steps,
 * 300 put off, 310 a batch that is cancelled, 320 turns, 330 pruned, 340 and 350 by an operator,
 * 360 sealed, 370 softly, 380 turns without a limit, 400 and 500 ticks by their minute, 600 and on
 * the budget of retries. */
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/clock.h"
#include "queue/queue_admin_act.h"
#include "queue/queue_graph.h"
#include "queue/queue_periodic.h"
#include "queue/queue_report.h"
#include "queue/queue_step.h"
#include "world_internal.h"

enum { MAX_SET = 8, KEEP_MS = 1000, TICK_MS = 60 * 1000, TICKS = 100, PAUSE_MS = 300 };

/* Jobs of one transaction. */
struct set {
    struct world *w;
    int64_t first; // tag
    const char *kinds;
    struct queue_new jobs[MAX_SET];
    char payloads[MAX_SET][24];
    int64_t ids[MAX_SET];
    int64_t batch_id;
};

static const char kind_names[] = "a\0b\0c\0d\0e\0f\0g\0h\0i\0j\0k\0l\0m\0n\0o\0p\0q\0r\0s\0t\0u\0v"
                                 "\0w\0x\0y\0z";

static struct str kind_of(char letter)
{
    return (struct str){kind_names + 2 * (letter - 'a'), 1};
}

/* The job with the place's tag. Says before that it will be enqueued. */
static struct queue_new *fill(struct set *set, int place, char kind)
{
    int64_t tag = set->first + place;
    snprintf(set->payloads[place], sizeof(set->payloads[place]), "%lld", (long long)tag);
    set->jobs[place] =
        (struct queue_new){.kind = kind_of(kind), .payload = str_of(set->payloads[place])};
    world_say(set->w, "N %lld %c\n", (long long)tag, kind);
    return &set->jobs[place];
}

static int fill_all(struct set *set)
{
    int count = (int)strlen(set->kinds);
    for (int i = 0; i < count; i++)
        fill(set, i, set->kinds[i]);
    return count;
}

/* It is committed: that is said of the places, and that they came together. */
static void say_enqueued(struct set *set, int from, int count)
{
    for (int i = from; i < from + count; i++)
        world_say(set->w, "E %lld %lld\n", (long long)(set->first + i), (long long)set->ids[i]);
}

static void say_together(struct set *set, int count)
{
    world_say(set->w, "G %lld %lld\n", (long long)set->first, (long long)(set->first + count - 1));
}

static void say_order(struct set *set, int before, int after)
{
    world_say(set->w, "O %lld %lld\n", (long long)(set->first + before),
              (long long)(set->first + after));
}

static void commit(struct world *w, store_fn *fn, void *arg)
{
    CHECK(store_write_wait(w->store, fn, arg) == OK);
}

/* The clock has moved. */
static void advance(struct world *w, int64_t ms)
{
    clock_test_advance(ms);
    world_say(w, "S %lld\n", (long long)clock_unix_ms());
}

/* ---- by hand ---- */

/* A claim in memory, as a look makes it. */
static enum err find_fn(struct store_tx *tx, void *arg)
{
    struct hand *hand = arg;
    const struct queue_options options = {.is_alone = true};
    struct queue_look look = {.jobs = &hand->job};
    enum err err = queue_find(tx, &options, (struct queue_cursor){INT64_MIN, 0}, 1, &look);
    hand->count = look.count;
    return err;
}

static enum err claim_held_fn(struct store_tx *tx, void *arg)
{
    return queue_claim_held(tx, &((struct hand *)arg)->job, LEASE_MS, 0);
}

static enum err crash_fn(struct store_tx *tx, void *arg)
{
    return queue_crash(tx, &((struct hand *)arg)->job, STR("signal 9"));
}

static enum err discard_fn(struct store_tx *tx, void *arg)
{
    return queue_discard(tx, &((struct hand *)arg)->job, STR("nobody needs it"));
}

/* Held in memory and then by its row, as when another process comes; crashed; discarded. */
static void play_ends(struct world *w)
{
    struct hand hand = {.count = 0};
    world_add(w, 200, 2, 'o', (struct queue_new){0});
    CHECK(store_read(w->store, find_fn, &hand) == OK && hand.count == 1 && hand.job.is_held);
    commit(w, claim_held_fn, &hand);
    hand.job.is_held = false;
    world_run_by_hand(w, &hand);
    arena_done(&hand.job.arena);

    world_claim(w, &hand);
    commit(w, crash_fn, &hand);
    CHECK(store_write_wait(w->store, crash_fn, &hand) == ERR_CONFLICT);
    arena_done(&hand.job.arena);
    world_claim(w, &hand);
    world_run_by_hand(w, &hand);
    arena_done(&hand.job.arena);

    world_add(w, 202, 1, 'g', (struct queue_new){0});
    world_claim(w, &hand);
    commit(w, discard_fn, &hand);
    world_say(w, "C 202\n");
    arena_done(&hand.job.arena);
}

static enum err report_fn(struct store_tx *tx, void *arg)
{
    const struct queue_report half = {
        .progress = STR("half"), .percent = 50, .log = STR("one\ntwo\n")};
    return queue_report(tx, &((struct hand *)arg)->job, &half);
}

static enum err save_step_fn(struct store_tx *tx, void *arg)
{
    return queue_step_save(tx, &((struct hand *)arg)->job, STR("step"), STR("1"));
}

/* Tells of its progress, is late, is refused, and does it again. */
static void play_reports(struct world *w)
{
    struct hand late, hand;
    world_add(w, 204, 1, 'q', (struct queue_new){.keep_ms = 3600 * 1000});
    world_claim(w, &late);
    commit(w, report_fn, &late);
    advance(w, LEASE_MS + 1);
    world_claim(w, &hand);
    CHECK(hand.job.id == late.job.id && hand.job.epoch > late.job.epoch);
    CHECK(store_write_wait(w->store, report_fn, &late) == ERR_CONFLICT);
    CHECK(store_write_wait(w->store, save_step_fn, &late) == ERR_CONFLICT);
    commit(w, save_step_fn, &hand);
    commit(w, report_fn, &hand);
    world_run_by_hand(w, &hand);
    arena_done(&late.job.arena);
    arena_done(&hand.job.arena);
}

static enum err cancel_running_fn(struct store_tx *tx, void *arg)
{
    struct queue_admin_act act = {.id = ((struct hand *)arg)->job.id, .epoch = -1};
    enum err err = queue_admin_act_cancel(tx, &act);
    CHECK(err || act.is_pending);
    return err;
}

static enum err give_back_fn(struct store_tx *tx, void *arg)
{
    const struct queue_job *job = &((struct hand *)arg)->job;
    return queue_release(tx, job, job->run_at_ms);
}

/* Cancelled while it runs: it does not come back. */
static void play_cancel(struct world *w)
{
    struct hand hand;
    world_add(w, 205, 1, 'g', (struct queue_new){0});
    world_claim(w, &hand);
    commit(w, cancel_running_fn, &hand);
    world_say(w, "C 205\n");
    commit(w, give_back_fn, &hand);
    arena_done(&hand.job.arena);
}

/* ---- many at once; turns ---- */

static enum err many_fn(struct store_tx *tx, void *arg)
{
    struct set *set = arg;
    struct queue_receipt receipts[MAX_SET];
    int count = fill_all(set);
    for (int i = 0; i < count && set->kinds[0] == 't'; i++)
        set->jobs[i].key = i < count - 1 ? STR("many") : STR("one");
    enum err err = queue_enqueue_many(tx, set->jobs, (size_t)count, receipts);
    for (int i = 0; i < count; i++)
        set->ids[i] = receipts[i].id;
    return err;
}

static void add_many(struct world *w, int64_t first, const char *kinds)
{
    struct set set = {.w = w, .first = first, .kinds = kinds};
    int count = (int)strlen(kinds);
    commit(w, many_fn, &set);
    say_enqueued(&set, 0, count);
    say_together(&set, count);
    if (kinds[0] == 't')
        world_say(w, "T %lld %lld\n", (long long)first, (long long)first + count - 1);
}

/* ---- batches ---- */

enum { THEN = MAX_SET - 3, CATCH, FINALLY }; // places

/* What follows is of kind c when it shall follow, else of kind x. */
static enum err batch_fn(struct store_tx *tx, void *arg)
{
    struct set *set = arg;
    bool is_failing = strchr(set->kinds, 'd') != NULL;
    const struct queue_batch_new batch = {
        .name = STR("batch"),
        .then = fill(set, THEN, is_failing ? 'x' : 'c'),
        .catch = fill(set, CATCH, is_failing ? 'c' : 'x'),
        .finally = fill(set, FINALLY, 'c'),
    };
    int count = fill_all(set);
    enum err err = queue_batch_open(tx, &batch, &set->batch_id);
    if (!err)
        err = queue_batch_add(tx, set->batch_id, set->jobs, (size_t)count, set->ids);
    return err ? err : queue_batch_close(tx, set->batch_id);
}

static void add_batch(struct world *w, int64_t first, const char *kinds)
{
    struct set set = {.w = w, .first = first, .kinds = kinds};
    int count = (int)strlen(kinds);
    commit(w, batch_fn, &set);
    say_enqueued(&set, 0, count);
    say_enqueued(&set, THEN, 3);
    say_together(&set, count);
}

static enum err open_fn(struct store_tx *tx, void *arg)
{
    struct set *set = arg;
    const struct queue_batch_new batch = {.name = STR("given up"),
                                          .finally = fill(set, FINALLY, 'c')};
    int count = fill_all(set);
    for (int i = 0; i < count; i++) {
        set->jobs[i].delay_ms = 100; // the clock stands still: they are cancelled before
        set->jobs[i].keep_ms = QUEUE_GRAPH_KEEP_MS;
    }
    enum err err = queue_batch_open(tx, &batch, &set->batch_id);
    return err ? err : queue_batch_add(tx, set->batch_id, set->jobs, (size_t)count, set->ids);
}

static enum err cancel_fn(struct store_tx *tx, void *arg)
{
    return queue_batch_cancel(tx, ((struct set *)arg)->batch_id);
}

static void add_batch_and_cancel(struct world *w, int64_t first)
{
    struct set set = {.w = w, .first = first, .kinds = "ggg"};
    commit(w, open_fn, &set);
    say_enqueued(&set, 0, 3);
    say_together(&set, 3);
    commit(w, cancel_fn, &set);
    say_enqueued(&set, FINALLY, 1);
}

/* ---- chains and graphs ---- */

static enum err chain_fn(struct store_tx *tx, void *arg)
{
    struct set *set = arg;
    const struct queue_batch_new batch = {.name = STR("chain"), .then = fill(set, THEN, 'c')};
    int count = fill_all(set);
    return queue_graph_chain(tx, &batch, set->jobs, (size_t)count, &set->batch_id);
}

static void add_chain(struct world *w, int64_t first)
{
    struct set set = {.w = w, .first = first, .kinds = "qqq"};
    commit(w, chain_fn, &set);
    say_enqueued(&set, 0, 3);
    say_enqueued(&set, THEN, 1);
    say_together(&set, 3);
    say_order(&set, 0, 1);
    say_order(&set, 1, 2);
    say_order(&set, 2, THEN);
}

/*   0 --> 1, 2 --> 3      4 fails: 5 runs because of that, 6 never does */
static enum err graph_fn(struct store_tx *tx, void *arg)
{
    static const struct queue_edge of_0 = {.node = 0}, of_1_and_2[] = {{.node = 1}, {.node = 2}},
                                   when_4_fails = {.node = 4, .when = QUEUE_ON_FAILURE},
                                   when_4_is_done = {.node = 4};
    struct set *set = arg;
    size_t count = (size_t)fill_all(set);
    const struct queue_node nodes[] = {
        {.job = set->jobs[0]},
        {.job = set->jobs[1], .needs = &of_0, .needs_count = 1},
        {.job = set->jobs[2], .needs = &of_0, .needs_count = 1},
        {.job = set->jobs[3], .needs = of_1_and_2, .needs_count = 2},
        {.job = set->jobs[4]},
        {.job = set->jobs[5], .needs = &when_4_fails, .needs_count = 1},
        {.job = set->jobs[6], .needs = &when_4_is_done, .needs_count = 1},
    };
    enum err err =
        queue_batch_open(tx, &(struct queue_batch_new){.name = STR("graph")}, &set->batch_id);
    if (!err)
        err = queue_graph_add(tx, set->batch_id, nodes, count, set->ids);
    return err ? err : queue_batch_close(tx, set->batch_id);
}

static void add_graph(struct world *w, int64_t first)
{
    struct set set = {.w = w, .first = first, .kinds = "qqqqdqx"};
    commit(w, graph_fn, &set);
    say_enqueued(&set, 0, 7);
    say_together(&set, 7);
    for (int i = 1; i <= 2; i++) {
        say_order(&set, 0, i);
        say_order(&set, i, 3);
    }
}

/* ---- steps; put off ---- */

struct step {
    int64_t tag;
    char text[24]; // the result
};

static enum err step_fn(struct store_tx *tx, struct queue_job *job, void *arg,
                        struct str *result_out)
{
    const struct step *step = arg;
    *result_out = str_of(step->text);
    return world_effect(tx, step->tag, job->id);
}

enum err world_flow_steps(struct world *w, struct queue_job *job, int64_t tag)
{
    static const struct str names[] = {{"one", 3}, {"two", 3}};
    for (int i = 0; i < 2; i++) {
        struct step step = {.tag = tag + 1 + i};
        struct str result;
        snprintf(step.text, sizeof(step.text), "%lld", (long long)step.tag);
        enum err err = queue_step_do(w->store, job, names[i], step_fn, &step, &result);
        if (err)
            return err;
        CHECK(str_eq(result, str_of(step.text)));
        if (job->attempt == 0)
            return ERR_AGAIN;
    }
    return OK;
}

static enum err steps_fn(struct store_tx *tx, void *arg)
{
    struct set *set = arg;
    fill(set, 1, 'e');
    fill(set, 2, 'e');
    return queue_enqueue(tx, fill(set, 0, 's'), &set->ids[0]);
}

static void add_steps(struct world *w, int64_t first)
{
    struct set set = {.w = w, .first = first};
    commit(w, steps_fn, &set);
    say_enqueued(&set, 0, 3);
    say_together(&set, 3);
    say_order(&set, 1, 2);
    say_order(&set, 2, 0);
}

enum err world_flow_snooze(struct world *w, struct queue_job *job)
{
    if (w->has_snoozed)
        return OK;
    w->has_snoozed = true;
    job->end = (struct queue_end){.verdict = QUEUE_SNOOZE, .delay_ms = 10};
    return ERR_AGAIN;
}

/* ---- by an operator ---- */

static enum err operated_fn(struct store_tx *tx, void *arg)
{
    struct set *set = arg;
    enum err err = OK;
    int count = fill_all(set);
    for (int i = 0; i < count && !err; i++) {
        set->jobs[i].delay_ms = 100; // the clock stands still: they wait
        err = queue_enqueue(tx, &set->jobs[i], &set->ids[i]);
    }
    return err;
}

static enum err cancel_job_fn(struct store_tx *tx, void *arg)
{
    return queue_admin_act_cancel(tx, arg);
}

static enum err discard_job_fn(struct store_tx *tx, void *arg)
{
    return queue_admin_act_discard(tx, arg);
}

static enum err retry_job_fn(struct store_tx *tx, void *arg)
{
    return queue_admin_act_retry(tx, arg);
}

static enum err edit_job_fn(struct store_tx *tx, void *arg)
{
    return queue_admin_act_edit(tx, arg,
                                &(struct queue_admin_edit){.has_priority = true, .priority = 3});
}

static enum err edit_payload_fn(struct store_tx *tx, void *arg)
{
    return queue_admin_act_edit(tx, arg, &(struct queue_admin_edit){.payload = STR("345")});
}

/* One is cancelled; one is cancelled and then wanted again; one is changed; one is discarded; one
 * becomes another. */
static void play_operator(struct world *w)
{
    struct set set = {.w = w, .first = 340, .kinds = "ggggg"};
    struct queue_admin_act acts[5];
    commit(w, operated_fn, &set);
    say_enqueued(&set, 0, 5);
    say_together(&set, 4);
    for (int i = 0; i < 5; i++)
        acts[i] = (struct queue_admin_act){.id = set.ids[i], .epoch = -1};
    commit(w, cancel_job_fn, &acts[0]);
    world_say(w, "C 340\n");
    commit(w, cancel_job_fn, &acts[1]);
    commit(w, retry_job_fn, &acts[1]);
    commit(w, edit_job_fn, &acts[2]);
    commit(w, discard_job_fn, &acts[3]);
    world_say(w, "C 343\n");
    world_say(w, "N 345 g\n");
    world_say(w, "V 344 345\n");
    commit(w, edit_payload_fn, &acts[4]);
}

/* The dead, as they are listed. */
static enum err retry_all_fn(struct store_tx *tx, void *arg)
{
    const struct queue_admin_list_filter dead = {.state = QUEUE_DEAD};
    const struct queue_held none = {0};
    const struct queue_admin_list_page page = {.limit = MAX_SET};
    struct queue_admin_list list;
    size_t done = 0, refused = 0;
    struct arena a;
    int64_t *id = arg;
    arena_init(&a);
    enum err err = queue_admin_list(tx, &dead, &none, &page, &a, &list);
    size_t count = 0;
    for (size_t i = 0; !err && i < list.count; i++)
        if (list.jobs[i].id == *id)
            list.jobs[count++] = list.jobs[i];
    list.count = count;
    if (!err)
        err = queue_admin_act_slice(tx, queue_admin_act_retry, &list, &none, &done, &refused);
    CHECK(err || (done == 1 && refused == 0));
    arena_done(&a);
    return err;
}

/* One that is dead is tried again, with all its attempts. */
static void play_retry_of_the_dead(struct world *w)
{
    struct set set = {.w = w, .first = 350, .kinds = "d"};
    commit(w, operated_fn, &set);
    say_enqueued(&set, 0, 1);
    world_run_all(w);
    advance(w, 0); // by its next tries
    commit(w, retry_all_fn, &set.ids[0]);
}

/* ---- limits, a pause ---- */

static enum err limit_fn(struct store_tx *tx, void *arg)
{
    return queue_set_limits(tx, STR(QUEUE_DEFAULT), arg);
}

static enum err pause_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    return queue_pause(tx, STR(QUEUE_DEFAULT), store_now_ms(tx) + PAUSE_MS);
}

static void play_limits(struct world *w)
{
    struct queue_limits few = {.key_max_running = 1,
                               .max_running = 2,
                               .rate = 100,
                               .rate_ms = 100,
                               .burst = 3},
                        none = {0};
    commit(w, limit_fn, &few);
    commit(w, pause_fn, NULL);
    add_many(w, 320, "tttttt");
    world_run_all(w);
    commit(w, limit_fn, &none);
}

/* ---- ticks ---- */

static enum err tick_of_fn(struct store_tx *tx, void *arg)
{
    int64_t *value = arg; // in: the job; out: its tick
    return queue_periodic_tick_of(tx, *value, value);
}

int64_t world_flow_tick(struct world *w, const struct queue_job *job, int64_t first_tag)
{
    int64_t value = job->id;
    CHECK(store_read(w->store, tick_of_fn, &value) == OK);
    int64_t tag = first_tag + value / TICK_MS % TICKS;
    world_say(w, "N %lld y\n", (long long)tag);
    return tag;
}

static enum err declare_fn(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct queue_periodic each = {.name = STR("each"),
                                  .cron = STR("* * * * *"),
                                  .kind = STR("y"),
                                  .payload = STR("400"),
                                  .overlap = QUEUE_OVERLAP_ALLOW,
                                  .catch_up_ms = 3600 * 1000};
    struct queue_periodic one_by_one = each;
    struct str why;
    one_by_one.name = STR("one-by-one");
    one_by_one.payload = STR("500");
    one_by_one.overlap = QUEUE_OVERLAP_BUFFER_ONE;
    enum err err = queue_periodic_declare(tx, &each, &why);
    return err ? err : queue_periodic_declare(tx, &one_by_one, &why);
}

static enum err tick_fn(struct store_tx *tx, void *arg)
{
    return queue_periodic_run_due(tx, arg);
}

/* All ticks that have come. */
static void tick(struct world *w)
{
    int64_t next_ms;
    do
        commit(w, tick_fn, &next_ms);
    while (next_ms > 0 && next_ms <= clock_unix_ms());
}

/* ---- pruning ---- */

static enum err prune_fn(struct store_tx *tx, void *arg)
{
    int64_t count;
    (void)arg;
    enum err err = queue_prune(tx, STR(QUEUE_DEFAULT), MAX_TAGS, &count);
    return err ? err : queue_batch_prune(tx, store_now_ms(tx), MAX_TAGS, &count);
}

static void prune(struct world *w)
{
    advance(w, KEEP_MS + 1);
    commit(w, prune_fn, NULL);
}

/* ---- the scenario ---- */

void world_play_flow(void *world)
{
    static const struct str tags[] = {{"red", 3}};
    struct world *w = world;
    world_open(w);
    play_ends(w);
    play_reports(w);
    play_cancel(w);
    add_many(w, 210, "oooo");
    add_batch(w, 220, "ooo");
    add_batch(w, 240, "ddo");
    add_chain(w, 260);
    add_graph(w, 270);
    add_steps(w, 290);
    world_add(w, 300, 1, 'n', (struct queue_new){0});
    add_batch_and_cancel(w, 310);
    play_operator(w);
    play_retry_of_the_dead(w);
    world_add(w, 360, 1, 'z',
              (struct queue_new){.seal = w->seal, .key = STR("sealed"), .keep_ms = 3600 * 1000});
    world_add_softly(w, 370, 2, 'o');
    world_add(w, 330, 1, 'v', (struct queue_new){.keep_ms = KEEP_MS, .tags = tags, .tag_count = 1});
    add_many(w, 380, "tttttt");
    world_run_all(w);
    prune(w);
    play_limits(w);
    commit(w, declare_fn, NULL);
    advance(w, 3 * TICK_MS);
    tick(w);
    world_run_all(w);
    world_close(w);
}

/* A process may begin a hundred retries, and those that it earns. */
void world_play_budget(void *world)
{
    struct world *w = world;
    struct queue_limits few = {.retry_percent = 1};
    world_open(w);
    commit(w, limit_fn, &few);
    world_add(w, 600, 130, 'f', (struct queue_new){0});
    world_run_all(w);
    world_close(w);
}

void world_flow_drain(struct world *w)
{
    tick(w);
    world_run_all(w);
    prune(w);
}
