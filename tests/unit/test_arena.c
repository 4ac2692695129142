#include "core/arena.h"
#include "test.h"

TEST(arena_gives_zeroed_aligned_memory_of_any_size)
{
    struct arena a;
    arena_init(&a);
    for (size_t size = 0; size < 10000; size += 97) {
        unsigned char *p = arena_alloc(&a, size);
        EXPECT_EQ((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            EXPECT_EQ(p[i], 0);
        memset(p, 0xff, size);
    }
    arena_done(&a);
    EXPECT_EQ(a.used_bytes, 0);
}

TEST(arena_objects_do_not_overlap_when_blocks_change)
{
    enum { COUNT = 2000 };
    struct arena a;
    uint32_t *p[COUNT];
    arena_init(&a);
    for (uint32_t i = 0; i < COUNT; i++) {
        p[i] = arena_alloc(&a, i % 50 == 0 ? 5000 : sizeof(uint32_t));
        *p[i] = i;
    }
    for (uint32_t i = 0; i < COUNT; i++)
        EXPECT_EQ(*p[i], i);
    arena_done(&a);
}

TEST(arena_keeps_using_its_block_after_a_large_object)
{
    struct arena a;
    arena_init(&a);
    char *before = arena_alloc(&a, 16);
    (void)arena_alloc(&a, 100000);
    char *behind = arena_alloc(&a, 16);
    EXPECT_EQ(behind - before, 16);
    arena_done(&a);
}

TEST(arena_copies_and_formats_texts_with_a_nul)
{
    struct arena a;
    arena_init(&a);
    struct str copy = arena_str(&a, (struct str){"abcdef", 3});
    EXPECT_STR(copy, "abc");
    EXPECT_EQ(copy.at[3], '\0');
    EXPECT_STR(arena_str(&a, (struct str){0}), "");
    struct str text = arena_printf(&a, "%s=%05d", "n", 42);
    EXPECT_STR(text, "n=00042");
    EXPECT_EQ(text.at[text.len], '\0');
    EXPECT_EQ(arena_printf(&a, "%9000d", 1).len, 9000);
    arena_done(&a);
}

TEST(arena_can_be_used_again_after_done)
{
    struct arena a;
    arena_init(&a);
    (void)ARENA_NEW(&a, int64_t);
    arena_done(&a);
    *ARENA_NEW(&a, int64_t) = 1;
    EXPECT(a.used_bytes >= sizeof(int64_t));
    arena_done(&a);
}
