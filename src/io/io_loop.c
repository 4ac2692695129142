/* io_loop.c -- one turn, as libuv runs it:
 *
 *     timers -> prepare: end_turn, arm the timer -> poll: connections, listeners, posted tasks
 *            -> check: due timers, end_turn
 *
 * end_turn runs both after the callbacks of a poll, so that a reply leaves at once, and before the
 * loop blocks, because timers may have written too. It costs nothing when nothing is waiting.
 *
 * Connections have an epoll of their own inside libuv's: a uv_poll_t for each would cost 160 bytes
 * and five system calls more in the life of a connection, and ours costs one a turn.
 */
#include "io/io_loop.h"

#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/mem.h"
#include "io/io_loop_internal.h"

/* ---- a turn ---- */

static void end_turn(struct io_loop *l)
{
    do {
        l->hooks_again = false;
        for (struct list *node = l->hooks.next; node != &l->hooks; node = node->next) {
            struct io_hook *hook = LIST_ENTRY(node, struct io_hook, node);
            hook->run(hook);
        }
        io_conn_flush_dirty(l);
        if (io_conn_reap(l)) // owners may have written to others
            l->hooks_again = true;
    } while (l->hooks_again);
}

static void on_timer(uv_timer_t *timer)
{
    struct io_loop *l = timer->data;
    l->armed_ms = INT64_MAX;
    io_wheel_run(&l->wheel, io_loop_now_ms(l));
}

static void on_events(uv_poll_t *events, int status, int flags)
{
    (void)status, (void)flags;
    io_conn_run_events(events->data);
}

static void on_check(uv_check_t *check)
{
    struct io_loop *l = check->data;
    io_wheel_run(&l->wheel, io_loop_now_ms(l));
    end_turn(l);
}

/* Far-away timers do not wake the loop: it sleeps until the first used slot of the wheel. */
static void arm_timer(struct io_loop *l)
{
    int64_t next_ms = io_wheel_next_ms(&l->wheel);
    if (next_ms == l->armed_ms)
        return;
    l->armed_ms = next_ms;
    if (next_ms == INT64_MAX) {
        uv_timer_stop(&l->timer);
        return;
    }
    int64_t wait_ms = next_ms - clock_mono_ms();
    uv_update_time(&l->uv);
    uv_timer_start(&l->timer, on_timer, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct io_loop *l = prepare->data;
    end_turn(l);
    arm_timer(l);
    l->now_ms = 0; // what follows the poll is the next turn
}

int64_t io_loop_now_ms(const struct io_loop *l)
{
    if (l->now_ms == 0)
        l->self->now_ms = clock_mono_ms();
    return l->now_ms;
}

/* ---- from other threads ----
 * Tasks are a stack onto which anybody pushes and which the loop takes as a whole: nobody waits for
 * a lock. Who pushes the first wakes the loop. */

/* The stack upside down: the first that was posted is the first that runs. */
static struct io_task *take_posted(struct io_loop *l)
{
    struct io_task *stack = atomic_exchange_explicit(&l->tasks, NULL, memory_order_acquire);
    struct io_task *first = NULL;
    while (stack) {
        struct io_task *next = stack->next;
        stack->next = first;
        first = stack;
        stack = next;
    }
    return first;
}

static bool run_posted(struct io_loop *l)
{
    struct io_task *task = take_posted(l);
    bool is_any = task != NULL;
    while (task) {
        struct io_task *next = task->next; // run may free or post the task
        task->run(task);
        task = next;
    }
    return is_any;
}

static void on_wake(uv_async_t *wake)
{
    struct io_loop *l = wake->data;
    run_posted(l);
    if (atomic_load(&l->is_stop_wanted))
        uv_stop(&l->uv);
}

/* The task may run, and be the reason to free the loop, before its poster is done with the loop:
 * io_loop_free waits for those who are between these two. */
static void begin_posting(struct io_loop *l)
{
    atomic_fetch_add_explicit(&l->posters, 1, memory_order_relaxed);
}

static void end_posting(struct io_loop *l)
{
    atomic_fetch_sub_explicit(&l->posters, 1, memory_order_release);
}

/* libuv reads first whether a wake-up is under way, which must not be before others can see what it
 * is for. (TSan does not know C11's fence.) */
static void wake(struct io_loop *l)
{
    __sync_synchronize();
    CHECK(uv_async_send(&l->wake) == 0);
}

void io_loop_post(struct io_loop *l, struct io_task *task)
{
    begin_posting(l);
    struct io_task *top = atomic_load_explicit(&l->tasks, memory_order_relaxed);
    do
        task->next = top;
    while (!atomic_compare_exchange_weak_explicit(&l->tasks, &top, task, memory_order_acq_rel,
                                                  memory_order_relaxed));
    if (!top)
        wake(l);
    end_posting(l);
}

void io_loop_stop(struct io_loop *l)
{
    begin_posting(l);
    atomic_store(&l->is_stop_wanted, true);
    wake(l);
    end_posting(l);
}

static void wait_for_posters(struct io_loop *l)
{
    while (atomic_load_explicit(&l->posters, memory_order_acquire) > 0)
        sched_yield();
}

/* ---- locals ---- */

void *io_loop_get_local(struct io_loop *l, const struct io_loop_local *kind)
{
    int i = 0;
    while (l->locals[i].kind && l->locals[i].kind != kind)
        CHECK(++i < IO_LOOP_MAX_LOCALS);
    if (!l->locals[i].kind) {
        l->locals[i].kind = kind;
        l->locals[i].at = kind->make();
    }
    return l->locals[i].at;
}

static void free_locals(struct io_loop *l)
{
    for (int i = 0; i < IO_LOOP_MAX_LOCALS && l->locals[i].kind; i++)
        l->locals[i].kind->free(l->locals[i].at);
}

/* ---- life ---- */

struct io_loop *io_loop_new(int index)
{
    struct io_loop *l = MEM_NEW(struct io_loop);
    l->self = l;
    l->index = index;
    l->armed_ms = INT64_MAX;
    list_init(&l->conns);
    list_init(&l->dirty);
    list_init(&l->closed);
    list_init(&l->listeners);
    list_init(&l->hooks);
    io_wheel_init(&l->wheel, clock_mono_ms());

    CHECK(uv_loop_init(&l->uv) == 0);
    CHECK(uv_async_init(&l->uv, &l->wake, on_wake) == 0);
    CHECK(uv_timer_init(&l->uv, &l->timer) == 0);
    CHECK(uv_prepare_init(&l->uv, &l->prepare) == 0);
    CHECK(uv_check_init(&l->uv, &l->check) == 0);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    CHECK(l->epoll_fd >= 0 && uv_poll_init(&l->uv, &l->events, l->epoll_fd) == 0);
    l->wake.data = l->timer.data = l->prepare.data = l->check.data = l->events.data = l;
    CHECK(uv_prepare_start(&l->prepare, on_prepare) == 0);
    CHECK(uv_check_start(&l->check, on_check) == 0);
    CHECK(uv_poll_start(&l->events, UV_READABLE, on_events) == 0);
    return l;
}

void io_loop_run(struct io_loop *l)
{
    if (!atomic_load(&l->is_stop_wanted))
        uv_run(&l->uv, UV_RUN_DEFAULT);
}

void io_loop_free(struct io_loop *l)
{
    if (!l)
        return;
    wait_for_posters(l);
    while (run_posted(l)) // what was posted after the last turn: its owners count on it
        ;
    do
        io_conn_close_all(l);
    while (io_conn_reap(l));
    io_listener_stop_all(l);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->timer, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->events, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT); // the close callbacks
    io_wheel_clear(&l->wheel);
    free_locals(l);
    CHECK(uv_loop_close(&l->uv) == 0);
    close(l->epoll_fd);
    mem_free(l);
}

int io_loop_index(const struct io_loop *l)
{
    return l->index;
}

uv_loop_t *io_loop_uv(struct io_loop *l)
{
    return &l->uv;
}

uint8_t *io_loop_read_buffer(struct io_loop *l)
{
    return l->read_buffer;
}

void io_loop_add_hook(struct io_loop *l, struct io_hook *hook)
{
    list_append(&l->hooks, &hook->node);
}
