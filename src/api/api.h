/* api.h -- HTTP meets the domain: how a request passes the threads.
 *
 *     loop:    route -> decode (parse and validate; no blocking)
 *     passwords: work (Argon2; a pool of its own, so that logins delay no reader)
 *     pool:    read  (a snapshot of the store)
 *     writer:  write (the transaction; grouped with others; durable when it returns)
 *     pool:    finish (e.g. draw a page again after a refused form)
 *     loop:    render (what needs no store; no blocking), reply
 *
 * decode runs for everyone; who is not logged in, or no longer, is then told so first, whatever is
 * wrong with the input. So is who writes from a page that was drawn for somebody else (several
 * people may use one browser): 409 "other-user". Scripts say whose page it is in the field
 * Viche-User, forms in "user".
 *
 * An endpoint is a table row that names the stages it has; absent stages are skipped without a
 * thread change. A stage that fails skips the rest but finish; api_call.problem says what the
 * client is told. When the pool is full, finish_here takes the place of finish, on the loop. Who is
 * asking is found in the first store stage, in the same transaction (the session's row), so a
 * revoked session works nowhere and the hot path needs no cache; after a refusal that came before,
 * in a read of its own.
 *
 * JSON endpoints and HTML pages use the same stages; pages (page/) give their own finish.
 */
#ifndef API_H
#define API_H

#include <cjson/cJSON.h>

#include "civic/civic.h"
#include "core/locale.h"
#include "http/http.h"
#include "io/io_pool.h"
#include "store/store.h"

struct page;
struct queue;
struct queue_census;
struct queue_history;

/* What a write changes of what everyone can see. */
enum api_subject { API_EVERYTHING, API_NOTHING, API_PROPOSAL, API_VOTING };
struct api_change {
    enum api_subject subject;
    int64_t id;
};

/* Of the operators' pages. Their channel gets "queues.changed" at most once a second, as long as
 * somebody looks. */
#define API_QUEUES_CHANNEL "private-admin.queues"
struct api_queues {
    struct queue_census *census;
    struct queue_history *history;
    const char *hidden;         // rules of queue_redact
    _Atomic int64_t seen_at_ms; // when such a page was last drawn; monotonic
};

/* One per process; read-only after start. */
struct api {
    struct store *store;
    struct queue *queue;
    struct api_queues *queues;
    struct civic *civic;
    struct io_pool *pool;
    struct io_pool *passwords; // for the work stages; at most some 50 wait, then 503
    const char *app_key;       // the Pusher app of our own pages
    const char *app_secret;    // for /broadcasting/auth
    const char *hub_path;      // in front of the hub's paths: "/ws", or ""
    bool is_secure;            // cookies get Secure (our origin is https)
    const char *origin;        // own public origin ("https://viche.example"); NULL: Host decides
    struct page *page;         // the HTML pages, set by page_init; NULL: there are none
    /* Told on the writer thread after each commit of a call, before its answer: for caches. */
    void (*on_change)(struct page *page, struct api_change change);
};

/* Who is asking; id 0: nobody. */
struct api_viewer {
    int64_t id;
    struct str name, email, role; // in the call's arena
    struct str token_hash;        // 32 bytes
    bool is_known;                // it was looked who has the token; nobody may have it any more
};

/* What went wrong, for problem+json and for forms. status 0: nothing. */
struct api_problem {
    int status;
    const char *code; // "voting-closed"; texts in locales under problem.CODE.title / .detail
    struct {
        const char *pointer, *code; // "/body", "too-long": locales under field.CODE
        int64_t limit;              // {limit} in the text; 0: none
    } fields[8];
    size_t field_count;
};

enum api_auth { API_ANYONE, API_USER };

struct api_call;
struct api_endpoint {
    enum api_auth auth;
    enum err (*decode)(struct api_call *call);
    enum err (*work)(struct api_call *call); // an endpoint with it has no read
    enum err (*read)(struct store_tx *tx, struct api_call *call);
    enum err (*write)(struct store_tx *tx, struct api_call *call);
    enum err (*finish)(struct api_call *call); // after failures too: call->problem.status
    enum err (*render)(struct api_call *call); // not after failures
    enum api_subject changes;                  // of a write; id: the first parameter of the path
    const void *extra;                         // the row of page/
};

struct api_call {
    struct http_exchange *x; // the loop's, but req, params and arena may be used in any stage
    struct api *api;
    const struct api_endpoint *endpoint;
    struct arena *arena; // the exchange's
    enum locale_lang lang;
    struct api_viewer viewer;
    int64_t claimed_id; // whose page sends this, as it says itself; 0: it does not
    struct api_problem problem;
    void *data; // what decode made for the later stages, in the arena
    /* Set by decode when there is a finish stage: does its work when the pool takes no more,
     * without blocking, on the loop. */
    enum err (*finish_here)(struct api_call *call);

    struct api_change change; // what write changes: as the row says, unless it knows better
    /* the answer */
    int status;                  // 200 unless set
    const char *type;            // "application/json; charset=utf-8" unless set
    struct buf body;             // freed by api
    struct http_field fields[8]; // Location, Set-Cookie, ...
    size_t field_count;
};

/* The http handler of every row whose extra is an api_endpoint; ctx is the struct api. */
void api_handle(struct http_exchange *x, void *ctx);

/* Notes a problem and returns ERR_INVALID, so that a stage can `return api_refuse(...)`. */
enum err api_refuse(struct api_call *call, int status, const char *code);
/* The same with status 429, "rate-limited" and Retry-After. */
enum err api_refuse_rate(struct api_call *call, int64_t wait_ms);
/* The same with status 503, "unavailable" and Retry-After, whatever was to be told before. */
enum err api_refuse_busy(struct api_call *call);
/* Adds a field error (status 422, code "invalid"). */
enum err api_refuse_field(struct api_call *call, const char *pointer, const char *code,
                          int64_t limit);
/* Notes what a civic function refused with (err, why), as its problem or field error. OK stays OK;
 * a failure of the system goes through and becomes 500 or 503. */
enum err api_refuse_civic(struct api_call *call, enum err err, const char *why);
void api_add_field(struct api_call *call, struct str name, struct str value);

/* "; Secure" when the browser speaks https to us or to our proxy, else "". */
const char *api_cookie_end(const struct api_call *call);

/* The viewer as civic knows people. */
struct civic_actor api_actor(const struct api_call *call);

/* The id in the path's parameter; 404 unless it is a positive integer as we write
 * it. */
enum err api_param_id(struct api_call *call, int index, int64_t *out);
/* The decode stage of what needs the first id of its path and nothing else: call->data is int64_t
 * *.
 */
enum err api_decode_id(struct api_call *call);

/* Sets the answer's body to the text of view, which it frees; status 0 stands for 200. */
enum err api_answer(struct api_call *call, int status, cJSON *view);

/* The table of JSON endpoints (and /broadcasting/auth), for http_server_add with ctx: struct api.
 */
extern const struct http_route api_routes_table[];
extern const size_t api_routes_count;

/* 404 and 405 outside pages. */
void api_unrouted(struct http_exchange *x, int status, void *ctx);

/* Is an unsafe request with a cookie from our own pages? Sec-Fetch-Site, else Origin, else Referer
 * against our origin or Host (and https, when it came so). With none of them it passes: every
 * browser that knows SameSite, which our cookie has, names the origin of a POST, so this is a
 * program. A bearer token needs no check. */
bool api_is_same_origin(const struct http_exchange *x, const struct api *api);

#endif
