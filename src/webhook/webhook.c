#include "webhook/webhook.h"

#include "core/buf.h"
#include "core/crypto.h"
#include "core/json.h"
#include "core/mem.h"
#include "webhook/webhook_sender.h"

enum { DEFAULT_RETRY_MS = 5 * 60 * 1000 };

static const char tag_prefix[] = "app:"; // then the id

struct webhook {
    struct webhook_options options;
    struct webhook_sender *sender;
};

void webhook_sign(struct str secret, struct str body, char out[static WEBHOOK_SIGNATURE_BYTES])
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_hmac_sha256(secret, &body, 1, digest);
    crypto_hex(digest, sizeof(digest), out);
}

/* ---- the row: {"app_id":"1001","url":"https://...","body":{...}} ---- */

/* Whose jobs they are, for operators and for counting. NULL: the id is nothing that a tag may be.
 */
static const struct str *write_tag(struct str app_id, struct buf *bytes, struct str *tag)
{
    for (size_t i = 0; i < app_id.len; i++)
        if ((unsigned char)app_id.at[i] <= ' ' || app_id.at[i] == 0x7f)
            return NULL;
    if (buf_printf(bytes, "%s%.*s", tag_prefix, STR_ARG(app_id)) != OK)
        return NULL;
    *tag = (struct str){(const char *)buf_head(bytes), buf_len(bytes)};
    return tag;
}

enum err webhook_enqueue(struct store_tx *tx, const struct webhook_new *hook)
{
    struct buf row, tag_bytes;
    struct str tag;
    if (hook->body.len > WEBHOOK_MAX_BODY_BYTES)
        return ERR_TOO_LARGE;
    buf_init(&row, QUEUE_MAX_PAYLOAD_BYTES);
    enum err err = buf_printf(&row, "{\"app_id\":");
    if (!err)
        err = json_write_string(&row, hook->app_id);
    if (!err)
        err = buf_printf(&row, ",\"url\":");
    if (!err)
        err = json_write_string(&row, hook->url);
    if (!err) // as it stands: these very bytes are signed
        err = buf_printf(&row, ",\"body\":%.*s}", STR_ARG(hook->body));
    buf_init(&tag_bytes, QUEUE_MAX_NAME_BYTES);
    if (!err) {
        const struct str *tags = write_tag(hook->app_id, &tag_bytes, &tag);
        const struct queue_new job = {
            .kind = STR("webhook.deliver"),
            .payload = {(const char *)buf_head(&row), buf_len(&row)},
            .queue = STR(WEBHOOK_QUEUE),
            .tags = tags,
            .tag_count = tags ? 1 : 0,
        };
        err = queue_enqueue(tx, &job, NULL);
    }
    buf_done(&tag_bytes);
    buf_done(&row);
    return err;
}

static enum err read_text(const struct json_field *fields, size_t count, const char *name,
                          struct arena *a, struct str *out)
{
    const struct json_slice *slice = json_field_find(fields, count, str_of(name));
    return slice ? json_unescape(slice, a, out) : ERR_INVALID;
}

static enum err read_row(struct str row, struct arena *a, struct webhook_delivery *d)
{
    struct json_field fields[4];
    size_t count = 0;
    enum err err = json_scan_object(row, fields, 4, &count);
    if (!err)
        err = read_text(fields, count, "app_id", a, &d->app_id);
    if (!err)
        err = read_text(fields, count, "url", a, &d->post.url);
    const struct json_slice *body = err ? NULL : json_field_find(fields, count, STR("body"));
    if (!body)
        return ERR_INVALID;
    d->post.body = body->text;
    return OK;
}

/* ---- the job ---- */

static enum err run(struct queue_job *job, void *ctx, struct str *why_out)
{
    struct webhook *w = ctx;
    struct webhook_delivery *d = ARENA_NEW(&job->arena, struct webhook_delivery);
    d->job = job;
    enum err err = read_row(job->payload, &job->arena, d);
    if (err) {
        *why_out = STR("bad payload");
        return err;
    }
    err = w->options.find(w->options.find_ctx, d->app_id, d->post.url, &job->arena, &d->target);
    if (!err) {
        webhook_sender_add(w->sender, d);
        return OK;
    }
    webhook_meter_add(w->options.meter, d->app_id, WEBHOOK_METER_DROPPED);
    queue_finish(job, &(struct queue_end){
                          .verdict = QUEUE_BURY,
                          .why = STR("the app has no such webhook any more"),
                      });
    return OK;
}

struct queue_handler webhook_handler(struct webhook *w)
{
    return (struct queue_handler){
        .kind = "webhook.deliver", .run = run, .ctx = w, .is_async = true};
}

/* ---- counting ---- */

struct census {
    struct arena arena;
    struct webhook_waiting *apps;
    size_t count, cap;
    int64_t sum;
};

static void add_app(struct census *c, struct str tag, int64_t count)
{
    if (c->count == c->cap) {
        c->cap = c->cap > 0 ? 2 * c->cap : 16;
        c->apps = mem_realloc(c->apps, c->cap * sizeof(*c->apps));
    }
    size_t skip = tag.len < strlen(tag_prefix) ? tag.len : strlen(tag_prefix);
    c->apps[c->count++] = (struct webhook_waiting){
        .app_id = arena_str(&c->arena, (struct str){tag.at + skip, tag.len - skip}),
        .count = (uint64_t)count,
    };
    c->sum += count;
}

/* Entries of the indexes of the queue and of the tags; no job is read. */
static enum err count_waiting(struct store_tx *tx, void *arg)
{
    static const char sql[] =
        "SELECT ifnull(tag, ''), count(*) FROM ("
        "  SELECT id FROM job WHERE state = 0 AND queue = $1 UNION ALL"
        "  SELECT id FROM job WHERE state > 0 AND state IN ($2, $3, $4) AND queue = $1)"
        " LEFT JOIN job_tag ON job_id = id AND tag > $5 AND tag < $6 GROUP BY 1";
    struct store_stmt *st = NULL;
    enum err err = store_prepare(tx, sql, &st);
    if (err)
        return err;
    store_bind_text(st, 1, STR(WEBHOOK_QUEUE));
    store_bind_int(st, 2, QUEUE_RUNNING);
    store_bind_int(st, 3, QUEUE_SCHEDULED);
    store_bind_int(st, 4, QUEUE_WAITING);
    store_bind_text(st, 5, str_of(tag_prefix));
    store_bind_text(st, 6, STR("app;")); // ';' follows ':'
    while ((err = store_step(st)) == OK)
        add_app(arg, store_column_text(st, 0), store_column_int(st, 1));
    store_finish(st);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err webhook_count_waiting(struct store *store, struct webhook_meter *m, int64_t *out)
{
    struct census c = {0};
    arena_init(&c.arena);
    enum err err = store_read(store, count_waiting, &c);
    if (!err) {
        webhook_meter_set_waiting(m, c.apps, c.count);
        *out = c.sum;
    }
    mem_free(c.apps);
    arena_done(&c.arena);
    return err;
}

/* ---- new, stop, free ---- */

struct webhook *webhook_new(const struct webhook_options *options)
{
    struct webhook *w = MEM_NEW(struct webhook);
    w->options = *options;
    if (w->options.retry_ms <= 0)
        w->options.retry_ms = DEFAULT_RETRY_MS;
    w->sender = webhook_sender_new(&w->options);
    if (w->sender)
        return w;
    mem_free(w);
    return NULL;
}

void webhook_stop(struct webhook *w, int64_t wait_ms)
{
    webhook_sender_stop(w->sender, wait_ms);
}

void webhook_free(struct webhook *w)
{
    if (!w)
        return;
    webhook_sender_free(w->sender);
    mem_free(w);
}
