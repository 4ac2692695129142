/* queue_census.h -- how many jobs are in which state, for whoever looks often: metrics, pages.
 *
 * A count looks at an entry of an index for each job, on a reader's connection, which holds up no
 * writer; nothing is kept up to date beside the jobs, so that a job costs no more for being
 * counted. So that counting never takes more than a twentieth of a processor's time, however many
 * jobs there are and however many look, the last count is given again for twenty times as long as
 * it took: a few milliseconds with a thousand jobs, two seconds with a million.
 */
#ifndef QUEUE_CENSUS_H
#define QUEUE_CENSUS_H

#include "queue/queue_admin.h"

struct queue_census;

struct queue_census *queue_census_new(struct store *store);
void queue_census_free(struct queue_census *c);

/* What queue_admin_count says for this process, now or a short while ago (*age_ms_out, which may be
 * NULL); ages are as of now. It lives in the arena. One caller counts; the others get what there
 * is, and only the first ever must wait. Any thread; blocks. */
MUST_USE enum err queue_census_read(struct queue_census *c, struct arena *a,
                                    struct queue_admin_counts *out, int64_t *age_ms_out);
/* The same in a read of the caller's. */
MUST_USE enum err queue_census_read_in(struct queue_census *c, struct store_tx *tx, struct arena *a,
                                       struct queue_admin_counts *out, int64_t *age_ms_out);

#endif
