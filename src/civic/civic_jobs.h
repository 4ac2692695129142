/* civic_jobs.h -- what follows a write: notifications and announcements.
 *
 *     kind               payload          unique           commit                        then
 * announces comment.created    comment_id       -                notifications, next slice
 * comment.created, notification.created comment.notify     comment_id,after - notifications, next
 * slice     notification.created comment.voted      comment_id       per comment      -
 * comment.voted (counter) proposal.supported proposal_id      per proposal     "support"
 * notification        proposal.supported (counter) proposal.reached   proposal_id,after -
 * notifications, next slice     notification.created proposal.closed    proposal_id      per
 * proposal     -                             proposal.supported (counter) voting.tally voting_id
 * per voting       -                             voting.tally (counter) civic.prune        - one
 * ended sessions, old answers   -
 *
 * Bursts collapse: a unique job that is already waiting is not enqueued again, and reads the values
 * when it runs. Followers are served in slices of CIVIC_JOBS_SLICE, each a job of its own, so that
 * a proposal with a hundred thousand of them never holds the writer.
 */
#ifndef CIVIC_JOBS_H
#define CIVIC_JOBS_H

#include "civic/civic_announce.h"
#include "queue/queue.h"

enum { CIVIC_JOBS_SLICE = 500 };

/* The ctx of every handler; the borrowed parts live as long as the queue. */
struct civic_jobs {
    struct store *store;
    const struct civic_announcer *announcer;
};

/* The handlers. Copy them and set ctx to a struct civic_jobs, or let civic_jobs_bind do it. */
extern const struct queue_handler civic_jobs_table[];
extern const size_t civic_jobs_count;

/* out has room for civic_jobs_count handlers. */
void civic_jobs_bind(struct civic_jobs *jobs, struct queue_handler *out);

/* Enqueues civic.prune unless it waits: once at start; it enqueues itself from then on. */
MUST_USE enum err civic_jobs_start(struct store *store);

#endif
