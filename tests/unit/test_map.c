#include "core/map.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

TEST(map_finds_what_was_put_and_nothing_else)
{
    struct map m;
    int one = 1, two = 2;
    map_init(&m);
    EXPECT(map_find(&m, STR("a")) == NULL);
    EXPECT(map_put(&m, STR("a"), &one) == NULL);
    EXPECT(map_put(&m, STR(""), &two) == NULL);
    EXPECT(map_find(&m, STR("a")) == &one);
    EXPECT(map_find(&m, STR("")) == &two);
    EXPECT(map_find(&m, (struct str){0}) == &two);
    EXPECT(map_find(&m, STR("b")) == NULL);
    EXPECT_EQ(m.count, 2);
    map_done(&m);
}

TEST(map_put_replaces_and_gives_the_old_value_back)
{
    struct map m;
    int one = 1, two = 2;
    map_init(&m);
    EXPECT(map_put(&m, STR("key"), &one) == NULL);
    EXPECT(map_put(&m, STR("key"), &two) == &one);
    EXPECT_EQ(m.count, 1);
    EXPECT(map_remove(&m, STR("key")) == &two);
    EXPECT(map_remove(&m, STR("key")) == NULL);
    EXPECT_EQ(m.count, 0);
    map_done(&m);
}

TEST(map_agrees_with_a_plain_array_over_many_random_steps)
{
    enum { KEYS = 500, STEPS = 60000 };
    static char key[KEYS][16];
    bool is_in[KEYS] = {false};
    size_t count = 0;
    struct map m;
    map_init(&m);
    srand(7);
    for (int i = 0; i < KEYS; i++)
        snprintf(key[i], sizeof(key[i]), "key %0*d", i % 9, i);
    for (int step = 0; step < STEPS; step++) {
        int i = rand() % KEYS;
        bool grows = step / 10000 % 2 == 0, puts = rand() % 3 < (grows ? 2 : 1);
        void *old = puts ? map_put(&m, str_of(key[i]), key[i]) : map_remove(&m, str_of(key[i]));
        EXPECT_EQ(old != NULL, is_in[i]);
        count += (size_t)(puts && !is_in[i]);
        count -= (size_t)(!puts && is_in[i]);
        is_in[i] = puts;
        EXPECT_EQ(m.count, count);
    }
    for (int i = 0; i < KEYS; i++)
        EXPECT(map_find(&m, str_of(key[i])) == (is_in[i] ? key[i] : NULL));
    map_done(&m);
}

TEST(map_next_visits_each_entry_once_and_the_table_shrinks)
{
    static char key[1000][16];
    struct map m;
    map_init(&m);
    for (int i = 0; i < 1000; i++) {
        snprintf(key[i], sizeof(key[i]), "%d", i);
        (void)map_put(&m, str_of(key[i]), key[i]);
    }
    size_t cap = m.cap, visits = 0, cursor = 0;
    struct map_entry *entry;
    while ((entry = map_next(&m, &cursor))) {
        EXPECT_EQ(((char *)entry->value)[15], 0);
        ((char *)entry->value)[15] = 1;
        visits++;
    }
    EXPECT_EQ(visits, 1000);
    for (int i = 0; i < 990; i++)
        EXPECT(map_remove(&m, str_of(key[i])) == key[i]);
    EXPECT(m.cap < cap / 4);
    EXPECT(map_find(&m, STR("999")) == key[999]);
    map_done(&m);
}
