#include "runner/runner_line.h"

#include "core/json.h"
#include "core/utf8.h"

enum { MAX_FIELDS = 16, MAX_DELAY_MS = 366LL * 86400 * 1000 };

static const struct {
    const char *name;
    enum runner_line_type type;
} types[] = {
    {"progress", RUNNER_LINE_PROGRESS},
    {"log", RUNNER_LINE_LOG},
    {"result", RUNNER_LINE_RESULT},
    {"end", RUNNER_LINE_END},
};

static const struct {
    const char *name;
    enum runner_outcome outcome;
} outcomes[] = {
    {"done", RUNNER_DONE},       {"retry", RUNNER_RETRY}, {"snooze", RUNNER_SNOOZE},
    {"discard", RUNNER_DISCARD}, {"dead", RUNNER_DEAD},
};

/* ---- reading ---- */

struct fields {
    struct json_field at[MAX_FIELDS];
    size_t count;
    struct arena *arena;
};

/* OK without a text when the field is absent. */
static enum err read_text(const struct fields *f, const char *name, struct str *out)
{
    const struct json_slice *slice = json_field_find(f->at, f->count, str_of(name));
    if (!slice)
        return OK;
    enum err err = json_unescape(slice, f->arena, out);
    if (!err)
        *out = runner_line_clean(*out, RUNNER_LINE_MAX_TEXT_BYTES, f->arena);
    return err;
}

/* OK without a change when the field is absent. */
static enum err read_int(const struct fields *f, const char *name, int64_t min, int64_t max,
                         int64_t *out)
{
    const struct json_slice *slice = json_field_find(f->at, f->count, str_of(name));
    int64_t value = 0;
    if (!slice)
        return OK;
    enum err err = json_slice_int(slice, &value);
    if (err || value < min || value > max)
        return ERR_INVALID;
    *out = value;
    return OK;
}

static enum err read_type(const struct fields *f, enum runner_line_type *out)
{
    struct str name = {0};
    enum err err = read_text(f, "type", &name);
    for (size_t i = 0; !err && i < sizeof(types) / sizeof(types[0]); i++) {
        if (!str_eq(name, str_of(types[i].name)))
            continue;
        *out = types[i].type;
        return OK;
    }
    return ERR_INVALID;
}

static enum err read_outcome(const struct fields *f, enum runner_outcome *out)
{
    struct str name = {0};
    enum err err = read_text(f, "outcome", &name);
    for (size_t i = 0; !err && i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        if (!str_eq(name, str_of(outcomes[i].name)))
            continue;
        *out = outcomes[i].outcome;
        return OK;
    }
    return ERR_INVALID;
}

static enum err read_progress(const struct fields *f, struct runner_line *out, const char **wrong)
{
    int64_t percent = -1;
    *wrong = "percent must be a whole number from 0 to 100";
    enum err err = read_int(f, "percent", 0, 100, &percent);
    out->percent = (int)percent;
    if (err)
        return err;
    *wrong = "text must be a string";
    return read_text(f, "text", &out->text);
}

static enum err read_result(const struct fields *f, struct runner_line *out, const char **wrong)
{
    const struct json_slice *value = json_field_find(f->at, f->count, STR("result"));
    *wrong = "a result must have at most 65536 bytes";
    if (value && value->text.len > RUNNER_LINE_MAX_RESULT_BYTES)
        return ERR_INVALID;
    *wrong = "there is no result";
    if (value)
        out->result = value->text;
    return value || out->type == RUNNER_LINE_END ? OK : ERR_INVALID;
}

static enum err read_end(const struct fields *f, struct runner_line *out, const char **wrong)
{
    *wrong = "outcome must be done, retry, snooze, discard or dead";
    enum err err = read_outcome(f, &out->outcome);
    if (err)
        return err;
    *wrong = "delay_ms must be a whole number of milliseconds, up to a year";
    err = read_int(f, "delay_ms", 0, MAX_DELAY_MS, &out->delay_ms);
    if (!err && out->outcome == RUNNER_SNOOZE && out->delay_ms < 0)
        err = ERR_INVALID;
    if (err)
        return err;
    *wrong = "error must be a string";
    err = read_text(f, "error", &out->text);
    return err ? err : read_result(f, out, wrong);
}

static enum err read_rest(const struct fields *f, struct runner_line *out, const char **wrong)
{
    switch (out->type) {
    case RUNNER_LINE_PROGRESS:
        return read_progress(f, out, wrong);
    case RUNNER_LINE_LOG:
        *wrong = "text must be a string";
        return read_text(f, "text", &out->text);
    case RUNNER_LINE_RESULT:
        return read_result(f, out, wrong);
    case RUNNER_LINE_END:
        return read_end(f, out, wrong);
    }
    return ERR_INVALID;
}

enum err runner_line_parse(struct str line, struct arena *a, struct runner_line *out,
                           struct str *why_out)
{
    struct fields f = {.arena = a};
    const char *wrong = "it is not a JSON object";
    *out = (struct runner_line){.id = -1, .percent = -1, .delay_ms = -1};
    enum err err = json_scan_object(line, f.at, MAX_FIELDS, &f.count);
    if (!err) {
        wrong = "type must be progress, log, result or end";
        err = read_type(&f, &out->type);
    }
    if (!err) {
        wrong = "id must be the job's number";
        err = read_int(&f, "id", 1, INT64_MAX, &out->id);
        if (!err && out->id < 0)
            err = ERR_INVALID;
    }
    if (!err)
        err = read_rest(&f, out, &wrong);
    if (!err)
        return OK;
    // What has fields may have some that nobody is shown.
    bool has_fields = line.len > 0 && memchr(line.at, '{', line.len) != NULL;
    struct str begin = has_fields ? STR("") : runner_line_clean(line, 80, a);
    *why_out = arena_printf(a, "nonsense from the handler: %s%s%.*s", wrong,
                            begin.len > 0 ? ": " : "", STR_ARG(begin));
    return ERR_INVALID;
}

struct str runner_line_clean(struct str text, size_t max, struct arena *a)
{
    struct str cut = utf8_cut(text, max);
    char *copy = arena_alloc(a, cut.len + 1);
    bool is_valid = utf8_is_valid(cut);
    for (size_t i = 0; i < cut.len; i++) {
        unsigned char c = (unsigned char)cut.at[i];
        bool is_bad = (c < ' ' && c != '\n' && c != '\t') || c == 0x7f || (!is_valid && c >= 0x80);
        copy[i] = cut.at[i];
        if (is_bad)
            copy[i] = '?';
    }
    return (struct str){copy, cut.len};
}

/* ---- writing ---- */

/* A line break in a JSON text is white space: one in a string is escaped. */
static enum err write_in_one_line(struct buf *out, struct str json)
{
    enum err err = OK;
    while (!err && json.len > 0) {
        struct str part = str_cut(json, '\n', &json);
        err = buf_append(out, part.at, part.len);
        if (!err)
            err = buf_append(out, " ", 1);
    }
    return err;
}

static enum err write_payload(struct buf *out, struct str payload)
{
    if (json_scan_document(payload) == OK)
        return write_in_one_line(out, payload);
    if (utf8_is_valid(payload))
        return json_write_string(out, payload);
    return buf_append(out, "null", 4);
}

enum err runner_line_write_job(struct buf *out, const struct queue_job *job)
{
    enum err err = buf_printf(out,
                              "{\"type\":\"job\",\"id\":%lld,\"epoch\":%lld,\"attempt\":%d,"
                              "\"created_at_ms\":%lld,\"kind\":",
                              (long long)job->id, (long long)job->epoch, job->attempt,
                              (long long)job->created_at_ms);
    if (!err)
        err = json_write_string(out, job->kind);
    if (!err && job->trace.len > 0) {
        err = buf_append(out, ",\"traceparent\":", 15);
        if (!err)
            err = json_write_string(out, job->trace);
    }
    if (!err)
        err = buf_append(out, ",\"payload\":", 11);
    if (!err)
        err = write_payload(out, job->payload);
    return err ? err : buf_append(out, "}\n", 2);
}

enum err runner_line_write_cancel(struct buf *out, int64_t id)
{
    return buf_printf(out, "{\"type\":\"cancel\",\"id\":%lld}\n", (long long)id);
}
