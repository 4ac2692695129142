#include <stdio.h>

#include "core/clock.h"
#include "core/crypto.h"
#include "page/page_cache.h"
#include "page/page_version.h"
#include "test.h"

struct bench {
    struct io_loop *loop;
    struct page_cache *cache;
    struct io_task stop;
};

static struct bench *stopping;

static void stop_loop(struct io_task *task)
{
    (void)task;
    io_loop_stop(stopping->loop);
}

static void start(struct bench *b, size_t max_bytes)
{
    crypto_init();
    b->cache = page_cache_new(max_bytes);
    b->stop.run = stop_loop;
    stopping = b;
}

static void end(struct bench *b)
{
    page_cache_free(b->cache);
}

/* Hands html over and lets a loop take it (a loop runs once). */
static void fill(struct bench *b, const struct page_cache_key *key, const char *html)
{
    b->loop = io_loop_new(0);
    page_cache_fill_post(page_cache_fill_new(b->cache, key, str_of(html)), b->loop);
    io_loop_post(b->loop, &b->stop);
    io_loop_run(b->loop);
    io_loop_free(b->loop);
}

TEST(page_cache_keeps_a_page_for_its_language_and_target_only)
{
    struct bench b;
    start(&b, 1 << 20);
    const struct page_cache_key key = {LOCALE_UK, STR("/proposals/7"), 1};
    const struct page_cache_key english = {LOCALE_EN, STR("/proposals/7"), 1};
    const struct page_cache_key other = {LOCALE_UK, STR("/proposals/77"), 1};
    EXPECT(page_cache_find(b.cache, &key) == NULL);
    fill(&b, &key, "<p>сім</p>");
    EXPECT(page_cache_find(b.cache, &key) != NULL);
    EXPECT(page_cache_find(b.cache, &english) == NULL);
    EXPECT(page_cache_find(b.cache, &other) == NULL);
    EXPECT_EQ(page_cache_count(b.cache), 1);
    fill(&b, &key, "<p>знову</p>");
    EXPECT_EQ(page_cache_count(b.cache), 1);
    end(&b);
}

TEST(page_cache_gives_nothing_that_has_changed_since)
{
    struct bench b;
    start(&b, 1 << 20);
    struct page_cache_key key = {LOCALE_UK, STR("/"), 1};
    fill(&b, &key, "old");
    key.version = 2;
    EXPECT(page_cache_find(b.cache, &key) == NULL);
    fill(&b, &key, "new");
    EXPECT(page_cache_find(b.cache, &key) != NULL);
    end(&b);
}

TEST(page_cache_sends_one_to_draw_an_old_page_and_gives_it_to_the_others_meanwhile)
{
    struct bench b;
    start(&b, 1 << 20);
    const struct page_cache_key key = {LOCALE_UK, STR("/"), 1};
    fill(&b, &key, "page");
    clock_test_advance(PAGE_CACHE_MAX_AGE_MS + 1);
    EXPECT(page_cache_find(b.cache, &key) == NULL); // this one draws
    EXPECT(page_cache_find(b.cache, &key) != NULL); // the others need not
    clock_test_advance(PAGE_CACHE_MAX_STALE_MS);
    EXPECT(page_cache_find(b.cache, &key) == NULL); // nobody came back with it
    end(&b);
}

TEST(page_cache_drops_what_was_not_used_for_the_longest)
{
    struct bench b;
    start(&b, 20000);
    char target[16];
    struct page_cache_key first = {LOCALE_UK, STR("/a"), 1};
    fill(&b, &first, "first");
    for (int i = 0; i < 10; i++) {
        snprintf(target, sizeof target, "/%d", i);
        const struct page_cache_key key = {LOCALE_UK, str_of(target), 1};
        EXPECT(page_cache_find(b.cache, &first) != NULL); // in use: stays
        fill(&b, &key, "more");
        EXPECT(page_cache_bytes(b.cache) <= 20000);
    }
    const struct page_cache_key second = {LOCALE_UK, STR("/0"), 1};
    EXPECT(page_cache_find(b.cache, &second) == NULL);
    end(&b);
}

TEST(page_cache_does_not_keep_an_endless_target)
{
    struct bench b;
    start(&b, 1 << 20);
    char target[PAGE_CACHE_MAX_TARGET_BYTES + 2];
    memset(target, 'x', sizeof target);
    const struct page_cache_key key = {LOCALE_UK, {target, sizeof target}, 1};
    fill(&b, &key, "page");
    EXPECT_EQ(page_cache_count(b.cache), 0);
    EXPECT(page_cache_find(b.cache, &key) == NULL);
    end(&b);
}

TEST(page_version_changes_for_what_was_touched_and_for_lists)
{
    static struct page_version v;
    uint64_t seven = page_version_now(&v, PAGE_PROPOSAL, 7);
    uint64_t eight = page_version_now(&v, PAGE_PROPOSAL, 8);
    uint64_t voting = page_version_now(&v, PAGE_VOTING, 7);
    uint64_t lists = page_version_now(&v, PAGE_LISTS, 0);
    page_version_touch(&v, PAGE_PROPOSAL, 7);
    EXPECT(page_version_now(&v, PAGE_PROPOSAL, 7) != seven);
    EXPECT(page_version_now(&v, PAGE_LISTS, 0) != lists);
    EXPECT(page_version_now(&v, PAGE_PROPOSAL, 8) == eight);
    EXPECT(page_version_now(&v, PAGE_VOTING, 7) == voting);
    page_version_touch_all(&v);
    EXPECT(page_version_now(&v, PAGE_PROPOSAL, 8) != eight);
    EXPECT(page_version_now(&v, PAGE_VOTING, 7) != voting);
}
