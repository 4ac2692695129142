#include "hub/hub_meter.h"

#include "core/check.h"
#include "core/mem.h"
#include "hub/hub_recovery.h"
#include "stream/stream_log.h"
#include "ws/ws_frame.h"

const int hub_meter_codes[HUB_METER_CODES] = {401,  4001, 4003, 4004, 4006, 4007, 4008, 4009,
                                              4100, 4200, 4201, 4301, 4302, 1009, 0};
const int64_t hub_meter_bounds_us[HUB_METER_BUCKETS - 1] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000};

void hub_meter_add_code(struct hub_meter *m, enum hub_meter_coded what, int code)
{
    size_t i = 0;
    while (i < HUB_METER_CODES - 1 && hub_meter_codes[i] != code)
        i++;
    m->coded[what][i]++;
}

void hub_meter_add_text(struct hub_meter *m, size_t text_bytes)
{
    const struct ws_frame frame = {.opcode = WS_TEXT, .fin = true, .size_bytes = text_bytes};
    uint8_t header[WS_FRAME_MAX_HEADER_BYTES];
    hub_meter_add(m, HUB_METER_SENT, 1);
    hub_meter_add(m, HUB_METER_SENT_BYTES, ws_frame_write(&frame, header) + text_bytes);
}

void hub_meter_add_frames(struct hub_meter *m, struct str frames)
{
    hub_meter_add(m, HUB_METER_SENT_BYTES, frames.len);
    while (frames.len > 0) {
        struct ws_frame frame;
        size_t header;
        CHECK(ws_frame_parse((const uint8_t *)frames.at, frames.len, &frame, &header) == OK);
        size_t whole = header + (size_t)frame.size_bytes;
        frames = (struct str){frames.at + whole, frames.len - whole};
        hub_meter_add(m, HUB_METER_SENT, 1);
    }
}

void hub_meter_observe(struct hub_histogram *h, int64_t us)
{
    size_t i = 0;
    while (i < HUB_METER_BUCKETS - 1 && us > hub_meter_bounds_us[i])
        i++;
    h->buckets[i]++;
    h->sum_us += us > 0 ? (uint64_t)us : 0;
}

void hub_meter_sum(struct hub_meter *to, const struct hub_meter *from)
{
    for (size_t i = 0; i < HUB_METER_COUNTERS; i++)
        to->counts[i] += from->counts[i];
    for (size_t i = 0; i < HUB_METER_CODED; i++)
        for (size_t j = 0; j < HUB_METER_CODES; j++)
            to->coded[i][j] += from->coded[i][j];
    for (size_t i = 0; i < HUB_METER_BUCKETS; i++)
        to->delivery.buckets[i] += from->delivery.buckets[i];
    to->delivery.sum_us += from->delivery.sum_us;
}

/* ---- reading ---- */

/* What one hub has: first what belongs to no app, then by the apps' slots. */
struct part {
    struct hub_meter_app *apps;
    size_t count;
};

struct reading {
    hub_meter_read_fn *on_read;
    void *ctx;
};

static void add_log(void *ctx, struct str app_id, size_t bytes)
{
    struct hub_meter_app *app = map_find(ctx, app_id); // NULL: a reload took it away
    if (app)
        app->log_bytes += bytes;
}

static void read_log(const struct hub *h, struct part *p)
{
    struct map by_id;
    map_init(&by_id);
    for (size_t i = 1; i < p->count; i++)
        if (p->apps[i].app)
            (void)map_put(&by_id, p->apps[i].app->id, &p->apps[i]);
    stream_log_each(h->log, add_log, &by_id);
    map_done(&by_id);
}

static bool read_hub(struct hub *h, void *part, const void *ctx)
{
    struct part *p = part;
    (void)ctx;
    p->count = h->tenant_count + 1;
    p->apps = mem_zalloc(p->count * sizeof(*p->apps));
    p->apps[0].meter = h->meter;
    for (size_t i = 0; i < h->tenant_count; i++) {
        const struct hub_tenant *t = h->tenants[i];
        if (t)
            p->apps[i + 1] = (struct hub_meter_app){
                .app = t->app,
                .meter = t->meter,
                .channels = t->rooms.count,
                .cached_bytes = t->cached_bytes,
                // Is a sum already: the first hub tells it.
                .unsynced_bytes = h->index == 0 ? hub_recovery_unsynced_bytes(h->relay, t->app) : 0,
            };
    }
    if (h->log)
        read_log(h, p);
    return false;
}

static void add_app(struct hub_meter_app *to, const struct hub_meter_app *from)
{
    to->app = to->app ? to->app : from->app;
    hub_meter_sum(&to->meter, &from->meter);
    to->channels += from->channels;
    to->cached_bytes += from->cached_bytes;
    to->log_bytes += from->log_bytes;
    to->unsynced_bytes += from->unsynced_bytes;
}

/* Only slots that an app has; the first is nobody's. */
static size_t drop_unused(struct hub_meter_app *apps, size_t count)
{
    size_t used = 1;
    for (size_t i = 1; i < count; i++)
        if (apps[i].app)
            apps[used++] = apps[i];
    return used;
}

static void add_up(void *const *parts, size_t count, void *ctx)
{
    struct reading *reading = ctx;
    size_t max = 1;
    for (size_t i = 0; i < count; i++)
        max = ((const struct part *)parts[i])->count > max ? ((const struct part *)parts[i])->count
                                                           : max;
    struct hub_meter_app *sums = mem_zalloc(max * sizeof(*sums));
    for (size_t i = 0; i < count; i++) {
        struct part *p = parts[i];
        for (size_t j = 0; j < p->count; j++)
            add_app(&sums[j], &p->apps[j]);
        mem_free(p->apps);
    }
    reading->on_read(reading->ctx, sums, drop_unused(sums, max));
    mem_free(sums);
    mem_free(reading);
}

void hub_meter_read(struct hub *asking, hub_meter_read_fn *on_read, void *ctx)
{
    struct reading *reading = MEM_NEW(struct reading);
    *reading = (struct reading){on_read, ctx};
    hub_relay_ask(asking, sizeof(struct part), read_hub, add_up, reading);
}
