/* page_routes.c -- every page: method, path, endpoint. */
#include "http/http_static.h"
#include "page/page_account.h"
#include "page/page_comment.h"
#include "page/page_draw.h"
#include "page/page_form.h"
#include "page/page_home.h"
#include "page/page_notification.h"
#include "page/page_problem.h"
#include "page/page_proposal.h"
#include "page/page_proposals.h"
#include "page/page_queue.h"
#include "page/page_queue_batch.h"
#include "page/page_queue_limit.h"
#include "page/page_voting.h"

/* Of a form's body; percent-encoding makes three bytes of one. */
enum {
    MAX_BUTTON_BYTES = 4 * 1024,
    MAX_ACCOUNT_BYTES = 16 * 1024,
    MAX_JOBS_BYTES = 64 * 1024,
    MAX_COMMENT_BYTES = 512 * 1024, // more than may be written: too long a text comes back
    MAX_PROPOSAL_BYTES = 1024 * 1024,
};

/* The address of a form, opened as a page (a reload after a refusal, a bookmark of /logout): the
 * page it stands on, which is one step up. Nothing is done. */
static enum err decode_form_address(struct api_call *call)
{
    enum err err = page_draw_ask(call, &page_problem_kind);
    if (err)
        return err;
    struct str path = call->x->req.path;
    while (path.len > 1 && path.at[path.len - 1] != '/')
        path.len--;
    if (path.len > 1)
        path.len--; // the slash
    page_draw_asked(call)->location = page_form_safe_path(path);
    return OK;
}

static const struct api_endpoint form_address = {
    .decode = decode_form_address, .read = page_draw_read, .finish = page_draw_finish};

/* What the address of a page shows, for the cache; id from the path. */
static bool find_subject(const struct http_exchange *x, enum page_subject *subject, int64_t *id)
{
    static const struct {
        const struct api_endpoint *endpoint;
        enum page_subject subject;
    } rows[] = {
        {&page_proposal_get, PAGE_PROPOSAL},
        {&page_voting_get, PAGE_VOTING},
        {&page_home_get, PAGE_LISTS},
        {&page_proposals_get, PAGE_LISTS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (x->route->extra != rows[i].endpoint)
            continue;
        *subject = rows[i].subject;
        *id = 0;
        return *subject == PAGE_LISTS || !str_parse_int(x->params[0], id);
    }
    return false;
}

/* A page that many read without logging in: from the cache when it can be. */
static void get_public(struct http_exchange *x, void *ctx)
{
    struct api *api = ctx;
    int loop = io_loop_index(x->loop);
    enum page_subject subject;
    int64_t id;
    if (loop < api->page->cache_count && page_draw_is_anonymous(&x->req) &&
        find_subject(x, &subject, &id)) {
        const struct page_cache_key key = {page_draw_lang(&x->req), x->req.target,
                                           page_version_now(&api->page->version, subject, id)};
        if (page_cache_serve(api->page->caches[loop], x, &key))
            return;
    }
    api_handle(x, ctx);
}

static void get_asset(struct http_exchange *x, void *ctx)
{
    x->params[0] = str_of(x->route->extra);
    http_static_serve(x, ctx);
}

// clang-format off
const struct http_route page_routes_table[] = {
    {HTTP_GET,  "/",                          get_public, &page_home_get,              0},
    {HTTP_GET,  "/proposals",                 get_public, &page_proposals_get,         0},
    {HTTP_GET,  "/proposals/new",             api_handle, &page_proposals_get_new,     0},
    {HTTP_POST, "/proposals",                 api_handle, &page_proposals_post,        MAX_PROPOSAL_BYTES},
    {HTTP_GET,  "/proposals/{id}",            get_public, &page_proposal_get,          0},
    {HTTP_GET,  "/proposals/{id}/support",    api_handle, &form_address,               0},
    {HTTP_GET,  "/proposals/{id}/follow",     api_handle, &form_address,               0},
    {HTTP_GET,  "/proposals/{id}/comments",   api_handle, &form_address,               0},
    {HTTP_GET,  "/comments/{id}/vote",        api_handle, &form_address,               0},
    {HTTP_GET,  "/votings/{id}/ballot",       api_handle, &form_address,               0},
    {HTTP_GET,  "/notifications/read",        api_handle, &form_address,               0},
    {HTTP_POST, "/proposals/{id}/support",    api_handle, &page_proposal_post_support, MAX_BUTTON_BYTES},
    {HTTP_POST, "/proposals/{id}/follow",     api_handle, &page_proposal_post_follow,  MAX_BUTTON_BYTES},
    {HTTP_POST, "/proposals/{id}/comments",   api_handle, &page_comment_post,          MAX_COMMENT_BYTES},
    {HTTP_GET,  "/comments/{id}",             api_handle, &page_comment_get,           0},
    {HTTP_POST, "/comments/{id}/vote",        api_handle, &page_comment_post_vote,     MAX_BUTTON_BYTES},
    {HTTP_GET,  "/votings/{id}",              get_public, &page_voting_get,            0},
    {HTTP_POST, "/votings/{id}/ballot",       api_handle, &page_voting_post_ballot,    MAX_BUTTON_BYTES},
    {HTTP_GET,  "/notifications",             api_handle, &page_notification_get,      0},
    {HTTP_POST, "/notifications/read",        api_handle, &page_notification_post_read, MAX_BUTTON_BYTES},
    {HTTP_GET,  "/login",                     api_handle, &page_account_get_login,     0},
    {HTTP_POST, "/login",                     api_handle, &page_account_post_login,    MAX_ACCOUNT_BYTES},
    {HTTP_GET,  "/register",                  api_handle, &page_account_get_register,  0},
    {HTTP_POST, "/register",                  api_handle, &page_account_post_register, MAX_ACCOUNT_BYTES},
    {HTTP_GET,  "/logout",                    api_handle, &form_address,               0},
    {HTTP_POST, "/logout",                    api_handle, &page_account_post_logout,   MAX_BUTTON_BYTES},
    {HTTP_GET,  "/language",                  api_handle, &page_account_language,      0},
    {HTTP_GET,  "/admin/queues",              api_handle, &page_queue_get,             0},
    {HTTP_GET,  "/admin/queues/pause",        api_handle, &form_address,               0},
    {HTTP_POST, "/admin/queues/pause",        api_handle, &page_queue_post_pause,      MAX_BUTTON_BYTES},
    {HTTP_GET,  "/admin/queues/limits",       api_handle, &page_queue_limit_get,       0},
    {HTTP_POST, "/admin/queues/limits",       api_handle, &page_queue_limit_post,      MAX_BUTTON_BYTES},
    {HTTP_GET,  "/admin/queues/jobs",         api_handle, &page_queue_jobs_get,        0},
    {HTTP_POST, "/admin/queues/jobs",         api_handle, &page_queue_jobs_confirm,    MAX_JOBS_BYTES},
    {HTTP_GET,  "/admin/queues/jobs/apply",   api_handle, &form_address,               0},
    {HTTP_POST, "/admin/queues/jobs/apply",   api_handle, &page_queue_jobs_apply,      MAX_JOBS_BYTES},
    {HTTP_GET,  "/admin/queues/jobs/{id}",    api_handle, &page_queue_job_get,         0},
    {HTTP_GET,  "/admin/queues/batches",      api_handle, &page_queue_batch_get_list,  0},
    {HTTP_GET,  "/admin/queues/batches/{id}", api_handle, &page_queue_job_get_batch,   0},
    {HTTP_GET,  "/admin/queues/batches/{id}/cancel", api_handle, &page_queue_batch_get_cancel, 0},
    {HTTP_POST, "/admin/queues/batches/{id}/cancel", api_handle, &page_queue_batch_post_cancel, MAX_BUTTON_BYTES},
    {HTTP_GET,  "/robots.txt",                get_asset,  "robots.txt",                0},
    {HTTP_GET,  "/favicon.ico",               get_asset,  "bell.svg",                  0},
};
// clang-format on
const size_t page_routes_count = sizeof page_routes_table / sizeof page_routes_table[0];

/* ---- where no route leads ---- */

static enum err decode_unrouted(struct api_call *call)
{
    return page_draw_ask(call, &page_problem_kind);
}

static enum err read_not_found(struct store_tx *tx, struct api_call *call)
{
    enum err err = page_draw_read(tx, call);
    return err ? err : api_refuse(call, 404, "not-found");
}

static enum err read_not_allowed(struct store_tx *tx, struct api_call *call)
{
    enum err err = page_draw_read(tx, call);
    return err ? err : api_refuse(call, 405, "method-not-allowed");
}

static enum err read_too_large(struct store_tx *tx, struct api_call *call)
{
    enum err err = page_draw_read(tx, call);
    return err ? err : api_refuse(call, 413, "content-too-large");
}

const struct api_endpoint page_routes_not_found = {
    .decode = decode_unrouted, .read = read_not_found, .finish = page_draw_finish};
const struct api_endpoint page_routes_not_allowed = {
    .decode = decode_unrouted, .read = read_not_allowed, .finish = page_draw_finish};
const struct api_endpoint page_routes_too_large = {
    .decode = decode_unrouted, .read = read_too_large, .finish = page_draw_finish};
