/* webhook_sender.c -- one thread, all transfers (curl's multi interface).
 *
 *     add (workers) --> inbox --> receiver's line --> one POST at a time --> queue_finish
 *
 * What is in hand is bounded twice: by the queue (jobs it has claimed and not finished) and by
 * MAX_LINE for each receiver, so that one with a long backlog leaves room for the others. A job for
 * which there is no place in line goes back to the queue, and comes again when its turn should be:
 * line_end_ms moves on by the time that a post takes, so each job goes back about once, and the
 * order stays. Whoever is new waits behind those who were sent back.
 *
 * After a failure all of the line goes back until the receiver has rested, the failed one behind
 * the others: a batch that the receiver can't digest must not hold up those that it can.
 */
#include "webhook/webhook_sender.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"

enum {
    MAX_LINE = 16,
    MAX_IDLE_CONNECTIONS = 32,
    FIRST_REST_MS = 1000,
    MAX_REST_MS = 60 * 1000,
    MIN_PACE_MS = 5,
    PACE_PART = 4, // how much of a new measure goes into the pace
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
    int64_t line_end_ms;              // when whoever is sent back now has its turn
    int64_t pace_ms;                  // what a post takes
};

struct webhook_sender {
    bool allows_private;
    int64_t retry_ms, started_at_ms;
    struct webhook_meter *meter;
    pthread_t thread;
    CURLM *multi;

    pthread_mutex_t mutex; // guards what follows, up to the blank line
    struct list inbox;
    bool is_stopping, is_over;
    int64_t stop_by_ms;

    struct map receivers; // the thread's own, as all below
    int posting;
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

/* The next turn in line, from now. */
static int64_t take_turn(struct webhook_receiver *r)
{
    int64_t now_ms = clock_mono_ms();
    if (r->line_end_ms < now_ms)
        r->line_end_ms = now_ms;
    if (r->line_end_ms < r->rest_until_ms)
        r->line_end_ms = r->rest_until_ms;
    int64_t delay_ms = r->line_end_ms - now_ms;
    r->line_end_ms += r->pace_ms;
    return delay_ms;
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
        r->pace_ms = MIN_PACE_MS;
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
    if (r->current || r->count > 0 || r->failures > 0 || r->line_end_ms > clock_mono_ms())
        return;
    map_remove(&s->receivers, str_of(r->key));
    receiver_free(r);
}

/* ---- posting ---- */

static void note_pace(struct webhook_receiver *r, int64_t took_ms)
{
    r->pace_ms += (took_ms - r->pace_ms) / PACE_PART;
    if (r->pace_ms < MIN_PACE_MS)
        r->pace_ms = MIN_PACE_MS;
}

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
        d->post.allows_private = s->allows_private;
        d->began_ms = clock_mono_ms();
        if (webhook_post_begin(&d->post, s->multi, d) != OK) {
            on_failure(s, d, STR("the POST cannot be made"));
            continue;
        }
        r->current = d;
        s->posting++;
    }
}

/* Its POST ended, or is ended here. */
static struct webhook_receiver *end_post(struct webhook_sender *s, struct webhook_delivery *d)
{
    struct webhook_receiver *r = d->receiver;
    webhook_post_done(&d->post, s->multi);
    r->current = NULL;
    s->posting--;
    return r;
}

static void on_posted(struct webhook_sender *s, struct webhook_delivery *d, CURLcode result)
{
    struct str why = STR("");
    enum err err = webhook_post_judge(&d->post, result, &d->job->arena, &why);
    note_pace(d->receiver, clock_mono_ms() - d->began_ms);
    struct webhook_receiver *r = end_post(s, d);
    if (err)
        on_failure(s, d, why);
    else
        on_success(s, d);
    post_next(s, r);
    forget_idle(s, r);
}

static void read_results(struct webhook_sender *s)
{
    int left = 0;
    const CURLMsg *m;
    while ((m = curl_multi_info_read(s->multi, &left))) {
        void *owner = NULL;
        CURLcode result = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        CHECK(curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&owner) == CURLE_OK);
        on_posted(s, owner, result);
    }
}

/* ---- what comes in ---- */

static void accept_delivery(struct webhook_sender *s, struct webhook_delivery *d)
{
    struct webhook_receiver *r = d->receiver = get_receiver(s, d);
    int64_t now_ms = clock_mono_ms();
    bool is_new = d->job->attempt == 0 && d->job->run_at_ms == d->job->created_at_ms;
    if (now_ms < r->rest_until_ms || r->count >= MAX_LINE || (is_new && now_ms < r->line_end_ms)) {
        send_back(s, d);
        return;
    }
    list_append(&r->line, &d->node);
    r->count++;
    post_next(s, r);
}

/* False: it is over. */
static bool take_inbox(struct webhook_sender *s, struct list *taken, bool *is_stopping,
                       int64_t *stop_by_ms)
{
    struct list *node;
    pthread_mutex_lock(&s->mutex);
    while ((node = list_shift(&s->inbox)))
        list_append(taken, node);
    *is_stopping = s->is_stopping;
    *stop_by_ms = s->stop_by_ms;
    bool is_over = s->is_over;
    pthread_mutex_unlock(&s->mutex);
    return !is_over;
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

static void *run(void *arg)
{
    struct webhook_sender *s = arg;
    struct list taken;
    bool is_stopping = false;
    int64_t stop_by_ms = 0;
    list_init(&taken);
    pthread_setname_np(pthread_self(), "webhooks");
    while (take_inbox(s, &taken, &is_stopping, &stop_by_ms)) {
        struct list *node;
        int running = 0;
        if (is_stopping)
            stop_all(s, &taken, clock_mono_ms() >= stop_by_ms);
        while ((node = list_shift(&taken)))
            accept_delivery(s, LIST_ENTRY(node, struct webhook_delivery, node));
        curl_multi_perform(s->multi, &running);
        read_results(s);
        int64_t nap_ms = is_stopping ? stop_by_ms - clock_mono_ms() : NAP_MS;
        curl_multi_poll(s->multi, NULL, 0, nap_ms < 1 || nap_ms > NAP_MS ? NAP_MS : (int)nap_ms,
                        NULL);
    }
    return NULL;
}

/* ---- the outside ---- */

void webhook_sender_add(struct webhook_sender *s, struct webhook_delivery *d)
{
    list_init(&d->node);
    pthread_mutex_lock(&s->mutex);
    list_append(&s->inbox, &d->node);
    pthread_mutex_unlock(&s->mutex);
    curl_multi_wakeup(s->multi);
}

void webhook_sender_stop(struct webhook_sender *s, int64_t wait_ms)
{
    pthread_mutex_lock(&s->mutex);
    s->is_stopping = true;
    s->stop_by_ms = clock_mono_ms() + wait_ms;
    pthread_mutex_unlock(&s->mutex);
    curl_multi_wakeup(s->multi);
}

static bool start_thread(struct webhook_sender *s)
{
    sigset_t all, old;
    sigfillset(&all); // signals are for the operator's thread
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code != 0)
        log_error("at=webhook_sender.start errno=%d", code);
    return code == 0;
}

static void release(struct webhook_sender *s)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&s->receivers, &i));)
        receiver_free(e->value);
    map_done(&s->receivers);
    curl_multi_cleanup(s->multi);
    curl_global_cleanup();
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
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    s->multi = curl_multi_init();
    CHECK(s->multi != NULL);
    curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)MAX_IDLE_CONNECTIONS);
    if (start_thread(s))
        return s;
    release(s);
    return NULL;
}

void webhook_sender_free(struct webhook_sender *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    s->is_over = true;
    pthread_mutex_unlock(&s->mutex);
    curl_multi_wakeup(s->multi);
    pthread_join(s->thread, NULL);
    CHECK(s->posting == 0 && list_is_empty(&s->inbox));
    release(s);
}
