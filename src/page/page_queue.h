/* page_queue.h -- /admin/queues: the queues as operators see them, for logged-in accounts whose
 * role lets them (civic_policy.h): moderators look, admins act.
 *
 *     /admin/queues                 how much waits, how it went lately, what fails; pausing
 *     /admin/queues/limits?queue=   of one queue and its keys (page_queue_limit.h)
 *     /admin/queues/jobs?...        a search; what is done to many, after a question
 *     /admin/queues/jobs/{id}       one job's story
 *     /admin/queues/batches         batches, the newest first (page_queue_batch.h)
 *     /admin/queues/batches/{id}    a batch and how its jobs hang together; /cancel
 *                                   (page_queue_batch.h)
 *
 * Everything is a link or a form. With the script the pages ask for themselves anew when
 * API_QUEUES_CHANNEL says that something happened. Values of named fields of payloads are hidden
 * (queue_redact.h).
 */
#ifndef PAGE_QUEUE_H
#define PAGE_QUEUE_H

#include "civic/civic_policy.h"
#include "page/page_internal.h"
#include "queue/queue_admin_show.h"

extern const struct api_endpoint page_queue_get;           // /admin/queues
extern const struct api_endpoint page_queue_post_pause;    // /admin/queues/pause
extern const struct api_endpoint page_queue_jobs_get;      // /admin/queues/jobs
extern const struct api_endpoint page_queue_jobs_confirm;  // POST /admin/queues/jobs
extern const struct api_endpoint page_queue_jobs_apply;    // POST /admin/queues/jobs/apply
extern const struct api_endpoint page_queue_job_get;       // /admin/queues/jobs/{id}
extern const struct api_endpoint page_queue_job_get_batch; // /admin/queues/batches/{id}

/* ---- what they share ---- */
/* First of all in load and write: refuses with 403 "forbidden"; says in the view whether the reader
 * may act. */
MUST_USE enum err page_queue_enter(struct api_call *call, enum civic_operation operation);
/* Jobs that run though their rows say READY. */
struct queue_held page_queue_held(struct api_call *call);
/* Adds a job to an array: what a row of a list shows. */
cJSON *page_queue_add_job(struct api_call *call, cJSON *jobs, const struct queue_admin_job *job);
/* Adds a time as "NAME_text" (how long ago, or the date) and "NAME_full". 0: adds nothing. */
void page_queue_add_time(struct api_call *call, cJSON *object, const char *name, int64_t ms);
/* "750 ms", "12 s", "3 min", ... */
struct str page_queue_duration(struct api_call *call, int64_t ms);
struct str page_queue_state(struct api_call *call, enum queue_state state);
/* As people may see it. */
struct str page_queue_hide(struct api_call *call, struct str json);
/* The notice after a form: how many it was done to, how many refused (of the query). */
void page_queue_add_notice(struct api_call *call);

#endif
