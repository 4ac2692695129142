#include "civic/civic_jobs.h"

#include <time.h>

#include "civic/civic_follow.h"
#include "civic/civic_job.h"
#include "civic/civic_support.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/json.h"
#include "queue/queue_periodic.h"
#include "test_civic.h"

enum { MAX_HEARD = 2000 };

/* What was announced, in order. */
struct heard {
    char channel[64], event[32];
    char *data;
};

struct ear {
    struct test_civic c;
    struct civic_jobs jobs;
    struct civic_announcer announcer;
    struct queue *queue;
    struct queue_handler handlers[16];
    pthread_mutex_t mutex;
    struct heard heard[MAX_HEARD]; // guarded
    size_t count;                  // guarded
};

static void hear(void *ctx, struct str channel, struct str event, struct str data)
{
    struct ear *e = ctx;
    pthread_mutex_lock(&e->mutex);
    if (e->count < MAX_HEARD) {
        struct heard *h = &e->heard[e->count++];
        snprintf(h->channel, sizeof(h->channel), "%.*s", STR_ARG(channel));
        snprintf(h->event, sizeof(h->event), "%.*s", STR_ARG(event));
        h->data = str_dup(data);
    }
    pthread_mutex_unlock(&e->mutex);
}

static void hear_counter(void *ctx, struct str channel, struct str event, struct str key,
                         struct str data)
{
    (void)key;
    hear(ctx, channel, event, data);
}

static void wake(void *ctx)
{
    queue_wake(((struct ear *)ctx)->queue);
}

static void begin(struct ear *e)
{
    crypto_init();
    *e = (struct ear){0};
    test_civic_begin(&e->c);
    pthread_mutex_init(&e->mutex, NULL);
    e->announcer = (struct civic_announcer){.event = hear, .counter = hear_counter, .ctx = e};
    e->jobs = (struct civic_jobs){.store = e->c.t.store, .announcer = &e->announcer};
    civic_jobs_bind(&e->jobs, e->handlers);
    const struct queue_options options = {.workers = 2, .lease_ms = 30000, .backoff_cap_ms = 1000};
    e->queue = queue_new(e->c.t.store, &options, e->handlers, civic_jobs_count);
    store_on_commit(e->c.t.store, wake, e);
}

/* Runs the queue until nothing is ready or running. */
static void work(struct ear *e)
{
    struct queue_stats stats = {0};
    EXPECT_EQ(queue_start(e->queue), OK);
    for (int i = 0; i < 3000; i++) { // at most 30 s
        EXPECT_EQ(queue_get_stats(e->queue, &stats), OK);
        if (stats.ready + stats.running == 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    EXPECT_EQ(stats.ready + stats.running, 0);
    EXPECT_EQ(stats.dead, 0);
    queue_stop(e->queue, 5000);
}

static void end(struct ear *e)
{
    queue_free(e->queue);
    for (size_t i = 0; i < e->count; i++)
        free(e->heard[i].data);
    pthread_mutex_destroy(&e->mutex);
    test_civic_end(&e->c);
}

static size_t count_heard(const struct ear *e, const char *channel, const char *event)
{
    size_t count = 0;
    for (size_t i = 0; i < e->count; i++)
        count += strcmp(e->heard[i].channel, channel) == 0 && strcmp(e->heard[i].event, event) == 0;
    return count;
}

static const char *last_heard(const struct ear *e, const char *event)
{
    const char *data = "";
    for (size_t i = 0; i < e->count; i++)
        if (strcmp(e->heard[i].event, event) == 0)
            data = e->heard[i].data;
    return data;
}

struct follow {
    struct civic_actor actor;
    int64_t id;
    const char *why;
};
TEST_CIVIC_WRITE(follow, return civic_follow_set(tx, &w->actor, w->id, true, &w->why);)

struct sign {
    struct civic_actor actor;
    int64_t id;
    struct civic_support out;
    const char *why;
};
TEST_CIVIC_WRITE(sign, return civic_support_sign(tx, &w->actor, w->id, &w->out, &w->why);)

struct crowd {
    int64_t proposal_id;
    int count;
};
TEST_CIVIC_WRITE(
    crowd, enum err err = OK; for (int i = 0; i < w->count && !err; i++) {
        char email[64];
        snprintf(email, sizeof(email), "f%d@example.org", i);
        const struct civic_user_new user = {.email = str_of(email),
                                            .name = STR("F"),
                                            .password_hash = STR("x"),
                                            .role = CIVIC_USER};
        struct civic_actor actor = {.role = CIVIC_USER};
        const char *why = NULL;
        err = civic_user_create(tx, &user, &actor.id);
        if (!err)
            err = civic_follow_set(tx, &actor, w->proposal_id, true, &why);
    } return err;)

TEST(civic_jobs_announce_a_comment_and_tell_author_parent_and_followers_once)
{
    struct ear e;
    int64_t first, second;
    begin(&e);
    int64_t id = test_civic_proposal(&e.c, false);
    EXPECT_EQ(follow(&e.c, &(struct follow){.actor = e.c.author, .id = id}), OK);
    EXPECT_EQ(follow(&e.c, &(struct follow){.actor = e.c.user, .id = id}), OK);
    EXPECT_EQ(test_civic_comment(&e.c, e.c.member, id, 0, &first), OK);
    EXPECT_EQ(test_civic_comment(&e.c, e.c.user, id, first, &second), OK);
    work(&e);
    char proposal[64];
    snprintf(proposal, sizeof(proposal), "proposal.%lld", (long long)id);
    EXPECT_EQ(count_heard(&e, proposal, "comment.created"), 2);
    EXPECT_EQ(test_store_int(e.c.t.store, "SELECT count(*) FROM notification"), 4);
    // The author: of both. The follower: of the other's. The answered: of the answer.
    EXPECT_EQ(
        test_store_int(e.c.t.store,
                       "SELECT count(*) FROM notification WHERE user_id = 1 AND kind = 'comment'"),
        2);
    EXPECT_EQ(
        test_store_int(e.c.t.store,
                       "SELECT count(*) FROM notification WHERE user_id = 2 AND kind = 'reply'"),
        1);
    EXPECT_EQ(
        test_store_int(e.c.t.store,
                       "SELECT count(*) FROM notification WHERE user_id = 3 AND kind = 'comment'"),
        1);
    EXPECT_EQ(count_heard(&e, "private-user.1", "notification.created"), 2);
    EXPECT(strstr(last_heard(&e, "comment.created"), "\"viewer\"") == NULL);
    end(&e);
}

TEST(civic_jobs_tell_many_followers_in_slices)
{
    struct ear e;
    int64_t comment_id;
    begin(&e);
    struct crowd crowd_of = {.proposal_id = test_civic_proposal(&e.c, false),
                             .count = CIVIC_JOBS_SLICE * 2 + 3};
    EXPECT_EQ(crowd(&e.c, &crowd_of), OK);
    EXPECT_EQ(test_civic_comment(&e.c, e.c.member, crowd_of.proposal_id, 0, &comment_id), OK);
    work(&e);
    EXPECT_EQ(test_store_int(e.c.t.store, "SELECT count(*) FROM notification"), crowd_of.count + 1);
    EXPECT_EQ(test_store_int(e.c.t.store, "SELECT count(DISTINCT user_id) FROM notification"),
              crowd_of.count + 1);
    end(&e);
}

TEST(civic_jobs_say_nothing_in_public_of_what_is_for_members)
{
    struct ear e;
    int64_t comment_id;
    begin(&e);
    int64_t id = test_civic_proposal(&e.c, true);
    EXPECT_EQ(test_civic_comment(&e.c, e.c.member, id, 0, &comment_id), OK);
    EXPECT_EQ(sign(&e.c, &(struct sign){.actor = e.c.member, .id = id}), OK);
    work(&e);
    for (size_t i = 0; i < e.count; i++)
        EXPECT(strncmp(e.heard[i].channel, "private-", 8) == 0);
    EXPECT(e.count >= 3);
    end(&e);
}

TEST(civic_jobs_collapse_a_burst_and_announce_the_last_value)
{
    struct ear e;
    begin(&e);
    int64_t id = test_civic_proposal(&e.c, false);
    struct civic_actor people[] = {e.c.author, e.c.member, e.c.user};
    for (size_t i = 0; i < 3; i++)
        EXPECT_EQ(sign(&e.c, &(struct sign){.actor = people[i], .id = id}), OK);
    EXPECT_EQ(test_store_int(e.c.t.store, "SELECT count(*) FROM job WHERE kind = "
                                          "'proposal.supported' AND run_at_ms <= created_at_ms"),
              1);
    work(&e);
    EXPECT(strstr(last_heard(&e, "proposal.supported"), "\"support_count\":3") != NULL);
    EXPECT(strstr(last_heard(&e, "proposal.supported"), "\"state\":\"reached\"") != NULL);
    EXPECT_EQ(
        test_store_int(e.c.t.store, "SELECT count(*) FROM notification WHERE kind = 'reached'"), 1);
    EXPECT_EQ(
        test_store_int(e.c.t.store, "SELECT count(*) FROM notification WHERE kind = 'support'"), 1);
    end(&e);
}

static enum err run_due(struct store_tx *tx, void *arg)
{
    return queue_periodic_run_due(tx, arg);
}

TEST(civic_jobs_prune_every_ten_minutes)
{
    static const char count[] = "SELECT count(*) FROM job WHERE kind = 'civic.prune'";
    const int64_t every_ms = 10 * 60 * 1000;
    struct ear e;
    int64_t next_ms = 0;
    begin(&e);
    clock_test_stop();
    EXPECT_EQ(civic_jobs_start(e.c.t.store, true), OK);
    EXPECT_EQ(civic_jobs_start(e.c.t.store, true), OK);
    clock_test_advance(every_ms - clock_unix_ms() % every_ms);
    EXPECT_EQ(store_write_wait(e.c.t.store, run_due, &next_ms), OK);
    EXPECT_EQ(next_ms, clock_unix_ms() + every_ms);
    EXPECT_EQ(test_store_int(e.c.t.store, count), 1);
    work(&e); // one that went wrong would wait to be tried again
    EXPECT_EQ(test_store_int(e.c.t.store, count), 0);

    EXPECT_EQ(civic_jobs_start(e.c.t.store, false), OK); // nobody would run it
    clock_test_advance(every_ms);
    EXPECT_EQ(store_write_wait(e.c.t.store, run_due, &next_ms), OK);
    EXPECT_EQ(next_ms, 0);
    EXPECT_EQ(test_store_int(e.c.t.store, count), 0);
    end(&e);
}

TEST(civic_jobs_have_a_handler_for_every_kind_and_a_payload_that_is_checked)
{
    struct civic_job job;
    EXPECT_EQ(civic_job_parse(STR("{\"id\":7,\"actor_id\":2,\"after\":0}"), &job), OK);
    EXPECT_EQ(job.id, 7);
    EXPECT_EQ(civic_job_parse(STR("{\"id\":7}"), &job), ERR_INVALID);
    EXPECT_EQ(civic_job_parse(STR("{\"id\":\"7\",\"actor_id\":2,\"after\":0}"), &job), ERR_INVALID);
    EXPECT_EQ(civic_job_parse(STR(""), &job), ERR_INVALID);
}

TEST(civic_announce_joins_votes_of_one_proposal)
{
    const struct str datas[] = {
        STR("{\"proposal_id\":7,\"items\":[{\"id\":1,\"up\":1,\"down\":0}]}"),
        STR("{\"proposal_id\":7,\"items\":[{\"id\":2,\"up\":0,\"down\":3}]}")};
    struct buf out;
    buf_init(&out, 1000);
    EXPECT_EQ(civic_announce_join(datas, 2, &out), OK);
    EXPECT_STR(((struct str){(const char *)buf_head(&out), buf_len(&out)}),
               "{\"proposal_id\":7,\"items\":[{\"id\":1,\"up\":1,\"down\":0},{\"id\":2,\"up\":0,"
               "\"down\":3}]}");
    buf_done(&out);
    buf_init(&out, 1000);
    EXPECT_EQ(civic_announce_join(&STR("{\"id\":1}"), 1, &out), ERR_INVALID);
    buf_done(&out);
}
