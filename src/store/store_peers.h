/* store_peers.h -- the processes that have the database open wake each other after a commit.
 *
 *     FILE.peers, mapped by all:  | taken 0 .. 63 | bell 0 .. 63 |
 *
 * Who listens owns a slot, by a lock on one byte of the file, which the kernel gives back when the
 * process ends, however it ends; its thread sleeps (futex) on the slot's bell. Who commits rings
 * the bells of the others: where nobody else listens, that is a look at 64 words.
 */
#ifndef STORE_PEERS_H
#define STORE_PEERS_H

#include "core/err.h"

struct store_peers;

/* NULL, after a line in the log: there is no such file, and nobody is woken. */
struct store_peers *store_peers_open(const char *path);
/* Calls on_ring on a thread of its own, soon after another process rings, once for many rings
 * perhaps. ERR_AGAIN: all slots are taken. ERR_IO: no thread. */
MUST_USE enum err store_peers_listen(struct store_peers *p, void (*on_ring)(void *ctx), void *ctx);
/* Wakes the other processes that listen. Any thread; NULL does nothing. */
void store_peers_ring(struct store_peers *p);
/* on_ring is not called afterwards. Takes NULL. */
void store_peers_stop(struct store_peers *p);
/* Stops, and frees. Takes NULL. */
void store_peers_close(struct store_peers *p);

#endif
