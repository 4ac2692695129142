/* api_internal.h -- the endpoints, each at home in the file its name begins with. */
#ifndef API_INTERNAL_H
#define API_INTERNAL_H

#include "api/api.h"

extern const struct api_endpoint api_auth_login;
extern const struct api_endpoint api_auth_logout;
extern const struct api_endpoint api_auth_whoami;
extern const struct api_endpoint api_auth_register;
extern const struct api_endpoint api_proposal_list;
extern const struct api_endpoint api_proposal_get;
extern const struct api_endpoint api_proposal_create;
extern const struct api_endpoint api_proposal_support;
extern const struct api_endpoint api_proposal_withdraw;
extern const struct api_endpoint api_proposal_follow;
extern const struct api_endpoint api_proposal_unfollow;
extern const struct api_endpoint api_comment_list;
extern const struct api_endpoint api_comment_get;
extern const struct api_endpoint api_comment_create;
extern const struct api_endpoint api_comment_vote;
extern const struct api_endpoint api_voting_get;
extern const struct api_endpoint api_voting_cast;
extern const struct api_endpoint api_notification_list;
extern const struct api_endpoint api_notification_read;
extern const struct api_endpoint api_channel_authorise;

#endif
