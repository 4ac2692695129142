/* page_version.c -- counters of changes. The sum of two that only grow stays the same only when
 * both do. */
#include "page/page_version.h"

#include <stdatomic.h>

static uint64_t slot_of(enum page_subject subject, int64_t id)
{
    // Fibonacci hashing: neighbouring ids get distant slots, and the subjects differ
    uint64_t key = ((uint64_t)id << 2) | (uint64_t)subject;
    return (key * UINT64_C(0x9E3779B97F4A7C15)) >> 54;
}

uint64_t page_version_now(const struct page_version *v, enum page_subject subject, int64_t id)
{
    const _Atomic uint64_t *own =
        subject == PAGE_LISTS ? &v->lists : &v->slots[slot_of(subject, id)];
    return atomic_load(&v->everything) + atomic_load(own);
}

void page_version_touch(struct page_version *v, enum page_subject subject, int64_t id)
{
    if (subject != PAGE_LISTS)
        atomic_fetch_add(&v->slots[slot_of(subject, id)], 1);
    atomic_fetch_add(&v->lists, 1);
}

void page_version_touch_all(struct page_version *v)
{
    atomic_fetch_add(&v->everything, 1);
}
