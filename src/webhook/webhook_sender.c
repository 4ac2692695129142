/* webhook_sender.c -- who is posted to when; on the thread of a post_loop.
 *
 *     add (workers) --> inbox --> receiver's line --> one POST at a time --> queue_finish
 *
 * What is in hand is bounded twice: by the queue (jobs it has claimed and not finished) and by
 * MAX_LINE for each receiver, so that one with a long backlog leaves room for the others. A job for
 * which there is no place in line goes back to the queue until its turn (queue_turns.h).
 *
 * After a failure all of the line goes back until the receiver has rested, the failed one behind
 * the others: a batch that the receiver can't digest must not hold up those that it can.
 */
#include "webhook/webhook_sender.h"

#include <pthread.h>
#include <stdio.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/map.h"
#include "core/mem.h"
#include "post/post_loop.h"
#include "queue/queue_turns.h"

enum {
    MAX_LINE = 16,
    MAX_IDLE_CONNECTIONS = 32,
    FIRST_REST_MS = 1000,
    MAX_REST_MS = 60 * 1000,
    NAP_MS = 1000,
    MAX_WHY_BYTES = 200,
};

struct webhook_receiver {
    char *key; // "app_id url"
    struct list line;
    size_t count;                     // in line
    struct webhook_delivery *current; // being posted
    int failures;                     // in a row
    char why[MAX_WHY_BYTES];          // the last of them
    int64_t rest_until_ms;            // after a failure
    struct queue_turns turns;
};

struct webhook_sender {
    bool allows_private;
    int64_t retry_ms, started_at_ms;
    struct webhook_meter *meter;
    struct post_loop *loop;

    pthread_mutex_t mutex; // guards what follows, up to the blank line
    struct list inbox;
    bool is_stopping;
    int64_t stop_by_ms;

    struct map receivers; // the thread's own
};

/* ---- back to the queue ---- */

static void finish(struct webhook_delivery *d, enum queue_verdict verdict, int64_t delay_ms,
                   struct str why)
{
    queue_finish(d->job, &(struct queue_end){.verdict = verdict, .delay_ms = delay_ms, .why = why});
}

/* How long its failures have been tried again: a stop of the server is not the receiver's fault. */
static int64_t age_ms(const struct webhook_sender *s, const struct webhook_delivery *d)
{
    int64_t since =
        d->job->created_at_ms > s->started_at_ms ? d->job->created_at_ms : s->started_at_ms;
    return clock_unix_ms() - since;
}

/* From half of the full time to all of it, so that the receivers of a machine that comes back don't
 * all get theirs at once. */
static int64_t rest_ms(int failures)
{
    int64_t full = FIRST_REST_MS;
    uint64_t random;
    for (int i = 1; i < failures && full < MAX_REST_MS; i++)
        full *= 2;
    if (full > MAX_REST_MS)
        full = MAX_REST_MS;
    crypto_random(&random, sizeof(random));
    return full / 2 + (int64_t)(random % (uint64_t)(full / 2 + 1));
}

/* No longer than it may rest: it may be quicker than it was lately. */
static int64_t take_turn(struct webhook_receiver *r)
{
    int64_t delay_ms = queue_turns_take(&r->turns, r->rest_until_ms);
    return delay_ms < MAX_REST_MS ? delay_ms : MAX_REST_MS;
}

static void send_back(struct webhook_sender *s, struct webhook_delivery *d)
{
    struct webhook_receiver *r = d->receiver;
    if (age_ms(s, d) < s->retry_ms) {
        finish(d, QUEUE_SNOOZE, take_turn(r), STR(""));
        return;
    }
    webhook_meter_add(s->meter, d->app_id, WEBHOOK_METER_DROPPED);
    if (r->failures > 0)
        finish(d, QUEUE_BURY, 0, arena_printf(&d->job->arena, "too late: %s", r->why));
    else
        finish(d, QUEUE_BURY, 0, STR("too late: the receiver is slower than the events"));
}

static void send_line_back(struct webhook_sender *s, struct webhook_receiver *r)
{
    struct list *node;
    while ((node = list_shift(&r->line)))
        send_back(s, LIST_ENTRY(node, struct webhook_delivery, node));
    r->count = 0;
}

/* ---- receivers ---- */

static struct webhook_receiver *get_receiver(struct webhook_sender *s,
                                             const struct webhook_delivery *d)
{
    struct arena a;
    arena_init(&a);
    struct str key = arena_printf(&a, "%.*s %.*s", STR_ARG(d->app_id), STR_ARG(d->post.url));
    struct webhook_receiver *r = map_find(&s->receivers, key);
    if (!r) {
        r = MEM_NEW(struct webhook_receiver);
        r->key = str_dup(key);
        list_init(&r->line);
        map_put(&s->receivers, str_of(r->key), r);
    }
    arena_done(&a);
    return r;
}

static void receiver_free(struct webhook_receiver *r)
{
    mem_free(r->key);
    mem_free(r);
}

/* Forgets one of which there is nothing to know. */
static void forget_idle(struct webhook_sender *s, struct webhook_receiver *r)
{
    if (r->current || r->count > 0 || r->failures > 0 || r->turns.end_ms > clock_mono_ms())
        return;
    map_remove(&s->receivers, str_of(r->key));
    receiver_free(r);
}

/* ---- posting ---- */

static void on_failure(struct webhook_sender *s, struct webhook_delivery *d, struct str why)
{
    struct webhook_receiver *r = d->receiver;
    int64_t own_ms = rest_ms(d->job->attempt + 1);
    r->failures++;
    r->rest_until_ms = clock_mono_ms() + rest_ms(r->failures);
    snprintf(r->why, sizeof(r->why), "%.*s", STR_ARG(why));
    send_line_back(s, r);
    int64_t turn_ms = take_turn(r);
    int64_t delay_ms = turn_ms > own_ms ? turn_ms : own_ms;
    bool is_too_late = age_ms(s, d) + delay_ms > s->retry_ms;
    webhook_meter_add(s->meter, d->app_id, WEBHOOK_METER_FAILED);
    webhook_meter_add(s->meter, d->app_id,
                      is_too_late ? WEBHOOK_METER_DROPPED : WEBHOOK_METER_RETRIED);
    finish(d, is_too_late ? QUEUE_BURY : QUEUE_RETRY, is_too_late ? 0 : delay_ms, why);
}

static void on_success(struct webhook_sender *s, struct webhook_delivery *d)
{
    webhook_meter_add(s->meter, d->app_id, WEBHOOK_METER_SENT);
    d->receiver->failures = 0;
    d->receiver->rest_until_ms = 0;
    finish(d, QUEUE_DONE, 0, STR(""));
}

static void post_next(struct webhook_sender *s, struct webhook_receiver *r)
{
    while (!r->current && r->count > 0) {
        struct webhook_delivery *d =
            LIST_ENTRY(list_shift(&r->line), struct webhook_delivery, node);
        r->count--;
        webhook_post_fill(&d->post, &d->target, s->allows_private, &d->job->arena);
        d->began_ms = clock_mono_ms();
        if (post_loop_begin(s->loop, &d->post) != OK) {
            on_failure(s, d, STR("the POST cannot be made"));
            continue;
        }
        r->current = d;
    }
}

/* Its POST ended, or is ended here. */
static struct webhook_receiver *end_post(struct webhook_sender *s, struct webhook_delivery *d)
{
    struct webhook_receiver *r = d->receiver;
    post_loop_end(s->loop, &d->post);
    r->current = NULL;
    return r;
}

static void on_posted(void *ctx, struct post *p, CURLcode result)
{
    struct webhook_sender *s = ctx;
    struct webhook_delivery *d = LIST_ENTRY(p, struct webhook_delivery, post);
    struct str why = STR("");
    enum err err = webhook_post_judge(&d->post, result, &d->job->arena, &why);
    queue_turns_note(&d->receiver->turns, clock_mono_ms() - d->began_ms);
    struct webhook_receiver *r = end_post(s, d);
    if (err)
        on_failure(s, d, why);
    else
        on_success(s, d);
    post_next(s, r);
    forget_idle(s, r);
}

/* ---- what comes in ---- */

static void accept_delivery(struct webhook_sender *s, struct webhook_delivery *d)
{
    struct webhook_receiver *r = d->receiver = get_receiver(s, d);
    int64_t now_ms = clock_mono_ms();
    if (now_ms < r->rest_until_ms || r->count >= MAX_LINE ||
        queue_turns_are_before(&r->turns, d->job)) {
        send_back(s, d);
        return;
    }
    list_append(&r->line, &d->node);
    r->count++;
    post_next(s, r);
}

static void take_inbox(struct webhook_sender *s, struct list *taken, bool *is_stopping,
                       int64_t *stop_by_ms)
{
    struct list *node;
    pthread_mutex_lock(&s->mutex);
    while ((node = list_shift(&s->inbox)))
        list_append(taken, node);
    *is_stopping = s->is_stopping;
    *stop_by_ms = s->stop_by_ms;
    pthread_mutex_unlock(&s->mutex);
}

/* Gives back what waits, and what is being posted when its time is over. */
static void stop_all(struct webhook_sender *s, struct list *taken, bool is_late)
{
    struct map_entry *e;
    struct list *node;
    while ((node = list_shift(taken)))
        finish(LIST_ENTRY(node, struct webhook_delivery, node), QUEUE_SNOOZE, NAP_MS, STR(""));
    for (size_t i = 0; (e = map_next(&s->receivers, &i));) {
        struct webhook_receiver *r = e->value;
        while ((node = list_shift(&r->line)))
            finish(LIST_ENTRY(node, struct webhook_delivery, node), QUEUE_SNOOZE, 0, STR(""));
        r->count = 0;
        struct webhook_delivery *d = r->current;
        if (d && is_late) {
            end_post(s, d);
            finish(d, QUEUE_SNOOZE, 0, STR(""));
        }
    }
}

static int64_t turn(void *ctx)
{
    struct webhook_sender *s = ctx;
    struct list taken, *node;
    bool is_stopping = false;
    int64_t stop_by_ms = 0;
    list_init(&taken);
    take_inbox(s, &taken, &is_stopping, &stop_by_ms);
    if (is_stopping)
        stop_all(s, &taken, clock_mono_ms() >= stop_by_ms);
    while ((node = list_shift(&taken)))
        accept_delivery(s, LIST_ENTRY(node, struct webhook_delivery, node));
    int64_t nap_ms = is_stopping ? stop_by_ms - clock_mono_ms() : NAP_MS;
    return nap_ms < 1 || nap_ms > NAP_MS ? NAP_MS : nap_ms;
}

/* ---- the outside ---- */

void webhook_sender_add(struct webhook_sender *s, struct webhook_delivery *d)
{
    list_init(&d->node);
    pthread_mutex_lock(&s->mutex);
    list_append(&s->inbox, &d->node);
    pthread_mutex_unlock(&s->mutex);
    post_loop_wake(s->loop);
}

void webhook_sender_stop(struct webhook_sender *s, int64_t wait_ms)
{
    pthread_mutex_lock(&s->mutex);
    s->is_stopping = true;
    s->stop_by_ms = clock_mono_ms() + wait_ms;
    pthread_mutex_unlock(&s->mutex);
    post_loop_wake(s->loop);
}

static void release(struct webhook_sender *s)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&s->receivers, &i));)
        receiver_free(e->value);
    map_done(&s->receivers);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

struct webhook_sender *webhook_sender_new(const struct webhook_options *options)
{
    struct webhook_sender *s = MEM_NEW(struct webhook_sender);
    s->allows_private = options->allows_private;
    s->retry_ms = options->retry_ms;
    s->meter = options->meter;
    s->started_at_ms = clock_unix_ms();
    list_init(&s->inbox);
    map_init(&s->receivers);
    pthread_mutex_init(&s->mutex, NULL);
    s->loop = post_loop_new(&(struct post_loop_options){
        .name = "webhooks",
        .turn = turn,
        .on_posted = on_posted,
        .ctx = s,
        .max_idle_connections = MAX_IDLE_CONNECTIONS,
    });
    if (s->loop)
        return s;
    release(s);
    return NULL;
}

void webhook_sender_free(struct webhook_sender *s)
{
    if (!s)
        return;
    post_loop_stop(s->loop);
    CHECK(list_is_empty(&s->inbox));
    post_loop_free(s->loop);
    release(s);
}
