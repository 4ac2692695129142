#include "civic/civic_rate.h"

#include <pthread.h>

#include "core/clock.h"
#include "core/crypto.h"
#include "core/mem.h"

enum { SETS = 16384, WAYS = 4 };

/* burst uses at once, then one every every_ms. */
static const struct {
    int64_t every_ms, burst;
} limits[CIVIC_RATE_COUNT] = {
    [CIVIC_RATE_COMMENT] = {333, 60},         [CIVIC_RATE_PROPOSAL] = {60000, 20},
    [CIVIC_RATE_SUPPORT] = {500, 100},        [CIVIC_RATE_COMMENT_VOTE] = {250, 120},
    [CIVIC_RATE_BALLOT] = {500, 60},          [CIVIC_RATE_FOLLOW] = {500, 60},
    [CIVIC_RATE_READ_MARK] = {250, 120},      [CIVIC_RATE_REGISTER] = {2000, 300},
    [CIVIC_RATE_LOGIN_PAIR] = {15000, 10},    [CIVIC_RATE_LOGIN_EMAIL] = {3000, 100},
    [CIVIC_RATE_LOGIN_ADDRESS] = {2000, 100},
};

struct place {
    uint64_t key;        // hash of kind and key; 0: free
    int64_t empty_at_ms; // by the monotonic clock
};

struct civic_rate {
    bool is_limited;
    pthread_mutex_t mutex;
    struct place places[SETS][WAYS];
};

struct civic_rate *civic_rate_new(bool is_limited)
{
    struct civic_rate *r = MEM_NEW(struct civic_rate);
    r->is_limited = is_limited;
    pthread_mutex_init(&r->mutex, NULL);
    return r;
}

void civic_rate_free(struct civic_rate *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->mutex);
    mem_free(r);
}

/* Of 64 bits of SHA-256: nobody can aim at another's place in reasonable time. */
static uint64_t hash(enum civic_rate_kind kind, struct str key)
{
    uint8_t text[320], digest[CRYPTO_SHA256_BYTES];
    size_t len = key.len < sizeof(text) - 1 ? key.len : sizeof(text) - 1;
    text[0] = (uint8_t)kind;
    if (len)
        memcpy(text + 1, key.at, len);
    crypto_sha256((struct str){(const char *)text, len + 1}, digest);
    uint64_t h;
    memcpy(&h, digest, sizeof(h));
    return h ? h : 1;
}

/* The place of the key, or the one to give it: a free one, or the one that forgives first. */
static struct place *find(struct civic_rate *r, uint64_t key)
{
    struct place *set = r->places[key % SETS], *oldest = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].empty_at_ms < oldest->empty_at_ms)
            oldest = &set[i];
    }
    *oldest = (struct place){.key = key};
    return oldest;
}

int64_t civic_rate_take(struct civic_rate *r, enum civic_rate_kind kind, struct str key)
{
    if (!r->is_limited)
        return 0;
    uint64_t h = hash(kind, key);
    int64_t now_ms = clock_mono_ms();
    int64_t room_ms = limits[kind].every_ms * (limits[kind].burst - 1);

    pthread_mutex_lock(&r->mutex);
    struct place *p = find(r, h);
    int64_t empty_at_ms = p->empty_at_ms > now_ms ? p->empty_at_ms : now_ms;
    int64_t wait_ms = empty_at_ms - room_ms - now_ms;
    if (wait_ms <= 0)
        p->empty_at_ms = empty_at_ms + limits[kind].every_ms;
    pthread_mutex_unlock(&r->mutex);
    return wait_ms > 0 ? wait_ms : 0;
}

int64_t civic_rate_take_id(struct civic_rate *r, enum civic_rate_kind kind, int64_t id)
{
    return civic_rate_take(r, kind, (struct str){(const char *)&id, sizeof(id)});
}

void civic_rate_give_back(struct civic_rate *r, enum civic_rate_kind kind, struct str key)
{
    if (!r->is_limited)
        return;
    uint64_t h = hash(kind, key);
    pthread_mutex_lock(&r->mutex);
    struct place *p = find(r, h);
    if (p->empty_at_ms > limits[kind].every_ms)
        p->empty_at_ms -= limits[kind].every_ms;
    pthread_mutex_unlock(&r->mutex);
}
