/* test_disk.c -- a full disk, and errors of the disk: what is refused is not there, what is
 * acknowledged is, and when the disk works again so does the queue, in the same process. (Of syncs
 * that fail: test_power.c.) */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk.h"
#include "test.h"
#include "world.h"

static struct {
    enum disk_op op;
    int nth, errno_value;
    bool is_lasting;
} order;

static void begin_to_fail(void)
{
    disk_fail(order.op, order.nth, order.errno_value, order.is_lasting);
}

static void play(void *world)
{
    disk_install();
    world_play_on_a_bad_disk(world);
}

/* True: the disk did fail. */
static bool check_fault(bool is_alone)
{
    struct world w;
    world_make(&w, is_alone);
    w.fail = begin_to_fail;
    w.is_faulty = true;
    int status = world_run(play, &w);
    bool has_failed = WIFEXITED(status) && WEXITSTATUS(status) == WORLD_HAS_FAILED;
    const char *why = status == 0 || has_failed ? world_check(&w) : "the process ended";
    if (why)
        world_show(&w);
    ck_assert_msg(!why, "call %d of kind %d failed, errno %d, alone=%d, status %x: %s", order.nth,
                  order.op, order.errno_value, is_alone, (unsigned)status, why ? why : "");
    world_remove(&w);
    return has_failed;
}

static void check_faults(enum disk_op op, int errno_value, bool is_lasting)
{
    const char *value = getenv("PROOF");
    int step = op != DISK_WRITE || (value && strcmp(value, "all") == 0) ? 1 : 4, failures = 0;
    order.op = op;
    order.errno_value = errno_value;
    order.is_lasting = is_lasting;
    for (order.nth = 0; check_fault(failures % 2 == 0); order.nth += step)
        failures++;
    printf("op %d: %d faults\n", op, failures);
    EXPECT(failures > 3);
}

TEST(proof_disk_full_refuses_and_goes_on_when_there_is_room)
{
    check_faults(DISK_WRITE, ENOSPC, true);
}

TEST(proof_disk_write_error_takes_back_what_it_hits)
{
    check_faults(DISK_WRITE, EIO, false);
}

TEST(proof_disk_errors_that_last_lose_nothing_that_was_acknowledged)
{
    check_faults(DISK_WRITE, EIO, true);
}

TEST(proof_disk_read_error_loses_nothing_that_was_acknowledged)
{
    check_faults(DISK_READ, EIO, false);
}

TEST(proof_disk_read_errors_that_last_lose_nothing_that_was_acknowledged)
{
    check_faults(DISK_READ, EIO, true);
}

/* From the first opening to the last close, whose checkpoints cut the files. */
static void play_all(void *world)
{
    disk_install();
    begin_to_fail();
    world_play(world);
    _exit(disk_has_failed() ? WORLD_HAS_FAILED : 0);
}

static void drain(void *world)
{
    disk_install();
    world_drain(world);
}

/* True: the disk did fail. */
static bool check_truncate(bool is_alone)
{
    struct world w;
    world_make(&w, is_alone);
    int status = world_run(play_all, &w);
    bool has_failed = WIFEXITED(status) && WEXITSTATUS(status) == WORLD_HAS_FAILED;
    bool is_refused = WIFSIGNALED(status) && world_has_logged(&w, "world.c:"); // did not open
    if (status != 0 && !has_failed && !is_refused)
        world_show(&w);
    EXPECT(status == 0 || has_failed || is_refused);
    EXPECT_EQ(world_run(drain, &w), 0);
    const char *why = world_check(&w);
    if (why)
        world_show(&w);
    ck_assert_msg(!why, "truncate %d failed, alone=%d: %s", order.nth, is_alone, why ? why : "");
    world_remove(&w);
    return has_failed || is_refused;
}

TEST(proof_disk_truncate_error_loses_nothing_that_was_acknowledged)
{
    int failures = 0;
    order.op = DISK_TRUNCATE;
    order.errno_value = EIO;
    order.is_lasting = false;
    for (order.nth = 0; check_truncate(failures % 2 == 0); order.nth++)
        failures++;
    printf("op %d: %d faults\n", order.op, failures);
    EXPECT(failures > 0);
}
