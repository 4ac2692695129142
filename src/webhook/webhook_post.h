/* webhook_post.h -- what the POST of a webhook says, and what its answer means. For the module's
 * own files. */
#ifndef WEBHOOK_POST_H
#define WEBHOOK_POST_H

#include "post/post.h"
#include "webhook/webhook.h"

/* Fills in p, which has url and body, with what is in the arena or the target's. */
void webhook_post_fill(struct post *p, const struct webhook_target *target, bool allows_private,
                       struct arena *a);
/* OK: a 2xx answer. Else why_out says what went wrong, in the arena. */
MUST_USE enum err webhook_post_judge(const struct post *p, CURLcode result, struct arena *a,
                                     struct str *why_out);

#endif
