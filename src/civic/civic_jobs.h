/* civic_jobs.h -- what follows a write: notifications and announcements.
 *
 *     comment.created     a comment    writes notifications; announces it and them
 *     comment.notify      a comment    the next slice of followers: notifications
 *     comment.voted      *a comment    announces its votes (counter)
 *     proposal.supported *a proposal   announces its signatures and state (counter)
 *     proposal.signed     a proposal   tells its author, unless an older such one is unread
 *     proposal.reached    a proposal   tells author and followers, in slices
 *     voting.tally       *a voting     announces its results and state (counter)
 *     civic.prune         every 10 min removes ended sessions and old answers
 *
 * Bursts collapse: a job marked * is not enqueued while one of its subject waits, and reads the
 * values when it runs. proposal.supported and voting.tally also run when a deadline passes.
 * Followers are served in slices of CIVIC_JOBS_SLICE, each a job of its own, so that a proposal
 * with a hundred thousand of them never holds the writer.
 *
 * Values are read and announced under one mutex: two workers must not swap two
 * values of a counter, or the older one would be the last that readers see.
 */
#ifndef CIVIC_JOBS_H
#define CIVIC_JOBS_H

#include <pthread.h>

#include "civic/civic_announce.h"
#include "queue/queue.h"

enum { CIVIC_JOBS_SLICE = 500 };

/* The ctx of every handler; the borrowed parts live as long as the queue. */
struct civic_jobs {
    struct store *store;
    const struct civic_announcer *announcer;
    pthread_mutex_t mutex; // private
};

/* The handlers, without ctx. */
extern const struct queue_handler civic_jobs_table[];
extern const size_t civic_jobs_count;

/* Copies the handlers to out, which has room for civic_jobs_count, with jobs as their ctx. */
void civic_jobs_bind(struct civic_jobs *jobs, struct queue_handler *out);

/* Declares what comes again (civic.prune): at each start. Takes it back where nobody runs_jobs: the
 * job of a tick, which `viche worker` serves too, would wait for ever. */
MUST_USE enum err civic_jobs_start(struct store *store, bool runs_jobs);

#endif
