#include "core/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/mem.h"

enum { BLOCK_BYTES = 4096 };

struct arena_block {
    struct arena_block *next;
    size_t cap, used;
    alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

void arena_done(struct arena *a)
{
    struct arena_block *block = a->blocks;
    while (block) {
        struct arena_block *next = block->next;
        mem_free(block);
        block = next;
    }
    arena_init(a);
}

void arena_wipe(struct arena *a)
{
    for (struct arena_block *block = a->blocks; block; block = block->next)
        explicit_bzero(block->bytes, block->used);
    arena_done(a);
}

/* Its bytes are zeroed as they are handed out: most requests need little of a block. */
static struct arena_block *new_block(size_t cap)
{
    struct arena_block *block = mem_realloc(NULL, sizeof(*block) + cap);
    *block = (struct arena_block){.cap = cap};
    return block;
}

/* A block that has room for size bytes. A large object gets a block of its own behind the newest,
 * so that it does not waste the room left there. */
static struct arena_block *block_for(struct arena *a, size_t size)
{
    struct arena_block *newest = a->blocks;
    if (newest && newest->cap - newest->used >= size)
        return newest;

    const size_t usual = BLOCK_BYTES - sizeof(struct arena_block);
    struct arena_block *block = new_block(size > usual ? size : usual);
    if (newest && size > usual / 4) {
        block->next = newest->next;
        newest->next = block;
    } else {
        block->next = newest;
        a->blocks = block;
    }
    return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    CHECK(size < SIZE_MAX / 2);
    size = (size + align - 1) / align * align;
    struct arena_block *block = block_for(a, size);
    void *p = block->bytes + block->used;
    block->used += size;
    a->used_bytes += size;
    return memset(p, 0, size);
}

struct str arena_str(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.at, s.len);
    return (struct str){copy, s.len};
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);

    char *text = arena_alloc(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (struct str){text, (size_t)len};
}
