#include "civic/civic_policy.h"
#include "test.h"

TEST(civic_policy_lets_visitors_read_and_nothing_else)
{
    for (int action = 0; action < CIVIC_ACTION_COUNT; action++) {
        EXPECT_EQ(civic_policy_allows(CIVIC_VISITOR, (enum civic_action)action, false),
                  action == CIVIC_READ);
        EXPECT(!civic_policy_allows(CIVIC_VISITOR, (enum civic_action)action, true));
    }
}

TEST(civic_policy_keeps_what_is_for_members_from_users)
{
    for (int action = 0; action < CIVIC_ACTION_COUNT; action++) {
        EXPECT(civic_policy_allows(CIVIC_USER, (enum civic_action)action, false));
        EXPECT(!civic_policy_allows(CIVIC_USER, (enum civic_action)action, true));
        EXPECT(civic_policy_allows(CIVIC_MEMBER, (enum civic_action)action, true));
        EXPECT(civic_policy_allows(CIVIC_ADMIN, (enum civic_action)action, true));
    }
}

TEST(civic_policy_names_each_role_and_trusts_no_other_word)
{
    for (int role = CIVIC_USER; role < CIVIC_ROLE_COUNT; role++)
        EXPECT_EQ(civic_policy_role(str_of(civic_policy_role_name((enum civic_role)role))), role);
    EXPECT_EQ(civic_policy_role(STR("Admin")), CIVIC_VISITOR);
    EXPECT_EQ(civic_policy_role(STR("")), CIVIC_VISITOR);
}

TEST(civic_policy_lets_moderators_see_the_queues_and_admins_change_them)
{
    for (int role = CIVIC_VISITOR; role < CIVIC_ROLE_COUNT; role++) {
        EXPECT_EQ(civic_policy_may((enum civic_role)role, CIVIC_SEE_QUEUES),
                  role >= CIVIC_MODERATOR);
        EXPECT_EQ(civic_policy_may((enum civic_role)role, CIVIC_CHANGE_QUEUES),
                  role == CIVIC_ADMIN);
    }
}
