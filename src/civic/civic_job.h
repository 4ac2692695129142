/* civic_job.h -- the payload that all jobs of the product share: {"id":7,"actor_id":2,"after":0}.
 */
#ifndef CIVIC_JOB_H
#define CIVIC_JOB_H

#include "queue/queue.h"

struct civic_job {
    int64_t id;       // the comment, proposal or voting it is about
    int64_t actor_id; // who did it; 0: read it from the subject
    int64_t after;    // of a slice: the follower that the last one ended with
};

MUST_USE enum err civic_job_enqueue(struct store_tx *tx, const char *kind, struct civic_job job);

/* Unless one of that kind and id is waiting, due at the same run_at_ms (0: now). */
MUST_USE enum err civic_job_enqueue_once(struct store_tx *tx, const char *kind,
                                         struct civic_job job, int64_t run_at_ms);

/* ERR_INVALID: not such a payload. */
MUST_USE enum err civic_job_parse(struct str payload, struct civic_job *out);

#endif
