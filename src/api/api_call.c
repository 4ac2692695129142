/* api_call.c -- one request on its way through the stages.
 *
 *     PREPARE -- (pool) work, read --> WRITE -- (writer) write --> FINISH -- (pool) finish -->
 * REPLY -- (loop) render
 *
 * Every change of threads starts and ends on the loop, in proceed(); stages that an endpoint lacks
 * or that a failure skips are passed without one.
 */
#include "api/api.h"
#include "civic/civic_session.h"
#include "core/check.h"
#include "core/crypto.h"
#include "core/json.h"
#include "core/log.h"

enum { MAX_ANSWER_BYTES = 8 * 1024 * 1024, MAX_ERRORS_BYTES = 16 * 1024 };

enum next { PREPARE, WRITE, FINISH, REPLY };

struct run {
    struct api_call call;
    struct io_job job;
    struct store_write write;
    struct io_task task;
    enum next next;
    bool has_failed;
    size_t kept_fields; // those that were there before the write stage
};

static void proceed(struct run *r);

/* ---- what went wrong ---- */
static const char *code_of(int status)
{
    static const struct {
        int status;
        const char *code;
    } codes[] = {
        {400, "bad-request"},
        {401, "unauthorized"},
        {403, "forbidden"},
        {404, "not-found"},
        {405, "method-not-allowed"},
        {409, "conflict"},
        {408, "request-timeout"},
        {413, "content-too-large"},
        {415, "unsupported-media-type"},
        {422, "invalid"},
        {431, "request-header-fields-too-large"},
        {429, "rate-limited"},
        {503, "unavailable"},
        {504, "timeout"},
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].status == status)
            return codes[i].code;
    return "internal";
}

/* Whatever failed without saying why gets the problem of its kind of error. */
static void note_failure(struct run *r, enum err err)
{
    struct api_call *call = &r->call;
    if (!err)
        return;
    r->has_failed = true;
    call->status = 0; // half an answer is none
    buf_consume(&call->body, buf_len(&call->body));
    if (call->problem.status)
        return;
    call->problem.status = http_status_of(err);
    call->problem.code = code_of(call->problem.status);
    if (call->problem.status == 503)
        api_add_field(call, STR("Retry-After"), STR("1"));
    if (call->problem.status >= 500)
        log_error("at=api_call path=%s err=\"%s\"", call->x->route->path, err_text(err));
}

/* What was to be told could not be drawn: our fault, whatever it was. */
static void note_unfinished(struct run *r, enum err err)
{
    if (!err)
        return;
    r->call.problem = (struct api_problem){0};
    r->call.type = NULL;
    note_failure(r, err == ERR_TOO_LARGE ? ERR_IO : err);
}

static struct str field_detail(const struct api_call *call, size_t i)
{
    struct str key = arena_printf(call->arena, "field.%s", call->problem.fields[i].code);
    struct str limit = locale_number(call->lang, call->problem.fields[i].limit, call->arena);
    const struct str pairs[] = {STR("limit"), limit, {0}};
    return locale_format(call->lang, key, call->arena, pairs);
}

static struct str print_errors(struct api_call *call)
{
    struct buf text;
    struct str out = {0};
    if (!call->problem.field_count)
        return out;
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < call->problem.field_count; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "pointer", call->problem.fields[i].pointer);
        cJSON_AddStringToObject(o, "code", call->problem.fields[i].code);
        cJSON_AddStringToObject(o, "detail", arena_str(call->arena, field_detail(call, i)).at);
        cJSON_AddItemToArray(list, o);
    }
    buf_init(&text, MAX_ERRORS_BYTES);
    if (!json_print(list, &text))
        out = arena_str(call->arena, (struct str){(const char *)buf_head(&text), buf_len(&text)});
    buf_done(&text);
    cJSON_Delete(list);
    return out;
}

static void answer_problem(struct api_call *call)
{
    const char *code = call->problem.code;
    if (call->problem.status == 401)
        http_reply_field(call->x, STR("WWW-Authenticate"), STR("Bearer"));
    http_problem(call->x, call->problem.status, str_of(code),
                 locale_text(call->lang, arena_printf(call->arena, "problem.%s.title", code)),
                 locale_text(call->lang, arena_printf(call->arena, "problem.%s.detail", code)),
                 print_errors(call));
}

/* ---- the answer ---- */
/* What anyone may read: kept by caches, which ask each time whether it is still the same. */
static bool is_public(const struct api_call *call)
{
    enum http_method method = call->x->req.method;
    return (method == HTTP_GET || method == HTTP_HEAD) && !call->viewer.token_hash.len;
}

/* Names the bytes of a public answer; who has them already gets 304 without them. */
static void tag_answer(struct api_call *call)
{
    enum { TAG_BYTES = 8 };
    uint8_t digest[CRYPTO_SHA256_BYTES];
    char hex[2 * TAG_BYTES + 1];
    crypto_sha256((struct str){(const char *)buf_head(&call->body), buf_len(&call->body)}, digest);
    crypto_hex(digest, TAG_BYTES, hex);
    struct str etag = arena_printf(call->arena, "\"%s\"", hex);
    api_add_field(call, STR("ETag"), etag);
    if (!http_has_etag(&call->x->req, etag))
        return;
    call->status = 304;
    buf_consume(&call->body, buf_len(&call->body));
}

static void reply(struct run *r)
{
    struct api_call *call = &r->call;
    struct http_exchange *x = call->x;
    struct buf body = call->body; // its own: the arena that holds the call ends with the exchange
    bool is_problem = call->problem.status && !call->status;

    for (size_t i = 0; i < call->field_count; i++)
        http_reply_field(x, call->fields[i].name, call->fields[i].value);
    if (!call->type) {
        bool is_kept = is_public(call) && !is_problem;
        http_reply_field(x, STR("Cache-Control"), is_kept ? STR("no-cache") : STR("no-store"));
        http_reply_field(x, STR("Vary"), STR("Accept-Language, Authorization, Cookie"));
    }
    if (is_problem) {
        answer_problem(call);
    } else {
        struct str bytes = {(const char *)buf_head(&body), buf_len(&body)};
        const char *type = call->type ? call->type : "application/json; charset=utf-8";
        http_reply(x, call->status ? call->status : 200, bytes.len ? type : NULL, bytes);
    }
    buf_done(&body);
}

/* ---- stages ---- */
static enum err read_viewer(struct store_tx *tx, struct api_call *call)
{
    struct civic_user user;
    enum err err = civic_session_find(tx, call->viewer.token_hash, call->arena, &user);
    call->viewer.is_known = !err || err == ERR_NOT_FOUND;
    if (err) // not found: ended, or never was
        return err == ERR_NOT_FOUND ? OK : err;
    call->viewer.id = user.id;
    call->viewer.name = user.name;
    call->viewer.email = user.email;
    call->viewer.role = str_of(civic_policy_role_name(user.role));
    return OK;
}

/* Who is asking: from the session's row, in the first transaction of the call. */
static enum err find_viewer(struct store_tx *tx, struct api_call *call)
{
    struct api_viewer *viewer = &call->viewer;
    enum err err = viewer->token_hash.len && !viewer->is_known ? read_viewer(tx, call) : OK;
    if (err || call->endpoint->auth != API_USER)
        return err;
    if (!viewer->id)
        return api_refuse(call, 401, "unauthorized");
    if (call->endpoint->write && call->claimed_id && call->claimed_id != viewer->id)
        return api_refuse(call, 409, "other-user");
    return OK;
}

static enum err read_stage(struct store_tx *tx, void *arg)
{
    struct api_call *call = arg;
    enum err err = find_viewer(tx, call);
    return err ? err : call->endpoint->read(tx, call);
}

static struct api_change change_of(const struct api_call *call)
{
    struct api_change change = {call->endpoint->changes, 0};
    if (str_parse_int(call->x->params[0], &change.id)) // the path names nothing
        change.id = 0;
    return change;
}

static enum err write_stage(struct store_tx *tx, void *arg)
{
    struct run *r = arg;
    struct api_call *call = &r->call;
    // The driver may run it again: what the last try made is forgotten.
    call->problem = (struct api_problem){0};
    call->status = 0;
    call->change = change_of(call);
    call->field_count = r->kept_fields;
    buf_consume(&call->body, buf_len(&call->body));
    enum err err = find_viewer(tx, call);
    return err ? err : call->endpoint->write(tx, call);
}

/* A refusal before any stage found out who asks. */
static bool is_viewer_unknown(const struct run *r)
{
    const struct api_viewer *viewer = &r->call.viewer;
    return r->has_failed && viewer->token_hash.len && !viewer->is_known;
}

static enum err viewer_stage(struct store_tx *tx, void *arg)
{
    return find_viewer(tx, arg);
}

/* Notes 401 when nobody does, 409 when it is another than the page's; a foreign page is not told. A
 * store that cannot say leaves the refusal as it is. */
static void find_refused_viewer(struct api_call *call)
{
    const struct api_problem problem = call->problem;
    enum err err = store_read(call->api->store, viewer_stage, call);
    if (err && problem.status == 403)
        call->problem = problem;
}

static void on_pool(struct io_job *job)
{
    struct run *r = (struct run *)(void *)((char *)job - offsetof(struct run, job));
    struct api_call *call = &r->call;
    const struct api_endpoint *endpoint = call->endpoint;
    if (r->next == PREPARE) {
        if (endpoint->work && !r->has_failed)
            note_failure(r, endpoint->work(call));
        if (endpoint->read && !r->has_failed)
            note_failure(r, store_read(call->api->store, read_stage, call));
        if (!r->has_failed && !endpoint->finish && is_public(call) && buf_len(&call->body))
            tag_answer(call);
        if (is_viewer_unknown(r))
            find_refused_viewer(call);
        r->next = endpoint->write && !r->has_failed ? WRITE : FINISH;
    }
    if (r->next == FINISH) {
        if (is_viewer_unknown(r)) // the writer's queue was full
            find_refused_viewer(call);
        if (endpoint->finish)
            note_unfinished(r, endpoint->finish(call));
        r->next = REPLY;
    }
}

static void on_pool_done(struct io_job *job)
{
    proceed((struct run *)(void *)((char *)job - offsetof(struct run, job)));
}

static void on_task(struct io_task *task)
{
    proceed((struct run *)(void *)((char *)task - offsetof(struct run, task)));
}

/* On the writer thread. */
static void on_written(struct store_write *w, enum err err)
{
    struct run *r = w->arg;
    if (err) { // also when the stage was content and the commit failed
        r->call.status = 0;
        if (!r->call.problem.status) // a refusal keeps its Retry-After
            r->call.field_count = r->kept_fields;
        buf_consume(&r->call.body, buf_len(&r->call.body));
        note_failure(r, err);
    } else if (r->call.api->on_change) {
        r->call.api->on_change(r->call.api->page, r->call.change);
    }
    r->next = FINISH;
    io_loop_post(r->call.x->loop, &r->task);
}

/* ---- from stage to stage ---- */
static void give_up(struct run *r, enum err err)
{
    struct api_call *call = &r->call;
    if (r->next == FINISH && call->finish_here)
        note_unfinished(r, call->finish_here(call));
    else
        note_failure(r, err);
    r->next = r->next == FINISH ? REPLY : FINISH; // a page is drawn, if the pool takes it
    proceed(r);
}

static void to_pool(struct run *r)
{
    struct api *api = r->call.api;
    bool is_slow = r->next == PREPARE && r->call.endpoint->work && !r->has_failed;
    enum err err = io_pool_run(is_slow ? api->passwords : api->pool, &r->job);
    if (err)
        give_up(r, err);
}

static void to_writer(struct run *r)
{
    r->kept_fields = r->call.field_count;
    r->write = (struct store_write){.fn = write_stage, .arg = r, .on_done = on_written};
    enum err err = store_write(r->call.api->store, &r->write);
    if (err)
        give_up(r, err);
}

static void proceed(struct run *r)
{
    const struct api_endpoint *endpoint = r->call.endpoint;
    bool can_prepare = r->has_failed ? is_viewer_unknown(r) : endpoint->work || endpoint->read;
    if (r->next == PREPARE && !can_prepare)
        r->next = WRITE;
    if (r->next == WRITE && (r->has_failed || !endpoint->write))
        r->next = FINISH;
    if (r->next == FINISH && !endpoint->finish)
        r->next = REPLY;
    switch (r->next) {
    case PREPARE:
    case FINISH:
        to_pool(r);
        break;
    case WRITE:
        to_writer(r);
        break;
    case REPLY:
        if (endpoint->render && !r->has_failed)
            note_unfinished(r, endpoint->render(&r->call));
        reply(r);
        break;
    }
}

/* ---- the start ---- */
static struct str bearer_token(const struct http_request *req)
{
    struct str rest, value = http_field_get(req, STR("authorization"));
    struct str scheme = str_cut(value, ' ', &rest);
    return str_eq_nocase(scheme, STR("bearer")) ? str_trim(rest) : (struct str){0};
}

static void keep_token_hash(struct api_call *call, struct str token)
{
    uint8_t *hash = arena_alloc(call->arena, CRYPTO_SHA256_BYTES);
    crypto_sha256(token, hash);
    call->viewer.token_hash = (struct str){(const char *)hash, CRYPTO_SHA256_BYTES};
}

/* Takes the token and says whether the request may be made with it. A call without a write stage
 * changes nothing, and its answer is not readable for a foreign page. */
static enum err authenticate(struct api_call *call)
{
    const struct http_request *req = &call->x->req;
    struct str token = bearer_token(req);
    bool is_cookie = !token.len;
    if (is_cookie)
        token = http_cookie_get(req, STR("viche_session"));
    if (token.len)
        keep_token_hash(call, token);
    else if (call->endpoint->auth == API_USER)
        return api_refuse(call, 401, "unauthorized");
    bool is_unsafe = call->endpoint->write && req->method != HTTP_GET && req->method != HTTP_HEAD;
    if (token.len && is_cookie && is_unsafe && !api_is_same_origin(call->x, call->api))
        return api_refuse(call, 403, "cross-site");
    struct str claimed = http_field_get(req, STR("viche-user"));
    if (claimed.at && str_parse_int(claimed, &call->claimed_id))
        call->claimed_id = -1; // nobody's
    return OK;
}

void api_handle(struct http_exchange *x, void *ctx)
{
    struct run *r = ARENA_NEW(&x->arena, struct run);
    struct api_call *call = &r->call;
    call->x = x;
    call->api = ctx;
    call->endpoint = x->route->extra;
    call->arena = &x->arena;
    call->lang = locale_choose(http_cookie_get(&x->req, STR("viche_lang")),
                               http_field_get(&x->req, STR("accept-language")));
    buf_init(&call->body, MAX_ANSWER_BYTES);
    r->job = (struct io_job){.home = x->loop, .run = on_pool, .on_done = on_pool_done};
    r->task.run = on_task;
    x->user = call;

    if (call->endpoint->decode)
        note_failure(r, call->endpoint->decode(call));
    note_failure(r, authenticate(call));
    proceed(r);
}

/* ---- for the stages ---- */
enum err api_refuse(struct api_call *call, int status, const char *code)
{
    call->problem = (struct api_problem){.status = status, .code = code};
    return ERR_INVALID;
}

enum err api_refuse_rate(struct api_call *call, int64_t wait_ms)
{
    api_add_field(call, STR("Retry-After"),
                  arena_printf(call->arena, "%lld", (long long)((wait_ms + 999) / 1000)));
    return api_refuse(call, 429, "rate-limited");
}

enum err api_refuse_busy(struct api_call *call)
{
    call->field_count = 0;
    api_add_field(call, STR("Retry-After"), STR("1"));
    return api_refuse(call, 503, "unavailable");
}

enum err api_refuse_field(struct api_call *call, const char *pointer, const char *code,
                          int64_t limit)
{
    struct api_problem *p = &call->problem;
    const size_t cap = sizeof(p->fields) / sizeof(p->fields[0]);
    if (!p->status) {
        p->status = 422;
        p->code = "invalid";
    }
    if (p->field_count < cap) {
        p->fields[p->field_count].pointer = pointer;
        p->fields[p->field_count].code = code;
        p->fields[p->field_count++].limit = limit;
    }
    return ERR_INVALID;
}

enum err api_refuse_civic(struct api_call *call, enum err err, const char *why)
{
    // What does not fit the rows, as the field it came in.
    static const struct {
        const char *why, *pointer, *code;
    } fields[] = {
        {"parent-not-found", "/parent_id", "not-found"},
        {"unknown-option", "/option_id", "unknown-option"},
        {"bad-cursor", "/cursor", "invalid"},
    };
    if (!err || call->problem.status)
        return err;
    if (err == ERR_NOT_FOUND)
        return api_refuse(call, 404, "not-found");
    if (!why)
        return err;
    if (err == ERR_DENIED)
        return api_refuse(call, 403, why);
    if (err == ERR_CONFLICT)
        return api_refuse(call, 409, why);
    if (err != ERR_INVALID)
        return err;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strcmp(why, fields[i].why) == 0)
            return api_refuse_field(call, fields[i].pointer, fields[i].code, 0);
    return api_refuse(call, 422, why);
}

void api_add_field(struct api_call *call, struct str name, struct str value)
{
    CHECK(call->field_count < sizeof(call->fields) / sizeof(call->fields[0]));
    call->fields[call->field_count++] = (struct http_field){name, value};
}

const char *api_cookie_end(const struct api_call *call)
{
    return call->api->is_secure || call->x->is_https ? "; Secure" : "";
}

struct civic_actor api_actor(const struct api_call *call)
{
    return (struct civic_actor){
        .id = call->viewer.id,
        .role = civic_policy_role(call->viewer.role),
        .name = call->viewer.name,
    };
}

enum err api_param_id(struct api_call *call, int index, int64_t *out)
{
    struct str text = call->x->params[index];
    bool is_id = text.len && text.at[0] > '0' && text.at[0] <= '9'; // one address each: no 01
    if (!is_id || str_parse_int(text, out))
        return api_refuse(call, 404, "not-found");
    return OK;
}

enum err api_decode_id(struct api_call *call)
{
    int64_t *id = ARENA_NEW(call->arena, int64_t);
    call->data = id;
    return api_param_id(call, 0, id);
}

enum err api_answer(struct api_call *call, int status, cJSON *view)
{
    enum err err = json_print(view, &call->body);
    cJSON_Delete(view);
    if (err) { // half a document is none, and that it does not fit is our fault, not the client's
        log_error("at=api_answer path=%s err=\"%s\"", call->x->route->path, err_text(err));
        (void)api_refuse(call, 500, "internal");
        return err;
    }
    call->status = status;
    return OK;
}

void api_unrouted(struct http_exchange *x, int status, void *ctx)
{
    (void)ctx;
    enum locale_lang lang = locale_choose(http_cookie_get(&x->req, STR("viche_lang")),
                                          http_field_get(&x->req, STR("accept-language")));
    const char *code = code_of(status);
    http_problem(x, status, str_of(code),
                 locale_text(lang, arena_printf(&x->arena, "problem.%s.title", code)),
                 locale_text(lang, arena_printf(&x->arena, "problem.%s.detail", code)),
                 (struct str){0});
}
