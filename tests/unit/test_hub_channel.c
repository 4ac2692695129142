/* A hub on a loop of its own, its sockets held by the other ends of socket pairs. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/crypto.h"
#include "hub/hub_backend.h"
#include "hub/hub_message.h"
#include "hub/hub_post.h"
#include "hub/hub_relay.h"
#include "hub/hub_room.h"
#include "hub/hub_ws.h"
#include "test.h"
#include "ws/ws_inflate.h"

enum { MAX_TEXT = 32 * 1024 };

struct rig {
    struct io_loop *loop;
    struct hub_app app;
    struct hub_apps apps;
    struct hub_relay *relay;
    struct hub *hub;
    struct io_task stop;
};

static void on_stop(struct io_task *task)
{
    io_loop_stop(LIST_ENTRY(task, struct rig, stop)->loop);
}

static struct rig *rig_new(void)
{
    static struct rig r;
    crypto_init();
    r.loop = io_loop_new(0);
    r.app = hub_app_defaults;
    r.app.id = STR("1");
    r.app.key = STR("k");
    r.app.secret = STR("s");
    r.apps = (struct hub_apps){&r.app, 1};
    r.relay = hub_relay_new();
    r.hub = hub_new(r.loop, &r.apps, r.relay, true);
    r.stop.run = on_stop;
    return &r;
}

static void rig_free(struct rig *r)
{
    hub_relay_close(r->relay);
    io_loop_free(r->loop);
    EXPECT_EQ(hub_socket_count(r->hub), 0);
    hub_free(r->hub);
    hub_relay_free(r->relay);
}

/* The client's frame of a text, masked with zeros; the caller frees it. */
static struct buf frame_of(const char *message)
{
    struct ws_frame f = {.opcode = WS_TEXT, .fin = true, .masked = true};
    f.size_bytes = strlen(message);
    uint8_t header[WS_FRAME_MAX_HEADER_BYTES];
    struct buf frame;
    buf_init(&frame, MAX_TEXT);
    EXPECT_EQ(buf_append(&frame, header, ws_frame_write(&f, header)), OK);
    EXPECT_EQ(buf_append(&frame, message, strlen(message)), OK);
    return frame;
}

/* A socket that said the message as it came. *fd is the client's end. */
static struct hub_socket *open_with(struct rig *r, const char *message, int window_bits, int *fd)
{
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    *fd = ends[1];
    struct io_conn *io =
        io_conn_new(r->loop, ends[0], &(struct io_conn_handler){0}, NULL, MAX_TEXT);

    struct ws_upgrade up = {frame_of(message), window_bits};
    struct hub_socket *s = hub_ws_accept(hub_tenant_of(r->hub, &r->app), io,
                                         &(struct hub_hello){.is_pusher_js = true}, &up);
    buf_done(&up.early);
    return s;
}

static struct hub_socket *open_socket(struct rig *r, const char *message, int *fd)
{
    return open_with(r, message, 0, fd);
}

static const char SUBSCRIBE[] = "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"c\"}}";

/* One turn of the loop, whose end sends what was published. */
static void run_turn(struct rig *r)
{
    io_loop_post(r->loop, &r->stop);
    io_loop_run(r->loop);
}

static void publish_data(struct rig *r, const char *event, const char *data_json,
                         const struct hub_socket *except)
{
    struct hub_channel *c = hub_channel_find(hub_tenant_of(r->hub, &r->app), STR("c"));
    char json[16];
    struct buf frame;
    snprintf(json, sizeof(json), "\"%s\"", event);
    buf_init(&frame, MAX_TEXT);
    hub_message_event_frame(&frame, str_of(json), str_of(data_json), STR("c"));
    const struct hub_publication p = {.app = &r->app,
                                      .channel = STR("c"),
                                      .frame = {(const char *)buf_head(&frame), buf_len(&frame)}};
    hub_channel_publish(r->hub, c, &p, except);
    buf_done(&frame);
}

static void publish(struct rig *r, const char *event, const struct hub_socket *except)
{
    publish_data(r, event, "\"\"", except);
}

/* The payloads of the frames, joined, what was compressed inflated; gives their bytes. */
static size_t payloads_of(const uint8_t *bytes, size_t len, uint8_t *out)
{
    struct ws_inflate *inflate = ws_inflate_new();
    size_t used = 0, header_len;
    struct ws_frame f;
    for (size_t at = 0; at < len; at += header_len + (size_t)f.size_bytes) {
        EXPECT_EQ(ws_frame_parse(bytes + at, len - at, &f, &header_len), OK);
        struct str payload = {(const char *)bytes + at + header_len, (size_t)f.size_bytes};
        struct ws_piece piece = {.bytes = (const uint8_t *)payload.at, .len = payload.len};
        if (f.compressed) {
            ws_inflate_start(inflate, f.opcode, payload, MAX_TEXT);
            EXPECT_EQ(ws_inflate_next(inflate, out + used, MAX_TEXT - used, &piece), OK);
            EXPECT(piece.is_last);
        } else {
            memcpy(out + used, piece.bytes, piece.len);
        }
        used += piece.len;
    }
    ws_inflate_free(inflate);
    return used;
}

/* The events among the bytes, joined by spaces, without the greeting. */
static struct str events_of(const uint8_t *frames, size_t frames_len)
{
    static char text[MAX_TEXT];
    static const char EVENT[] = "{\"event\":\"";
    char bytes[MAX_TEXT];
    size_t len = payloads_of(frames, frames_len, (uint8_t *)bytes), used = 0;
    for (size_t at = 0; at < len; at++) {
        const char *event = bytes + at;
        if ((size_t)(len - at) < sizeof(EVENT) - 1 || memcmp(event, EVENT, sizeof(EVENT) - 1) != 0)
            continue;
        event += sizeof(EVENT) - 1;
        size_t event_len = str_index((struct str){event, (size_t)(len - at)}, '"');
        if (str_starts((struct str){event, event_len}, STR("pusher:connection")))
            continue;
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s", used > 0 ? " " : "",
                                 (int)event_len, event);
    }
    return (struct str){text, used};
}

/* The events that one read finds. */
static struct str events_in(int fd)
{
    uint8_t bytes[MAX_TEXT];
    ssize_t len = read(fd, bytes, sizeof(bytes));
    return events_of(bytes, len > 0 ? (size_t)len : 0);
}

#define SUCCEEDED "pusher_internal:subscription_succeeded"

TEST(hub_channel_sends_the_frames_of_a_turn_together)
{
    struct rig *r = rig_new();
    int fd;
    open_socket(r, SUBSCRIBE, &fd);
    publish(r, "a", NULL);
    publish(r, "b", NULL);
    run_turn(r);
    EXPECT_STR(events_in(fd), SUCCEEDED " a b");
    rig_free(r);
    close(fd);
}

TEST(hub_channel_leaves_out_the_excluded_socket_only)
{
    struct rig *r = rig_new();
    int fds[2];
    const struct hub_socket *first = open_socket(r, SUBSCRIBE, &fds[0]);
    open_socket(r, SUBSCRIBE, &fds[1]);
    publish(r, "a", NULL);
    publish(r, "b", first);
    publish(r, "c", NULL);
    publish(r, "d", first);
    run_turn(r);
    EXPECT_STR(events_in(fds[0]), SUCCEEDED " a c");
    EXPECT_STR(events_in(fds[1]), SUCCEEDED " a b c d");
    rig_free(r);
    close(fds[0]);
    close(fds[1]);
}

/* The frames that one read finds behind the greeting and the subscription. */
struct received {
    uint8_t bytes[MAX_TEXT];
    size_t len;
};

static void receive(int fd, struct received *got)
{
    uint8_t bytes[MAX_TEXT];
    size_t at = 0, header_len;
    struct ws_frame f;
    ssize_t len = read(fd, bytes, sizeof(bytes));
    EXPECT(len > 0);
    for (int skipped = 0; skipped < 2; skipped++) {
        EXPECT_EQ(ws_frame_parse(bytes + at, (size_t)len - at, &f, &header_len), OK);
        EXPECT(!f.compressed); // short
        at += header_len + (size_t)f.size_bytes;
    }
    got->len = (size_t)len - at;
    memcpy(got->bytes, bytes + at, got->len);
}

static bool is_same(const struct received *a, const struct received *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

TEST(hub_channel_compresses_once_for_all_who_take_it_and_changes_nothing_for_others)
{
    static const int windows[] = {0, 15, 15, 15, 9};
    enum { COUNT = sizeof(windows) / sizeof(windows[0]) };
    static struct received got[COUNT];
    static char data[4000] = "\"";
    struct hub_socket *sockets[COUNT];
    struct rig *r = rig_new();
    int fds[COUNT];

    memset(data + 1, 'x', sizeof(data) - 3);
    data[sizeof(data) - 2] = '"';
    for (int i = 0; i < COUNT; i++)
        sockets[i] = open_with(r, SUBSCRIBE, windows[i], &fds[i]);
    publish_data(r, "a", data, NULL);
    publish(r, "b", sockets[3]);
    publish_data(r, "c", data, sockets[3]);
    publish(r, "d", NULL);
    run_turn(r);
    for (int i = 0; i < COUNT; i++) {
        receive(fds[i], &got[i]);
        EXPECT_STR(events_of(got[i].bytes, got[i].len), i == 3 ? "a d" : "a b c d");
        EXPECT_EQ(got[i].len < sizeof(data), windows[i] == 15);
        close(fds[i]);
    }
    EXPECT(is_same(&got[1], &got[2]));
    EXPECT(is_same(&got[0], &got[4])); // a smaller window: as it is
    rig_free(r);
}

TEST(hub_channel_sends_short_events_as_they_are)
{
    static struct received got[2];
    struct rig *r = rig_new();
    int fds[2];
    for (int i = 0; i < 2; i++)
        open_with(r, SUBSCRIBE, i * 15, &fds[i]);
    for (int i = 0; i < 100; i++)
        publish(r, "short", NULL);
    run_turn(r);
    for (int i = 0; i < 2; i++) {
        receive(fds[i], &got[i]);
        close(fds[i]);
    }
    EXPECT(is_same(&got[0], &got[1]));
    rig_free(r);
}

TEST(hub_channel_gives_a_newcomer_only_what_comes_after_it)
{
    struct rig *r = rig_new();
    int fds[2];
    open_socket(r, SUBSCRIBE, &fds[0]);
    publish(r, "a", NULL);
    open_socket(r, SUBSCRIBE, &fds[1]);
    publish(r, "b", NULL);
    run_turn(r);
    EXPECT_STR(events_in(fds[0]), SUCCEEDED " a b");
    EXPECT_STR(events_in(fds[1]), SUCCEEDED " b");
    rig_free(r);
    close(fds[0]);
    close(fds[1]);
}

TEST(hub_channel_vanishes_with_its_last_subscriber)
{
    struct rig *r = rig_new();
    int fd;
    struct hub_socket *s = open_socket(r, SUBSCRIBE, &fd);
    publish(r, "a", NULL);
    struct buf bye = frame_of("{\"event\":\"pusher:unsubscribe\",\"data\":{\"channel\":\"c\"}}");
    ws_conn_receive(&LIST_ENTRY(s, struct hub_ws, socket)->ws, buf_head(&bye), buf_len(&bye));
    buf_done(&bye);
    EXPECT(hub_channel_find(hub_tenant_of(r->hub, &r->app), STR("c")) == NULL);
    run_turn(r);
    EXPECT_STR(events_in(fd), SUCCEEDED " a"); // published before it left
    rig_free(r);
    close(fd);
}

TEST(hub_channel_is_not_made_by_a_refused_subscription)
{
    struct rig *r = rig_new();
    int fd;
    open_socket(r,
                "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"private-x\",\"auth\":"
                "\"k:0\"}}",
                &fd);
    EXPECT(hub_channel_find(hub_tenant_of(r->hub, &r->app), STR("private-x")) == NULL);
    run_turn(r);
    EXPECT_STR(events_in(fd), "pusher:error pusher:subscription_error");
    rig_free(r);
    close(fd);
}

TEST(hub_relay_reaches_the_subscribers_but_the_excluded)
{
    struct rig *r = rig_new();
    int fds[2];
    const struct hub_socket *first = open_socket(r, SUBSCRIBE, &fds[0]);
    open_socket(r, SUBSCRIBE, &fds[1]);
    hub_relay_publish(r->relay, &r->app, STR("c"), STR("a"), STR("{}"), STR(""));
    hub_relay_publish(r->relay, &r->app, STR("c"), STR("b"), STR("{}"), str_of(first->id));
    hub_relay_publish(r->relay, &r->app, STR("nobody"), STR("x"), STR("{}"), STR(""));
    run_turn(r);
    EXPECT_STR(events_in(fds[0]), SUCCEEDED " a");
    EXPECT_STR(events_in(fds[1]), SUCCEEDED " a b");
    rig_free(r);
    close(fds[0]);
    close(fds[1]);
}

static const char *kind_of(const char *name, bool is_strict)
{
    static char text[64];
    struct hub_channel_type type = hub_channel_type_of(str_of(name), is_strict);
    snprintf(text, sizeof(text), "%s%s%s%s", type.is_guarded ? "guarded " : "",
             type.is_presence ? "presence " : "", type.is_cache ? "cache " : "",
             type.is_user ? "user " : "");
    return text;
}

TEST(hub_channel_types_follow_the_prefixes_of_reverb_or_strictly_those_of_pusher)
{
    EXPECT_STR(str_of(kind_of("orders", false)), "");
    EXPECT_STR(str_of(kind_of("cache-x", true)), "cache ");
    EXPECT_STR(str_of(kind_of("cachefoo", false)), "cache ");
    EXPECT_STR(str_of(kind_of("cachefoo", true)), "");
    EXPECT_STR(str_of(kind_of("private-x", true)), "guarded ");
    EXPECT_STR(str_of(kind_of("privateer", false)), "guarded ");
    EXPECT_STR(str_of(kind_of("privateer", true)), "");
    EXPECT_STR(str_of(kind_of("private-encrypted-cache-x", false)), "guarded cache ");
    EXPECT_STR(str_of(kind_of("private-cache-x", true)), "guarded cache ");
    EXPECT_STR(str_of(kind_of("presence-x", true)), "guarded presence ");
    EXPECT_STR(str_of(kind_of("presence-cache-x", true)), "guarded presence cache ");
    EXPECT_STR(str_of(kind_of("#server-to-user-1", true)), "user ");
}

/* Other work of a loop, which counts the turns that it gets. */
struct turns {
    struct io_task task;
    struct io_loop *loop;
    size_t count, listed_bytes;
    bool is_over;
};

static void on_other_work(struct io_task *task)
{
    struct turns *t = LIST_ENTRY(task, struct turns, task);
    t->count++;
    if (!t->is_over)
        io_loop_post(t->loop, task);
}

static void on_list(void *ctx, enum err err, const struct str *texts, size_t count)
{
    struct turns *t = ctx;
    EXPECT_EQ(err, OK);
    EXPECT_EQ(count, 1);
    t->listed_bytes = texts[0].len;
    t->is_over = true;
    io_loop_stop(t->loop);
}

TEST(hub_backend_list_of_many_channels_leaves_turns_to_other_work)
{
    enum { ROOMS = 3 * HUB_BACKEND_ROOMS_A_TURN };
    struct rig *r = rig_new();
    struct turns turns = {.task.run = on_other_work, .loop = r->loop};
    char name[32];
    for (int i = 0; i < ROOMS; i++) {
        snprintf(name, sizeof(name), "room-%05d", i);
        hub_room_take(
            r->hub, &(struct hub_note){
                        .kind = HUB_JOIN, .app = &r->app, .from = r->hub, .channel = str_of(name)});
    }
    hub_backend_list(r->hub, &r->app, STR("room-"), 0, on_list, &turns);
    io_loop_post(r->loop, &turns.task);
    io_loop_run(r->loop);
    EXPECT(turns.count >= 3);
    EXPECT_EQ(turns.listed_bytes, ROOMS * strlen("\"room-00000\":{},") - 1);
    rig_free(r);
}
