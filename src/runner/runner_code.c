#include "runner/runner_code.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "core/json.h"
#include "runner/runner_line.h"

enum { MAX_FIELDS = 16 };

struct runner_code_pipe {
    struct buf in, out;
    bool is_cancelled;
};

/* ---- out ---- */

/* The server reads until we end: what cannot be written is nobody's any more. */
static void flush(struct buf *out)
{
    while (buf_len(out) > 0) {
        ssize_t sent = write(1, buf_head(out), buf_len(out));
        if (sent < 0 && errno != EINTR)
            _exit(1);
        if (sent > 0)
            buf_consume(out, (size_t)sent);
    }
}

static void begin(struct runner_call *call, const char *type)
{
    struct buf *out = &call->pipe->out;
    if (buf_printf(out, "{\"type\":\"%s\",\"id\":%lld", type, (long long)call->id) != OK)
        _exit(1);
}

static void add_text(struct runner_call *call, const char *name, struct str text)
{
    struct buf *out = &call->pipe->out;
    struct str clean = runner_line_clean(text, RUNNER_LINE_MAX_TEXT_BYTES, &call->arena);
    if (buf_printf(out, ",\"%s\":", name) != OK || json_write_string(out, clean) != OK)
        _exit(1);
}

static void end(struct runner_call *call)
{
    if (buf_append(&call->pipe->out, "}\n", 2) != OK)
        _exit(1);
    flush(&call->pipe->out);
}

void runner_code_progress(struct runner_call *call, int percent, struct str text)
{
    begin(call, "progress");
    if (percent >= 0 && buf_printf(&call->pipe->out, ",\"percent\":%d", percent) != OK)
        _exit(1);
    add_text(call, "text", text);
    end(call);
}

void runner_code_log(struct runner_call *call, struct str text)
{
    begin(call, "log");
    add_text(call, "text", text);
    end(call);
}

void runner_code_result(struct runner_call *call, struct str json)
{
    struct buf *out = &call->pipe->out;
    begin(call, "result");
    if (buf_printf(out, ",\"result\":%.*s", STR_ARG(json)) != OK)
        _exit(1);
    end(call);
}

/* ---- in ---- */

/* False: the server has closed it. */
static bool fill(struct buf *in)
{
    char bytes[4096];
    ssize_t got;
    do
        got = read(0, bytes, sizeof(bytes));
    while (got < 0 && errno == EINTR);
    return got > 0 && buf_append(in, bytes, (size_t)got) == OK;
}

/* The next whole line, without its end, copied to the arena. False: none is there yet. */
static bool take_line(struct buf *in, struct arena *a, struct str *out)
{
    struct str all = {(const char *)buf_head(in), buf_len(in)};
    size_t len = all.len > 0 ? str_index(all, '\n') : 0;
    if (len == all.len)
        return false;
    *out = arena_str(a, (struct str){all.at, len});
    buf_consume(in, len + 1);
    return true;
}

struct fields {
    struct json_field at[MAX_FIELDS];
    size_t count;
};

static int64_t int_of(const struct fields *f, const char *name)
{
    int64_t value = 0;
    const struct json_slice *slice = json_field_find(f->at, f->count, str_of(name));
    return slice && json_slice_int(slice, &value) == OK ? value : 0;
}

static bool is_of_type(const struct fields *f, const char *type)
{
    const struct json_slice *slice = json_field_find(f->at, f->count, STR("type"));
    return slice && slice->text.len == strlen(type) + 2 &&
           memcmp(slice->text.at + 1, type, strlen(type)) == 0;
}

bool runner_code_is_cancelled(struct runner_call *call)
{
    struct runner_code_pipe *pipe = call->pipe;
    struct pollfd ready = {.fd = 0, .events = POLLIN};
    struct str line;
    while (!pipe->is_cancelled && poll(&ready, 1, 0) > 0) {
        if (!fill(&pipe->in)) // nobody waits for the job
            pipe->is_cancelled = true;
        while (take_line(&pipe->in, &call->arena, &line)) {
            struct fields f;
            if (json_scan_object(line, f.at, MAX_FIELDS, &f.count) == OK)
                pipe->is_cancelled |= is_of_type(&f, "cancel") && int_of(&f, "id") == call->id;
        }
    }
    return pipe->is_cancelled;
}

/* ---- a job ---- */

static void run(struct runner_call *call, runner_code_fn *fn)
{
    struct str why = {0};
    enum err err = fn(call, &why);
    begin(call, "end");
    if (buf_printf(&call->pipe->out, ",\"outcome\":\"%s\"", err ? "retry" : "done") != OK)
        _exit(1);
    if (err)
        add_text(call, "error", why.len > 0 ? why : str_of(err_text(err)));
    end(call);
}

/* The line of a job, which is ours and whole. A cancel that came too late is no job. */
static void take_job(struct runner_code_pipe *pipe, struct str line, struct arena *a,
                     runner_code_fn *fn)
{
    struct fields f;
    if (json_scan_object(line, f.at, MAX_FIELDS, &f.count) != OK || !is_of_type(&f, "job"))
        return;
    const struct json_slice *kind = json_field_find(f.at, f.count, STR("kind"));
    const struct json_slice *payload = json_field_find(f.at, f.count, STR("payload"));
    struct runner_call call = {.pipe = pipe, .arena = *a};
    call.id = int_of(&f, "id");
    call.epoch = int_of(&f, "epoch");
    call.attempt = (int)int_of(&f, "attempt");
    if (!kind || !payload || json_unescape(kind, &call.arena, &call.kind) != OK)
        _exit(1);
    call.payload = payload->text;
    pipe->is_cancelled = false;
    run(&call, fn);
    *a = call.arena;
}

void runner_code_serve(const void *ctx)
{
    runner_code_fn *const *fn = ctx;
    struct runner_code_pipe pipe = {0};
    struct str line;
    buf_init(&pipe.in, RUNNER_LINE_MAX_JOB_BYTES);
    buf_init(&pipe.out, RUNNER_LINE_MAX_BYTES);
    do {
        struct arena a;
        arena_init(&a);
        while (take_line(&pipe.in, &a, &line)) {
            take_job(&pipe, line, &a, *fn);
            arena_done(&a);
        }
        arena_done(&a);
    } while (fill(&pipe.in));
}
