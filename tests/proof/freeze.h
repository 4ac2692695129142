/* freeze.h -- a process that stands still at each failpoint that it passes, and copies of what it
 * has in its files then: what a kill there would leave, for hundreds of points of one run.
 *
 * SIGKILL leaves what the process has written (the kernel keeps its pages) and nothing of its
 * memory. While all its threads stand (SIGSTOP), a copy of its folder is just that; whoever opens
 * the copy finds no lock on it, as after a death. test_kill.c compares the two. Of passes that
 * leave equal files one is enough: who comes next knows nothing else of the dead.
 */
#ifndef FREEZE_H
#define FREEZE_H

#include "world.h"

/* What a kill at the nth pass of name would have left. */
struct freeze_copy {
    const char *name;
    int nth;
    struct world world;
};

struct freeze {
    struct freeze_copy *copies;
    int count, cap;
    int passes;
    bool firsts; // only at the first pass of each name
};

/* Plays fn(w) in a child to its end and copies its folder at each pass that left other files than
 * those before. Its wait status. */
int freeze_run(void (*fn)(void *world), struct world *w, struct freeze *out);
/* The same, but kills the child at pass number at (0: the first). False: it ended before; else w is
 * what the kill left and copy what was there just before. */
bool freeze_kill(void (*fn)(void *world), struct world *w, int at, struct world *copy);

/* True: the files that outlive a process are equal. */
bool freeze_is_equal(const struct world *a, const struct world *b);

/* Removes the folders. */
void freeze_done(struct freeze *f);

#endif
