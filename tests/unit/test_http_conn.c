#include "core/mem.h"
#include "http/http.h"
#include "test.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* A server on a loop, one client on a socketpair, and a step that is repeated each tick until it
 * says that the test is over. */
struct rig {
    struct io_loop *loop;
    struct http_server *server;
    int client;
    bool (*step)(struct rig *r);
    struct io_timer timer;
    int ticks;
    struct http_exchange *later[8]; // not answered yet
    int later_count;
    int stopped;
    char got[65536];
    size_t got_len;
    bool is_eof;
    struct io_conn *upgraded;
    struct buf early;
};

static void handle_now(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    http_reply(x, 200, "text/plain", x->params[0].at ? x->params[0] : STR("now"));
}

static void handle_later(struct http_exchange *x, void *ctx)
{
    struct rig *r = ctx;
    r->later[r->later_count++] = x;
}

static void on_upgraded_bytes(struct io_conn *c, void *owner, const uint8_t *bytes, size_t len)
{
    (void)owner;
    EXPECT_EQ(io_conn_write(c, bytes, len), OK); // echo
}

static void on_upgraded_closed(struct io_conn *c, void *owner)
{
    (void)c;
    ((struct rig *)owner)->upgraded = NULL;
}

static const struct io_conn_handler echo = {.on_bytes = on_upgraded_bytes,
                                            .on_closed = on_upgraded_closed};

static void handle_upgrade(struct http_exchange *x, void *ctx)
{
    struct rig *r = ctx;
    r->upgraded = http_upgrade(x, &r->early);
    if (!r->upgraded)
        return;
    io_conn_set_handler(r->upgraded, &echo, r);
    EXPECT_EQ(io_conn_write(r->upgraded, "HTTP/1.1 101 x\r\n\r\n", 18), OK);
}

static void handle_big(struct http_exchange *x, void *ctx)
{
    enum { BYTES = 3 << 20 };
    char *bytes = mem_zalloc(BYTES);
    (void)ctx;
    http_reply(x, 200, "text/plain", (struct str){bytes, BYTES});
    mem_free(bytes);
}

static void handle_split(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    http_reply_field(x, STR("Location"), STR("/a\r\nSet-Cookie: b\nc"));
    http_reply(x, 303, NULL, STR(""));
}

static void handle_ready(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    http_reply_ready(x, STR("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"), STR("abc"));
}

static const struct http_route routes[] = {
    {HTTP_GET, "/now", handle_now, NULL, 0},     {HTTP_GET, "/now/{x}", handle_now, NULL, 0},
    {HTTP_GET, "/later", handle_later, NULL, 0}, {HTTP_GET, "/upgrade", handle_upgrade, NULL, 0},
    {HTTP_GET, "/big", handle_big, NULL, 0},     {HTTP_GET, "/split", handle_split, NULL, 0},
    {HTTP_GET, "/ready", handle_ready, NULL, 0},
};

static void read_client(struct rig *r)
{
    ssize_t n = 1;
    while (n > 0 && r->got_len < sizeof(r->got) - 1) {
        n = read(r->client, r->got + r->got_len, sizeof(r->got) - 1 - r->got_len);
        r->got_len += n > 0 ? (size_t)n : 0;
    }
    r->is_eof = r->is_eof || n == 0;
    r->got[r->got_len] = '\0';
}

static void on_tick(struct io_timer *t)
{
    struct rig *r = LIST_ENTRY(t, struct rig, timer);
    EXPECT(++r->ticks < 400); // 20 s
    if (r->step(r))
        io_loop_stop(r->loop);
    else
        io_timer_start(r->loop, t, 0);
}

static void on_stopped(void *ctx)
{
    ((struct rig *)ctx)->stopped++;
}

static void begin(struct rig *r, const struct http_limits *limits)
{
    int fds[2];
    *r = (struct rig){.loop = io_loop_new(0)};
    r->server = http_server_new(r->loop, limits);
    http_server_add(r->server, routes, sizeof(routes) / sizeof(routes[0]), r);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    http_server_accept(r->server, fds[0], "unknown", NULL);
    r->client = fds[1];
    io_timer_init(&r->timer, on_tick);
}

static void ask(struct rig *r, const char *text)
{
    EXPECT_EQ(write(r->client, text, strlen(text)), strlen(text));
}

static void run(struct rig *r, bool (*step)(struct rig *r))
{
    r->step = step;
    io_timer_start(r->loop, &r->timer, 0);
    io_loop_run(r->loop);
}

static void finish(struct rig *r)
{
    http_server_free(r->server);
    io_loop_free(r->loop);
    buf_done(&r->early);
    if (r->client >= 0)
        close(r->client);
}

static int count(const struct rig *r, const char *needle)
{
    int n = 0;
    for (const char *at = r->got; (at = strstr(at, needle)); at++)
        n++;
    return n;
}

/* ---- */

static bool answer_pipeline(struct rig *r)
{
    read_client(r);
    EXPECT(r->later_count <= 1); // one exchange at a time
    if (r->later_count == 1) {
        r->later_count = 0;
        http_reply(r->later[0], 200, "text/plain", STR("late"));
    }
    return count(r, "HTTP/1.1 200") == 5;
}

TEST(http_conn_answers_pipelined_requests_in_order_though_some_are_late)
{
    struct rig r;
    begin(&r, &http_default_limits);
    ask(&r, GET("/later") GET("/now/2") GET("/later") GET("/later") GET("/now/5"));
    run(&r, answer_pipeline);
    const char *second = strstr(r.got, "\r\n\r\n2"), *fifth = strstr(r.got, "\r\n\r\n5");
    EXPECT(second && fifth && second < fifth);
    EXPECT(strstr(r.got, "late") < second);
    EXPECT_EQ(count(&r, "\r\n\r\nlate"), 3);
    finish(&r);
}

static bool leave_then_answer(struct rig *r)
{
    if (r->later_count == 1 && r->client >= 0) {
        char sink[8];
        // Unread bytes make the close a reset, which even a paused connection notices when it
        // writes.
        EXPECT_EQ(read(r->client, sink, sizeof(sink)), -1);
        close(r->client);
        r->client = -1;
        return false;
    }
    if (r->client >= 0)
        return false;
    if (r->later_count == 1) {
        r->later_count = 0;
        http_reply(r->later[0], 200, "text/plain", STR("nobody reads this"));
    }
    return http_server_conns(r->server) == 0;
}

TEST(http_conn_drops_the_answer_when_the_client_went_away)
{
    struct rig r;
    begin(&r, &http_default_limits);
    ask(&r, GET("/later"));
    run(&r, leave_then_answer);
    finish(&r);
}

static bool has_later(struct rig *r)
{
    return r->later_count == 1;
}

TEST(http_conn_leaves_an_exchange_to_its_handler_when_the_server_is_freed)
{
    struct rig r;
    begin(&r, &http_default_limits);
    ask(&r, GET("/later"));
    run(&r, has_later);
    http_server_free(r.server);
    r.server = NULL;
    http_reply(r.later[0], 200, "text/plain", STR("too late"));
    finish(&r);
}

static bool is_upgraded(struct rig *r)
{
    read_client(r);
    if (r->upgraded && r->ticks == 5)
        ask(r, "ping");
    return r->upgraded && strstr(r->got, "ping") != NULL;
}

TEST(http_upgrade_hands_over_the_connection_and_the_bytes_behind_the_request)
{
    struct rig r;
    begin(&r, &http_default_limits);
    ask(&r, GET("/now") GET("/upgrade") "early frame");
    run(&r, is_upgraded);
    EXPECT_EQ(count(&r, "HTTP/1.1 101"), 1);
    EXPECT_EQ(buf_len(&r.early), 11);
    EXPECT(memcmp(buf_head(&r.early), "early frame", 11) == 0);
    EXPECT_EQ(http_server_conns(r.server), 0);
    finish(&r);
}

static bool stop_while_busy(struct rig *r)
{
    read_client(r);
    if (r->later_count == 1 && r->ticks < 100) {
        r->ticks = 100;
        http_server_stop(r->server, 5000, on_stopped, r);
    } else if (r->later_count == 1) {
        EXPECT_EQ(r->stopped, 0);
        r->later_count = 0;
        http_reply(r->later[0], 200, "text/plain", STR("bye"));
    }
    if (r->is_eof && r->client >= 0) {
        close(r->client);
        r->client = -1;
    }
    return r->stopped > 0;
}

TEST(http_server_stop_lets_a_busy_connection_finish)
{
    struct rig r;
    begin(&r, &http_default_limits);
    ask(&r, GET("/later"));
    run(&r, stop_while_busy);
    EXPECT(strstr(r.got, "Connection: close\r\n"));
    EXPECT(strstr(r.got, "bye"));
    EXPECT_EQ(r.stopped, 1);
    finish(&r);
}

static bool stop_while_idle(struct rig *r)
{
    read_client(r);
    if (r->ticks == 1)
        http_server_stop(r->server, 5000, on_stopped, r);
    return r->stopped > 0;
}

TEST(http_server_stop_closes_idle_connections_at_once)
{
    struct rig r;
    begin(&r, &http_default_limits);
    run(&r, stop_while_idle);
    EXPECT(r.ticks < 10);
    finish(&r);
}

static bool stop_and_never_answer(struct rig *r)
{
    if (r->later_count == 1 && r->ticks < 100) {
        r->ticks = 100;
        http_server_stop(r->server, 200, on_stopped, r);
    }
    return r->stopped > 0;
}

TEST(http_server_stop_waits_no_longer_than_it_was_told)
{
    struct rig r;
    begin(&r, &http_default_limits);
    ask(&r, GET("/later"));
    run(&r, stop_and_never_answer);
    http_reply(r.later[0], 200, NULL, STR(""));
    finish(&r);
}

static bool is_gone(struct rig *r)
{
    return http_server_conns(r->server) == 0;
}

TEST(http_conn_closes_on_a_client_that_asks_for_more_than_it_reads)
{
    struct rig r;
    struct http_limits limits = http_default_limits;
    limits.max_out_bytes = 1 << 20;
    begin(&r, &limits);
    ask(&r, GET("/big"));
    run(&r, is_gone);
    finish(&r);
}

TEST(http_conn_drops_a_slow_client_when_nothing_moves_for_the_idle_time)
{
    struct rig r;
    struct http_limits limits = http_default_limits;
    limits.idle_ms = 200;
    begin(&r, &limits);
    ask(&r, GET("/big") GET("/big"));
    run(&r, is_gone);
    finish(&r);
}

static bool has_answer(struct rig *r)
{
    read_client(r);
    return strstr(r->got, "\r\n\r\n") != NULL;
}

TEST(http_reply_field_lets_no_value_split_the_response)
{
    struct rig r;
    begin(&r, &http_default_limits);
    ask(&r, GET("/split"));
    run(&r, has_answer);
    EXPECT(strstr(r.got, "Location: /a  Set-Cookie: b c\r\n"));
    finish(&r);
}

TEST(http_reply_ready_adds_the_fields_of_the_moment)
{
    struct rig r;
    begin(&r, &http_default_limits);
    ask(&r, GET("/ready"));
    run(&r, has_answer);
    EXPECT(strstr(r.got, "HTTP/1.1 200 OK\r\nDate: ") == r.got);
    EXPECT(strstr(r.got, "\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 3\r\n\r\nabc"));
    finish(&r);
}

static bool got_408(struct rig *r)
{
    read_client(r);
    if (r->is_eof && r->client >= 0) {
        close(r->client);
        r->client = -1;
    }
    return http_server_conns(r->server) == 0;
}

TEST(http_conn_answers_408_when_the_body_does_not_come)
{
    struct rig r;
    struct http_limits limits = http_default_limits;
    limits.body_ms = 200;
    begin(&r, &limits);
    ask(&r, "GET /now HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    run(&r, got_408);
    EXPECT(strstr(r.got, "HTTP/1.1 408 Request Timeout\r\n") == r.got);
    finish(&r);
}
