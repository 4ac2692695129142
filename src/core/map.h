/* map.h -- a hash map from byte strings to pointers.
 *
 * Open addressing, SipHash-free but seeded per process from getrandom, so that a peer cannot choose
 * colliding keys. Keys are borrowed: they must live, unchanged, as long as their entry (usually
 * they are a field of the value). One thread.
 */
#ifndef CORE_MAP_H
#define CORE_MAP_H

#include <stddef.h>

#include "core/str.h"

struct map_entry {
    const char *key; // NULL: free slot
    void *value;
    uint32_t key_len;
    uint32_t hash;
};

struct map {
    struct map_entry *slots; // NULL until the first put
    size_t cap;              // power of two
    size_t count;
};

void map_init(struct map *m);
/* Frees the table, not the values. */
void map_done(struct map *m);

/* NULL when absent. */
void *map_find(const struct map *m, struct str key);

/* Adds or replaces; value is not NULL, a key is shorter than 4 GiB. Returns the value that was
 * there, or NULL. */
void *map_put(struct map *m, struct str key, void *value);

/* Returns the removed value, or NULL when absent. Shrinks when mostly empty. */
void *map_remove(struct map *m, struct str key);

/* Iterates in no order: for (size_t i = 0; (e = map_next(m, &i));). Not while changing the map. */
struct map_entry *map_next(const struct map *m, size_t *cursor);

static inline struct str map_key(const struct map_entry *entry)
{
    return (struct str){entry->key, entry->key_len};
}

#endif
