/* fuzz_queue_cron.c -- whatever is parsed has ticks: each behind the last, none between two, and
 * the same from wherever one looks. The first four bytes say when, the fifth where. */
#include "core/check.h"
#include "queue/queue_cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"UTC",
                                    "Europe/Kyiv",
                                    "America/Santiago",
                                    "Australia/Lord_Howe",
                                    "Antarctica/Troll",
                                    "Pacific/Apia",
                                    "Africa/Casablanca",
                                    "America/St_Johns"};
enum { ZONES = sizeof(names) / sizeof(names[0]) };

static const struct queue_zone *zone_of(uint8_t byte)
{
    static struct queue_zone *zones[ZONES];
    if (!zones[byte % ZONES])
        CHECK(queue_zone_open(str_of(names[byte % ZONES]), &zones[byte % ZONES]) == OK);
    return zones[byte % ZONES];
}

static int64_t next(const struct queue_cron *cron, const struct queue_zone *zone, int64_t after_ms)
{
    int64_t at_ms;
    CHECK(queue_cron_next(cron, zone, after_ms, &at_ms) == OK);
    CHECK(at_ms > after_ms && at_ms % 1000 == 0);
    return at_ms;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct queue_cron cron;
    struct str why = {0};
    uint32_t when_s;
    if (size < 5)
        return 0;
    memcpy(&when_s, data, 4);
    const struct queue_zone *zone = zone_of(data[4]);
    if (queue_cron_parse((struct str){(const char *)data + 5, size - 5}, &cron, &why)) {
        CHECK(why.len > 0);
        return 0;
    }
    int64_t at_ms = (int64_t)when_s * 1000;
    for (int i = 0; i < 3; i++) {
        int64_t then_ms = next(&cron, zone, at_ms);
        CHECK(next(&cron, zone, then_ms - 1) == then_ms);
        CHECK(next(&cron, zone, at_ms + (then_ms - at_ms) / 2) == then_ms);
        at_ms = then_ms;
    }
    return 0;
}
