#include <stdio.h>

#include "core/crypto.h"
#include "queue/queue_batch.h"
#include "queue/queue_test.h"
#include "test_queue.h"

#define KEY_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KEY_B "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static struct queue_seal *keys(const char *text)
{
    struct queue_seal *s = NULL;
    const char *why = NULL;
    crypto_init();
    EXPECT_EQ(queue_seal_read(str_of(text), &s, &why), OK);
    return s;
}

TEST(queue_seal_reads_keys_and_says_what_is_wrong)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "there is no key"},
        {"# a=" KEY_A "\n\n", "there is no key"},
        {"a", "a key is 64 hex digits"},
        {"a=", "a key is 64 hex digits"},
        {"a=" KEY_A "0", "a key is 64 hex digits"},
        {"a=g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
         "a key is 64 hex digits"},
        {"=" KEY_A, "a line is id=hex, the id 1 to 32 letters, digits, '.', '_' or '-'"},
        {"a b=" KEY_A, "a line is id=hex, the id 1 to 32 letters, digits, '.', '_' or '-'"},
        {"123456789012345678901234567890123=" KEY_A,
         "a line is id=hex, the id 1 to 32 letters, digits, '.', '_' or '-'"},
        {"a=" KEY_A "\na=" KEY_B, "two keys have one id"},
    };
    crypto_init();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct queue_seal *s = NULL;
        const char *why = "";
        EXPECT_EQ(queue_seal_read(str_of(rows[i].text), &s, &why), ERR_INVALID);
        EXPECT_STR(str_of(why), rows[i].why);
    }
    struct queue_seal *s = keys("# keys\r\n new = " KEY_A " \r\n\nold=" KEY_B);
    struct arena a;
    arena_init(&a);
    EXPECT_STR(queue_seal_write(s, 1, STR("mail"), STR("{}"), &a).key_id, "new");
    arena_done(&a);
    queue_seal_free(s);
}

static struct queue_sealed with_key(struct queue_sealed sealed, const char *key_id)
{
    return (struct queue_sealed){sealed.text, str_of(key_id)};
}

TEST(queue_seal_opens_for_its_job_kind_and_key_alone)
{
    struct queue_seal *s = keys("a=" KEY_A "\nb=" KEY_B);
    struct arena a;
    struct str out = STR("none");
    arena_init(&a);
    struct queue_sealed sealed = queue_seal_write(s, 7, STR("mail"), STR("{\"to\":\"x\"}"), &a);
    EXPECT(sealed.text.at[0] == '"' && sealed.text.at[sealed.text.len - 1] == '"');
    EXPECT(!memmem(sealed.text.at, sealed.text.len, "{", 1));
    EXPECT_EQ(queue_seal_open(s, 7, STR("mail"), with_key(sealed, "a"), &a, &out), OK);
    EXPECT_STR(out, "{\"to\":\"x\"}");
    EXPECT_EQ(queue_seal_open(s, 8, STR("mail"), with_key(sealed, "a"), &a, &out), ERR_DENIED);
    EXPECT_EQ(queue_seal_open(s, 7, STR("male"), with_key(sealed, "a"), &a, &out), ERR_DENIED);
    EXPECT_EQ(queue_seal_open(s, 7, STR("mail"), with_key(sealed, "b"), &a, &out), ERR_DENIED);
    EXPECT_EQ(queue_seal_open(s, 7, STR("mail"), with_key(sealed, "c"), &a, &out), ERR_NOT_FOUND);
    EXPECT_EQ(queue_seal_open(NULL, 7, STR("mail"), with_key(sealed, "a"), &a, &out),
              ERR_NOT_FOUND);
    struct queue_sealed again = queue_seal_write(s, 7, STR("mail"), STR("{\"to\":\"x\"}"), &a);
    EXPECT(!str_eq(again.text, sealed.text)); // a nonce of its own
    arena_done(&a);
    queue_seal_free(s);
}

TEST(queue_seal_takes_other_keys_in_place_of_its_own)
{
    struct queue_seal *s = keys("a=" KEY_A), *with = keys("b=" KEY_B "\na=" KEY_A);
    struct arena a;
    struct str out;
    arena_init(&a);
    struct queue_sealed old = queue_seal_write(s, 1, STR("k"), STR("[1]"), &a);
    queue_seal_use(s, with);
    EXPECT_EQ(queue_seal_open(s, 1, STR("k"), with_key(old, "a"), &a, &out), OK);
    struct queue_sealed sealed = queue_seal_write(s, 1, STR("k"), STR("[2]"), &a);
    EXPECT_STR(sealed.key_id, "b");
    queue_seal_use(s, keys("b=" KEY_B));
    EXPECT_EQ(queue_seal_open(s, 1, STR("k"), with_key(sealed, "b"), &a, &out), OK);
    EXPECT_STR(out, "[2]");
    EXPECT_EQ(queue_seal_open(s, 1, STR("k"), with_key(old, "a"), &a, &out), ERR_NOT_FOUND);
    arena_done(&a);
    queue_seal_free(s);
}

TEST(queue_seal_refuses_every_changed_or_shortened_text)
{
    struct queue_seal *s = keys("a=" KEY_A);
    struct arena a;
    struct str out;
    arena_init(&a);
    struct queue_sealed sealed = queue_seal_write(s, 1, STR("k"), STR("[1]"), &a);
    for (size_t i = 0; i < sealed.text.len; i++) {
        struct str changed = arena_str(&a, sealed.text);
        char *bytes = (char *)(uintptr_t)changed.at;
        bytes[i] = bytes[i] == 'A' ? 'B' : 'A';
        EXPECT_EQ(
            queue_seal_open(s, 1, STR("k"), (struct queue_sealed){changed, STR("a")}, &a, &out),
            ERR_DENIED);
        EXPECT_EQ(queue_seal_open(s, 1, STR("k"),
                                  (struct queue_sealed){{sealed.text.at, i}, STR("a")}, &a, &out),
                  ERR_DENIED);
    }
    arena_done(&a);
    queue_seal_free(s);
}

/* ---- with jobs ---- */

struct seen {
    char payload[200];
    int runs;
};

static enum err run(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct seen *seen = ctx;
    (void)why_out;
    seen->runs++;
    snprintf(seen->payload, sizeof(seen->payload), "%.*s", STR_ARG(job->payload));
    return OK;
}

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    return queue_enqueue(tx, arg, NULL);
}

struct row {
    char payload[400], seal[40], error[100];
    int64_t state, attempt;
};

static enum err read_fn(struct store_tx *tx, void *arg)
{
    struct row *row = arg;
    struct store_stmt *st;
    enum err err = store_prepare(tx,
                                 "SELECT payload, seal, last_error, state, attempt FROM job LEFT "
                                 "JOIN job_option ON job_id = id",
                                 &st);
    if (err)
        return err;
    err = store_step(st);
    if (!err) {
        snprintf(row->payload, sizeof(row->payload), "%.*s", STR_ARG(store_column_text(st, 0)));
        snprintf(row->seal, sizeof(row->seal), "%.*s", STR_ARG(store_column_text(st, 1)));
        snprintf(row->error, sizeof(row->error), "%.*s", STR_ARG(store_column_text(st, 2)));
        row->state = store_column_int(st, 3);
        row->attempt = store_column_int(st, 4);
    }
    store_finish(st);
    return err;
}

static struct row row_of(struct test_store *t)
{
    struct row row = {.payload = ""};
    EXPECT_EQ(store_read(t->store, read_fn, &row), OK);
    return row;
}

struct bench {
    struct test_store t;
    struct queue_test q;
    struct seen seen;
    struct queue_handler handler;
};

static void begin(struct bench *b, struct queue_seal *seal, int max_attempts)
{
    b->handler = (struct queue_handler){
        .kind = "secret", .run = run, .ctx = &b->seen, .max_attempts = max_attempts};
    EXPECT_EQ(queue_test_begin_with(&b->q, b->t.store, &(struct queue_options){.seal = seal},
                                    &b->handler, 1),
              OK);
}

static void push(struct bench *b, struct queue_seal *seal)
{
    struct queue_new job = {
        .kind = STR("secret"), .payload = STR("{\"card\":\"4111\"}"), .seal = seal};
    EXPECT_EQ(store_write_wait(b->t.store, enqueue_fn, &job), OK);
}

TEST(queue_seal_hides_a_payload_in_its_row_and_shows_it_to_the_handler)
{
    static struct bench b;
    struct queue_seal *old = keys("old=" KEY_B), *both = keys("new=" KEY_A "\nold=" KEY_B);
    test_queue_begin(&b.t);
    begin(&b, both, 0);
    push(&b, old);
    struct row row = row_of(&b.t);
    EXPECT_STR(str_of(row.seal), "old");
    EXPECT(strstr(row.payload, "4111") == NULL && row.payload[0] == '"');
    EXPECT_EQ(queue_test_run_due(&b.q), 0);
    EXPECT_STR(str_of(b.seen.payload), "{\"card\":\"4111\"}");
    push(&b, both);
    EXPECT_STR(str_of(row_of(&b.t).seal), "new");
    EXPECT_EQ(queue_test_run_due(&b.q), 0);
    EXPECT_EQ(b.seen.runs, 2);
    queue_test_end(&b.q);
    test_store_end(&b.t);
    queue_seal_free(old);
    queue_seal_free(both);
}

TEST(queue_seal_leaves_a_job_without_its_key_to_who_has_it_and_buries_it_at_last)
{
    static struct bench b;
    struct queue_seal *a = keys("a=" KEY_A), *other = keys("b=" KEY_B);
    test_queue_begin(&b.t);
    begin(&b, other, 1);
    push(&b, a);
    EXPECT(queue_test_run_due(&b.q) > 0);
    EXPECT_EQ(row_of(&b.t).state, QUEUE_SCHEDULED);
    queue_test_end(&b.q);
    begin(&b, a, 1); // the handler's only try is left
    EXPECT(queue_test_run_until_idle(&b.q, 100));
    EXPECT_STR(str_of(b.seen.payload), "{\"card\":\"4111\"}");
    queue_test_end(&b.q);
    begin(&b, NULL, 0);
    push(&b, a);
    EXPECT(queue_test_run_until_idle(&b.q, 100));
    struct row row = row_of(&b.t);
    EXPECT_EQ(row.state, QUEUE_DEAD);
    EXPECT_EQ(row.attempt, QUEUE_DEFAULT_MAX_ATTEMPTS);
    EXPECT_STR(str_of(row.error), "sealed with key a, which this process does not have");
    EXPECT_EQ(b.seen.runs, 1);
    queue_test_end(&b.q);
    test_store_end(&b.t);
    queue_seal_free(a);
    queue_seal_free(other);
}

static enum err swap_fn(struct store_tx *tx, void *arg)
{
    struct store_stmt *st;
    (void)arg;
    enum err err = store_prepare(
        tx, "UPDATE job SET payload = (SELECT payload FROM job WHERE id = 1) WHERE id = 2", &st);
    if (!err)
        err = store_run(st, NULL);
    if (!err)
        err = store_prepare(tx, "DELETE FROM job WHERE id = 1", &st);
    return err ? err : store_run(st, NULL);
}

TEST(queue_seal_buries_a_job_that_got_the_payload_of_another)
{
    static struct bench b;
    struct queue_seal *a = keys("a=" KEY_A);
    test_queue_begin(&b.t);
    begin(&b, a, 0);
    push(&b, a);
    push(&b, a);
    EXPECT_EQ(store_write_wait(b.t.store, swap_fn, NULL), OK);
    EXPECT_EQ(queue_test_run_due(&b.q), 0);
    struct row row = row_of(&b.t);
    EXPECT_EQ(row.state, QUEUE_DEAD);
    EXPECT_STR(str_of(row.error), "the payload does not open with key a");
    EXPECT_EQ(b.seen.runs, 0);
    queue_test_end(&b.q);
    test_store_end(&b.t);
    queue_seal_free(a);
}

static enum err open_batch_fn(struct store_tx *tx, void *arg)
{
    int64_t id;
    return queue_batch_open(tx, arg, &id);
}

TEST(queue_seal_is_refused_where_a_payload_would_stand_in_clear)
{
    static struct bench b;
    struct queue_seal *a = keys("a=" KEY_A);
    test_queue_begin(&b.t);
    const struct queue_new then = {.kind = STR("secret"), .payload = STR("1"), .seal = a};
    struct queue_batch_new batch = {.then = &then};
    EXPECT_EQ(store_write_wait(b.t.store, open_batch_fn, &batch), ERR_INVALID);
    test_store_end(&b.t);
    queue_seal_free(a);
}
