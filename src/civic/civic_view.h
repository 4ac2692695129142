/* civic_view.h -- rows as JSON: the one shape that the API answers with, events carry and pages
 * draw.
 *
 * Each function makes a cJSON object which the caller frees (or adds to another). Times are RFC
 * 3339. actor NULL or id 0: "viewer" is null.
 */
#ifndef CIVIC_VIEW_H
#define CIVIC_VIEW_H

#include "civic/civic_comment.h"
#include "civic/civic_notification.h"
#include "civic/civic_proposal.h"
#include "civic/civic_support.h"
#include "civic/civic_user.h"
#include "civic/civic_voting.h"
#include "core/json.h"

/* {"id","name"} */
cJSON *civic_view_person(const struct civic_person *p);
/* {"id","name","email","role"}: for that user only */
cJSON *civic_view_own_user(const struct civic_user *u);
/* Without body and body_html when p->body.at is NULL. */
cJSON *civic_view_proposal(const struct civic_proposal *p, const struct civic_actor *actor,
                           struct arena *a);
cJSON *civic_view_comment(const struct civic_comment *c, const struct civic_actor *actor,
                          struct arena *a);
cJSON *civic_view_voting(const struct civic_voting *v, const struct civic_actor *actor,
                         struct arena *a);
cJSON *civic_view_notification(const struct civic_notification *n);

/* What events carry: voting.tally, proposal.supported, comment.voted of one comment. */
cJSON *civic_view_tally(const struct civic_voting *v);
cJSON *civic_view_supported(const struct civic_proposal *p);
cJSON *civic_view_voted(const struct civic_comment *c);

/* {"number","support_count","threshold","state"}; number null when withdrawn */
cJSON *civic_view_support(const struct civic_support *s);
/* {"id","proposal_id","up","down","viewer":{"vote"}} */
cJSON *civic_view_votes(const struct civic_comment_votes *v);

/* {"items":[...],"next":cursor or null}: one call a list; the items are added by the caller. */
cJSON *civic_view_list(struct str next);
cJSON *civic_view_proposals(const struct civic_proposal_list *l, const struct civic_actor *actor,
                            struct arena *a);
cJSON *civic_view_comments(const struct civic_comment_list *l, const struct civic_actor *actor,
                           struct arena *a);
/* and "unread_count" */
cJSON *civic_view_notifications(const struct civic_notification_list *l);

/* The hot path: these append the objects without a document. ERR_TOO_LARGE: out is full.
 * Of a comment what civic_view_comment makes for its author; for everyone: without "viewer".
 * body_html: of c->body. */
enum civic_view_for { CIVIC_VIEW_FOR_AUTHOR, CIVIC_VIEW_FOR_EVERYONE };
MUST_USE enum err civic_view_write_comment(const struct civic_comment *c, struct str body_html,
                                           enum civic_view_for whom, struct buf *out);
/* {"notification":civic_view_notification's,"unread_count"} */
MUST_USE enum err civic_view_write_told(const struct civic_notification *n, int64_t unread,
                                        struct buf *out);

#endif
