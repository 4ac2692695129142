/* world_internal.h -- what the files of the world share: world.c opens and closes it, and plays
 * with single jobs; world_flow.c plays with jobs that belong together, limits, ticks and pruning;
 * world_check.c checks. */
#ifndef WORLD_INTERNAL_H
#define WORLD_INTERNAL_H

#include "world.h"

enum { MAX_TAGS = 1000, LEASE_MS = 1000, SWEEP_MS = 1000, DEAD_ATTEMPTS = 2 };

/* ---- world.c ---- */
__attribute__((format(printf, 2, 3))) void world_say(struct world *w, const char *format, ...);
char *world_history(const struct world *w);

void world_open(struct world *w);
void world_close(struct world *w);
void world_run_all(struct world *w);

/* Enqueues, in the caller's transaction, and says before that it will. */
enum err world_enqueue(struct store_tx *tx, struct world *w, int64_t tag, char kind,
                       struct queue_new job, int64_t *id_out);
/* Enqueues count jobs in one transaction. */
void world_add(struct world *w, int64_t first, int64_t count, char kind, struct queue_new job);
/* The same, softly. */
void world_add_softly(struct world *w, int64_t first, int64_t count, char kind);
enum err world_effect(struct store_tx *tx, int64_t tag, int64_t job_id);

/* By the pieces that workers are made of. */
struct hand {
    struct queue_job job;
    size_t count;
};
void world_claim(struct world *w, struct hand *hand);
void world_run_by_hand(struct world *w, struct hand *hand);

/* ---- world_flow.c ---- */
/* The tag of the tick that the job is of. */
int64_t world_flow_tick(struct world *w, const struct queue_job *job, int64_t first_tag);
/* Does the steps. Not OK: it shall fail. */
enum err world_flow_steps(struct world *w, struct queue_job *job, int64_t tag);
enum err world_flow_snooze(struct world *w, struct queue_job *job);
/* Runs everything that waits, ticks that have come too, and prunes. */
void world_flow_drain(struct world *w);

#endif
