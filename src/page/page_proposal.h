/* page_proposal.h -- a proposal with its discussion; signing and following by forms. */
#ifndef PAGE_PROPOSAL_H
#define PAGE_PROPOSAL_H

#include "page/page_internal.h"

extern const struct api_endpoint page_proposal_get; // /proposals/{id}?sort=&cursor=&comment=
extern const struct api_endpoint page_proposal_post_support; // /proposals/{id}/support
extern const struct api_endpoint page_proposal_post_follow;  // /proposals/{id}/follow

/* The page of proposal ask->id, or of the proposal of comment ask->comment_id. */
extern const struct page_kind page_proposal_kind;

/* Begins a form on the page of proposal {id}: checks it and sets the way back. */
MUST_USE enum err page_proposal_ask_form(struct api_call *call);

#endif
