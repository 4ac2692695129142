/* world.h -- what the proofs play and check: a store and a queue in a folder of its own, processes
 * that write down what they do, and a checker that reads only that and the database.
 *
 * The history is a file of lines, each written by one call before or after what it tells:
 *
 *     S <ms>                     a process began, or has moved its clock; the clock
 *     N <tag> <kind>             is about to enqueue         E <tag> <id>   enqueued, committed
 *     M <tag> <id>               the same, softly: a loss of power may take it until the next E, A
 *     C <tag>                    cancelled: it must not run any more
 *     D <tag>                    skipped: its key is taken   P <tag>        rolled back
 *     R <tag> <id> <epoch> <attempt> <ms>  a handler runs
 *     F <tag>                    is about to fail            A <tag> <id>   done: effects are
 * durable
 *
 * and about several:
 *
 *     G <first> <last>           one transaction's: all or none
 *     O <tag> <tag>              the second has its effect after the first
 *     T <first> <last>           the last has its turn after two of the others at most
 *     U <tag> <tag>              the second has a key of the first's: it is the same job
 *     V <old> <new>              an operator is about to make the one of the other
 *
 * What must hold afterwards, when nothing waits any more (world_check): G1 to G8 of docs/queue.md,
 * as far as one machine can break them.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "queue/queue_test.h"

struct world {
    char dir[64], path[96], history[96], log[96];
    bool is_alone;  // claims in memory (docs/decisions/0010)
    bool is_marked; // each line goes into the disk's journal too
    bool is_faulty; // the disk fails: errors of the store count as attempts, and change the order
    bool has_lost_power;
    void (*fail)(void);
    bool has_snoozed;
    int payload_bytes;
    int history_fd;
    struct store *store;
    struct queue_seal *seal; // a process after the first has another key, and the first's
    struct queue_test queue;
};

/* Stands in sealed payloads, and nowhere on the disk. */
#define WORLD_SECRET "tell nobody"

/* A new folder, in memory where the system has that. */
void world_make(struct world *w, bool is_alone);
void world_remove(const struct world *w);

/* The files that a process leaves to who comes next. */
enum { WORLD_FILES = 7 };
/* A whole file, by mem_free; NULL: it is not there. */
char *world_read(const struct world *w, int file, size_t *len_out);
/* Another folder with the same files. */
void world_copy(const struct world *from, struct world *to);

/* The store of the folder, with the queue's tables. */
struct store *world_open_store(struct world *w);

/* In a process of its own: opens, migrates, plays the whole scenario, closes. */
void world_play(void *world);
/* With batches, graphs, steps, limits, ticks and pruning. */
void world_play_flow(void *world);
/* With so many errors at once that some of their retries are put off. */
void world_play_budget(void *world);
/* As world_play, with much data: checkpoints pass while it plays. */
void world_play_long(void *world);
/* Enqueues and runs while the disk is as fail() makes it, then heals it and goes on. Ends with
 * WORLD_HAS_FAILED when the disk did fail. */
enum { WORLD_HAS_FAILED = 7 };
void world_play_on_a_bad_disk(void *world);
/* In a process of its own: opens, gives back what died, runs everything until nothing waits,
 * closes. */
void world_drain(void *world);
/* Sentences about what is wrong, in a static buffer; NULL: all promises hold. */
const char *world_check(struct world *w);

/* Prints the history and the processes' logs. */
void world_show(const struct world *w);

bool world_has_logged(const struct world *w, const char *text);

/* Runs fn(w) in a child, whose stderr goes to the log. Its number. */
pid_t world_start(void (*fn)(void *world), struct world *w);
/* The same, to its end. Its wait status. */
int world_run(void (*fn)(void *world), struct world *w);

#endif
