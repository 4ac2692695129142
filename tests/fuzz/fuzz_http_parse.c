/* A request that is cut anywhere parses as the whole does, and no body passes its limit. The first
 * two bytes of the input say where to cut. */
#include "core/check.h"
#include "http/http_parse.h"

enum { MAX_BODY_BYTES = 300 };

struct parsed {
    struct http_request req;
    struct arena arena;
    struct http_parse p;
    size_t taken;
};

static void parse(struct parsed *d, const uint8_t *bytes, size_t len, size_t cut, size_t piece)
{
    static const struct http_limits limits = {.max_head_bytes = 1000, .max_body_bytes = 1000};

    *d = (struct parsed){0};
    arena_init(&d->arena);
    http_parse_init(&d->p, &d->req, &d->arena, &limits);
    while (d->taken < len && d->p.state != HTTP_PARSE_DONE && d->p.state != HTTP_PARSE_FAILED) {
        bool was_head = d->p.state == HTTP_PARSE_HEAD;
        size_t end = d->taken < cut ? cut : d->taken + piece;
        end = end < len ? end : len;
        size_t n = http_parse_feed(&d->p, bytes + d->taken, end - d->taken);
        CHECK(n <= end - d->taken);
        d->taken += n;
        if (was_head && d->p.state == HTTP_PARSE_BODY)
            http_parse_limit_body(&d->p, MAX_BODY_BYTES);
    }
}

static void done(struct parsed *d)
{
    http_parse_done(&d->p);
    arena_done(&d->arena);
}

static void check_same(const struct parsed *a, const struct parsed *b)
{
    CHECK(a->p.state == b->p.state);
    CHECK(a->p.status == b->p.status);
    if (a->p.state != HTTP_PARSE_DONE)
        return;
    CHECK(a->taken == b->taken);
    CHECK(a->req.method == b->req.method);
    CHECK(str_eq(a->req.target, b->req.target));
    CHECK(str_eq(a->req.path, b->req.path));
    CHECK(str_eq(a->req.query, b->req.query));
    CHECK(str_eq(a->req.body, b->req.body));
    CHECK(a->req.keep_alive == b->req.keep_alive);
    CHECK(a->req.field_count == b->req.field_count);
    for (size_t i = 0; i < a->req.field_count; i++) {
        CHECK(str_eq(a->req.fields[i].name, b->req.fields[i].name));
        CHECK(str_eq(a->req.fields[i].value, b->req.fields[i].value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parsed whole, cut;
    if (size < 2)
        return 0;
    const uint8_t *bytes = data + 2;
    size_t len = size - 2;

    parse(&whole, bytes, len, len, len);
    CHECK(whole.req.body.len <= MAX_BODY_BYTES);
    parse(&cut, bytes, len, data[0] + data[1] * (size_t)7, len);
    check_same(&whole, &cut);
    done(&cut);
    parse(&cut, bytes, len, 0, 1 + data[1] % 5);
    check_same(&whole, &cut);
    done(&cut);
    done(&whole);
    return 0;
}
