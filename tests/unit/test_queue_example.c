/* An example to copy from: the jobs of a shop and their tests (docs/queue-c.md).
 *
 * An order is shipped by a job: a copy is reserved and the card is charged, each once however often
 * the job runs; then the parcel and the mail about it are written with the acknowledgement.
 */
#include <stdio.h>

#include "core/clock.h"
#include "core/failpoint.h"
#include "core/log.h"
#include "queue/queue_batch.h"
#include "queue/queue_step.h"
#include "queue/queue_test.h"
#include "test_queue.h"

struct shop {
    struct test_store t;
    int refusals; // of the bank, yet to come
    int mails;
};

/* ---- the bank: somebody else's system, which takes each key once ---- */

static enum err charge_fn(struct store_tx *tx, void *arg)
{
    const struct str *key = arg;
    struct store_stmt *st;
    enum err err =
        store_prepare(tx, "INSERT INTO bank (key) VALUES ($1) ON CONFLICT DO NOTHING", &st);
    if (err)
        return err;
    store_bind_text(st, 1, *key);
    return store_run(st, NULL);
}

static enum err bank_charge(struct shop *shop, struct str key)
{
    if (shop->refusals-- > 0)
        return ERR_DENIED;
    return store_write_wait(shop->t.store, charge_fn, &key);
}

/* ---- the handlers ---- */

/* A step within our database: a transaction, with its result. */
static enum err reserve(struct store_tx *tx, struct queue_job *job, void *arg,
                        struct str *result_out)
{
    struct store_stmt *st;
    int64_t left = 0;
    (void)arg;
    enum err err = store_prepare(tx, "UPDATE stock SET left = left - 1 RETURNING left", &st);
    if (!err)
        err = store_get_int(st, &left);
    if (!err)
        *result_out = arena_printf(&job->arena, "{\"left\":%lld}", (long long)left);
    return err;
}

static enum err find_charge_fn(struct store_tx *tx, void *arg)
{
    struct queue_job *job = arg;
    struct str receipt;
    return queue_step_find(tx, job->id, STR("charge"), &job->arena, &receipt);
}

static enum err save_charge_fn(struct store_tx *tx, void *arg)
{
    return queue_step_save(tx, arg, STR("charge"), STR("{\"paid\":true}"));
}

/* A step outside of it: the key makes it safe to do twice, what is kept makes that rare. */
static enum err charge(struct shop *shop, struct queue_job *job)
{
    enum err err = store_read(shop->t.store, find_charge_fn, job);
    if (err != ERR_NOT_FOUND)
        return err;
    err = bank_charge(shop, arena_printf(&job->arena, "%lld:charge", (long long)job->id));
    failpoint_pass("shop.charged");
    return err ? err : store_write_wait(shop->t.store, save_charge_fn, job);
}

/* On a worker's thread: may take its time, writes nothing but steps. */
static enum err run_ship(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct shop *shop = ctx;
    struct str place;
    enum err err = queue_step_do(shop->t.store, job, STR("reserve"), reserve, NULL, &place);
    if (!err)
        err = charge(shop, job);
    if (err == ERR_DENIED)
        *why_out = STR("the bank refused");
    return err;
}

/* On the writer's thread, in the transaction that acknowledges the job: exactly once. */
static enum err commit_ship(struct store_tx *tx, struct queue_job *job, void *ctx)
{
    const struct queue_new mail = {.kind = STR("mail.send"), .payload = job->payload};
    (void)ctx;
    enum err err = test_queue_add_effect(tx, job->id); // your tables here
    return err ? err : queue_enqueue(tx, &mail, NULL);
}

static enum err run_mail(struct queue_job *job, void *ctx, struct str *why_out)
{
    (void)job, (void)why_out;
    ((struct shop *)ctx)->mails++;
    return OK;
}

static struct queue_handler handlers[] = {
    {.kind = "order.ship", .run = run_ship, .commit = commit_ship, .max_attempts = 5},
    {.kind = "mail.send", .run = run_mail},
};
enum { HANDLERS = sizeof(handlers) / sizeof(handlers[0]) };

/* ---- what enqueues: in the transaction that makes the job necessary ---- */

static enum err place_order_fn(struct store_tx *tx, void *arg)
{
    const struct str *order = arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx, "INSERT INTO placed (number) VALUES ($1)", &st);
    if (err)
        return err;
    store_bind_text(st, 1, *order);
    err = store_run(st, NULL); // ERR_CONFLICT: placed before
    const struct queue_new ship = {.kind = STR("order.ship"), .payload = *order};
    return err ? err : queue_enqueue(tx, &ship, NULL);
}

static enum err place_order(struct shop *shop, struct str order)
{
    return store_write_wait(shop->t.store, place_order_fn, &order);
}

/* ---- tests ---- */

static void open_kit(struct shop *shop, struct queue_test *kit)
{
    log_set_level(LOG_ERROR);
    for (size_t i = 0; i < HANDLERS; i++)
        handlers[i].ctx = shop;
    EXPECT_EQ(queue_test_begin(kit, shop->t.store, handlers, HANDLERS), OK);
}

static void open_shop(struct shop *shop)
{
    static const char *const tables[] = {
        "CREATE TABLE placed (number TEXT PRIMARY KEY)",
        "CREATE TABLE stock (left INTEGER NOT NULL)",
        "INSERT INTO stock VALUES (10)",
        "CREATE TABLE bank (key TEXT PRIMARY KEY)",
    };
    *shop = (struct shop){.refusals = 0};
    test_queue_begin(&shop->t); // a store with the queue's migrations
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        EXPECT_EQ(test_store_run(shop->t.store, tables[i]), OK);
}

static void expect_shipped_once(struct shop *shop)
{
    EXPECT_EQ(test_store_int(shop->t.store, "SELECT left FROM stock"), 9);
    EXPECT_EQ(test_store_int(shop->t.store, "SELECT count(*) FROM bank"), 1);
    EXPECT_EQ(test_store_int(shop->t.store, "SELECT count(*) FROM effect"), 1);
    EXPECT_EQ(test_store_int(shop->t.store, "SELECT count(*) FROM job"), 0);
}

TEST(queue_example_an_order_brings_its_job_or_neither_is_there)
{
    struct shop shop;
    struct queue_test kit;
    open_shop(&shop);
    open_kit(&shop, &kit);
    EXPECT_EQ(place_order(&shop, STR("7")), OK);
    EXPECT_EQ(place_order(&shop, STR("7")), ERR_CONFLICT);
    queue_test_assert_enqueued(&kit,
                               &(struct queue_test_like){.kind = "order.ship", .payload = "7"});
    EXPECT_EQ(queue_test_count(&kit, &(struct queue_test_like){0}), 1);
    EXPECT(queue_test_run_until_idle(&kit, 10)); // the mail too, which the first job enqueues
    EXPECT_EQ(shop.mails, 1);
    expect_shipped_once(&shop);
    queue_test_end(&kit);
    test_store_end(&shop.t);
}

TEST(queue_example_a_refusal_is_tried_again_later_and_nothing_is_reserved_twice)
{
    struct shop shop;
    struct queue_test kit;
    open_shop(&shop);
    open_kit(&shop, &kit);
    shop.refusals = 3;
    int64_t began_ms = clock_unix_ms();
    EXPECT_EQ(place_order(&shop, STR("7")), OK);
    EXPECT(queue_test_run_until_idle(&kit, 10)); // moves the clock to each next try
    EXPECT(clock_unix_ms() > began_ms);
    expect_shipped_once(&shop);
    queue_test_end(&kit);
    test_store_end(&shop.t);
}

/* In a child process, which dies at a named point. It opens what it needs. */
static void work(void *arg)
{
    struct shop *shop = arg;
    struct queue_test kit;
    EXPECT_EQ(test_store_open(&shop->t, true), OK);
    open_kit(shop, &kit);
    EXPECT(queue_test_run_until_idle(&kit, 10));
    queue_test_end(&kit);
    store_close(shop->t.store);
}

TEST(queue_example_survives_a_death_between_the_bank_and_its_receipt)
{
    struct shop shop;
    open_shop(&shop);
    EXPECT_EQ(place_order(&shop, STR("7")), OK);
    store_close(shop.t.store);
    EXPECT(queue_test_crash("shop.charged", 1, work, &shop));    // a point of the handler's own
    EXPECT(queue_test_crash("queue.ack.after", 1, work, &shop)); // one of docs/failpoints.md
    EXPECT(!queue_test_crash("shop.charged", 1, work, &shop));   // not charged again: it ends
    EXPECT_EQ(test_store_open(&shop.t, true), OK);
    expect_shipped_once(&shop);
    test_store_end(&shop.t);
}

static enum err send_all_fn(struct store_tx *tx, void *arg)
{
    const struct queue_new then = {.kind = STR("report.write"), .payload = STR("\"newsletter\"")};
    struct queue_new mails[3];
    int64_t *batch_id = arg;
    for (int i = 0; i < 3; i++)
        mails[i] = (struct queue_new){.kind = STR("mail.send")};
    enum err err = queue_batch_open(tx, &(struct queue_batch_new){.then = &then}, batch_id);
    if (!err)
        err = queue_batch_add(tx, *batch_id, mails, 3, NULL);
    return err ? err : queue_batch_close(tx, *batch_id);
}

TEST(queue_example_a_report_follows_when_all_mails_are_sent)
{
    struct shop shop;
    struct queue_test kit;
    int64_t batch_id = 0;
    open_shop(&shop);
    open_kit(&shop, &kit);
    EXPECT_EQ(store_write_wait(shop.t.store, send_all_fn, &batch_id), OK);
    EXPECT_EQ(queue_test_count(&kit, &(struct queue_test_like){.kind = "report.write"}), 0);
    EXPECT_EQ(batch_id, 1);
    EXPECT(queue_test_run_until_idle(&kit, 10));
    EXPECT_EQ(shop.mails, 3);
    // It has no handler here, so it is dead, and in sight.
    queue_test_assert_enqueued(
        &kit, &(struct queue_test_like){.kind = "report.write",
                                        .payload = "{\"batch\":1,\"name\":\"\",\"total\":3,"
                                                   "\"failed\":0,\"cancelled\":0,"
                                                   "\"payload\":\"newsletter\"}"});
    queue_test_end(&kit);
    test_store_end(&shop.t);
}
