#include "webhook/webhook.h"

#include "core/crypto.h"
#include "core/mem.h"
#include "test_queue.h"

TEST(webhook_signs_as_pusher_does)
{
    char signature[WEBHOOK_SIGNATURE_BYTES];
    crypto_init();
    webhook_sign(STR("7ad3773142a6692b25b8"),
                 STR("{\"time_ms\":1327078148132,\"events\":[{\"name\":\"channel_occupied\","
                     "\"channel\":\"my-channel\"}]}"),
                 signature);
    EXPECT_STR(str_of(signature),
               "c19001ae3963ccb13bf618e5b16ba9848e7e74df0993aa0689168e341c6833cf");
}

static enum err enqueue_fn(struct store_tx *tx, void *arg)
{
    return webhook_enqueue(tx, arg);
}

TEST(webhook_keeps_the_body_byte_for_byte_and_no_secret)
{
    struct test_store t;
    test_queue_begin(&t);
    struct webhook_new hook = {
        .app_id = STR("my \"app\""),
        .url = STR("https://example.org/a"),
        .body = STR("{\"time_ms\":1, \"events\":[{\"name\":\"\\u0457\"}]}"),
    };
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &hook), OK);
    EXPECT_EQ(test_store_int(t.store,
                             "SELECT count(*) FROM job WHERE queue = 'webhook' AND "
                             "kind = 'webhook.deliver' AND payload = "
                             "'{\"app_id\":\"my \\\"app\\\"\",\"url\":\"https://example.org/a\","
                             "\"body\":{\"time_ms\":1, \"events\":[{\"name\":\"\\u0457\"}]}}'"),
              1);
    char *large = mem_zalloc(WEBHOOK_MAX_BODY_BYTES + 2);
    memset(large, '1', WEBHOOK_MAX_BODY_BYTES + 1);
    hook.body = str_of(large);
    EXPECT_EQ(store_write_wait(t.store, enqueue_fn, &hook), ERR_TOO_LARGE);
    mem_free(large);
    test_store_end(&t);
}
