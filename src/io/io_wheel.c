#include "io/io_wheel.h"

#include "core/check.h"

static int64_t tick_at_or_after(int64_t ms)
{
    return (ms + IO_TIMER_TICK_MS - 1) / IO_TIMER_TICK_MS;
}

static size_t slot_of(int64_t tick)
{
    return (size_t)tick % IO_WHEEL_SLOTS;
}

void io_wheel_init(struct io_wheel *w, int64_t now_ms)
{
    *w = (struct io_wheel){.done_tick = now_ms / IO_TIMER_TICK_MS, .next_tick = INT64_MAX};
    for (size_t i = 0; i < IO_WHEEL_SLOTS; i++)
        list_init(&w->slots[i]);
}

void io_wheel_start(struct io_wheel *w, struct io_timer *t, int64_t due_ms)
{
    list_remove(&t->node);
    t->due_ms = due_ms;

    int64_t tick = tick_at_or_after(due_ms);
    if (tick <= w->done_tick)
        tick = w->done_tick + 1; // that slot's turn is over
    size_t slot = slot_of(tick);
    list_append(&w->slots[slot], &t->node);
    w->used[slot / 64] |= UINT64_C(1) << (slot % 64);
    if (tick < w->next_tick)
        w->next_tick = tick;
}

/* Runs what is due in the slot of that tick; timers of later rounds stay. */
static void run_slot(struct io_wheel *w, int64_t tick, int64_t now_ms)
{
    struct list *slot = &w->slots[slot_of(tick)];
    struct list todo, *node;

    list_init(&todo);
    while ((node = list_shift(slot)))
        list_append(&todo, node);
    // Callbacks may stop timers that are still in todo: each is taken out on its own.
    while ((node = list_shift(&todo))) {
        struct io_timer *t = LIST_ENTRY(node, struct io_timer, node);
        if (t->due_ms <= now_ms)
            t->on_due(t);
        else
            list_append(slot, node);
    }
}

/* The first tick after done_tick whose slot holds a timer, of this or a later round. Slots that
 * turn out to be empty lose their bit, because io_timer_stop does not know the wheel. */
static int64_t find_next(struct io_wheel *w)
{
    for (int64_t tick = w->done_tick + 1; tick <= w->done_tick + IO_WHEEL_SLOTS;) {
        size_t slot = slot_of(tick);
        uint64_t word = w->used[slot / 64] >> (slot % 64);
        if (word == 0) {
            tick += (int64_t)(64 - slot % 64);
            continue;
        }
        tick += __builtin_ctzll(word);
        slot = slot_of(tick);
        if (!list_is_empty(&w->slots[slot]))
            return tick;
        w->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    }
    return INT64_MAX;
}

void io_wheel_run(struct io_wheel *w, int64_t now_ms)
{
    int64_t now_tick = now_ms / IO_TIMER_TICK_MS;
    if (now_tick < w->next_tick) {
        if (now_tick > w->done_tick)
            w->done_tick = now_tick;
        return;
    }
    // After a long sleep one round is enough: run_slot looks at due_ms, not at the tick.
    if (now_tick - w->done_tick > IO_WHEEL_SLOTS)
        w->done_tick = now_tick - IO_WHEEL_SLOTS;
    while (w->done_tick < now_tick) {
        w->done_tick++;
        run_slot(w, w->done_tick, now_ms);
    }
    w->next_tick = find_next(w);
}

int64_t io_wheel_next_ms(const struct io_wheel *w)
{
    return w->next_tick == INT64_MAX ? INT64_MAX : w->next_tick * IO_TIMER_TICK_MS;
}

void io_wheel_clear(struct io_wheel *w)
{
    for (size_t i = 0; i < IO_WHEEL_SLOTS; i++)
        while (list_shift(&w->slots[i])) {
        }
    w->next_tick = INT64_MAX;
}
