#include "civic/civic_policy.h"

#include "core/check.h"

static const char *const role_names[CIVIC_ROLE_COUNT] = {
    [CIVIC_VISITOR] = "visitor",     [CIVIC_USER] = "user",           [CIVIC_MEMBER] = "member",
    [CIVIC_MODERATOR] = "moderator", [CIVIC_ORGANISER] = "organiser", [CIVIC_OWNER] = "owner",
    [CIVIC_ADMIN] = "admin",
};

/* The least role for each action, on what everyone may see and on what is for members only. */
static const struct {
    enum civic_role in_public, among_members;
} least[CIVIC_ACTION_COUNT] = {
    [CIVIC_READ] = {CIVIC_VISITOR, CIVIC_MEMBER},      [CIVIC_PROPOSE] = {CIVIC_USER, CIVIC_MEMBER},
    [CIVIC_SUPPORT] = {CIVIC_USER, CIVIC_MEMBER},      [CIVIC_COMMENT] = {CIVIC_USER, CIVIC_MEMBER},
    [CIVIC_VOTE_COMMENT] = {CIVIC_USER, CIVIC_MEMBER}, [CIVIC_BALLOT] = {CIVIC_USER, CIVIC_MEMBER},
    [CIVIC_FOLLOW] = {CIVIC_USER, CIVIC_MEMBER},
};

bool civic_policy_allows(enum civic_role role, enum civic_action action, bool is_members_only)
{
    CHECK(role < CIVIC_ROLE_COUNT && action < CIVIC_ACTION_COUNT);
    return role >= (is_members_only ? least[action].among_members : least[action].in_public);
}

bool civic_policy_may(enum civic_role role, enum civic_operation operation)
{
    static const enum civic_role least_of[CIVIC_OPERATION_COUNT] = {
        [CIVIC_SEE_QUEUES] = CIVIC_MODERATOR,
        [CIVIC_CHANGE_QUEUES] = CIVIC_ADMIN,
    };
    CHECK(role < CIVIC_ROLE_COUNT && operation < CIVIC_OPERATION_COUNT);
    return role >= least_of[operation];
}

enum civic_role civic_policy_role(struct str name)
{
    for (int role = CIVIC_USER; role < CIVIC_ROLE_COUNT; role++)
        if (str_eq(name, str_of(role_names[role])))
            return (enum civic_role)role;
    return CIVIC_VISITOR;
}

const char *civic_policy_role_name(enum civic_role role)
{
    CHECK(role < CIVIC_ROLE_COUNT);
    return role_names[role];
}
