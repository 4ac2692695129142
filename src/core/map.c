/* map.c -- open addressing with linear probing; at most three quarters full.
 *
 * Removal moves later entries of the run back (no tombstones), so a table that lives for months
 * with keys that come and go does not degrade. The hash is a multiply-and-fold over 8 bytes at a
 * time, keyed by two random words.
 */
#include "core/map.h"

#include <pthread.h>
#include <sys/random.h>

#include "core/check.h"
#include "core/mem.h"

enum { FIRST_CAP = 8 };

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    CHECK(getrandom(seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash(struct str key)
{
    uint64_t h = seed[0] ^ key.len;
    size_t i = 0;
    for (; i + 8 <= key.len; i += 8) {
        uint64_t word;
        memcpy(&word, key.at + i, 8);
        h = fold(h ^ word, seed[1] | 1);
    }
    uint64_t last = 0;
    if (i < key.len)
        memcpy(&last, key.at + i, key.len - i);
    h = fold(h ^ last, seed[1] | 1);
    h = fold(h ^ seed[0], UINT64_C(0x9e3779b97f4a7c15));
    return (uint32_t)(h ^ (h >> 32));
}

void map_init(struct map *m)
{
    pthread_once(&seed_once, make_seed);
    *m = (struct map){0};
}

void map_done(struct map *m)
{
    mem_free(m->slots);
    *m = (struct map){0};
}

/* The slot that holds key, or the free one where it would go. */
static size_t place(const struct map *m, struct str key, uint32_t h)
{
    size_t i = h & (m->cap - 1);
    while (m->slots[i].key && (m->slots[i].hash != h || !str_eq(map_key(&m->slots[i]), key)))
        i = (i + 1) & (m->cap - 1);
    return i;
}

static void resize(struct map *m, size_t cap)
{
    struct map old = *m;
    m->slots = mem_zalloc(cap * sizeof(*m->slots));
    m->cap = cap;
    for (size_t i = 0; i < old.cap; i++) {
        const struct map_entry *entry = &old.slots[i];
        if (entry->key)
            m->slots[place(m, map_key(entry), entry->hash)] = *entry;
    }
    mem_free(old.slots);
}

void *map_find(const struct map *m, struct str key)
{
    if (m->count == 0)
        return NULL;
    const struct map_entry *entry = &m->slots[place(m, key, hash(key))];
    return entry->key ? entry->value : NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
    CHECK(value != NULL && key.len <= UINT32_MAX);
    if (!key.at)
        key.at = ""; // NULL marks a free slot
    if ((m->count + 1) * 4 > m->cap * 3)
        resize(m, m->cap > 0 ? m->cap * 2 : FIRST_CAP);

    uint32_t h = hash(key);
    struct map_entry *entry = &m->slots[place(m, key, h)];
    void *old = entry->key ? entry->value : NULL;
    if (!old)
        m->count++;
    *entry = (struct map_entry){key.at, value, (uint32_t)key.len, h};
    return old;
}

/* Frees slot hole and moves back each later entry of the run that may not be found past a hole. */
static void close_gap(struct map *m, size_t hole)
{
    size_t mask = m->cap - 1;
    for (size_t i = (hole + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_entry){0};
}

void *map_remove(struct map *m, struct str key)
{
    if (m->count == 0)
        return NULL;
    size_t i = place(m, key, hash(key));
    if (!m->slots[i].key)
        return NULL;
    void *value = m->slots[i].value;
    close_gap(m, i);
    m->count--;
    if (m->cap > FIRST_CAP && m->count * 8 < m->cap)
        resize(m, m->cap / 2);
    return value;
}

struct map_entry *map_next(const struct map *m, size_t *cursor)
{
    while (*cursor < m->cap) {
        struct map_entry *entry = &m->slots[(*cursor)++];
        if (entry->key)
            return entry;
    }
    return NULL;
}
