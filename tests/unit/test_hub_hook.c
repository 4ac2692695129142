#include "hub/hub_hook.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/mem.h"
#include "hub/hub_hold.h"
#include "test.h"

enum { MAX_SENT = 1 << 20, MAX_STEPS = 12 };

/* A hook on a loop, and what its sink got: "URL BODY\n", the time left out. */
struct rig {
    struct io_loop *loop;
    struct hub_webhook webhooks[2];
    struct hub_app app;
    struct hub_hook *hook;
    char *sent;
    size_t sent_len, max_body, bodies;
    void (*steps[MAX_STEPS])(struct rig *r);
    size_t step, hops;
    struct io_task task;
};

static void on_sent(void *ctx, const struct hub_app *app, const struct hub_webhook *webhook,
                    struct str body)
{
    struct rig *r = ctx;
    EXPECT(app == &r->app);
    EXPECT(str_starts(body, STR("{\"time_ms\":")));
    EXPECT(r->sent_len + body.len + webhook->url.len + 2 < MAX_SENT);
    size_t time_end = str_index(body, ',') + 1;
    r->sent_len +=
        (size_t)snprintf(r->sent + r->sent_len, MAX_SENT - r->sent_len, "%.*s %.*s\n",
                         STR_ARG(webhook->url), (int)(body.len - time_end), body.at + time_end);
    r->bodies++;
    if (body.len > r->max_body)
        r->max_body = body.len;
}

static struct rig *rig_new(void)
{
    struct rig *r = MEM_NEW(struct rig);
    clock_test_stop();
    // Inside a tick of the timers: on its edge two bodies may share one by chance.
    clock_test_advance(IO_TIMER_TICK_MS + 1 - clock_mono_ms() % IO_TIMER_TICK_MS);
    r->loop = io_loop_new(0);
    r->sent = mem_zalloc(MAX_SENT);
    r->webhooks[0] = (struct hub_webhook){.url = STR("all"), .kinds = (1u << HUB_HOOK_KINDS) - 1};
    r->app = hub_app_defaults;
    r->app.id = STR("1");
    r->app.webhooks = r->webhooks;
    r->app.webhook_count = 1;
    r->hook = hub_hook_new(r->loop, &(struct hub_hook_sink){.send = on_sent, .ctx = r});
    return r;
}

static void rig_free(struct rig *r)
{
    io_loop_free(r->loop);
    hub_hook_free(r->hook);
    mem_free(r->sent);
    mem_free(r);
}

static void add(struct rig *r, enum hub_hook_kind kind, const char *channel, const char *user_id)
{
    hub_hook_add(r->hook, &r->app,
                 &(struct hub_hook_event){
                     .kind = kind, .channel = str_of(channel), .user_id = str_of(user_id)});
}

static void expect_sent(struct rig *r, const char *sent)
{
    EXPECT_STR(str_of(r->sent), sent);
    r->sent_len = 0;
    r->sent[0] = '\0';
}

/* Each step in a turn of its own; between two of them the loop's timers run. */
static void on_turn(struct io_task *task)
{
    enum { TURNS_BETWEEN = 3 };
    struct rig *r = LIST_ENTRY(task, struct rig, task);
    if (++r->hops % TURNS_BETWEEN == 0)
        r->steps[r->step++](r);
    if (r->steps[r->step])
        io_loop_post(r->loop, task);
    else
        io_loop_stop(r->loop);
}

static void run(struct rig *r)
{
    r->task.run = on_turn;
    io_loop_post(r->loop, &r->task);
    io_loop_run(r->loop);
}

static void pass_tick(struct rig *r)
{
    (void)r;
    clock_test_advance(2 * IO_TIMER_TICK_MS);
}

TEST(hub_hook_tells_each_webhook_what_it_asked_for)
{
    struct rig *r = rig_new();
    r->webhooks[0].kinds = 1u << HUB_HOOK_CHANNEL_OCCUPIED | 1u << HUB_HOOK_CACHE_MISS;
    r->webhooks[0].starts_with = STR("private-");
    r->webhooks[1] = (struct hub_webhook){
        .url = STR("b"), .kinds = 1u << HUB_HOOK_MEMBER_ADDED, .ends_with = STR(".room")};
    r->app.webhook_count = 2;
    add(r, HUB_HOOK_CHANNEL_OCCUPIED, "private-a", "");
    add(r, HUB_HOOK_CHANNEL_OCCUPIED, "public-a", "");
    add(r, HUB_HOOK_CACHE_MISS, "private-cache-a", "");
    add(r, HUB_HOOK_CACHE_MISS, "private", "");
    add(r, HUB_HOOK_CHANNEL_VACATED, "private-b", "");
    add(r, HUB_HOOK_MEMBER_ADDED, "presence-1.room", "7");
    add(r, HUB_HOOK_MEMBER_ADDED, "presence-room", "7");
    hub_hook_flush(r->hook);
    expect_sent(r, "all \"events\":[{\"name\":\"channel_occupied\",\"channel\":\"private-a\"},"
                   "{\"name\":\"cache_miss\",\"channel\":\"private-cache-a\"}]}\n"
                   "b \"events\":[{\"name\":\"member_added\",\"channel\":\"presence-1.room\","
                   "\"user_id\":\"7\"}]}\n");
    rig_free(r);
}

TEST(hub_hook_of_an_app_without_webhooks_or_of_nobody_takes_nothing)
{
    struct rig *r = rig_new();
    r->app.webhook_count = 0;
    add(r, HUB_HOOK_CHANNEL_OCCUPIED, "a", "");
    hub_hook_add(NULL, &r->app, &(struct hub_hook_event){.kind = HUB_HOOK_CACHE_MISS});
    hub_hook_flush(r->hook);
    hub_hook_flush(NULL);
    expect_sent(r, "");
    rig_free(r);
}

static void add_two(struct rig *r)
{
    add(r, HUB_HOOK_CHANNEL_OCCUPIED, "a", "");
    add(r, HUB_HOOK_CHANNEL_OCCUPIED, "b", "");
    expect_sent(r, "");
    pass_tick(r);
}

static void expect_one_body(struct rig *r)
{
    expect_sent(r, "all \"events\":[{\"name\":\"channel_occupied\",\"channel\":\"a\"},"
                   "{\"name\":\"channel_occupied\",\"channel\":\"b\"}]}\n");
    EXPECT_EQ(r->bodies, 1);
}

TEST(hub_hook_gathers_for_a_tick)
{
    struct rig *r = rig_new();
    r->steps[0] = add_two;
    r->steps[1] = expect_one_body;
    run(r);
    rig_free(r);
}

TEST(hub_hook_sends_a_full_batch_at_once)
{
    struct rig *r = rig_new();
    char channel[16];
    for (int i = 0; i < 2 * HUB_HOOK_MAX_EVENTS + 1; i++) {
        snprintf(channel, sizeof(channel), "c%d", i);
        add(r, HUB_HOOK_CHANNEL_OCCUPIED, channel, "");
    }
    EXPECT_EQ(r->bodies, 2);
    hub_hook_flush(r->hook);
    EXPECT_EQ(r->bodies, 3);
    EXPECT(strstr(r->sent, "\"c99\"}]}\nall \"events\":[{\"name\":\"channel_occupied\",\"channel\":"
                           "\"c100\"}") != NULL);
    rig_free(r);
}

static void add_client_event(struct rig *r, const char *data_json, const char *user_id)
{
    hub_hook_add(r->hook, &r->app,
                 &(struct hub_hook_event){
                     .kind = HUB_HOOK_CLIENT_EVENT,
                     .channel = STR("private-\"x\""),
                     .event = STR("client-typing"),
                     .data_json = str_of(data_json),
                     .socket_id = STR("1.2"),
                     .user_id = str_of(user_id),
                 });
}

TEST(hub_hook_tells_a_client_events_data_as_a_string)
{
    struct rig *r = rig_new();
    add_client_event(r, "{\"a\":\"\xd1\x97\"}", "");
    add_client_event(r, "\"{}\"", "u");
    hub_hook_flush(r->hook);
    expect_sent(r,
                "all \"events\":[{\"name\":\"client_event\",\"channel\":\"private-\\\"x\\\"\","
                "\"event\":\"client-typing\",\"data\":\"{\\\"a\\\":\\\"\xd1\x97\\\"}\","
                "\"socket_id\":\"1.2\"},"
                "{\"name\":\"client_event\",\"channel\":\"private-\\\"x\\\"\",\"event\":"
                "\"client-typing\",\"data\":\"{}\",\"socket_id\":\"1.2\",\"user_id\":\"u\"}]}\n");
    rig_free(r);
}

TEST(hub_hook_bounds_a_body_and_drops_what_fits_in_none)
{
    enum { EVENTS = 20, LARGE = HUB_HOOK_MAX_BODY_BYTES };
    struct rig *r = rig_new();
    char *data = mem_zalloc(LARGE + 3);
    memset(data, 'x', LARGE + 2);
    data[0] = data[LARGE + 1] = '"';
    add_client_event(r, data, "");
    data[10000] = '"';
    data[10001] = '\0';
    for (int i = 0; i < EVENTS; i++)
        add_client_event(r, data, "");
    add_client_event(r, "1", "last");
    hub_hook_flush(r->hook);
    EXPECT(r->max_body <= HUB_HOOK_MAX_BODY_BYTES);
    EXPECT(r->max_body > HUB_HOOK_MAX_BODY_BYTES - 11000);
    EXPECT_EQ(r->bodies, 4); // five or six a body
    size_t names = 0;
    for (const char *at = r->sent; (at = strstr(at, "client_event")); at++)
        names++;
    EXPECT_EQ(names, EVENTS + 1);
    mem_free(data);
    rig_free(r);
}

/* ---- what is held back ---- */

static void leave_all(struct rig *r)
{
    add(r, HUB_HOOK_CHANNEL_VACATED, "gone", "");
    add(r, HUB_HOOK_CHANNEL_VACATED, "back", "");
    add(r, HUB_HOOK_MEMBER_REMOVED, "presence-a", "gone");
    add(r, HUB_HOOK_MEMBER_REMOVED, "presence-a", "back");
    clock_test_advance(HUB_HOLD_LEAVE_MS - IO_TIMER_TICK_MS);
}

static void come_back(struct rig *r)
{
    expect_sent(r, "");
    add(r, HUB_HOOK_CHANNEL_OCCUPIED, "back", "");
    add(r, HUB_HOOK_MEMBER_ADDED, "presence-a", "back");
    add(r, HUB_HOOK_MEMBER_ADDED, "presence-b", "gone"); // elsewhere
    pass_tick(r);
}

static void expect_nothing_of_those_back(struct rig *r)
{
    hub_hook_flush(r->hook);
    expect_sent(r, "all \"events\":[{\"name\":\"member_added\",\"channel\":\"presence-b\","
                   "\"user_id\":\"gone\"}]}\n"
                   "all \"events\":[{\"name\":\"channel_vacated\",\"channel\":\"gone\"},"
                   "{\"name\":\"member_removed\",\"channel\":\"presence-a\",\"user_id\":\"gone\"}]"
                   "}\n");
    clock_test_advance(HUB_HOLD_LEAVE_MS);
}

static void expect_nothing(struct rig *r)
{
    expect_sent(r, "");
}

TEST(hub_hook_tells_of_a_leave_after_three_seconds_unless_they_are_back)
{
    struct rig *r = rig_new();
    r->steps[0] = leave_all;
    r->steps[1] = come_back;
    r->steps[2] = pass_tick;
    r->steps[3] = expect_nothing_of_those_back;
    r->steps[4] = expect_nothing;
    run(r);
    rig_free(r);
}

TEST(hub_hook_keeps_quiet_about_a_return_also_to_who_asked_for_arrivals_only)
{
    struct rig *r = rig_new();
    r->webhooks[0].kinds = 1u << HUB_HOOK_CHANNEL_OCCUPIED;
    add(r, HUB_HOOK_CHANNEL_VACATED, "a", "");
    add(r, HUB_HOOK_CHANNEL_OCCUPIED, "a", "");
    hub_hook_flush(r->hook);
    expect_sent(r, "");
    rig_free(r);
}

TEST(hub_hook_keeps_names_apart_whatever_bytes_they_have)
{
    struct rig *r = rig_new();
    const struct str names[] = {{"a\0x", 3}, {"a", 1}};
    for (size_t i = 0; i < 2; i++)
        hub_hook_add(
            r->hook, &r->app,
            &(struct hub_hook_event){.kind = HUB_HOOK_CHANNEL_VACATED, .channel = names[i]});
    hub_hook_flush(r->hook);
    expect_sent(r, "all \"events\":[{\"name\":\"channel_vacated\",\"channel\":\"a\\u0000x\"},"
                   "{\"name\":\"channel_vacated\",\"channel\":\"a\"}]}\n");
    rig_free(r);
}

TEST(hub_hook_tells_what_it_holds_when_it_is_flushed)
{
    struct rig *r = rig_new();
    add(r, HUB_HOOK_CHANNEL_VACATED, "a", "");
    hub_hook_flush(r->hook);
    expect_sent(r, "all \"events\":[{\"name\":\"channel_vacated\",\"channel\":\"a\"}]}\n");
    rig_free(r);
}

static void count(struct rig *r, const char *channel, uint64_t subscribers)
{
    hub_hook_add(r->hook, &r->app,
                 &(struct hub_hook_event){.kind = HUB_HOOK_SUBSCRIPTION_COUNT,
                                          .channel = str_of(channel),
                                          .count = subscribers});
}

static void count_many(struct rig *r)
{
    count(r, "small", 99);
    count(r, "small", 100);
    count(r, "large", 101);
    count(r, "large", 102);
    count(r, "large", 103);
    pass_tick(r);
}

#define COUNT(channel, n)                                                                          \
    "{\"name\":\"subscription_count\",\"channel\":\"" channel "\",\"subscription_count\":" #n "}"

static void expect_first_counts(struct rig *r)
{
    expect_sent(r, "all \"events\":[" COUNT("small", 99) "," COUNT("small", 100) "," COUNT(
                       "large", 101) "]}\n");
    clock_test_advance(HUB_HOLD_COUNT_MS);
}

static void expect_newest_count(struct rig *r)
{
    expect_sent(r, "all \"events\":[" COUNT("large", 103) "]}\n");
    clock_test_advance(HUB_HOLD_COUNT_MS);
}

static void count_anew(struct rig *r)
{
    expect_sent(r, "");
    count(r, "large", 104);
    pass_tick(r);
}

static void expect_new_count(struct rig *r)
{
    expect_sent(r, "all \"events\":[" COUNT("large", 104) "]}\n");
}

TEST(hub_hook_tells_the_newest_count_of_a_large_channel_every_five_seconds)
{
    struct rig *r = rig_new();
    r->steps[0] = count_many;
    r->steps[1] = expect_first_counts;
    r->steps[2] = pass_tick;
    r->steps[3] = expect_newest_count;
    r->steps[4] = pass_tick;
    r->steps[5] = count_anew;
    r->steps[6] = expect_new_count;
    run(r);
    rig_free(r);
}
