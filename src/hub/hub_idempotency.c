#include "hub/hub_idempotency.h"

#include "core/arena.h"
#include "core/check.h"
#include "core/crypto.h"
#include "core/mem.h"

struct used_key {
    struct list node;
    int64_t due_ms;
    uint8_t digest[CRYPTO_SHA256_BYTES]; // of channel, NUL, key: names and keys of any length
};

void hub_idempotency_init(struct hub_idempotency *i)
{
    *i = (struct hub_idempotency){0};
    map_init(&i->by_digest);
    list_init(&i->keys);
}

static struct str digest_of(const struct used_key *k)
{
    return (struct str){(const char *)k->digest, sizeof(k->digest)};
}

static struct used_key *oldest(const struct hub_idempotency *i)
{
    return LIST_ENTRY(i->keys.next, struct used_key, node);
}

static void forget(struct hub_idempotency *i, struct used_key *k)
{
    CHECK(map_remove(&i->by_digest, digest_of(k)) == k);
    list_remove(&k->node);
    i->count--;
    mem_free(k);
}

void hub_idempotency_done(struct hub_idempotency *i)
{
    while (i->count > 0)
        forget(i, oldest(i));
    map_done(&i->by_digest);
}

int64_t hub_idempotency_due_ms(const struct hub_idempotency *i)
{
    return i->count > 0 ? oldest(i)->due_ms : INT64_MAX;
}

void hub_idempotency_expire(struct hub_idempotency *i, int64_t now_ms)
{
    while (hub_idempotency_due_ms(i) <= now_ms)
        forget(i, oldest(i));
}

static void digest(struct str channel, struct str key, uint8_t out[static CRYPTO_SHA256_BYTES])
{
    struct arena a;
    arena_init(&a);
    char *text = arena_alloc(&a, channel.len + 1 + key.len);
    if (channel.len > 0)
        memcpy(text, channel.at, channel.len);
    memcpy(text + channel.len + 1, key.at, key.len);
    crypto_sha256((struct str){text, channel.len + 1 + key.len}, out);
    arena_done(&a);
}

bool hub_idempotency_take(struct hub_idempotency *i, struct str channel, struct str key,
                          int64_t now_ms)
{
    struct used_key *k = MEM_NEW(struct used_key);
    digest(channel, key, k->digest);
    hub_idempotency_expire(i, now_ms);
    if (map_find(&i->by_digest, digest_of(k))) {
        mem_free(k);
        return false;
    }
    if (i->count == HUB_IDEMPOTENCY_MAX_KEYS)
        forget(i, oldest(i));
    k->due_ms = now_ms + HUB_IDEMPOTENCY_MS;
    list_append(&i->keys, &k->node);
    CHECK(map_put(&i->by_digest, digest_of(k), k) == NULL);
    i->count++;
    return true;
}
