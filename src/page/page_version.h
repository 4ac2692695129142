/* page_version.h -- has what a page shows changed since it was drawn?
 *
 * Counters that only grow, one for each subject (hashed by id, so two may share one: then a page is
 * drawn once too often, never too rarely) and one for everything. A drawer takes the version before
 * it reads; a writer touches after its commit and before it answers. So a page whose version is
 * still the same holds every change that anyone was told of.
 */
#ifndef PAGE_VERSION_H
#define PAGE_VERSION_H

#include <stdint.h>

enum page_subject {
    PAGE_LISTS, // home, lists: changed by every touch
    PAGE_PROPOSAL,
    PAGE_VOTING,
};

enum { PAGE_VERSION_SLOTS = 1024 };

struct page_version {
    _Atomic uint64_t everything, lists;
    _Atomic uint64_t slots[PAGE_VERSION_SLOTS];
};

/* Any thread. id is not looked at for PAGE_LISTS. */
uint64_t page_version_now(const struct page_version *v, enum page_subject subject, int64_t id);
void page_version_touch(struct page_version *v, enum page_subject subject, int64_t id);
void page_version_touch_all(struct page_version *v);

#endif
