/* fuzz_runner_line.c -- properties of what a handler's process may say, for any bytes:
 *
 *  - a line is taken, or refused with a reason that is clean UTF-8 of a bounded length
 *  - what is taken stays within its limits, and a result is one JSON value of the line
 *  - any payload makes exactly one line, which is JSON
 */
#include "core/check.h"
#include "core/json.h"
#include "core/utf8.h"
#include "runner/runner_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct str text)
{
    CHECK(text.len <= RUNNER_LINE_MAX_TEXT_BYTES && utf8_is_valid(text));
    for (size_t i = 0; i < text.len; i++)
        CHECK((unsigned char)text.at[i] >= ' ' || text.at[i] == '\n' || text.at[i] == '\t');
}

static void check_line(struct str text, struct arena *a)
{
    struct runner_line line;
    struct str why = STR("");
    struct json_slice value;
    if (runner_line_parse(text, a, &line, &why) != OK) {
        CHECK(why.len > 0);
        check_text(why);
        return;
    }
    check_text(line.text);
    CHECK(line.id > 0 && line.percent >= -1 && line.percent <= 100 && line.delay_ms >= -1);
    if (line.result.at) {
        CHECK(line.result.len <= RUNNER_LINE_MAX_RESULT_BYTES);
        CHECK(line.result.at >= text.at && line.result.at + line.result.len <= text.at + text.len);
        CHECK(json_scan(line.result, &value) == OK);
    }
}

static void check_job(struct str payload)
{
    const struct queue_job job = {.id = 1, .kind = STR("a.b"), .payload = payload};
    struct buf out;
    struct json_slice value;
    buf_init(&out, 8 * payload.len + 1000);
    CHECK(runner_line_write_job(&out, &job) == OK);
    struct str line = {(const char *)buf_head(&out), buf_len(&out)};
    CHECK(str_index(line, '\n') == line.len - 1);
    CHECK(json_scan((struct str){line.at, line.len - 1}, &value) == OK);
    CHECK(value.kind == JSON_OBJECT);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct str text = {(const char *)data, size};
    arena_init(&a);
    check_line(text, &a);
    check_job(text);
    arena_done(&a);
    return 0;
}
