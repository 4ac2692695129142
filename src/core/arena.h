/* arena.h -- memory released all at once: what one request needs.
 *
 * Blocks of 4 KiB, larger when asked. Allocation cannot fail (see mem.h). Not for threads to share
 * at the same time; it may move from one thread to another.
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "core/str.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; // newest first
    size_t used_bytes;          // handed out, for limits and tests
};

void arena_init(struct arena *a);
/* Frees everything; the arena is then empty and may be used again. */
void arena_done(struct arena *a);
/* The same; what was handed out is zeroed first, since it held secrets. */
void arena_wipe(struct arena *a);

/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((returns_nonnull));
#define ARENA_NEW(a, T) ((T *)arena_alloc((a), sizeof(T)))

/* NUL-terminated copies. */
struct str arena_str(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
