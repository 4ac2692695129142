#include "api/api_internal.h"

enum {
    // A password of a megabyte is told that it is too long, not cut off.
    LOGIN_BYTES = 1280 * 1024,
    // 20,000 characters, each two \u escapes in the worst case, and the rest.
    PROPOSAL_BYTES = 288 * 1024,
};

/* clang-format off */
const struct http_route api_routes_table[] = {
    {HTTP_POST,   "/api/v1/session",                   api_handle, &api_auth_login,         LOGIN_BYTES},
    {HTTP_GET,    "/api/v1/session",                   api_handle, &api_auth_whoami,        0},
    {HTTP_DELETE, "/api/v1/session",                   api_handle, &api_auth_logout,        0},
    {HTTP_POST,   "/api/v1/users",                     api_handle, &api_auth_register,      LOGIN_BYTES},
    {HTTP_GET,    "/api/v1/proposals",                 api_handle, &api_proposal_list,      0},
    {HTTP_POST,   "/api/v1/proposals",                 api_handle, &api_proposal_create,    PROPOSAL_BYTES},
    {HTTP_GET,    "/api/v1/proposals/{id}",            api_handle, &api_proposal_get,       0},
    {HTTP_PUT,    "/api/v1/proposals/{id}/support",    api_handle, &api_proposal_support,   0},
    {HTTP_DELETE, "/api/v1/proposals/{id}/support",    api_handle, &api_proposal_withdraw,  0},
    {HTTP_PUT,    "/api/v1/proposals/{id}/follow",     api_handle, &api_proposal_follow,    0},
    {HTTP_DELETE, "/api/v1/proposals/{id}/follow",     api_handle, &api_proposal_unfollow,  0},
    {HTTP_GET,    "/api/v1/proposals/{id}/comments",   api_handle, &api_comment_list,       0},
    {HTTP_POST,   "/api/v1/proposals/{id}/comments",   api_handle, &api_comment_create,     0},
    {HTTP_GET,    "/api/v1/comments/{id}",             api_handle, &api_comment_get,        0},
    {HTTP_PUT,    "/api/v1/comments/{id}/vote",        api_handle, &api_comment_vote,       0},
    {HTTP_GET,    "/api/v1/votings/{id}",              api_handle, &api_voting_get,         0},
    {HTTP_PUT,    "/api/v1/votings/{id}/ballot",       api_handle, &api_voting_cast,        0},
    {HTTP_GET,    "/api/v1/notifications",             api_handle, &api_notification_list,  0},
    {HTTP_POST,   "/api/v1/notifications/read",        api_handle, &api_notification_read,  0},
    {HTTP_POST,   "/broadcasting/auth",                api_handle, &api_channel_authorise,  0},
};
/* clang-format on */
const size_t api_routes_count = sizeof(api_routes_table) / sizeof(api_routes_table[0]);
