/* page_proposals.h -- the list of proposals, and the form of a new one. */
#ifndef PAGE_PROPOSALS_H
#define PAGE_PROPOSALS_H

#include "civic/civic_proposal.h"
#include "page/page_internal.h"

extern const struct api_endpoint page_proposals_get;     // /proposals?sort=&cursor=
extern const struct api_endpoint page_proposals_get_new; // /proposals/new
extern const struct api_endpoint page_proposals_post;    // /proposals

/* Adds a list to the view under name, and "next" when there is more. For other pages too. */
MUST_USE enum err page_proposals_load(struct store_tx *tx, struct api_call *call,
                                      const struct civic_proposal_query *query, const char *name);
/* Dresses that list and adds has_NAME. */
void page_proposals_dress(struct api_call *call, const char *name);

#endif
