#include "queue/queue_share.h"

#include <stdio.h>

#include "core/check.h"
#include "core/crypto.h"

enum { MAX_NAME_BYTES = 256 };

static enum err open_life(struct store *store, int64_t id, struct store_lock **out)
{
    char name[MAX_NAME_BYTES];
    snprintf(name, sizeof(name), "claimer %lld", (long long)id);
    return store_lock_open(store, str_of(name), out);
}

/* Small, since each claim writes it; random, so that no other has it but by bad luck. */
static int64_t random_id(void)
{
    uint32_t random;
    crypto_random(&random, sizeof(random));
    return (int64_t)(random >> 1) + 1;
}

static enum err begin_life(struct queue_share *s, struct store *store)
{
    enum err err = ERR_AGAIN;
    while (err == ERR_AGAIN) {
        store_lock_close(s->life);
        s->life = NULL;
        s->id = random_id();
        err = open_life(store, s->id, &s->life);
        if (!err)
            err = store_lock_set(s->life, STORE_EXCLUSIVE);
    }
    return err;
}

bool queue_share_is_dead(struct store *store, int64_t id)
{
    struct store_lock *life;
    if (open_life(store, id, &life))
        return false;
    bool is_dead = !store_lock_set(life, STORE_EXCLUSIVE);
    store_lock_close(life);
    return is_dead;
}

enum err queue_share_open(struct queue_share *s, struct store *store, struct str name)
{
    char lock[MAX_NAME_BYTES], wish[MAX_NAME_BYTES];
    snprintf(lock, sizeof(lock), "queue %.*s", STR_ARG(name));
    snprintf(wish, sizeof(wish), "wish %.*s", STR_ARG(name));
    *s = (struct queue_share){.mode = QUEUE_SHARE_JOINING};
    enum err err = begin_life(s, store);
    if (!err)
        err = store_lock_open(store, str_of(lock), &s->lock);
    return err ? err : store_lock_open(store, str_of(wish), &s->wish);
}

static void set_weaker(struct store_lock *lock, enum store_lock_mode mode)
{
    enum err err = store_lock_set(lock, mode);
    CHECK(!err); // it always can
}

void queue_share_close(struct queue_share *s)
{
    store_lock_close(s->lock);
    store_lock_close(s->wish);
    store_lock_close(s->life);
    *s = (struct queue_share){0};
}

bool queue_share_take(struct queue_share *s)
{
    if (queue_share_is_wished(s) || store_lock_set(s->lock, STORE_EXCLUSIVE))
        return false;
    s->mode = QUEUE_SHARE_ALONE;
    return true;
}

void queue_share_give(struct queue_share *s)
{
    CHECK(s->mode == QUEUE_SHARE_ALONE);
    set_weaker(s->lock, STORE_SHARED);
    s->mode = QUEUE_SHARE_SHARED;
}

bool queue_share_join(struct queue_share *s)
{
    CHECK(s->mode == QUEUE_SHARE_JOINING);
    if (store_lock_set(s->wish, STORE_SHARED) || store_lock_set(s->lock, STORE_SHARED))
        return false;
    set_weaker(s->wish, STORE_UNLOCKED);
    s->mode = QUEUE_SHARE_SHARED;
    return true;
}

void queue_share_leave(struct queue_share *s)
{
    set_weaker(s->wish, STORE_UNLOCKED);
    set_weaker(s->lock, STORE_UNLOCKED);
    s->mode = QUEUE_SHARE_JOINING;
}

bool queue_share_is_wished(struct queue_share *s)
{
    return store_lock_is_shared(s->wish);
}

bool queue_share_has_others(struct queue_share *s)
{
    return store_lock_is_shared(s->lock);
}
