/* civic_policy.h -- who may do what: one table. */
#ifndef CIVIC_POLICY_H
#define CIVIC_POLICY_H

#include <stdbool.h>

#include "core/str.h"

/* Each may do what the ones before it may. */
enum civic_role {
    CIVIC_VISITOR, // nobody logged in
    CIVIC_USER,    // registered
    CIVIC_MEMBER,  // belongs to the community
    CIVIC_MODERATOR,
    CIVIC_ORGANISER,
    CIVIC_OWNER,
    CIVIC_ADMIN,
    CIVIC_ROLE_COUNT
};

enum civic_action {
    CIVIC_READ,
    CIVIC_PROPOSE,
    CIVIC_SUPPORT,
    CIVIC_COMMENT,
    CIVIC_VOTE_COMMENT,
    CIVIC_BALLOT,
    CIVIC_FOLLOW,
    CIVIC_ACTION_COUNT
};

bool civic_policy_allows(enum civic_role role, enum civic_action action, bool is_members_only);

/* What concerns no proposal, but the server. */
enum civic_operation {
    CIVIC_SEE_QUEUES,    // jobs with their payloads, but for what is hidden
    CIVIC_CHANGE_QUEUES, // retry, discard, cancel, pause
    CIVIC_OPERATION_COUNT
};

bool civic_policy_may(enum civic_role role, enum civic_operation operation);

/* "member" to CIVIC_MEMBER; CIVIC_VISITOR for anything that is not a role of an account. */
enum civic_role civic_policy_role(struct str name);
const char *civic_policy_role_name(enum civic_role role);

#endif
