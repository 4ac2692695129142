/* test_disk.c -- a full disk, and errors of the disk: what is refused is not there, what is
 * acknowledged is, and when the disk works again so does the queue, in the same process. (Of syncs
 * that fail: test_power.c.) */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

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
    int step = value && strcmp(value, "all") == 0 ? 1 : 4, failures = 0;
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
