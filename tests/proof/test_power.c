/* test_power.c -- loss of power: the scenario's calls to the disk are written down, and for
 * prefixes of them (PROOF=all: for each) the files are rebuilt as a disk may have left them. What
 * was acknowledged before must be there, the database whole, and the queue must keep its promises.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk.h"
#include "power.h"
#include "test.h"

enum { SEED = 4, FAILED_LATE = 7 };

static bool is_all(void)
{
    const char *value = getenv("PROOF");
    return value && strcmp(value, "all") == 0;
}

static struct {
    void (*play)(void *world);
    int bad_sync;    // this one fails; < 0: none
    int64_t entries; // of the journal so far
} order;

static void play_recorded(void *world)
{
    struct world *w = world;
    char path[120];
    snprintf(path, sizeof(path), "%s/journal", w->dir);
    w->is_marked = true;
    disk_install();
    disk_record(path, order.entries);
    if (order.bad_sync >= 0)
        disk_fail(DISK_SYNC, order.bad_sync, EIO, false);
    order.play(w);
    if (order.bad_sync >= 0 && disk_has_failed())
        _exit(FAILED_LATE);
}

/* Plays, and reads the journal. The wait status of the process. */
static int record(struct world *w, struct power_journal *journal, void (*play)(void *world),
                  int bad_sync, bool is_alone)
{
    char path[120];
    world_make(w, is_alone);
    order.play = play;
    order.bad_sync = bad_sync;
    order.entries = 0;
    int status = world_run(play_recorded, w);
    snprintf(path, sizeof(path), "%s/journal", w->dir);
    power_load(journal, path);
    return status;
}

static void check_cut(const struct power_journal *journal, const struct world *from, int64_t calls,
                      enum power_loss loss)
{
    struct world w;
    world_make(&w, from->is_alone);
    power_cut(journal, calls, loss, from, &w);
    w.has_lost_power = true;
    int status = world_run(world_drain, &w);
    const char *why = status == 0 ? world_check(&w) : "the drain failed";
    if (why)
        world_show(&w);
    ck_assert_msg(!why, "power lost after call %lld of %lld, loss %d, alone=%d: %s",
                  (long long)calls, (long long)journal->count, loss, from->is_alone,
                  why ? why : "");
    world_remove(&w);
}

static void check_losses(void (*play)(void *world), bool is_alone, int64_t samples)
{
    struct world w;
    struct power_journal journal;
    int64_t cuts = 0;
    srand(SEED);
    EXPECT_EQ(record(&w, &journal, play, -1, is_alone), 0);
    int64_t step = journal.count / samples + 1;
    for (int64_t calls = 1; calls <= journal.count; calls += step)
        for (int loss = 0; loss < POWER_LOSSES; loss++) {
            if (!is_all() && loss != calls / step % POWER_LOSSES)
                continue;
            check_cut(&journal, &w, calls, loss);
            cuts++;
        }
    check_cut(&journal, &w, journal.count, POWER_NOTHING);
    printf("%lld calls, %lld losses of power\n", (long long)journal.count, (long long)cuts);
    EXPECT(journal.count > 100);
    power_free(&journal);
    world_remove(&w);
}

TEST(proof_power_loss_keeps_what_was_acknowledged)
{
    check_losses(world_play, false, is_all() ? INT32_MAX : 15);
}

TEST(proof_power_loss_keeps_what_was_acknowledged_by_claims_in_memory)
{
    check_losses(world_play, true, is_all() ? INT32_MAX : 15);
}

TEST(proof_power_loss_while_the_log_is_copied)
{
    check_losses(world_play_long, true, is_all() ? 60 : 2);
}

/* The next process finds in the kernel's memory also what could not be synced; what it acknowledges
 * must last all the same. */
static void check_restart(struct world *w, struct power_journal *journal)
{
    char path[120];
    int64_t first = journal->count;
    order.play = world_drain;
    order.bad_sync = -1;
    order.entries = first;
    EXPECT_EQ(world_run(play_recorded, w), 0);
    power_free(journal);
    snprintf(path, sizeof(path), "%s/journal", w->dir);
    power_load(journal, path);
    int64_t step = (journal->count - first) / (is_all() ? 4 : 3) + 1;
    for (int64_t calls = first + 1; calls <= journal->count; calls += step)
        check_cut(journal, w, calls, POWER_NOTHING);
    check_cut(journal, w, journal->count, POWER_NOTHING);
}

/* True: the sync failed. What was acknowledged is there even when the kernel has dropped what it
 * could not sync.
 */
static bool fail_sync(int nth, bool is_alone)
{
    struct world w;
    struct power_journal journal;
    int status = record(&w, &journal, world_play, nth, is_alone);
    bool is_stopped = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    // The last close has nothing to acknowledge any more.
    bool is_late = WIFEXITED(status) && WEXITSTATUS(status) == FAILED_LATE;
    bool is_said = world_has_logged(&w, "fsync failed: stopping") ||
                   world_has_logged(&w, "world.c:"); // the store did not open at all
    if ((is_stopped && !is_said) || !(is_stopped || is_late || status == 0))
        world_show(&w);
    EXPECT(is_stopped || is_late || status == 0);
    EXPECT(!is_stopped || is_said);
    check_cut(&journal, &w, journal.count, POWER_NOTHING);
    check_cut(&journal, &w, journal.count, POWER_ALL);
    if (is_stopped)
        check_restart(&w, &journal);
    power_free(&journal);
    world_remove(&w);
    return is_stopped || is_late;
}

TEST(proof_sync_failure_stops_the_process_before_it_acknowledges_more)
{
    int failures = 0, step = is_all() ? 1 : 7;
    for (int nth = 0; fail_sync(nth, nth % 2 == 0); nth += step)
        failures++;
    EXPECT(failures > 3);
}
