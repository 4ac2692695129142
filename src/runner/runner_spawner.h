/* runner_spawner.h -- the process that starts the others. For the module's own files.
 *
 *     server: start, kill --(socket)--> spawner: fork --> child: limits, exec or code
 *             read <------------------- its end, as soon as the kernel tells
 *
 * It is forked before the server has threads: only a process with one thread can fork and go on
 * (POSIX), and only a small one does so quickly. No child outlives the server: the spawner sees its
 * socket end and kills them all, and the kernel kills them when the spawner dies
 * (PR_SET_PDEATHSIG).
 */
#ifndef RUNNER_SPAWNER_H
#define RUNNER_SPAWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct runner_spawner;

/* What a child becomes; the table is fixed before the spawner is forked. */
struct runner_spawn {
    char *const *argv; // a program, found by PATH; NULL: code
    char *const *environment;
    const char *directory; // NULL: the server's
    /* In the child, whose descriptors 0, 1, 2 are those of the start; its return ends it. */
    void (*code)(const void *ctx);
    const void *ctx;
    int64_t memory_bytes; // of its own (RLIMIT_DATA); 0: no limit
    int cpu_s;            // RLIMIT_CPU; 0: no limit
};

/* How a child ended. */
struct runner_end {
    uint64_t id;
    int error;  // errno: it could not be started; 0: it ran
    int status; // as of waitpid
    int64_t max_rss_kib;
};

/* What runs at once: what is under way between the two must fit into the socket. */
enum { RUNNER_SPAWNER_MAX_CHILDREN = 100 };

/* Forks the spawner. The process has no threads yet. NULL: the system refuses (logged). */
struct runner_spawner *runner_spawner_new(const struct runner_spawn *table, size_t count);
/* Readable when an end can be read. */
int runner_spawner_fd(const struct runner_spawner *s);
/* Starts table[what] as a leader of a process group of its own, with fds as 0, 1, 2; they stay the
 * caller's. id is the caller's, and never used twice. ERR_IO: the spawner is gone (logged). */
MUST_USE enum err runner_spawner_start(struct runner_spawner *s, uint64_t id, size_t what,
                                       const int fds[static 3]);
/* SIGKILL for the child's process group, unless it has ended. ERR_IO as start. */
MUST_USE enum err runner_spawner_kill(struct runner_spawner *s, uint64_t id);
/* ERR_AGAIN: nothing is there. ERR_IO: the spawner is gone (logged). */
MUST_USE enum err runner_spawner_read(struct runner_spawner *s, struct runner_end *out);
/* Ends the spawner, and with it what still runs. */
void runner_spawner_free(struct runner_spawner *s);

#endif
