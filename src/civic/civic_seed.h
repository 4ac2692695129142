/* civic_seed.h -- a town to try things in: `viche seed --demo`. */
#ifndef CIVIC_SEED_H
#define CIVIC_SEED_H

#include "store/store.h"

/* The password of every demo account, e.g. of olena@example.org. */
#define CIVIC_SEED_PASSWORD "viche-demo"

/* Writes the demo town in one transaction. Does nothing when it is there. *is_new_out: it was
 * written now. Blocks for the hashing of one password. */
MUST_USE enum err civic_seed_demo(struct store *store, bool *is_new_out);

#endif
