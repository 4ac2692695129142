#include "core/crypto.h"
#include "hub/hub_idempotency.h"
#include "test.h"

#include <stdio.h>

TEST(hub_idempotency_takes_a_key_once_for_its_channel_and_time)
{
    struct hub_idempotency i;
    crypto_init();
    hub_idempotency_init(&i);
    EXPECT(hub_idempotency_take(&i, STR("c"), STR("k"), 0));
    EXPECT(!hub_idempotency_take(&i, STR("c"), STR("k"), 1));
    EXPECT(hub_idempotency_take(&i, STR("d"), STR("k"), 2));
    EXPECT(hub_idempotency_take(&i, STR("c"), STR("K"), 3));
    EXPECT(hub_idempotency_take(&i, STR("ck"), STR("x"), 4));
    EXPECT(hub_idempotency_take(&i, STR("c"), STR("kx"), 5)); // not the same as the one before
    EXPECT(!hub_idempotency_take(&i, STR("c"), STR("k"), HUB_IDEMPOTENCY_MS - 1));
    // A repetition does not make it younger.
    EXPECT_EQ(hub_idempotency_due_ms(&i), HUB_IDEMPOTENCY_MS);
    EXPECT(hub_idempotency_take(&i, STR("c"), STR("k"), HUB_IDEMPOTENCY_MS));
    hub_idempotency_expire(&i, 2 * HUB_IDEMPOTENCY_MS - 1);
    EXPECT_EQ(i.count, 1);
    hub_idempotency_expire(&i, 2 * HUB_IDEMPOTENCY_MS);
    EXPECT_EQ(i.count, 0);
    EXPECT_EQ(hub_idempotency_due_ms(&i), INT64_MAX);
    hub_idempotency_done(&i);
}

TEST(hub_idempotency_forgets_the_oldest_keys_first)
{
    struct hub_idempotency i;
    char key[32];
    crypto_init();
    hub_idempotency_init(&i);
    for (int n = 0; n < HUB_IDEMPOTENCY_MAX_KEYS + 10; n++) {
        snprintf(key, sizeof(key), "%d", n);
        EXPECT(hub_idempotency_take(&i, STR("c"), str_of(key), n / 1000));
    }
    EXPECT_EQ(i.count, HUB_IDEMPOTENCY_MAX_KEYS);
    EXPECT(!hub_idempotency_take(&i, STR("c"), STR("10"), 200));
    EXPECT(hub_idempotency_take(&i, STR("c"), STR("9"), 200));
    EXPECT(hub_idempotency_take(&i, STR("c"), STR("10"), 200)); // made room for "9"
    hub_idempotency_done(&i);
}
