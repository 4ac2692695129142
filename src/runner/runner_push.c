#include "runner/runner_push.h"

#include "core/crypto.h"
#include "core/json.h"
#include "runner/runner_line.h"

enum {
    CONNECT_MS = 5000,
    MAX_AFTER_MS = 24 * 3600 * 1000, // what a receiver may ask for
    MAX_QUOTE_BYTES = 200,           // of its answer, in an error
    OWN_HEADERS = 6,
};

/* W3C Trace Context: the trace of who enqueued the job with its flags (is it sampled?), or a new
 * one, and a span of this POST. */
static struct str make_traceparent(struct str parent, struct arena *a)
{
    uint8_t random[16 + 8];
    char trace[33], span[17], flags[] = "01";
    crypto_random(random, sizeof(random));
    crypto_hex(random, 16, trace);
    crypto_hex(random + 16, 8, span);
    if (parent.len == QUEUE_TRACE_BYTES) {
        memcpy(trace, parent.at + 3, 32);
        memcpy(flags, parent.at + 53, 2);
    }
    return arena_printf(a, "traceparent: 00-%s-%s-%s", trace, span, flags);
}

static void fill_headers(struct runner_task *t)
{
    const struct runner_handler *h = t->lane->handler;
    const struct queue_job *job = t->job;
    struct arena *a = &t->job->arena;
    struct str *headers = arena_alloc(a, (OWN_HEADERS + h->header_count) * sizeof(*headers));
    size_t count = 0;
    // The same for every try of the job; ids are given once, and again after a loss of the
    // database.
    headers[count++] = arena_printf(a, "Idempotency-Key: \"%lld-%lld\"", (long long)job->id,
                                    (long long)job->created_at_ms);
    headers[count++] = arena_printf(a, "Viche-Job-Id: %lld", (long long)job->id);
    headers[count++] = arena_printf(a, "Viche-Job-Epoch: %lld", (long long)job->epoch);
    headers[count++] = arena_printf(a, "Viche-Job-Attempt: %d", job->attempt);
    headers[count++] = arena_printf(a, "Viche-Job-Kind: %.*s", STR_ARG(job->kind));
    headers[count++] = make_traceparent(job->trace, a);
    for (size_t i = 0; i < h->header_count; i++)
        headers[count++] = h->headers[i];
    t->post.headers = headers;
    t->post.header_count = count;
}

void runner_push_begin(struct runner_task *t)
{
    const struct runner_handler *h = t->lane->handler;
    t->post = (struct post){
        .url = h->url,
        .body = t->job->payload,
        .agent = "Viche-Queue",
        .connect_ms = CONNECT_MS < t->timeout_ms ? CONNECT_MS : t->timeout_ms,
        .total_ms = t->timeout_ms,
        .allows_private = h->allows_private,
        .private_option = "\"private\" of the handler",
    };
    fill_headers(t);
    if (post_loop_begin(t->lane->runner->loop, &t->post) != OK)
        runner_task_finish(t, &(struct queue_end){.verdict = QUEUE_RETRY,
                                                  .delay_ms = QUEUE_BACKOFF,
                                                  .why = STR("the POST cannot be made")});
}

void runner_push_cancel(struct runner_task *t)
{
    post_loop_end(t->lane->runner->loop, &t->post);
    runner_task_meet_fate(t);
}

#define TOO_LONG "the answer is too long for a result"

static void keep_result(struct runner_task *t, const struct post_answer *answer)
{
    bool is_json = str_starts(answer->type, STR("application/json")) &&
                   answer->body.len <= RUNNER_LINE_MAX_RESULT_BYTES &&
                   json_scan_document(answer->body) == OK;
    if (is_json && buf_append(&t->result, answer->body.at, answer->body.len) != OK)
        runner_report_log(&t->report, STR(TOO_LONG));
}

/* What the receiver says of its refusal, which may help whoever reads it. */
static struct str describe(struct runner_task *t, const struct post_answer *answer)
{
    struct arena *a = &t->job->arena;
    struct str quote = runner_line_clean(str_trim(answer->body), MAX_QUOTE_BYTES, a);
    return arena_printf(a, "the receiver answered %d%s%.*s", answer->status,
                        quote.len > 0 ? ": " : "", STR_ARG(quote));
}

static struct queue_end judge(struct runner_task *t, const struct post_answer *answer, bool is_cut)
{
    bool is_busy = answer->status == 429 || answer->status == 503;
    int64_t after_ms =
        answer->retry_after_ms < MAX_AFTER_MS ? answer->retry_after_ms : MAX_AFTER_MS;
    if (answer->status >= 200 && answer->status <= 299) {
        if (is_cut)
            runner_report_log(&t->report, STR(TOO_LONG));
        else
            keep_result(t, answer);
        return (struct queue_end){.verdict = QUEUE_DONE};
    }
    struct str why = describe(t, answer);
    if (answer->status == 410)
        return (struct queue_end){
            .verdict = t->lane->handler->gone_is_dead ? QUEUE_BURY : QUEUE_DISCARD, .why = why};
    return (struct queue_end){.verdict = QUEUE_RETRY,
                              .delay_ms = is_busy && after_ms > 0 ? after_ms : QUEUE_BACKOFF,
                              .why = why};
}

void runner_push_end(struct runner_task *t, CURLcode result)
{
    struct post_answer answer;
    struct queue_end end = {.verdict = QUEUE_RETRY, .delay_ms = QUEUE_BACKOFF};
    enum err err = post_judge(&t->post, result, &t->job->arena, &answer, &end.why);
    if (!err || err == ERR_TOO_LARGE) // the receiver has spoken
        end = judge(t, &answer, err != OK);
    post_loop_end(t->lane->runner->loop, &t->post);
    runner_task_finish(t, &end);
}
