/* page_voting.h -- a voting: ballot and live results. */
#ifndef PAGE_VOTING_H
#define PAGE_VOTING_H

#include "api/api.h"

extern const struct api_endpoint page_voting_get;         // /votings/{id}
extern const struct api_endpoint page_voting_post_ballot; // /votings/{id}/ballot

#endif
