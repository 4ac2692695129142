/* io_listener.h -- a listening socket of one loop (SO_REUSEPORT, so that each loop has its own). */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

#include "core/str.h"
#include "io/io_loop.h"

struct io_listener;

/* Called for each accepted, non-blocking socket with TCP_NODELAY; takes fd. */
typedef void io_accept_fn(void *ctx, int fd);

/* Resolves "127.0.0.1:8080", "[::1]:8080", "0.0.0.0:0" (0: any free port) and binds and listens without
 * a loop. At start all loops' sockets are opened first, so that a taken port is one clear error.
 * reuse_port: false for the first socket, so that another process on the port is noticed (a SO_REUSEPORT
 * probe); see io_listener.c. ERR_INVALID: not an address. ERR_CONFLICT: port taken. ERR_DENIED: not
 * allowed (port < 1024). ERR_IO. why_out: a sentence for the operator. */
MUST_USE enum err io_listener_open(struct str address, int *fd_out, char *why_out, size_t why_cap);

/* The port that a listening descriptor got. */
int io_listener_port(int fd);

/* Accepts from fd on l; owns fd. When descriptors run out it pauses for 100 ms instead of spinning. */
struct io_listener *io_listener_start(struct io_loop *l, int fd, io_accept_fn *on_accept, void *ctx);
/* Stops accepting and closes; on l's thread. */
void io_listener_stop(struct io_listener *li);

#endif
