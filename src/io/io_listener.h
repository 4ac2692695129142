/* io_listener.h -- a listening socket of one loop (SO_REUSEPORT, so that each loop has its own). */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

#include "core/err.h"
#include "core/str.h"
#include "io/io_loop.h"

struct io_listener;

enum { IO_PEER_BYTES = 46 }; // INET6_ADDRSTRLEN

/* Called for each accepted, non-blocking socket with TCP_NODELAY; takes fd. peer: who it is,
 * "192.0.2.1" or "::1" ("unknown" on a Unix socket), of the caller. */
typedef void io_accept_fn(void *ctx, int fd, const char peer[static IO_PEER_BYTES]);

struct sockaddr_storage;
/* The address without its port, as io_accept_fn gets it. */
void io_listener_write_peer(const struct sockaddr_storage *address, char out[static IO_PEER_BYTES]);

/* Resolves "127.0.0.1:8080", "[::1]:8080", "localhost:8080", "0.0.0.0:0" (0: any free port), binds
 * and listens, without a loop. At start all loops' sockets are opened first, so that a taken port
 * is one clear error; it is noticed even when the other program uses SO_REUSEPORT. Blocks while it
 * resolves a name. ERR_INVALID: not an address. ERR_CONFLICT: port taken. ERR_DENIED: not allowed
 * (port < 1024). ERR_IO. why_out: a sentence for the operator, written on failure. */
MUST_USE enum err io_listener_open(struct str address, int *fd_out, char *why_out, size_t why_cap);

/* Is it written as one? Resolves nothing. */
bool io_listener_is_address(struct str address);

/* Binds and listens on a Unix socket that only this user may open (mode 0600). Nothing may be at
 * path. ERR_TOO_LARGE: longer than the system takes (107 bytes). ERR_IO. why_out as above. */
MUST_USE enum err io_listener_open_unix(const char *path, int *fd_out, char *why_out,
                                        size_t why_cap);

/* One more socket on the address (and the actual port) of fd, for another loop of this process: the
 * kernel spreads new connections over all of them. ERR_IO. */
MUST_USE enum err io_listener_open_sibling(int fd, int *fd_out);

/* The port that a listening descriptor got. */
int io_listener_port(int fd);

/* Accepts from fd on l; owns fd. When descriptors run out it pauses for 100 ms instead of spinning.
 */
struct io_listener *io_listener_start(struct io_loop *l, int fd, io_accept_fn *on_accept,
                                      void *ctx);
/* Stops accepting and closes; on l's thread. NULL is accepted. */
void io_listener_stop(struct io_listener *li);

#endif
