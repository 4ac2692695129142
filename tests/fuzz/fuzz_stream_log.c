/* Whatever bytes stand in a segment, reading them gives a log that keeps its promises: streams are
 * bounded, their messages are numbered without a hole, and what is read is a whole number of
 * records: reading the same records again from where they begin gives the same streams. */
#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "stream/stream_internal.h"
#include "stream/stream_store.h"

enum { MAX_INPUT = 64 * 1024, MAX_LOG_BYTES = 20000, MAX_STREAMS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct stream_log *load(struct str bytes, enum err *err_out, size_t *taken_out)
{
    struct stream_log_options options = stream_log_defaults;
    struct stream_loader loader;
    options.max_bytes = MAX_LOG_BYTES;
    options.max_streams = MAX_STREAMS;
    struct stream_log *l = stream_log_new(&options);
    stream_load_init(&loader, l);
    *err_out = stream_load_bytes(&loader, bytes, taken_out);
    CHECK(loader.by_id.count == stream_log_count(l));
    stream_load_done(&loader);
    return l;
}

static void check_stream(const struct stream *s)
{
    const struct stream_limits *limits = stream_limits_of(s);
    struct stream_message m;
    uint64_t after = stream_oldest(s) - 1, count = 0;
    CHECK(stream_check(s, stream_id(s), after) == STREAM_OK);
    for (; stream_next(s, after, &m); after = m.serial) {
        CHECK(m.serial == after + 1);
        count++;
    }
    CHECK(after == stream_head(s) && count <= limits->max_messages);
    if (stream_oldest(s) > 1 && stream_oldest(s) <= stream_head(s))
        CHECK(stream_check(s, stream_id(s), stream_oldest(s) - 2) == STREAM_POSITION_EXPIRED);
}

static uint64_t sum_of(const struct stream_log *l)
{
    uint64_t sum = 0;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&l->streams, &i));) {
        check_stream(e->value);
        sum += stream_id(e->value) * 31 + stream_head(e->value) * 7 + stream_oldest(e->value);
    }
    return sum;
}

/* A fuzzer finds no checksum by chance: the sound ones are put in, record after record. */
static size_t repair(uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (len - at >= STREAM_RECORD_HEAD_BYTES) {
        struct stream_record r = {0};
        uint8_t kind = bytes[at + 12] % 4;
        size_t text = bytes[at + 14] % 40, body = bytes[at + 15];
        if (at + STREAM_RECORD_HEAD_BYTES + text + body > len)
            break;
        const char *rest = (const char *)bytes + at + STREAM_RECORD_HEAD_BYTES;
        r.kind = kind == 0 ? STREAM_RECORD_MESSAGE : (enum stream_record_kind)kind;
        r.ack = (enum stream_ack)(bytes[at + 13] % 3);
        r.stream_id = bytes[at + 16] % 8;
        r.serial = bytes[at + 24] % 64;
        r.unix_ms = bytes[at + 32] * INT64_C(10000000000);
        r.limits = (struct stream_limits){.ttl_ms = 1000 * (bytes[at] + 1),
                                          .max_messages = bytes[at + 1] + 1u,
                                          .max_bytes = bytes[at + 2] * 100u};
        r.key = r.excluded = (struct str){rest, text};
        r.frame = (struct str){rest + text, body};
        struct buf out;
        buf_init(&out, 1024);
        CHECK(stream_record_write(&r, &out) == OK);
        size_t size = buf_len(&out);
        if (at + size > len) {
            buf_done(&out);
            break;
        }
        memcpy(bytes + at, buf_head(&out), size);
        buf_done(&out);
        at += size;
    }
    return at;
}

static void run(struct str bytes)
{
    enum err err, again;
    size_t taken, taken_again;
    struct stream_log *l = load(bytes, &err, &taken);
    CHECK(taken <= bytes.len && (err == OK) == (taken == bytes.len));
    CHECK(stream_log_count(l) <= MAX_STREAMS && stream_log_bytes(l) <= MAX_LOG_BYTES);
    uint64_t sum = sum_of(l);
    stream_log_free(l);
    l = load((struct str){bytes.at, taken}, &again, &taken_again);
    CHECK(again == OK && taken_again == taken && sum_of(l) == sum);
    stream_log_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len > MAX_INPUT)
        return 0;
    log_set_level(LOG_ERROR);
    run((struct str){(const char *)bytes, len});
    uint8_t *copy = mem_zalloc(len + 1);
    if (len > 0)
        memcpy(copy, bytes, len);
    repair(copy, len);
    run((struct str){(const char *)copy, len});
    mem_free(copy);
    return 0;
}
