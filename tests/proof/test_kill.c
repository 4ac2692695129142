/* test_kill.c -- kill at every step: the scenario of world.h is killed when it passes a failpoint;
 * then a new process drains the queue, and the promises are checked. In pairs: the one that drains
 * is killed too.
 *
 * Always: SIGKILL at one side of the first pass of each point, and a few pairs. PROOF=all: at both
 * sides; and what a kill at every pass of the scenario leaves (freeze.h), and what a second kill at
 * every pass of its drain leaves when the first was at the first pass of any name. Passes that
 * leave equal files are checked once.
 *
 * The points that were passed must be those of docs/failpoints.md: PROOF_TABLE=FILE writes it. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/failpoint.h"
#include "disk.h"
#include "freeze.h"
#include "test.h"
#include "world.h"

enum { MAX_PASSES = 100000, MAX_POINTS = 300, PAIRS = 6 };

/* What the processes of a scenario passed, in order; shared with the children. */
struct passes {
    _Atomic int count;
    const char *names[MAX_PASSES]; // literals: the same in every child
};

static struct passes *new_passes(void)
{
    void *at = mmap(NULL, sizeof(struct passes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
    EXPECT(at != MAP_FAILED);
    return at;
}

static void note(const char *name, void *ctx)
{
    struct passes *passes = ctx;
    int at = atomic_fetch_add(&passes->count, 1);
    if (at < MAX_PASSES)
        passes->names[at] = name;
}

/* Which pass it is of its name; 1: the first. */
static int nth_of(const struct passes *passes, int at)
{
    int nth = 1;
    for (int i = 0; i < at; i++)
        nth += strcmp(passes->names[i], passes->names[at]) == 0;
    return nth;
}

static bool is_all(void)
{
    const char *value = getenv("PROOF");
    return value && strcmp(value, "all") == 0;
}

/* ---- one process, listened to or killed ---- */

static struct {
    struct passes *passes; // listen; NULL: kill
    const char *name;
    int nth;
    void (*fn)(void *world);
} order;

static void obey(void *world)
{
    disk_install();
    if (order.passes)
        failpoint_listen(note, order.passes);
    else if (order.name)
        failpoint_kill_at(order.name, order.nth);
    order.fn(world);
}

static bool is_clean(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void expect_clean(const struct world *w, int status, const char *what)
{
    if (is_clean(status))
        return;
    world_show(w);
    ck_abort_msg("%s ended with status %x", what, (unsigned)status);
}

static void list(struct world *w, void (*fn)(void *world), struct passes *passes)
{
    order.passes = passes;
    order.name = NULL;
    order.fn = fn;
    expect_clean(w, world_run(obey, w), "the process");
    EXPECT(passes->count > 20 && passes->count < MAX_PASSES);
}

/* True: it was killed there. False: it did not pass there so often, and ended. */
static bool kill_at(struct world *w, void (*fn)(void *world), const char *name, int nth)
{
    order.passes = NULL;
    order.name = name;
    order.nth = nth;
    order.fn = fn;
    int status = world_run(obey, w);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true;
    expect_clean(w, status, name);
    return false;
}

static void drain_and_check(struct world *w, const char *name, int nth, const char *second)
{
    order.passes = NULL;
    order.name = NULL;
    order.fn = world_drain;
    expect_clean(w, world_run(obey, w), "the drain");
    const char *why = world_check(w);
    if (why)
        world_show(w);
    ck_assert_msg(!why, "killed at %s, pass %d, alone=%d, then at %s: %s", name, nth, w->is_alone,
                  second, why ? why : "");
}

/* ---- the drivers ---- */

static int kill_once(void (*play)(void *world), const char *name, int nth, bool is_alone)
{
    struct world w;
    world_make(&w, is_alone);
    bool is_killed = kill_at(&w, play, name, nth);
    drain_and_check(&w, name, nth, "none");
    world_remove(&w);
    return is_killed;
}

/* What a kill at each pass of the scenario leaves. */
static void check_every_pass(void (*play)(void *world), bool is_alone)
{
    struct world w;
    struct freeze f = {.copies = NULL};
    world_make(&w, is_alone);
    expect_clean(&w, freeze_run(play, &w, &f), "the scenario");
    world_remove(&w);
    for (int i = 0; i < f.count; i++)
        drain_and_check(&f.copies[i].world, f.copies[i].name, f.copies[i].nth, "none");
    printf("alone=%d: %d passes leave %d states\n", is_alone, f.passes, f.count);
    EXPECT(f.count > 20);
    freeze_done(&f);
}

/* Before each point with claims as rows, after it with claims in memory. */
static bool is_quick(const char *name, bool is_alone)
{
    return strcmp(strrchr(name, '.'), is_alone ? ".after" : ".before") == 0;
}

/* prefix: of the points to kill at; at the 1st, 2nd, 4th, 8th, ... pass of each. "": all points. */
static void check_kills(void (*play)(void *world), const char *prefix, bool is_alone)
{
    struct passes *passes = new_passes();
    struct world w;
    int tries = 0, kills = 0;
    world_make(&w, is_alone);
    list(&w, play, passes);
    drain_and_check(&w, "nothing", 0, "none");
    world_remove(&w);
    for (int i = 0; i < passes->count; i++) {
        if (strncmp(passes->names[i], prefix, strlen(prefix)) != 0)
            continue;
        int nth = nth_of(passes, i);
        bool is_chosen = nth == 1 && (is_all() || is_quick(passes->names[i], is_alone));
        if (is_all() && prefix[0] != '\0')
            is_chosen |= (nth & (nth - 1)) == 0;
        if (!is_chosen)
            continue;
        tries++;
        kills += kill_once(play, passes->names[i], nth, is_alone);
    }
    printf("alone=%d: %d passes, %d kills\n", is_alone, passes->count, kills);
    EXPECT(kills > 0 && kills * 100 >= tries * 95); // threads: a few passes come only sometimes
    munmap(passes, sizeof(*passes));
    if (is_all() && prefix[0] == '\0')
        check_every_pass(play, is_alone);
}

TEST(proof_kill_at_every_step_with_claims_as_rows)
{
    check_kills(world_play, "", false);
}

TEST(proof_kill_at_every_step_with_claims_in_memory)
{
    check_kills(world_play, "", true);
}

TEST(proof_kill_at_every_step_of_what_belongs_together_with_claims_as_rows)
{
    check_kills(world_play_flow, "", false);
}

TEST(proof_kill_at_every_step_of_what_belongs_together_with_claims_in_memory)
{
    check_kills(world_play_flow, "", true);
}

TEST(proof_kill_while_the_log_is_copied_into_the_database)
{
    check_kills(world_play_long, "store.checkpoint", false);
    check_kills(world_play_long, "store.tidy", true);
    if (is_all())
        check_kills(world_play_long, "disk.db.", true);
}

TEST(proof_kill_while_retries_are_put_off)
{
    check_kills(world_play_budget, "queue.release", false);
    check_kills(world_play_budget, "queue.release", true);
}

static bool kill_twice(void (*play)(void *world), const char *name, const char *second,
                       bool is_alone)
{
    struct world w;
    world_make(&w, is_alone);
    bool is_killed = kill_at(&w, play, name, 1) && kill_at(&w, world_drain, second, 1);
    drain_and_check(&w, name, 1, second);
    world_remove(&w);
    return is_killed;
}

/* The points that the one that drains passes after a kill in the midst. */
static void list_drain(void (*play)(void *world), struct passes *passes)
{
    struct world w;
    world_make(&w, false);
    EXPECT(kill_at(&w, play, "queue.run.after", 2));
    list(&w, world_drain, passes);
    drain_and_check(&w, "queue.run.after", 2, "none");
    world_remove(&w);
}

/* The places of the first pass of each name. */
static int firsts_of(const struct passes *passes, int *places)
{
    int count = 0;
    for (int i = 0; i < passes->count; i++) {
        if (nth_of(passes, i) > 1)
            continue;
        EXPECT(count < 2 * MAX_POINTS);
        places[count++] = i;
    }
    return count;
}

/* A few, spread evenly over all that there are. */
static void check_some_pairs(void (*play)(void *world))
{
    static int firsts[2 * MAX_POINTS], seconds[2 * MAX_POINTS];
    struct passes *first = new_passes(), *second = new_passes();
    struct world w;
    int64_t kills = 0, pairs = 0;
    world_make(&w, false);
    list(&w, play, first);
    world_remove(&w);
    list_drain(play, second);
    int64_t columns = firsts_of(second, seconds), all = columns * firsts_of(first, firsts);
    for (int64_t i = 0; i < all; i++) {
        if (i * PAIRS / all == (i + 1) * PAIRS / all)
            continue;
        pairs++;
        kills += kill_twice(play, first->names[firsts[i / columns]],
                            second->names[seconds[i % columns]], pairs % 2 == 0);
    }
    printf("%lld pairs of %lld, %lld killed twice\n", (long long)pairs, (long long)all,
           (long long)kills);
    EXPECT(kills > 0);
    munmap(first, sizeof(*first));
    munmap(second, sizeof(*second));
}

/* What a second kill leaves, at each pass of the drain of what the first left. */
static int check_every_second(struct freeze_copy *first)
{
    struct freeze f = {.copies = NULL};
    expect_clean(&first->world, freeze_run(world_drain, &first->world, &f), "the drain");
    for (int i = 0; i < f.count; i++)
        drain_and_check(&f.copies[i].world, first->name, first->nth, f.copies[i].name);
    int count = f.count;
    freeze_done(&f);
    return count;
}

static void check_every_pair(void (*play)(void *world), bool is_alone)
{
    struct world w;
    struct freeze f = {.firsts = true};
    int pairs = 0;
    world_make(&w, is_alone);
    expect_clean(&w, freeze_run(play, &w, &f), "the scenario");
    world_remove(&w);
    for (int i = 0; i < f.count; i++)
        pairs += check_every_second(&f.copies[i]);
    printf("alone=%d: %d pairs of states after %d first ones\n", is_alone, pairs, f.count);
    EXPECT(pairs > 20 * f.count);
    freeze_done(&f);
}

static void check_pairs(void (*play)(void *world), bool is_alone)
{
    if (is_all())
        check_every_pair(play, is_alone);
    else if (!is_alone)
        check_some_pairs(play); // half of them alone
}

TEST(proof_kill_again_while_it_recovers)
{
    check_pairs(world_play, false);
}

TEST(proof_kill_again_while_it_recovers_with_claims_in_memory)
{
    check_pairs(world_play, true);
}

TEST(proof_kill_again_while_it_recovers_what_belongs_together)
{
    check_pairs(world_play_flow, false);
}

TEST(proof_kill_again_while_it_recovers_what_belongs_together_with_claims_in_memory)
{
    check_pairs(world_play_flow, true);
}

/* So that freeze.h may stand for kills. */
TEST(proof_a_copy_of_what_stands_is_what_a_kill_leaves)
{
    int kills = 0;
    bool is_over = false;
    for (int at = 3; !is_over; at += at / 2) {
        struct world w, copy;
        world_make(&w, false);
        is_over = !freeze_kill(world_play, &w, at, &copy);
        if (!is_over) {
            EXPECT(freeze_is_equal(&w, &copy));
            drain_and_check(&w, "a pass", at, "none");
            EXPECT(!freeze_is_equal(&w, &copy));
            world_remove(&copy);
            kills++;
        }
        world_remove(&w);
    }
    EXPECT(kills > 10);
}

/* ---- the table ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names without their side, sorted, once each. */
static int points_of(const struct passes *passes, char (*names)[64])
{
    const char *sorted[MAX_PASSES];
    int count = 0;
    for (int i = 0; i < passes->count; i++)
        sorted[i] = passes->names[i];
    qsort(sorted, (size_t)passes->count, sizeof(sorted[0]), by_name);
    for (int i = 0; i < passes->count; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%.*s", (int)(strrchr(sorted[i], '.') - sorted[i]), sorted[i]);
        bool is_new = count == 0 || strcmp(names[count - 1], name) != 0;
        EXPECT(count < MAX_POINTS);
        if (is_new)
            memcpy(names[count++], name, sizeof(name));
    }
    return count;
}

static void write_table(const char *path, char (*names)[64], int count)
{
    FILE *f = fopen(path, "w");
    EXPECT(f != NULL);
    fputs(
        "# Failpoints\n\n"
        "Generated by `make failpoints`. `tests/proof` kills the process with SIGKILL before and "
        "after each of these points, in both\nways of claiming (docs/decisions/0010); then the "
        "next process drains the queue, and the promises are checked\n(`tests/proof/world.h`). "
        "`PROOF=all` also takes every pass of a scenario, and every pass of the drain after a kill "
        "at\nthe first pass of each name. A kill leaves what is in the files and nothing else, so "
        "that passes between which no file\nhas changed are checked once, on a copy of the files "
        "that was made while all threads stood still\n(`tests/proof/freeze.h`).\n\n"
        "Every statement that writes passes `store.write`, every call of SQLite's that changes a "
        "file one of `disk.*`; the others\nsay what they do for a job.\n\n",
        f);
    for (int i = 0; i < count; i++)
        fprintf(f, "- `%s`\n", names[i]);
    fclose(f);
}

TEST(proof_passes_the_points_that_the_documents_name)
{
    static char names[MAX_POINTS][64];
    char line[100];
    int at = 0;
    struct passes *passes = new_passes();
    void (*const plays[])(void *world) = {world_play, world_play, world_play_flow, world_play_flow,
                                          world_play_long};
    for (int i = 0; i < 5; i++) {
        struct world w;
        world_make(&w, i % 2 == 1);
        list(&w, plays[i], passes);
        world_remove(&w);
    }
    int count = points_of(passes, names);
    if (getenv("PROOF_TABLE"))
        write_table(getenv("PROOF_TABLE"), names, count);
    FILE *f = fopen("docs/failpoints.md", "r");
    EXPECT(f != NULL);
    while (fgets(line, sizeof(line), f)) {
        char name[64];
        if (sscanf(line, "- `%63[^`]`", name) != 1)
            continue;
        ck_assert_msg(at < count && strcmp(name, names[at]) == 0,
                      "docs/failpoints.md says %s, passed was %s: make failpoints", name,
                      at < count ? names[at] : "nothing");
        at++;
    }
    fclose(f);
    EXPECT_EQ(at, count);
    munmap(passes, sizeof(*passes));
}
