/* io_loop_internal.h -- what the files of io share about a loop. */
#ifndef IO_LOOP_INTERNAL_H
#define IO_LOOP_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "io/io_tls.h"
#include "io/io_wheel.h"

enum { IO_LOOP_MAX_LOCALS = 4 }; // kinds in the whole program

struct io_loop {
    uv_loop_t uv;
    uv_async_t wake;      // posted tasks, stop
    uv_timer_t timer;     // armed for the wheel's next tick only
    uv_prepare_t prepare; // before the loop blocks
    uv_check_t check;     // after the callbacks of one poll
    struct io_wheel wheel;
    int64_t armed_ms;     // what timer is armed for; INT64_MAX: not armed
    int64_t now_ms;       // 0: not asked yet in this turn
    struct io_loop *self; // for io_loop_now_ms, which notes the time in a const loop
    int index;

    int epoll_fd;       // of the connections
    uv_poll_t events;   // tells that epoll_fd has some
    struct list conns;  // with nothing to send
    struct list dirty;  // with output gathered in this turn
    struct list closed; // their memory goes at the end of this turn
    struct list listeners;
    struct list hooks;
    bool hooks_again; // a callback ran after the hooks

    struct {
        const struct io_loop_local *kind; // NULL: free from here on
        void *at;
    } locals[IO_LOOP_MAX_LOCALS];

    /* of all threads */
    _Atomic(struct io_task *) tasks; // posted, the last first
    atomic_int posters;              // threads that are about to wake the loop
    atomic_bool is_stop_wanted;

    uint8_t read_buffer[IO_LOOP_READ_BYTES];
    uint8_t records[IO_TLS_READ_BYTES]; // what connections under TLS read, before read_buffer
};

/* io_conn.c: hands on what epoll_fd has, a bounded number of events. */
void io_conn_run_events(struct io_loop *l);
/* io_conn.c: sends what was gathered; leaves l->dirty empty. */
void io_conn_flush_dirty(struct io_loop *l);
/* io_conn.c: tells the owners of what was closed, and frees it. False: there was nothing. */
bool io_conn_reap(struct io_loop *l);
/* io_conn.c, io_listener.c: close all that the loop still has. */
void io_conn_close_all(struct io_loop *l);
void io_listener_stop_all(struct io_loop *l);

#endif
