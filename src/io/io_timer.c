#include "io/io_loop_internal.h"

void io_timer_init(struct io_timer *t, void (*on_due)(struct io_timer *t))
{
    list_init(&t->node);
    t->due_ms = 0;
    t->on_due = on_due;
}

void io_timer_start(struct io_loop *l, struct io_timer *t, int64_t delay_ms)
{
    io_wheel_start(&l->wheel, t, io_loop_now_ms(l) + delay_ms);
}

void io_timer_stop(struct io_timer *t)
{
    list_remove(&t->node);
}
