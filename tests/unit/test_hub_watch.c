#include <stdio.h>

#include "core/json.h"
#include "hub/hub_watch.h"
#include "test.h"

struct rig {
    struct io_loop *loop;
    struct hub_app app;
    struct hub_apps apps;
    struct hub_relay *relay;
    struct hub *hub;
};

static void rig_init(struct rig *r)
{
    r->loop = io_loop_new(0);
    r->app = hub_app_defaults;
    r->app.id = STR("1");
    r->apps = (struct hub_apps){&r->app, 1};
    r->relay = hub_relay_new();
    r->hub = hub_new(r->loop, &r->apps, r->relay, false);
}

static void rig_done(struct rig *r)
{
    hub_relay_close(r->relay);
    io_loop_free(r->loop);
    hub_free(r->hub);
    hub_relay_free(r->relay);
}

static void refuse(struct rig *r, int code)
{
    hub_watch(r->hub, &(struct hub_watch_event){.kind = HUB_WATCH_REFUSED,
                                                .app = &r->app,
                                                .address = "192.0.2.1",
                                                .code = code,
                                                .why = STR("because")});
}

static bool is_code(const struct hub_watch_row *row, int code)
{
    char text[32];
    snprintf(text, sizeof(text), "\"code\":%d,", code);
    return memmem(row->text, row->len, text, strlen(text)) != NULL;
}

TEST(hub_watch_keeps_the_last_refusals_and_forgets_the_oldest)
{
    struct rig r;
    rig_init(&r);
    for (int i = 0; i < HUB_WATCH_KEPT + 5; i++)
        refuse(&r, 5000 + i);
    const struct hub_watch *w = r.hub->watch;
    EXPECT_EQ(w->kept_count, HUB_WATCH_KEPT + 5);
    for (int i = 0; i < HUB_WATCH_KEPT; i++)
        EXPECT(is_code(w->kept[i], 5000 + i + (i < 5 ? HUB_WATCH_KEPT : 0)));
    rig_done(&r);
}

TEST(hub_watch_counts_a_refusal_of_its_app)
{
    struct rig r;
    rig_init(&r);
    refuse(&r, 4004);
    const uint64_t *counts =
        hub_tenant_of(r.hub, &r.app)->meter.coded[HUB_METER_REFUSED_CONNECTION];
    for (size_t i = 0; i < HUB_METER_CODES; i++)
        EXPECT_EQ(counts[i], hub_meter_codes[i] == 4004 ? 1 : 0);
    rig_done(&r);
}

TEST(hub_watch_shortens_at_a_character)
{
    char text[HUB_WATCH_SHOWN_BYTES + 2];
    memset(text, 'a', sizeof(text));
    struct str s = {text, HUB_WATCH_SHOWN_BYTES};
    EXPECT_EQ(hub_watch_shorten(s).len, HUB_WATCH_SHOWN_BYTES);
    memcpy(text + HUB_WATCH_SHOWN_BYTES - 1, "\xE2\x82\xAC", 3); // a euro across the end
    s.len = sizeof(text);
    EXPECT_EQ(hub_watch_shorten(s).len, HUB_WATCH_SHOWN_BYTES - 1);
}

TEST(hub_watch_writes_json_that_fits_whatever_clients_say)
{
    char rubbish[4096];
    memset(rubbish, '\x01', sizeof(rubbish));
    struct str s = {rubbish, sizeof(rubbish)};
    struct hub_app app = {.id = s};
    struct buf out;
    struct json_slice v;
    buf_init(&out, HUB_WATCH_MAX_LINE_BYTES);
    hub_watch_write(&out,
                    &(struct hub_watch_event){.kind = HUB_WATCH_REFUSED_SUBSCRIPTION,
                                              .app = &app,
                                              .key = s,
                                              .socket_id = s,
                                              .channel = s,
                                              .why = s,
                                              .event_json = s,
                                              .address = "192.0.2.1",
                                              .code = INT32_MIN,
                                              .bytes = SIZE_MAX,
                                              .subscribers = SIZE_MAX},
                    INT64_MIN);
    EXPECT_EQ(json_scan((struct str){(const char *)buf_head(&out), buf_len(&out)}, &v), OK);
    EXPECT(v.kind == JSON_OBJECT);
    buf_done(&out);
}
